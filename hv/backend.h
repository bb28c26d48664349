/* SPDX-License-Identifier: MIT */
/*
 * All that hv/ knows of VT-x and AMD-V.  One instance per vendor, const, chosen once by
 * backend_select(); no member may be NULL.  Functions that can fail return 0 or a negative errno;
 * the others cannot fail for a valid vCPU.
 *
 * Everything from `enter` to `set_tsc_offset` acts on a vCPU that is loaded on the calling CPU.
 */
#pragma once

#include "hv/addr.h"
#include "hv/exit.h"
#include "hv/vdev/vlapic.h"

#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct slat_format;
struct vcpu;
struct vm;

/* Control state that is on no hot path.  CR0, CR4 and EFER are the guest's view, not what hardware
 * holds. */
enum vcpu_reg {
    VCPU_RSP,
    VCPU_RFLAGS,
    VCPU_CR0,
    VCPU_CR2,
    VCPU_CR3,
    VCPU_CR4,
    VCPU_EFER, /* as RDMSR shows it; writing updates LMA and what hangs on it */
    VCPU_PAT,
    VCPU_DR6,
    VCPU_DR7,
    VCPU_SYSENTER_CS,
    VCPU_SYSENTER_ESP,
    VCPU_SYSENTER_EIP,
    VCPU_STAR,
    VCPU_LSTAR,
    VCPU_CSTAR,
    VCPU_SFMASK,
    VCPU_KERNEL_GS_BASE,
    VCPU_DEBUGCTL,
    VCPU_BLOCKING, /* BLOCKING_* below */
    VCPU_REG_COUNT
};

/* VCPU_BLOCKING, with the bit positions of the SDM's interruptibility state. */
#define BLOCKING_STI    0x1u
#define BLOCKING_MOV_SS 0x2u
#define BLOCKING_NMI    0x8u

/* What the mode of the CPU is, in one word: CPL in bits 1:0. */
#define MODE_CPL    0x3u
#define MODE_LONG   0x4u  /* EFER.LMA */
#define MODE_CODE64 0x8u  /* and CS.L */
#define MODE_CODE32 0x10u /* neither, and CS.D */

enum vcpu_seg {
    SEG_ES,
    SEG_CS,
    SEG_SS,
    SEG_DS,
    SEG_FS,
    SEG_GS,
    SEG_LDTR,
    SEG_TR,
    SEG_GDTR,
    SEG_IDTR,
    SEG_COUNT
};

/* Attributes in VT-x's format: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, DB 14, G 15, unusable 16.
 */
#define SEG_ATTR_TYPE(a)  ((a)&0xfu)
#define SEG_ATTR_S        0x10u
#define SEG_ATTR_DPL(a)   (((a) >> 5) & 3u)
#define SEG_ATTR_P        0x80u
#define SEG_ATTR_L        0x2000u
#define SEG_ATTR_DB       0x4000u
#define SEG_ATTR_G        0x8000u
#define SEG_ATTR_UNUSABLE 0x10000u

struct segment {
    uint64_t base;
    uint32_t limit; /* in bytes */
    uint32_t attributes;
    uint16_t selector;
};

/* A feature of the CPU that the backend needs or can use: one row of `info host`. */
struct backend_feature {
    const char *name; /* the manual's */
    bool required;
    bool present;
};

/*
 * What the CPU does of a local APIC that is lent to it, in x2APIC mode (hv/vdev/vlapic.h).  Where
 * it does nothing this is no_apic_assist, and but for `available` none of it is used.
 */
struct apic_assist {
    bool available; /* all that it takes; known after probe() */
    /* A lent APIC's register is the CPU's business: no exit.  For vm_create. */
    void (*pass)(struct vm *vm, uint32_t msr, bool read, bool write);
    /* From now on the CPU works on the page; until end() or vcpu_reset(). */
    void (*begin)(struct vcpu *vcpu, hpa_t page, struct vlapic_status status);
    void (*end)(struct vcpu *vcpu);
    /* RVI. */
    uint8_t (*requested)(const struct vcpu *vcpu);
    void (*request)(struct vcpu *vcpu, uint8_t vector);
    /* The EOI of these is an exit, EXIT_APIC_EOI. */
    void (*set_eoi_exits)(struct vcpu *vcpu, const uint64_t vectors[4]);
};

