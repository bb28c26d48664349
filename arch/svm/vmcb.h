/* SPDX-License-Identifier: MIT */
/*
 * The virtual machine control block, APM vol 2, "Layout of VMCB": fields, control bits, exit codes.
 * Fields that a clean bit covers have a name that ends in '_' and are written through their setter
 * only, so that none is written without the CPU being told.
 */
#pragma once

#include "hv/util.h"

#include <stddef.h>
#include <stdint.h>

/* ---- Intercepts ----------------------------------------------------------------------------- */

/* Word 0: reads of CR0 to CR15 (15:0), writes (31:16).  Word 1: the same of DR.  Word 2:
 * exceptions. */
#define SVM_CR_READ(n)  (1u << (n))
#define SVM_CR_WRITE(n) (1u << (16 + (n)))
#define SVM_DR_ALL      0xffffffffu

/* Word 3 */
#define SVM_INTR        BIT(0)
#define SVM_NMI         BIT(1)
#define SVM_SMI         BIT(2)
#define SVM_INIT        BIT(3)
#define SVM_VINTR       BIT(4)
#define SVM_CR0_SEL     BIT(5)
#define SVM_IDTR_READ   BIT(6)
#define SVM_GDTR_READ   BIT(7)
#define SVM_LDTR_READ   BIT(8)
#define SVM_TR_READ     BIT(9)
#define SVM_IDTR_WRITE  BIT(10)
#define SVM_GDTR_WRITE  BIT(11)
#define SVM_LDTR_WRITE  BIT(12)
#define SVM_TR_WRITE    BIT(13)
#define SVM_RDTSC       BIT(14)
#define SVM_RDPMC       BIT(15)
#define SVM_PUSHF       BIT(16)
#define SVM_POPF        BIT(17)
#define SVM_CPUID       BIT(18)
#define SVM_RSM         BIT(19)
#define SVM_IRET        BIT(20)
#define SVM_INTN        BIT(21)
#define SVM_INVD        BIT(22)
#define SVM_PAUSE       BIT(23)
#define SVM_HLT         BIT(24)
#define SVM_INVLPG      BIT(25)
#define SVM_INVLPGA     BIT(26)
#define SVM_IOIO_PROT   BIT(27)
#define SVM_MSR_PROT    BIT(28)
#define SVM_TASK_SWITCH BIT(29)
#define SVM_FERR_FREEZE BIT(30)
#define SVM_SHUTDOWN    BIT(31)

/* Word 4 */
#define SVM_VMRUN         BIT(0)
#define SVM_VMMCALL       BIT(1)
#define SVM_VMLOAD        BIT(2)
#define SVM_VMSAVE        BIT(3)
#define SVM_STGI          BIT(4)
#define SVM_CLGI          BIT(5)
#define SVM_SKINIT        BIT(6)
#define SVM_RDTSCP        BIT(7)
#define SVM_ICEBP         BIT(8)
#define SVM_WBINVD        BIT(9)
#define SVM_MONITOR       BIT(10)
#define SVM_MWAIT         BIT(11)
#define SVM_MWAIT_ARMED   BIT(12)
#define SVM_XSETBV        BIT(13)
#define SVM_RDPRU         BIT(14)
#define SVM_EFER_TRAP     BIT(15)
#define SVM_CR_WRITE_TRAP BITS(~0ull, 31, 16) << 16

/* ---- Exit codes ----------------------------------------------------------------------------- */

