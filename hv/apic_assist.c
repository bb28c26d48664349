/* SPDX-License-Identifier: MIT */
/* Lending local APICs to the CPU.  What the page holds is hv/vdev/vlapic_page.c's, how the CPU is
 * told the backend's. */
#include "hv/apic_assist.h"

#include "arch/x86/msr.h"
#include "arch/x86/paging.h"
#include "hv/config.h"
#include "hv/errno.h"
#include "hv/mem.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vm.h"

/* Does this VM want it, and this CPU have it? */
static bool is_used(const struct vm *vm)
{
    return backend->apic->available && vm->config->apicv;
}

void apic_assist_vm_create(struct vm *vm)
{
    if (!is_used(vm))
        return;
    for (unsigned int reg = 0; reg < APIC_REGISTERS; reg++)
        backend->apic->pass(vm, MSR_X2APIC_FIRST + reg, vlapic_page_reads(reg),
                            vlapic_page_writes(reg));
}

int apic_assist_create(struct vcpu *vcpu)
{
    hpa_t page;

    if (!is_used(vcpu->vm))
        return 0;
    page = mem_alloc(1, PAGE_SIZE);
    if (!page.value)
        return -ENOMEM;
    vcpu->lapic.page = phys_to_virt(page);
    return 0;
}

void apic_assist_destroy(struct vcpu *vcpu)
{
    if (vcpu->lapic.page)
        mem_free(virt_to_phys(vcpu->lapic.page), 1);
}

static void tell_eoi_exits(struct vcpu *vcpu)
{
    uint64_t vectors[4];

    vlapic_level_vectors(&vcpu->lapic, vectors);
    backend->apic->set_eoi_exits(vcpu, vectors);
}

/* Deliveries start anew: what was injected before, or asked for, has been by software. */
void apic_assist_update(struct vcpu *vcpu)
{
    struct vlapic *lapic = &vcpu->lapic;

    if (!lapic->page)
        return;
    if (vlapic_can_lend(lapic)) {
        backend->apic->begin(vcpu, virt_to_phys(lapic->page), vlapic_lend(lapic));
        tell_eoi_exits(vcpu);
    } else if (!lapic->lent) {
        backend->apic->end(vcpu);
    }
    vcpu->check_events = true;
}

void apic_assist_feed_posted(struct vcpu *vcpu)
{
    uint8_t requested = backend->apic->requested(vcpu);

    if (vlapic_feed(&vcpu->lapic, &requested))
        tell_eoi_exits(vcpu);
    backend->apic->request(vcpu, requested);
}

bool apic_assist_pending(struct vcpu *vcpu)
{
    apic_assist_feed(vcpu);
    return vlapic_lent_pending(&vcpu->lapic, backend->apic->requested(vcpu));
}
