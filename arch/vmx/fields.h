/* SPDX-License-Identifier: MIT */
/*
 * The VMCS: field encodings as one enum per width, so that a field cannot be read at another one's
 * width; control bits, exit reasons and the formats of information fields.  The manual's order.
 * Numbers only.
 */
#pragma once

#include "hv/util.h"

/* ---- Field encodings: SDM, "Field Encoding in VMCS" ----------------------------------------- */

enum vmcs16 {
    VMCS_VPID = 0x0000,
    VMCS_POSTED_INTR_VECTOR = 0x0002,
    VMCS_EPTP_INDEX = 0x0004,
    VMCS_HLAT_PREFIX_SIZE = 0x0006,
    VMCS_LAST_PID_INDEX = 0x0008,
    VMCS_GUEST_ES_SEL = 0x0800,
    VMCS_GUEST_CS_SEL = 0x0802,
    VMCS_GUEST_SS_SEL = 0x0804,
    VMCS_GUEST_DS_SEL = 0x0806,
    VMCS_GUEST_FS_SEL = 0x0808,
    VMCS_GUEST_GS_SEL = 0x080a,
    VMCS_GUEST_LDTR_SEL = 0x080c,
    VMCS_GUEST_TR_SEL = 0x080e,
    VMCS_GUEST_INTR_STATUS = 0x0810,
    VMCS_GUEST_PML_INDEX = 0x0812,
    VMCS_GUEST_UINV = 0x0814,
    VMCS_HOST_ES_SEL = 0x0c00,
    VMCS_HOST_CS_SEL = 0x0c02,
    VMCS_HOST_SS_SEL = 0x0c04,
    VMCS_HOST_DS_SEL = 0x0c06,
    VMCS_HOST_FS_SEL = 0x0c08,
    VMCS_HOST_GS_SEL = 0x0c0a,
    VMCS_HOST_TR_SEL = 0x0c0c,
};

enum vmcs64 {
    VMCS_IO_BITMAP_A = 0x2000,
    VMCS_IO_BITMAP_B = 0x2002,
    VMCS_MSR_BITMAP = 0x2004,
    VMCS_EXIT_MSR_STORE_ADDR = 0x2006,
    VMCS_EXIT_MSR_LOAD_ADDR = 0x2008,
    VMCS_ENTRY_MSR_LOAD_ADDR = 0x200a,
    VMCS_EXECUTIVE_VMCS = 0x200c,
    VMCS_PML_ADDR = 0x200e,
    VMCS_TSC_OFFSET = 0x2010,
    VMCS_VIRTUAL_APIC_ADDR = 0x2012,
    VMCS_APIC_ACCESS_ADDR = 0x2014,
    VMCS_POSTED_INTR_DESC = 0x2016,
    VMCS_VMFUNC_CTLS = 0x2018,
    VMCS_EPTP = 0x201a,
    VMCS_EOI_EXIT0 = 0x201c,
    VMCS_EOI_EXIT1 = 0x201e,
    VMCS_EOI_EXIT2 = 0x2020,
    VMCS_EOI_EXIT3 = 0x2022,
    VMCS_EPTP_LIST = 0x2024,
    VMCS_VMREAD_BITMAP = 0x2026,
    VMCS_VMWRITE_BITMAP = 0x2028,
    VMCS_VE_INFO_ADDR = 0x202a,
    VMCS_XSS_EXITING = 0x202c,
    VMCS_ENCLS_EXITING = 0x202e,
    VMCS_SPP_TABLE = 0x2030,
    VMCS_TSC_MULTIPLIER = 0x2032,
    VMCS_CPU_CTLS3 = 0x2034,
    VMCS_ENCLV_EXITING = 0x2036,
    VMCS_GUEST_PHYSICAL_ADDRESS = 0x2400,
    VMCS_LINK_POINTER = 0x2800,
    VMCS_GUEST_DEBUGCTL = 0x2802,
    VMCS_GUEST_PAT = 0x2804,
    VMCS_GUEST_EFER = 0x2806,
    VMCS_GUEST_PERF_GLOBAL = 0x2808,
    VMCS_GUEST_PDPTE0 = 0x280a,
    VMCS_GUEST_PDPTE1 = 0x280c,
    VMCS_GUEST_PDPTE2 = 0x280e,
    VMCS_GUEST_PDPTE3 = 0x2810,
    VMCS_GUEST_BNDCFGS = 0x2812,
    VMCS_GUEST_RTIT_CTL = 0x2814,
    VMCS_GUEST_LBR_CTL = 0x2816,
    VMCS_GUEST_PKRS = 0x2818,
    VMCS_HOST_PAT = 0x2c00,
    VMCS_HOST_EFER = 0x2c02,
    VMCS_HOST_PERF_GLOBAL = 0x2c04,
    VMCS_HOST_PKRS = 0x2c06,
};

