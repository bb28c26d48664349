/* SPDX-License-Identifier: MIT */
/*
 * The end of the machine when Mica itself is wrong.  Never for anything that a guest can bring
 * about. panic() prints the message, the place, the registers, a stack trace with names, the last
 * exits and, if a guest was running, the backend's dump; then it stops every CPU.
 */
#pragma once

#include "hv/util.h"

NORETURN void panic_at(const char *file, int line, const char *format, ...) PRINTF(3, 4);

#define panic(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)
#define ASSERT(condition)                              \
    do {                                               \
        if (unlikely(!(condition)))                    \
            panic("assertion failed: %s", #condition); \
    } while (0)
