/* SPDX-License-Identifier: MIT */
/* Interrupts between CPUs: every shorthand and way of addressing, in xAPIC and in x2APIC mode. */
#include "guest-stubs/smp/cpus.h"

#define TO_ALL(count) (BIT(count) - 1)

static uint64_t expected_set;
static unsigned int expected_total;

/* The CPUs that have had exactly one since clear(). */
static uint64_t reached(void)
{
    uint64_t set = 0;

    for (unsigned int cpu = 0; cpu < cpu_count; cpu++)
        if (cpus[cpu].ipis == 1)
            set |= BIT(cpu);
    return set;
}

static unsigned int total(void)
{
    unsigned int sum = 0;

    for (unsigned int cpu = 0; cpu < cpu_count; cpu++)
        sum += cpus[cpu].ipis;
    return sum;
}

static void clear(void)
{
    for (unsigned int cpu = 0; cpu < cpu_count; cpu++)
        cpus[cpu].ipis = cpus[cpu].nmis = 0;
}

static bool all_reached(void)
{
    return reached() == expected_set;
}

static bool enough(void)
{
    return total() >= expected_total;
}

/* Sends it and sees that it reaches these CPUs, each once, and nobody else. */
static void check_ipi(uint32_t to, uint32_t command, uint64_t set, const char *what)
{
    clear();
    expected_set = set;
    ipi(to, command | VEC_IPI | ICR_ASSERT);
    wait_until(all_reached);
    wait_ms(2); /* for what must not come */
    check_equal(reached(), set, "%s", what);
}

static void check_physical(void)
{
    for (unsigned int cpu = 0; cpu < cpu_count; cpu++)
        check_ipi(cpu, 0, BIT(cpu), "an IPI to an APIC id reaches that CPU alone");
}

static void check_shorthands(void)
{
    uint64_t all = TO_ALL(cpu_count);

    check_ipi(0, ICR_SELF, BIT(0), "the shorthand \"self\" reaches this CPU");
    check_ipi(0, ICR_ALL, all, "\"all including self\" reaches all");
    check_ipi(0, ICR_OTHERS, all & ~BIT(0), "\"all but self\" reaches the others");
}

static void check_nobody(uint32_t absent)
{
    clear();
    ipi(absent, VEC_IPI | ICR_ASSERT);
    ipi(absent, ICR_NMI | ICR_ASSERT);
    ipi(absent, ICR_INIT | ICR_ASSERT);
    ipi(absent, ICR_STARTUP | ICR_ASSERT | 0x71);
    wait_ms(5);
    check_equal(total(), 0, "IPIs to a CPU that is not there reach nobody");
}

/* One at a time: two of a vector that wait at one CPU are one. */
static void check_lowest(uint32_t to)
{
    clear();
    for (expected_total = 1; expected_total <= 8; expected_total++) {
        ipi(to, ICR_LOWEST | ICR_LOGICAL | VEC_IPI | ICR_ASSERT);
        wait_until(enough);
    }
    wait_ms(2);
    check_equal(total(), 8, "lowest priority: each of eight IPIs reaches exactly one CPU");
}

static bool nmis_are_there(void)
{
    for (unsigned int cpu = 1; cpu < cpu_count; cpu++)
        if (cpus[cpu].nmis != 1)
            return false;
    return true;
}

static void check_nmi(void)
{
    clear();
    for (unsigned int cpu = 1; cpu < cpu_count; cpu++)
        ipi(cpu, ICR_NMI | ICR_ASSERT);
    wait_until(nmis_are_there);
    wait_ms(2);
    check(nmis_are_there() && cpus[0].nmis == 0, "an NMI reaches each other CPU, while it halts");
}

/* ---- Logical destinations in xAPIC mode -------------------------------------------------------
 */

static void be_flat(void)
{
    lapic_write(LAPIC_DFR, 0xffffffff);
    lapic_write(LAPIC_LDR, 1u << (24 + this_cpu() % 8));
}

/* Two CPUs in a cluster. */
static void be_clustered(void)
{
    lapic_write(LAPIC_DFR, 0x0fffffff);
    lapic_write(LAPIC_LDR, (this_cpu() / 2) << 28 | (1u << (24 + this_cpu() % 2)));
}

static void check_flat(void)
{
    check(run_everywhere(be_flat), "each CPU sets its logical id");
    check_ipi(0x02, ICR_LOGICAL, BIT(1), "logical, flat: one bit is one CPU");
    check_ipi(0x03, ICR_LOGICAL, BIT(0) | BIT(1), "two bits are two CPUs");
    check_ipi(0xff, ICR_LOGICAL, TO_ALL(cpu_count), "FFh is all");
    check_lowest(0xff);
}

static void check_clusters(void)
{
    check(run_everywhere(be_clustered), "each CPU joins its cluster");
    check_ipi(0x02, ICR_LOGICAL, BIT(1), "logical, clusters: one bit is one CPU of the cluster");
    check_ipi(0x03, ICR_LOGICAL, BIT(0) | BIT(1), "two bits are two CPUs of it");
    if (cpu_count >= 4)
        check_ipi(0x13, ICR_LOGICAL, BIT(2) | BIT(3), "the next cluster has the next two");
    check_ipi(0xff, ICR_LOGICAL, TO_ALL(cpu_count), "FFh is all");
}

/* ---- x2APIC ---------------------------------------------------------------------------------- */

static void be_x2apic(void)
{
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10));
}

static volatile unsigned int wrong_ldr;

static void look_at_ldr(void)
{
    unsigned int id = this_cpu();

    if (rdmsr(MSR_X2APIC + LAPIC_LDR / 16) != (id / 16 << 16 | 1u << id % 16))
        __atomic_fetch_add(&wrong_ldr, 1, __ATOMIC_RELAXED);
}

/* Each CPU changes while it runs its job, and the IPI that gives it the job is of either mode. */
static void check_x2apic(void)
{
    check(run_everywhere(be_x2apic), "each CPU changes to x2APIC mode");
    check(run_everywhere(look_at_ldr) && wrong_ldr == 0, "its logical id follows from its APIC id");
    check_physical();
    check_shorthands();
    check_ipi(0x2, ICR_LOGICAL, BIT(1), "x2APIC, logical: one bit is one CPU of the cluster");
    check_ipi((1u << cpu_count) - 1, ICR_LOGICAL, TO_ALL(cpu_count), "all bits are all of it");
    check_ipi(UINT32_MAX, 0, TO_ALL(cpu_count), "FFFFFFFFh is all");
    check_lowest((1u << cpu_count) - 1);
    check_nmi();
    check_nobody(0x12345);
}

void smp_ipi(void)
{
    check_physical();
    check_shorthands();
    check_ipi(0xff, 0, TO_ALL(cpu_count), "APIC id FFh is all");
    check_nmi();
    check_nobody(0x77);
    check_flat();
    check_clusters();
    check_x2apic();
}
