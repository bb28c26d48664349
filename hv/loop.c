/* SPDX-License-Identifier: MIT */
/* The main loop of each CPU, its timers, and the way of vCPUs between CPUs.  Who runs, sched.c
 * says. */
#include "hv/loop.h"

#include "arch/x86/cpu.h"
#include "arch/x86/idt.h"
#include "arch/x86/lapic.h"
#include "arch/x86/smp.h"
#include "arch/x86/tsc.h"
#include "hv/backend.h"
#include "hv/console.h"
#include "hv/cpu_work.h"
#include "hv/errno.h"
#include "hv/panic.h"
#include "hv/pv/pv.h"
#include "hv/string.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_chore.h"

#include <stddef.h>

static struct hv_cpu hv_cpus[CPU_MAX];

void loop_post(struct cpu *cpu, uint32_t work)
{
    cpu_post_work(cpu, work);
    smp_kick(cpu);
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
    const struct timer_queue *queue = __atomic_load_n(&timer->queue, __ATOMIC_RELAXED);

    if (queue && queue != &hv->timers) /* in this one it only moves */
        loop_timer_cancel(timer);
    spin_lock(&hv->timer_lock);
    timer_arm(&hv->timers, timer, deadline_tsc);
    spin_unlock(&hv->timer_lock);
    if (deadline_tsc < this_cpu()->timer_deadline)
        program_hardware(hv);
}

/* Its queue's hardware may fire once for nothing; a firing that is under way on another CPU goes
 * on. */
void loop_timer_cancel(struct timer *timer)
{
    struct timer_queue *queue;

    while ((queue = __atomic_load_n(&timer->queue, __ATOMIC_RELAXED)) != NULL) {
        struct hv_cpu *hv = CONTAINER_OF(queue, struct hv_cpu, timers);

        spin_lock(&hv->timer_lock);
        if (timer->queue == queue)
            timer_cancel(timer);
        spin_unlock(&hv->timer_lock);
    }
}

static bool is_firing(struct hv_cpu *hv, const struct timer *timer)
{
    bool firing;

    spin_lock(&hv->timer_lock);
    firing = hv->firing == timer;
    spin_unlock(&hv->timer_lock);
    return firing;
}

void loop_timer_stop(struct timer *timer)
{
    for (unsigned int i = 0; i < cpu_count; i++) {
        do { /* what is firing may arm it again */
            loop_timer_cancel(timer);
        } while (is_firing(&hv_cpus[i], timer));
    }
}

static struct timer *take_due(struct hv_cpu *hv)
{
    struct timer *timer;

    spin_lock(&hv->timer_lock);
    timer = timer_take_due(&hv->timers, rdtsc());
    hv->firing = timer;
    spin_unlock(&hv->timer_lock);
    return timer;
}

static void run_timers(struct cpu *cpu)
{
    struct timer *timer;

    cpu->timer_deadline = TIMER_NEVER; /* it has fired */
    while ((timer = take_due(cpu->hv)) != NULL)
        timer->fire(timer);
    program_hardware(cpu->hv);
}

static void timer_interrupt(void *unused)
{
    cpu_post_work(this_cpu(), WORK_TIMER);
}

/* ---- vCPUs between CPUs --------------------------------------------------------------------- */

static struct vcpu *vcpu_of(struct sched_entity *entity)
{
    return entity ? CONTAINER_OF(entity, struct vcpu, sched) : NULL;
}

static struct hv_cpu *hv_of(const struct sched_queue *queue)
{
    return CONTAINER_OF(queue, struct hv_cpu, queue);
}

/* A vCPU's home, locked: it may move until the lock is held. */
static struct hv_cpu *lock_home(struct vcpu *vcpu)
{
    for (;;) {
        struct hv_cpu *hv = hv_of(__atomic_load_n(&vcpu->sched.queue, __ATOMIC_RELAXED));

        spin_lock(&hv->queue_lock);
        if (vcpu->sched.queue == &hv->queue)
            return hv;
        spin_unlock(&hv->queue_lock);
    }
}

int loop_admit(struct vcpu *vcpu, uint32_t *free_ppm)
{
    struct sched_queue *queues[CPU_MAX];
    uint64_t siblings[SCHED_MAX_CPUS / 64] = {0};
    struct sched_queue *queue;
    int error;

    for (unsigned int i = 0; i < cpu_count; i++)
        queues[i] = &hv_cpus[i].queue;
    for (unsigned int i = 0; i < vcpu->id; i++) {
        unsigned int cpu = vcpu->vm->vcpus[i]->sched.queue->cpu;

        siblings[cpu / 64] |= 1ull << (cpu % 64);
    }
    queue = sched_place(queues, cpu_count, &vcpu->sched, siblings);
    if (!queue)
        return -EINVAL;
    spin_lock(&hv_of(queue)->queue_lock);
    error = sched_admit(queue, &vcpu->sched, free_ppm);
    spin_unlock(&hv_of(queue)->queue_lock);
    return error;
}

