/* SPDX-License-Identifier: MIT */
/*
 * The memory types that firmware gave to physical memory.  They must be the same on every CPU, and
 * firmware makes them so, but not every CPU keeps them over an INIT (emulated ones do not).
 */
#pragma once

#include <stdbool.h>

/* On the boot CPU: notes them. */
void mtrr_save(void);

/*
 * On every other CPU, before CR4.PGE is on: writes what was noted, if anything differs.  False if
 * this CPU has other registers of the kind.
 */
bool mtrr_apply(void);
