/* SPDX-License-Identifier: MIT */
/* Events: routing messages to vCPUs, and delivering what is pending.  How one is injected, the
 * backend knows. */
#include "hv/intr.h"

#include "arch/x86/regs.h"
#include "arch/x86/tsc.h"
#include "hv/apic_assist.h"
#include "hv/loop.h"
#include "hv/pv/pv.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/* ---- Exceptions ----------------------------------------------------------------------------- */

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class class_of(uint8_t vector)
{
    if (vector == VEC_DF)
        return DOUBLE_FAULT;
    if (vector == VEC_PF)
        return PAGE_FAULT;
    if (BIT(vector) & (BIT(VEC_DE) | BIT(VEC_TS) | BIT(VEC_NP) | BIT(VEC_SS) | BIT(VEC_GP)))
        return CONTRIBUTORY;
    return BENIGN;
}

/* SDM, "Interrupt 8 - Double Fault Exception (#DF)": what two faults in a row become. */
static bool is_double_fault(enum fault_class first, enum fault_class second)
{
    return (first == CONTRIBUTORY && second == CONTRIBUTORY) ||
           (first == PAGE_FAULT && (second == CONTRIBUTORY || second == PAGE_FAULT));
}

void inject_exception(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
    struct vm_event event = {
        .type = EVENT_EXCEPTION, .vector = vector, .has_error = has_error, .error = error};

    if (vcpu->exception.type == EVENT_EXCEPTION) {
        enum fault_class first = class_of(vcpu->exception.vector);
        enum fault_class second = class_of(vector);

        if (first == DOUBLE_FAULT && second != BENIGN) {
            vm_stop(vcpu->vm, vcpu, STOP_TRIPLE_FAULT, "triple fault at 0x%llx",
                    (unsigned long long)vcpu->rip);
            return;
        }
        if (is_double_fault(first, second))
            event = (struct vm_event){.type = EVENT_EXCEPTION, .vector = VEC_DF, .has_error = true};
    }
    vcpu->exception = event;
}

void inject_ud(struct vcpu *vcpu)
{
    inject_exception(vcpu, VEC_UD, false, 0);
}

void inject_gp(struct vcpu *vcpu, uint32_t error)
{
    inject_exception(vcpu, VEC_GP, true, error);
}

void inject_db(struct vcpu *vcpu, uint64_t dr6_bits)
{
    backend->set_reg(vcpu, VCPU_DR6, backend->get_reg(vcpu, VCPU_DR6) | dr6_bits);
    backend->set_reg(vcpu, VCPU_DR7, backend->get_reg(vcpu, VCPU_DR7) & ~(uint64_t)DR7_GD);
    inject_exception(vcpu, VEC_DB, false, 0);
}

void inject_pf(struct vcpu *vcpu, uint64_t address, uint32_t error)
{
    backend->set_reg(vcpu, VCPU_CR2, address);
    inject_exception(vcpu, VEC_PF, true, error);
}

/* ---- What is pending ------------------------------------------------------------------------ */

static bool pic_pending(const struct vcpu *vcpu)
{
    return vcpu->vm->pic_intr && vcpu->id == 0 && vlapic_accepts_pic(&vcpu->lapic);
}

/* The local APIC's that is to be injected, or -1: a lent one's are delivered by the CPU. */
static inline int lapic_vector(const struct vcpu *vcpu)
{
    return unlikely(vcpu->lapic.lent) ? -1 : vlapic_pending(&vcpu->lapic);
}

bool intr_pending(const struct vcpu *vcpu)
{
    if (vcpu->lapic.lent && vlapic_has_posted(&vcpu->lapic))
        return true; /* it may be, once the CPU knows it */
    return lapic_vector(vcpu) >= 0 || pic_pending(vcpu);
}

void intr_end(struct vcpu *vcpu)
{
    vlapic_eoi(&vcpu->lapic);
    if (intr_pending(vcpu))
        vcpu->check_events = true;
}

bool intr_wakes(struct vcpu *vcpu)
{
    kvm_eoi_sync(vcpu);
    if (kvm_take_kick(vcpu))
        return true;
    if (vcpu->exception.type || vcpu->requeued.type)
        return true;
    if (vcpu->nmi_pending && !(backend->get_reg(vcpu, VCPU_BLOCKING) & BLOCKING_NMI))
        return true;
    if (!(backend->get_reg(vcpu, VCPU_RFLAGS) & RFLAGS_IF))
        return false;
    return vcpu->lapic.lent ? apic_assist_pending(vcpu) || pic_pending(vcpu) : intr_pending(vcpu);
}