void loop_leave(struct vcpu *vcpu)
{
    struct hv_cpu *hv;

    if (!vcpu->sched.queue)
        return;
    hv = lock_home(vcpu);
    sched_leave(&vcpu->sched, time_ns());
    spin_unlock(&hv->queue_lock);
}

static bool may_run(const struct vcpu *vcpu)
{
    return !vcpu->held && vcpu->vm->state == VM_RUNNING &&
           !__atomic_load_n(&vcpu->vm->due, __ATOMIC_RELAXED);
}

/* Somebody waits at a busy CPU: one that sleeps, and that it may use, may steal it. */
static void rouse_idle(const struct hv_cpu *busy, const uint64_t cpus[SCHED_MAX_CPUS / 64])
{
    for (unsigned int i = 0; i < cpu_count; i++) {
        struct cpu *cpu = cpu_by_index(i);

        if (cpu->hv != busy && cpus[i / 64] >> (i % 64) & 1 &&
            __atomic_load_n(&cpu->shared.away, __ATOMIC_RELAXED) == CPU_ASLEEP) {
            loop_post(cpu, WORK_SCHED);
            return;
        }
    }
}

/* Who has to wait now that this one has been woken: itself, or the one that it displaces. */
static const struct sched_entity *left_waiting(const struct vcpu *vcpu, bool decide)
{
    const struct sched_entity *left = decide ? vcpu->sched.queue->current : &vcpu->sched;

    return left && !left->realtime && (decide || left->state == SCHED_WAITING) ? left : NULL;
}

void loop_wake(struct vcpu *vcpu)
{
    uint64_t cpus[SCHED_MAX_CPUS / 64] = {0}; /* where the one that has to wait may run */
    const struct sched_entity *left;
    struct hv_cpu *hv;
    bool decide;

    if (vcpu == this_cpu()->hv->running) /* it looks at its requests before the next entry */
        return;
    hv = lock_home(vcpu);
    decide =
        may_run(vcpu) && vcpu->sched.state == SCHED_SLEEPING && sched_wake(&vcpu->sched, time_ns());
    left = left_waiting(vcpu, decide);
    if (left)
        memcpy(cpus, left->cpus, sizeof(cpus));
    spin_unlock(&hv->queue_lock);
    if (decide)
        loop_post(hv->cpu, WORK_SCHED);
    else if (!left)
        smp_kick(hv->cpu);
    if (left && __atomic_load_n(&hv->running, __ATOMIC_RELAXED))
        rouse_idle(hv, cpus);
}

void loop_yield(struct vcpu *vcpu)
{
    struct hv_cpu *hv = this_cpu()->hv;

    spin_lock(&hv->queue_lock);
    sched_give_way(&hv->queue, time_ns());
    if (hv->queue.turn_over)
        __atomic_fetch_or(&vcpu->requests, VCPU_REQ_LEAVE, __ATOMIC_RELAXED);
    spin_unlock(&hv->queue_lock);
}

bool loop_waits_here(const struct vcpu *vcpu)
{
    return __atomic_load_n(&vcpu->sched.queue, __ATOMIC_RELAXED) == &this_cpu()->hv->queue &&
           __atomic_load_n(&vcpu->sched.state, __ATOMIC_RELAXED) == SCHED_WAITING;
}

bool loop_is_wanted(void)
{
    struct hv_cpu *hv = this_cpu()->hv;
    bool wanted;

    spin_lock(&hv->queue_lock);
    wanted = hv->queue.current || hv->queue.realtime.root || hv->queue.fair.root;
    spin_unlock(&hv->queue_lock);
    return wanted;
}

/* Is it on no CPU, neither running nor loaded? */
static bool is_off(struct vcpu *vcpu)
{
    struct hv_cpu *hv = lock_home(vcpu);
    bool off;

    if (vcpu->sched.state != SCHED_SLEEPING &&
        (vcpu->sched.state != SCHED_RUNNING || (hv->cpu == this_cpu() && hv->running != vcpu)))
        sched_sleep(&vcpu->sched, time_ns());
    off = vcpu->sched.state == SCHED_SLEEPING && !__atomic_load_n(&vcpu->cpu, __ATOMIC_ACQUIRE);
    spin_unlock(&hv->queue_lock);
    return off;
}

