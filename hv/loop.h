/* SPDX-License-Identifier: MIT */
/*
 * The main loop of each CPU: timers, the console, vCPUs in turn, sleep.  Who may touch a vCPU when
 * is decided here: its home (vcpu->sched.queue) changes only under the locks of both CPUs.
 */
#pragma once

#include "hv/sched.h"
#include "hv/timer.h"
#include "hv/util.h"

#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct hv_cpu;
struct vcpu;

/* hv's part of a CPU, before anything below on it. */
void loop_init_cpu(struct cpu *cpu);

/*
 * A home among the CPUs that it may use.  -EINVAL: there is none; -EBUSY: no CPU has its real-time
 * budget free, the one that came nearest has *free_ppm millionths.  And out of it again, for good.
 */
int loop_admit(struct vcpu *vcpu, uint32_t *free_ppm);
void loop_leave(struct vcpu *vcpu);

/* Make a vCPU run, or notice its requests.  Any CPU. */
void loop_wake(struct vcpu *vcpu);
/* From a handler of the vCPU: if others wait for its CPU, one of them goes first. */
void loop_yield(struct vcpu *vcpu);
/* Does it wait for the CPU that the caller runs on?  A guess. */
bool loop_waits_here(const struct vcpu *vcpu);
/* From this CPU's main loop: would a vCPU run here instead? */
bool loop_is_wanted(void);

/*
 * Take a vCPU off its CPU and keep it off until loop_release(): it runs nowhere then and is loaded
 * nowhere, and the caller may do with it what it likes.  Not from one of its own handlers.
 */
void loop_hold(struct vcpu *vcpu);
void loop_release(struct vcpu *vcpu);

/* Timers go into this CPU's queue, with the hardware behind it; they may be cancelled from any. */
void loop_timer_arm(struct timer *timer, uint64_t deadline_tsc);
void loop_timer_cancel(struct timer *timer);
/* Cancel it, and wait until it fires nowhere any more: it may be freed then.  Without a lock that
 * its firing takes. */
void loop_timer_stop(struct timer *timer);

/*
 * Waits until every other CPU has been in its main loop: none of them is in a guest any more that
 * it had entered before, or in a handler, with what that had looked up.  From the boot CPU's main
 * loop only, without a lock.
 */
void loop_quiesce(void);

/* Work for a CPU's main loop, WORK_* of cpu_work.h. */
void loop_post(struct cpu *cpu, uint32_t work);

/* For the monitor: a CPU, and a vCPU, as they are now.  Two answers may not fit each other. */
struct loop_cpu_view {
    uint64_t load;         /* weights of those that wait or run */
    uint32_t reserved_ppm; /* by real-time vCPUs, of the CPU */
    bool busy;             /* a vCPU has it */
};

struct loop_vcpu_view {
    unsigned int cpu; /* its home */
    enum sched_state state;
    struct sched_stats stats; /* up to now */
};

void loop_view_cpu(unsigned int index, struct loop_cpu_view *out);
void loop_view_vcpu(struct vcpu *vcpu, struct loop_vcpu_view *out);

NORETURN void loop_run(void *unused);
