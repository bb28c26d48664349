/* SPDX-License-Identifier: MIT */
/*
 * What CPUID shows to a guest: per leaf and register a mask of the host's bits, a few bits that
 * Mica provides itself, and what is computed for each vCPU.  The MSR and CR4 policies follow from
 * it.
 */
#include "hv/emul.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/regs.h"
#include "hv/pv/pv.h"
#include "hv/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define EXTENDED_BASE 0x80000000u

#define MAX_BASIC_LEAF    0x1fu
#define MAX_EXTENDED_LEAF 0x8000001eu

/* ---- The policy ----------------------------------------------------------------------------- */

/* shown = (host & mask) | forced; what is not listed reads as zero. */
struct cpuid_policy {
    uint32_t leaf;
    struct cpuid_regs mask;
    struct cpuid_regs forced;
};

#define ALL  0xffffffffu
#define B(n) (1u << (n))

/*
 * Leaf 1 ECX without DTES64, MONITOR, DS_CPL, VMX, SMX, EIST, TM2, CNXT-ID, SDBG, xTPR, PDCM, DCA;
 * x2APIC, TSC deadline and the hypervisor bit are Mica's.  EDX without PSN, DS, ACPI, TM, PBE.
 */
#define LEAF1_ECX                                                                                 \
    (B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) | B(26) | \
     B(28) | B(29) | B(30))
#define LEAF1_ECX_FORCED (B(21) | B(24) | B(31))
#define LEAF1_EDX        (ALL & ~(B(10) | B(18) | B(20) | B(21) | B(22) | B(28) | B(29) | B(30) | B(31)))

/* Leaf 7 EBX without SGX, HLE, FDP_EXCPTN_ONLY's neighbours of QoS, RTM, MPX, PT; TSC_ADJUST is
 * Mica's. */
#define LEAF7_EBX                                                                             \
    (B(0) | B(3) | B(5) | B(6) | B(7) | B(8) | B(9) | B(10) | B(13) | B(16) | B(17) | B(18) | \
     B(19) | B(20) | B(21) | B(23) | B(24) | B(26) | B(27) | B(28) | B(29) | B(30) | B(31))
#define LEAF7_EBX_FORCED B(1)
#define LEAF7_ECX                                                                              \
    (B(1) | B(2) | B(3) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | B(22) | B(25) | \
     B(27) | B(28))
#define LEAF7_EDX (B(2) | B(3) | B(4) | B(8) | B(10) | B(14) | B(29))

/* Without SVM, EXTAPIC, OSVW, IBS, SKINIT, WDT, LWP, NODEID_MSR, the performance counters, DBEXT,
 * MWAITX. */
#define EXT1_ECX (B(0) | B(4) | B(5) | B(6) | B(7) | B(8) | B(11) | B(16) | B(21) | B(22))
#define EXT1_EDX (ALL & ~(B(10) | B(18) | B(19) | B(21) | B(28)))

static const struct cpuid_policy policies[] = {
    {0x00000001, {ALL, 0x0000ff00, LEAF1_ECX, LEAF1_EDX}, {0, 0, LEAF1_ECX_FORCED, 0}},
    {0x00000002, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x00000006, {0, 0, 0, 0}, {B(2), 0, 0, 0}}, /* ARAT: the timer never stops */
    {0x00000007, {0, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX}, {0, LEAF7_EBX_FORCED, 0, 0}},
    {0x80000001, {ALL, ALL, EXT1_ECX, EXT1_EDX}, {0, 0, 0, 0}},
    {0x80000002, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x80000003, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x80000004, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x80000005, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x80000006, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x80000007, {0, 0, 0, B(8)}, {0, 0, 0, 0}},
    {0x80000008, {0, B(0) | B(2) | B(9) | B(12), 0, 0}, {0, 0, 0, 0}},
    {0x80000019, {ALL, ALL, 0, 0}, {0, 0, 0, 0}},
    {0x8000001a, {ALL, 0, 0, 0}, {0, 0, 0, 0}},
};

static void apply_policy(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(policies); i++) {
        const struct cpuid_policy *policy = &policies[i];
        struct cpuid_regs host;

        if (policy->leaf != leaf)
            continue;
        if (leaf == 7 && subleaf != 0)
            return;
        host = cpuid(leaf, subleaf);
        out->eax = (host.eax & policy->mask.eax) | policy->forced.eax;
        out->ebx = (host.ebx & policy->mask.ebx) | policy->forced.ebx;
        out->ecx = (host.ecx & policy->mask.ecx) | policy->forced.ecx;
        out->edx = (host.edx & policy->mask.edx) | policy->forced.edx;
        return;
    }
}

/* ---- What is computed ----------------------------------------------------------------------- */

static uint64_t guest_cr4(const struct vcpu *vcpu)
{
    return backend->get_reg(vcpu, VCPU_CR4);
}

