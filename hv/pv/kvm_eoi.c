/* SPDX-License-Identifier: MIT */
/*
 * PV EOI: a guest that finds a bit set in its memory clears it, and spares itself the exit of an
 * EOI.  The bit is set only while the EOI changes nothing that is to be done at once, and is taken
 * back, atomically, before anybody looks at the local APIC.
 */
#include "hv/pv/pv.h"

#include "hv/guest_mem.h"
#include "hv/vm.h"

#define RESERVED 2u /* the address is aligned to 4 bytes */

static gpa_t place(const struct vcpu *vcpu)
{
    return GPA(vcpu->pv.eoi & ~(uint64_t)KVM_MSR_ENABLE);
}

/* Whoever requests an interrupt from now on makes the vCPU exit, which takes it back. */
void kvm_eoi_give(struct vcpu *vcpu)
{
    if (!vlapic_eoi_can_wait(&vcpu->lapic))
        return;
    guest_mem_exchange(vcpu->vm, place(vcpu), KVM_PV_EOI_SKIP);
    vcpu->pv.eoi_offered = true;
}

void kvm_eoi_take_back(struct vcpu *vcpu)
{
    vcpu->pv.eoi_offered = false;
    if (!(guest_mem_exchange(vcpu->vm, place(vcpu), 0) & KVM_PV_EOI_SKIP))
        vlapic_eoi(&vcpu->lapic);
}

bool kvm_eoi_write(struct vcpu *vcpu, uint64_t value)
{
    if ((value & RESERVED) || ((value & KVM_MSR_ENABLE) &&
                               !guest_mem_is_ram(vcpu->vm, GPA(value & ~(uint64_t)KVM_MSR_ENABLE))))
        return false;
    kvm_eoi_sync(vcpu);
    vcpu->pv.eoi = value;
    return true;
}
