/* SPDX-License-Identifier: MIT */
/* Saving and restoring a vCPU's x87, SSE and extended state by XSAVE, or by FXSAVE where there is
 * none. */
#include "arch/x86/fpu.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/regs.h"
#include "hv/addr.h"
#include "hv/string.h"

STATIC_ASSERT(offsetof(struct xsave_area, mxcsr) == 24, "MXCSR in the legacy region");
STATIC_ASSERT(offsetof(struct xsave_area, xmm) == 160, "XMM0 in the legacy region");
STATIC_ASSERT(offsetof(struct xsave_area, xstate_bv) == 512, "the XSAVE header");
STATIC_ASSERT(sizeof(struct xsave_area) == 576, "legacy region and header");

/* What guests may be shown: not MPX, which leaf 7 hides, nor AMX, whose XFD would have to be
 * switched. */
#define KNOWN_STATE (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)

static uint64_t host_mask = XCR0_X87 | XCR0_SSE;
static size_t area_size = sizeof(struct xsave_area);
static bool
    clear_pointers; /* FXRSTOR and XRSTOR keep the last x87 pointers of whoever ran before */

uint64_t fpu_host_mask(void)
{
    return host_mask;
}

uint64_t fpu_area_pages(void)
{
    return (area_size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/*
 * Bochs 2.7 begins the compacted format at byte 416 instead of 576: AVX's upper halves of YMM6 to
 * YMM9 lie where the header is written next, and are lost.  (XSAVEC of a register file with ones in
 * ZMM1 shows them at 432.)  Programs of guests that use both AVX-512 and these crash.  It shows in
 * leaf 0Dh, whose size of that format is not that of its components.
 */
static void distrust_compaction(void)
{
    if (cpuid(0xd, 1).ebx == cpuid_xsave_size(host_mask, true))
        return;
    host_cpuid.has[FEATURE_XSAVEC] = host_cpuid.has[FEATURE_XSAVES] = false;
}

void fpu_init(void)
{
    clear_pointers = host_cpuid.vendor == VENDOR_AMD && !cpu_has(FEATURE_XSAVEERPTR);
    if (cpu_has(FEATURE_XSAVE)) {
        struct cpuid_regs r = cpuid(0xd, 0);

        host_mask = ((uint64_t)r.edx << 32 | r.eax) & KNOWN_STATE;
        xsetbv(0, host_mask);
        area_size = cpuid(0xd, 0).ebx; /* for what XCR0 holds now */
    }
    if (cpu_has(FEATURE_XSAVES))
        wrmsr(MSR_XSS, 0);
    if (cpu_has(FEATURE_XSAVEC))
        distrust_compaction();
    __asm__ volatile("fninit");
}

void fpu_state_init(struct fpu_state *state, void *area)
{
    memset(area, 0, area_size);
    *state = (struct fpu_state){.area = area, .xcr0 = XCR0_X87};
    state->area->fcw = FCW_INIT;
    state->area->mxcsr = MXCSR_INIT;
    state->area->xstate_bv = XCR0_X87 | XCR0_SSE; /* the rest: initial */
}

void fpu_save(struct fpu_state *state)
{
    struct xsave_area *area = state->area;

    if (!cpu_has(FEATURE_XSAVE)) {
        __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
        return;
    }
    state->xcr0 = xgetbv(0);
    if (state->xcr0 != host_mask)
        xsetbv(0, host_mask);
    if (state->xss)
        wrmsr(MSR_XSS, 0);
    __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"((uint32_t)host_mask),
                     "d"((uint32_t)(host_mask >> 32))
                     : "memory");
}

/*
 * AMD's CPUs save and restore the x87 instruction and data pointers only while an exception is
 * pending, so the pointers of the guest before would show (CVE-2006-1056).  A harmless load
 * replaces them.
 */
static void overwrite_x87_pointers(void)
{
    static const uint32_t zero;

    __asm__ volatile("fnclex; emms; fildl %0" ::"m"(zero));
}

void fpu_restore(const struct fpu_state *state)
{
    const struct xsave_area *area = state->area;

    if (clear_pointers)
        overwrite_x87_pointers();
    if (!cpu_has(FEATURE_XSAVE)) {
        __asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
        return;
    }
    if (xgetbv(0) != host_mask)
        xsetbv(0, host_mask);
    __asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"((uint32_t)host_mask),
                     "d"((uint32_t)(host_mask >> 32))
                     : "memory");
    if (state->xcr0 != host_mask)
        xsetbv(0, state->xcr0);
    if (state->xss)
        wrmsr(MSR_XSS, state->xss);
}