#define SVM_EXIT_CR_READ(n)  (0x00u + (n))
#define SVM_EXIT_CR_WRITE(n) (0x10u + (n))
#define SVM_EXIT_DR_FIRST    0x20u
#define SVM_EXIT_DR_LAST     0x3fu
#define SVM_EXIT_EXCP(n)     (0x40u + (n))
#define SVM_EXIT_INTR        0x60u
#define SVM_EXIT_NMI         0x61u
#define SVM_EXIT_SMI         0x62u
#define SVM_EXIT_INIT        0x63u
#define SVM_EXIT_VINTR       0x64u
#define SVM_EXIT_CR0_SEL     0x65u
#define SVM_EXIT_RDTSC       0x6eu
#define SVM_EXIT_RDPMC       0x6fu
#define SVM_EXIT_CPUID       0x72u
#define SVM_EXIT_RSM         0x73u
#define SVM_EXIT_IRET        0x74u
#define SVM_EXIT_INTN        0x75u
#define SVM_EXIT_INVD        0x76u
#define SVM_EXIT_PAUSE       0x77u
#define SVM_EXIT_HLT         0x78u
#define SVM_EXIT_INVLPG      0x79u
#define SVM_EXIT_INVLPGA     0x7au
#define SVM_EXIT_IOIO        0x7bu
#define SVM_EXIT_MSR         0x7cu
#define SVM_EXIT_TASK_SWITCH 0x7du
#define SVM_EXIT_FERR_FREEZE 0x7eu
#define SVM_EXIT_SHUTDOWN    0x7fu
#define SVM_EXIT_VMRUN       0x80u
#define SVM_EXIT_VMMCALL     0x81u
#define SVM_EXIT_VMLOAD      0x82u
#define SVM_EXIT_VMSAVE      0x83u
#define SVM_EXIT_STGI        0x84u
#define SVM_EXIT_CLGI        0x85u
#define SVM_EXIT_SKINIT      0x86u
#define SVM_EXIT_RDTSCP      0x87u
#define SVM_EXIT_ICEBP       0x88u
#define SVM_EXIT_WBINVD      0x89u
#define SVM_EXIT_MONITOR     0x8au
#define SVM_EXIT_MWAIT       0x8bu
#define SVM_EXIT_MWAIT_ARMED 0x8cu
#define SVM_EXIT_XSETBV      0x8du
#define SVM_EXIT_RDPRU       0x8eu
#define SVM_EXIT_NPF         0x400u
#define SVM_EXIT_INVALID     0xffffffffu /* the low half; QEMU leaves the high half 0 */

/* ---- Control words -------------------------------------------------------------------------- */

#define VMCB_TLB_NONE       0u
#define VMCB_TLB_FLUSH_ALL  1u
#define VMCB_TLB_FLUSH_ASID 3u

#define VMCB_V_TPR       BITS(~0ull, 7, 0)
#define VMCB_V_IRQ       BIT(8)
#define VMCB_VGIF        BIT(9)
#define VMCB_V_PRIORITY  (0xfull << 16)
#define VMCB_V_IGN_TPR   BIT(20)
#define VMCB_V_MASKING   BIT(24)
#define VMCB_VGIF_ENABLE BIT(25)
#define VMCB_AVIC_ENABLE BIT(31)
#define VMCB_V_VECTOR(v) ((uint64_t)(v) << 32)

#define VMCB_INT_SHADOW BIT(0)
#define VMCB_GUEST_INT  BIT(1)
#define VMCB_NP_ENABLE  BIT(0)

/* EVENTINJ and EXITINTINFO */
#define VMCB_EVENT_INTR      (0ull << 8)
#define VMCB_EVENT_NMI       (2ull << 8)
#define VMCB_EVENT_EXCEPTION (3ull << 8)
#define VMCB_EVENT_SOFT      (4ull << 8)
#define VMCB_EVENT_TYPE(e)   BITS(e, 10, 8)
#define VMCB_EVENT_EV        BIT(11)
#define VMCB_EVENT_VALID     BIT(31)

/* EXITINFO1 of IOIO */
#define SVM_IO_IN   BIT(0)
#define SVM_IO_STR  BIT(2)
#define SVM_IO_REP  BIT(3)
#define SVM_IO_SZ8  BIT(4)
#define SVM_IO_SZ16 BIT(5)
#define SVM_IO_SZ32 BIT(6)

/* EXITINFO1 of NPF */
#define SVM_NPF_PRESENT BIT(0)
#define SVM_NPF_WRITE   BIT(1)
#define SVM_NPF_USER    BIT(2)
#define SVM_NPF_FETCH   BIT(4)
#define SVM_NPF_FINAL   BIT(32)
#define SVM_NPF_WALK    BIT(33)

#define SVM_CR_DECODED BIT(63) /* EXITINFO1 of MOV CR, with decode assists */

