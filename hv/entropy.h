/* SPDX-License-Identifier: MIT */
/*
 * Randomness for guests: the firmware's seed and the CPU's RDRAND, through a generator.  The clock
 * is mixed in too, and counts for nothing.
 */
#pragma once

#include "hv/random.h"

#include <stdbool.h>

struct boot_info;

void entropy_init(const struct boot_info *info);
/* Whether the machine has any; else no guest is offered a source of it. */
bool entropy_available(void);
/* A generator of its own, unlike any other.  On the boot CPU. */
void entropy_seed(struct random *random);
/* Mixes fresh bits into one.  Any CPU. */
void entropy_stir(struct random *random);