void loop_hold(struct vcpu *vcpu)
{
    struct cpu *self = this_cpu();

    __atomic_store_n(&vcpu->held, true, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&vcpu->requests, VCPU_REQ_LEAVE, __ATOMIC_SEQ_CST);
    for (;;) {
        struct cpu *loaded = __atomic_load_n(&vcpu->cpu, __ATOMIC_ACQUIRE);

        if (loaded == self && vcpu != self->hv->running)
            vcpu_unload(vcpu);
        if (is_off(vcpu))
            return;
        if (loaded && loaded != self)
            loop_post(loaded, WORK_UNLOAD);
        cpu_relax();
    }
}

void loop_release(struct vcpu *vcpu)
{
    if (vcpu->cpu == this_cpu())
        vcpu_unload(vcpu);
    __atomic_store_n(&vcpu->held, false, __ATOMIC_SEQ_CST);
    __atomic_fetch_and(&vcpu->requests, ~VCPU_REQ_LEAVE, __ATOMIC_RELAXED);
    if (vcpu->state != VCPU_DEAD && vcpu->vm->state == VM_RUNNING)
        loop_wake(vcpu);
}

void loop_quiesce(void)
{
    struct cpu *self = this_cpu();

    ASSERT(self->index == 0 && !self->hv->running);
    if (self->vcpu) /* a CPU that waits for it would not come by */
        vcpu_unload(self->vcpu);
    for (unsigned int i = 1; i < cpu_count; i++)
        loop_post(cpu_by_index(i), WORK_PASS);
    for (unsigned int i = 1; i < cpu_count; i++)
        while (__atomic_load_n(&cpu_by_index(i)->shared.work, __ATOMIC_ACQUIRE) & WORK_PASS)
            cpu_relax();
}

/* The vCPU has left the CPU: does it want to go on? */
static bool wants_to_run(const struct vcpu *vcpu)
{
    return may_run(vcpu) &&
           (vcpu->state == VCPU_RUNNABLE || __atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED));
}

/* ---- What the monitor shows ----------------------------------------------------------------- */

void loop_view_cpu(unsigned int index, struct loop_cpu_view *out)
{
    struct hv_cpu *hv = &hv_cpus[index];

    spin_lock(&hv->queue_lock);
    *out = (struct loop_cpu_view){
        .load = sched_load(&hv->queue),
        .reserved_ppm = (uint32_t)((hv->queue.reserved * 1000000 + (1u << 31)) >> 32),
        .busy = hv->queue.current != NULL,
    };
    spin_unlock(&hv->queue_lock);
}

void loop_view_vcpu(struct vcpu *vcpu, struct loop_vcpu_view *out)
{
    const struct sched_entity *entity = &vcpu->sched;
    struct hv_cpu *hv = lock_home(vcpu);
    uint64_t now = time_ns();
    uint64_t ns = now > entity->since ? now - entity->since : 0; /* not accounted for yet */

    *out = (struct loop_vcpu_view){hv->cpu->index, entity->state, entity->stats};
    spin_unlock(&hv->queue_lock);
    if (out->state == SCHED_RUNNING)
        out->stats.run_ns += ns;
    else if (out->state != SCHED_SLEEPING)
        out->stats.wait_ns += ns;
    if (out->state == SCHED_WAITING)
        out->stats.latency_max_ns = MAX(out->stats.latency_max_ns, ns);
}

/* ---- The loop ------------------------------------------------------------------------------- */

/* Only wakes the loop, which asks the scheduler. */
static void decision_due(struct timer *timer)
{
}

void loop_init_cpu(struct cpu *cpu)
{
    struct hv_cpu *hv = &hv_cpus[cpu->index];

    hv->cpu = cpu;
    cpu->hv = hv;
    timer_init(&hv->decision, decision_due);
    sched_queue_init(&hv->queue, cpu->index);
    if (cpu->index == 0)
        irq_register(VECTOR_TIMER, timer_interrupt, NULL);
}

/* Two queues are locked in the order of their CPUs. */
static bool steal_from(struct hv_cpu *from, struct hv_cpu *to)
{
    struct hv_cpu *first = from < to ? from : to;
    struct hv_cpu *second = from < to ? to : from;
    struct vcpu *vcpu;

    spin_lock(&first->queue_lock);
    spin_lock(&second->queue_lock);
    vcpu = vcpu_of(sched_steal(&from->queue, &to->queue, time_ns()));
    spin_unlock(&second->queue_lock);
    spin_unlock(&first->queue_lock);
    return vcpu != NULL;
}