/* Clean bits: set, the CPU may use what it has cached of these fields. */
#define VMCB_CLEAN_I    BIT(0) /* intercepts, TSC offset, pause filter */
#define VMCB_CLEAN_IOPM BIT(1)
#define VMCB_CLEAN_ASID BIT(2)
#define VMCB_CLEAN_TPR  BIT(3) /* V_TPR, V_IRQ, ... */
#define VMCB_CLEAN_NP   BIT(4)
#define VMCB_CLEAN_CRX  BIT(5)
#define VMCB_CLEAN_DRX  BIT(6)
#define VMCB_CLEAN_DT   BIT(7)
#define VMCB_CLEAN_SEG  BIT(8)
#define VMCB_CLEAN_CR2  BIT(9)
#define VMCB_CLEAN_LBR  BIT(10)
#define VMCB_CLEAN_ALL  0xfffu

/* ---- The block ------------------------------------------------------------------------------ */

#define VMCB_SEG_L  0x200u
#define VMCB_SEG_DB 0x400u

struct vmcb_seg {
    uint16_t selector;
    uint16_t attributes; /* type, S, DPL, P, then AVL, L, D/B, G without the gap */
    uint32_t limit;
    uint64_t base;
};

struct vmcb {
    uint32_t intercept_cr_;  /* 000 [I] */
    uint32_t intercept_dr_;  /* 004 [I] */
    uint32_t intercept_exc_; /* 008 [I] */
    uint32_t intercept3_;    /* 00c [I] */
    uint32_t intercept4_;    /* 010 [I] */
    uint32_t intercept5_;    /* 014 [I] */
    uint8_t reserved018[0x24];
    uint16_t pause_threshold_; /* 03c [I] */
    uint16_t pause_count_;     /* 03e [I] */
    uint64_t iopm_;            /* 040 [IOPM] */
    uint64_t msrpm_;           /* 048 [IOPM] */
    uint64_t tsc_offset_;      /* 050 [I] */
    uint32_t asid_;            /* 058 [ASID] */
    uint32_t tlb_control;      /* 05c */
    uint64_t v_intr_;          /* 060 [TPR] */
    uint64_t int_state;        /* 068 */
    uint64_t exit_code;        /* 070 */
    uint64_t exit_info1;       /* 078 */
    uint64_t exit_info2;       /* 080 */
    uint64_t exit_int_info;    /* 088 */
    uint64_t np_control_;      /* 090 [NP] */
    uint8_t reserved098[0x10];
    uint64_t event_inj;    /* 0a8 */
    uint64_t n_cr3_;       /* 0b0 [NP] */
    uint64_t lbr_control_; /* 0b8 [LBR] */
    uint32_t clean;        /* 0c0 */
    uint32_t reserved0c4;
    uint64_t next_rip;      /* 0c8 */
    uint8_t fetched;        /* 0d0 */
    uint8_t insn_bytes[15]; /* 0d1 */
    uint8_t reserved0e0[0x320];

    struct vmcb_seg es_, cs_, ss_, ds_; /* 400 [SEG] */
    struct vmcb_seg fs, gs;             /* 440: by VMLOAD and VMSAVE only */
    struct vmcb_seg gdtr_;              /* 460 [DT] */
    struct vmcb_seg ldtr;               /* 470: by VMLOAD and VMSAVE only */
    struct vmcb_seg idtr_;              /* 480 [DT] */
    struct vmcb_seg tr;                 /* 490: by VMLOAD and VMSAVE only */
    uint8_t reserved4a0[0x2b];
    uint8_t cpl_; /* 4cb [SEG] */
    uint32_t reserved4cc;
    uint64_t efer_; /* 4d0 [CRX] */
    uint8_t reserved4d8[0x70];
    uint64_t cr4_;   /* 548 [CRX] */
    uint64_t cr3_;   /* 550 [CRX] */
    uint64_t cr0_;   /* 558 [CRX] */
    uint64_t dr7_;   /* 560 [DRX] */
    uint64_t dr6_;   /* 568 [DRX] */
    uint64_t rflags; /* 570 */
    uint64_t rip;    /* 578 */
    uint8_t reserved580[0x58];
    uint64_t rsp; /* 5d8 */
    uint8_t reserved5e0[0x18];
    uint64_t rax;                                        /* 5f8 */
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base; /* 600: by VMLOAD and VMSAVE only */
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;    /* 628: likewise */
    uint64_t cr2_;                                       /* 640 [CR2] */
    uint8_t reserved648[0x20];
    uint64_t pat_;      /* 668 [NP] */
    uint64_t debugctl_; /* 670 [LBR] */
    uint8_t reserved678[0x988];
};

