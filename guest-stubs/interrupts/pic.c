/* SPDX-License-Identifier: MIT */
/*
 * The two 8259s, on the local APIC's LINT0 as "external interrupt" (virtual wire).  An interrupt in
 * service holds back those of its own level and below until its EOI.  A request that goes away
 * before it is taken reads as IRQ 7, without a bit in service.
 */
#include "guest-stubs/interrupts/interrupts.h"

#define IRQ_PIT 0

static void pic_init(void)
{
    outb(PIC_MASTER, 0x11); /* ICW1: edges, cascade, ICW4 follows */
    outb(PIC_MASTER + 1, VEC_PIC);
    outb(PIC_MASTER + 1, 0x04);
    outb(PIC_MASTER + 1, 0x01);
    outb(PIC_SLAVE, 0x11);
    outb(PIC_SLAVE + 1, VEC_PIC + 8);
    outb(PIC_SLAVE + 1, 0x02);
    outb(PIC_SLAVE + 1, 0x01);
    outb(PIC_MASTER + 1, 0xff);
    outb(PIC_SLAVE + 1, 0xff);
}

static uint8_t pic_read(uint8_t ocw3)
{
    outb(PIC_MASTER, ocw3);
    return inb(PIC_MASTER);
}

#define READ_IRR 0x0a
#define READ_ISR 0x0b

static uint8_t service_seen;

/* Looks before its EOI. */
static void look_at_service(struct frame *frame)
{
    taken[frame->vector]++;
    service_seen = pic_read(READ_ISR);
    outb(PIC_MASTER, PIC_EOI);
}

static void check_mask(void)
{
    clear_counts();
    pit_one_shot(1000);
    wait_ms(5);
    check_equal(taken[VEC_PIC + IRQ_PIT], 0, "8259: a masked request is not delivered");
    check(pic_read(READ_IRR) & 1, "and waits in IRR");
    outb(PIC_MASTER + 1, 0xfe);
    check(wait_for(VEC_PIC + IRQ_PIT, 1), "unmasked, it is delivered");
    check_equal(service_seen, 1, "in the handler its bit is in service");
    check_equal(pic_read(READ_ISR), 0, "and not after its EOI");
}

static void keep_in_service(struct frame *frame)
{
    taken[frame->vector]++;
}

static void check_eoi(void)
{
    clear_counts();
    trap_handlers[VEC_PIC + IRQ_PIT] = keep_in_service;
    pit_one_shot(1000);
    check(wait_for(VEC_PIC + IRQ_PIT, 1), "the 8254 interrupts again");
    pit_one_shot(1000);
    wait_ms(5);
    check_equal(taken[VEC_PIC + IRQ_PIT], 1, "without an EOI the next one waits");
    outb(PIC_MASTER, PIC_EOI);
    check(wait_for(VEC_PIC + IRQ_PIT, 2), "and comes with it");
    outb(PIC_MASTER, PIC_EOI);
}

/* The 8259 has raised its line; then the request is masked, before the CPU looks. */
static void check_spurious(void)
{
    clear_counts();
    count_vector(VEC_PIC + 7);
    outb(PIC_MASTER + 1, 0xfe);
    pit_one_shot(1000);
    delay_us(5000);
    check_equal(pic_read(READ_IRR) & 1, 1, "with interrupts off a request waits");
    outb(PIC_MASTER + 1, 0xff);
    wait_ms(2);
    check(taken[VEC_PIC + IRQ_PIT] == 0 && taken[VEC_PIC + 7] <= 1,
          "masked before it is taken, it is not delivered, but at most as a spurious IRQ 7");
    check_equal(pic_read(READ_ISR), 0, "with which nothing is in service");
    pit_one_shot(40000); /* its output goes low: the request is gone */
}

static void check_lint0(void)
{
    clear_counts();
    outb(PIC_MASTER + 1, 0xfe);
    apic_write(LAPIC_LINT0, LVT_MASKED | LVT_EXTINT);
    pit_one_shot(1000);
    wait_ms(5);
    check_equal(taken[VEC_PIC + IRQ_PIT], 0, "with LINT0 masked nothing of the 8259 is delivered");
    apic_write(LAPIC_LINT0, LVT_EXTINT);
    check(wait_for(VEC_PIC + IRQ_PIT, 1), "unmasked, it is");
    outb(PIC_MASTER, PIC_EOI);
}

void interrupts_pic(void)
{
    pic_init();
    trap_handlers[VEC_PIC + IRQ_PIT] = look_at_service;
    apic_write(LAPIC_LINT0, LVT_EXTINT);
    check_mask();
    check_eoi();
    check_spurious();
    check_lint0();
    outb(PIC_MASTER + 1, 0xff);
    apic_write(LAPIC_LINT0, LVT_MASKED);
}
