/* SPDX-License-Identifier: MIT */
/*
 * Real time: wakes every period_ms=, works for work_us= and has to be done before the next period;
 * periods= times.  Its section of the configuration reserves the time, with `period` and `budget`.
 * Reported is the worst delay from the time that the local APIC's timer was set to until the
 * handler runs.
 */
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define VEC_TIMER    0x40
#define VEC_SPURIOUS 0xef

static volatile uint64_t woken;

static void on_timer(struct frame *frame)
{
    woken = rdtsc();
    lapic_write(LAPIC_EOI, 0);
}

/* Returns the delay, in ticks of the TSC. */
static uint64_t sleep_until(uint64_t time)
{
    woken = 0;
    wrmsr(MSR_TSC_DEADLINE, time);
    while (!woken)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    return woken - time;
}

static void work_until(uint64_t begin, uint64_t ticks)
{
    while (rdtsc() - begin < ticks)
        __asm__ volatile("");
}

void stub_main(void)
{
    const uint64_t tick = kvm_tsc_per_ms();
    const uint64_t periods = option("periods", 1000);
    const uint64_t period = option("period_ms", 10) * tick;
    const uint64_t work = option("work_us", 500) * tick / 1000;
    uint64_t worst = 0, missed = 0, time;

    outb(PIC_MASTER + 1, 0xff);
    outb(PIC_SLAVE + 1, 0xff);
    trap_handlers[VEC_TIMER] = on_timer;
    lapic_write(LAPIC_SVR, SVR_ENABLE | VEC_SPURIOUS);
    lapic_write(LAPIC_TIMER, LVT_TSC_DEADLINE | VEC_TIMER);
    time = rdtsc() + period;
    for (uint64_t i = 0; i < periods; i++, time += period) {
        uint64_t delay = sleep_until(time);

        if (delay > worst)
            worst = delay;
        work_until(woken, work);
        if (rdtsc() >= time + period)
            missed++;
    }
    print("# the worst wake-up delay: %lu ns\n", worst * 1000 / (tick / 1000));
    check(missed == 0, "it was ready in time in %lu periods (%lu missed)", periods, missed);
}