/* Take the interrupt out of its controller. */
static int accept_interrupt(struct vcpu *vcpu)
{
    int vector = lapic_vector(vcpu);

    if (vector >= 0) {
        vlapic_accept(&vcpu->lapic, (uint8_t)vector);
        return vector;
    }
    if (!pic_pending(vcpu))
        return -1;
    spin_lock(&vcpu->vm->lock);
    vector = vcpu->vm->pic_intr ? vpic_ack(&vcpu->vm->pic) : -1;
    spin_unlock(&vcpu->vm->lock);
    return vector;
}

/* ---- Delivering ----------------------------------------------------------------------------- */

static void inject(struct vcpu *vcpu, struct vm_event *event)
{
    backend->inject(vcpu, event);
    event->type = EVENT_NONE;
}

/* While NMIs are blocked one waits, and those that follow are one with it. */
static void merge_nmis(struct vcpu *vcpu)
{
    uint32_t two = 2;

    if (backend->get_reg(vcpu, VCPU_BLOCKING) & BLOCKING_NMI)
        __atomic_compare_exchange_n(&vcpu->nmi_pending, &two, 1, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
}

static bool deliver_nmi(struct vcpu *vcpu)
{
    static const struct vm_event event = {.type = EVENT_NMI, .vector = VEC_NMI};

    if (likely(!vcpu->nmi_pending))
        return false;
    merge_nmis(vcpu);
    if (!backend->can_inject(vcpu, WINDOW_NMI))
        return false;
    __atomic_fetch_sub(&vcpu->nmi_pending, 1, __ATOMIC_RELAXED);
    backend->inject(vcpu, &event);
    return true;
}

static bool deliver_interrupt(struct vcpu *vcpu)
{
    struct vm_event event = {.type = EVENT_INTR};
    int vector;

    if (!backend->can_inject(vcpu, WINDOW_INTR))
        return false;
    vector = accept_interrupt(vcpu);
    if (vector < 0)
        return false;
    event.vector = (uint8_t)vector;
    backend->inject(vcpu, &event);
    return true;
}

/* A window that was closed before stays so without asking. */
static void ask_window(struct vcpu *vcpu, enum event_window window, bool on)
{
    if (on || vcpu->windows[window])
        backend->request_window(vcpu, window, on);
    vcpu->windows[window] = on;
}

/*
 * One event an entry; exceptions first, then what an exit interrupted, then NMI, then interrupts.
 * For what has to wait the CPU is asked to exit as soon as it can be taken.
 */
void intr_deliver(struct vcpu *vcpu)
{
    bool interrupts;

    kvm_eoi_sync(vcpu);
    if (vcpu->lapic.lent)
        apic_assist_feed(vcpu);
    vcpu->check_events = false;
    if (vcpu->exception.type)
        inject(vcpu, &vcpu->exception);
    else if (vcpu->requeued.type)
        inject(vcpu, &vcpu->requeued);
    else if (!deliver_nmi(vcpu))
        deliver_interrupt(vcpu);
    /*
     * What waits is looked at again after each exit: not every CPU has a window for NMIs, and
     * Bochs's AMD-V overlooks the one for interrupts when IF is set already at the entry.
     */
    interrupts = intr_pending(vcpu);
    vcpu->check_events = vcpu->requeued.type != EVENT_NONE || vcpu->nmi_pending != 0 || interrupts;
    ask_window(vcpu, WINDOW_NMI, vcpu->nmi_pending != 0);
    ask_window(vcpu, WINDOW_INTR, interrupts);
    kvm_eoi_offer(vcpu);
}

/* ---- Routing -------------------------------------------------------------------------------- */

void intr_post_nmi(struct vcpu *vcpu)
{
    uint32_t pending = __atomic_load_n(&vcpu->nmi_pending, __ATOMIC_RELAXED);

    /* One in delivery and one latched: more merge, as in the hardware. */
    while (pending < 2 && !__atomic_compare_exchange_n(&vcpu->nmi_pending, &pending, pending + 1,
                                                       true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    vcpu_request(vcpu, VCPU_REQ_EVENT);
}

void intr_send(struct vcpu *vcpu, const struct apic_message *message)
{
    switch (message->delivery_mode) {
    case APIC_DELIVER_FIXED:
    case APIC_DELIVER_LOWEST:
        if (vlapic_post(&vcpu->lapic, message->vector, message->level))
            vcpu_request(vcpu, VCPU_REQ_EVENT);
        break;
    case APIC_DELIVER_NMI:
        intr_post_nmi(vcpu);
        break;
    case APIC_DELIVER_INIT:
        /* A SIPI that came before it found the vCPU running, and is ignored. */
        __atomic_fetch_and(&vcpu->requests, ~VCPU_REQ_SIPI, __ATOMIC_RELAXED);
        vcpu_request(vcpu, VCPU_REQ_INIT);
        break;
    case APIC_DELIVER_STARTUP:
        __atomic_store_n(&vcpu->sipi_vector, message->vector, __ATOMIC_RELAXED);
        vcpu_request(vcpu, VCPU_REQ_SIPI);
        break;
    case APIC_DELIVER_EXTINT: /* the 8259's line is looked at directly */
    case APIC_DELIVER_SMI:    /* there is no SMM */
    default:
        break;
    }
}

static void route_lowest(struct vm *vm, const struct apic_message *message)
{
    struct vlapic *lapics[VM_MAX_VCPUS];
    struct vlapic *target;

    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        lapics[i] = &vm->vcpus[i]->lapic;
    target = vlapic_arbitrate(lapics, vm->vcpu_count, message, &vm->lowest_rotor);
    if (target)
        intr_send(CONTAINER_OF(target, struct vcpu, lapic), message);
}

void intr_route(struct vm *vm, const struct apic_message *message)
{
    if (message->delivery_mode == APIC_DELIVER_LOWEST) {
        route_lowest(vm, message);
        return;
    }
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        if (vlapic_matches(&vm->vcpus[i]->lapic, message))
            intr_send(vm->vcpus[i], message);
}

void intr_pic_changed(struct vm *vm, bool level)
{
    vm->pic_intr = level;
    if (level && vm->vcpu_count)
        vcpu_request(vm->vcpus[0], VCPU_REQ_EVENT);
}

/* SDM, "MP Initialization Protocol": real mode at page * 4 KiB. */
void intr_start_at_sipi(struct vcpu *vcpu)
{
    uint8_t page = __atomic_load_n(&vcpu->sipi_vector, __ATOMIC_RELAXED);
    struct segment cs = {(uint64_t)page << 12, 0xffff, 0x9b, (uint16_t)(page << 8)};

    vcpu_load(vcpu);
    backend->set_seg(vcpu, SEG_CS, &cs);
    vcpu->rip = 0;
    vcpu->state = VCPU_RUNNABLE;
}

/* ---- The local APIC's surroundings ---------------------------------------------------------- */

static uint64_t lapic_now(void *ctx)
{
    struct vcpu *vcpu = ctx;

    return vm_now_ns(vcpu->vm);
}

static void lapic_set_timer(void *ctx, uint64_t deadline_ns)
{
    struct vcpu *vcpu = ctx;

    vcpu->lapic_deadline_ns = deadline_ns;
    if (deadline_ns == VTIMER_OFF || vcpu->vm->state != VM_RUNNING)
        loop_timer_cancel(&vcpu->lapic_timer);
    else
        loop_timer_arm(&vcpu->lapic_timer, vm_ns_to_tsc(vcpu->vm, deadline_ns));
}

/* The guest's TSC to its clock; what is past is now, what is beyond all time is never. */
static uint64_t lapic_tsc_to_ns(void *ctx, uint64_t guest_tsc)
{
    struct vcpu *vcpu = ctx;
    uint64_t now = vcpu_guest_tsc(vcpu);
    int64_t ahead = (int64_t)(guest_tsc - now);

    if (ahead <= 0)
        return vm_now_ns(vcpu->vm);
    if (ahead > (int64_t)(1ull << 58)) /* years, whose nanoseconds might not fit */
        return VTIMER_OFF;
    return vm_now_ns(vcpu->vm) + tsc_to_ns((uint64_t)ahead) + 1;
}

void intr_resume_timer(struct vcpu *vcpu)
{
    lapic_set_timer(vcpu, vcpu->lapic_deadline_ns);
}

static void lapic_send(void *ctx, const struct apic_message *message)
{
    struct vcpu *vcpu = ctx;

    intr_route(vcpu->vm, message);
}

static void lapic_eoi_broadcast(void *ctx, uint8_t vector)
{
    struct vcpu *vcpu = ctx;

    spin_lock(&vcpu->vm->lock);
    vioapic_eoi(&vcpu->vm->ioapic, vector);
    spin_unlock(&vcpu->vm->lock);
}

/* On the CPU where it was armed; the vCPU may be on another by now, and the APIC is its own. */
static void lapic_timer_fired(struct timer *timer)
{
    vcpu_request(CONTAINER_OF(timer, struct vcpu, lapic_timer), VCPU_REQ_TIMER);
}

void intr_vcpu_init(struct vcpu *vcpu)
{
    const struct vlapic_ops ops = {
        .ctx = vcpu,
        .clock = {.ctx = vcpu, .now_ns = lapic_now},
        .timer = {.ctx = vcpu, .set = lapic_set_timer},
        .tsc_to_ns = lapic_tsc_to_ns,
        .send_ipi = lapic_send,
        .eoi = lapic_eoi_broadcast,
    };

    vcpu->lapic_deadline_ns = VTIMER_OFF;
    timer_init(&vcpu->lapic_timer, lapic_timer_fired);
    vlapic_init(&vcpu->lapic, vcpu->id, vcpu->id == 0, &ops);
}