STATIC_ASSERT(sizeof(struct vmcb) == 4096, "the VMCB is a page");
STATIC_ASSERT(offsetof(struct vmcb, iopm_) == 0x40, "VMCB layout");
STATIC_ASSERT(offsetof(struct vmcb, exit_code) == 0x70, "VMCB layout");
STATIC_ASSERT(offsetof(struct vmcb, event_inj) == 0xa8, "VMCB layout");
STATIC_ASSERT(offsetof(struct vmcb, next_rip) == 0xc8, "VMCB layout");
STATIC_ASSERT(offsetof(struct vmcb, es_) == 0x400, "VMCB layout");
STATIC_ASSERT(offsetof(struct vmcb, cpl_) == 0x4cb, "VMCB layout");
STATIC_ASSERT(offsetof(struct vmcb, efer_) == 0x4d0, "VMCB layout");
STATIC_ASSERT(offsetof(struct vmcb, cr4_) == 0x548, "VMCB layout");
STATIC_ASSERT(offsetof(struct vmcb, rsp) == 0x5d8, "VMCB layout");
STATIC_ASSERT(offsetof(struct vmcb, star) == 0x600, "VMCB layout");
STATIC_ASSERT(offsetof(struct vmcb, cr2_) == 0x640, "VMCB layout");
STATIC_ASSERT(offsetof(struct vmcb, pat_) == 0x668, "VMCB layout");

/* vmcb_set_NAME(): write the field and clear its clean bit. */
#define VMCB_SETTER(field, type, clean_bit)                            \
    static inline void vmcb_set_##field(struct vmcb *vmcb, type value) \
    {                                                                  \
        vmcb->field##_ = value;                                        \
        vmcb->clean &= ~(uint32_t)(clean_bit);                         \
    }

VMCB_SETTER(intercept_cr, uint32_t, VMCB_CLEAN_I)
VMCB_SETTER(intercept_dr, uint32_t, VMCB_CLEAN_I)
VMCB_SETTER(intercept_exc, uint32_t, VMCB_CLEAN_I)
VMCB_SETTER(intercept3, uint32_t, VMCB_CLEAN_I)
VMCB_SETTER(intercept4, uint32_t, VMCB_CLEAN_I)
VMCB_SETTER(tsc_offset, uint64_t, VMCB_CLEAN_I)
VMCB_SETTER(iopm, uint64_t, VMCB_CLEAN_IOPM)
VMCB_SETTER(msrpm, uint64_t, VMCB_CLEAN_IOPM)
VMCB_SETTER(asid, uint32_t, VMCB_CLEAN_ASID)
VMCB_SETTER(v_intr, uint64_t, VMCB_CLEAN_TPR)
VMCB_SETTER(np_control, uint64_t, VMCB_CLEAN_NP)
VMCB_SETTER(n_cr3, uint64_t, VMCB_CLEAN_NP)
VMCB_SETTER(pat, uint64_t, VMCB_CLEAN_NP)
VMCB_SETTER(efer, uint64_t, VMCB_CLEAN_CRX)
VMCB_SETTER(cr0, uint64_t, VMCB_CLEAN_CRX)
VMCB_SETTER(cr3, uint64_t, VMCB_CLEAN_CRX)
VMCB_SETTER(cr4, uint64_t, VMCB_CLEAN_CRX)
VMCB_SETTER(dr6, uint64_t, VMCB_CLEAN_DRX)
VMCB_SETTER(dr7, uint64_t, VMCB_CLEAN_DRX)
VMCB_SETTER(cr2, uint64_t, VMCB_CLEAN_CR2)
VMCB_SETTER(debugctl, uint64_t, VMCB_CLEAN_LBR)
VMCB_SETTER(cpl, uint8_t, VMCB_CLEAN_SEG)