static uint32_t bits_for(uint32_t count)
{
    return count <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(count - 1);
}

/* Cores are the vCPUs, of one thread each, in one package. */
static void leaf_1(const struct vcpu *vcpu, struct cpuid_regs *out)
{
    uint32_t count = vcpu->vm->vcpu_count;

    out->ebx |= vcpu->id << 24 | (count & 0xff) << 16;
    if (count > 1)
        out->edx |= B(28); /* HTT: EBX 23:16 is valid */
    if (!vlapic_enabled(&vcpu->lapic))
        out->edx &= ~B(9);
    if (guest_cr4(vcpu) & CR4_OSXSAVE)
        out->ecx |= B(27);
}

static void leaf_4(const struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out)
{
    uint32_t count = vcpu->vm->vcpu_count;
    struct cpuid_regs host = cpuid(4, subleaf);
    uint32_t level = BITS(host.eax, 7, 5);
    uint32_t sharing = level >= 3 ? count : 1;

    if (BITS(host.eax, 4, 0) == 0)
        return;
    *out = host;
    out->eax = (host.eax & 0x3fff) | ((1u << bits_for(sharing)) - 1) << 14 |
               ((1u << bits_for(count)) - 1) << 26;
}

static void leaf_7(const struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out)
{
    if (subleaf == 0 && (guest_cr4(vcpu) & CR4_PKE))
        out->ecx |= B(4);
}

static void leaf_topology(const struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out)
{
    *out = (struct cpuid_regs){.ecx = subleaf & 0xff, .edx = vcpu->id};
    if (subleaf == 0) { /* SMT: one thread a core */
        out->ebx = 1;
        out->ecx |= 1 << 8;
    } else if (subleaf == 1) {
        out->eax = bits_for(vcpu->vm->vcpu_count);
        out->ebx = vcpu->vm->vcpu_count;
        out->ecx |= 2 << 8;
    }
}

static void leaf_xsave(const struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out)
{
    uint64_t mask = fpu_host_mask();
    uint64_t xcr0 = vcpu->cpu && (guest_cr4(vcpu) & CR4_OSXSAVE) ? xgetbv(0) : vcpu->fpu.xcr0;

    if (!cpu_has(FEATURE_XSAVE))
        return;
    if (subleaf == 0) {
        *out = (struct cpuid_regs){(uint32_t)mask, cpuid_xsave_size(xcr0, false),
                                   cpuid_xsave_size(mask, false), (uint32_t)(mask >> 32)};
    } else if (subleaf == 1) {
        out->eax = cpuid(0xd, 1).eax & (cpu_has(FEATURE_XSAVEC) ? 0xf : 0x5);
        out->ebx = out->eax & 0xa ? cpuid_xsave_size(xcr0, true) : 0;
    } else if (subleaf < 63 && (mask >> subleaf & 1)) {
        *out = cpuid(0xd, subleaf);
    }
}

static void leaf_ext8(const struct vcpu *vcpu, struct cpuid_regs *out)
{
    uint32_t physical = MIN(host_cpuid.physical_bits, 48u); /* what four levels of tables walk */

    out->eax = physical | 48u << 8;
    if (cpu_has(FEATURE_SPEC_CTRL))
        out->ebx |= B(12); /* IBPB by AMD's bit, for Intel's means IBRS as well */
    if (host_cpuid.vendor == VENDOR_AMD)
        out->ecx = (vcpu->vm->vcpu_count - 1) | bits_for(vcpu->vm->vcpu_count) << 12;
}

/* AMD's cache topology: the last level is shared by all. */
static void leaf_ext1d(const struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out)
{
    struct cpuid_regs host = cpuid(0x8000001d, subleaf);
    uint32_t sharing = BITS(host.eax, 7, 5) >= 3 ? vcpu->vm->vcpu_count : 1;

    if (!cpu_has(FEATURE_TOPOEXT) || BITS(host.eax, 4, 0) == 0)
        return;
    *out = host;
    out->eax = (host.eax & 0x3fff) | (sharing - 1) << 14;
}

static void leaf_ext1e(const struct vcpu *vcpu, struct cpuid_regs *out)
{
    if (cpu_has(FEATURE_TOPOEXT))
        *out = (struct cpuid_regs){.eax = vcpu->id, .ebx = vcpu->id};
}

/* "KVMKVMKVM": with it Linux also uses x2APIC without interrupt remapping. */
static void leaf_kvm(uint32_t leaf, struct cpuid_regs *out)
{
    if (leaf == KVM_CPUID_SIGNATURE)
        *out = (struct cpuid_regs){KVM_CPUID_FEATURES, 0x4b4d564b, 0x564b4d56, 0x0000004d};
    else
        *out = (struct cpuid_regs){.eax = kvm_features()};
}

