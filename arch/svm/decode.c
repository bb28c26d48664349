/* SPDX-License-Identifier: MIT */
/* A #VMEXIT as a struct vm_exit: reads the VMCB and decides nothing. */
#include "arch/svm/svm.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/regs.h"

static void decode_exception(const struct vmcb *vmcb, uint8_t vector, struct vm_exit *exit)
{
    exit->kind = EXIT_EXCEPTION;
    exit->exception = (struct exit_exception){
        .vector = vector,
        .has_error = VEC_HAS_ERROR_CODE >> vector & 1,
        .error = (uint32_t)vmcb->exit_info1,
        /* Of #DB, DR6 has been written already. */
        .info = vector == VEC_PF ? vmcb->exit_info2 : 0,
    };
}

static void decode_cr(const struct vmcb *vmcb, uint32_t code, struct vm_exit *exit)
{
    exit->kind = EXIT_CR;
    exit->cr = (struct exit_cr){
        .decoded = vmcb->exit_info1 & SVM_CR_DECODED,
        .cr = code & 0xf,
        .access = code >= SVM_EXIT_CR_WRITE(0) ? CR_WRITE : CR_READ,
        .gpr = vmcb->exit_info1 & 0xf,
    };
}

/* Exits that are nothing but a kind. */
static enum exit_kind plain_kind(uint32_t code)
{
    switch (code) {
    case SVM_EXIT_INTR:
    case SVM_EXIT_SMI:
        return EXIT_HOST_EVENT;
    case SVM_EXIT_NMI:
        return EXIT_HOST_NMI; /* held by GIF = 0, the host has taken it at STGI */
    case SVM_EXIT_INIT:
        return EXIT_INIT;
    case SVM_EXIT_VINTR:
        return EXIT_INTR_WINDOW;
    case SVM_EXIT_RDPMC:
        return EXIT_RDPMC;
    case SVM_EXIT_CPUID:
        return EXIT_CPUID;
    case SVM_EXIT_INVD:
    case SVM_EXIT_WBINVD:
        return EXIT_CACHE;
    case SVM_EXIT_PAUSE:
        return EXIT_PAUSE;
    case SVM_EXIT_HLT:
        return EXIT_HLT;
    case SVM_EXIT_TASK_SWITCH:
        return EXIT_TASK_SWITCH;
    case SVM_EXIT_FERR_FREEZE:
        return EXIT_HOST_EVENT;
    case SVM_EXIT_SHUTDOWN:
        return EXIT_TRIPLE_FAULT;
    case SVM_EXIT_VMMCALL:
        return EXIT_HYPERCALL;
    case SVM_EXIT_VMRUN:
    case SVM_EXIT_VMLOAD:
    case SVM_EXIT_VMSAVE:
    case SVM_EXIT_STGI:
    case SVM_EXIT_CLGI:
    case SVM_EXIT_SKINIT:
    case SVM_EXIT_INVLPGA:
    case SVM_EXIT_MONITOR:
    case SVM_EXIT_MWAIT:
    case SVM_EXIT_MWAIT_ARMED:
    case SVM_EXIT_RDPRU:
        return EXIT_HIDDEN;
    case SVM_EXIT_XSETBV:
        return EXIT_XSETBV;
    case SVM_EXIT_INVALID:
        return EXIT_ENTRY_FAILED;
    default:
        return EXIT_UNKNOWN;
    }
}

static uint8_t length_of(const struct vmcb *vmcb)
{
    uint64_t length = vmcb->next_rip - vmcb->rip;

    return cpu_has(FEATURE_SVM_NRIPS) && length <= 15 ? (uint8_t)length : 0;
}

static void decode_kind(struct svm_vcpu *svm, uint32_t code, struct vm_exit *exit)
{
    const struct vmcb *vmcb = svm->vmcb;

    if (code == SVM_EXIT_NPF) {
        exit->kind = EXIT_MEM;
        exit->insn_len = 0;
        exit->mem = svm_decode_npf(vmcb);
    } else if (code == SVM_EXIT_IOIO) {
        exit->kind = EXIT_IO;
        exit->insn_len = (uint8_t)(vmcb->exit_info2 - vmcb->rip); /* which every CPU gives */
        exit->io = svm_decode_io(vmcb->exit_info1);
    } else if (code == SVM_EXIT_MSR) {
        exit->kind = vmcb->exit_info1 ? EXIT_WRMSR : EXIT_RDMSR;
    } else if (code < SVM_EXIT_DR_FIRST) {
        decode_cr(vmcb, code, exit);
    } else if (code <= SVM_EXIT_DR_LAST) {
        exit->kind = EXIT_DR;
        exit->dr = (struct exit_dr){.dr = code & 0xf, .write = code & 0x10};
    } else if (code == SVM_EXIT_IRET) {
        svm_iret_intercepted(svm);
        exit->kind = EXIT_NMI_WINDOW;
    } else if (code == SVM_EXIT_EXCP(VEC_DB) && svm_iret_stepped(svm)) {
        exit->kind = EXIT_NMI_WINDOW;
    } else if (code == SVM_EXIT_EXCP(VEC_MC)) {
        exit->kind = EXIT_HOST_EVENT; /* the machine's, and delivered to it before this */
    } else if (code >= SVM_EXIT_EXCP(0) && code <= SVM_EXIT_EXCP(31)) {
        svm_iret_faulted(svm);
        decode_exception(vmcb, (uint8_t)(code - SVM_EXIT_EXCP(0)), exit);
    } else {
        exit->kind = (uint8_t)plain_kind(code);
    }
}

void svm_decode_exit(struct svm_vcpu *svm, struct vm_exit *exit)
{
    struct vmcb *vmcb = svm->vmcb;

    exit->insn_len = length_of(vmcb);
    svm_decode_event(vmcb->exit_int_info, &exit->vectoring);
    svm_take_back_virtual(vmcb, &exit->vectoring);
    exit->raw.reason = vmcb->exit_code;
    exit->raw.info1 = vmcb->exit_info1;
    exit->raw.info2 = vmcb->exit_info2;
    decode_kind(svm, (uint32_t)vmcb->exit_code, exit);
}
