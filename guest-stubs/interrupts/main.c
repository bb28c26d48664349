/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: where they come from, what holds them back, and what happens when one cannot be
 * delivered.
 *
 * The sources are the 8254 through the 8259s or the I/O APIC, the UART, the local APIC's timer and
 * IPIs of a CPU to itself.  An interrupt is taken when RFLAGS.IF is set, its priority class is
 * above TPR's and that of what is in service, and no STI or MOV SS stands right before.  NMIs are
 * blocked from the delivery of one to the next IRET.  A HLT ends with what is taken.
 */
#include "guest-stubs/interrupts/interrupts.h"

#define PIT_CHANNEL0 0x40
#define PIT_COMMAND  0x43
#define PIT_HZ       1193182ull

volatile unsigned int taken[256];
volatile uint8_t order[16];
volatile unsigned int order_count;

volatile unsigned int uninvited;

static volatile unsigned int watchdog_ticks;
static bool in_x2apic;

/* ---- Counting ---------------------------------------------------------------------------------
 */

uint32_t apic_read(unsigned int offset)
{
    return in_x2apic ? (uint32_t)rdmsr(MSR_X2APIC + offset / 16) : lapic_read(offset);
}

void apic_write(unsigned int offset, uint32_t value)
{
    if (in_x2apic)
        wrmsr(MSR_X2APIC + offset / 16, value);
    else
        lapic_write(offset, value);
}

static void counted(struct frame *frame)
{
    unsigned int vector = (unsigned int)frame->vector;

    taken[vector]++;
    uninvited += vector != VEC_NMI && !(frame->rflags & RFLAGS_IF);
    if (order_count < ARRAY_SIZE(order))
        order[order_count++] = (uint8_t)vector;
    if (vector >= VEC_PIC && vector < VEC_PIC + 16) {
        if (vector >= VEC_PIC + 8)
            outb(PIC_SLAVE, PIC_EOI);
        outb(PIC_MASTER, PIC_EOI);
    } else if (vector != VEC_SPURIOUS && vector != VEC_NMI) {
        apic_write(LAPIC_EOI, 0);
    }
}

void count_vector(unsigned int vector)
{
    trap_handlers[vector] = counted;
}

void clear_counts(void)
{
    for (unsigned int i = 0; i < 256; i++)
        taken[i] = 0;
    order_count = 0;
}

/* ---- Waiting ----------------------------------------------------------------------------------
 */

bool wait_for(unsigned int vector, unsigned int times)
{
    uint64_t until = rdtsc() + 1000 * tsc_per_ms();

    interrupts_on();
    while (taken[vector] < times && rdtsc() < until)
        __asm__ volatile("pause");
    interrupts_off();
    return taken[vector] >= times;
}

void wait_ms(unsigned int ms)
{
    interrupts_on();
    delay_us(ms * 1000ull);
    interrupts_off();
}

/* ---- The watchdog -----------------------------------------------------------------------------
 */

static void watchdog(struct frame *frame)
{
    watchdog_ticks++;
    apic_write(LAPIC_EOI, 0);
}

void watchdog_set(void)
{
    watchdog_ticks = 0;
    trap_handlers[VEC_WATCHDOG] = watchdog;
    pit_one_shot(50000);
    ioapic_set_pin(2, VEC_WATCHDOG);
}

bool watchdog_fired(void)
{
    return watchdog_ticks != 0;
}

void watchdog_clear(void)
{
    ioapic_set_pin(2, PIN_MASKED | VEC_WATCHDOG);
    interrupts_on();
    interrupts_off();
}

/* ---- Hardware ---------------------------------------------------------------------------------
 */

void pit_one_shot(unsigned int us)
{
    uint64_t ticks = us * PIT_HZ / 1000000;

    outb(PIT_COMMAND, 0x30); /* channel 0, both bytes, mode 0 */
    outb(PIT_CHANNEL0, (uint8_t)ticks);
    outb(PIT_CHANNEL0, (uint8_t)(ticks >> 8));
}

void self_ipi(uint32_t vector_and_mode)
{
    apic_write(LAPIC_ICR, ICR_SELF | vector_and_mode);
}

void lapic_setup(void)
{
    apic_write(LAPIC_SVR, SVR_ENABLE | VEC_SPURIOUS);
    apic_write(LAPIC_TPR, 0);
    apic_write(LAPIC_TIMER, LVT_MASKED);
    apic_write(LAPIC_LINT0, LVT_MASKED);
    apic_write(LAPIC_LINT1, LVT_MASKED);
    apic_write(LAPIC_TDCR, TDCR_BY_1);
}

void x2apic_on(void)
{
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10));
    in_x2apic = true;
}

/* Only by way of disabled, which loses all state. */
void x2apic_off(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    wrmsr(MSR_APIC_BASE, base & ~(BIT(10) | BIT(11)));
    wrmsr(MSR_APIC_BASE, (base & ~BIT(10)) | BIT(11));
    in_x2apic = false;
    lapic_setup();
}

/* What is to be the same in both modes. */
void interrupts_of_mode(const char *mode)
{
    print("# in %s mode\n", mode);
    interrupts_ioapic();
    interrupts_timer();
    interrupts_priority();
    interrupts_halt();
    interrupts_nmi();
    interrupts_refused();
}

static void pics_masked(void)
{
    outb(PIC_MASTER + 1, 0xff);
    outb(PIC_SLAVE + 1, 0xff);
}

void stub_main(void)
{
    static const uint8_t counted_vectors[] = {VEC_TIMER,   VEC_IOAPIC, VEC_IOAPIC + 1, VEC_LOW,
                                              VEC_LOW + 1, VEC_HIGH,   VEC_SPURIOUS};

    pics_masked();
    for (unsigned int i = 0; i < ARRAY_SIZE(counted_vectors); i++)
        count_vector(counted_vectors[i]);
    lapic_setup();
    interrupts_pic();
    lapic_setup();
    interrupts_of_mode("xAPIC");
    interrupts_delivery();
    interrupts_x2apic();
}
