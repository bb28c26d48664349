/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory map for a given memory size, as the one list that all others are made from.
 * It allocates and maps nothing: that is the VM's.
 */
#include "hv/layout.h"

#include "hv/util.h"

#define CMOS_BASE_KIB     0x15 /* KiB below 640 KiB, 16 bits, low byte first, like all that follow */
#define CMOS_EXTENDED_KIB 0x17 /* KiB above 1 MiB, at most 0xffff; again at 0x30 */
#define CMOS_EXTENDED_2   0x30
#define CMOS_ABOVE_16M    0x34 /* 64 KiB above 16 MiB and below 4 GiB */
#define CMOS_ABOVE_4G     0x5b /* 64 KiB above 4 GiB, 24 bits */

/* Where each range begins and ends; RAM is cut to the size of the memory. */
static const struct layout_range low_ranges[] = {
    {0, LAYOUT_BASE_MEMORY_END, LAYOUT_RAM},
    {LAYOUT_ACPI_BASE, LAYOUT_ACPI_SIZE, LAYOUT_ACPI},
    {LAYOUT_EXTENDED_BASE, LAYOUT_LOW_RAM_END - LAYOUT_EXTENDED_BASE, LAYOUT_RAM},
    {LAYOUT_ECAM_BASE, LAYOUT_ECAM_SIZE, LAYOUT_RESERVED},
    {LAYOUT_IOAPIC_BASE, LAYOUT_IOAPIC_SIZE, LAYOUT_RESERVED},
    {LAYOUT_LAPIC_BASE, LAYOUT_LAPIC_SIZE, LAYOUT_RESERVED},
};

STATIC_ASSERT(ARRAY_SIZE(low_ranges) < LAYOUT_MAX_RANGES, "the map has room for the high range");
STATIC_ASSERT(LAYOUT_ACPI_BASE + LAYOUT_ACPI_SIZE == LAYOUT_EXTENDED_BASE, "tables end at 1 MiB");
STATIC_ASSERT(LAYOUT_LOW_RAM_END <= LAYOUT_PCI_BASE, "RAM ends before the PCI window");
STATIC_ASSERT(LAYOUT_PCI_BASE + LAYOUT_PCI_SIZE == LAYOUT_ECAM_BASE, "ECAM follows the PCI window");

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

static void put_cmos(uint8_t *at, uint64_t value, unsigned int bytes)
{
    uint64_t limit = (1ull << (8 * bytes)) - 1;

    value = MIN(value, limit);
    for (unsigned int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

void layout_fill_cmos(uint64_t memory_size, uint8_t cmos[128])
{
    uint64_t low = layout_low_size(memory_size), high = layout_high_size(memory_size);

    put_cmos(&cmos[CMOS_BASE_KIB], LAYOUT_BASE_MEMORY_END / KIB(1), 2);
    put_cmos(&cmos[CMOS_EXTENDED_KIB], (low - MIB(1)) / KIB(1), 2);
    put_cmos(&cmos[CMOS_EXTENDED_2], (low - MIB(1)) / KIB(1), 2);
    put_cmos(&cmos[CMOS_ABOVE_16M], low > MIB(16) ? (low - MIB(16)) / KIB(64) : 0, 2);
    put_cmos(&cmos[CMOS_ABOVE_4G], high / KIB(64), 3);
}
