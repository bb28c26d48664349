/* SPDX-License-Identifier: MIT */
/*
 * Steal time: how long a vCPU has waited for its CPU, and whether it is on one.  A vCPU that is on
 * none flushes its TLB when it gets one, instead of at an interrupt, if the guest asks for that.
 */
#include "hv/pv/pv.h"

#include "hv/guest_mem.h"
#include "hv/vm.h"

#define RESERVED (sizeof(struct kvm_steal_time) - 1 - KVM_MSR_ENABLE)

static gpa_t field(const struct vcpu *vcpu, uint64_t offset)
{
    return GPA((vcpu->pv.steal_time & ~(uint64_t)KVM_MSR_ENABLE) + offset);
}

#define FIELD(vcpu, name) field(vcpu, offsetof(struct kvm_steal_time, name))

static void write_version(struct vcpu *vcpu)
{
    vcpu->pv.steal_version++;
    guest_mem_write(vcpu->vm, FIELD(vcpu, version), &vcpu->pv.steal_version, sizeof(uint32_t));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void publish(struct vcpu *vcpu, uint64_t steal_ns)
{
    vcpu->pv.steal_ns = steal_ns;
    write_version(vcpu);
    guest_mem_write(vcpu->vm, FIELD(vcpu, steal), &vcpu->pv.steal_ns, sizeof(uint64_t));
    __atomic_thread_fence(__ATOMIC_RELEASE);
    write_version(vcpu);
}

void kvm_steal_begin(struct vcpu *vcpu)
{
    uint64_t steal_ns = vcpu->sched.stats.wait_ns - vcpu->pv.steal_base_ns;

    if (guest_mem_exchange(vcpu->vm, FIELD(vcpu, preempted), 0) & KVM_VCPU_FLUSH_TLB)
        backend->flush_guest_tlb(vcpu);
    if (steal_ns != vcpu->pv.steal_ns)
        publish(vcpu, steal_ns);
}

void kvm_steal_end(struct vcpu *vcpu)
{
    guest_mem_exchange(vcpu->vm, FIELD(vcpu, preempted), KVM_VCPU_PREEMPTED);
}

/* It goes on from what the guest has there: a CPU that was off and comes back does not lose time.
 */
bool kvm_steal_write(struct vcpu *vcpu, uint64_t value)
{
    uint64_t before = 0;

    if ((value & RESERVED) ||
        ((value & KVM_MSR_ENABLE) && !guest_mem_is_ram(vcpu->vm, GPA(value & ~RESERVED))))
        return false;
    vcpu->pv.steal_time = value;
    if (!(value & KVM_MSR_ENABLE))
        return true;
    guest_mem_read(vcpu->vm, FIELD(vcpu, steal), &before, sizeof(before));
    vcpu->pv.steal_base_ns = vcpu->sched.stats.wait_ns - before;
    guest_mem_exchange(vcpu->vm, FIELD(vcpu, preempted), 0);
    publish(vcpu, before);
    return true;
}
