/* SPDX-License-Identifier: MIT */
/*
 * What the firmware's ACPI tables say that a hypervisor wants to know.  Pure: tables are read
 * through a function that maps physical memory, each is checked (signature, length, checksum)
 * before a byte of it counts, and every length inside is bounded by its table.  No AML is executed:
 * `\_S5` is found by a bounded search of the DSDT's bytes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ACPI_MAX_CPUS      256u
#define ACPI_MAX_IOAPICS   16u
#define ACPI_MAX_OVERRIDES 24u
#define ACPI_MAX_TABLE     0x1000000u /* a longer one is taken for damage */

struct acpi_memory {
    void *ctx;
    /* Bytes at a physical address, or a null pointer. */
    const void *(*map)(void *ctx, uint64_t address, uint64_t size);
};

enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI = 2 };

/* A register; address 0: there is none. */
struct acpi_register {
    uint64_t address; /* of ACPI_SPACE_PCI: device << 32 | function << 16 | offset, on bus 0 */
    uint8_t space;
};

struct acpi_ioapic {
    uint32_t address;
    uint32_t gsi_base;
    uint8_t id;
};

/* An ISA interrupt that is not at the pin of its number. */
struct acpi_override {
    uint8_t irq;
    uint32_t gsi;
    bool active_low;
    bool level;
};

struct acpi_cpu {
    uint32_t apic_id;
    bool enabled;
};

struct acpi_info {
    bool found; /* an RSDP and a root table that are sound */
    uint32_t table_count;
    uint32_t damaged_count; /* tables that were passed over */

    /* MADT */
    bool has_madt;
    bool has_8259;
    uint32_t cpu_count, ioapic_count, override_count;
    struct acpi_cpu cpus[ACPI_MAX_CPUS];
    struct acpi_ioapic ioapics[ACPI_MAX_IOAPICS];
    struct acpi_override overrides[ACPI_MAX_OVERRIDES];

    /* FADT */
    bool has_fadt;
    bool hardware_reduced;
    uint16_t smi_command; /* port, 0: always in ACPI mode */
    uint8_t acpi_enable;
    uint8_t century; /* index in the CMOS RAM, 0: none */
    uint8_t reset_value;
    struct acpi_register pm1a_event, pm1a_control, pm1b_control, pm_timer, reset;

    /* DSDT */
    bool has_s5;
    uint8_t s5_type_a, s5_type_b;

    /* HPET */
    uint64_t hpet; /* physical address, 0: none */
};

/* rsdp 0: firmware has none. */
void acpi_parse(const struct acpi_memory *memory, uint64_t rsdp, struct acpi_info *info);

/* The global system interrupt of an ISA one, and how it is signalled. */
struct acpi_override acpi_isa_irq(const struct acpi_info *info, uint8_t irq);