enum vmcs32 {
    VMCS_PIN_CTLS = 0x4000,
    VMCS_CPU_CTLS = 0x4002,
    VMCS_EXCEPTION_BITMAP = 0x4004,
    VMCS_PF_ERROR_MASK = 0x4006,
    VMCS_PF_ERROR_MATCH = 0x4008,
    VMCS_CR3_TARGET_COUNT = 0x400a,
    VMCS_EXIT_CTLS = 0x400c,
    VMCS_EXIT_MSR_STORE_COUNT = 0x400e,
    VMCS_EXIT_MSR_LOAD_COUNT = 0x4010,
    VMCS_ENTRY_CTLS = 0x4012,
    VMCS_ENTRY_MSR_LOAD_COUNT = 0x4014,
    VMCS_ENTRY_INTR_INFO = 0x4016,
    VMCS_ENTRY_ERROR_CODE = 0x4018,
    VMCS_ENTRY_INSN_LEN = 0x401a,
    VMCS_TPR_THRESHOLD = 0x401c,
    VMCS_CPU_CTLS2 = 0x401e,
    VMCS_PLE_GAP = 0x4020,
    VMCS_PLE_WINDOW = 0x4022,
    VMCS_INSN_TIMEOUT = 0x4024,
    VMCS_INSN_ERROR = 0x4400,
    VMCS_EXIT_REASON = 0x4402,
    VMCS_EXIT_INTR_INFO = 0x4404,
    VMCS_EXIT_ERROR_CODE = 0x4406,
    VMCS_IDT_VECTORING_INFO = 0x4408,
    VMCS_IDT_VECTORING_ERROR = 0x440a,
    VMCS_EXIT_INSN_LEN = 0x440c,
    VMCS_EXIT_INSN_INFO = 0x440e,
    VMCS_GUEST_ES_LIMIT = 0x4800,
    VMCS_GUEST_CS_LIMIT = 0x4802,
    VMCS_GUEST_SS_LIMIT = 0x4804,
    VMCS_GUEST_DS_LIMIT = 0x4806,
    VMCS_GUEST_FS_LIMIT = 0x4808,
    VMCS_GUEST_GS_LIMIT = 0x480a,
    VMCS_GUEST_LDTR_LIMIT = 0x480c,
    VMCS_GUEST_TR_LIMIT = 0x480e,
    VMCS_GUEST_GDTR_LIMIT = 0x4810,
    VMCS_GUEST_IDTR_LIMIT = 0x4812,
    VMCS_GUEST_ES_AR = 0x4814,
    VMCS_GUEST_CS_AR = 0x4816,
    VMCS_GUEST_SS_AR = 0x4818,
    VMCS_GUEST_DS_AR = 0x481a,
    VMCS_GUEST_FS_AR = 0x481c,
    VMCS_GUEST_GS_AR = 0x481e,
    VMCS_GUEST_LDTR_AR = 0x4820,
    VMCS_GUEST_TR_AR = 0x4822,
    VMCS_GUEST_INTERRUPTIBILITY = 0x4824,
    VMCS_GUEST_ACTIVITY = 0x4826,
    VMCS_GUEST_SMBASE = 0x4828,
    VMCS_GUEST_SYSENTER_CS = 0x482a,
    VMCS_PREEMPTION_TIMER = 0x482e,
    VMCS_HOST_SYSENTER_CS = 0x4c00,
};

