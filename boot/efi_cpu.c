/* SPDX-License-Identifier: MIT */
/*
 * Whether this CPU can run Mica, asked before anything is read: each refusal names the feature, or
 * the MSR and the bit.  Only the boot CPU is looked at, and nothing is switched on.
 */
#include "boot/loader.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "hv/util.h"

#define CPUID_1_ECX_VMX       BIT(5)
#define CPUID_EXT_1_ECX_SVM   BIT(2)
#define CPUID_EXT_1_EDX_NX    BIT(20)
#define CPUID_EXT_A_EDX_NPT   BIT(0)
#define CR4_LA57              BIT(12)
#define VMX_CPU_SECONDARY     31
#define VMX_CPU2_EPT          1
#define VMX_CPU2_UNRESTRICTED 7

/* A capability MSR has in its high half the control bits that may be 1. */
static bool vmx_allows(uint32_t msr, unsigned int bit)
{
    return (rdmsr(msr) >> (32 + bit)) & 1;
}

static EFI_STATUS check_vmx(void)
{
    static const struct {
        uint32_t msr;
        unsigned int bit;
        const CHAR16 *name;
    } needed[] = {
        {MSR_VMX_PROCBASED_CTLS, VMX_CPU_SECONDARY, L"secondary controls"},
        {MSR_VMX_PROCBASED_CTLS2, VMX_CPU2_EPT, L"EPT"},
        {MSR_VMX_PROCBASED_CTLS2, VMX_CPU2_UNRESTRICTED, L"unrestricted guest"},
    };
    uint64_t control = rdmsr(MSR_FEATURE_CONTROL);

    if ((control & FEATURE_CONTROL_LOCK) && !(control & FEATURE_CONTROL_VMX))
        return loader_refuse(EFI_UNSUPPORTED,
                             L"VT-x is locked off by firmware: MSR 0x3a (IA32_FEATURE_CONTROL) has "
                             L"bit 0 (lock) without bit 2 (VMX)");
    for (uint32_t i = 0; i < ARRAY_SIZE(needed); i++)
        if (!vmx_allows(needed[i].msr, needed[i].bit))
            return loader_refuse(EFI_UNSUPPORTED, L"VT-x without %s: MSR 0x%x, bit %d is 0",
                                 needed[i].name, needed[i].msr, 32 + needed[i].bit);
    return EFI_SUCCESS;
}

static EFI_STATUS check_svm(void)
{
    if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
        return loader_refuse(EFI_UNSUPPORTED,
                             L"AMD-V is locked off by firmware: MSR 0xc0010114 (VM_CR) has bit 4 "
                             L"(SVMDIS)");
    if (!(cpuid(0x8000000a, 0).edx & CPUID_EXT_A_EDX_NPT))
        return loader_refuse(EFI_UNSUPPORTED,
                             L"AMD-V without nested paging: CPUID 8000000Ah, EDX bit 0 is 0");
    return EFI_SUCCESS;
}

static uint64_t read_cr4(void)
{
    uint64_t cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    return cr4;
}

EFI_STATUS cpu_check(struct loader *loader)
{
    struct cpuid_regs basic = cpuid(1, 0), extended = cpuid(0x80000001, 0);

    if (!(extended.edx & CPUID_EXT_1_EDX_NX))
        return loader_refuse(EFI_UNSUPPORTED,
                             L"no execute-disable: CPUID 80000001h, EDX bit 20 is 0 (or firmware "
                             L"set MSR 0x1a0, bit 34)");
    if (read_cr4() & CR4_LA57)
        return loader_refuse(EFI_UNSUPPORTED, L"firmware runs with 5-level paging: CR4 bit 12");
    if (basic.ecx & CPUID_1_ECX_VMX)
        return check_vmx();
    if (extended.ecx & CPUID_EXT_1_ECX_SVM)
        return check_svm();
    return loader_refuse(EFI_UNSUPPORTED,
                         L"this CPU has neither VT-x (CPUID 1, ECX bit 5) nor AMD-V (CPUID "
                         L"80000001h, ECX bit 2)");
}
