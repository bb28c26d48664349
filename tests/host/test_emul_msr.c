/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers: the coupling of TSC and TSC_ADJUST, memory types, what is hidden, and
 * what nobody knows.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/regs.h"
#include "arch/x86/speculation.h"
#include "hv/emul.h"
#include "hv/util.h"

static struct vcpu *const vcpu = &fake_vcpus[0];

static bool rd(uint32_t msr, uint64_t *value)
{
    vcpu->exception.type = EVENT_NONE;
    vcpu->gprs.r[GPR_RCX] = msr | 0xabcd00000000ull; /* ECX counts */
    if (emul_rdmsr(vcpu, NULL) != ACTION_ADVANCE)
        return false;
    *value = vcpu_edx_eax(vcpu);
    return !vcpu->exception.type;
}

static bool wr(uint32_t msr, uint64_t value)
{
    vcpu->exception.type = EVENT_NONE;
    vcpu->gprs.r[GPR_RCX] = msr;
    vcpu_set_edx_eax(vcpu, value);
    vcpu->gprs.r[GPR_RAX] |= 0x5555ull << 32; /* EAX counts */
    return emul_wrmsr(vcpu, NULL) == ACTION_ADVANCE;
}

static uint64_t get(uint32_t msr)
{
    uint64_t value = 0xdead;

    return rd(msr, &value) ? value : 0xdead;
}

static bool near(uint64_t a, uint64_t b)
{
    return a - b < 1ull << 40; /* time goes on meanwhile */
}

static void test_tsc(void)
{
    uint64_t offset;

    fake_start(1);
    CHECK(get(MSR_TSC_ADJUST) == 0, "TSC_ADJUST begins at 0");
    wr(MSR_TSC, 1ull << 50);
    offset = fake.tsc_offset;
    CHECK(near(get(MSR_TSC), 1ull << 50), "a write of TSC sets it");
    CHECK(get(MSR_TSC_ADJUST) == offset && vcpu->tsc_offset == offset,
          "and moves TSC_ADJUST by as much");
    wr(MSR_TSC_ADJUST, offset + 0x1000);
    CHECK(fake.tsc_offset == offset + 0x1000 && get(MSR_TSC_ADJUST) == offset + 0x1000,
          "a write of TSC_ADJUST moves TSC");
    wr(MSR_TSC_ADJUST, 0);
    CHECK(fake.tsc_offset == 0, "and back");
}

static void test_memory_types(void)
{
    bool right = true;

    fake_start(1);
    for (unsigned int type = 0; type < 256; type++) {
        bool mtrr = type == 0 || type == 1 || (type >= 4 && type <= 6);

        right &= wr(MSR_PAT, 0x0606060606060600 | type) == (mtrr || type == 7);
        right &= wr(MSR_PAT, (uint64_t)type << 56) == (mtrr || type == 7);
        right &= wr(MSR_MTRR_FIX4K_C0000, (uint64_t)type << 24) == mtrr;
        right &= wr(MSR_MTRR_PHYSBASE0, type) == mtrr;
        right &= wr(MSR_MTRR_DEF_TYPE, 0x800 | type) == mtrr;
    }
    CHECK(right, "PAT and MTRRs take the types that there are");
    wr(MSR_PAT, 0x0007040600070406);
    CHECK(get(MSR_PAT) == 0x0007040600070406 && fake.regs[VCPU_PAT] == 0x0007040600070406,
          "PAT reads back");
    CHECK(!wr(MSR_PAT, 0x0207040600070406) && get(MSR_PAT) == 0x0007040600070406,
          "a refused write changes nothing");
    CHECK(wr(MSR_MTRR_PHYSMASK(7), 0xfffff800) && get(MSR_MTRR_PHYSMASK(7)) == 0xfffff800 &&
              !wr(MSR_MTRR_PHYSMASK(7), 0x400) && !wr(MSR_MTRR_PHYSBASE0, 0x106) &&
              !wr(MSR_MTRR_PHYSBASE0, BIT(52) | 6) && !wr(MSR_MTRR_DEF_TYPE, 0x1006),
          "reserved bits of MTRRs are #GP");
    CHECK(!wr(MSR_MTRR_PHYSMASK(8), 0) && vcpu->unknown_msrs == 1, "there is no ninth");
    CHECK((get(MSR_MTRRCAP) & 0xff) == 8 && !wr(MSR_MTRRCAP, 8), "MTRRCAP says so, read-only");
    for (uint32_t msr = MSR_MTRR_FIX4K_C0000; msr <= MSR_MTRR_FIX4K_F8000; msr++)
        wr(msr, 0x0101010101010101ull * (msr & 1));
    wr(MSR_MTRR_FIX64K_00000, 0x0606060606060606);
    wr(MSR_MTRR_FIX16K_A0000, 0x0505050505050505);
    CHECK(get(MSR_MTRR_FIX64K_00000) == 0x0606060606060606 &&
              get(MSR_MTRR_FIX16K_A0000) == 0x0505050505050505 && get(MSR_MTRR_FIX16K_80000) == 0 &&
              get(MSR_MTRR_FIX4K_C0000 + 1) == 0x0101010101010101,
          "each fixed range has a place of its own");
}

