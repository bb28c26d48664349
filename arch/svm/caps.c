/* SPDX-License-Identifier: MIT */
/* What AMD-V must have, what Mica can use of it, and why not.  Tables; the CPU's state is not
 * touched. */
#include "arch/svm/svm.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "hv/errno.h"
#include "hv/string.h"

static const struct {
    enum cpu_feature feature;
    bool required;
    const char *name;
    const char *why_not;
} needs[] = {
    {FEATURE_SVM, true, "SVM", "the CPU has no SVM (CPUID 80000001h ECX bit 2)"},
    {FEATURE_SVM_NPT, true, "nested paging",
     "the CPU has no nested paging (CPUID 8000000Ah EDX bit 0)"},
    {FEATURE_NX, true, "NX", "the CPU has no NX (CPUID 80000001h EDX bit 20)"},
    {FEATURE_SVM_NRIPS, false, "next RIP save", NULL},
    {FEATURE_SVM_FLUSH_ASID, false, "flush by ASID", NULL},
    {FEATURE_SVM_VMCB_CLEAN, false, "VMCB clean bits", NULL},
    {FEATURE_SVM_DECODE_ASSISTS, false, "decode assists", NULL},
    {FEATURE_SVM_PAUSE_FILTER, false, "pause intercept filter", NULL},
    {FEATURE_SVM_PAUSE_THRESHOLD, false, "pause filter threshold", NULL},
    {FEATURE_SVM_VGIF, false, "virtual GIF", NULL},
    {FEATURE_SVM_LBRV, false, "LBR virtualization", NULL},
    {FEATURE_SVM_TSC_RATE, false, "TSC rate MSR", NULL},
    {FEATURE_SVM_AVIC, false, "AVIC", NULL},
    {FEATURE_SVM_VNMI, false, "virtual NMI", NULL},
    {FEATURE_PAGE_1G, false, "1 GiB pages", NULL},
};

static struct backend_feature features[ARRAY_SIZE(needs)];

/* Does QEMU emulate the CPU? */
static bool on_qemu(void)
{
    static const char signature[] = "TCGTCGTCGTCG";
    struct cpuid_regs leaf;

    if (!cpu_has(FEATURE_HYPERVISOR))
        return false;
    leaf = cpuid(0x40000000, 0);
    return memcmp(&leaf.ebx, signature, sizeof(leaf.ebx)) == 0;
}

int svm_probe(const char **why_not)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(needs); i++) {
        features[i] =
            (struct backend_feature){needs[i].name, needs[i].required, cpu_has(needs[i].feature)};
        if (needs[i].required && !features[i].present) {
            *why_not = needs[i].why_not;
            return -ENODEV;
        }
    }
    if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
        *why_not = "firmware has switched SVM off (MSR c0010114h VM_CR bit 4, SVMDIS)";
        return -ENODEV;
    }
    npt_format.has_1g = cpu_has(FEATURE_PAGE_1G);
    svm_inject_init(on_qemu());
    return 0;
}

const struct backend_feature *svm_feature(unsigned int index)
{
    return index < ARRAY_SIZE(features) ? &features[index] : NULL;
}

uint32_t svm_asid_count(void)
{
    return cpuid(0x8000000a, 0).ebx;
}
