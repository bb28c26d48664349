/* SPDX-License-Identifier: MIT */
/*
 * RDMSR and WRMSR.  An MSR that does not exist raises #GP(0), and so does a reserved bit, an
 * address that is not canonical, a memory type that is none.  RDMSR gives 32 bits in EDX and EAX
 * each and clears the upper halves of RDX and RAX.  Of EFER, LMA is read-only, LME must not change
 * while paging is on.  PRED_CMD is write-only.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define NOT_CANONICAL 0x8000000000000000ull
#define PAT_RESET     0x0007040600070406ull

/* ---- None, and those of hidden features -------------------------------------------------------
 */

static const struct {
    uint32_t msr;
    const char *name;
} missing[] = {
    {0x12345678, "of no CPU"},        {0xc001ffff, "behind AMD's"},
    {0x00000186, "IA32_PERFEVTSEL0"}, {0x0000038f, "IA32_PERF_GLOBAL_CTRL"},
    {0x00000480, "IA32_VMX_BASIC"},   {0x4b564dff, "behind KVM's"},
    {0xc0010117, "VM_HSAVE_PA"},
};

SNIPPET(rdmsr_only, "rdmsr");

static void check_missing(void)
{
    struct frame frame = kernel_frame(rdmsr_only);

    for (unsigned int i = 0; i < ARRAY_SIZE(missing); i++) {
        try_rdmsr(missing[i].msr);
        check_fault(VEC_GP, 0, "reading MSR 0x%x, %s, raises #GP", missing[i].msr, missing[i].name);
        try_wrmsr(missing[i].msr, 0);
        check_fault(VEC_GP, 0, "and so does writing it");
    }
    frame.rcx = missing[0].msr;
    frame.rax = frame.rdx = 0x1122334455667788;
    run(&frame);
    check(trap.vector == VEC_GP && frame.rax == 0x1122334455667788 && frame.rdx == frame.rax,
          "a refused RDMSR changes no register");
    frame = kernel_frame(rdmsr_only);
    frame.rcx = 0xffffffff00000000 | MSR_EFER;
    frame.rax = frame.rdx = ~0ull;
    run(&frame);
    check(trap.vector == VEC_END && frame.rdx == 0 && frame.rax == rdmsr(MSR_EFER),
          "RDMSR looks at ECX alone and clears the upper halves");
}

/* ---- Plain registers --------------------------------------------------------------------------
 */

static void check_round_trip(uint32_t msr, uint64_t value, const char *name)
{
    uint64_t old = rdmsr(msr);

    wrmsr(msr, value);
    check_equal(rdmsr(msr), value, "%s holds what is written", name);
    wrmsr(msr, old);
}

static void check_system_calls(void)
{
    static const struct {
        uint32_t msr;
        const char *name;
    } addresses[] = {
        {MSR_LSTAR, "LSTAR"},
        {MSR_CSTAR, "CSTAR"},
        {MSR_FS_BASE, "FS.base"},
        {MSR_GS_BASE, "GS.base"},
        {0x175, "SYSENTER_ESP"},
        {0x176, "SYSENTER_EIP"},
        {MSR_KERNEL_GS_BASE, "KernelGSBase"},
    };

    check_round_trip(MSR_STAR, 0x0023001000112233, "STAR");
    check_round_trip(MSR_SFMASK, 0x00047700, "SFMASK");
    check_round_trip(0x174, 0x10, "SYSENTER_CS");
    for (unsigned int i = 0; i < ARRAY_SIZE(addresses); i++) {
        check_round_trip(addresses[i].msr, 0xffff800012345678, addresses[i].name);
        if (on_qemu_tcg()) {
            skip("an address that is not canonical", "QEMU's emulated CPU does not check it");
            continue;
        }
        try_wrmsr(addresses[i].msr, NOT_CANONICAL);
        check_fault(VEC_GP, 0, "%s refuses an address that is not canonical", addresses[i].name);
    }
    wrmsr(MSR_GS_BASE, 0x1000);
    wrmsr(MSR_KERNEL_GS_BASE, 0x2000);
    __asm__ volatile("swapgs");
    check(rdmsr(MSR_GS_BASE) == 0x2000 && rdmsr(MSR_KERNEL_GS_BASE) == 0x1000,
          "SWAPGS changes them over");
    wrmsr(MSR_GS_BASE, 0);
    if (HAS(0x80000001, 0, edx, 27)) {
        uint32_t low, high, aux;

        wrmsr(MSR_TSC_AUX, 0x1234);
        __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
        check_equal(aux, 0x1234, "RDTSCP gives what is in TSC_AUX");
    }
}

