/* SPDX-License-Identifier: MIT */
/*
 * NMIs.  They come whatever RFLAGS.IF says.  From the delivery of one until the next IRET others
 * are blocked; one that comes then waits, and more become one with it.  An IRET that faults
 * unblocks them too.
 */
#include "guest-stubs/interrupts/interrupts.h"

static volatile unsigned int depth, deepest, nested_sends;

/* The first NMI's handler sends others. */
static void nmi(struct frame *frame)
{
    taken[VEC_NMI]++;
    if (++depth > deepest)
        deepest = depth;
    if (taken[VEC_NMI] == 1)
        for (unsigned int i = 0; i < nested_sends; i++)
            self_ipi(ICR_NMI);
    delay_us(50);
    depth--;
}

static void check_blocking(unsigned int sends, unsigned int expected, const char *what)
{
    clear_counts();
    depth = deepest = 0;
    nested_sends = sends;
    self_ipi(ICR_NMI);
    delay_us(50);
    check_equal(taken[VEC_NMI], expected, "%s", what);
    check_equal(deepest, 1, "and no handler is interrupted by another NMI");
}

/* Interrupts are off in the handler of one; an NMI comes all the same. */
static void send_nmi(struct frame *frame)
{
    unsigned int before = taken[VEC_NMI];

    taken[frame->vector]++;
    self_ipi(ICR_NMI);
    delay_us(50);
    depth = taken[VEC_NMI] == before + 1;
    apic_write(LAPIC_EOI, 0);
}

static void check_in_handler(void)
{
    clear_counts();
    nested_sends = 0;
    trap_handlers[VEC_LOW] = send_nmi;
    self_ipi(VEC_LOW);
    check(wait_for(VEC_LOW, 1) && depth == 1, "an NMI interrupts the handler of an interrupt");
    count_vector(VEC_LOW);
}

/* An interrupt that waits while an NMI is handled is not lost. */
static void send_interrupt(struct frame *frame)
{
    taken[VEC_NMI]++;
    self_ipi(VEC_HIGH);
}

static void check_interrupt_after(void)
{
    clear_counts();
    trap_handlers[VEC_NMI] = send_interrupt;
    self_ipi(ICR_NMI);
    check(taken[VEC_NMI] == 1 && wait_for(VEC_HIGH, 1),
          "an interrupt that comes during an NMI is taken later");
}

/* ---- An IRET that faults ------------------------------------------------------------------------
 */

/* Its IRET finds a code segment that does not exist. */
static void spoil_return(struct frame *frame)
{
    taken[VEC_NMI]++;
    frame->cs = 0xfff8;
}

static uint64_t fault_rflags, code_segment;

/* Mends the frame that the IRET was to take, to which the interrupted RSP points. */
static void mend_return(struct frame *frame)
{
    uint64_t *iret_frame = (uint64_t *)frame->rsp;

    taken[VEC_GP]++;
    fault_rflags = frame->rflags;
    iret_frame[1] = code_segment;
    trap_handlers[VEC_NMI] = nmi;
    self_ipi(ICR_NMI);
    delay_us(50);
}

static void check_faulting_iret(void)
{
    clear_counts();
    nested_sends = 0;
    depth = 0;
    code_segment = SEL_CODE64;
    trap_handlers[VEC_NMI] = spoil_return;
    trap_handlers[VEC_GP] = mend_return;
    self_ipi(ICR_NMI);
    delay_us(50);
    check_equal(taken[VEC_GP], 1, "an IRET from an NMI's handler may fault");
    check(!(fault_rflags & RFLAGS_TF), "nobody's single step shows in the flags there");
    check_equal(taken[VEC_NMI], 2, "and it has unblocked NMIs");
    trap_handlers[VEC_GP] = 0;
}

void interrupts_nmi(void)
{
    trap_handlers[VEC_NMI] = nmi;
    check_blocking(0, 1, "an NMI is delivered with interrupts off");
    check_blocking(1, 2, "one that comes while it is handled waits for IRET");
    check_blocking(3, 2, "three that come then are one");
    check_in_handler();
    check_interrupt_after();
    check_faulting_iret();
    trap_handlers[VEC_NMI] = 0;
}
