/* SPDX-License-Identifier: MIT */
/*
 * Where an instruction ends, for the short path: in the guest's code, because the CPU does not say
 * it.  Only the plainest form of each is known here; 0 stands for all that is not so simple.
 */
#pragma once

#include "arch/svm/svm.h"
#include "arch/x86/regs.h"
#include "hv/guest_used.h"

/* Four bytes at RIP, without a fetch that could fault: the CPU has been there. */
static inline bool svm_read_code(const struct vcpu *vcpu, const struct vmcb *vmcb, uint32_t *bytes)
{
    const volatile uint32_t *code;

    if (!svm_is_code64(vmcb))
        return false;
    code = guest_mem_used(vcpu->vm, vmcb->cr3_, vmcb->rip, sizeof(*code));
    if (code)
        *bytes = *code;
    return code != NULL;
}

/* ---- Instructions of fixed bytes ------------------------------------------------------------ */

struct svm_shape {
    uint32_t mask, bytes, length;
};

/* By exit code. */
static const struct svm_shape svm_shapes[] = {
    [SVM_EXIT_CPUID] = {0xffff, 0xa20f, 2},  [SVM_EXIT_INVD] = {0xffff, 0x080f, 2},
    [SVM_EXIT_MSR] = {0xffff, 0x320f, 2},    [SVM_EXIT_VMMCALL] = {0xffffff, 0xd9010f, 3},
    [SVM_EXIT_WBINVD] = {0xffff, 0x090f, 2},
};
static const struct svm_shape svm_wrmsr_shape = {0xffff, 0x300f, 2};

/* The bytes are those that are expected, without prefixes.  The exit's code is one of the above. */
static inline uint64_t svm_plain_end(const struct vcpu *vcpu, const struct vmcb *vmcb)
{
    const struct svm_shape *shape = vmcb->exit_code == SVM_EXIT_MSR && vmcb->exit_info1
                                        ? &svm_wrmsr_shape
                                        : &svm_shapes[vmcb->exit_code];
    uint32_t bytes;

    return svm_read_code(vcpu, vmcb, &bytes) && (bytes & shape->mask) == shape->bytes
               ? vmcb->rip + shape->length
               : 0;
}
