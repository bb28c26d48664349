/* SPDX-License-Identifier: MIT */
/*
 * Where an instruction ends, for the short path: in the guest's code, because the CPU does not say
 * it.  Only the plainest form of each is known here; 0 stands for all that is not so simple.
 */
#pragma once

#include "arch/svm/svm.h"
#include "arch/x86/regs.h"
#include "hv/guest_used.h"

/*
 * Four bytes at RIP, without a fetch that could fault: the CPU has been there.  0, with which none
 * of these instructions begins, where they cannot be had.
 */
static ALWAYS_INLINE uint32_t svm_read_code(const struct vcpu *vcpu, const struct vmcb *vmcb)
{
    const volatile uint32_t *code;

    if (!svm_is_code64(vmcb))
        return 0;
    code = guest_mem_used(vcpu->vm, vmcb->cr3_, vmcb->rip, sizeof(*code));
    return code ? *code : 0;
}

/* ---- Instructions of fixed bytes ------------------------------------------------------------ */

struct svm_shape {
    uint32_t mask, bytes, length;
};

#define SVM_SHAPE(exit) [SVM_EXIT_##exit - SVM_EXIT_CPUID]

static const struct svm_shape svm_shapes[] = {
    SVM_SHAPE(CPUID) = {0xffff, 0xa20f, 2},  SVM_SHAPE(INVD) = {0xffff, 0x080f, 2},
    SVM_SHAPE(MSR) = {0xffff, 0x320f, 2},    SVM_SHAPE(VMMCALL) = {0xffffff, 0xd9010f, 3},
    SVM_SHAPE(WBINVD) = {0xffff, 0x090f, 2},
};
static const struct svm_shape svm_wrmsr_shape = {0xffff, 0x300f, 2};

/* The bytes are those that are expected, without prefixes.  The exit's code is one of the above. */
static inline uint64_t svm_plain_end(const struct vcpu *vcpu, const struct vmcb *vmcb)
{
    uint32_t bytes = svm_read_code(vcpu, vmcb);
    const struct svm_shape *shape = vmcb->exit_code == SVM_EXIT_MSR && vmcb->exit_info1
                                        ? &svm_wrmsr_shape
                                        : &svm_shapes[vmcb->exit_code - SVM_EXIT_CPUID];

    return (bytes & shape->mask) == shape->bytes ? vmcb->rip + shape->length : 0;
}

/* ---- MOV to CR4 ----------------------------------------------------------------------------- */

#define SVM_MOV_TO_CR4        0x20220fu /* the last byte has CR4's number, and that of the register: */
#define SVM_MOV_TO_CR4_MASK   0x38ffffu
#define SVM_MOV_CR_GPR(bytes) ((bytes) >> 16 & 7)
#define SVM_REX_B             0x41u /* registers from R8 on */

/* Of a MOV to CR4 from a register, not RSP, that holds what CR4 holds. */
static inline uint64_t svm_same_cr4_end(const struct vcpu *vcpu, const struct vmcb *vmcb)
{
    unsigned int length = 3, high = 0, gpr;
    uint32_t bytes = svm_read_code(vcpu, vmcb);

    if ((uint8_t)bytes == SVM_REX_B) {
        bytes >>= 8;
        length = 4;
        high = GPR_R8;
    }
    gpr = SVM_MOV_CR_GPR(bytes) | high;
    if ((bytes & SVM_MOV_TO_CR4_MASK) != SVM_MOV_TO_CR4 || gpr == GPR_RSP ||
        vcpu->gprs.r[gpr] != svm_get_reg(vcpu, VCPU_CR4))
        return 0;
    return vmcb->rip + length;
}
