/* SPDX-License-Identifier: MIT */
/*
 * CPUID as a guest sees it, over this machine's own: what is hidden and what is added, the topology
 * of 1 to 32 vCPUs, sizes of XSAVE areas, and that the rest of the policy agrees.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/regs.h"
#include "hv/emul.h"
#include "hv/util.h"

#include <string.h>

static struct vcpu *const vcpu = &fake_vcpus[0];

static struct cpuid_regs show(unsigned int id, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs regs;

    emul_cpuid_get(&fake_vcpus[id], leaf, subleaf, &regs);
    return regs;
}

static bool is_zero(struct cpuid_regs r)
{
    return !(r.eax | r.ebx | r.ecx | r.edx);
}

static void test_policy(void)
{
    struct cpuid_regs one, seven, extended, kvm;
    bool zero = true;

    fake_start(1);
    one = show(0, 1, 0);
    seven = show(0, 7, 0);
    extended = show(0, 0x80000001, 0);
    CHECK((one.ecx & BIT(31)) && (one.ecx & BIT(21)) && (one.ecx & BIT(24)),
          "hypervisor, x2APIC and TSC deadline are shown whatever the host has");
    CHECK(!(one.ecx & (BIT(3) | BIT(5) | BIT(6))), "MONITOR, VMX and SMX are hidden");
    CHECK(!(extended.ecx & (BIT(2) | BIT(29) | BIT(12))), "SVM, MWAITX and SKINIT are hidden");
    CHECK((seven.ebx & BIT(1)) && !(seven.ebx & (BIT(2) | BIT(14) | BIT(25))) &&
              !(seven.ecx & (BIT(5) | BIT(7) | BIT(16))),
          "TSC_ADJUST is shown; SGX, MPX, PT, WAITPKG, CET and LA57 are not");
    for (uint32_t leaf = 0x40000002; leaf < 0x40000200; leaf++)
        zero &= leaf == 0x40000100 || leaf == 0x40000101 || is_zero(show(0, leaf, 0));
    zero &= is_zero(show(0, 5, 0)) && is_zero(show(0, 0xa, 0)) && is_zero(show(0, 0x15, 0)) &&
            is_zero(show(0, 0x16, 0)) && is_zero(show(0, 0x8000000a, 0)) &&
            is_zero(show(0, 0x8000001f, 0)) && is_zero(show(0, 0xc0000000, 0)) &&
            is_zero(show(0, 7, 1)) && is_zero(show(0, 0xffffffff, 0)) && is_zero(show(0, 0x20, 0));
    CHECK(zero, "MWAIT, PMU, frequencies, SVM and what is unknown read as 0");
    kvm = show(0, 0x40000000, 0);
    CHECK(!memcmp(&kvm.ebx, "KVMKVMKVM\0\0\0", 12) && kvm.eax == 0x40000001, "KVM's signature");
    CHECK(show(0, 0, 0).eax <= 0x1f && show(0, 0x80000000, 0).eax <= 0x8000001e,
          "the last leaves are known ones");
    CHECK((show(0, 0x80000008, 0).eax & 0xff) <= 48, "physical addresses have 48 bits at most");
}

/* The bits of the host that a guest may not see at all: shown is a subset of host and forced. */
static void test_subset(void)
{
    struct cpuid_regs host = cpuid(1, 0);
    struct cpuid_regs seven = cpuid(7, 0);
    struct cpuid_regs extended = cpuid(0x80000001, 0);

    fake_start(1);
    CHECK(!(show(0, 1, 0).ecx & ~(host.ecx | BIT(21) | BIT(24) | BIT(31))) &&
              !(show(0, 1, 0).edx & ~host.edx),
          "leaf 1 shows no feature that the host lacks");
    CHECK(!(show(0, 7, 0).ebx & ~(seven.ebx | BIT(1))) && !(show(0, 7, 0).ecx & ~seven.ecx) &&
              !(show(0, 7, 0).edx & ~seven.edx),
          "nor does leaf 7");
    CHECK(!(show(0, 0x80000001, 0).ecx & ~extended.ecx) &&
              !(show(0, 0x80000001, 0).edx & ~extended.edx),
          "nor 80000001h");
}

static void test_state(void)
{
    fake_start(1);
    CHECK(!(show(0, 1, 0).ecx & BIT(27)), "OSXSAVE follows CR4: off");
    fake.regs[VCPU_CR4] |= CR4_OSXSAVE;
    CHECK(show(0, 1, 0).ecx & BIT(27), "and on");
    fake.regs[VCPU_CR4] |= CR4_PKE;
    CHECK(show(0, 7, 0).ecx & BIT(4), "OSPKE likewise");
    CHECK(show(0, 1, 0).edx & BIT(9), "APIC follows IA32_APIC_BASE");
    vcpu->lapic.base &= ~BIT(11);
    CHECK(!(show(0, 1, 0).edx & BIT(9)), "off as well");
}

