/* SPDX-License-Identifier: MIT */
/*
 * IA32_APIC_BASE.  Disabled, xAPIC and x2APIC are reached in this order; from x2APIC there is only
 * the way to disabled, and any other change raises #GP, as does a reserved bit.  The MSRs 800h to
 * 8FFh exist in x2APIC mode alone; there the registers that do not exist, those that cannot be read
 * or written and reserved bits raise #GP.  Being disabled loses the state, and clears
 * CPUID.1:EDX.APIC.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define ENABLE BIT(11)
#define EXTD   BIT(10)

static void check_x2apic(uint32_t version)
{
    check_equal(rdmsr(MSR_X2APIC + 0x02), 0, "the id is 0");
    check_equal(rdmsr(MSR_X2APIC + 0x03), version, "the version is the same in both modes");
    try_rdmsr(MSR_X2APIC + 0x0e);
    check_fault(VEC_GP, 0, "there is no DFR");
    try_wrmsr(MSR_X2APIC + 0x03, 0);
    check_fault(VEC_GP, 0, "the version cannot be written");
    try_rdmsr(MSR_X2APIC + 0x0b);
    check_fault(VEC_GP, 0, "EOI cannot be read");
    try_wrmsr(MSR_X2APIC + 0x0b, 1);
    check_fault(VEC_GP, 0, "EOI takes nothing but 0");
    try_rdmsr(MSR_X2APIC + 0x31);
    check_fault(VEC_GP, 0, "there is no second half of ICR");
    try_wrmsr(MSR_X2APIC + 0x08, 0x100);
    check_fault(VEC_GP, 0, "a reserved bit of TPR is refused");
    try_rdmsr(MSR_X2APIC + 0x3f);
    check_fault(VEC_GP, 0, "SELF IPI cannot be read");
    try_rdmsr(MSR_X2APIC + 0xff);
    check_fault(VEC_GP, 0, "behind the last register there is none");
    wrmsr(MSR_X2APIC + 0x08, 0x50);
    check(rdmsr(MSR_X2APIC + 0x08) == 0x50 && read_cr8() == 5,
          "TPR is an MSR, and CR8 its upper half");
    wrmsr(MSR_X2APIC + 0x08, 0);
}

void exits_apic_base(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    uint32_t version = lapic_read(LAPIC_VERSION);

    check_equal(base, 0xfee00900,
                "the local APIC is enabled at its place, and this is the first CPU");
    try_rdmsr(MSR_X2APIC + 0x02);
    check_fault(VEC_GP, 0, "in xAPIC mode the MSRs do not exist");
    try_wrmsr(MSR_APIC_BASE, base | BIT(9));
    check_fault(VEC_GP, 0, "APIC_BASE refuses a reserved bit");
    try_wrmsr(MSR_APIC_BASE, base | BIT(60));
    check_fault(VEC_GP, 0, "and an address beyond physical addresses");
    if (!HAS(1, 0, ecx, 21)) {
        skip("x2APIC", "the CPU has none");
        return;
    }
    wrmsr(MSR_APIC_BASE, base | EXTD);
    check_equal(rdmsr(MSR_APIC_BASE), base | EXTD, "from xAPIC to x2APIC");
    check_x2apic(version);
    try_wrmsr(MSR_APIC_BASE, base);
    check_fault(VEC_GP, 0, "from x2APIC to xAPIC there is no way");
    try_wrmsr(MSR_APIC_BASE, (base | EXTD) & ~ENABLE);
    check_fault(VEC_GP, 0, "nor to EXTD without EN");
    wrmsr(MSR_APIC_BASE, base & ~ENABLE);
    check(!HAS(1, 0, edx, 9), "disabled: CPUID does not show it any more");
    try_wrmsr(MSR_APIC_BASE, base | EXTD);
    check_fault(VEC_GP, 0, "from disabled to x2APIC there is no way");
    wrmsr(MSR_APIC_BASE, base);
    check(HAS(1, 0, edx, 9), "enabled again, it is shown again");
    check_equal(lapic_read(LAPIC_SVR), 0xff, "and has lost its state: SVR is as after a reset");
}
