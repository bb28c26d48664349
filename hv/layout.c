/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory map for a given memory size, as the one list that all others are made from.
 * It allocates and maps nothing: that is the VM's.
 */
#include "hv/layout.h"

#include "hv/util.h"

/* Where each range begins and ends; RAM is cut to the size of the memory. */
static const struct layout_range low_ranges[] = {
    {0, LAYOUT_BASE_MEMORY_END, LAYOUT_RAM},
    {LAYOUT_ROM_BASE, LAYOUT_EXTENDED_BASE - LAYOUT_ROM_BASE, LAYOUT_ACPI},
    {LAYOUT_EXTENDED_BASE, LAYOUT_LOW_RAM_END - LAYOUT_EXTENDED_BASE, LAYOUT_RAM},
    {LAYOUT_ECAM_BASE, LAYOUT_ECAM_SIZE, LAYOUT_RESERVED},
    {LAYOUT_IOAPIC_BASE, LAYOUT_IOAPIC_SIZE, LAYOUT_RESERVED},
    {LAYOUT_LAPIC_BASE, LAYOUT_LAPIC_SIZE, LAYOUT_RESERVED},
};

STATIC_ASSERT(ARRAY_SIZE(low_ranges) < LAYOUT_MAX_RANGES, "the map has room for the high range");
STATIC_ASSERT(LAYOUT_ACPI_BASE + LAYOUT_ACPI_SIZE == LAYOUT_EXTENDED_BASE, "tables end at 1 MiB");
STATIC_ASSERT(LAYOUT_LOW_RAM_END <= LAYOUT_PCI_BASE, "RAM ends before the PCI window");
STATIC_ASSERT(LAYOUT_PCI_BASE + LAYOUT_PCI_SIZE == LAYOUT_ECAM_BASE, "ECAM follows the PCI window");
STATIC_ASSERT(LAYOUT_LAST_BUS == LAYOUT_BUSES - 1, "buses are counted from 0");
STATIC_ASSERT(LAYOUT_PCI_END == LAYOUT_ECAM_BASE - 1, "the window's last byte");

uint64_t layout_low_size(uint64_t memory_size)
{
    return MIN(memory_size, LAYOUT_LOW_RAM_END);
}

uint64_t layout_high_size(uint64_t memory_size)
{
    return memory_size - layout_low_size(memory_size);
}

void layout_make(uint64_t memory_size, struct layout_map *map)
{
    uint64_t low = layout_low_size(memory_size), high = layout_high_size(memory_size);

    map->count = 0;
    for (unsigned int i = 0; i < ARRAY_SIZE(low_ranges); i++) {
        struct layout_range range = low_ranges[i];

        if (range.type == LAYOUT_RAM)
            range.size = MIN(range.base + range.size, low) - range.base;
        map->ranges[map->count++] = range;
    }
    if (high != 0)
        map->ranges[map->count++] = (struct layout_range){LAYOUT_HIGH_BASE, high, LAYOUT_RAM};
}

uint32_t layout_e820_type(enum layout_type type)
{
    return type == LAYOUT_RAM ? 1 : 2;
}

bool layout_is_ram(const struct layout_map *map, uint64_t base, uint64_t size)
{
    for (unsigned int i = 0; i < map->count; i++) {
        const struct layout_range *range = &map->ranges[i];

        if (range->type == LAYOUT_RAM && base >= range->base && base - range->base <= range->size &&
            size <= range->size - (base - range->base))
            return true;
    }
    return false;
}
