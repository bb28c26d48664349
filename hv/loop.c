/* SPDX-License-Identifier: MIT */
/* The main loop of a CPU and its queue of runnable vCPUs. */
#include "hv/loop.h"

#include "arch/x86/cpu.h"
#include "arch/x86/idt.h"
#include "arch/x86/lapic.h"
#include "arch/x86/tsc.h"
#include "hv/console.h"
#include "hv/cpu_work.h"
#include "hv/panic.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#include <stddef.h>

#define SLICE_NS 10000000ull

static struct hv_cpu boot_hv_cpu;

/* ---- The queue ------------------------------------------------------------------------------ */

static void enqueue(struct hv_cpu *hv, struct vcpu *vcpu)
{
    vcpu->next = NULL;
    if (hv->queue_tail)
        hv->queue_tail->next = vcpu;
    else
        hv->queue_head = vcpu;
    hv->queue_tail = vcpu;
    vcpu->queued = true;
}

static struct vcpu *dequeue(struct hv_cpu *hv)
{
    struct vcpu *vcpu = hv->queue_head;

    if (!vcpu)
        return NULL;
    hv->queue_head = vcpu->next;
    if (!hv->queue_head)
        hv->queue_tail = NULL;
    vcpu->queued = false;
    return vcpu;
}

void loop_remove(struct vcpu *vcpu)
{
    struct hv_cpu *hv = this_cpu()->hv;
    struct vcpu *other;
    struct hv_cpu kept = {.timers = hv->timers};

    if (!vcpu->queued)
        return;
    while ((other = dequeue(hv)) != NULL)
        if (other != vcpu)
            enqueue(&kept, other);
    hv->queue_head = kept.queue_head;
    hv->queue_tail = kept.queue_tail;
    vcpu->queued = false;
}

void loop_wake(struct vcpu *vcpu)
{
    struct hv_cpu *hv = this_cpu()->hv;

    if (!vcpu->queued && vcpu != hv->running && vcpu->state != VCPU_DEAD &&
        vcpu->vm->state == VM_RUNNING)
        enqueue(hv, vcpu);
}

/* ---- Timers --------------------------------------------------------------------------------- */

static void program_hardware(const struct hv_cpu *hv)
{
    uint64_t next = timer_next(&hv->timers);

    if (next == this_cpu()->timer_deadline)
        return;
    if (next == TIMER_NEVER)
        lapic_timer_off();
    else
        lapic_timer_arm(next);
}

void loop_timer_arm(struct timer *timer, uint64_t deadline_tsc)
{
    struct hv_cpu *hv = this_cpu()->hv;

    timer_arm(&hv->timers, timer, deadline_tsc);
    if (timer_next(&hv->timers) == deadline_tsc)
        program_hardware(hv);
}

void loop_timer_cancel(struct timer *timer)
{
    timer_cancel(timer); /* the hardware may fire once for nothing */
}

static void timer_interrupt(void *unused)
{
    cpu_post_work(this_cpu(), WORK_TIMER);
}

/* vcpu_run() has returned for the interrupt, which is all that is needed: the vCPU goes to the
 * queue's end. */
static void slice_over(struct timer *timer)
{
}

/* ---- The loop ------------------------------------------------------------------------------- */

void loop_init_cpu(void)
{
    this_cpu()->hv = &boot_hv_cpu;
    timer_init(&boot_hv_cpu.slice, slice_over);
    irq_register(VECTOR_TIMER, timer_interrupt, NULL);
}

static void run(struct hv_cpu *hv, struct vcpu *vcpu)
{
    hv->running = vcpu;
    vcpu_run(vcpu);
    hv->running = NULL;
    if (vcpu->state == VCPU_RUNNABLE && vcpu->vm->state == VM_RUNNING && !vcpu->queued)
        enqueue(hv, vcpu);
}

/* True when there was anything to do. */
static bool do_work(struct cpu *cpu)
{
    uint32_t work = cpu_take_work(cpu);

    if (work & WORK_TIMER) {
        cpu->timer_deadline = TIMER_NEVER; /* it has fired */
        timer_run(&cpu->hv->timers, rdtsc());
        program_hardware(cpu->hv);
    }
    if (work & WORK_CONSOLE)
        console_work();
    vm_work();
    return work != 0;
}

NORETURN void loop_run(void *unused)
{
    struct cpu *cpu = this_cpu();
    struct hv_cpu *hv = cpu->hv;

    for (;;) {
        struct vcpu *vcpu;

        cpu_take_interrupts();
        if (do_work(cpu))
            continue;
        vcpu = dequeue(hv);
        if (vcpu) {
            if (hv->queue_head && !hv->slice.queue)
                loop_timer_arm(&hv->slice, rdtsc() + ns_to_tsc(SLICE_NS));
            run(hv, vcpu);
        } else if (!cpu->shared.work) {
            cpu_idle();
        }
    }
}
