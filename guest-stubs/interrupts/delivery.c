/* SPDX-License-Identifier: MIT */
/*
 * Faults while an event is delivered.  The second fault is delivered instead, with an error code
 * that names the IDT's entry: vector * 8 + 2, + 1 (EXT) unless an instruction such as INT n asked
 * for the event.  A contributory fault during another one or during #PF, and #PF during #PF, become
 * #DF.  An INT n whose delivery faults is executed again after the handler's return.  What the
 * hypervisor injects behaves as what the CPU raises.
 */
#include "guest-stubs/interrupts/interrupts.h"

#include "guest-stubs/lib/page.h"

#define GATE_PRESENT 0x80
#define EXT          1u

/* QEMU's emulated CPU never sets EXT, and takes the vector times 16. */
static uint64_t idt_error(unsigned int vector, unsigned int ext)
{
    return on_qemu_tcg() ? vector * 16 + 2 : vector * 8 + 2 + ext;
}

static void spoil(unsigned int vector, bool spoilt)
{
    idt[vector].type =
        (uint8_t)(spoilt ? idt[vector].type & ~GATE_PRESENT : idt[vector].type | GATE_PRESENT);
    BARRIER();
}

SNIPPET(run_ud, "ud2");
SNIPPET(run_int, "int $0x70");
SNIPPET(run_rdmsr, "rdmsr");
SNIPPET(run_gp, "mov %rax, %cr4");
SNIPPET(run_not_canonical, "mov (%rax), %rcx");
SNIPPET(run_load, "mov (%rdi), %rax");

static uint8_t missing[4096] __attribute__((aligned(4096)));

/* Runs it with the gate of `vector` spoilt. */
static void run_spoilt(const uint8_t *code, unsigned int vector)
{
    struct frame frame = kernel_frame(code);

    frame.rax = BIT(63);
    frame.rcx = 0x12345678;
    frame.rdi = (uint64_t)missing;
    spoil(vector, true);
    run(&frame);
    spoil(vector, false);
}

static void check_not_present(void)
{
    run_spoilt(run_int, 0x70);
    check(trap.vector == VEC_NP && trap.error == idt_error(0x70, 0) &&
              trap.rip == (uint64_t)run_int,
          "INT 70h through a gate that is not present raises #NP at the INT");
    run_spoilt(run_ud, VEC_UD);
    check(trap.vector == VEC_NP && trap.error == idt_error(VEC_UD, EXT) &&
              trap.rip == (uint64_t)run_ud,
          "and so does #UD, with EXT");
}

static void check_double(const uint8_t *code, unsigned int vector, const char *what)
{
    run_spoilt(code, vector);
    check(trap.vector == VEC_DF && trap.error == 0, "%s becomes #DF", what);
}

static void check_doubles(void)
{
    uint64_t entry = page_get((uint64_t)missing);

    check_double(run_not_canonical, VEC_GP, "#GP of the CPU whose gate is not present");
    page_set((uint64_t)missing, 0);
    check_double(run_load, VEC_PF, "#PF whose gate is not present");
    page_set((uint64_t)missing, entry);
    if (on_qemu_tcg()) {
        skip("#DF from an exception that was injected",
             "QEMU's emulated CPU does not count an injected exception as the first one");
        return;
    }
    check_double(run_rdmsr, VEC_GP, "#GP of an unknown MSR");
    check_double(run_gp, VEC_GP, "#GP of a reserved bit of CR4");
}

/* An interrupt of a device: it has been accepted, and is in service when #NP comes in its place. */
void interrupts_refused(void)
{
    static const char code[] __attribute__((aligned(4))) = "\xfb\x90\x90\x90\xfa\xcd\x80";
    struct frame frame = kernel_frame(code);

    clear_counts();
    self_ipi(VEC_HIGH);
    spoil(VEC_HIGH, true);
    run(&frame);
    spoil(VEC_HIGH, false);
    check(trap.vector == VEC_NP && trap.error == idt_error(VEC_HIGH, EXT),
          "an interrupt through a gate that is not present raises #NP, with EXT");
    check(apic_read(LAPIC_ISR + (VEC_HIGH / 32) * 16) & 1u << VEC_HIGH % 32,
          "and it is in service");
    apic_write(LAPIC_EOI, 0);
    check_equal(taken[VEC_HIGH], 0, "its handler has not run");
}

/* ---- Pages that are not there -------------------------------------------------------------------
 */

static uint64_t faults, fault_address, fault_error;

/* Maps the page and goes back: what faulted is tried again. */
static void map_page(struct frame *frame)
{
    faults++;
    fault_address = read_cr2();
    fault_error = frame->error;
    page_set(fault_address & ~0xfffull, (fault_address & ~0xfffull) | PAGE_P | PAGE_W);
}

/* An IDT across two pages: the exceptions in the first, the rest in the second, which is not there.
 */
