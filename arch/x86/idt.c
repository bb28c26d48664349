/* SPDX-License-Identifier: MIT */
/* The IDT, the way of an interrupt to its handler, and what an exception of the host leads to. */
#include "arch/x86/idt.h"

#include "arch/x86/cpu.h"
#include "arch/x86/lapic.h"
#include "arch/x86/paging.h"
#include "hv/panic.h"
#include "hv/panic_hooks.h"

struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};

STATIC_ASSERT(sizeof(struct gate) == 16, "a gate as the CPU reads it");

struct fixup {
    int32_t from, to; /* relative to themselves: see FIXUP() in msr.h */
};

struct irq {
    void (*handler)(void *ctx);
    void *ctx;
};

extern const uint8_t isr_entries[256][16];                  /* isr.asm */
extern const struct fixup __fixups_start[], __fixups_end[]; /* linker.ld */

static struct gate idt[256] ALIGNED(16);
static struct irq irqs[256];
static struct cpu *nmi_exempt; /* the CPU that panics, or the boot stack's null pointer */
static bool nmi_stops;

void irq_register(uint8_t vector, void (*handler)(void *ctx), void *ctx)
{
    irqs[vector].ctx = ctx;
    __atomic_store_n(&irqs[vector].handler, handler, __ATOMIC_RELEASE);
}

static void nothing(void *ctx)
{
}

uint8_t irq_alloc_vector(void)
{
    for (unsigned int v = VECTOR_DEVICE_FIRST; v <= VECTOR_DEVICE_LAST; v++) {
        void (*none)(void *) = NULL;

        if (__atomic_compare_exchange_n(&irqs[v].handler, &none, nothing, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return (uint8_t)v;
    }
    return 0;
}

static void set_gate(unsigned int vector)
{
    uint64_t offset = (uint64_t)isr_entries[vector];

    idt[vector] = (struct gate){
        .offset_low = (uint16_t)offset,
        .selector = SELECTOR_CODE,
        .type = SEG_AR_P | SEG_SYS_INT_GATE,
        .offset_middle = (uint16_t)(offset >> 16),
        .offset_high = (uint32_t)(offset >> 32),
    };
}

void idt_init(void)
{
    for (unsigned int vector = 0; vector < 256; vector++)
        set_gate(vector);
}

void idt_use_ist(void)
{
    idt[VEC_NMI].ist = IST_NMI;
    idt[VEC_DF].ist = IST_DF;
    idt[VEC_MC].ist = IST_MC;
}

void idt_load(void)
{
    struct desc_ptr p = {sizeof(idt) - 1, (uint64_t)idt};

    lidt(&p);
}

void trap_stop_on_nmi(void)
{
    nmi_exempt = cpu_current();
    __atomic_store_n(&nmi_stops, true, __ATOMIC_RELEASE);
}

static void handle_nmi(void)
{
    struct cpu *cpu = cpu_current();

    if (cpu)
        cpu->nmi_count++;
    if (!__atomic_load_n(&nmi_stops, __ATOMIC_ACQUIRE) || cpu == nmi_exempt)
        return;
    if (cpu)
        __atomic_store_n(&cpu->shared.stopped, 1, __ATOMIC_RELEASE);
    for (;;)
        cpu_halt();
}

static uint64_t fixup_address(const int32_t *relative)
{
    return (uint64_t)relative + (uint64_t)(int64_t)*relative;
}

/* The instruction was expected to fault: go on where it says. */
static bool fix_up(struct trap_frame *frame)
{
    size_t count = ((uint64_t)__fixups_end - (uint64_t)__fixups_start) / sizeof(struct fixup);

    for (const struct fixup *f = __fixups_start; count--; f++) {
        if (fixup_address(&f->from) == frame->rip) {
            struct cpu *cpu = cpu_current();
            if (cpu)
                cpu->irq_count[frame->vector]++;
            frame->rip = fixup_address(&f->to);
            return true;
        }
    }
    return false;
}

static const char *exception_name(uint64_t vector)
{
    static const char *const names[VEC_EXCEPTIONS] = {
        [VEC_DE] = "divide error",         [VEC_DB] = "debug exception",
        [VEC_BP] = "breakpoint",           [VEC_OF] = "overflow",
        [VEC_BR] = "bound range",          [VEC_UD] = "invalid opcode",
        [VEC_NM] = "device not available", [VEC_DF] = "double fault",
        [VEC_TS] = "invalid TSS",          [VEC_NP] = "segment not present",
        [VEC_SS] = "stack fault",          [VEC_GP] = "general protection",
        [VEC_PF] = "page fault",           [VEC_MF] = "x87 error",
        [VEC_AC] = "alignment check",      [VEC_MC] = "machine check",
        [VEC_XM] = "SIMD error",           [VEC_VE] = "virtualization exception",
        [VEC_CP] = "control protection",   [VEC_HV] = "hypervisor injection",
        [VEC_VC] = "VMM communication",    [VEC_SX] = "security exception",
    };
    const char *name = vector < VEC_EXCEPTIONS ? names[vector] : NULL;

    return name ? name : "reserved exception";
}

static NORETURN void panic_page_fault(const struct trap_frame *frame, uint64_t cr2)
{
    uint64_t error = frame->error_code;
    unsigned int cpu = 0;
    const char *place = paging_describe(cr2, &cpu);

    panic_trap(frame, "page fault: %s %#llx, %s%s%s",
               error & PF_FETCH   ? "fetch from"
               : error & PF_WRITE ? "write to"
                                  : "read of",
               (unsigned long long)cr2, error & PF_PRESENT ? "not allowed" : "not mapped",
               place ? ", in " : "", place ? place : "");
}

/* A stack that ran into its guard page: the push of the page fault's own frame faulted. */
static NORETURN void panic_double_fault(const struct trap_frame *frame, uint64_t cr2)
{
    unsigned int cpu = 0;
    const char *place = paging_describe(cr2, &cpu);

    if (place)
        panic_trap(frame, "double fault: stack overflow of cpu %u: cr2 %#llx is in %s", cpu,
                   (unsigned long long)cr2, place);
    panic_trap(frame, "double fault, cr2 %#llx", (unsigned long long)cr2);
}

static void handle_exception(struct trap_frame *frame)
{
    uint64_t cr2 = read_cr2();

    if (fix_up(frame))
        return;
    if (frame->vector == VEC_PF)
        panic_page_fault(frame, cr2);
    if (frame->vector == VEC_DF)
        panic_double_fault(frame, cr2);
    panic_trap(frame, "%s (vector %u), error code %#llx", exception_name(frame->vector),
               (unsigned int)frame->vector, (unsigned long long)frame->error_code);
}

static void handle_irq(uint8_t vector)
{
    struct irq *irq = &irqs[vector];
    void (*handler)(void *) = __atomic_load_n(&irq->handler, __ATOMIC_ACQUIRE);

    this_cpu()->irq_count[vector]++;
    if (handler)
        handler(irq->ctx);
    if (vector != VECTOR_SPURIOUS)
        lapic_eoi();
}

void trap_handle(struct trap_frame *frame)
{
    if (frame->vector == VEC_NMI)
        handle_nmi();
    else if (frame->vector < VEC_EXCEPTIONS)
        handle_exception(frame);
    else
        handle_irq((uint8_t)frame->vector);
}
