/* SPDX-License-Identifier: MIT */
/*
 * hv's own part of a physical CPU, and the bits of work that interrupt handlers and other CPUs post
 * to its main loop (struct cpu's shared.work).
 */
#pragma once

#include "hv/sched.h"
#include "hv/spinlock.h"
#include "hv/timer.h"

#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct vcpu;

#define WORK_TIMER   0x1u  /* the timer interrupt came */
#define WORK_CONSOLE 0x2u  /* the physical UART has something; boot CPU only */
#define WORK_SCHED   0x4u  /* who runs is to be decided anew */
#define WORK_UNLOAD  0x8u  /* the loaded vCPU is wanted elsewhere */
#define WORK_VM      0x10u /* a VM has ended or asks for a reset; boot CPU only */
#define WORK_PASS    0x20u /* only to be taken: see loop_quiesce() */
#define WORK_CHORE   0x40u /* a slice of work on a VM's memory is due; boot CPU only */

/* Fields: (c) only on this CPU, [q] under queue_lock, [t] under timer_lock. */
struct hv_cpu {
    struct cpu *cpu;
    struct spinlock timer_lock;
    struct timer_queue timers; /* [t] */
    struct timer *firing;      /* [t] taken out of the queue last; a null pointer: all is done */
    struct spinlock queue_lock;
    struct sched_queue queue; /* [q] runnable vCPUs and the one that runs */
    unsigned int vcpu_count;  /* [q] vCPUs whose home this is */
    struct vcpu *running;     /* (c) read by others as a hint only */
    struct timer decision;    /* (c) when the scheduler wants to be asked again */
};
