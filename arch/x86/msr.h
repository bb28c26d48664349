/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers: numbers and bits in the manuals' order, and the instructions.  Names
 * are the manuals' own without the IA32_ prefix.
 */
#pragma once

#include "hv/util.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- Intel's architectural MSRs ---------------------------------------------------------------
 */
#define MSR_P5_MC_ADDR         0x00000000u
#define MSR_P5_MC_TYPE         0x00000001u
#define MSR_TSC                0x00000010u
#define MSR_PLATFORM_ID        0x00000017u
#define MSR_APIC_BASE          0x0000001bu
#define MSR_EBL_CR_POWERON     0x0000002au
#define MSR_SMI_COUNT          0x00000034u
#define MSR_FEATURE_CONTROL    0x0000003au
#define MSR_TSC_ADJUST         0x0000003bu
#define MSR_SPEC_CTRL          0x00000048u
#define MSR_PRED_CMD           0x00000049u
#define MSR_BIOS_UPDT_TRIG     0x00000079u
#define MSR_BIOS_SIGN_ID       0x0000008bu
#define MSR_PMC0               0x000000c1u
#define MSR_PLATFORM_INFO      0x000000ceu
#define MSR_MPERF              0x000000e7u
#define MSR_APERF              0x000000e8u
#define MSR_MTRRCAP            0x000000feu
#define MSR_ARCH_CAPABILITIES  0x0000010au
#define MSR_FLUSH_CMD          0x0000010bu
#define MSR_TSX_CTRL           0x00000122u
#define MSR_MISC_FEATURES      0x00000140u
#define MSR_SYSENTER_CS        0x00000174u
#define MSR_SYSENTER_ESP       0x00000175u
#define MSR_SYSENTER_EIP       0x00000176u
#define MSR_MCG_CAP            0x00000179u
#define MSR_MCG_STATUS         0x0000017au
#define MSR_MCG_CTL            0x0000017bu
#define MSR_PERFEVTSEL0        0x00000186u
#define MSR_PERFEVTSEL1        0x00000187u
#define MSR_PERFEVTSEL2        0x00000188u
#define MSR_PERFEVTSEL3        0x00000189u
#define MSR_PERF_STATUS        0x00000198u
#define MSR_PERF_CTL           0x00000199u
#define MSR_CLOCK_MODULATION   0x0000019au
#define MSR_THERM_INTERRUPT    0x0000019bu
#define MSR_THERM_STATUS       0x0000019cu
#define MSR_MISC_ENABLE        0x000001a0u
#define MSR_ENERGY_PERF_BIAS   0x000001b0u
#define MSR_XFD                0x000001c4u
#define MSR_XFD_ERR            0x000001c5u
#define MSR_DEBUGCTL           0x000001d9u
#define MSR_LAST_BRANCH_FROM   0x000001dbu
#define MSR_LAST_BRANCH_TO     0x000001dcu
#define MSR_LAST_INT_FROM      0x000001ddu
#define MSR_LAST_INT_TO        0x000001deu
#define MSR_MTRR_PHYSBASE0     0x00000200u
#define MSR_MTRR_PHYSMASK0     0x00000201u
#define MSR_MTRR_PHYSBASE(n)   (0x00000200u + 2 * (n))
#define MSR_MTRR_PHYSMASK(n)   (0x00000201u + 2 * (n))
#define MSR_MTRR_FIX64K_00000  0x00000250u
#define MSR_MTRR_FIX16K_80000  0x00000258u
#define MSR_MTRR_FIX16K_A0000  0x00000259u
#define MSR_MTRR_FIX4K_C0000   0x00000268u
#define MSR_MTRR_FIX4K_C8000   0x00000269u
#define MSR_MTRR_FIX4K_D0000   0x0000026au
#define MSR_MTRR_FIX4K_D8000   0x0000026bu
#define MSR_MTRR_FIX4K_E0000   0x0000026cu
#define MSR_MTRR_FIX4K_E8000   0x0000026du
#define MSR_MTRR_FIX4K_F0000   0x0000026eu
#define MSR_MTRR_FIX4K_F8000   0x0000026fu
#define MSR_PAT                0x00000277u
#define MSR_MC0_CTL2           0x00000280u
#define MSR_MTRR_DEF_TYPE      0x000002ffu
#define MSR_PERF_CAPABILITIES  0x00000345u
#define MSR_FIXED_CTR_CTRL     0x0000038du
#define MSR_PERF_GLOBAL_STATUS 0x0000038eu
#define MSR_PERF_GLOBAL_CTRL   0x0000038fu
#define MSR_PERF_GLOBAL_OVF    0x00000390u
#define MSR_PEBS_ENABLE        0x000003f1u
#define MSR_MC0_CTL            0x00000400u
#define MSR_MC_CTL(n)          (0x00000400u + 4 * (n))
#define MSR_MC_STATUS(n)       (0x00000401u + 4 * (n))
#define MSR_MC_ADDR(n)         (0x00000402u + 4 * (n))
#define MSR_MC_MISC(n)         (0x00000403u + 4 * (n))
#define MSR_DS_AREA            0x00000600u
#define MSR_RAPL_POWER_UNIT    0x00000606u
#define MSR_U_CET              0x000006a0u
#define MSR_S_CET              0x000006a2u
#define MSR_PL0_SSP            0x000006a4u
#define MSR_PL3_SSP            0x000006a7u
#define MSR_INT_SSP_TAB        0x000006a8u
#define MSR_TSC_DEADLINE       0x000006e0u
#define MSR_XSS                0x00000da0u

