/* SPDX-License-Identifier: MIT */
/*
 * What the short paths of the backends (arch/{vmx,svm}/fast.c) share with the run loop: taking note
 * of an exit, and the last look before the guest is entered again.
 */
#pragma once

#include "arch/x86/cpu.h"
#include "hv/intr.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/* What a short path says of an exit; its enter.asm acts on it. */
enum fast_result {
    FAST_NOT,   /* nothing has been done about it: describe it */
    FAST_DONE,  /* it is dealt with, but something is to be looked at before the next entry */
    FAST_AGAIN, /* it is dealt with: enter the guest again (the last of these) */
};

/* An exit is counted and goes into the ring, with the backend's words. */
static inline void note_exit(struct vcpu *vcpu, uint64_t kind, uint64_t now, uint64_t rip,
                             uint64_t reason, uint64_t info)
{
    vcpu->exits[kind]++;
    if (likely(trace_is_on))
        trace_exit(&vcpu->cpu->trace, now, vcpu->trace_id, (uint32_t)kind, rip, reason, info);
}

/*
 * Before the guest is entered again.  False: there is more to do than to deliver an event.  The CPU
 * stays marked as away while a short path handles exits, so that whoever wants it sends an
 * interrupt; who did has taken the mark away and is seen here, or its interrupt is still pending
 * and ends the guest at once.  Interrupts that are to be let in go before this, not after.
 */
static inline bool may_enter_again(struct vcpu *vcpu)
{
    uint32_t requests;

    if (unlikely(!cpu_is_undisturbed(vcpu->cpu)))
        return false;
    if (likely(!__atomic_load_n(&vcpu->attention, __ATOMIC_RELAXED)))
        return true;
    requests = __atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED);
    if ((requests & ~VCPU_REQ_EVENT) || vcpu->flush_tlb)
        return false;
    if (requests)
        __atomic_fetch_and(&vcpu->requests, ~VCPU_REQ_EVENT, __ATOMIC_ACQUIRE);
    intr_deliver(vcpu);
    return true;
}

/* Behind a handler that has not advanced: the fault that it has found, if nothing has gone before.
 */
static inline enum fast_result deliver_fault(struct vcpu *vcpu, enum fast_result result)
{
    if (result == FAST_AGAIN && vcpu->exception.type) {
        backend->inject(vcpu, &vcpu->exception);
        vcpu->exception.type = EVENT_NONE;
    }
    return result;
}
