/* SPDX-License-Identifier: MIT */
/* The main loop of a CPU: timers, the console, vCPUs in turn, sleep. */
#pragma once

#include "hv/timer.h"
#include "hv/util.h"

#include <stdint.h>

struct vcpu;

/* The boot CPU's part of hv; others follow with SMP. */
void loop_init_cpu(void);

/* Make a vCPU run, or notice its requests: from any handler or timer. */
void loop_wake(struct vcpu *vcpu);
/* It will not run again; takes it out of the queue. */
void loop_remove(struct vcpu *vcpu);

/* Timers of this CPU, with the hardware behind them. */
void loop_timer_arm(struct timer *timer, uint64_t deadline_tsc);
void loop_timer_cancel(struct timer *timer);

/* The main loop of a CPU: timers, the console, vCPUs, sleep. */
NORETURN void loop_run(void *unused);