/* ---- VT-x capabilities ---------------------------------------------------------------------- */
#define MSR_VMX_BASIC               0x00000480u
#define MSR_VMX_PINBASED_CTLS       0x00000481u
#define MSR_VMX_PROCBASED_CTLS      0x00000482u
#define MSR_VMX_EXIT_CTLS           0x00000483u
#define MSR_VMX_ENTRY_CTLS          0x00000484u
#define MSR_VMX_MISC                0x00000485u
#define MSR_VMX_CR0_FIXED0          0x00000486u
#define MSR_VMX_CR0_FIXED1          0x00000487u
#define MSR_VMX_CR4_FIXED0          0x00000488u
#define MSR_VMX_CR4_FIXED1          0x00000489u
#define MSR_VMX_VMCS_ENUM           0x0000048au
#define MSR_VMX_PROCBASED_CTLS2     0x0000048bu
#define MSR_VMX_EPT_VPID_CAP        0x0000048cu
#define MSR_VMX_TRUE_PINBASED_CTLS  0x0000048du
#define MSR_VMX_TRUE_PROCBASED_CTLS 0x0000048eu
#define MSR_VMX_TRUE_EXIT_CTLS      0x0000048fu
#define MSR_VMX_TRUE_ENTRY_CTLS     0x00000490u
#define MSR_VMX_VMFUNC              0x00000491u
#define MSR_VMX_PROCBASED_CTLS3     0x00000492u
#define MSR_VMX_EXIT_CTLS2          0x00000493u

/* ---- x2APIC: 0x800 + (xAPIC offset >> 4) ------------------------------------------------------
 */
#define MSR_X2APIC_FIRST       0x00000800u
#define MSR_X2APIC_ID          0x00000802u
#define MSR_X2APIC_VERSION     0x00000803u
#define MSR_X2APIC_TPR         0x00000808u
#define MSR_X2APIC_PPR         0x0000080au
#define MSR_X2APIC_EOI         0x0000080bu
#define MSR_X2APIC_LDR         0x0000080du
#define MSR_X2APIC_SVR         0x0000080fu
#define MSR_X2APIC_ISR0        0x00000810u
#define MSR_X2APIC_TMR0        0x00000818u
#define MSR_X2APIC_IRR0        0x00000820u
#define MSR_X2APIC_ESR         0x00000828u
#define MSR_X2APIC_CMCI        0x0000082fu
#define MSR_X2APIC_ICR         0x00000830u
#define MSR_X2APIC_LVT_TIMER   0x00000832u
#define MSR_X2APIC_LVT_THERMAL 0x00000833u
#define MSR_X2APIC_LVT_PMC     0x00000834u
#define MSR_X2APIC_LVT_LINT0   0x00000835u
#define MSR_X2APIC_LVT_LINT1   0x00000836u
#define MSR_X2APIC_LVT_ERROR   0x00000837u
#define MSR_X2APIC_TMICT       0x00000838u
#define MSR_X2APIC_TMCCT       0x00000839u
#define MSR_X2APIC_TDCR        0x0000083eu
#define MSR_X2APIC_SELF_IPI    0x0000083fu
#define MSR_X2APIC_LAST        0x000008ffu

/* ---- AMD64's, most of them shared with Intel ---------------------------------------------------
 */
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u
#define MSR_TSC_RATIO      0xc0000104u
#define MSR_MCA_INTR_CFG   0xc0000410u