/* ---- EFER -------------------------------------------------------------------------------------
 */

static void check_efer_refuses(uint64_t bit, const char *what)
{
    uint64_t efer = rdmsr(MSR_EFER);

    try_wrmsr(MSR_EFER, efer ^ bit);
    check_fault(VEC_GP, 0, "EFER: %s raises #GP", what);
    check_equal(rdmsr(MSR_EFER), efer, "and changes nothing");
}

/* With NXE, bit 63 forbids execution; without, it is reserved. */
static void check_nx(void)
{
    static uint8_t page[4096] __attribute__((aligned(4096))) = {0xcd, 0x80};
    struct frame frame = kernel_frame(page);
    uint64_t efer = rdmsr(MSR_EFER), entry = page_get((uint64_t)page);

    if (!HAS(0x80000001, 0, edx, 20)) {
        skip("EFER.NXE", "the CPU has no NX");
        return;
    }
    wrmsr(MSR_EFER, efer | EFER_NXE);
    page_set((uint64_t)page, entry | PAGE_NX);
    run(&frame);
    check(trap.vector == VEC_PF && trap.error == (PF_P | PF_I) && trap.cr2 == (uint64_t)page,
          "EFER.NXE: a page with the NX bit is not executed");
    wrmsr(MSR_EFER, efer);
    frame = kernel_frame(page);
    run(&frame);
    /* QEMU's emulated CPU leaves the P bit out of the error code for a reserved bit. */
    check(trap.vector == VEC_PF && trap.error == (on_qemu_tcg() ? PF_R : PF_P | PF_R),
          "without it the bit is a reserved one");
    page_set((uint64_t)page, entry);
}

static void check_efer(void)
{
    uint64_t efer = rdmsr(MSR_EFER);

    check(!(efer & EFER_SVME), "EFER.SVME reads as 0");
    try_wrmsr(MSR_EFER, efer);
    check_no_fault("EFER can be written with what it holds");
    check_efer_refuses(EFER_SVME, "setting SVME");
    check_efer_refuses(EFER_LME, "clearing LME while paging is on");
    check_efer_refuses(BIT(1), "setting bit 1");
    check_efer_refuses(BIT(9), "setting bit 9");
    check_efer_refuses(BIT(63), "setting bit 63");
    try_wrmsr(MSR_EFER, efer & ~EFER_LMA); /* ignored, or refused: the manuals differ */
    check(rdmsr(MSR_EFER) & EFER_LMA, "EFER.LMA cannot be cleared by a write");
    wrmsr(MSR_EFER, efer | EFER_SCE);
    check_equal(rdmsr(MSR_EFER), efer | EFER_SCE, "EFER.SCE can be set");
    wrmsr(MSR_EFER, efer);
    check_nx();
}

/* ---- Memory types -----------------------------------------------------------------------------
 */

static void check_refused(uint32_t msr, uint64_t value, const char *what)
{
    uint64_t old = rdmsr(msr);

    try_wrmsr(msr, value);
    check_fault(VEC_GP, 0, "%s raises #GP", what);
    check_equal(rdmsr(msr), old, "and changes nothing");
}