static void check_idt_page(void)
{
    static uint8_t area[8192] __attribute__((aligned(4096)));
    struct gate *split = (struct gate *)(area + 4096 - 32 * sizeof(struct gate));
    struct frame frame = kernel_frame(run_int);

    memcpy(split, idt, sizeof(idt));
    trap_load_idt(split, sizeof(idt) - 1);
    page_set((uint64_t)(area + 4096), 0);
    faults = 0;
    trap_handlers[VEC_PF] = map_page;
    run(&frame);
    trap_handlers[VEC_PF] = 0;
    trap_load_idt(idt, sizeof(idt) - 1);
    check(faults == 1 && fault_error == 0 && fault_address == (uint64_t)&split[0x70],
          "INT 70h through a page of the IDT that is not there raises #PF");
    check(trap.vector == 0x70 && trap.rip == (uint64_t)run_int_end,
          "and with the page mapped it is delivered");
}

USER_SNIPPET(user_int3, "int3");

static uint8_t other_stack[4096] __attribute__((aligned(4096)));

/* From CPL 3 a trap goes to the stack that the TSS names; its page is not there. */
static void check_stack_page(void)
{
    struct frame frame = user_frame(user_int3);
    uint64_t rsp0 = tss.rsp[0], entry = page_get((uint64_t)other_stack);

    tss.rsp[0] = (uint64_t)(other_stack + sizeof(other_stack));
    page_set((uint64_t)other_stack, 0);
    run(&frame);
    check(trap.vector == VEC_DF && trap.error == 0,
          "INT3 to a stack that is not there: #PF finds the same stack and becomes #DF");
    trap_set_stack(VEC_PF, 3);
    trap_handlers[VEC_PF] = map_page;
    faults = 0;
    frame = user_frame(user_int3);
    run(&frame);
    trap_handlers[VEC_PF] = 0;
    trap_set_stack(VEC_PF, 0);
    check(faults == 1 && fault_error == PF_W && fault_address == tss.rsp[0] - 8,
          "with a stack of its own #PF tells where the push has failed");
    check(trap.vector == VEC_BP && trap.rip == (uint64_t)user_int3_end,
          "and with the page mapped INT3 is delivered");
    tss.rsp[0] = rsp0;
    page_set((uint64_t)other_stack, entry);
}

/* ---- Exceptions of other code -------------------------------------------------------------------
 */

static uint8_t code32[16];

static void check_32(const char *code, unsigned int vector, unsigned int length, const char *what)
{
    struct frame frame = kernel_frame(code32);

    memcpy(code32, code, 8);
    frame.cs = SEL_CODE32;
    frame.rflags |= RFLAGS_OF;
    frame.rax = 5;
    frame.rdi = (uint64_t)missing;
    run(&frame);
    check(trap.vector == vector && trap.rip == (uint64_t)code32 + length, "%s", what);
}

USER_SNIPPET(user_misaligned, "mov 1(%rsp), %eax");

static void check_alignment(void)
{
    struct frame frame = user_frame(user_misaligned);

    if (on_qemu_tcg()) {
        skip("#AC", "QEMU's emulated CPU does not check alignment");
        return;
    }
    frame.rsp -= 64;
    frame.rflags |= RFLAGS_AC;
    run(&frame);
    check_equal(trap.vector, VEC_END, "without CR0.AM a user program may load what is not aligned");
    write_cr0(read_cr0() | CR0_AM);
    frame = user_frame(user_misaligned);
    frame.rsp -= 64;
    frame.rflags |= RFLAGS_AC;
    run(&frame);
    write_cr0(read_cr0() & ~CR0_AM);
    check(trap.vector == VEC_AC && trap.error == 0 && trap.rip == (uint64_t)user_misaligned,
          "with it, #AC");
}

/* ---- A breakpoint on the stack of its own handler
 * ------------------------------------------------ */

#define DR7_WATCH_WRITE8 0x90501 /* L0, GE's fixed bit, writing, 8 bytes */
#define MOST_TRAPS       8

static unsigned int debug_traps;

/* The first one's frame is written where the breakpoint watches, so that another follows at once.
 */
static void count_debug(struct frame *frame)
{
    frame->rflags &= ~RFLAGS_TF;
    if (++debug_traps == MOST_TRAPS)
        write_dr7(0x400);
}

SNIPPET(run_step, "pushf; orl $0x100, (%rsp); popf; nop; nop");

/* With a stack for the handler that does not move this would never end (CVE-2015-8104). */
static void check_debug_stack(void)
{
    struct frame frame = kernel_frame(run_step);

    if (on_qemu_tcg()) {
        skip("#DB during #DB",
             "QEMU aborts at a breakpoint that is hit while it delivers an event");
        return;
    }
    debug_traps = 0;
    trap_handlers[VEC_DB] = count_debug;
    __asm__ volatile("mov %0, %%dr0" : : "r"((frame.rsp & ~15ull) - 8));
    write_dr7(DR7_WATCH_WRITE8);
    run(&frame);
    write_dr7(0x400);
    trap_handlers[VEC_DB] = 0;
    check(trap.vector == VEC_END && debug_traps >= 2 && debug_traps < MOST_TRAPS,
          "a breakpoint on the stack of #DB's handler brings another #DB, and an end (%u)",
          debug_traps);
}

void interrupts_delivery(void)
{
    check_not_present();
    check_doubles();
    check_idt_page();
    check_stack_page();
    check_32("\xce\x90\x90\x90\x90\x90\x90", VEC_OF, 1, "INTO raises #OF behind itself");
    check_32("\x62\x07\x90\x90\x90\x90\x90", VEC_BR, 0, "BOUND raises #BR at itself");
    check_alignment();
    check_debug_stack();
}