static bool topology_is_right(unsigned int count)
{
    unsigned int bits = 0;
    bool right = true;

    while (1u << bits < count)
        bits++;
    fake_start(count);
    for (unsigned int id = 0; id < count; id++) {
        struct cpuid_regs one = show(id, 1, 0);

        right &= one.ebx >> 24 == id && (one.ebx >> 16 & 0xff) == count;
        right &= !(one.edx & BIT(28)) == (count == 1);
        if (host_cpuid.max_leaf >= 0xb) {
            struct cpuid_regs thread = show(id, 0xb, 0), core = show(id, 0xb, 1);

            right &= thread.edx == id && thread.eax == 0 && thread.ebx == 1 && thread.ecx == 0x100;
            right &= core.edx == id && core.eax == bits && core.ebx == count && core.ecx == 0x201;
            right &= show(id, 0xb, 2).ebx == 0 && show(id, 0xb, 2).ecx == 2;
        }
        if (cpuid(4, 0).eax & 0x1f)
            right &= (show(id, 4, 0).eax >> 26) == (1u << bits) - 1 &&
                     (show(id, 4, 0).eax >> 14 & 0xfff) == 0;
        right &= (show(id, 0x80000008, 0).ecx & 0xff) ==
                 (host_cpuid.vendor == VENDOR_AMD ? count - 1 : 0); /* reserved on Intel's */
    }
    return right;
}

static void test_topology(void)
{
    bool right = true;

    for (unsigned int count = 1; count <= VM_MAX_VCPUS; count++)
        right &= topology_is_right(count);
    CHECK(right, "1 to 32 vCPUs are that many cores of one thread in all leaves");
}

static void test_cr4(void)
{
    uint64_t allowed;

    fake_start(1);
    allowed = emul_cr4_allowed(vcpu);
    CHECK(!(allowed & CR4_OSXSAVE) == !(show(0, 1, 0).ecx & BIT(26)) &&
              !(allowed & CR4_PCIDE) == !(show(0, 1, 0).ecx & BIT(17)) &&
              !(allowed & CR4_SMEP) == !(show(0, 7, 0).ebx & BIT(7)) &&
              !(allowed & CR4_SMAP) == !(show(0, 7, 0).ebx & BIT(20)) &&
              !(allowed & CR4_FSGSBASE) == !(show(0, 7, 0).ebx & BIT(0)) &&
              !(allowed & CR4_UMIP) == !(show(0, 7, 0).ecx & BIT(2)) &&
              !(allowed & CR4_PKE) == !(show(0, 7, 0).ecx & BIT(3)),
          "CR4 allows what CPUID shows");
    CHECK((allowed & (CR4_VMXE | CR4_LA57 | CR4_CET | CR4_PKS | CR4_SMXE)) == 0,
          "and nothing of what it hides");
}

static void test_xsave(void)
{
    struct cpuid_regs host = cpuid(0xd, 0);
    uint64_t all = ((uint64_t)host.edx << 32 | host.eax) & 7;

    fake_start(1);
    if (!cpu_has(FEATURE_XSAVE)) {
        CHECK(is_zero(show(0, 0xd, 0)), "without XSAVE leaf 0Dh is empty");
        return;
    }
    fake.fpu_mask = all;
    vcpu->fpu.xcr0 = XCR0_X87;
    CHECK(show(0, 0xd, 0).eax == all && show(0, 0xd, 0).ebx == 576,
          "x87 alone: the legacy region and the header");
    vcpu->fpu.xcr0 = all;
    CHECK(show(0, 0xd, 0).ebx == (all & 4 ? 832 : 576) &&
              show(0, 0xd, 0).ecx == (all & 4 ? 832 : 576),
          "with AVX its 256 bytes besides, where every CPU has them");
    if (all & 4)
        CHECK(show(0, 0xd, 2).eax == cpuid(0xd, 2).eax && show(0, 0xd, 2).ebx == cpuid(0xd, 2).ebx,
              "a component that is shown is the host's");
    CHECK(is_zero(show(0, 0xd, 17)) && is_zero(show(0, 0xd, 63)) && is_zero(show(0, 0xd, 64)) &&
              is_zero(show(0, 0xd, ~0u)),
          "what is not shown is empty");
    CHECK(!(show(0, 0xd, 1).ecx | show(0, 0xd, 1).edx), "there is no supervisor state");
}

/*
 * The whole host: every component at once has the size that the CPU says for what XCR0 holds.  (ECX
 * says it for all components too, but some hypervisors hide components and leave ECX as it was.)
 */
static void test_xsave_whole(void)
{
    struct cpuid_regs host = cpuid(0xd, 0);

    fake_start(1);
    if (!cpu_has(FEATURE_XSAVE) || !(cpuid(1, 0).ecx & BIT(27)))
        return;
    fake.fpu_mask = vcpu->fpu.xcr0 = xgetbv(0);
    CHECK(show(0, 0xd, 0).ebx == host.ebx, "all components together have the host's size");
    CHECK(show(0, 0xd, 0).ecx == host.ebx, "which is the most that the guest can have");
}

int main(void)
{
    test_policy();
    test_subset();
    test_state();
    test_topology();
    test_cr4();
    test_xsave();
    test_xsave_whole();
    return check_done();
}
