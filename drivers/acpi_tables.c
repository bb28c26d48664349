/* SPDX-License-Identifier: MIT */
/* Reading the firmware's ACPI tables; see the header for what is believed and what is not. */
#include "drivers/acpi_tables.h"

#include "hv/string.h"
#include "hv/util.h"

#include <stddef.h>

/* ---- Layouts, by the ACPI specification ----------------------------------------------------- */

#define RSDP_V1_SIZE  20u
#define RSDP_RSDT     16u
#define RSDP_REVISION 15u
#define RSDP_LENGTH   20u
#define RSDP_XSDT     24u
#define RSDP_MAX_SIZE 64u

#define HEADER_LENGTH 4u
#define HEADER_SIZE   36u
#define MAX_TABLES    256u

#define MADT_FLAGS        40u
#define MADT_ENTRIES      44u
#define MADT_LAPIC        0u
#define MADT_IOAPIC       1u
#define MADT_OVERRIDE     2u
#define MADT_X2APIC       9u
#define MADT_CPU_ENABLED  1u
#define MADT_PCAT_COMPAT  1u
#define MPS_POLARITY_LOW  3u
#define MPS_TRIGGER_LEVEL 3u

#define FADT_DSDT          40u
#define FADT_SMI_CMD       48u
#define FADT_ACPI_ENABLE   52u
#define FADT_PM1A_EVT      56u
#define FADT_PM1A_CNT      64u
#define FADT_PM1B_CNT      68u
#define FADT_PM_TMR        76u
#define FADT_CENTURY       108u
#define FADT_FLAGS         112u
#define FADT_RESET_REG     116u
#define FADT_RESET_VALUE   128u
#define FADT_X_DSDT        140u
#define FADT_X_PM1A_EVT    148u
#define FADT_X_PM1A_CNT    172u
#define FADT_X_PM1B_CNT    184u
#define FADT_X_PM_TMR      208u
#define FADT_RESET_SUPPORT BIT(10)
#define FADT_HW_REDUCED    BIT(20)
#define GAS_ADDRESS        4u
#define HPET_ADDRESS       40u

/* A table that was mapped and found sound. */
struct table {
    const uint8_t *bytes;
    uint32_t size;
};

/* Little-endian and unaligned; past the end reads 0, as a field that an older table does not have.
 */
static uint64_t get(const struct table *table, uint32_t offset, uint32_t size)
{
    uint64_t value = 0;

    if (offset > table->size || size > table->size - offset)
        return 0;
    memcpy(&value, table->bytes + offset, size);
    return value;
}

static bool sums_to_zero(const uint8_t *bytes, uint32_t size)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return sum == 0;
}

static bool map_table(const struct acpi_memory *memory, uint64_t address, struct table *table)
{
    const uint8_t *header = address ? memory->map(memory->ctx, address, HEADER_SIZE) : NULL;
    uint32_t size;

    if (!header)
        return false;
    memcpy(&size, header + HEADER_LENGTH, sizeof(size));
    if (size < HEADER_SIZE || size > ACPI_MAX_TABLE)
        return false;
    table->bytes = memory->map(memory->ctx, address, size);
    table->size = size;
    return table->bytes && sums_to_zero(table->bytes, size);
}

static bool has_signature(const struct table *table, const char *signature)
{
    return memcmp(table->bytes, signature, 4) == 0;
}

/* ---- MADT ----------------------------------------------------------------------------------- */

static void add_cpu(struct acpi_info *info, uint32_t apic_id, uint32_t flags)
{
    if (info->cpu_count < ACPI_MAX_CPUS)
        info->cpus[info->cpu_count++] =
            (struct acpi_cpu){.apic_id = apic_id, .enabled = flags & MADT_CPU_ENABLED};
}

static void add_ioapic(struct acpi_info *info, const struct table *entry)
{
    if (info->ioapic_count < ACPI_MAX_IOAPICS)
        info->ioapics[info->ioapic_count++] = (struct acpi_ioapic){
            .id = (uint8_t)get(entry, 2, 1),
            .address = (uint32_t)get(entry, 4, 4),
            .gsi_base = (uint32_t)get(entry, 8, 4),
        };
}

static void add_override(struct acpi_info *info, const struct table *entry)
{
    uint32_t flags = (uint32_t)get(entry, 8, 2);

    if (info->override_count < ACPI_MAX_OVERRIDES)
        info->overrides[info->override_count++] = (struct acpi_override){
            .irq = (uint8_t)get(entry, 3, 1),
            .gsi = (uint32_t)get(entry, 4, 4),
            .active_low = (flags & 3) == MPS_POLARITY_LOW,
            .level = (flags >> 2 & 3) == MPS_TRIGGER_LEVEL,
        };
}

