/* SPDX-License-Identifier: MIT */
/*
 * HLT and the shadow of STI.  An interrupt that is pending at STI is taken behind the instruction
 * that follows; so STI, HLT never sleeps through it.  HLT ends with an interrupt that can be taken
 * and with an NMI, also when interrupts are off; what is held back does not end it.
 */
#include "guest-stubs/interrupts/interrupts.h"

static volatile uint64_t handler_rip;

static void note_rip(struct frame *frame)
{
    handler_rip = frame->rip;
    taken[frame->vector]++;
    apic_write(LAPIC_EOI, 0);
}

/* Where the handler returns to is where the interrupt was taken. */
#define SHADOW(name, code)                                                             \
    extern const char name##_here[];                                                   \
    static void name(void)                                                             \
    {                                                                                  \
        __asm__ volatile(code : : "r"((uint64_t)(RFLAGS_ONE | RFLAGS_IF)) : "memory"); \
    }

SHADOW(sti_nop, "sti; nop; sti_nop_here: nop; cli; /* %0 */")
SHADOW(sti_cli, "sti; cli; sti_cli_here: nop; /* %0 */")
SHADOW(popf_now, "push %0; popf; popf_now_here: nop; cli")
SHADOW(sti_sti, "sti; sti; sti_sti_here: nop; cli; /* %0 */")

static void check_shadow(void (*code)(void), const char *here, const char *what)
{
    clear_counts();
    handler_rip = 0;
    self_ipi(VEC_LOW);
    code();
    check_equal(handler_rip, (uint64_t)here, "%s", what);
    wait_for(VEC_LOW, 1);
}

static void check_shadows(void)
{
    trap_handlers[VEC_LOW] = note_rip;
    check_shadow(sti_nop, sti_nop_here, "STI, NOP: the interrupt is taken behind the NOP");
    check_shadow(popf_now, popf_now_here, "POPF has no shadow");
    check_shadow(sti_sti, sti_sti_here, "STI, STI: the second one casts no shadow");
    clear_counts();
    self_ipi(VEC_LOW);
    sti_cli();
    check_equal(taken[VEC_LOW], 0, "STI, CLI: the interrupt is not taken");
    check(wait_for(VEC_LOW, 1), "and still waits");
    count_vector(VEC_LOW);
}

/* ---- HLT --------------------------------------------------------------------------------------
 */

static void sti_hlt(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

SHADOW(halt_pending, "sti; hlt; halt_pending_here: cli; /* %0 */")

/* One that is taken before the HLT has no other to wake it: only the watchdog ends it then. */
static void check_pending(void)
{
    unsigned int early = 0;

    trap_handlers[VEC_LOW] = note_rip;
    for (unsigned int i = 0; i < 100; i++) {
        clear_counts();
        watchdog_set();
        self_ipi(VEC_LOW);
        halt_pending();
        early += taken[VEC_LOW] != 1 || handler_rip != (uint64_t)halt_pending_here;
        watchdog_clear();
    }
    check_equal(early, 0, "a pending interrupt is taken behind STI, HLT and never between, of 100");
    count_vector(VEC_LOW);
}

static void check_wakes(void)
{
    uint64_t begin;

    clear_counts();
    apic_write(LAPIC_TIMER, VEC_TIMER);
    begin = rdtsc();
    apic_write(LAPIC_TMICT, 2000000);
    sti_hlt();
    check(taken[VEC_TIMER] == 1 && rdtsc() > begin, "the local APIC's timer ends HLT");
    apic_write(LAPIC_TIMER, LVT_MASKED);
    clear_counts();
    ioapic_set_pin(2, VEC_IOAPIC);
    pit_one_shot(2000);
    sti_hlt();
    check_equal(taken[VEC_IOAPIC], 1, "the 8254 ends HLT");
    ioapic_set_pin(2, PIN_MASKED);
}

static void check_held_back(void)
{
    clear_counts();
    watchdog_set();
    apic_write(LAPIC_TPR, VEC_LOW & 0xf0);
    self_ipi(VEC_LOW);
    sti_hlt();
    check(taken[VEC_LOW] == 0 && watchdog_fired(), "what TPR holds back does not end HLT");
    watchdog_clear();
    apic_write(LAPIC_TPR, 0);
    check(wait_for(VEC_LOW, 1), "and comes when TPR allows it");
}

/* The 8254 comes as an NMI; until then a pending interrupt must not end the HLT. */
static void check_nmi_wakes(void)
{
    uint64_t begin;

    clear_counts();
    count_vector(VEC_NMI);
    self_ipi(VEC_LOW);
    ioapic_set_pin(2, ICR_NMI);
    begin = rdtsc();
    pit_one_shot(50000); /* 42 ms: what came before the HLT would not end it */
    __asm__ volatile("hlt" ::: "memory");
    check(rdtsc() - begin > tsc_per_ms(),
          "HLT with interrupts off is not ended by one that is pending");
    check_equal(taken[VEC_NMI], 1, "but by an NMI");
    ioapic_set_pin(2, PIN_MASKED);
    check(wait_for(VEC_LOW, 1), "and the interrupt is taken later");
    trap_handlers[VEC_NMI] = 0;
}

void interrupts_halt(void)
{
    check_shadows();
    check_pending();
    check_wakes();
    check_held_back();
    check_nmi_wakes();
}
