/* SPDX-License-Identifier: MIT */
/*
 * Steal time, with more CPUs than there are: what each is told that it waited beside what it misses
 * itself, where it is preempted, and the flush of a preempted CPU's TLB instead of an interrupt.
 */
#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/pv/pv.h"

#define BUSY_MS 300

struct kvm_steal_time steal_times[MAX_CPUS] __attribute__((aligned(64)));

/* As a guest reads it, whichever CPU's. */
static uint64_t steal_ns(unsigned int cpu)
{
    const volatile struct kvm_steal_time *steal = &steal_times[cpu];
    uint32_t version;
    uint64_t ns;

    do {
        version = steal->version;
        BARRIER();
        ns = steal->steal;
        BARRIER();
    } while (version % 2 || version != steal->version);
    return ns;
}

static uint8_t preempted(unsigned int cpu)
{
    return *(volatile uint8_t *)&steal_times[cpu].preempted;
}

static void enable(void)
{
    wrmsr(MSR_KVM_STEAL_TIME, (uint64_t)&steal_times[this_cpu()] | KVM_MSR_ENABLE);
}

/* ---- How much ------------------------------------------------------------------------------- */

static volatile unsigned int arrived;
static bool exact; /* on one CPU, whose time is its instructions */

static struct {
    uint64_t told_ns, missed_ns;
    unsigned int backwards, preempted_itself, neighbour_on, neighbour_off;
} seen[MAX_CPUS];

/* It has run without a break unless more than an exit's time has passed. */
static void be_busy(void)
{
    const unsigned int cpu = this_cpu(), neighbour = (cpu + 1) % cpu_count;
    const uint64_t gap = tsc_ms / 20;
    uint64_t begin, told, last, paused = 0, neighbours = 0, missed = 0;

    __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
    while (arrived < cpu_count)
        __asm__ volatile("pause");
    told = steal_ns(cpu);
    begin = last = rdtsc();
    while (last - begin < BUSY_MS * tsc_ms) {
        uint64_t now, ns = steal_ns(neighbour);

        seen[cpu].backwards += ns < neighbours;
        neighbours = ns;
        seen[cpu].preempted_itself += preempted(cpu) != 0;
        if (preempted(neighbour))
            seen[cpu].neighbour_off++;
        else
            seen[cpu].neighbour_on++;
        now = rdtsc();
        if (now - last > gap)
            missed += now - last;
        last = now;
        if (!exact && now - paused > tsc_ms) {
            paused = now;
            __asm__ volatile("pause"); /* where one thread emulates all CPUs, the others' turn */
        }
    }
    seen[cpu].told_ns = steal_ns(cpu) - told;
    seen[cpu].missed_ns = missed * 1000 / (tsc_ms / 1000);
}

/* The emulator's own breaks are missed too, but not stolen by the hypervisor. */
static bool is_right(unsigned int cpu)
{
    uint64_t told = seen[cpu].told_ns, missed = seen[cpu].missed_ns;

    if (exact && told * 100 < missed * 98)
        return false;
    return told <= missed + missed / 50 + 200000;
}

static void check_busy(void)
{
    uint64_t told = 0;
    unsigned int odd = 0, on = 0, off = 0;

    check(run_everywhere(be_busy), "all CPUs are busy for %u ms", BUSY_MS);
    for (unsigned int cpu = 0; cpu < cpu_count; cpu++) {
        print("# cpu %u: %lu ns stolen, %lu ns missed\n", cpu, seen[cpu].told_ns,
              seen[cpu].missed_ns);
        check(is_right(cpu), "cpu %u: what was stolen is what it missed", cpu);
        told += seen[cpu].told_ns;
        odd += seen[cpu].backwards + seen[cpu].preempted_itself;
        on += seen[cpu].neighbour_on;
        off += seen[cpu].neighbour_off;
    }
    check(told > (uint64_t)BUSY_MS * 1000000 / 2, "they had to wait for each other");
    check_equal(odd, 0, "steal time never falls, and no CPU that runs is preempted");
    check(off > 0 && (on > 0) == !exact, "its neighbours see it preempted%s",
          exact ? " whenever they run, for there is one CPU" : ", and not");
}

void pv_steal(void)
{
    check(run_everywhere(enable), "each CPU says where its steal time goes");
    exact = option("exact", 0) != 0;
    check_busy();
    wait_ms(20);
    check(preempted(1) == KVM_VCPU_PREEMPTED, "a CPU that halts is preempted too");
}

/* ---- Flushing ------------------------------------------------------------------------------- */

#define FLUSHES 30

static uint64_t window[PAGE_SIZE / 8] __attribute__((aligned(PAGE_SIZE)));
static uint64_t frames[2][PAGE_SIZE / 8] __attribute__((aligned(PAGE_SIZE)));
static volatile bool enough;
static volatile uint64_t rounds[MAX_CPUS], values[MAX_CPUS];

static void show(unsigned int frame)
{
    page_set((uint64_t)window, (uint64_t)frames[frame] | PAGE_P | PAGE_W);
}

static void flush_all(void)
{
    write_cr3(read_cr3());
}

static void look(void)
{
    unsigned int cpu = this_cpu();

    while (!enough) {
        values[cpu] = *(volatile uint64_t *)window;
        rounds[cpu]++;
    }
}

static unsigned int flushed_cpu;
static bool flush_is_due;

/* Ask for a flush instead of an interrupt, which can be asked of a preempted CPU alone. */
static bool ask_flush(void)
{
    uint8_t state = KVM_VCPU_PREEMPTED;

    if (!flush_is_due)
        flush_is_due = __atomic_compare_exchange_n(&steal_times[flushed_cpu].preempted, &state,
                                                   KVM_VCPU_PREEMPTED | KVM_VCPU_FLUSH_TLB, false,
                                                   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    return flush_is_due;
}

static uint64_t awaited_round;

static bool has_looked(void)
{
    return rounds[flushed_cpu] >= awaited_round;
}

/*
 * Another page is shown: a CPU that is preempted meanwhile must see it without an interrupt, and
 * the request is gone.  (No emulator keeps translations while another vCPU runs; real CPUs do.)
 */
static bool flush_reaches(unsigned int cpu, uint64_t value)
{
    flushed_cpu = cpu;
    flush_is_due = false;
    if (!wait_until(ask_flush))
        return false;
    awaited_round = rounds[cpu] + 2;
    return wait_until(has_looked) && values[cpu] == value && !(preempted(cpu) & KVM_VCPU_FLUSH_TLB);
}

void pv_flush(void)
{
    unsigned int right = 0;

    frames[0][0] = 0x1111;
    frames[1][0] = 0x2222;
    show(0);
    check(run_everywhere(flush_all), "a page is shown in a window");
    for (unsigned int cpu = 1; cpu < cpu_count; cpu++)
        start_job(cpu, look);
    for (unsigned int i = 1; i <= FLUSHES; i++) {
        show(i % 2);
        for (unsigned int cpu = 1; cpu < cpu_count; cpu++)
            right += flush_reaches(cpu, frames[i % 2][0]);
    }
    enough = true;
    check_equal(right, FLUSHES * (cpu_count - 1),
                "what is shown next is seen by CPUs that were preempted, without an interrupt");
    check(run_everywhere(flush_all), "they go on");
}
