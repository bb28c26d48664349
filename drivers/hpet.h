/* SPDX-License-Identifier: MIT */
/* The machine's HPET: its interrupts are turned off, its counter is left alone. */
#pragma once

#include <stdint.h>

/* Address 0: there is none. */
void hpet_disable_interrupts(uint64_t address);
