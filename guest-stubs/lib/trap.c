/* SPDX-License-Identifier: MIT */
/* The IDT, the TSS, and what becomes of a trap. */
#include "guest-stubs/lib/trap.h"

#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/stub.h"

#include <stdarg.h>

#define GATE_INTERRUPT 0x8e
#define GATE_DPL3      0x60
#define STACK_SIZE     4096
#define DR6_INIT       0xffff0ff0

extern const uint8_t vectors[256][16];
void context_run(struct frame *frame);
_Noreturn void context_leave(void);
void trap_dispatch(struct frame *frame);
_Noreturn void runtime_start(void);

struct trap trap;
uint64_t trap_begin, trap_resume;
void (*trap_handlers[256])(struct frame *frame);
struct gate idt[256] __attribute__((aligned(4096)));
struct tss tss __attribute__((aligned(16)));

static struct frame *context;
static uint8_t ist_stacks[3][STACK_SIZE] __attribute__((aligned(16)));
static uint8_t ring0_stack[STACK_SIZE] __attribute__((aligned(16)));
static uint8_t kernel_stack[STACK_SIZE] __attribute__((aligned(16)));
static uint8_t user_stack[STACK_SIZE] __attribute__((aligned(4096), section(".user")));

/* ---- A trap --------------------------------------------------------------------------------- */

void trap_clear(void)
{
    trap = (struct trap){.vector = VEC_NONE};
    BARRIER();
}

static void record(const struct frame *frame)
{
    trap = (struct trap){
        .vector = frame->vector, .error = frame->error, .rip = frame->rip, .rflags = frame->rflags};
    if (frame->vector == VEC_PF)
        trap.cr2 = read_cr2();
    if (frame->vector == VEC_DB) {
        trap.dr6 = read_dr6();
        write_dr6(DR6_INIT);
    }
}

static _Noreturn void unexpected(const struct frame *frame)
{
    print("# rax %lx rcx %lx rdx %lx rbx %lx rsi %lx rdi %lx rsp %lx\n", frame->rax, frame->rcx,
          frame->rdx, frame->rbx, frame->rsi, frame->rdi, frame->rsp);
    fail_at_once("no trap is unexpected: vector %lu, error 0x%lx, at %lx:%lx, rflags %lx, cr2 %lx",
                 frame->vector, frame->error, frame->cs, frame->rip, frame->rflags, read_cr2());
}

void trap_dispatch(struct frame *frame)
{
    if (trap_handlers[frame->vector]) {
        trap_handlers[frame->vector](frame);
    } else if (context) {
        record(frame);
        *context = *frame;
        context = 0;
        context_leave();
    } else if (trap_resume && frame->vector < 32) {
        record(frame);
        frame->rip = trap_resume;
        trap_resume = 0;
    } else {
        unexpected(frame);
    }
}

/* ---- Contexts ------------------------------------------------------------------------------- */

void run(struct frame *frame)
{
    trap_clear();
    context = frame;
    context_run(frame);
    BARRIER();
}

struct frame kernel_frame(const void *code)
{
    return (struct frame){.rip = (uint64_t)code,
                          .cs = SEL_CODE64,
                          .rflags = RFLAGS_ONE,
                          .rsp = (uint64_t)(kernel_stack + STACK_SIZE),
                          .ss = SEL_DATA};
}

struct frame user_frame(const void *code)
{
    return (struct frame){.rip = (uint64_t)code,
                          .cs = SEL_UCODE64,
                          .rflags = RFLAGS_ONE,
                          .rsp = (uint64_t)(user_stack + STACK_SIZE),
                          .ss = SEL_UDATA};
}

/* ---- Checks --------------------------------------------------------------------------------- */

#define CHECK_TRAP(ok, what)                    \
    do {                                        \
        va_list arguments;                      \
        bool good;                              \
                                                \
        va_start(arguments, what);              \
        good = check_list(ok, what, arguments); \
        va_end(arguments);                      \
        return good;                            \
    } while (0)

bool check_fault(unsigned int vector, uint64_t error, const char *what, ...)
{
    CHECK_TRAP(trap.vector == vector && trap.error == error && trap.rip == trap_begin, what);
}

bool check_no_fault(const char *what, ...)
{
    CHECK_TRAP(trap.vector == VEC_NONE, what);
}

uint64_t try_rdmsr(uint32_t msr)
{
    uint64_t low = 0, high = 0;

    TRY("rdmsr", : "+a"(low), "+d"(high) : "c"(msr) : "memory");
    return high << 32 | low;
}

void try_wrmsr(uint32_t msr, uint64_t value)
{
    TRY("wrmsr", : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* ---- The tables ----------------------------------------------------------------------------- */

static void set_gate(unsigned int vector, uint8_t dpl)
{
    uint64_t entry = (uint64_t)vectors[vector];

    idt[vector] = (struct gate){.offset_low = (uint16_t)entry,
                                .selector = SEL_CODE64,
                                .type = GATE_INTERRUPT | dpl,
                                .offset_middle = (uint16_t)(entry >> 16),
                                .offset_high = (uint32_t)(entry >> 32)};
}

void trap_set_stack(unsigned int vector, unsigned int ist)
{
    idt[vector].ist = (uint8_t)ist;
}

void trap_load_idt(const struct gate *base, uint16_t limit)
{
    const struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {limit, (uint64_t)base};

    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static void load_tss(void)
{
    uint64_t base = (uint64_t)&tss;

    tss.rsp[0] = (uint64_t)(ring0_stack + STACK_SIZE);
    for (unsigned int i = 0; i < ARRAY_SIZE(ist_stacks); i++)
        tss.ist[i + 1] = (uint64_t)(ist_stacks[i] + STACK_SIZE);
    tss.iomap_base = (uint16_t)((uint64_t)tss.iomap - base);
    memset(tss.iomap, 0xff, sizeof(tss.iomap));
    gdt[SEL_TSS / 8] =
        (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    gdt[SEL_TSS / 8 + 1] = base >> 32;
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
}

_Noreturn void runtime_start(void)
{
    for (unsigned int vector = 0; vector < 256; vector++)
        set_gate(vector, vector == VEC_BP || vector == VEC_OF || vector == VEC_END ? GATE_DPL3 : 0);
    trap_set_stack(VEC_DF, 1);
    trap_set_stack(VEC_END, 2); /* a context's stack pointer may be anything */
    trap_load_idt(idt, sizeof(idt) - 1);
    load_tss();
    page_allow_user();
    options_find();
    stub_main();
    finish();
}
