/* SPDX-License-Identifier: MIT */
/* KVM's interface: what there is of it, its MSRs but for kvmclock's, its calls. */
#include "hv/pv/pv.h"

#include "arch/x86/tsc.h"
#include "hv/intr.h"
#include "hv/loop.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vm.h"

uint32_t kvm_features(void)
{
    uint32_t features = BIT(KVM_FEATURE_NOP_IO_DELAY) | BIT(KVM_FEATURE_CLOCKSOURCE2) |
                        BIT(KVM_FEATURE_STEAL_TIME) | BIT(KVM_FEATURE_PV_EOI) |
                        BIT(KVM_FEATURE_PV_UNHALT) | BIT(KVM_FEATURE_PV_TLB_FLUSH) |
                        BIT(KVM_FEATURE_PV_SEND_IPI) | BIT(KVM_FEATURE_POLL_CONTROL) |
                        BIT(KVM_FEATURE_PV_SCHED_YIELD);

    /* The guest believes it only beside its invariant-TSC bit. */
    if (tsc_info.invariant)
        features |= BIT(KVM_FEATURE_CLOCKSOURCE_STABLE);
    return features;
}

/* ---- MSRs ----------------------------------------------------------------------------------- */

uint64_t kvm_read_msr(const struct vcpu *vcpu, uint32_t msr)
{
    const struct pv_vcpu *pv = &vcpu->pv;

    if (msr == MSR_KVM_STEAL_TIME)
        return pv->steal_time;
    return msr == MSR_KVM_PV_EOI_EN ? pv->eoi : pv->poll_control;
}

/* A vCPU that halts is never waited for, whatever the guest says. */
static bool write_poll_control(struct vcpu *vcpu, uint64_t value)
{
    if (value & ~(uint64_t)KVM_POLL_ENABLE)
        return false;
    vcpu->pv.poll_control = value;
    return true;
}

bool kvm_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    if (msr == MSR_KVM_STEAL_TIME)
        return kvm_steal_write(vcpu, value);
    return msr == MSR_KVM_PV_EOI_EN ? kvm_eoi_write(vcpu, value) : write_poll_control(vcpu, value);
}

/* ---- Calls ---------------------------------------------------------------------------------- */

/* A null pointer: there is no vCPU with this APIC id. */
static struct vcpu *find(const struct vm *vm, uint64_t apic_id)
{
    return apic_id < vm->vcpu_count ? vm->vcpus[apic_id] : NULL;
}

static int64_t poll_irq(struct vcpu *vcpu)
{
    return 0;
}

static int64_t kick(struct vcpu *vcpu)
{
    struct vcpu *target = find(vcpu->vm, (uint32_t)vcpu->gprs.r[GPR_RCX]);

    if (target) {
        __atomic_store_n(&target->pv.kicked, true, __ATOMIC_SEQ_CST);
        vcpu_request(target, VCPU_REQ_EVENT);
    }
    return 0;
}

static unsigned int send_to_word(struct vm *vm, uint64_t bitmap, uint64_t first_id,
                                 const struct apic_message *message)
{
    unsigned int count = 0;

    for (; bitmap; bitmap &= bitmap - 1) {
        struct vcpu *target = find(vm, first_id + (unsigned int)__builtin_ctzll(bitmap));

        if (!target || !vlapic_enabled(&target->lapic))
            continue;
        intr_send(target, message);
        count++;
    }
    return count;
}

/* Returns how many it was sent to. */
static int64_t send_ipi(struct vcpu *vcpu)
{
    const uint64_t *r = vcpu->gprs.r;
    uint64_t first_id = (uint32_t)r[GPR_RDX];
    uint32_t icr = (uint32_t)r[GPR_RSI];
    struct apic_message message = {
        .vector = (uint8_t)icr,
        .delivery_mode = (uint8_t)BITS(icr, 10, 8),
        .x2apic = true,
    };

    if (icr & (APIC_ICR_SHORTHAND | APIC_ICR_LOGICAL))
        return -KVM_EINVAL;
    return send_to_word(vcpu->vm, r[GPR_RBX], first_id, &message) +
           send_to_word(vcpu->vm, r[GPR_RCX], first_id + (vcpu_is_64bit(vcpu) ? 64 : 32), &message);
}

/* The CPU is given away only where the other one waits for it. */
static int64_t sched_yield_to(struct vcpu *vcpu)
{
    const struct vcpu *target = find(vcpu->vm, (uint32_t)vcpu->gprs.r[GPR_RBX]);

    if (target && loop_waits_here(target))
        loop_yield(vcpu);
    return 0;
}

pv_function *const kvm_calls[KVM_HC_COUNT] = {
    [KVM_HC_VAPIC_POLL_IRQ] = poll_irq,
    [KVM_HC_KICK_CPU] = kick,
    [KVM_HC_SEND_IPI] = send_ipi,
    [KVM_HC_SCHED_YIELD] = sched_yield_to,
};
