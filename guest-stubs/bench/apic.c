/* SPDX-License-Identifier: MIT */
/* The local APIC's operations, first through its page, then through MSRs. */
#include "guest-stubs/lib/apic.h"

#include "guest-stubs/bench/bench.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/trap.h"

#define CALIBRATION 1000000u /* ticks of the TSC */
#define COUNT       100000u  /* what the timer runs down before it ends a HLT */

uint64_t op_xapic_eoi(uint64_t round);
uint64_t op_xapic_timer(uint64_t round);
uint64_t op_xapic_self(uint64_t round);
uint64_t op_x2apic_id(uint64_t round);
uint64_t op_x2apic_eoi(uint64_t round);
uint64_t op_x2apic_self(uint64_t round);
uint64_t op_hlt_deadline(uint64_t round);
uint64_t op_hlt_count(uint64_t round);
void xapic_self_handler(void);
void x2apic_self_handler(void);
void timer_handler(void);
extern uint32_t timer_count, timer_ticks;

void apic_write(unsigned int reg, uint32_t value)
{
    if (apic_is_x2)
        wrmsr(MSR_X2APIC + reg / 16, value);
    else
        lapic_write(reg, value);
}

/* How many ticks of the TSC the timer takes for COUNT. */
static void calibrate(void)
{
    uint64_t begin, ticks;
    uint32_t counted;

    lapic_write(LAPIC_TIMER, LVT_MASKED | VEC_TIMER);
    lapic_write(LAPIC_TMICT, ~0u);
    begin = rdtsc();
    while (rdtsc() - begin < CALIBRATION)
        ;
    ticks = rdtsc() - begin;
    counted = ~0u - lapic_read(LAPIC_TMCCT);
    lapic_write(LAPIC_TMICT, 0);
    timer_count = COUNT;
    timer_ticks = (uint32_t)(ticks * COUNT / counted);
}

static void measure_hlt(void)
{
    const bool deadline = HAS(1, 0, ecx, 24);
    const struct operation hlt = {"hlt-timer", deadline ? op_hlt_deadline : op_hlt_count, 0};

    set_handler(VEC_TIMER, timer_handler);
    if (!deadline)
        calibrate();
    lapic_write(LAPIC_TIMER, (deadline ? LVT_TSC_DEADLINE : 0) | VEC_TIMER);
    measure(&hlt);
    lapic_write(LAPIC_TIMER, LVT_MASKED | VEC_TIMER);
}

void measure_xapic(void)
{
    const struct operation eoi = {"xapic-eoi", op_xapic_eoi, 0};
    const struct operation timer = {"xapic-timer", op_xapic_timer, 0};
    const struct operation self = {"xapic-self-ipi", op_xapic_self, 0};

    lapic_write(LAPIC_SVR, SVR_ENABLE | 0xff);
    lapic_write(LAPIC_TDCR, TDCR_BY_1);
    measure(&eoi);
    lapic_write(LAPIC_TIMER, VEC_TIMER);
    measure(&timer);
    lapic_write(LAPIC_TMICT, 0);
    set_handler(VEC_SELF, xapic_self_handler);
    measure(&self);
    measure_hlt();
}

void measure_x2apic(void)
{
    const char *missing = HAS(1, 0, ecx, 21) ? 0 : "no x2APIC";
    const struct operation operations[] = {
        {"x2apic-id", op_x2apic_id, missing},
        {"x2apic-eoi", op_x2apic_eoi, missing},
        {"x2apic-self-ipi", op_x2apic_self, missing},
    };

    if (!missing) {
        wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10));
        apic_is_x2 = 1;
        set_handler(VEC_SELF, x2apic_self_handler);
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(operations); i++)
        measure(&operations[i]);
}
