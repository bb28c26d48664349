/* SPDX-License-Identifier: MIT */
/* Starting CPUs, stopping them by INIT, and what they are told of themselves.  How many there are
 * is in the MADT. */
#include "guest-stubs/smp/cpus.h"

struct __attribute__((packed)) acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t rest[28];
};

struct __attribute__((packed)) madt_entry {
    uint8_t type, length, processor, apic_id;
    uint32_t flags;
};

static const struct acpi_header *find_table(const char *signature)
{
    const uint64_t xsdt_address = *(const uint64_t *)((uint64_t)START_RSDP + 24);
    const struct acpi_header *xsdt = (const struct acpi_header *)xsdt_address;
    const uint64_t *tables = (const uint64_t *)(xsdt + 1);

    for (unsigned int i = 0; i < (xsdt->length - sizeof(*xsdt)) / 8; i++) {
        uint64_t address;

        memcpy(&address, &tables[i], sizeof(address)); /* the XSDT aligns nothing */
        if (memcmp((const void *)address, signature, 4) == 0)
            return (const struct acpi_header *)address;
    }
    return 0;
}

/* Local APICs that are enabled. */
static unsigned int count_in_madt(void)
{
    const struct acpi_header *madt = find_table("APIC");
    unsigned int found = 0;

    if (!madt)
        return 0;
    for (uint32_t at = sizeof(*madt) + 8; at < madt->length;) {
        const struct madt_entry *entry = (const void *)((uint64_t)madt + at);

        found += entry->type == 0 && (entry->flags & 1);
        at += entry->length;
    }
    return found;
}

static void check_identity(unsigned int cpu)
{
    check(cpus[cpu].apic_id == cpu && cpus[cpu].topology_id == cpu,
          "cpu %u: CPUID gives its APIC id in leaf 1 and leaf 0Bh", cpu);
}

static unsigned int logical_cpus(void)
{
    if (cpuid(0, 0).eax >= 0xb)
        return cpuid(0xb, 1).ebx & 0xffff;
    return cpuid(1, 0).ebx >> 16 & 0xff;
}

/* ---- INIT ------------------------------------------------------------------------------------ */

static volatile uint64_t beats;

static void beat(void)
{
    for (;;)
        beats++;
}

static uint64_t beats_in(unsigned int ms)
{
    uint64_t before = beats;

    wait_ms(ms);
    return beats - before;
}

static void check_init(unsigned int cpu)
{
    unsigned int arrivals;

    start_job(cpu, beat);
    check(beats_in(100) > 0, "cpu %u runs", cpu);
    arrivals = cpus[cpu].arrivals;
    ipi(cpu, ICR_STARTUP | ICR_ASSERT | 0x71);
    check(beats_in(100) > 0 && cpus[cpu].arrivals == arrivals,
          "a start-up IPI to a CPU that runs is ignored");
    ipi(cpu, ICR_INIT | ICR_ASSERT);
    wait_ms(50);
    check_equal(beats_in(50), 0, "an INIT stops it");
    ipi(cpu, VEC_IPI | ICR_ASSERT);
    ipi(cpu, ICR_NMI | ICR_ASSERT);
    check_equal(beats_in(20), 0, "neither an interrupt nor an NMI starts it");
    check(start_cpu(cpu), "a start-up IPI does");
}

/* However many INITs come, the CPU starts when it is told to. */
static void check_init_storm(unsigned int cpu)
{
    bool started = true;

    for (unsigned int i = 0; i < 1000; i++)
        ipi(cpu, ICR_INIT | ICR_ASSERT);
    for (unsigned int i = 0; i < 20; i++)
        started &= start_cpu(cpu);
    check(started, "after a storm of INITs cpu %u still starts, twenty times", cpu);
}

void smp_start(void)
{
    unsigned int expected = count_in_madt();

    if (!check(expected >= 2 && expected <= MAX_CPUS, "the MADT lists %u CPUs", expected))
        return;
    check_equal(logical_cpus(), expected, "CPUID counts as many in the package");
    check_identity(0);
    for (unsigned int cpu = 1; cpu < expected; cpu++) {
        if (!check(start_cpu(cpu) && cpus[cpu].arrivals == 1,
                   "cpu %u starts, once, by INIT and two start-up IPIs", cpu))
            return;
        check_identity(cpu);
        cpu_count++;
    }
    check_init(cpu_count - 1);
    check_init_storm(cpu_count - 1);
}
