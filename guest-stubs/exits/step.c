/* SPDX-License-Identifier: MIT */
/*
 * Single steps.  With RFLAGS.TF set, #DB with DR6.BS follows each instruction, whether the CPU has
 * executed it or a hypervisor.  A MOV to SS holds it back by one instruction.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define DR6_BS BIT(14)

SNIPPET(step_nop, "nop");
SNIPPET(step_cpuid, "cpuid");
SNIPPET(step_rdmsr, "rdmsr");
SNIPPET(step_wrmsr, "wrmsr");
SNIPPET(step_in, "in %dx, %al");
SNIPPET(step_out, "out %al, %dx");
SNIPPET(step_rdtsc, "rdtsc");
SNIPPET(step_pause, "pause");
SNIPPET(step_mov_cr0, "mov %rax, %cr0");
SNIPPET(step_mov_cr8, "mov %rax, %cr8");
SNIPPET(step_wbinvd, "wbinvd");
SNIPPET(step_vmcall, "vmcall");
SNIPPET(step_vmmcall, "vmmcall");
SNIPPET(step_mmio, "mov (%rdi), %eax");
SNIPPET(step_insb, "insb");

/* The instruction is all of the code, and rax, rcx and rdx its operands. */
static void check_step(const uint8_t *code, const uint8_t *end, uint64_t rax, uint64_t rcx,
                       uint64_t rdx, const char *what)
{
    static uint8_t buffer[8];
    struct frame frame = kernel_frame(code);

    frame.rax = rax;
    frame.rcx = rcx;
    frame.rdx = rdx;
    frame.rdi = code == step_mmio ? LAPIC_BASE + LAPIC_VERSION : (uint64_t)buffer;
    frame.rflags |= RFLAGS_TF;
    run(&frame);
    check(trap.vector == VEC_DB && trap.rip == (uint64_t)end && dr6_has(DR6_BS),
          "%s is stepped over", what);
}

#define STEP(name, rax, rcx, rdx) check_step(step_##name, step_##name##_end, rax, rcx, rdx, #name)

SNIPPET(step_ss, "mov %eax, %ss; nop; nop");

static void check_mov_ss(void)
{
    struct frame frame = kernel_frame(step_ss);

    frame.rax = SEL_DATA;
    frame.rflags |= RFLAGS_TF;
    run(&frame);
    check(trap.vector == VEC_DB && trap.rip == (uint64_t)step_ss + 3 && dr6_has(DR6_BS),
          "MOV SS and the instruction behind it are one step");
}

/* Each iteration of a REP is a step. */
SNIPPET(step_rep, "rep insb");
SNIPPET(step_rep_mmio, "rep stosb");

static void check_rep(void)
{
    static uint8_t buffer[8];
    struct frame frame = kernel_frame(step_rep);

    frame.rdx = 0x3ff;
    frame.rcx = 3;
    frame.rdi = (uint64_t)buffer;
    frame.rflags |= RFLAGS_TF;
    run(&frame);
    check(trap.vector == VEC_DB && trap.rip == (uint64_t)step_rep && frame.rcx == 2 &&
              frame.rdi == (uint64_t)buffer + 1,
          "an iteration of REP INSB is a step");
    frame = kernel_frame(step_rep_mmio);
    frame.rcx = 3;
    frame.rdi = 0xd0000000; /* where nothing is */
    frame.rflags |= RFLAGS_TF;
    run(&frame);
    check(trap.vector == VEC_DB && trap.rip == (uint64_t)step_rep_mmio && frame.rcx == 2 &&
              frame.rdi == 0xd0000001 && dr6_has(DR6_BS),
          "and so is one of REP STOSB to a device");
}

void exits_step(void)
{
    STEP(nop, 0, 0, 0);
    STEP(cpuid, 0, 0, 0);
    STEP(rdmsr, 0, MSR_PAT, 0);
    STEP(wrmsr, 0, MSR_TSC_ADJUST, 0);
    STEP(in, 0, 0, 0x3ff);
    STEP(out, 0, 0, 0x3ff);
    STEP(insb, 0, 0, 0x3ff);
    STEP(rdtsc, 0, 0, 0);
    if (on_qemu_tcg())
        skip("PAUSE", "QEMU's emulated CPU does not step over it");
    else
        STEP(pause, 0, 0, 0);
    STEP(mov_cr0, read_cr0(), 0, 0);
    STEP(mov_cr8, 0, 0, 0);
    STEP(wbinvd, 0, 0, 0);
    STEP(mmio, 0, 0, 0);
    if (is_amd())
        STEP(vmmcall, 0x1000, 0, 0);
    else
        STEP(vmcall, 0x1000, 0, 0);
    check_mov_ss();
    check_rep();
}
