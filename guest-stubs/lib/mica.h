/* SPDX-License-Identifier: MIT */
/* How a guest makes Mica's calls; which there are, mica_abi.h says.  These two files are all that a
 * kernel needs. */
#pragma once

#include "hv/pv/mica_abi.h"

#include <stdbool.h>
#include <stdint.h>

/* At CPL 0; amd: on a CPU of AMD, whose instruction is another.  KVM's calls take two more
 * arguments. */
static inline int64_t mica_call4(bool amd, uint64_t number, uint64_t a, uint64_t b, uint64_t c,
                                 uint64_t d)
{
    int64_t result;

    if (amd)
        __asm__ volatile("vmmcall"
                         : "=a"(result)
                         : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d)
                         : "memory");
    else
        __asm__ volatile("vmcall"
                         : "=a"(result)
                         : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d)
                         : "memory");
    return result;
}

static inline int64_t mica_call(bool amd, enum mica_call call, uint64_t a, uint64_t b)
{
    return mica_call4(amd, MICA_CALL_FIRST + call, a, b, 0, 0);
}
