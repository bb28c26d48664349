/* SPDX-License-Identifier: MIT */
/*
 * Firmware's ACPI tables, whole and damaged: whatever they hold, no byte outside of a mapping is
 * read (the mappings are exact copies on the heap, under the address sanitizer) and nothing
 * unchecked is believed.
 */
#include "drivers/acpi_tables.h"
#include "hv/util.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

/* ---- Physical memory ------------------------------------------------------------------------ */

#define MEMORY_SIZE 0x4000u

static uint8_t memory[MEMORY_SIZE];
static void *mappings[4096];
static unsigned int mapping_count;

/* A copy of its own for each mapping, so that reading past its end is seen. */
static const void *map(void *ctx, uint64_t address, uint64_t size)
{
    if (address >= MEMORY_SIZE || size > MEMORY_SIZE - address ||
        mapping_count == ARRAY_SIZE(mappings))
        return NULL;
    void *copy = malloc(size);
    memcpy(copy, memory + address, size);
    mappings[mapping_count++] = copy;
    return copy;
}

static struct acpi_info info;

static void parse(uint64_t rsdp)
{
    const struct acpi_memory how = {.map = map};

    acpi_parse(&how, rsdp, &info);
    while (mapping_count)
        free(mappings[--mapping_count]);
}

static void put(uint32_t at, unsigned int size, uint64_t value)
{
    memcpy(memory + at, &value, size);
}

static void fix_sum(uint32_t at, uint32_t size, uint32_t sum_at)
{
    uint8_t sum = 0;

    memory[at + sum_at] = 0;
    for (uint32_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + memory[at + i]);
    memory[at + sum_at] = (uint8_t)-sum;
}

static void finish(uint32_t at, const char *signature, uint32_t size)
{
    memcpy(memory + at, signature, 4);
    put(at + 4, 4, size);
    fix_sum(at, size, 9);
}

/* ---- A machine ------------------------------------------------------------------------------ */

#define RSDP 0x0040u
#define XSDT 0x0100u
#define RSDT 0x0180u
#define MADT 0x0200u
#define FADT 0x0400u
#define DSDT 0x0600u
#define HPET 0x0800u
#define JUNK 0x0900u

#define MADT_SIZE (44u + 8 + 8 + 16 + 12 + 10 + 10 + 6)
#define DSDT_SIZE 100u

static void make_madt(void)
{
    static const uint8_t entries[] = {
        0, 8,  0,    0, 1,    0, 0,    0, /* cpu 0 */
        0, 8,  1,    4, 0,    0, 0,    0, /* cpu with apic id 4, disabled */
        9, 16, 0,    0, 0x2c, 1, 0,    0,    1,    0, 0, 0, 2, 0, 0, 0, /* x2apic id 300 */
        1, 12, 7,    0, 0,    0, 0xc0, 0xfe, 0,    0, 0, 0,             /* i/o apic 7 */
        2, 10, 0,    0, 2,    0, 0,    0,    0,    0,                   /* irq 0 -> 2 */
        2, 10, 0,    4, 20,   0, 0,    0,    0x0f, 0, /* irq 4 -> 20, level, low */
        4, 6,  0xff, 0, 0,    1,                      /* local NMI */
    };

    put(MADT + 36, 4, 0xfee00000);
    put(MADT + 40, 4, 1);
    memcpy(memory + MADT + 44, entries, sizeof(entries));
    finish(MADT, "APIC", MADT_SIZE);
}

static void put_gas(uint32_t at, uint8_t space, uint64_t address)
{
    put(at, 1, space);
    put(at + 4, 8, address);
}

static void make_fadt(void)
{
    put(FADT + 40, 4, DSDT);
    put(FADT + 48, 4, 0xb2);
    put(FADT + 52, 1, 0xe1);
    put(FADT + 56, 4, 0x600);
    put(FADT + 64, 4, 0x604);
    put(FADT + 76, 4, 0x608);
    put(FADT + 108, 1, 0x32);
    put(FADT + 112, 4, 1u << 10);
    put_gas(FADT + 116, 1, 0xcf9);
    put(FADT + 128, 1, 0x0f);
    put(FADT + 140, 8, DSDT);
    put_gas(FADT + 172, 1, 0xb004);
    put_gas(FADT + 208, 0, 0);
    finish(FADT, "FACP", 276);
}