static void parse_madt_entry(struct acpi_info *info, const struct table *entry)
{
    switch (entry->bytes[0]) {
    case MADT_LAPIC:
        if (entry->size >= 8)
            add_cpu(info, (uint32_t)get(entry, 3, 1), (uint32_t)get(entry, 4, 4));
        break;
    case MADT_X2APIC:
        if (entry->size >= 16)
            add_cpu(info, (uint32_t)get(entry, 4, 4), (uint32_t)get(entry, 8, 4));
        break;
    case MADT_IOAPIC:
        if (entry->size >= 12)
            add_ioapic(info, entry);
        break;
    case MADT_OVERRIDE:
        if (entry->size >= 10)
            add_override(info, entry);
        break;
    default:
        break;
    }
}

static void parse_madt(struct acpi_info *info, const struct table *madt)
{
    uint32_t at = MADT_ENTRIES;

    info->has_madt = true;
    info->has_8259 = get(madt, MADT_FLAGS, 4) & MADT_PCAT_COMPAT;
    while (madt->size >= 2 && at <= madt->size - 2) {
        struct table entry = {.bytes = madt->bytes + at, .size = madt->bytes[at + 1]};
        if (entry.size < 2 || entry.size > madt->size - at)
            return;
        parse_madt_entry(info, &entry);
        at += entry.size;
    }
}

/* ---- FADT and DSDT -------------------------------------------------------------------------- */

static struct acpi_register get_gas(const struct table *fadt, uint32_t offset)
{
    return (struct acpi_register){
        .space = (uint8_t)get(fadt, offset, 1),
        .address = get(fadt, offset + GAS_ADDRESS, 8),
    };
}

/* The 64-bit form where the table has it, else the port of the first ACPI. */
static struct acpi_register get_register(const struct table *fadt, uint32_t extended,
                                         uint32_t legacy)
{
    struct acpi_register reg = get_gas(fadt, extended);

    if (!reg.address || reg.space > ACPI_SPACE_IO)
        reg = (struct acpi_register){.space = ACPI_SPACE_IO, .address = get(fadt, legacy, 4)};
    if (reg.space == ACPI_SPACE_IO && reg.address > 0xffff)
        reg.address = 0;
    return reg;
}

/* ByteConst, ZeroOp, OneOp or a DWord and its kin as AML writes small integers; false: none of
 * them. */
static bool get_integer(const struct table *aml, uint32_t *at, uint8_t *value)
{
    uint32_t op = (uint32_t)get(aml, *at, 1);
    uint32_t extra = op == 0x0a ? 1 : op == 0x0b ? 2 : op == 0x0c ? 4 : op == 0x0e ? 8 : 0;

    if (*at >= aml->size || (!extra && op > 1))
        return false;
    *value = (uint8_t)(extra ? get(aml, *at + 1, 1) : op);
    *at += 1 + extra;
    return true;
}

/* Behind NameOp "_S5_": PackageOp, PkgLength (1 to 4 bytes), the number of elements, the elements.
 */
static bool parse_s5(struct acpi_info *info, const struct table *aml, uint32_t at)
{
    uint8_t a, b;

    if (get(aml, at, 1) != 0x12)
        return false;
    at += 2 + (uint32_t)(get(aml, at + 1, 1) >> 6);
    if (get(aml, at, 1) < 2)
        return false;
    at++;
    if (!get_integer(aml, &at, &a) || !get_integer(aml, &at, &b) || a > 7 || b > 7)
        return false;
    info->s5_type_a = a;
    info->s5_type_b = b;
    return true;
}

static void find_s5(struct acpi_info *info, const struct table *dsdt)
{
    for (uint32_t at = HEADER_SIZE + 1; dsdt->size >= 8 && at < dsdt->size - 8 && !info->has_s5;
         at++) {
        const uint8_t *name = dsdt->bytes + at;
        bool named = name[-1] == 0x08 || (name[-1] == '\\' && name[-2] == 0x08);
        if (named && memcmp(name, "_S5_", 4) == 0)
            info->has_s5 = parse_s5(info, dsdt, at + 4);
    }
}

