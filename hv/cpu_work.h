/* SPDX-License-Identifier: MIT */
/*
 * hv's own part of a physical CPU, and the bits of work that interrupt handlers and other CPUs post
 * to its main loop (struct cpu's shared.work).
 */
#pragma once

#include "hv/timer.h"

#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct vcpu;

#define WORK_TIMER   0x1u /* the timer interrupt came */
#define WORK_CONSOLE 0x2u /* the physical UART has something */
#define WORK_SCHED   0x4u /* a vCPU has become runnable */

struct hv_cpu {
    struct timer_queue timers;
    struct vcpu *queue_head, *queue_tail; /* runnable vCPUs */
    struct vcpu *running;                 /* between the two the one that runs, or a null pointer */
    struct timer slice;                   /* the end of its turn, armed when others wait */
};
