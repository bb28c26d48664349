/* SPDX-License-Identifier: MIT */
/*
 * Addresses of the three spaces that must never be mixed up.  Guest-physical and host-physical
 * ones are one-member structs, so that passing one for the other does not compile.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t value;
} gpa_t; /* guest-physical */

typedef struct {
    uint64_t value;
} hpa_t; /* host-physical */

#define GPA(x) ((gpa_t){(x)})
#define HPA(x) ((hpa_t){(x)})

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull
#define PAGE_MASK  (PAGE_SIZE - 1)
#define SIZE_4K    0x1000ull
#define SIZE_2M    0x200000ull
#define SIZE_1G    0x40000000ull

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

static inline uint64_t align_down(uint64_t value, uint64_t alignment)
{
    return value & ~(alignment - 1);
}

static inline uint64_t align_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline bool is_aligned(uint64_t value, uint64_t alignment)
{
    return (value & (alignment - 1)) == 0;
}
