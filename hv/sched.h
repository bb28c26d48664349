/* SPDX-License-Identifier: MIT */
/* Who runs next on this CPU, and what wakes when: a queue in turn, with a time slice where others
 * wait. */
#pragma once

#include "hv/timer.h"
#include "hv/util.h"

#include <stdint.h>

struct vcpu;

/* The boot CPU's part of hv; others follow with SMP. */
void sched_init_cpu(void);

/* Make a vCPU run, or notice its requests: from any handler or timer. */
void sched_wake(struct vcpu *vcpu);
/* It will not run again; takes it out of the queue. */
void sched_remove(struct vcpu *vcpu);

/* Timers of this CPU, with the hardware behind them. */
void sched_timer_arm(struct timer *timer, uint64_t deadline_tsc);
void sched_timer_cancel(struct timer *timer);

/* The main loop of a CPU: timers, the console, vCPUs, sleep. */
NORETURN void sched_loop(void *unused);
