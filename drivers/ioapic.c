/* SPDX-License-Identifier: MIT */
/* The physical I/O APICs. */
#include "drivers/ioapic.h"

#include "arch/x86/paging.h"
#include "arch/x86/regs.h"
#include "hv/util.h"

#define IOAPIC_CUSTOMARY 0xfec00000u
#define IOAPIC_SELECT    0x00u
#define IOAPIC_WINDOW    0x10u

#define REG_VERSION   0x01u
#define REG_LOW(pin)  (0x10u + 2 * (pin))
#define REG_HIGH(pin) (0x11u + 2 * (pin))
#define ENTRY_LOW     (1u << 13) /* active low */
#define ENTRY_LEVEL   (1u << 15)
#define ENTRY_MASKED  (1u << 16)
#define MAX_PINS      240u
#define MAX_APIC_ID   254u

struct ioapic {
    volatile uint8_t *registers;
    uint32_t gsi_base;
    uint32_t pins;
};

static struct ioapic ioapics[ACPI_MAX_IOAPICS];
static unsigned int ioapic_count;

static uint32_t read(const struct ioapic *ioapic, uint32_t reg)
{
    mmio_write32(ioapic->registers + IOAPIC_SELECT, reg);
    return mmio_read32(ioapic->registers + IOAPIC_WINDOW);
}

static void write(const struct ioapic *ioapic, uint32_t reg, uint32_t value)
{
    mmio_write32(ioapic->registers + IOAPIC_SELECT, reg);
    mmio_write32(ioapic->registers + IOAPIC_WINDOW, value);
}

/* A version register of all zeros or ones is empty space. */
static void add(uint32_t address, uint32_t gsi_base)
{
    struct ioapic *ioapic = &ioapics[ioapic_count];
    uint32_t version;

    ioapic->registers = paging_map_mmio(HPA(address), PAGE_SIZE);
    ioapic->gsi_base = gsi_base;
    version = read(ioapic, REG_VERSION);
    if (version == 0 || version == UINT32_MAX)
        return;
    ioapic->pins = (uint32_t)BITS(version, 23, 16) + 1;
    if (ioapic->pins > MAX_PINS)
        return;
    for (uint32_t pin = 0; pin < ioapic->pins; pin++)
        write(ioapic, REG_LOW(pin), ENTRY_MASKED);
    ioapic_count++;
}

unsigned int ioapic_init(const struct acpi_info *info)
{
    unsigned int pins = 0;

    ioapic_count = 0;
    for (uint32_t i = 0; i < info->ioapic_count; i++)
        add(info->ioapics[i].address, info->ioapics[i].gsi_base);
    if (!info->has_madt)
        add(IOAPIC_CUSTOMARY, 0);
    for (unsigned int i = 0; i < ioapic_count; i++)
        pins += ioapics[i].pins;
    return pins;
}

bool ioapic_route_isa(const struct acpi_info *info, uint8_t irq, uint8_t vector, uint32_t apic_id)
{
    struct acpi_override source = acpi_isa_irq(info, irq);

    if (apic_id > MAX_APIC_ID)
        return false;
    for (unsigned int i = 0; i < ioapic_count; i++) {
        uint32_t pin = source.gsi - ioapics[i].gsi_base;
        if (source.gsi < ioapics[i].gsi_base || pin >= ioapics[i].pins)
            continue;
        write(&ioapics[i], REG_HIGH(pin), apic_id << 24);
        write(&ioapics[i], REG_LOW(pin),
              vector | (source.active_low ? ENTRY_LOW : 0) | (source.level ? ENTRY_LEVEL : 0));
        return true;
    }
    return false;
}
