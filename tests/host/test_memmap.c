/* SPDX-License-Identifier: MIT */
/*
 * boot/memmap.c: ranges in any order become a sorted map without overlaps.  A model that knows the
 * type of each single page judges thousands of random maps.
 */
#include "boot/memmap.h"

#include "hv/addr.h"
#include "hv/util.h"
#include "tests/host/check.h"

#include <stdlib.h>
#include <string.h>

#define MODEL_PAGES 64

static struct boot_mem entries[BOOT_MAX_MEMORY];

static struct memmap empty_map(uint32_t capacity)
{
    memset(entries, 0xee, sizeof(entries));
    return (struct memmap){.entries = entries, .capacity = capacity};
}

static bool entry_is(const struct memmap *map, uint32_t i, uint64_t base, uint64_t size,
                     uint32_t type)
{
    return i < map->count && map->entries[i].base == base && map->entries[i].size == size &&
           map->entries[i].type == type && map->entries[i].reserved == 0;
}

/* What boot_info.h promises of every map. */
static bool is_canonical(const struct memmap *map)
{
    for (uint32_t i = 0; i < map->count; i++) {
        const struct boot_mem *e = &map->entries[i];

        if (e->size == 0 || !is_aligned(e->base | e->size, PAGE_SIZE))
            return false;
        if (i == 0)
            continue;
        if (e->base < e[-1].base + e[-1].size ||
            (e->base == e[-1].base + e[-1].size && e->type == e[-1].type))
            return false;
    }
    return true;
}

static uint32_t type_at(const struct memmap *map, uint64_t address)
{
    for (uint32_t i = 0; i < map->count; i++)
        if (address >= map->entries[i].base &&
            address - map->entries[i].base < map->entries[i].size)
            return map->entries[i].type;
    return 0;
}

static void test_simple(void)
{
    struct memmap map = empty_map(8);

    CHECK(memmap_add(&map, 0x8000, 0x2000, BOOT_MEM_USABLE) &&
              memmap_add(&map, 0x1000, 0x1000, BOOT_MEM_ACPI) &&
              memmap_add(&map, 0x4000, 0x1000, BOOT_MEM_NVS) && map.count == 3 &&
              entry_is(&map, 0, 0x1000, 0x1000, BOOT_MEM_ACPI) &&
              entry_is(&map, 1, 0x4000, 0x1000, BOOT_MEM_NVS) &&
              entry_is(&map, 2, 0x8000, 0x2000, BOOT_MEM_USABLE),
          "ranges out of order are sorted");

    map = empty_map(8);
    CHECK(memmap_add(&map, 0x3000, 0x1000, BOOT_MEM_USABLE) &&
              memmap_add(&map, 0x1000, 0x1000, BOOT_MEM_USABLE) &&
              memmap_add(&map, 0x2000, 0x1000, BOOT_MEM_USABLE) && map.count == 1 &&
              entry_is(&map, 0, 0x1000, 0x3000, BOOT_MEM_USABLE),
          "neighbours of one type are merged");

    map = empty_map(8);
    CHECK(memmap_add(&map, 0x1000, 0, BOOT_MEM_USABLE) &&
              memmap_add(&map, 0x1234, 0, BOOT_MEM_RESERVED) && map.count == 0,
          "ranges of size zero add nothing");
}

static void test_overlaps(void)
{
    struct memmap map = empty_map(8);

    memmap_add(&map, 0x1000, 0x4000, BOOT_MEM_RESERVED);
    CHECK(memmap_add(&map, 0x0, 0x8000, BOOT_MEM_USABLE) && map.count == 3 &&
              entry_is(&map, 0, 0, 0x1000, BOOT_MEM_USABLE) &&
              entry_is(&map, 1, 0x1000, 0x4000, BOOT_MEM_RESERVED) &&
              entry_is(&map, 2, 0x5000, 0x3000, BOOT_MEM_USABLE),
          "a usable range gives way to a reserved one that was first");

    map = empty_map(8);
    memmap_add(&map, 0x0, 0x8000, BOOT_MEM_USABLE);
    CHECK(memmap_add(&map, 0x6000, 0x4000, BOOT_MEM_RESERVED) && map.count == 2 &&
              entry_is(&map, 0, 0, 0x6000, BOOT_MEM_USABLE) &&
              entry_is(&map, 1, 0x6000, 0x4000, BOOT_MEM_RESERVED),
          "a reserved range takes the end of a usable one");

    map = empty_map(8);
    memmap_add(&map, 0x0, 0x8000, BOOT_MEM_RESERVED);
    CHECK(memmap_add(&map, 0x2000, 0x2000, BOOT_MEM_MODULE) && map.count == 1 &&
              !memmap_covers(&map, 0x2000, 0x2000, BOOT_MEM_MODULE),
          "nothing can be carved out of reserved memory");
}

