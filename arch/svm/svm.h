/* SPDX-License-Identifier: MIT */
/* What the files of this folder share. */
#pragma once

#include "arch/svm/vmcb.h"
#include "arch/x86/regs.h"
#include "hv/addr.h"
#include "hv/backend.h"
#include "hv/fast.h"
#include "hv/slat.h"
#include "hv/vcpu.h"

struct svm_vm {
    hpa_t iopm;               /* three pages: a bit a port */
    hpa_t msrpm;              /* two pages: two bits an MSR */
    uint64_t slat_generation; /* counts changes of the tables that a TLB may still have */
};

struct svm_vcpu {
    struct vcpu vcpu;
    struct vmcb *vmcb;
    hpa_t vmcb_hpa;
    uint64_t cr0_hidden;          /* the guest's CD, NW and NE: the hardware's are Mica's */
    uint64_t efer_hidden;         /* the guest's LME while its paging is off */
    uint32_t exceptions;          /* intercepted besides #DB, #AC and #MC */
    uint64_t asid_generation;     /* its ASID is good while this is the CPU's */
    uint64_t slat_generation;     /* of the VM when it last got an ASID */
    uint64_t look_at;             /* TSC from which exits take the long path, see fast.c */
    bool nmi_blocked;             /* from the injection of an NMI to the end of its IRET */
    bool intr_window, nmi_window; /* asked for */
    bool stepping_iret;  /* IRET is being stepped over, for the CPU does not tell when it is done */
    uint64_t stepped_tf; /* the guest's own TF meanwhile */
    uint32_t stepped_exceptions; /* and the exceptions that were intercepted before */
};

/* Behind cpu->backend: the host save area of VMRUN, the host's part of VMLOAD and VMSAVE, ASIDs. */
struct svm_cpu {
    uint8_t host_save[4096];
    struct vmcb host;
    uint64_t asid_generation;
    uint32_t asid_next;
};

static inline struct svm_vcpu *to_svm(const struct vcpu *vcpu)
{
    return CONTAINER_OF(vcpu, struct svm_vcpu, vcpu);
}

/* caps.c */
int svm_probe(const char **why_not);
const struct backend_feature *svm_feature(unsigned int index);
uint32_t svm_asid_count(void);

/* vmcb.c */
void svm_vmcb_reset(struct svm_vcpu *svm, const struct svm_vm *vm, const struct slat *slat);
void svm_dump(struct vcpu *vcpu);
unsigned int svm_mode(const struct vcpu *vcpu);
uint64_t svm_get_reg(const struct vcpu *vcpu, enum vcpu_reg reg);
void svm_set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value);
void svm_get_seg(const struct vcpu *vcpu, enum vcpu_seg seg, struct segment *out);
void svm_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct segment *in);

/* decode.c */
void svm_decode_exit(struct svm_vcpu *svm, struct vm_exit *exit);
static inline struct exit_io svm_decode_io(uint64_t info)
{
    return (struct exit_io){
        .port = (uint16_t)BITS(info, 31, 16),
        .size = (uint8_t)BITS(info, 6, 4),
        .in = info & SVM_IO_IN,
        .string = info & SVM_IO_STR,
    };
}

static inline struct exit_mem svm_decode_npf(const struct vmcb *vmcb)
{
    uint64_t info = vmcb->exit_info1;

    return (struct exit_mem){
        .gpa = GPA(vmcb->exit_info2),
        .read = !(info & (SVM_NPF_WRITE | SVM_NPF_FETCH)),
        .write = info & SVM_NPF_WRITE,
        .fetch = info & SVM_NPF_FETCH,
        .in_page_walk = info & SVM_NPF_WALK,
    };
}

static inline bool svm_is_code64(const struct vmcb *vmcb)
{
    return (vmcb->cs_.attributes & VMCB_SEG_L) && (vmcb->efer_ & EFER_LMA);
}

/* inject.c */
void svm_inject_init(bool by_virtual_interrupt); /* before all others */
void svm_take_back_virtual(struct vmcb *vmcb, struct vm_event *event);
bool svm_can_inject(const struct vcpu *vcpu, enum event_window window);
void svm_inject(struct vcpu *vcpu, const struct vm_event *event);
void svm_request_window(struct vcpu *vcpu, enum event_window window, bool on);
void svm_decode_event(uint64_t info, struct vm_event *event);
/* VMRUN loads CR2, but not on Bochs 2.7: what is in the VMCB is put into the register as well. */
static inline void svm_load_cr2(const struct vmcb *vmcb)
{
    __asm__ volatile("mov %0, %%cr2" ::"r"(vmcb->cr2_));
}

void svm_iret_intercepted(struct svm_vcpu *svm);
bool svm_iret_stepped(struct svm_vcpu *svm);
void svm_iret_faulted(struct svm_vcpu *svm);

/* npt.c */
extern struct slat_format npt_format;

/* fast.c */
#define SVM_LONGEST_ROW 10000u /* ticks of the TSC that exits may all take the short path */
enum fast_result svm_fast_exit(struct vcpu *vcpu);

/* enter.asm: without the measures against speculation, and with them */
enum fast_result svm_enter(struct vcpu *vcpu, uint64_t guest_vmcb, uint64_t host_vmcb);
enum fast_result svm_enter_guarded(struct vcpu *vcpu, uint64_t guest_vmcb, uint64_t host_vmcb);