enum vmcs_natural {
    VMCS_CR0_MASK = 0x6000,
    VMCS_CR4_MASK = 0x6002,
    VMCS_CR0_SHADOW = 0x6004,
    VMCS_CR4_SHADOW = 0x6006,
    VMCS_CR3_TARGET0 = 0x6008,
    VMCS_CR3_TARGET1 = 0x600a,
    VMCS_CR3_TARGET2 = 0x600c,
    VMCS_CR3_TARGET3 = 0x600e,
    VMCS_EXIT_QUALIFICATION = 0x6400,
    VMCS_IO_RCX = 0x6402,
    VMCS_IO_RSI = 0x6404,
    VMCS_IO_RDI = 0x6406,
    VMCS_IO_RIP = 0x6408,
    VMCS_GUEST_LINEAR_ADDRESS = 0x640a,
    VMCS_GUEST_CR0 = 0x6800,
    VMCS_GUEST_CR3 = 0x6802,
    VMCS_GUEST_CR4 = 0x6804,
    VMCS_GUEST_ES_BASE = 0x6806,
    VMCS_GUEST_CS_BASE = 0x6808,
    VMCS_GUEST_SS_BASE = 0x680a,
    VMCS_GUEST_DS_BASE = 0x680c,
    VMCS_GUEST_FS_BASE = 0x680e,
    VMCS_GUEST_GS_BASE = 0x6810,
    VMCS_GUEST_LDTR_BASE = 0x6812,
    VMCS_GUEST_TR_BASE = 0x6814,
    VMCS_GUEST_GDTR_BASE = 0x6816,
    VMCS_GUEST_IDTR_BASE = 0x6818,
    VMCS_GUEST_DR7 = 0x681a,
    VMCS_GUEST_RSP = 0x681c,
    VMCS_GUEST_RIP = 0x681e,
    VMCS_GUEST_RFLAGS = 0x6820,
    VMCS_GUEST_PENDING_DEBUG = 0x6822,
    VMCS_GUEST_SYSENTER_ESP = 0x6824,
    VMCS_GUEST_SYSENTER_EIP = 0x6826,
    VMCS_GUEST_S_CET = 0x6828,
    VMCS_GUEST_SSP = 0x682a,
    VMCS_GUEST_INT_SSP_TABLE = 0x682c,
    VMCS_HOST_CR0 = 0x6c00,
    VMCS_HOST_CR3 = 0x6c02,
    VMCS_HOST_CR4 = 0x6c04,
    VMCS_HOST_FS_BASE = 0x6c06,
    VMCS_HOST_GS_BASE = 0x6c08,
    VMCS_HOST_TR_BASE = 0x6c0a,
    VMCS_HOST_GDTR_BASE = 0x6c0c,
    VMCS_HOST_IDTR_BASE = 0x6c0e,
    VMCS_HOST_SYSENTER_ESP = 0x6c10,
    VMCS_HOST_SYSENTER_EIP = 0x6c12,
    VMCS_HOST_RSP = 0x6c14,
    VMCS_HOST_RIP = 0x6c16,
    VMCS_HOST_S_CET = 0x6c18,
    VMCS_HOST_SSP = 0x6c1a,
    VMCS_HOST_INT_SSP_TABLE = 0x6c1c,
};

/* ---- Controls.  Bits that are not named are reserved; those in *_DEFAULT1 must be 1. ----------
 */

#define VMX_PIN_EXT_INTR         BIT(0)
#define VMX_PIN_NMI              BIT(3)
#define VMX_PIN_VIRTUAL_NMI      BIT(5)
#define VMX_PIN_PREEMPTION_TIMER BIT(6)
#define VMX_PIN_POSTED_INTR      BIT(7)
#define VMX_PIN_DEFAULT1         0x00000016ull

#define VMX_CPU_INTR_WINDOW BIT(2)
#define VMX_CPU_TSC_OFFSET  BIT(3)
#define VMX_CPU_HLT         BIT(7)
#define VMX_CPU_INVLPG      BIT(9)
#define VMX_CPU_MWAIT       BIT(10)
#define VMX_CPU_RDPMC       BIT(11)
#define VMX_CPU_RDTSC       BIT(12)
#define VMX_CPU_CR3_LOAD    BIT(15)
#define VMX_CPU_CR3_STORE   BIT(16)
#define VMX_CPU_TERTIARY    BIT(17)
#define VMX_CPU_CR8_LOAD    BIT(19)
#define VMX_CPU_CR8_STORE   BIT(20)
#define VMX_CPU_TPR_SHADOW  BIT(21)
#define VMX_CPU_NMI_WINDOW  BIT(22)
#define VMX_CPU_MOV_DR      BIT(23)
#define VMX_CPU_UNCOND_IO   BIT(24)
#define VMX_CPU_IO_BITMAPS  BIT(25)
#define VMX_CPU_MTF         BIT(27)
#define VMX_CPU_MSR_BITMAPS BIT(28)
#define VMX_CPU_MONITOR     BIT(29)
#define VMX_CPU_PAUSE       BIT(30)
#define VMX_CPU_SECONDARY   BIT(31)
#define VMX_CPU_DEFAULT1    0x04006172ull

