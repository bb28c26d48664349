/* SPDX-License-Identifier: MIT */
/* Intercepted exceptions, which go back to the guest, and the hypercall instruction, whose calls
 * are in hv/pv/. */
#include "hv/emul.h"

#include "arch/x86/regs.h"
#include "hv/pv/pv.h"
#include "hv/vcpu.h"

/*
 * #DB and #AC are intercepted only so that a guest cannot keep the CPU in an endless delivery of
 * them (CVE-2015-5307, CVE-2015-8104): the exit lets the host breathe, then the guest gets its own.
 */
enum exit_action emul_exception(struct vcpu *vcpu, const struct vm_exit *exit)
{
    const struct exit_exception *exception = &exit->exception;

    if (exception->iret_unblocked_nmi)
        backend->set_reg(vcpu, VCPU_BLOCKING, backend->get_reg(vcpu, VCPU_BLOCKING) | BLOCKING_NMI);
    if (exception->soft) {
        vcpu->exception = (struct vm_event){
            .type = exception->soft_type, .vector = exception->vector, .insn_len = exit->insn_len};
        return ACTION_RESUME;
    }
    switch (exception->vector) {
    case VEC_DB:
        inject_db(vcpu, exception->info);
        break;
    case VEC_PF:
        inject_pf(vcpu, exception->info, exception->error);
        break;
    default:
        inject_exception(vcpu, exception->vector, exception->has_error, exception->error);
        break;
    }
    return ACTION_RESUME;
}

static NOINLINE enum exit_action answer(struct vcpu *vcpu, pv_function *function)
{
    vcpu->gprs.r[GPR_RAX] = (uint64_t)function(vcpu);
    return ACTION_ADVANCE;
}

/* Without a frame of its own. */
enum exit_action emul_kernel_call(struct vcpu *vcpu, const struct vm_exit *exit)
{
    pv_function *function = pv_find(vcpu->gprs.r[GPR_RAX]);

    if (function)
        return answer(vcpu, function);
    vcpu->gprs.r[GPR_RAX] = (uint64_t)-KVM_ENOSYS;
    return ACTION_ADVANCE;
}

/* 32-bit code gives 32 bits, and gets them. */
static COLD enum exit_action call_from_32_bits(struct vcpu *vcpu, const struct vm_exit *exit)
{
    pv_cut_registers(vcpu);
    emul_kernel_call(vcpu, exit);
    vcpu->gprs.r[GPR_RAX] = (uint32_t)vcpu->gprs.r[GPR_RAX];
    return ACTION_ADVANCE;
}

/* User programs may not call. */
static COLD enum exit_action refuse_call(struct vcpu *vcpu, unsigned int mode)
{
    vcpu->gprs.r[GPR_RAX] = mode & MODE_CODE64 ? (uint64_t)-KVM_EPERM : (uint32_t)-KVM_EPERM;
    return ACTION_ADVANCE;
}

enum exit_action emul_hypercall(struct vcpu *vcpu, const struct vm_exit *exit)
{
    unsigned int mode = backend->mode(vcpu);

    if (unlikely(mode & MODE_CPL))
        return refuse_call(vcpu, mode);
    if (unlikely(!(mode & MODE_CODE64)))
        return call_from_32_bits(vcpu, exit);
    return emul_kernel_call(vcpu, exit);
}
