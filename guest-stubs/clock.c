/* SPDX-License-Identifier: MIT */
/*
 * KVM's clock on all CPUs at once, each with a page of its own: what one has seen no other sees
 * again, the TSC never goes back either, and the ACPI timer agrees.  Meanwhile the guest is paused
 * and resumed, when it says so.
 *
 * cpus= is how many CPUs there are, ms= for how long it looks.
 */
#include "guest-stubs/lib/options.h"
#include "guest-stubs/smp/cpus.h"
#include "hv/pv/kvm_abi.h"

#define PORT_PM_TIMER 0x608
#define PM_HZ         3579545u
#define PM_MASK       0xffffffu

static struct pvclock_time_info pages[MAX_CPUS] __attribute__((aligned(64)));
static uint64_t latest_ns; /* that any CPU has seen */
static uint64_t until_ns;
static struct {
    uint64_t backwards, worst_ns, tsc_backwards, reads;
} seen[MAX_CPUS];

static uint64_t clock_ns(const volatile struct pvclock_time_info *page)
{
    uint64_t ticks, ns;
    uint32_t version;

    do {
        version = page->version;
        BARRIER();
        ticks = rdtsc() - page->tsc_timestamp;
        ticks = page->tsc_shift < 0 ? ticks >> -page->tsc_shift : ticks << page->tsc_shift;
        ns = page->system_time +
             (uint64_t)(((unsigned __int128)ticks * page->tsc_to_system_mul) >> 32);
        BARRIER();
    } while (version % 2 || version != page->version);
    return ns;
}

static void note_latest(uint64_t now)
{
    uint64_t latest = __atomic_load_n(&latest_ns, __ATOMIC_SEQ_CST);

    while (latest < now && !__atomic_compare_exchange_n(&latest_ns, &latest, now, true,
                                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

static void look(void)
{
    const unsigned int cpu = this_cpu();
    uint64_t now, last_tsc = 0;

    wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)&pages[cpu] | KVM_SYSTEM_TIME_ENABLE);
    do {
        uint64_t latest = __atomic_load_n(&latest_ns, __ATOMIC_SEQ_CST), tsc = rdtsc();

        now = clock_ns(&pages[cpu]);
        if (now < latest) {
            seen[cpu].backwards++;
            if (latest - now > seen[cpu].worst_ns)
                seen[cpu].worst_ns = latest - now;
        }
        seen[cpu].tsc_backwards += tsc < last_tsc;
        seen[cpu].reads++;
        last_tsc = tsc;
        note_latest(now);
    } while (now < until_ns);
}

static uint64_t pm_us(uint32_t from)
{
    return ((inl(PORT_PM_TIMER) - from) & PM_MASK) * 1000000ull / PM_HZ;
}

void stub_main(void)
{
    uint64_t ms = option("ms", 2000), begin_ns, clock_us, timer_us;
    uint32_t pm;

    cpu_count = (unsigned int)option("cpus", 4);
    cpus_init();
    for (unsigned int cpu = 1; cpu < cpu_count; cpu++)
        check(start_cpu(cpu), "cpu %u starts", cpu);
    wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)&pages[0] | KVM_SYSTEM_TIME_ENABLE);
    print("pause me\n");
    begin_ns = clock_ns(&pages[0]);
    pm = inl(PORT_PM_TIMER);
    until_ns = begin_ns + ms * 1000000;
    check(run_everywhere(look), "all look at their clocks until %lu ms have passed", ms);
    timer_us = pm_us(pm);
    clock_us = (clock_ns(&pages[0]) - begin_ns) / 1000;
    for (unsigned int cpu = 0; cpu < cpu_count; cpu++) {
        print("# cpu %u has looked %lu times, %lu back by at most %lu ns\n", cpu, seen[cpu].reads,
              seen[cpu].backwards, seen[cpu].worst_ns);
        check(seen[cpu].reads > 100, "cpu %u has looked often", cpu);
        check_equal(seen[cpu].worst_ns, 0, "cpu %u never saw less than another had seen", cpu);
        check_equal(seen[cpu].tsc_backwards, 0, "nor did its TSC go back");
    }
    print("# %lu us by the clock, %lu by the ACPI timer\n", clock_us, timer_us);
    check(clock_us < timer_us + timer_us / 500 + 1000 &&
              timer_us < clock_us + clock_us / 500 + 1000,
          "the clock and the ACPI timer agree to 0.2%%");
}
