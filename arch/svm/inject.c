/* SPDX-License-Identifier: MIT */
/* Events into a guest, the windows for them, and the blocking of NMIs that AMD-V leaves to
 * software. */
#include "arch/svm/svm.h"

#include "arch/x86/regs.h"
#include "hv/panic.h"

/*
 * An interrupt injected by EVENTINJ comes twice on QEMU 7.2 when its loop is left, as another CPU's
 * turn makes it do, before the next #VMEXIT: helper_vmrun() leaves it noted as the exception to be
 * delivered.  A Debian guest of two CPUs then takes a timer interrupt with IF = 0, and waits for a
 * lock of its own.  There a virtual interrupt is used, without its intercept; it can only be one at
 * a time, so what else is pending has no window and waits for the next exit.  (Bochs 2.7 overlooks
 * a virtual interrupt where IF is set already.)
 */
static bool use_virtual;

void svm_inject_init(bool by_virtual_interrupt)
{
    use_virtual = by_virtual_interrupt;
}

#define VIRTUAL (VMCB_V_MASKING | VMCB_V_IRQ | VMCB_V_IGN_TPR | VMCB_V_PRIORITY)

/* Is one pending that was injected so? */
static bool virtual_pending(const struct vmcb *vmcb)
{
    return (vmcb->v_intr_ & VMCB_V_IRQ) && !(vmcb->intercept3_ & SVM_VINTR);
}

/*
 * Pending still at an exit for the host's own interrupts it has not come, and is taken back.  At
 * any other exit the CPU has tried: where its delivery faulted QEMU leaves it pending.
 */
void svm_take_back_virtual(struct vmcb *vmcb, struct vm_event *event)
{
    if (likely(!virtual_pending(vmcb)))
        return;
    if (event->type == EVENT_NONE &&
        (vmcb->exit_code == SVM_EXIT_INTR || vmcb->exit_code == SVM_EXIT_NMI))
        *event = (struct vm_event){.type = EVENT_INTR, .vector = (uint8_t)(vmcb->v_intr_ >> 32)};
    vmcb_set_v_intr(vmcb, VMCB_V_MASKING);
}

bool svm_can_inject(const struct vcpu *vcpu, enum event_window window)
{
    const struct svm_vcpu *svm = to_svm(vcpu);
    const struct vmcb *vmcb = svm->vmcb;

    if ((vmcb->event_inj & VMCB_EVENT_VALID) || (vmcb->int_state & VMCB_INT_SHADOW) ||
        virtual_pending(vmcb))
        return false;
    return window == WINDOW_NMI ? !svm->nmi_blocked : (vmcb->rflags & RFLAGS_IF) != 0;
}

static void set_vintr_intercept(struct vmcb *vmcb, bool on)
{
    vmcb_set_intercept3(vmcb, on ? vmcb->intercept3_ | (uint32_t)SVM_VINTR
                                 : vmcb->intercept3_ & ~(uint32_t)SVM_VINTR);
}

static void block_nmi(struct svm_vcpu *svm)
{
    svm->nmi_blocked = true;
    vmcb_set_intercept3(svm->vmcb, svm->vmcb->intercept3_ | (uint32_t)SVM_IRET);
}

void svm_inject(struct vcpu *vcpu, const struct vm_event *event)
{
    struct svm_vcpu *svm = to_svm(vcpu);
    uint64_t info = VMCB_EVENT_VALID | event->vector;

    switch ((enum event_type)event->type) {
    case EVENT_NONE:
        return;
    case EVENT_INTR:
        if (use_virtual) {
            set_vintr_intercept(svm->vmcb, false);
            vmcb_set_v_intr(svm->vmcb, VIRTUAL | (uint64_t)event->vector << 32);
            return;
        }
        info |= VMCB_EVENT_INTR;
        break;
    case EVENT_NMI:
        info |= VMCB_EVENT_NMI;
        block_nmi(svm);
        break;
    case EVENT_SOFT_INTR:
        info |= VMCB_EVENT_SOFT;
        break;
    case EVENT_EXCEPTION:
    case EVENT_SOFT_EXCEPTION:
    case EVENT_PRIV_EXCEPTION:
        info |= VMCB_EVENT_EXCEPTION;
        break;
    }
    if (event->has_error && (svm->vmcb->cr0_ & CR0_PE))
        info |= VMCB_EVENT_EV | (uint64_t)event->error << 32;
    svm->vmcb->event_inj = info;
}