static void parse_fadt(const struct acpi_memory *memory, struct acpi_info *info,
                       const struct table *fadt)
{
    uint64_t flags = get(fadt, FADT_FLAGS, 4);
    uint64_t dsdt_address = get(fadt, FADT_X_DSDT, 8);
    struct table dsdt;

    info->has_fadt = true;
    info->hardware_reduced = flags & FADT_HW_REDUCED;
    info->smi_command = (uint16_t)get(fadt, FADT_SMI_CMD, 2);
    info->acpi_enable = (uint8_t)get(fadt, FADT_ACPI_ENABLE, 1);
    info->century = (uint8_t)(get(fadt, FADT_CENTURY, 1) & 0x7f);
    info->pm1a_event = get_register(fadt, FADT_X_PM1A_EVT, FADT_PM1A_EVT);
    info->pm1a_control = get_register(fadt, FADT_X_PM1A_CNT, FADT_PM1A_CNT);
    info->pm1b_control = get_register(fadt, FADT_X_PM1B_CNT, FADT_PM1B_CNT);
    info->pm_timer = get_register(fadt, FADT_X_PM_TMR, FADT_PM_TMR);
    if (flags & FADT_RESET_SUPPORT) {
        info->reset = get_gas(fadt, FADT_RESET_REG);
        info->reset_value = (uint8_t)get(fadt, FADT_RESET_VALUE, 1);
    }
    if (!dsdt_address)
        dsdt_address = get(fadt, FADT_DSDT, 4);
    if (map_table(memory, dsdt_address, &dsdt) && has_signature(&dsdt, "DSDT"))
        find_s5(info, &dsdt);
    else
        info->damaged_count++;
}

/* ---- The root ------------------------------------------------------------------------------- */

static void parse_table(const struct acpi_memory *memory, struct acpi_info *info, uint64_t address)
{
    struct table table;

    if (!map_table(memory, address, &table)) {
        info->damaged_count++;
        return;
    }
    info->table_count++;
    if (has_signature(&table, "APIC") && !info->has_madt)
        parse_madt(info, &table);
    else if (has_signature(&table, "FACP") && !info->has_fadt)
        parse_fadt(memory, info, &table);
    else if (has_signature(&table, "HPET") && get(&table, HPET_ADDRESS, 1) == ACPI_SPACE_MEMORY)
        info->hpet = get(&table, HPET_ADDRESS + GAS_ADDRESS, 8);
}

static bool parse_root(const struct acpi_memory *memory, struct acpi_info *info, uint64_t address,
                       const char *signature, uint32_t entry_size)
{
    struct table root;

    if (!map_table(memory, address, &root) || !has_signature(&root, signature))
        return false;
    uint32_t end = MIN(root.size, HEADER_SIZE + MAX_TABLES * entry_size);
    for (uint32_t at = HEADER_SIZE; at + entry_size <= end; at += entry_size)
        parse_table(memory, info, get(&root, at, entry_size));
    return true;
}

/* The RSDP's checked part as a table; size 0: damaged. */
static struct table map_rsdp(const struct acpi_memory *memory, uint64_t address)
{
    struct table rsdp = {.bytes = memory->map(memory->ctx, address, RSDP_V1_SIZE)};

    if (!rsdp.bytes || memcmp(rsdp.bytes, "RSD PTR ", 8) != 0 ||
        !sums_to_zero(rsdp.bytes, RSDP_V1_SIZE))
        return rsdp;
    rsdp.size = RSDP_V1_SIZE;
    if (rsdp.bytes[RSDP_REVISION] < 2)
        return rsdp;
    const uint8_t *whole = memory->map(memory->ctx, address, RSDP_XSDT + 8);
    uint32_t length = 0;
    if (whole)
        memcpy(&length, whole + RSDP_LENGTH, sizeof(length));
    if (length < RSDP_XSDT + 8 || length > RSDP_MAX_SIZE)
        return rsdp;
    whole = memory->map(memory->ctx, address, length);
    if (whole && sums_to_zero(whole, length))
        rsdp = (struct table){.bytes = whole, .size = length};
    return rsdp;
}

void acpi_parse(const struct acpi_memory *memory, uint64_t rsdp_address, struct acpi_info *info)
{
    memset(info, 0, sizeof(*info));
    if (!rsdp_address)
        return;
    struct table rsdp = map_rsdp(memory, rsdp_address);
    if (!rsdp.size)
        return;
    uint64_t xsdt = get(&rsdp, RSDP_XSDT, 8), rsdt = get(&rsdp, RSDP_RSDT, 4);
    info->found = (xsdt && parse_root(memory, info, xsdt, "XSDT", 8)) ||
                  (rsdt && parse_root(memory, info, rsdt, "RSDT", 4));
}

struct acpi_override acpi_isa_irq(const struct acpi_info *info, uint8_t irq)
{
    for (uint32_t i = 0; i < info->override_count; i++)
        if (info->overrides[i].irq == irq)
            return info->overrides[i];
    return (struct acpi_override){.irq = irq, .gsi = irq};
}
