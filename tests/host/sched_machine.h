/* SPDX-License-Identifier: MIT */
/*
 * A simulated machine for the scheduler's tests: CPUs that call it as the main loop does, and tasks
 * that compute for ever, or for a while in each period.  Time jumps from event to event; nothing
 * costs any, so what is measured is the scheduler's own doing.
 */
#pragma once

#include "hv/sched.h"
#include "hv/util.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MACHINE_CPUS  4
#define MACHINE_TASKS 80

#define US 1000ull
#define MS 1000000ull
#define S  1000000000ull

static const uint64_t anywhere[SCHED_MAX_CPUS / 64] = {~0ull, ~0ull, ~0ull, ~0ull};

struct task {
    struct sched_entity entity;
    uint64_t burst_ns;  /* what it computes each time; 0: for ever */
    uint64_t period_ns; /* from one wake-up to the next */
    uint64_t left_ns;   /* of this burst */
    uint64_t wake_at;   /* SCHED_NEVER: it is awake, or never wakes */
    uint64_t woken_at;
    bool delayed;          /* it has not run since it woke */
    uint64_t delay_max_ns; /* from waking to running */
    uint64_t bursts, missed;
};

struct machine {
    uint64_t now;
    unsigned int cpu_count;
    unsigned int task_count;
    bool balance; /* busy CPUs push and idle ones steal */
    bool strayed; /* something ran where it may not, or on two CPUs */
    uint64_t decisions;
    struct sched_queue queues[MACHINE_CPUS];
    uint64_t until[MACHINE_CPUS];
    struct task tasks[MACHINE_TASKS];
};

static inline void machine_init(struct machine *machine, unsigned int cpu_count)
{
    memset(machine, 0, sizeof(*machine));
    machine->now = 5 * S;
    machine->cpu_count = cpu_count;
    machine->balance = true;
    for (unsigned int i = 0; i < cpu_count; i++) {
        sched_queue_init(&machine->queues[i], i);
        machine->until[i] = SCHED_NEVER;
    }
}

static inline struct task *task_of(struct sched_entity *entity)
{
    return entity ? CONTAINER_OF(entity, struct task, entity) : NULL;
}

/* A task that is admitted to the CPU and wakes a moment later, as hogs do at the same time. */
static inline struct task *add_task(struct machine *machine, unsigned int cpu,
                                    struct sched_params params, uint64_t burst_ns,
                                    uint64_t period_ns)
{
    struct task *task = &machine->tasks[machine->task_count++];
    uint32_t free_ppm;

    params.weight = params.weight ? params.weight : 256;
    params.cap = params.cap ? params.cap : 100;
    params.cpus = params.cpus ? params.cpus : anywhere;
    if (sched_entity_init(&task->entity, &params) ||
        sched_admit(&machine->queues[cpu], &task->entity, &free_ppm))
        abort();
    task->burst_ns = burst_ns;
    task->period_ns = period_ns;
    task->wake_at = machine->now;
    return task;
}

static inline struct task *add_hog(struct machine *machine, unsigned int cpu, uint32_t weight)
{
    return add_task(machine, cpu, (struct sched_params){.weight = weight}, 0, 0);
}

/* ---- What the main loop does ---------------------------------------------------------------- */

static inline struct sched_queue *other_queue(struct machine *machine, unsigned int cpu, bool least)
{
    struct sched_queue *best = NULL;

    for (unsigned int i = 0; i < machine->cpu_count; i++) {
        struct sched_queue *queue = &machine->queues[i];

        if (i != cpu && (!best || (least ? sched_load(queue) < sched_load(best)
                                         : sched_load(queue) > sched_load(best))))
            best = queue;
    }
    return best;
}

static inline void note_running(struct machine *machine, unsigned int cpu, struct task *task)
{
    if (!(task->entity.cpus[cpu / 64] >> (cpu % 64) & 1) ||
        task->entity.queue != &machine->queues[cpu])
        machine->strayed = true;
    if (task->delayed)
        task->delay_max_ns = MAX(task->delay_max_ns, machine->now - task->woken_at);
    task->delayed = false;
}

