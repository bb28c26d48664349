/* SPDX-License-Identifier: MIT */
/* The machine's ACPI registers: power-off and reset.  What the tables say, acpi_tables.c reads. */
#include "drivers/acpi.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/paging.h"
#include "arch/x86/regs.h"
#include "arch/x86/tsc.h"
#include "drivers/pci.h"
#include "hv/util.h"

#define PM1_SCI_EN        BIT(0)
#define PM1_SLP_TYP(type) ((uint32_t)(type) << 10)
#define PM1_SLP_TYP_MASK  (7u << 10)
#define PM1_SLP_EN        (1u << 13)
#define ENABLE_TIMEOUT_MS 3000u
#define LEAVE_TIMEOUT_US  1000000u

static struct acpi_info info;

/* Registers in memory are mapped at start-up, for nothing is mapped later. */
static volatile uint32_t *pm1a_mapped, *pm1b_mapped;
static volatile uint8_t *reset_mapped;

static const void *map(void *ctx, uint64_t address, uint64_t size)
{
    uint64_t end = 1ull << MIN(host_cpuid.physical_bits, 52u);

    if (address >= end || size > end - address)
        return NULL;
    return paging_map_firmware(HPA(address), size);
}

static void *map_register(const struct acpi_register *reg)
{
    if (!reg->address || reg->space != ACPI_SPACE_MEMORY)
        return NULL;
    return map(NULL, reg->address, 4) ? paging_map_mmio(HPA(reg->address), 4) : NULL;
}

void acpi_init(uint64_t rsdp)
{
    const struct acpi_memory memory = {.map = map};

    acpi_parse(&memory, rsdp, &info);
    pm1a_mapped = map_register(&info.pm1a_control);
    pm1b_mapped = map_register(&info.pm1b_control);
    reset_mapped = map_register(&info.reset);
}

const struct acpi_info *acpi_info(void)
{
    return &info;
}

uint16_t acpi_pm_timer_port(void)
{
    return info.pm_timer.space == ACPI_SPACE_IO ? (uint16_t)info.pm_timer.address : 0;
}

static uint32_t read_control(const struct acpi_register *reg, volatile uint32_t *mapped)
{
    if (mapped)
        return *mapped;
    return reg->space == ACPI_SPACE_IO ? inw((uint16_t)reg->address) : 0;
}

static void write_control(const struct acpi_register *reg, volatile uint32_t *mapped,
                          uint32_t value)
{
    if (mapped)
        *mapped = value;
    else if (reg->address && reg->space == ACPI_SPACE_IO)
        outw((uint16_t)reg->address, (uint16_t)value);
}

/* Firmware leaves the machine in legacy mode where that exists; sleeping works in ACPI mode only.
 */
static void enter_acpi_mode(void)
{
    if (!info.smi_command || !info.acpi_enable)
        return;
    if (read_control(&info.pm1a_control, pm1a_mapped) & PM1_SCI_EN)
        return;
    outb(info.smi_command, info.acpi_enable);
    for (unsigned int i = 0; i < ENABLE_TIMEOUT_MS; i++) {
        if (read_control(&info.pm1a_control, pm1a_mapped) & PM1_SCI_EN)
            return;
        delay_us(1000);
    }
}

static void sleep(const struct acpi_register *reg, volatile uint32_t *mapped, uint8_t type)
{
    uint32_t control;

    if (!reg->address)
        return;
    control = (read_control(reg, mapped) & ~(PM1_SLP_TYP_MASK | PM1_SLP_EN)) | PM1_SLP_TYP(type);
    write_control(reg, mapped, control);
    write_control(reg, mapped, control | PM1_SLP_EN);
}

void acpi_power_off(void)
{
    if (!info.has_s5 || info.hardware_reduced || !info.pm1a_control.address)
        return;
    enter_acpi_mode();
    sleep(&info.pm1a_control, pm1a_mapped, info.s5_type_a);
    sleep(&info.pm1b_control, pm1b_mapped, info.s5_type_b);
    delay_us(LEAVE_TIMEOUT_US);
}

void acpi_reset(void)
{
    const struct acpi_register *reg = &info.reset;

    if (!reg->address)
        return;
    if (reset_mapped)
        *reset_mapped = info.reset_value;
    else if (reg->space == ACPI_SPACE_IO && reg->address <= 0xffff)
        outb((uint16_t)reg->address, info.reset_value);
    else if (reg->space == ACPI_SPACE_PCI)
        pci_write8(0, (uint8_t)BITS(reg->address, 36, 32), (uint8_t)BITS(reg->address, 18, 16),
                   (uint8_t)reg->address, info.reset_value);
    delay_us(100000);
}
