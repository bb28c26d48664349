/* SPDX-License-Identifier: MIT */
/*
 * The memory map in boot_info's form, built from ranges in any order.  Pure: no firmware, so that
 * it runs on the host as well.
 */
#pragma once

#include "boot/boot_info.h"

#include <stdbool.h>
#include <stdint.h>

/* Always sorted by base, without overlaps, neighbours of one type merged. */
struct memmap {
    struct boot_mem *entries;
    uint32_t count;
    uint32_t capacity;
};

/*
 * Adds a range.  Where it overlaps what is there, the higher value of enum boot_mem_type wins: so
 * a firmware that contradicts itself loses usable memory and nothing else, and what boot/ keeps is
 * carved out of usable memory by adding it.  Usable ranges shrink to whole pages, others grow to
 * them.  False when the table is full; the map then misses a part.
 */
bool memmap_add(struct memmap *map, uint64_t base, uint64_t size, enum boot_mem_type type);

/* Whether one entry of this type holds all of the range. */
bool memmap_covers(const struct memmap *map, uint64_t base, uint64_t size, enum boot_mem_type type);