/* Something before it that only looks like the name. */
static void make_dsdt(const uint8_t *aml, uint32_t size)
{
    memset(memory + DSDT + 36, 0, DSDT_SIZE - 36);
    memcpy(memory + DSDT + 40, "x_S5_", 5);
    memcpy(memory + DSDT + 50, aml, size);
    finish(DSDT, "DSDT", DSDT_SIZE);
}

static void make_machine(void)
{
    static const uint8_t s5[] = {0x08, '_',  'S',  '5',  '_', 0x12, 0x06,
                                 0x04, 0x0a, 0x05, 0x01, 0,   0};

    memset(memory, 0, sizeof(memory));
    memcpy(memory + RSDP, "RSD PTR ", 8);
    put(RSDP + 15, 1, 2);
    put(RSDP + 16, 4, RSDT);
    put(RSDP + 20, 4, 36);
    put(RSDP + 24, 8, XSDT);
    fix_sum(RSDP, 20, 8);
    fix_sum(RSDP, 36, 32);
    put(XSDT + 36, 8, MADT);
    put(XSDT + 44, 8, FADT);
    put(XSDT + 52, 8, HPET);
    put(XSDT + 60, 8, 0xffffffffffff0000); /* nowhere */
    finish(XSDT, "XSDT", 68);
    put(RSDT + 36, 4, FADT);
    finish(RSDT, "RSDT", 40);
    make_madt();
    make_fadt();
    make_dsdt(s5, sizeof(s5));
    put_gas(HPET + 40, 0, 0xfed00000);
    finish(HPET, "HPET", 56);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_whole(void)
{
    make_machine();
    parse(RSDP);
    CHECK(info.found && info.table_count == 3 && info.damaged_count == 1,
          "three tables are found, one that lies nowhere is counted");
    CHECK(info.cpu_count == 3 && info.cpus[0].enabled && !info.cpus[1].enabled &&
              info.cpus[1].apic_id == 4 && info.cpus[2].apic_id == 300,
          "the cpus of the MADT, by both kinds of entry");
    CHECK(info.ioapic_count == 1 && info.ioapics[0].address == 0xfec00000 &&
              info.ioapics[0].id == 7 && info.has_8259,
          "its i/o apic, and the 8259");
    struct acpi_override four = acpi_isa_irq(&info, 4), zero = acpi_isa_irq(&info, 0);
    CHECK(four.gsi == 20 && four.level && four.active_low && zero.gsi == 2 && !zero.level &&
              !zero.active_low && acpi_isa_irq(&info, 8).gsi == 8,
          "its overrides, and the rest as they are");
    CHECK(info.smi_command == 0xb2 && info.acpi_enable == 0xe1 && info.century == 0x32 &&
              info.pm1a_control.address == 0xb004 && info.pm1a_event.address == 0x600 &&
              info.pm_timer.address == 0x608 && !info.pm1b_control.address,
          "the FADT's registers, the 64-bit form first");
    CHECK(info.reset.address == 0xcf9 && info.reset.space == ACPI_SPACE_IO &&
              info.reset_value == 0x0f,
          "its reset register");
    CHECK(info.has_s5 && info.s5_type_a == 5 && info.s5_type_b == 1, "\\_S5 of the DSDT");
    CHECK(info.hpet == 0xfed00000, "the HPET");
}

static void test_rsdp(void)
{
    parse(0);
    CHECK(!info.found && info.cpu_count == 0, "no RSDP: nothing");
    make_machine();
    memory[RSDP + 3] ^= 1;
    parse(RSDP);
    CHECK(!info.found, "a wrong signature");
    make_machine();
    memory[RSDP + 10] ^= 1;
    parse(RSDP);
    CHECK(!info.found, "a wrong checksum");
    make_machine();
    memory[RSDP + 25] ^= 0x40;
    parse(RSDP);
    CHECK(info.found && !info.has_madt && info.has_fadt, "a damaged second part: the RSDT serves");
    make_machine();
    memory[XSDT + 40] ^= 1;
    parse(RSDP);
    CHECK(info.found && !info.has_madt && info.has_fadt, "a damaged XSDT: likewise");
    parse(MEMORY_SIZE - 4);
    CHECK(!info.found, "at the end of memory");
}

static void test_tables(void)
{
    make_machine();
    memory[MADT + 50] ^= 1;
    parse(RSDP);
    CHECK(info.found && !info.has_madt && info.has_fadt && info.damaged_count == 2,
          "a damaged MADT is passed over, the rest counts");
    make_machine();
    put(FADT + 4, 4, 0xffffff00);
    parse(RSDP);
    CHECK(!info.has_fadt && info.has_madt, "a length beyond reason");
    make_machine();
    finish(FADT, "FACP", 116);
    parse(RSDP);
    CHECK(info.has_fadt && info.pm1a_control.address == 0x604 && !info.reset.address && info.has_s5,
          "a FADT of the first revision has the ports only");
    make_machine();
    memory[MADT + 44 + 1] = 0;
    fix_sum(MADT, MADT_SIZE, 9);
    parse(RSDP);
    CHECK(info.has_madt && info.cpu_count == 0, "an entry of length 0 ends the MADT");
    make_machine();
    memory[MADT + 44 + 8 + 1] = 255;
    fix_sum(MADT, MADT_SIZE, 9);
    parse(RSDP);
    CHECK(info.cpu_count == 1, "as does one that is longer than the rest");
}

static void test_s5(void)
{
    static const uint8_t rooted[] = {0x08, '\\', '_',  'S',  '5', '_', 0x12,
                                     0x08, 0x04, 0x00, 0x0b, 7,   0};
    static const uint8_t too_big[] = {0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x0a, 0x55, 0x01};
    static const uint8_t method[] = {0x14, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x0a, 0x05, 0x01};

    make_machine();
    make_dsdt(rooted, sizeof(rooted));
    parse(RSDP);
    CHECK(info.has_s5 && info.s5_type_a == 0 && info.s5_type_b == 7, "rooted, with other integers");
    make_dsdt(too_big, sizeof(too_big));
    parse(RSDP);
    CHECK(!info.has_s5, "a value that is no sleep type");
    make_dsdt(method, sizeof(method));
    parse(RSDP);
    CHECK(!info.has_s5, "something else of that name");
    make_dsdt(rooted, 0);
    memcpy(memory + DSDT + DSDT_SIZE - 9, "\x08_S5_\x12\xff\xff\xff", 9);
    finish(DSDT, "DSDT", DSDT_SIZE);
    parse(RSDP);
    CHECK(!info.has_s5, "cut off by the table's end");
}

/* A fix of the checksums lets the damage get as deep as it can. */
static void damage(unsigned int bytes)
{
    static const uint32_t tables[] = {XSDT, RSDT, MADT, FADT, DSDT, HPET};

    make_machine();
    while (bytes--)
        memory[RSDP + (uint32_t)rand() % (JUNK - RSDP)] = (uint8_t)rand();
    for (unsigned int i = 0; i < ARRAY_SIZE(tables); i++) {
        uint32_t size;
        memcpy(&size, memory + tables[i] + 4, 4);
        if (size >= 36 && size <= MEMORY_SIZE - tables[i])
            fix_sum(tables[i], size, 9);
    }
    memcpy(memory + RSDP, "RSD PTR ", 8);
    fix_sum(RSDP, 20, 8);
    fix_sum(RSDP, 36, 32);
}

static void test_damage(void)
{
    bool ok = true;

    srand(5);
    for (int i = 0; i < 20000; i++) {
        damage(1 + (unsigned int)rand() % 30);
        parse(RSDP);
        ok = ok && info.cpu_count <= ACPI_MAX_CPUS && info.ioapic_count <= ACPI_MAX_IOAPICS &&
             info.override_count <= ACPI_MAX_OVERRIDES && info.s5_type_a < 8;
    }
    CHECK(ok, "20000 damaged sets of tables");
}

int main(void)
{
    test_whole();
    test_rsdp();
    test_tables();
    test_s5();
    test_damage();
    return check_done();
}
