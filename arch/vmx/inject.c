/* SPDX-License-Identifier: MIT */
/* Events into a guest and out of an interrupted delivery, and the windows for them. */
#include "arch/vmx/vmx.h"

#include "arch/vmx/insn.h"
#include "arch/x86/regs.h"

/*
 * Bochs 2.7 enters a vCPU with NMIs blocked when they were in the one before, until its next IRET,
 * and saves that as its own state.  But they are blocked only if they were when it was loaded, or
 * an NMI has been injected since.
 */
uint32_t vmx_blocking(const struct vmx_vcpu *vmx)
{
    uint32_t blocking = vmread32(VMCS_GUEST_INTERRUPTIBILITY);

    if (likely(!(blocking & VMX_BLOCKING_NMI) || vmx->nmi_seen))
        return blocking;
    blocking &= ~(uint32_t)VMX_BLOCKING_NMI;
    vmwrite32(VMCS_GUEST_INTERRUPTIBILITY, blocking);
    return blocking;
}

bool vmx_can_inject(const struct vcpu *vcpu, enum event_window window)
{
    uint32_t blocking = vmx_blocking(to_vmx(vcpu));

    if (to_vmx(vcpu)->event_queued || (blocking & (VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS)))
        return false;
    return window == WINDOW_NMI ? !(blocking & VMX_BLOCKING_NMI)
                                : (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF) != 0;
}

/* Types that have an instruction, behind which the guest goes on. */
static void set_insn_len(const struct vm_event *event)
{
    vmwrite32(VMCS_ENTRY_INSN_LEN, MAX(1, MIN(event->insn_len, 15)));
}

static uint32_t type_of(const struct vm_event *event)
{
    switch ((enum event_type)event->type) {
    case EVENT_NONE:
    case EVENT_INTR:
        return VMX_INTR_EXTERNAL;
    case EVENT_NMI:
        return VMX_INTR_NMI;
    case EVENT_EXCEPTION:
        return VMX_INTR_EXCEPTION;
    case EVENT_SOFT_INTR:
        return VMX_INTR_SOFT_INTR;
    case EVENT_PRIV_EXCEPTION:
        return VMX_INTR_PRIV_EXCEPTION;
    case EVENT_SOFT_EXCEPTION:
        return VMX_INTR_SOFT_EXCEPTION;
    }
    return VMX_INTR_EXTERNAL;
}

void vmx_inject(struct vcpu *vcpu, const struct vm_event *event)
{
    uint64_t blocking = vmread32(VMCS_GUEST_INTERRUPTIBILITY);
    uint32_t type = type_of(event);
    uint32_t info = VMX_INTR_VALID | type << 8 | event->vector;

    if (event->type == EVENT_NONE)
        return;
    if (event->has_error && (vmread(VMCS_GUEST_CR0) & CR0_PE)) { /* real mode pushes none */
        info |= VMX_INTR_HAS_ERROR;
        vmwrite32(VMCS_ENTRY_ERROR_CODE, event->error);
    }
    if (type >= VMX_INTR_SOFT_INTR)
        set_insn_len(event);
    if (type == VMX_INTR_NMI)
        to_vmx(vcpu)->nmi_seen = true;
    /* The delivery ends the shadow of STI and MOV SS. */
    if (blocking & (VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS))
        vmx_set_blocking(blocking & ~(VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS));
    vmwrite32(VMCS_ENTRY_INTR_INFO, info);
    to_vmx(vcpu)->event_queued = true;
}

void vmx_request_window(struct vcpu *vcpu, enum event_window window, bool on)
{
    vmx_set_cpu_ctl(to_vmx(vcpu), window == WINDOW_NMI ? VMX_CPU_NMI_WINDOW : VMX_CPU_INTR_WINDOW,
                    on);
}

/* The event whose delivery this exit interrupted. */
void vmx_decode_vectoring(struct vm_event *event)
{
    static const uint8_t types[] = {
        [VMX_INTR_EXTERNAL] = EVENT_INTR,
        [VMX_INTR_NMI] = EVENT_NMI,
        [VMX_INTR_EXCEPTION] = EVENT_EXCEPTION,
        [VMX_INTR_SOFT_INTR] = EVENT_SOFT_INTR,
        [VMX_INTR_PRIV_EXCEPTION] = EVENT_PRIV_EXCEPTION,
        [VMX_INTR_SOFT_EXCEPTION] = EVENT_SOFT_EXCEPTION,
        [VMX_INTR_OTHER] = EVENT_NONE,
    };
    uint32_t info = vmread32(VMCS_IDT_VECTORING_INFO);

    if (likely(!(info & VMX_INTR_VALID))) {
        event->type = EVENT_NONE;
        return;
    }
    *event = (struct vm_event){
        .type = types[VMX_INTR_TYPE(info)],
        .vector = VMX_INTR_VECTOR(info),
        .has_error = info & VMX_INTR_HAS_ERROR,
        .error = info & VMX_INTR_HAS_ERROR ? vmread32(VMCS_IDT_VECTORING_ERROR) : 0,
        .insn_len = (uint8_t)vmread32(VMCS_EXIT_INSN_LEN),
    };
}

/*
 * SDM, "Handling VM Exits That Occur During Event Delivery" and "Information for VM Exits Due to
 * Event Delivery": an NMI that is to be delivered again must not find itself blocked, and an IRET
 * that is to be executed again must find NMIs blocked as before.
 */
void vmx_mend_nmi_blocking(const struct vm_exit *exit)
{
    uint32_t blocking;

    if (unlikely(exit->vectoring.type == EVENT_NMI)) {
        blocking = vmread32(VMCS_GUEST_INTERRUPTIBILITY);
        vmwrite32(VMCS_GUEST_INTERRUPTIBILITY, blocking & ~(uint32_t)VMX_BLOCKING_NMI);
    } else if (exit->kind == EXIT_MEM && exit->vectoring.type == EVENT_NONE &&
               (vmread(VMCS_EXIT_QUALIFICATION) & VMX_EPT_NMI_UNBLOCKED)) {
        blocking = vmread32(VMCS_GUEST_INTERRUPTIBILITY);
        vmwrite32(VMCS_GUEST_INTERRUPTIBILITY, blocking | (uint32_t)VMX_BLOCKING_NMI);
    }
}