static void test_apic(void)
{
    uint64_t value;

    fake_start(1);
    CHECK(!rd(MSR_X2APIC_FIRST + 8, &value) && vcpu->exception.vector == VEC_GP,
          "x2APIC registers are #GP in xAPIC mode");
    CHECK(wr(MSR_APIC_BASE, get(MSR_APIC_BASE) | APIC_BASE_X2APIC) &&
              wr(MSR_X2APIC_FIRST + 8, 0x50) && get(MSR_X2APIC_FIRST + 8) == 0x50,
          "in x2APIC mode they are there");
    wr(MSR_X2APIC_FIRST + 0xf, 0x1ff);
    vlapic_post(&vcpu->lapic, 0x41, false);
    CHECK(wr(MSR_X2APIC_FIRST + 8, 0x40) && !vcpu->check_events && wr(MSR_X2APIC_FIRST + 8, 0x30) &&
              vcpu->check_events,
          "a write that lets an interrupt through has the run loop look at events");
    CHECK(!wr(MSR_X2APIC_FIRST + 2, 0) && !rd(0x8ff, &value),
          "as far as the architecture has them");
    CHECK(!wr(MSR_APIC_BASE, get(MSR_APIC_BASE) & ~(uint64_t)APIC_BASE_X2APIC),
          "and there is no way back to xAPIC mode");
}

static void test_hidden(void)
{
    uint64_t value;

    fake_start(1);
    host_cpuid.vendor = VENDOR_AMD;
    CHECK(get(MSR_VM_CR) == (VM_CR_LOCK | VM_CR_SVMDIS), "SVM looks locked off");
    CHECK(get(MSR_FEATURE_CONTROL) == FEATURE_CONTROL_LOCK && !wr(MSR_FEATURE_CONTROL, 5),
          "so does VMX");
    CHECK(!rd(MSR_VM_HSAVE_PA, &value) && vcpu->exception.vector == VEC_GP,
          "the host save area is nobody's business");
    CHECK(wr(MSR_HWCR, 0) && !(get(MSR_HWCR) & HWCR_TLBCACHEDIS), "AMD's MSRs are there for AMD");
    CHECK(wr(MSR_K7_EVNTSEL0, 0x430076) && get(MSR_K7_EVNTSEL0) == 0 && get(MSR_K7_PERFCTR3) == 0,
          "the counters that every AMD CPU has stand still");
    host_cpuid.vendor = VENDOR_INTEL;
    CHECK(!rd(MSR_SYSCFG, &value), "and not for Intel");
    CHECK(!wr(MSR_EFER, EFER_SVME) && wr(MSR_EFER, get(MSR_EFER) | EFER_SCE), "EFER is checked");
    CHECK(wr(MSR_DEBUGCTL, DEBUGCTL_BTF | DEBUGCTL_LBR) && get(MSR_DEBUGCTL) == DEBUGCTL_BTF &&
              !wr(MSR_DEBUGCTL, BIT(6)),
          "of DEBUGCTL BTF is kept");
}

static void test_speculation(void)
{
    uint64_t value;

    fake_start(1);
    host_cpuid.has[FEATURE_SPEC_CTRL] = host_cpuid.has[FEATURE_AMD_IBPB] = false;
    host_cpuid.has[FEATURE_ARCH_CAPABILITIES] = false;
    CHECK(!wr(MSR_PRED_CMD, PRED_CMD_IBPB) && !rd(MSR_ARCH_CAPABILITIES, &value),
          "without IBPB and ARCH_CAPABILITIES in the host a guest has none");
    host_cpuid.has[FEATURE_SPEC_CTRL] = host_cpuid.has[FEATURE_ARCH_CAPABILITIES] = true;
    speculation_capabilities = ~0ull;
    CHECK(wr(MSR_PRED_CMD, PRED_CMD_IBPB) && fake.ibpbs == 1, "IBPB is done for a guest");
    CHECK(!wr(MSR_PRED_CMD, PRED_CMD_IBPB | 2) && fake.ibpbs == 1 && !rd(MSR_PRED_CMD, &value),
          "but nothing else is, and it cannot be read");
    value = get(MSR_ARCH_CAPABILITIES);
    CHECK((value & ARCH_CAP_RDCL_NO) && (value & ARCH_CAP_MDS_NO) && !wr(MSR_ARCH_CAPABILITIES, 0),
          "ARCH_CAPABILITIES tells what the CPU is safe from");
    CHECK(!(value & (ARCH_CAP_IBRS_ALL | ARCH_CAP_SKIP_L1DFL | ARCH_CAP_TSX_CTRL | 1ull << 63)) &&
              !rd(MSR_SPEC_CTRL, &value) && !rd(MSR_FLUSH_CMD, &value),
          "and of no control that it does not have");
}

/* Every index, in the ranges where MSRs are: none may do worse than #GP, and that is counted. */
static void test_unknown(void)
{
    static const uint32_t bases[] = {0, 0x40000000, 0x4b564d00, 0xc0000000, 0xc0010000, 0xfffff000};
    uint64_t unknown = 0, faults = 0, value;

    fake_start(1);
    for (unsigned int i = 0; i < ARRAY_SIZE(bases); i++) {
        for (uint32_t n = 0; n < 0x1000; n++) {
            uint64_t before = vcpu->unknown_msrs;
            bool known = rd(bases[i] + n, &value);

            unknown += vcpu->unknown_msrs - before;
            faults += !known;
        }
    }
    CHECK(vcpu->unknown_msrs == unknown && unknown > 20000 && faults >= unknown,
          "unknown MSRs are #GP and are counted");
    CHECK(fake.stops == 0, "and stop nobody");
}

int main(void)
{
    test_tsc();
    test_memory_types();
    test_apic();
    test_hidden();
    test_unknown();
    fake_on_cpu(test_speculation);
    return check_done();
}