/* ---- AMD's ---------------------------------------------------------------------------------- */
#define MSR_K7_EVNTSEL0    0xc0010000u
#define MSR_K7_EVNTSEL3    0xc0010003u
#define MSR_K7_PERFCTR0    0xc0010004u
#define MSR_K7_PERFCTR3    0xc0010007u
#define MSR_SYSCFG         0xc0010010u
#define MSR_HWCR           0xc0010015u
#define MSR_IORR_BASE0     0xc0010016u
#define MSR_TOP_MEM        0xc001001au
#define MSR_TOP_MEM2       0xc001001du
#define MSR_NB_CFG         0xc001001fu
#define MSR_PATCH_LOADER   0xc0010020u
#define MSR_MCX_CFG        0xc0010044u
#define MSR_INT_PENDING    0xc0010055u
#define MSR_MMIO_CONF_BASE 0xc0010058u
#define MSR_PSTATE_CUR_LIM 0xc0010061u
#define MSR_PSTATE_CTL     0xc0010062u
#define MSR_PSTATE_STATUS  0xc0010063u
#define MSR_PSTATE_DEF0    0xc0010064u
#define MSR_CSTATE_BASE    0xc0010073u
#define MSR_SMM_BASE       0xc0010111u
#define MSR_SMM_MASK       0xc0010113u
#define MSR_VM_CR          0xc0010114u
#define MSR_IGNNE          0xc0010115u
#define MSR_SMM_CTL        0xc0010116u
#define MSR_VM_HSAVE_PA    0xc0010117u
#define MSR_SVM_LOCK_KEY   0xc0010118u
#define MSR_AVIC_DOORBELL  0xc001011bu
#define MSR_VIRT_SPEC_CTRL 0xc001011fu
#define MSR_SEV_STATUS     0xc0010131u
#define MSR_OSVW_ID_LENGTH 0xc0010140u
#define MSR_OSVW_STATUS    0xc0010141u
#define MSR_PERF_CTL0      0xc0010200u
#define MSR_PERF_CTR0      0xc0010201u
#define MSR_PERF_CTR5      0xc001020bu
#define MSR_LS_CFG         0xc0011020u
#define MSR_IC_CFG         0xc0011021u
#define MSR_DC_CFG         0xc0011022u
#define MSR_BU_CFG         0xc0011023u
#define MSR_FP_CFG         0xc0011028u
#define MSR_DE_CFG         0xc0011029u
#define MSR_BU_CFG2        0xc001102au
#define MSR_IBS_FETCH_CTL  0xc0011030u
#define MSR_IBS_CTL        0xc001103au

/* ---- KVM's paravirtual MSRs -------------------------------------------------------------------
 */
#define MSR_KVM_WALL_CLOCK        0x00000011u
#define MSR_KVM_SYSTEM_TIME       0x00000012u
#define MSR_KVM_WALL_CLOCK_NEW    0x4b564d00u
#define MSR_KVM_SYSTEM_TIME_NEW   0x4b564d01u
#define MSR_KVM_ASYNC_PF_EN       0x4b564d02u
#define MSR_KVM_STEAL_TIME        0x4b564d03u
#define MSR_KVM_PV_EOI_EN         0x4b564d04u
#define MSR_KVM_POLL_CONTROL      0x4b564d05u
#define MSR_KVM_ASYNC_PF_INT      0x4b564d06u
#define MSR_KVM_ASYNC_PF_ACK      0x4b564d07u
#define MSR_KVM_MIGRATION_CONTROL 0x4b564d08u

/* ---- Bits ----------------------------------------------------------------------------------- */
#define APIC_BASE_BSP     BIT(8)
#define APIC_BASE_X2APIC  BIT(10)
#define APIC_BASE_ENABLE  BIT(11)
#define APIC_BASE_ADDRESS 0x000ffffffffff000ull

#define FEATURE_CONTROL_LOCK    BIT(0)
#define FEATURE_CONTROL_VMX_SMX BIT(1)
#define FEATURE_CONTROL_VMX     BIT(2) /* VMXON outside SMX */
#define FEATURE_CONTROL_SENTER  0xff00ull
#define FEATURE_CONTROL_SGX_LC  BIT(17)
#define FEATURE_CONTROL_SGX     BIT(18)
#define FEATURE_CONTROL_LMCE    BIT(20)

#define SPEC_CTRL_IBRS    BIT(0)
#define SPEC_CTRL_STIBP   BIT(1)
#define SPEC_CTRL_SSBD    BIT(2)
#define SPEC_CTRL_BHI_DIS BIT(10)
#define PRED_CMD_IBPB     BIT(0)
#define FLUSH_CMD_L1D     BIT(0)