/* EAX is the last leaf of the range; what the next says stands in mica.h. */
static void leaf_mica(uint32_t leaf, struct cpuid_regs *out)
{
    if (leaf == MICA_CPUID_SIGNATURE)
        *out =
            (struct cpuid_regs){MICA_CPUID_CALLS, MICA_SIGNATURE, MICA_SIGNATURE, MICA_SIGNATURE};
    else
        *out = (struct cpuid_regs){MICA_ABI_VERSION, MICA_CALL_FIRST, MICA_CALL_COUNT,
                                   mica_features()};
}

/* Leaves past the last of a range read as the last basic one on real Intel CPUs; here as zero. */
static bool leaf_exists(uint32_t leaf)
{
    if (leaf >= EXTENDED_BASE)
        return leaf <= MIN(host_cpuid.max_extended_leaf, MAX_EXTENDED_LEAF);
    return leaf <= MIN(host_cpuid.max_leaf, MAX_BASIC_LEAF);
}

static void leaf_maximum(uint32_t leaf, struct cpuid_regs *out)
{
    *out = cpuid(leaf, 0);
    out->eax = leaf ? MIN(out->eax, MAX_EXTENDED_LEAF) : MIN(out->eax, MAX_BASIC_LEAF);
}

static bool is_hypervisor_leaf(uint32_t leaf)
{
    return leaf >> 28 == 4;
}

static void hypervisor_leaf(uint32_t leaf, struct cpuid_regs *out)
{
    if (leaf == KVM_CPUID_SIGNATURE || leaf == KVM_CPUID_FEATURES)
        leaf_kvm(leaf, out);
    else if (leaf == MICA_CPUID_SIGNATURE || leaf == MICA_CPUID_CALLS)
        leaf_mica(leaf, out);
}

void emul_cpuid_get(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf,
                    struct cpuid_regs *out)
{
    *out = (struct cpuid_regs){0};
    if (is_hypervisor_leaf(leaf)) {
        hypervisor_leaf(leaf, out);
        return;
    }
    if (!leaf_exists(leaf))
        return;
    apply_policy(leaf, subleaf, out);
    switch (leaf) {
    case 0x00000000:
    case 0x80000000:
        leaf_maximum(leaf, out);
        break;
    case 0x00000001:
        leaf_1(vcpu, out);
        break;
    case 0x00000004:
        leaf_4(vcpu, subleaf, out);
        break;
    case 0x00000007:
        leaf_7(vcpu, subleaf, out);
        break;
    case 0x0000000b:
    case 0x0000001f:
        leaf_topology(vcpu, subleaf, out);
        break;
    case 0x0000000d:
        leaf_xsave(vcpu, subleaf, out);
        break;
    case 0x80000008:
        leaf_ext8(vcpu, out);
        break;
    case 0x8000001d:
        leaf_ext1d(vcpu, subleaf, out);
        break;
    case 0x8000001e:
        leaf_ext1e(vcpu, out);
        break;
    default:
        break;
    }
}

/* Of a leaf that is nowhere it is true that it reads as zero. */
void emul_cpuid_changed(struct vcpu *vcpu)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(vcpu->cpuid); i++)
        vcpu->cpuid[i] = (struct cpuid_answer){.leaf = ~0u};
}

static enum exit_action give(struct vcpu *vcpu, const struct cpuid_answer *answer)
{
    vcpu->gprs.r[GPR_RAX] = answer->eax;
    vcpu->gprs.r[GPR_RBX] = answer->ebx;
    vcpu->gprs.r[GPR_RCX] = answer->ecx;
    vcpu->gprs.r[GPR_RDX] = answer->edx;
    return ACTION_ADVANCE;
}

/* Leaf Dh is not kept: it follows XCR0, of which not every CPU tells. */
static COLD enum exit_action find_out(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf,
                                      struct cpuid_answer *kept)
{
    struct cpuid_answer answer;
    struct cpuid_regs regs;

    emul_cpuid_get(vcpu, leaf, subleaf, &regs);
    answer = (struct cpuid_answer){leaf, subleaf, regs.eax, regs.ebx, regs.ecx, regs.edx};
    if (leaf != 0xd)
        *kept = answer;
    return give(vcpu, &answer);
}

enum exit_action emul_cpuid(struct vcpu *vcpu, const struct vm_exit *exit)
{
    uint32_t leaf = (uint32_t)vcpu->gprs.r[GPR_RAX];
    uint32_t subleaf = (uint32_t)vcpu->gprs.r[GPR_RCX];
    struct cpuid_answer *answer = &vcpu->cpuid[(leaf ^ leaf >> 28 ^ subleaf) % VCPU_CPUID_CACHE];

    if (unlikely(answer->leaf != leaf || answer->subleaf != subleaf))
        return find_out(vcpu, leaf, subleaf, answer);
    return give(vcpu, answer);
}
