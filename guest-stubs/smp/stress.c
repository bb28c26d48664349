/* SPDX-License-Identifier: MIT */
/* CPUs that wait for each other: no wake-up is lost, and locks work while they are preempted. */
#include "guest-stubs/smp/cpus.h"

#define ROUNDS     1000
#define INCREMENTS 2000

/* ---- Ping and pong ----------------------------------------------------------------------------
 */

static volatile unsigned int pings, pongs, watchdog_ticks;

static void on_ping(struct frame *frame)
{
    pings++;
    lapic_eoi();
    ipi(0, VEC_PONG | ICR_ASSERT);
}

static void on_pong(struct frame *frame)
{
    pongs++;
    lapic_eoi();
}

static void on_watchdog(struct frame *frame)
{
    watchdog_ticks++;
    lapic_eoi();
}

/* It wakes this CPU from a HLT once, where a wake-up was lost; in x2APIC mode. */
static void watchdog_set(unsigned int seconds)
{
    trap_handlers[VEC_WATCHDOG] = on_watchdog;
    wrmsr(MSR_X2APIC + LAPIC_TIMER / 16, LVT_TSC_DEADLINE | VEC_WATCHDOG);
    wrmsr(MSR_TSC_DEADLINE, seconds ? rdtsc() + seconds * 1000 * tsc_ms : 0);
}

/* Both CPUs halt between the interrupts. */
static void check_ping_pong(void)
{
    uint64_t begin;

    trap_handlers[VEC_PING] = on_ping;
    trap_handlers[VEC_PONG] = on_pong;
    watchdog_set(100);
    begin = rdtsc();
    for (unsigned int i = 1; i <= ROUNDS && !watchdog_ticks; i++) {
        ipi(1, VEC_PING | ICR_ASSERT);
        while (pongs < i && !watchdog_ticks)
            __asm__ volatile("sti; hlt; cli" ::: "memory");
    }
    print("# %lu tsc ticks from an IPI to the answer to it\n", (rdtsc() - begin) / ROUNDS);
    watchdog_set(0);
    check(pings == ROUNDS && pongs == ROUNDS && !watchdog_ticks,
          "no wake-up is lost between two CPUs that halt: %u pings, %u pongs", pings, pongs);
}

/* ---- A lock -----------------------------------------------------------------------------------
 */

static volatile bool locked;
static volatile uint64_t guarded;
static uint64_t atomic;

static void count_up(void)
{
    for (unsigned int i = 0; i < INCREMENTS; i++) {
        while (__atomic_test_and_set(&locked, __ATOMIC_ACQUIRE))
            __asm__ volatile("pause");
        guarded++;
        __atomic_clear(&locked, __ATOMIC_RELEASE);
        __atomic_fetch_add(&atomic, 1, __ATOMIC_RELAXED);
    }
}

static void check_lock(void)
{
    check(run_everywhere(count_up), "all CPUs come through a lock %u times", INCREMENTS);
    check_equal(guarded, (uint64_t)INCREMENTS * cpu_count, "what it guards has lost nothing");
    check_equal(atomic, (uint64_t)INCREMENTS * cpu_count, "nor has an atomic counter");
}

void smp_stress(void)
{
    if (cpu_count < 2)
        return;
    check_ping_pong();
    check_lock();
}