/*
 * A virtual interrupt of no vector that is always pending: its intercept comes as soon as the guest
 * could take it.
 */
static void interrupt_window(struct vmcb *vmcb, bool on)
{
    if (virtual_pending(vmcb) || on == ((vmcb->intercept3_ & SVM_VINTR) != 0))
        return;
    set_vintr_intercept(vmcb, on);
    vmcb_set_v_intr(vmcb, on ? VIRTUAL : VMCB_V_MASKING);
}

/*
 * While NMIs are blocked the intercept of IRET is their window.  Else they wait for the end of a
 * shadow or for another event: where IF is set the window of interrupts serves, and hv looks again
 * at each exit.
 */
void svm_request_window(struct vcpu *vcpu, enum event_window window, bool on)
{
    struct svm_vcpu *svm = to_svm(vcpu);

    if (window == WINDOW_NMI)
        svm->nmi_window = on && !svm->nmi_blocked;
    else
        svm->intr_window = on;
    interrupt_window(svm->vmcb, svm->intr_window || svm->nmi_window);
}

/*
 * The guest is about to execute IRET; NMIs are unblocked when it is done.  The CPU does not tell,
 * so it is stepped: TF as it is before an instruction decides on the trap behind it, and IRET
 * itself loads the guest's own.
 */
void svm_iret_intercepted(struct svm_vcpu *svm)
{
    vmcb_set_intercept3(svm->vmcb, svm->vmcb->intercept3_ & ~(uint32_t)SVM_IRET);
    svm->stepping_iret = true;
    svm->stepped_tf = svm->vmcb->rflags & RFLAGS_TF;
    svm->stepped_exceptions = svm->vmcb->intercept_exc_;
    svm->vmcb->rflags |= RFLAGS_TF;
    vmcb_set_intercept_exc(svm->vmcb, UINT32_MAX);
}

static void end_step(struct svm_vcpu *svm)
{
    svm->stepping_iret = false;
    svm->nmi_blocked = false;
    vmcb_set_intercept_exc(svm->vmcb, svm->stepped_exceptions);
}

/* Was this #DB the end of such a step?  Then it is not the guest's. */
bool svm_iret_stepped(struct svm_vcpu *svm)
{
    if (!svm->stepping_iret)
        return false;
    end_step(svm);
    vmcb_set_dr6(svm->vmcb, svm->vmcb->dr6_ & ~(uint64_t)DR6_BS);
    return true;
}

/* An IRET that faults unblocks NMIs too.  Our TF must not be in the flags that the handler finds.
 */
void svm_iret_faulted(struct svm_vcpu *svm)
{
    if (!svm->stepping_iret)
        return;
    end_step(svm);
    svm->vmcb->rflags = (svm->vmcb->rflags & ~(uint64_t)RFLAGS_TF) | svm->stepped_tf;
}

/*
 * What an exit interrupted the delivery of.  INT n, INT3 and INTO are executed again from their
 * instruction, at which RIP still stands.
 */
void svm_decode_event(uint64_t info, struct vm_event *event)
{
    uint8_t vector = (uint8_t)info;

    *event = (struct vm_event){.type = EVENT_NONE};
    if (!(info & VMCB_EVENT_VALID))
        return;
    switch (VMCB_EVENT_TYPE(info)) {
    case 0:
        event->type = EVENT_INTR;
        break;
    case 2:
        event->type = EVENT_NMI;
        break;
    case 3:
        if (vector == VEC_BP || vector == VEC_OF)
            return;
        /* QEMU gives a virtual interrupt this type; no exception has such a vector. */
        event->type = vector < VEC_EXCEPTIONS ? EVENT_EXCEPTION : EVENT_INTR;
        break;
    default:
        return;
    }
    event->vector = vector;
    event->has_error = event->type == EVENT_EXCEPTION && (info & VMCB_EVENT_EV);
    event->error = (uint32_t)(info >> 32);
}