#define VMX_CPU2_APIC_ACCESSES  BIT(0)
#define VMX_CPU2_EPT            BIT(1)
#define VMX_CPU2_DESC_TABLE     BIT(2)
#define VMX_CPU2_RDTSCP         BIT(3)
#define VMX_CPU2_X2APIC         BIT(4)
#define VMX_CPU2_VPID           BIT(5)
#define VMX_CPU2_WBINVD         BIT(6)
#define VMX_CPU2_UNRESTRICTED   BIT(7)
#define VMX_CPU2_APIC_REGISTER  BIT(8)
#define VMX_CPU2_INTR_DELIVERY  BIT(9)
#define VMX_CPU2_PAUSE_LOOP     BIT(10)
#define VMX_CPU2_RDRAND         BIT(11)
#define VMX_CPU2_INVPCID        BIT(12)
#define VMX_CPU2_VMFUNC         BIT(13)
#define VMX_CPU2_VMCS_SHADOWING BIT(14)
#define VMX_CPU2_ENCLS          BIT(15)
#define VMX_CPU2_RDSEED         BIT(16)
#define VMX_CPU2_PML            BIT(17)
#define VMX_CPU2_EPT_VE         BIT(18)
#define VMX_CPU2_CONCEAL_PT     BIT(19)
#define VMX_CPU2_XSAVES         BIT(20)
#define VMX_CPU2_PASID          BIT(21)
#define VMX_CPU2_MODE_EXECUTE   BIT(22)
#define VMX_CPU2_SPP            BIT(23)
#define VMX_CPU2_PT_GUEST_PHYS  BIT(24)
#define VMX_CPU2_TSC_SCALING    BIT(25)
#define VMX_CPU2_USER_WAIT      BIT(26)
#define VMX_CPU2_PCONFIG        BIT(27)
#define VMX_CPU2_ENCLV          BIT(28)
#define VMX_CPU2_BUS_LOCK       BIT(30)
#define VMX_CPU2_INSN_TIMEOUT   BIT(31)

/* What of these a lent local APIC takes. */
#define VMX_APIC_CTLS2 (VMX_CPU2_X2APIC | VMX_CPU2_APIC_REGISTER | VMX_CPU2_INTR_DELIVERY)

#define VMX_EXIT_SAVE_DEBUG       BIT(2)
#define VMX_EXIT_HOST_64          BIT(9)
#define VMX_EXIT_LOAD_PERF_GLOBAL BIT(12)
#define VMX_EXIT_ACK_INTR         BIT(15)
#define VMX_EXIT_SAVE_PAT         BIT(18)
#define VMX_EXIT_LOAD_PAT         BIT(19)
#define VMX_EXIT_SAVE_EFER        BIT(20)
#define VMX_EXIT_LOAD_EFER        BIT(21)
#define VMX_EXIT_SAVE_TIMER       BIT(22)
#define VMX_EXIT_CLEAR_BNDCFGS    BIT(23)
#define VMX_EXIT_CONCEAL_PT       BIT(24)
#define VMX_EXIT_CLEAR_RTIT_CTL   BIT(25)
#define VMX_EXIT_CLEAR_LBR_CTL    BIT(26)
#define VMX_EXIT_CLEAR_UINV       BIT(27)
#define VMX_EXIT_LOAD_CET         BIT(28)
#define VMX_EXIT_LOAD_PKRS        BIT(29)
#define VMX_EXIT_SAVE_PERF_GLOBAL BIT(30)
#define VMX_EXIT_SECONDARY        BIT(31)
#define VMX_EXIT_DEFAULT1         0x00036dfbull

#define VMX_ENTRY_LOAD_DEBUG       BIT(2)
#define VMX_ENTRY_IA32E_GUEST      BIT(9)
#define VMX_ENTRY_TO_SMM           BIT(10)
#define VMX_ENTRY_DUAL_MONITOR     BIT(11)
#define VMX_ENTRY_LOAD_PERF_GLOBAL BIT(13)
#define VMX_ENTRY_LOAD_PAT         BIT(14)
#define VMX_ENTRY_LOAD_EFER        BIT(15)
#define VMX_ENTRY_LOAD_BNDCFGS     BIT(16)
#define VMX_ENTRY_CONCEAL_PT       BIT(17)
#define VMX_ENTRY_LOAD_RTIT_CTL    BIT(18)
#define VMX_ENTRY_LOAD_UINV        BIT(19)
#define VMX_ENTRY_LOAD_CET         BIT(20)
#define VMX_ENTRY_LOAD_LBR_CTL     BIT(21)
#define VMX_ENTRY_LOAD_PKRS        BIT(22)
#define VMX_ENTRY_DEFAULT1         0x000011fbull