static inline void decide(struct machine *machine, unsigned int cpu)
{
    struct sched_queue *queue = &machine->queues[cpu];
    struct sched_queue *busy, *idle;
    struct sched_entity *next = sched_pick(queue, machine->now, &machine->until[cpu]);

    machine->decisions++;
    if (!next && machine->balance && (busy = other_queue(machine, cpu, false)) &&
        sched_steal(busy, queue, machine->now))
        next = sched_pick(queue, machine->now, &machine->until[cpu]);
    if (!next)
        return;
    note_running(machine, cpu, task_of(next));
    if (machine->balance && sched_may_push(queue, machine->now) &&
        (idle = other_queue(machine, cpu, true)) && sched_steal(queue, idle, machine->now))
        decide(machine, idle->cpu);
}

/* Somebody waits: an idle CPU may have it. */
static inline void wake_idle(struct machine *machine)
{
    for (unsigned int i = 0; i < machine->cpu_count && machine->balance; i++)
        if (!machine->queues[i].current)
            decide(machine, i);
}

static inline void wake(struct machine *machine, struct task *task)
{
    task->woken_at = task->wake_at;
    task->wake_at = SCHED_NEVER;
    task->left_ns = task->burst_ns;
    task->delayed = true;
    if (sched_wake(&task->entity, machine->now))
        decide(machine, task->entity.queue->cpu);
    wake_idle(machine);
}

/* ---- Time ----------------------------------------------------------------------------------- */

static inline uint64_t next_event(const struct machine *machine, uint64_t end)
{
    uint64_t next = end;

    for (unsigned int i = 0; i < machine->task_count; i++)
        next = MIN(next, machine->tasks[i].wake_at);
    for (unsigned int i = 0; i < machine->cpu_count; i++) {
        struct task *task = task_of(machine->queues[i].current);

        next = MIN(next, machine->until[i]);
        if (task && task->burst_ns)
            next = MIN(next, machine->now + task->left_ns);
    }
    return MAX(next, machine->now);
}

static inline void end_burst(struct machine *machine, struct task *task)
{
    unsigned int cpu = task->entity.queue->cpu;

    task->bursts++;
    task->missed += machine->now > task->woken_at + task->period_ns;
    task->wake_at = MAX(task->woken_at + task->period_ns, machine->now);
    sched_sleep(&task->entity, machine->now);
    decide(machine, cpu);
}

static inline void advance(struct machine *machine, uint64_t to)
{
    uint64_t passed = to - machine->now;
    struct task *running[MACHINE_CPUS];

    machine->now = to;
    for (unsigned int i = 0; i < machine->cpu_count; i++) {
        running[i] = task_of(machine->queues[i].current);
        if (running[i] && running[i]->burst_ns)
            running[i]->left_ns -= passed;
    }
    for (unsigned int i = 0; i < machine->cpu_count; i++)
        if (running[i] && running[i]->burst_ns && !running[i]->left_ns)
            end_burst(machine, running[i]);
}

static inline void machine_run(struct machine *machine, uint64_t ns)
{
    uint64_t end = machine->now + ns;

    while (machine->now < end) {
        advance(machine, next_event(machine, end));
        for (unsigned int i = 0; i < machine->task_count; i++)
            if (machine->tasks[i].wake_at <= machine->now)
                wake(machine, &machine->tasks[i]);
        for (unsigned int i = 0; i < machine->cpu_count; i++)
            if (machine->until[i] <= machine->now)
                decide(machine, i);
    }
}

/* What a task has run, the turn that has not ended included. */
static inline uint64_t run_time(const struct machine *machine, const struct task *task)
{
    const struct sched_entity *entity = &task->entity;

    return entity->stats.run_ns +
           (entity->state == SCHED_RUNNING ? machine->now - entity->since : 0);
}
