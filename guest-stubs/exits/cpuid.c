/* SPDX-License-Identifier: MIT */
/*
 * CPUID.  What a leaf shows must be what the guest gets: a feature that is hidden raises #UD or
 * refuses its CR4 bit, one that is shown works.  Some bits follow the vCPU's state: OSXSAVE is
 * CR4's, and leaf 0Dh gives the size of the XSAVE area for what XCR0 enables.  The results are 32
 * bits wide and clear the upper halves of the four registers.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

enum reg { EAX, EBX, ECX, EDX };

static const struct {
    uint32_t leaf;
    enum reg reg;
    uint8_t bit;
    bool shown;
    const char *name;
} bits[] = {
    {1, ECX, 3, false, "MONITOR"},
    {1, ECX, 5, false, "VMX"},
    {1, ECX, 6, false, "SMX"},
    {1, ECX, 15, false, "PDCM, the performance capabilities"},
    {1, ECX, 21, true, "x2APIC"},
    {1, ECX, 24, true, "the TSC deadline"},
    {1, ECX, 31, true, "the hypervisor bit"},
    {1, EDX, 4, true, "TSC"},
    {1, EDX, 5, true, "MSR"},
    {1, EDX, 6, true, "PAE"},
    {1, EDX, 9, true, "APIC"},
    {1, EDX, 12, true, "MTRR"},
    {1, EDX, 16, true, "PAT"},
    {1, EDX, 21, false, "the debug store"},
    {7, EBX, 1, true, "TSC_ADJUST"},
    {7, EBX, 2, false, "SGX"},
    {7, ECX, 5, false, "WAITPKG"},
    {0x80000001, ECX, 2, false, "SVM"},
    {0x80000001, ECX, 10, false, "IBS"},
    {0x80000001, ECX, 23, false, "AMD's performance counters"},
    {0x80000001, ECX, 29, false, "MONITORX"},
    {0x80000001, EDX, 29, true, "long mode"},
};

static uint32_t reg_of(const struct cpuid *r, enum reg reg)
{
    const uint32_t values[] = {r->eax, r->ebx, r->ecx, r->edx};

    return values[reg];
}

static void check_bits(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++) {
        const struct cpuid r = cpuid(bits[i].leaf, 0);
        bool shown = reg_of(&r, bits[i].reg) >> bits[i].bit & 1;

        check(shown == bits[i].shown, "CPUID %s %s", bits[i].shown ? "shows" : "hides",
              bits[i].name);
    }
}

static void check_zero(uint32_t leaf, const char *what)
{
    const struct cpuid r = cpuid(leaf, 0);

    check_equal(r.eax | r.ebx | r.ecx | r.edx, 0, "CPUID leaf 0x%x (%s) is zero", leaf, what);
}

static void check_limits(void)
{
    const struct cpuid first = cpuid(0, 0);
    const struct cpuid address = cpuid(0x80000008, 0);

    check(first.eax >= 7 && first.eax <= 0x20, "the last basic leaf is 0x%x", first.eax);
    check(first.ebx == 0x756e6547 || first.ebx == 0x68747541,
          "the vendor is GenuineIntel or AuthenticAMD");
    check((address.eax & 0xff) >= 36 && (address.eax & 0xff) <= 48,
          "physical addresses have %u bits", address.eax & 0xff);
    check_equal(cpuid(1, 0).ebx >> 24, 0, "the first vCPU's APIC id is 0");
    check_zero(5, "MONITOR");
    check_zero(0xa, "performance monitoring");
    check_zero(0x8000000a, "SVM");
    check_zero(0x4ffffff0, "of no hypervisor interface");
}

/* 16h says MHz, 15h a ratio and a crystal: either nothing, or what the TSC does. */
static void check_frequency(void)
{
    uint64_t mhz = cpuid(0, 0).eax >= 0x16 ? cpuid(0x16, 0).eax & 0xffff : 0;
    uint64_t measured = tsc_per_ms() / 1000;

    check(mhz == 0 || (mhz >= measured * 9 / 10 && mhz <= measured * 11 / 10),
          "CPUID leaf 16h says nothing (0) or the TSC's frequency (%lu MHz): %lu", measured, mhz);
}