/* ---- Capabilities --------------------------------------------------------------------------- */

#define VMX_BASIC_REVISION(basic) ((uint32_t)BITS(basic, 30, 0))
#define VMX_BASIC_32BIT           BIT(48) /* structures below 4 GiB only */
#define VMX_BASIC_DUAL_MONITOR    BIT(49)
#define VMX_BASIC_MEMTYPE(basic)  BITS(basic, 53, 50)
#define VMX_BASIC_INS_OUTS        BIT(54)
#define VMX_BASIC_TRUE_CTLS       BIT(55)
#define VMX_BASIC_NO_ERROR_CHECK  BIT(56)

#define VMX_MISC_TIMER_SHIFT(misc) ((uint32_t)BITS(misc, 4, 0)) /* the timer counts TSC >> this */

#define VMX_EPT_EXECUTE_ONLY       BIT(0)
#define VMX_EPT_WALK_4             BIT(6)
#define VMX_EPT_WALK_5             BIT(7)
#define VMX_EPT_UC                 BIT(8)
#define VMX_EPT_WB                 BIT(14)
#define VMX_EPT_2M                 BIT(16)
#define VMX_EPT_1G                 BIT(17)
#define VMX_EPT_INVEPT             BIT(20)
#define VMX_EPT_ACCESSED_DIRTY     BIT(21)
#define VMX_EPT_ADVANCED_INFO      BIT(22)
#define VMX_EPT_SHADOW_STACK       BIT(23)
#define VMX_EPT_INVEPT_SINGLE      BIT(25)
#define VMX_EPT_INVEPT_ALL         BIT(26)
#define VMX_VPID_INVVPID           BIT(32)
#define VMX_VPID_INVVPID_ADDRESS   BIT(40)
#define VMX_VPID_INVVPID_SINGLE    BIT(41)
#define VMX_VPID_INVVPID_ALL       BIT(42)
#define VMX_VPID_INVVPID_NONGLOBAL BIT(43)

/* EPTP: memory type 2:0, walk length minus one 5:3, A/D 6, shadow stack 7, table 51:12. */
#define VMX_EPTP_WB     6ull
#define VMX_EPTP_WALK_4 (3ull << 3)

#define VMX_INVEPT_SINGLE  1ull
#define VMX_INVEPT_ALL     2ull
#define VMX_INVVPID_SINGLE 1ull
#define VMX_INVVPID_ALL    2ull

/* ---- Exit reasons: SDM, "VMX Basic Exit Reasons" -------------------------------------------- */

#define VMX_REASON_BASIC(reason) ((reason)&0xffffu)
#define VMX_REASON_ENTRY_FAILED  0x80000000u