#define ARCH_CAP_RDCL_NO        BIT(0)
#define ARCH_CAP_IBRS_ALL       BIT(1)
#define ARCH_CAP_RSBA           BIT(2)
#define ARCH_CAP_SKIP_L1DFL     BIT(3)
#define ARCH_CAP_SSB_NO         BIT(4)
#define ARCH_CAP_MDS_NO         BIT(5)
#define ARCH_CAP_PSCHANGE_MC_NO BIT(6)
#define ARCH_CAP_TSX_CTRL       BIT(7)
#define ARCH_CAP_TAA_NO         BIT(8)
#define ARCH_CAP_SBDR_SSDP_NO   BIT(13)
#define ARCH_CAP_FBSDP_NO       BIT(14)
#define ARCH_CAP_PSDP_NO        BIT(15)
#define ARCH_CAP_FB_CLEAR       BIT(17)
#define ARCH_CAP_RRSBA          BIT(19)
#define ARCH_CAP_BHI_NO         BIT(20)
#define ARCH_CAP_PBRSB_NO       BIT(24)
#define ARCH_CAP_GDS_NO         BIT(26)
#define ARCH_CAP_RFDS_NO        BIT(27)
#define ARCH_CAP_RFDS_CLEAR     BIT(28)

#define MTRRCAP_VCNT    0xffull
#define MTRRCAP_FIX     BIT(8)
#define MTRRCAP_WC      BIT(10)
#define MTRRCAP_SMRR    BIT(11)
#define MTRR_DEF_TYPE   0xffull
#define MTRR_DEF_FE     BIT(10)
#define MTRR_DEF_E      BIT(11)
#define MTRR_MASK_VALID BIT(11)

#define MISC_ENABLE_FAST_STRING  BIT(0)
#define MISC_ENABLE_TCC          BIT(3)
#define MISC_ENABLE_PERFMON      BIT(7)
#define MISC_ENABLE_BTS_UNAVAIL  BIT(11)
#define MISC_ENABLE_PEBS_UNAVAIL BIT(12)
#define MISC_ENABLE_EIST         BIT(16)
#define MISC_ENABLE_MWAIT        BIT(18)
#define MISC_ENABLE_LIMIT_CPUID  BIT(22)
#define MISC_ENABLE_XTPR_DISABLE BIT(23)
#define MISC_ENABLE_XD_DISABLE   BIT(34)

#define DEBUGCTL_LBR BIT(0)
#define DEBUGCTL_BTF BIT(1)

/* Memory types, of PAT, MTRRs and EPT alike. */
#define MEMTYPE_UC       0u
#define MEMTYPE_WC       1u
#define MEMTYPE_WT       4u
#define MEMTYPE_WP       5u
#define MEMTYPE_WB       6u
#define MEMTYPE_UC_MINUS 7u /* PAT only */
#define PAT_RESET        0x0007040600070406ull

#define VM_CR_DPD      BIT(0)
#define VM_CR_R_INIT   BIT(1)
#define VM_CR_DIS_A20M BIT(2)
#define VM_CR_LOCK     BIT(3)
#define VM_CR_SVMDIS   BIT(4)

#define HWCR_SMMLOCK            BIT(0)
#define HWCR_TLBCACHEDIS        BIT(3)
#define HWCR_FFDIS              BIT(6)
#define HWCR_MCSTATUSWREN       BIT(18)
#define HWCR_TSCFREQSEL         BIT(24)
#define DE_CFG_LFENCE_SERIALIZE BIT(1)

/* ---- Instructions --------------------------------------------------------------------------- */
static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

/*
 * The address of an instruction that may fault, and where to go on if it does, both relative to
 * themselves: the table needs no relocation.  idt.c searches it.
 */
#define FIXUP(from, to)             \
    ".pushsection .fixups, \"a\"\n" \
    ".balign 4\n"                   \
    ".long " from " - .\n"          \
    ".long " to " - .\n"            \
    ".popsection\n"

/* False when the CPU raised #GP; *value is then unchanged. */
static inline bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
    uint32_t low, high;
    bool ok = false;

    __asm__ volatile("1: rdmsr\n"
                     "   movb $1, %[ok]\n"
                     "2:\n" FIXUP("1b", "2b")
                     : [ok] "+&r"(ok), "=&a"(low), "=&d"(high)
                     : "c"(msr)
                     : "memory");
    if (ok)
        *value = (uint64_t)high << 32 | low;
    return ok;
}

static inline bool wrmsr_safe(uint32_t msr, uint64_t value)
{
    bool ok = false;

    __asm__ volatile("1: wrmsr\n"
                     "   movb $1, %[ok]\n"
                     "2:\n" FIXUP("1b", "2b")
                     : [ok] "+&r"(ok)
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return ok;
}