static void test_carving(void)
{
    struct memmap map = empty_map(8);

    memmap_add(&map, 0x10000, 0x10000, BOOT_MEM_USABLE);
    CHECK(memmap_add(&map, 0x10000, 0x1000, BOOT_MEM_LOADER) &&
              memmap_add(&map, 0x14000, 0x1001, BOOT_MEM_MODULE) &&
              memmap_add(&map, 0x1f000, 0x1000, BOOT_MEM_IMAGE) && map.count == 5 &&
              entry_is(&map, 0, 0x10000, 0x1000, BOOT_MEM_LOADER) &&
              entry_is(&map, 1, 0x11000, 0x3000, BOOT_MEM_USABLE) &&
              entry_is(&map, 2, 0x14000, 0x2000, BOOT_MEM_MODULE) &&
              entry_is(&map, 3, 0x16000, 0x9000, BOOT_MEM_USABLE) &&
              entry_is(&map, 4, 0x1f000, 0x1000, BOOT_MEM_IMAGE),
          "the beginning, the middle and the end of usable memory are carved out");
    CHECK(memmap_covers(&map, 0x14000, 0x2000, BOOT_MEM_MODULE) &&
              memmap_covers(&map, 0x15000, 0x1000, BOOT_MEM_MODULE) &&
              !memmap_covers(&map, 0x15000, 0x2000, BOOT_MEM_MODULE) &&
              !memmap_covers(&map, 0x13000, 0x1000, BOOT_MEM_MODULE) &&
              !memmap_covers(&map, 0x14000, 0x1000, BOOT_MEM_IMAGE) &&
              !memmap_covers(&map, 0x15000, ~0ull, BOOT_MEM_MODULE),
          "memmap_covers() wants the type and the whole range");
}

static void test_edges(void)
{
    struct memmap map = empty_map(8);

    CHECK(memmap_add(&map, 0x1001, 0x2fff, BOOT_MEM_USABLE) && map.count == 1 &&
              entry_is(&map, 0, 0x2000, 0x2000, BOOT_MEM_USABLE),
          "usable memory shrinks to whole pages");
    CHECK(memmap_add(&map, 0x9fff, 2, BOOT_MEM_RESERVED) && map.count == 2 &&
              entry_is(&map, 1, 0x9000, 0x2000, BOOT_MEM_RESERVED),
          "reserved memory grows to whole pages");

    map = empty_map(8);
    CHECK(memmap_add(&map, 0x1800, 0x1000, BOOT_MEM_USABLE) && map.count == 0,
          "usable memory without one whole page is none");
    CHECK(memmap_add(&map, 0xffffffffffff0000, 0x20000, BOOT_MEM_RESERVED) &&
              memmap_add(&map, BIT(52), 0x1000, BOOT_MEM_USABLE) && map.count == 0,
          "addresses beyond 52 bits are left out");
    CHECK(memmap_add(&map, BIT(52) - 0x1000, ~0ull, BOOT_MEM_RESERVED) && map.count == 1 &&
              entry_is(&map, 0, BIT(52) - 0x1000, 0x1000, BOOT_MEM_RESERVED),
          "a range that wraps around is cut at 52 bits");
    CHECK(memmap_add(&map, 0, ~0ull, BOOT_MEM_MMIO) && map.count == 2 && is_canonical(&map),
          "a range of the whole address space fits round the others");
}

static void test_full(void)
{
    struct memmap map = empty_map(4);
    bool filled = true;

    for (uint64_t i = 0; i < 4; i++)
        filled &= memmap_add(&map, i * 0x2000, 0x1000, BOOT_MEM_ACPI);
    CHECK(filled && map.count == 4, "a table can be filled");
    CHECK(!memmap_add(&map, 0x20000, 0x1000, BOOT_MEM_ACPI) && map.count == 4,
          "the range after the last entry is refused");
    CHECK(!memmap_add(&map, 0x1000, 0x1000, BOOT_MEM_USABLE) && map.count == 4,
          "the range between two entries is refused");
    CHECK(entries[4].base == 0xeeeeeeeeeeeeeeee, "nothing was written behind the table");

    map = empty_map(2);
    memmap_add(&map, 0, 0x10000, BOOT_MEM_USABLE);
    CHECK(!memmap_add(&map, 0x4000, 0x1000, BOOT_MEM_MODULE) &&
              entries[2].base == 0xeeeeeeeeeeeeeeee,
          "a carving that needs two more entries than one is refused");
    map = empty_map(3);
    memmap_add(&map, 0, 0x10000, BOOT_MEM_USABLE);
    CHECK(memmap_add(&map, 0x4000, 0x1000, BOOT_MEM_MODULE) && map.count == 3,
          "a carving that just fits is not");
}

/* The strongest type wins each page, whatever the order: that is the whole specification. */
static void test_against_model(void)
{
    static uint32_t model[MODEL_PAGES];
    bool added = true, canonical = true, equal = true;

    srand(1);
    for (uint32_t round = 0; round < 20000; round++) {
        struct memmap map = empty_map(BOOT_MAX_MEMORY);

        memset(model, 0, sizeof(model));
        for (uint32_t i = 0; i < 12; i++) {
            uint64_t base = (uint64_t)rand() % MODEL_PAGES;
            uint64_t pages = (uint64_t)rand() % (MODEL_PAGES - base + 1) / (1 + i % 4);
            uint32_t type = 1 + (uint32_t)rand() % BOOT_MEM_RESERVED;

            added &= memmap_add(&map, base * PAGE_SIZE, pages * PAGE_SIZE, type);
            canonical &= is_canonical(&map);
            for (uint64_t page = base; page < base + pages; page++)
                model[page] = MAX(model[page], type);
        }
        for (uint64_t page = 0; page < MODEL_PAGES; page++)
            equal &= type_at(&map, page * PAGE_SIZE) == model[page];
    }
    CHECK(added, "random maps fit");
    CHECK(canonical, "random maps are sorted, aligned, without overlap and merged after each step");
    CHECK(equal, "random maps hold the strongest type of each page");
}

int main(void)
{
    test_simple();
    test_overlaps();
    test_carving();
    test_edges();
    test_full();
    test_against_model();
    return check_done();
}
