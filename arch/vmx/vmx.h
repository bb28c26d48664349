/* SPDX-License-Identifier: MIT */
/* What the files of this folder share. */
#pragma once

#include "arch/vmx/fields.h"
#include "arch/x86/regs.h"
#include "hv/addr.h"
#include "hv/backend.h"
#include "hv/fast.h"
#include "hv/slat.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/* A VM's part.  A set bit of a map: exit. */
struct vmx_vm {
    uint64_t slat_generation; /* counts changes of the tables that a TLB may still have */
    uint8_t io_bitmap[2][PAGE_SIZE] ALIGNED(PAGE_SIZE); /* ports 0 to 7fff, 8000 to ffff */
    uint8_t msr_bitmap[PAGE_SIZE];      /* read low, read high, write low, write high */
    uint8_t msr_bitmap_lent[PAGE_SIZE]; /* while its local APIC is lent to the CPU */
};

STATIC_ASSERT(offsetof(struct vmx_vm, io_bitmap) == 1 * PAGE_SIZE, "the bitmaps are whole pages");
STATIC_ASSERT(offsetof(struct vmx_vm, msr_bitmap) == 3 * PAGE_SIZE, "the bitmaps are whole pages");
STATIC_ASSERT(sizeof(struct vmx_vm) == 5 * PAGE_SIZE, "the bitmaps are whole pages");

/* A bit of such a map; MSRs that it does not cover always exit. */
void vmx_set_msr_exits(uint8_t *map, uint32_t msr, bool read, bool write);

/* MSRs that neither the VMCS nor an exit switches: the guest's stay in the CPU until another vCPU
 * is loaded. */
enum {
    SWITCH_STAR,
    SWITCH_LSTAR,
    SWITCH_CSTAR,
    SWITCH_SFMASK,
    SWITCH_KERNEL_GS_BASE,
    SWITCH_COUNT
};

/* All (c) of struct vcpu, but vmcs and vpid: (o). */
struct vmx_vcpu {
    struct vcpu vcpu;
    hpa_t vmcs;
    uint16_t vpid;
    bool prepared;        /* VMCLEAR has made the page a VMCS */
    bool launched;        /* VMRESUME, not VMLAUNCH */
    bool event_queued;    /* the entry interruption information is valid */
    uint64_t short_paths; /* exit reasons below may take one: VMX_SHORT_PATHS, or 0 */
    bool nmi_seen;        /* since it was loaded NMIs may have been blocked: see vmx_blocking() */
    uint32_t cpu_ctls;    /* the primary controls, as they are in the VMCS */
    struct cpu *last_cpu; /* where it ran last: its host state is in the VMCS, its translations in
                             the TLB */
    uint64_t slat_generation;    /* of the VM when last_cpu last dropped its translations */
    uint64_t cr2, dr6;           /* while not loaded */
    uint64_t msrs[SWITCH_COUNT]; /* while not loaded */
};

static inline struct vmx_vcpu *to_vmx(const struct vcpu *vcpu)
{
    return CONTAINER_OF(vcpu, struct vmx_vcpu, vcpu);
}

static inline struct vmx_vm *vmx_vm_part(const struct vm *vm)
{
    return vm->backend;
}

/* caps.c: what the controls are at reset, and what the CPU can. */
struct vmx_caps {
    uint32_t pin, cpu, cpu2, exit, entry;
    uint32_t revision;
    uint32_t timer_shift; /* of the VMX-preemption timer */
    bool vpid;
    bool invept_single, invvpid_single;
};

extern struct vmx_caps vmx_caps; /* valid after probe() */

int vmx_probe(const char **why_not);
const struct backend_feature *vmx_feature(unsigned int index);

/* vmcs.c */
#define VMX_EXCEPTIONS \
    ((uint32_t)(BIT(VEC_DB) | BIT(VEC_AC) | BIT(VEC_MC))) /* always intercepted */
void vmx_vmcs_reset(struct vmx_vcpu *vmx);
void vmx_vmcs_set_host(struct cpu *cpu);
void vmx_set_cpu_ctl(struct vmx_vcpu *vmx, uint64_t bit, bool on);
void vmx_set_blocking(uint64_t blocking);
uint64_t vmx_eptp(const struct vm *vm);
unsigned int vmx_mode(const struct vcpu *vcpu);
uint64_t vmx_get_reg(const struct vcpu *vcpu, enum vcpu_reg reg);
void vmx_set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value);
void vmx_get_seg(const struct vcpu *vcpu, enum vcpu_seg seg, struct segment *out);
void vmx_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct segment *in);

/* dump.c */
void vmx_dump(struct vcpu *vcpu);

/* decode.c */
void vmx_decode_exit(struct vm_exit *exit);
static inline struct exit_io vmx_decode_io(uint64_t qualification)
{
    return (struct exit_io){
        .size = (uint8_t)(BITS(qualification, 2, 0) + 1),
        .in = BITS(qualification, 3, 3),
        .string = BITS(qualification, 4, 4),
        .port = (uint16_t)BITS(qualification, 31, 16),
    };
}

/* inject.c */
uint32_t vmx_blocking(const struct vmx_vcpu *vmx);
bool vmx_can_inject(const struct vcpu *vcpu, enum event_window window);
void vmx_inject(struct vcpu *vcpu, const struct vm_event *event);
void vmx_request_window(struct vcpu *vcpu, enum event_window window, bool on);
void vmx_decode_vectoring(struct vm_event *event);
void vmx_mend_nmi_blocking(const struct vm_exit *exit);

/* apic.c; `available` is filled by probe(), hence not const */
extern struct apic_assist vmx_apic;
void vmx_mend_delivery(struct vcpu *vcpu);

/* ept.c */
extern struct slat_format ept_format;

/* fast.c */
#define VMX_SHORT_PATHS (VMX_REASON_WBINVD + 1)
enum fast_result vmx_fast_exit(struct vcpu *vcpu);

/* enter.asm: what the short path said of an exit, or that the CPU refused to try; without the
 * measures against speculation, and with them.  The labels are where exits arrive. */
#define VMX_REFUSED (FAST_AGAIN + 1)
unsigned int vmx_enter(struct vcpu *vcpu, bool launched);
unsigned int vmx_enter_guarded(struct vcpu *vcpu, bool launched);
void vmx_exit_landing(void);
void vmx_exit_landing_guarded(void);
