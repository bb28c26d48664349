/* SPDX-License-Identifier: MIT */
/* The end of the machine by somebody's wish. */
#pragma once

#include "hv/util.h"

/*
 * Called before the machine goes: must stop the other CPUs and turn virtualization off on every
 * one, for INIT is blocked in VMX root mode.
 */
void power_set_leave_hook(void (*leave)(void));

NORETURN void power_off(void);
NORETURN void power_reboot(void);