static void check_memory_types(void)
{
    check_equal(rdmsr(MSR_PAT), PAT_RESET, "PAT has its value after a reset");
    check_round_trip(MSR_PAT, 0x0001040506070007, "PAT");
    check_refused(MSR_PAT, 0x0007040600070402, "PAT: memory type 2");
    check_refused(MSR_PAT, 0x0807040600070406, "PAT: memory type 8");
    check((rdmsr(MSR_MTRRCAP) & 0xff) >= 1, "there are variable MTRRs");
    try_wrmsr(MSR_MTRRCAP, 0);
    check_fault(VEC_GP, 0, "MTRRCAP cannot be written");
    check_equal(rdmsr(MSR_MTRR_DEF_TYPE) & 0x8ff, 0x806, "MTRRs are on, the default is write-back");
    check_round_trip(MSR_MTRR_DEF_TYPE, 0xc01, "the MTRRs' default type");
    check_refused(MSR_MTRR_DEF_TYPE, 0xc02, "MTRRs: a default of type 2");
    check_refused(MSR_MTRR_DEF_TYPE, 0x1c06, "MTRRs: a reserved bit of the default type");
    check_round_trip(MSR_MTRR_PHYSBASE0, 0x80000001, "a variable MTRR's base");
    check_round_trip(MSR_MTRR_PHYSMASK0, 0xf80000800, "a variable MTRR's mask");
    check_refused(MSR_MTRR_PHYSBASE0, 0x80000003, "MTRRs: a range of type 3");
    check_refused(MSR_MTRR_PHYSBASE0, 0x80000106, "MTRRs: a reserved bit of a base");
    check_refused(MSR_MTRR_PHYSMASK0, BIT(60), "MTRRs: a mask beyond physical addresses");
    check_round_trip(MSR_MTRR_FIX64K, 0x0606050504010006, "a fixed MTRR");
    check_refused(MSR_MTRR_FIX64K, 0x0606060606060602, "MTRRs: type 2 in a fixed one");
}

/* ---- Virtualization, locked off ---------------------------------------------------------------
 */

static void check_locked(void)
{
    if (is_amd())
        check_equal(rdmsr(0xc0010114) & 0x18, 0x18, "VM_CR says that SVM is disabled and locked");
    else
        check_equal(rdmsr(0x3a) & 7, 1, "FEATURE_CONTROL is locked and allows no VMX");
}

/* ---- Speculation: what CPUID shows is there, and no more ------------------------------------ */

#define MSR_SPEC_CTRL         0x48
#define MSR_PRED_CMD          0x49
#define MSR_ARCH_CAPABILITIES 0x10a

static void check_speculation(void)
{
    try_wrmsr(MSR_PRED_CMD, 1);
    if (HAS(0x80000008, 0, ebx, 12))
        check_no_fault("IBPB can be asked for");
    else
        check_fault(VEC_GP, 0, "IBPB that CPUID does not show raises #GP");
    try_wrmsr(MSR_PRED_CMD, 2);
    check_fault(VEC_GP, 0, "PRED_CMD has no other command");
    try_rdmsr(MSR_PRED_CMD);
    check_fault(VEC_GP, 0, "and cannot be read");
    try_rdmsr(MSR_ARCH_CAPABILITIES);
    if (HAS(7, 0, edx, 29))
        check_no_fault("ARCH_CAPABILITIES is there where CPUID says so");
    else
        check_fault(VEC_GP, 0, "ARCH_CAPABILITIES that CPUID does not show raises #GP");
    check(!HAS(7, 0, edx, 26), "CPUID shows no SPEC_CTRL");
    try_wrmsr(MSR_SPEC_CTRL, 0);
    check_fault(VEC_GP, 0, "and writing it raises #GP");
}

void exits_msr(void)
{
    check_missing();
    check_system_calls();
    check_efer();
    check_memory_types();
    check_locked();
    check_speculation();
}
