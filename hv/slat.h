/* SPDX-License-Identifier: MIT */
/*
 * Second-level address translation: one walker over two formats (EPT, NPT).  A format is two masks
 * and two pure functions on integers.  Table pages come from the pool that the VM was given at its
 * creation, so that nothing here fails for want of memory, and stay where they are needed first.
 *
 * Mapping and unmapping are serialised by the caller; looking up is not, nor is a CPU's walk.
 */
#pragma once

#include "hv/addr.h"
#include "hv/util.h"

#include <stdbool.h>
#include <stdint.h>

#define SLAT_READ   1u
#define SLAT_WRITE  2u
#define SLAT_EXEC   4u
#define SLAT_RWX    7u
#define SLAT_DEVICE 8u /* uncached; without it write-back */

/* Where both formats have the same. */
#define SLAT_LEAF    BIT(7) /* at levels 2 and 3 */
#define SLAT_ADDRESS 0x000ffffffffff000ul

struct slat_format {
    const char *name;
    bool has_1g;      /* 1 GiB leaves; filled at boot by the backend, hence not const */
    uint64_t present; /* an entry that has any of these is */
    uint64_t table;   /* what one has that leads to a table, but for its address */
    uint64_t (*make_leaf)(uint64_t hpa, unsigned int level,
                          unsigned int flags); /* level 1: 4 KiB, 2: 2 MiB, 3: 1 GiB */
    unsigned int (*flags)(uint64_t entry);     /* of a leaf */
};

struct slat_pool {
    uint64_t first_free; /* host-physical address of the first free page, linked through their first
                            word; 0: none */
    uint64_t free_count;
};

struct slat {
    const struct slat_format *format;
    uint64_t root; /* host-physical, level 4 */
    struct slat_pool pool;
};

/* What stands at a guest-physical address. */
struct slat_entry {
    uint64_t value;
    unsigned int level; /* the level at which the walk ended */
    bool present;
};

/* Pages that mapping and then splitting `size` bytes of RAM in `ranges` pieces to 4 KiB can ever
 * need. */
uint64_t slat_pages_needed(uint64_t size, unsigned int ranges);

/* Give `count` zeroed pages to the pool, then start with an empty root. */
void slat_init(struct slat *slat, const struct slat_format *format, hpa_t pages, uint64_t count);

/* Map with the largest leaves that alignment, and the tables that are there, allow; leaves in the
 * first 2 MiB are 4 KiB.  Replaces what stood there.  0 or -ENOMEM. */
int slat_map(struct slat *slat, gpa_t gpa, hpa_t hpa, uint64_t size, unsigned int flags);
int slat_unmap(struct slat *slat, gpa_t gpa, uint64_t size);
struct slat_entry slat_lookup(const struct slat *slat, gpa_t gpa);
/* Where an address is mapped to; HPA(0): nowhere. */
hpa_t slat_translate(const struct slat *slat, gpa_t gpa);