SNIPPET(cpuid_only, "cpuid");

static void check_upper_halves(void)
{
    struct frame frame = kernel_frame(cpuid_only);
    const struct cpuid expected = cpuid(0, 0);

    frame.rax = 0xffffffff00000000;
    frame.rcx = 0xffffffff00000000;
    frame.rbx = frame.rdx = ~0ull;
    run(&frame);
    check(frame.rax == expected.eax && frame.rbx == expected.ebx && frame.rcx == expected.ecx &&
              frame.rdx == expected.edx,
          "CPUID looks at 32 bits and clears the upper halves");
}

/* ---- XSAVE ---------------------------------------------------------------------------------- */

static void xsetbv(uint64_t value)
{
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void check_xsave_size(uint64_t xcr0, uint32_t expected)
{
    const struct cpuid possible = cpuid(0xd, 0);

    if ((possible.eax & xcr0) != xcr0) {
        skip("the size of the XSAVE area", "a component is missing");
        return;
    }
    xsetbv(xcr0);
    check_equal(cpuid(0xd, 0).ebx, expected, "leaf 0Dh gives the size for XCR0 = %lu", xcr0);
}

static void check_xsave(void)
{
    uint64_t cr4 = read_cr4();

    if (!HAS(1, 0, ecx, 26)) {
        skip("OSXSAVE and leaf 0Dh", "the CPU has no XSAVE");
        return;
    }
    write_cr4(cr4 & ~CR4_OSXSAVE);
    check(!HAS(1, 0, ecx, 27), "OSXSAVE is clear while CR4's is");
    write_cr4(cr4 | CR4_OSXSAVE);
    check(HAS(1, 0, ecx, 27), "OSXSAVE is set when CR4's is");
    check((cpuid(0xd, 0).eax & 3) == 3, "leaf 0Dh offers x87 and SSE");
    check_xsave_size(1, 576);
    check_xsave_size(3, 576);
    check_xsave_size(7, 832);
    check(cpuid(0xd, 0).ecx >= cpuid(0xd, 0).ebx, "no size is more than the greatest");
    xsetbv(1);
    write_cr4(cr4);
}

/* ---- What is shown works, what is hidden does not ---------------------------------------------
 */

static void check_presence(bool shown, const char *name)
{
    if (shown)
        check_no_fault("%s is shown and works", name);
    else
        check_fault(VEC_UD, 0, "%s is hidden and raises #UD", name);
}

static void check_instructions(void)
{
    static const struct {
        uint64_t type, address;
    } descriptor = {0, 0x1000};
    static uint8_t area[4096] __attribute__((aligned(64)));
    uint64_t scratch, low = 0, high = 0, count = 0;

    TRY("rdtscp", : "+a"(low), "+d"(high), "+c"(count));
    check_presence(HAS(0x80000001, 0, edx, 27), "RDTSCP");
    TRY("invpcid %1, %0", : : "r"(0ull), "m"(descriptor) : "memory");
    check_presence(HAS(7, 0, ebx, 10), "INVPCID");
    TRY(".byte 0xf3, 0x0f, 0xc7, 0xf8", : "=a"(scratch)); /* RDPID RAX */
    check_presence(HAS(7, 0, ecx, 22), "RDPID");
    if (!HAS(1, 0, ecx, 26))
        return;
    write_cr4(read_cr4() | CR4_OSXSAVE);
    TRY("xsaves (%0)", : : "r"(area), "a"(1), "d"(0) : "memory");
    check_presence(HAS(0xd, 1, eax, 3), "XSAVES");
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

void exits_cpuid(void)
{
    check_bits();
    check_limits();
    check_frequency();
    check_upper_halves();
    check_xsave();
    check_instructions();
}
