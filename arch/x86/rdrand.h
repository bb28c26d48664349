/* SPDX-License-Identifier: MIT */
/* The CPU's random number generator, where it has one. */
#pragma once

#include "arch/x86/cpuid.h"

#define RDRAND_TRIES 10 /* SDM, "Guideline for RDRAND Usage" */

static inline bool rdrand(uint64_t *value)
{
    for (unsigned int i = 0; cpu_has(FEATURE_RDRAND) && i < RDRAND_TRIES; i++) {
        bool ok;

        __asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(ok));
        if (ok)
            return true;
    }
    return false;
}
