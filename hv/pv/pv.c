/* SPDX-License-Identifier: MIT */
/* The frame of hypercalls: where number and arguments are, and whose they are. */
#include "hv/pv/pv.h"

#include "hv/vcpu.h"

void pv_reset(struct vcpu *vcpu)
{
    vcpu->kvm_system_time = 0;
    vcpu->kvm_clock = (struct pvclock_time_info){0};
    vcpu->pv = (struct pv_vcpu){.poll_control = KVM_POLL_ENABLE};
}

int64_t pv_call(struct vcpu *vcpu, bool is_64bit)
{
    const uint64_t *r = vcpu->gprs.r;
    uint64_t mask = is_64bit ? UINT64_MAX : UINT32_MAX;
    uint64_t number = r[GPR_RAX] & mask;
    const struct pv_args args = {
        .a = {r[GPR_RBX] & mask, r[GPR_RCX] & mask, r[GPR_RDX] & mask, r[GPR_RSI] & mask},
        .is_64bit = is_64bit,
    };

    if (number >= MICA_CALL_FIRST)
        return mica_call(vcpu, number - MICA_CALL_FIRST, &args);
    return kvm_call(vcpu, number, &args);
}
