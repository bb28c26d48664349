/* SPDX-License-Identifier: MIT */
/* Sorting, merging and carving of the memory map.  Does not know where the ranges come from. */
#include "boot/memmap.h"

#include "hv/addr.h"
#include "hv/util.h"

/* The architecture's widest physical address; firmware that names more is not believed. */
#define ADDRESS_LIMIT BIT(52)

STATIC_ASSERT(BOOT_MEM_USABLE < BOOT_MEM_LOADER && BOOT_MEM_LOADER < BOOT_MEM_IMAGE &&
                  BOOT_MEM_IMAGE < BOOT_MEM_MODULE && BOOT_MEM_MODULE < BOOT_MEM_ACPI &&
                  BOOT_MEM_ACPI < BOOT_MEM_NVS && BOOT_MEM_NVS < BOOT_MEM_MMIO &&
                  BOOT_MEM_MMIO < BOOT_MEM_RESERVED,
              "the type that gives away less must have the higher value");

static uint64_t end_of(const struct boot_mem *entry)
{
    return entry->base + entry->size;
}

static bool insert(struct memmap *map, uint32_t at, uint64_t base, uint64_t end, uint32_t type)
{
    if (map->count == map->capacity)
        return false;
    for (uint32_t i = map->count; i > at; i--)
        map->entries[i] = map->entries[i - 1];
    map->entries[at] = (struct boot_mem){.base = base, .size = end - base, .type = type};
    map->count++;
    return true;
}

/* Makes base..end, which lies in entry `at`, a range of its own; what is left keeps its type. */
static bool replace(struct memmap *map, uint32_t at, uint64_t base, uint64_t end, uint32_t type)
{
    struct boot_mem old = map->entries[at];

    if (end < end_of(&old) && !insert(map, at + 1, end, end_of(&old), old.type))
        return false;
    if (base > old.base) {
        map->entries[at].size = base - old.base;
        return insert(map, at + 1, base, end, type);
    }
    map->entries[at] = (struct boot_mem){.base = base, .size = end - base, .type = type};
    return true;
}

static void merge(struct memmap *map)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < map->count; i++) {
        struct boot_mem *last = kept ? &map->entries[kept - 1] : NULL;

        if (last && last->type == map->entries[i].type && end_of(last) == map->entries[i].base)
            last->size += map->entries[i].size;
        else
            map->entries[kept++] = map->entries[i];
    }
    map->count = kept;
}

/* Base moves up piece by piece: a gap before an entry is filled, an overlap is judged. */
static bool add_pages(struct memmap *map, uint64_t base, uint64_t end, uint32_t type)
{
    for (uint32_t i = 0; i < map->count && base < end; i++) {
        struct boot_mem entry = map->entries[i];
        uint64_t until = MIN(end, base < entry.base ? entry.base : end_of(&entry));

        if (base >= end_of(&entry))
            continue;
        if (base < entry.base && !insert(map, i, base, until, type))
            return false;
        if (base >= entry.base && type > entry.type && !replace(map, i, base, until, type))
            return false;
        base = until;
    }
    return base >= end || insert(map, map->count, base, end, type);
}

bool memmap_add(struct memmap *map, uint64_t base, uint64_t size, enum boot_mem_type type)
{
    if (size == 0 || base >= ADDRESS_LIMIT)
        return true;

    bool inward = type == BOOT_MEM_USABLE;
    uint64_t end = base + MIN(size, ADDRESS_LIMIT - base);
    uint64_t first = inward ? align_up(base, PAGE_SIZE) : align_down(base, PAGE_SIZE);
    uint64_t last = inward ? align_down(end, PAGE_SIZE) : align_up(end, PAGE_SIZE);

    if (!add_pages(map, first, last, type))
        return false;
    merge(map);
    return true;
}

bool memmap_covers(const struct memmap *map, uint64_t base, uint64_t size, enum boot_mem_type type)
{
    for (uint32_t i = 0; i < map->count; i++) {
        const struct boot_mem *entry = &map->entries[i];

        if (entry->type == type && base >= entry->base && base - entry->base < entry->size)
            return size <= entry->size - (base - entry->base);
    }
    return false;
}
