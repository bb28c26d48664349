/* SPDX-License-Identifier: MIT */
/* The frame of hypercalls: where number and arguments are, and whose they are. */
#include "hv/pv/pv.h"

void pv_reset(struct vcpu *vcpu)
{
    vcpu->kvm_system_time = 0;
    vcpu->kvm_clock_version = 0;
    vcpu->pv = (struct pv_vcpu){.poll_control = KVM_POLL_ENABLE};
}

/* The upper halves are its own no more: what becomes of them there is undefined. */
void pv_cut_registers(struct vcpu *vcpu)
{
    uint64_t *r = vcpu->gprs.r;

    r[GPR_RAX] = (uint32_t)r[GPR_RAX];
    r[GPR_RBX] = (uint32_t)r[GPR_RBX];
    r[GPR_RCX] = (uint32_t)r[GPR_RCX];
    r[GPR_RDX] = (uint32_t)r[GPR_RDX];
    r[GPR_RSI] = (uint32_t)r[GPR_RSI];
}