static bool steal(struct hv_cpu *hv)
{
    for (unsigned int i = 1; i < cpu_count; i++) {
        struct hv_cpu *from = &hv_cpus[(hv->cpu->index + i) % cpu_count];

        if (sched_load(&from->queue) > 0 && steal_from(from, hv))
            return true;
    }
    return false;
}

static struct vcpu *pick(struct hv_cpu *hv)
{
    struct vcpu *vcpu;
    uint64_t until;

    spin_lock(&hv->queue_lock);
    vcpu = vcpu_of(sched_pick(&hv->queue, time_ns(), &until));
    spin_unlock(&hv->queue_lock);
    if (until == SCHED_NEVER)
        loop_timer_cancel(&hv->decision);
    else
        loop_timer_arm(&hv->decision, tsc_info.boot + ns_to_tsc(until) + 1);
    return vcpu;
}

/*
 * Who spins while another waits for this CPU gives it up at the next PAUSE; alone it shall not exit
 * for each.  Whether somebody waits is a guess: what comes later counts from the next turn on.
 */
static void watch_for_spinning(const struct hv_cpu *hv, struct vcpu *vcpu)
{
    bool on = !vcpu->sched.realtime && __atomic_load_n(&hv->queue.waiting, __ATOMIC_RELAXED) != 0;

    if (vcpu->pause_exits == on)
        return;
    vcpu_load(vcpu);
    vcpu->pause_exits = on;
    backend->intercept_pause(vcpu, on);
}

static void run(struct hv_cpu *hv, struct vcpu *vcpu)
{
    hv->running = vcpu;
    watch_for_spinning(hv, vcpu);
    kvm_steal_enter(vcpu);
    vcpu_run(vcpu);
    kvm_steal_leave(vcpu);
    hv->running = NULL;
    if (wants_to_run(vcpu))
        return;
    spin_lock(&hv->queue_lock);
    if (!wants_to_run(vcpu)) /* who has woken it before the lock was taken found it awake */
        sched_sleep(&vcpu->sched, time_ns());
    spin_unlock(&hv->queue_lock);
}

/* The vCPU may still be loaded where it ran last: that CPU has to put it down first. */
static void claim(struct cpu *cpu, struct vcpu *vcpu)
{
    struct cpu *other;

    if (cpu->vcpu && cpu->vcpu != vcpu)
        vcpu_unload(cpu->vcpu); /* before waiting, or two CPUs could wait for each other */
    while ((other = __atomic_load_n(&vcpu->cpu, __ATOMIC_ACQUIRE)) != NULL && other != cpu) {
        loop_post(other, WORK_UNLOAD);
        cpu_relax();
    }
}

/* What is loaded here is wanted elsewhere, or nobody may run it now. */
static void put_down(struct cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;

    if (vcpu && (!may_run(vcpu) || hv_of(vcpu->sched.queue) != cpu->hv))
        vcpu_unload(vcpu);
}

static void do_seldom_work(struct cpu *cpu, uint32_t work)
{
    if (work & WORK_UNLOAD)
        put_down(cpu);
    if (work & WORK_CONSOLE)
        console_work();
    if (work & WORK_VM)
        vm_work();
    if (work & WORK_CHORE)
        vm_chore_work();
}

/* True when there was anything to do. */
static bool do_work(struct cpu *cpu)
{
    uint32_t work = cpu_take_work(cpu);

    if (work & WORK_TIMER)
        run_timers(cpu);
    if (work & ~WORK_TIMER)
        do_seldom_work(cpu, work);
    return work != 0;
}

/* A busy CPU gives work away now and then: those that never sleep would not look for it. */
static void offer(struct hv_cpu *hv)
{
    if (cpu_count == 1 || !sched_may_push(&hv->queue, time_ns()))
        return;
    for (unsigned int i = 1; i < cpu_count; i++) {
        struct hv_cpu *to = &hv_cpus[(hv->cpu->index + i) % cpu_count];

        if (steal_from(hv, to)) {
            loop_post(to->cpu, WORK_SCHED);
            return;
        }
    }
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
        vcpu = pick(hv);
        if (vcpu) {
            offer(hv);
            claim(cpu, vcpu);
            run(hv, vcpu);
        } else if (!steal(hv)) {
            cpu_wait_for_work(cpu);
        }
    }
}
