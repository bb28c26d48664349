/* SPDX-License-Identifier: MIT */
/* The guest's memory map: for every memory size one sorted list that neither loses nor invents RAM.
 */
#include "hv/layout.h"
#include "tests/host/check.h"

/* Sorted, page-aligned, not empty, no overlaps. */
static bool is_sane(const struct layout_map *map)
{
    uint64_t end = 0;

    for (unsigned int i = 0; i < map->count; i++) {
        const struct layout_range *range = &map->ranges[i];

        if (range->size == 0 || range->base < end || !is_aligned(range->base, PAGE_SIZE) ||
            !is_aligned(range->size, PAGE_SIZE))
            return false;
        end = range->base + range->size;
    }
    return map->count <= LAYOUT_MAX_RANGES;
}

static uint64_t total(const struct layout_map *map, enum layout_type type)
{
    uint64_t sum = 0;

    for (unsigned int i = 0; i < map->count; i++)
        sum += map->ranges[i].type == type ? map->ranges[i].size : 0;
    return sum;
}

static bool is_right(uint64_t memory_size)
{
    struct layout_map map;
    uint64_t hole = LAYOUT_EXTENDED_BASE - LAYOUT_BASE_MEMORY_END;

    layout_make(memory_size, &map);
    return is_sane(&map) && total(&map, LAYOUT_RAM) + hole == memory_size &&
           total(&map, LAYOUT_ACPI) == 0x40000 &&
           layout_low_size(memory_size) + layout_high_size(memory_size) == memory_size;
}

static void test_sizes(void)
{
    bool ok = true;

    for (uint64_t size = LAYOUT_MEMORY_MIN; size <= MIB(64); size += PAGE_SIZE)
        ok &= is_right(size);
    for (uint64_t size = LAYOUT_LOW_RAM_END - MIB(1); size <= LAYOUT_LOW_RAM_END + MIB(1);
         size += PAGE_SIZE)
        ok &= is_right(size);
    for (uint64_t size = GIB(1); size <= LAYOUT_MEMORY_MAX; size += GIB(1))
        ok &= is_right(size);
    CHECK(ok, "the map is sorted, and its RAM and the hole are the memory, at every size");
}

static void test_small(void)
{
    struct layout_map map;

    layout_make(MIB(5), &map);
    CHECK(map.count == 6 && map.ranges[0].base == 0 && map.ranges[0].size == 0xa0000 &&
              map.ranges[1].base == 0xc0000 && map.ranges[1].type == LAYOUT_ACPI &&
              map.ranges[2].base == 0x100000 && map.ranges[2].size == MIB(4),
          "a guest of 5 MiB has RAM in two pieces around the hole and the tables");
    CHECK(map.ranges[3].base == 0xe0000000 && map.ranges[4].base == 0xfec00000 &&
              map.ranges[5].base == 0xfee00000 && map.ranges[5].type == LAYOUT_RESERVED,
          "ECAM and the APICs are reserved");
    CHECK(layout_is_ram(&map, 0, 0xa0000) && !layout_is_ram(&map, 0, 0xa0001) &&
              !layout_is_ram(&map, 0x9f000, 0x100000) && !layout_is_ram(&map, 0xc0000, 1) &&
              layout_is_ram(&map, 0x100000, MIB(4)) && !layout_is_ram(&map, 0x100000, MIB(4) + 1) &&
              !layout_is_ram(&map, MIB(5), 1) && !layout_is_ram(&map, MIB(4), UINT64_MAX) &&
              !layout_is_ram(&map, UINT64_MAX, 2),
          "a run is RAM only when all of it is");
}

static void test_large(void)
{
    struct layout_map map;

    layout_make(GIB(5), &map);
    CHECK(map.count == 7 && map.ranges[2].size == 0xc0000000 - 0x100000 &&
              map.ranges[6].base == GIB(4) && map.ranges[6].size == GIB(2) &&
              map.ranges[6].type == LAYOUT_RAM,
          "what does not fit below 3 GiB lies above 4 GiB");
    layout_make(GIB(3), &map);
    CHECK(map.count == 6 && layout_high_size(GIB(3)) == 0, "3 GiB fit below");
    CHECK(layout_e820_type(LAYOUT_RAM) == 1 && layout_e820_type(LAYOUT_ACPI) == 2 &&
              layout_e820_type(LAYOUT_RESERVED) == 2,
          "only RAM is called usable");
}

int main(void)
{
    test_sizes();
    test_small();
    test_large();
    return check_done();
}