#define VMX_REASON_EXCEPTION        0u
#define VMX_REASON_EXT_INTR         1u
#define VMX_REASON_TRIPLE_FAULT     2u
#define VMX_REASON_INIT             3u
#define VMX_REASON_SIPI             4u
#define VMX_REASON_IO_SMI           5u
#define VMX_REASON_OTHER_SMI        6u
#define VMX_REASON_INTR_WINDOW      7u
#define VMX_REASON_NMI_WINDOW       8u
#define VMX_REASON_TASK_SWITCH      9u
#define VMX_REASON_CPUID            10u
#define VMX_REASON_GETSEC           11u
#define VMX_REASON_HLT              12u
#define VMX_REASON_INVD             13u
#define VMX_REASON_INVLPG           14u
#define VMX_REASON_RDPMC            15u
#define VMX_REASON_RDTSC            16u
#define VMX_REASON_RSM              17u
#define VMX_REASON_VMCALL           18u
#define VMX_REASON_VMCLEAR          19u
#define VMX_REASON_VMLAUNCH         20u
#define VMX_REASON_VMPTRLD          21u
#define VMX_REASON_VMPTRST          22u
#define VMX_REASON_VMREAD           23u
#define VMX_REASON_VMRESUME         24u
#define VMX_REASON_VMWRITE          25u
#define VMX_REASON_VMXOFF           26u
#define VMX_REASON_VMXON            27u
#define VMX_REASON_CR               28u
#define VMX_REASON_DR               29u
#define VMX_REASON_IO               30u
#define VMX_REASON_RDMSR            31u
#define VMX_REASON_WRMSR            32u
#define VMX_REASON_BAD_GUEST_STATE  33u
#define VMX_REASON_BAD_MSR_LOAD     34u
#define VMX_REASON_MWAIT            36u
#define VMX_REASON_MTF              37u
#define VMX_REASON_MONITOR          39u
#define VMX_REASON_PAUSE            40u
#define VMX_REASON_ENTRY_MC         41u
#define VMX_REASON_TPR_BELOW        43u
#define VMX_REASON_APIC_ACCESS      44u
#define VMX_REASON_VIRTUAL_EOI      45u
#define VMX_REASON_GDTR_IDTR        46u
#define VMX_REASON_LDTR_TR          47u
#define VMX_REASON_EPT_VIOLATION    48u
#define VMX_REASON_EPT_MISCONFIG    49u
#define VMX_REASON_INVEPT           50u
#define VMX_REASON_RDTSCP           51u
#define VMX_REASON_PREEMPTION_TIMER 52u
#define VMX_REASON_INVVPID          53u
#define VMX_REASON_WBINVD           54u
#define VMX_REASON_XSETBV           55u
#define VMX_REASON_APIC_WRITE       56u
#define VMX_REASON_RDRAND           57u
#define VMX_REASON_INVPCID          58u
#define VMX_REASON_VMFUNC           59u
#define VMX_REASON_ENCLS            60u
#define VMX_REASON_RDSEED           61u
#define VMX_REASON_PML_FULL         62u
#define VMX_REASON_XSAVES           63u
#define VMX_REASON_XRSTORS          64u
#define VMX_REASON_PCONFIG          65u
#define VMX_REASON_SPP              66u
#define VMX_REASON_UMWAIT           67u
#define VMX_REASON_TPAUSE           68u
#define VMX_REASON_LOADIWKEY        69u
#define VMX_REASON_ENCLV            70u
#define VMX_REASON_ENQCMD_PASID     72u
#define VMX_REASON_ENQCMDS_PASID    73u
#define VMX_REASON_BUS_LOCK         74u
#define VMX_REASON_INSN_TIMEOUT     75u
#define VMX_REASON_SEAMCALL         76u
#define VMX_REASON_TDCALL           77u

/* ---- Information fields --------------------------------------------------------------------- */

/* The interruption information of exits, entries and IDT vectoring. */
#define VMX_INTR_VECTOR(info)  ((uint8_t)BITS(info, 7, 0))
#define VMX_INTR_TYPE(info)    BITS(info, 10, 8)
#define VMX_INTR_HAS_ERROR     0x00000800u
#define VMX_INTR_NMI_UNBLOCKED 0x00001000u /* exits only: by IRET */
#define VMX_INTR_VALID         0x80000000u

#define VMX_INTR_EXTERNAL       0u
#define VMX_INTR_NMI            2u
#define VMX_INTR_EXCEPTION      3u
#define VMX_INTR_SOFT_INTR      4u
#define VMX_INTR_PRIV_EXCEPTION 5u
#define VMX_INTR_SOFT_EXCEPTION 6u
#define VMX_INTR_OTHER          7u

/* Interruptibility; the first, second and fourth are VCPU_BLOCKING's bits. */
#define VMX_BLOCKING_STI    BIT(0)
#define VMX_BLOCKING_MOV_SS BIT(1)
#define VMX_BLOCKING_SMI    BIT(2)
#define VMX_BLOCKING_NMI    BIT(3)
#define VMX_ENCLAVE         BIT(4)
#define VMX_BLOCKING        (VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS | VMX_BLOCKING_NMI)

/* The guest interrupt status: the highest vectors requested and in service. */
#define VMX_INTR_STATUS(rvi, svi)   ((uint16_t)((rvi) | (svi) << 8))
#define VMX_INTR_STATUS_RVI(status) ((uint8_t)BITS(status, 7, 0))
#define VMX_INTR_STATUS_SVI(status) ((uint8_t)BITS(status, 15, 8))

#define VMX_PENDING_DEBUG_BS BIT(14)

#define VMX_ACTIVITY_ACTIVE 0u

/* The qualification of an EPT violation. */
#define VMX_EPT_READ          BIT(0)
#define VMX_EPT_WRITE         BIT(1)
#define VMX_EPT_FETCH         BIT(2)
#define VMX_EPT_LINEAR_VALID  BIT(7)
#define VMX_EPT_LINEAR_FINAL  BIT(8) /* to the page itself, not on the walk to it */
#define VMX_EPT_NMI_UNBLOCKED BIT(12)
