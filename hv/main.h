/* SPDX-License-Identifier: MIT */
/* The ends of the machine, for the monitor and for whoever sees that everything is done. */
#pragma once

#include "hv/util.h"

/* Virtualization off on every CPU, everything on the console written, then off, or on again. */
NORETURN void hv_power_off(void);
NORETURN void hv_reboot(void);