extern const struct apic_assist no_apic_assist;

struct backend {
    const char *name;               /* "VT-x", "AMD-V" */
    const struct slat_format *slat; /* EPT or NPT entry encoding */
    uint8_t hypercall_opcode[3];    /* VMCALL or VMMCALL */

    /* 0, or -ENODEV with the reason in *why_not.  Does not touch the CPU's state. */
    int (*probe)(const char **why_not);
    /* Rows of `info host`; NULL when index is past the last. */
    const struct backend_feature *(*feature)(unsigned int index);
    int (*cpu_enable)(struct cpu *cpu);   /* VMXON, or EFER.SVME and the host save area */
    void (*cpu_disable)(struct cpu *cpu); /* no guest may be loaded */

    int (*vm_create)(struct vm *vm); /* permission maps; everything is intercepted */
    void (*vm_destroy)(struct vm *vm);
    struct vcpu *(*vcpu_create)(struct vm *vm,
                                unsigned int id); /* zeroed, except what the backend owns */
    void (*vcpu_destroy)(struct vcpu *vcpu);
    void (*vcpu_reset)(struct vcpu *vcpu); /* the architecture's state after RESET; loaded */
    void (*vcpu_load)(struct vcpu *vcpu,
                      struct cpu *cpu);  /* make it this CPU's: VMPTRLD, ASID or VPID, MSRs */
    void (*vcpu_put)(struct vcpu *vcpu); /* make it movable: VMCLEAR, save what load switched in */

    /* Run the guest until it exits, and describe the exit.  Interrupts are off.  Reads and writes
     * vcpu->gprs and vcpu->rip.  False: the short path has dealt with the exit, and found something
     * to do before the next entry. */
    bool (*enter)(struct vcpu *vcpu, struct vm_exit *exit);

    unsigned int (*mode)(const struct vcpu *vcpu); /* MODE_* */
    uint64_t (*get_reg)(const struct vcpu *vcpu, enum vcpu_reg reg);
    void (*set_reg)(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value);
    void (*get_seg)(const struct vcpu *vcpu, enum vcpu_seg seg, struct segment *out);
    void (*set_seg)(struct vcpu *vcpu, enum vcpu_seg seg, const struct segment *in);

    /* Could an event of this kind be injected at the next entry? (IF, blocking, and no other event
     * injected) */
    bool (*can_inject)(const struct vcpu *vcpu, enum event_window window);
    void (*inject)(struct vcpu *vcpu, const struct vm_event *event); /* at the next entry */
    void (*request_window)(struct vcpu *vcpu, enum event_window window,
                           bool on); /* exit once it can */

    void (*intercept_io)(struct vm *vm, uint16_t first, uint32_t count, bool on);
    void (*intercept_msr)(struct vm *vm, uint32_t msr, bool read, bool write);
    void (*intercept_exceptions)(struct vcpu *vcpu,
                                 uint32_t mask); /* bit per vector; #DB, #AC, #MC always are */
    void (*intercept_dr)(struct vcpu *vcpu, bool on);
    void (*intercept_pause)(struct vcpu *vcpu, bool on);
    void (*set_pdptes)(struct vcpu *vcpu,
                       const uint64_t pdptes[4]); /* PAE paging; empty where the CPU walks itself */
    void (*set_tsc_offset)(struct vcpu *vcpu, uint64_t offset); /* guest TSC = host TSC + offset */
    void (*flush_guest_tlb)(struct vcpu *vcpu);                 /* at the next entry */
    void (*slat_flush)(struct vm *vm); /* nothing stale after each vCPU's next entry from the run
                                          loop; see vm_memory_flush() */
    const struct apic_assist *apic;    /* loaded on the calling CPU too, but for `pass` */
    void (*dump)(struct vcpu *vcpu);   /* the VMCS or VMCB to the log, in the manual's order */
};

extern const struct backend *backend; /* set once by backend_select() */

/* Ask each backend's probe(); 0, or -ENODEV after having logged why each declined. */
int backend_select(void);
