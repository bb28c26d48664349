/* SPDX-License-Identifier: MIT */
/*
 * The paravirtual interfaces but for kvmclock: KVM's by its published ABI, and Mica's own calls.
 * What a guest names by an address is checked when it does so, and reached through guest_mem.h.
 * What every exit passes by is inline, and a look at one word while the guest uses none of it.
 */
#pragma once

#include "hv/pv/mica_abi.h"
#include "hv/pv/pv_vcpu.h"
#include "hv/util.h"
#include "hv/vcpu.h"

/* After RESET and INIT: no address that the guest named before is used any more. */
void pv_reset(struct vcpu *vcpu);

/* A call: the number is in RAX, arguments in RBX, RCX, RDX and RSI; returns what goes to RAX. */
typedef int64_t pv_function(struct vcpu *vcpu);
extern pv_function *const kvm_calls[KVM_HC_COUNT];     /* kvm.c; null pointers among them */
extern pv_function *const mica_calls[MICA_CALL_COUNT]; /* mica.c */

/* That of a number, or a null pointer. */
static inline pv_function *pv_find(uint64_t number)
{
    if (number < ARRAY_SIZE(kvm_calls))
        return kvm_calls[number];
    number -= MICA_CALL_FIRST;
    return number < ARRAY_SIZE(mica_calls) ? mica_calls[number] : NULL;
}

/* Of a caller outside 64-bit code, before the call. */
void pv_cut_registers(struct vcpu *vcpu);

/* ---- kvm.c ---------------------------------------------------------------------------------- */

/* The bits of KVM_CPUID_FEATURES that stand for what works. */
uint32_t kvm_features(void);
/* MSR_KVM_STEAL_TIME to MSR_KVM_POLL_CONTROL.  False: #GP. */
uint64_t kvm_read_msr(const struct vcpu *vcpu, uint32_t msr);
bool kvm_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value);

/* Was it kicked since it was asked last? */
static inline bool kvm_take_kick(struct vcpu *vcpu)
{
    return __atomic_load_n(&vcpu->pv.kicked, __ATOMIC_RELAXED) &&
           __atomic_exchange_n(&vcpu->pv.kicked, false, __ATOMIC_SEQ_CST);
}

/* ---- kvm_steal.c ---------------------------------------------------------------------------- */

bool kvm_steal_write(struct vcpu *vcpu, uint64_t value);
void kvm_steal_begin(struct vcpu *vcpu);
void kvm_steal_end(struct vcpu *vcpu);

/* It gets a CPU; and leaves it. */
static inline void kvm_steal_enter(struct vcpu *vcpu)
{
    if (vcpu->pv.steal_time & KVM_MSR_ENABLE)
        kvm_steal_begin(vcpu);
}

static inline void kvm_steal_leave(struct vcpu *vcpu)
{
    if (vcpu->pv.steal_time & KVM_MSR_ENABLE)
        kvm_steal_end(vcpu);
}

/* ---- kvm_eoi.c ------------------------------------------------------------------------------ */

bool kvm_eoi_write(struct vcpu *vcpu, uint64_t value);
void kvm_eoi_give(struct vcpu *vcpu);
void kvm_eoi_take_back(struct vcpu *vcpu);

/* The guest runs next: let it skip the EOI where that need not be noticed at once. */
static inline void kvm_eoi_offer(struct vcpu *vcpu)
{
    if (vcpu->pv.eoi & KVM_MSR_ENABLE)
        kvm_eoi_give(vcpu);
}

/* Before the local APIC's state is looked at: an EOI that was skipped takes place. */
static inline void kvm_eoi_sync(struct vcpu *vcpu)
{
    if (unlikely(vcpu->pv.eoi_offered))
        kvm_eoi_take_back(vcpu);
}

/* ---- mica.c --------------------------------------------------------------------------------- */

uint32_t mica_features(void);

/* ---- event.c -------------------------------------------------------------------------------- */

pv_function event_call; /* MICA_CALL_EVENT_CREATE and the following */
/* The VM has stopped: its ends of event channels are gone, and who is at the others is told. */
void event_close_all(struct vm *vm);
