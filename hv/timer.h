/* SPDX-License-Identifier: MIT */
/*
 * One timer queue per CPU, on the local APIC's one-shot timer: a heap by deadline, so that arming
 * and cancelling cost the same with one guest and with a hundred.
 */
#pragma once

#include "hv/heap.h"

#include <stdbool.h>
#include <stdint.h>

#define TIMER_NEVER HEAP_EMPTY

struct timer {
    struct heap_node node; /* by the deadline, of the host's TSC */
    void (*fire)(struct timer *timer);
    struct timer_queue *queue; /* the queue it is in; a null pointer: not armed */
};

struct timer_queue {
    struct heap heap;
};

void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
/* Arm, or move when armed already, in that queue.  The caller is the queue's CPU. */
void timer_arm(struct timer_queue *queue, struct timer *timer, uint64_t deadline_tsc);
void timer_cancel(struct timer *timer);
/* Take out the first that is due at now_tsc, for the caller to fire; a null pointer: none is. */
struct timer *timer_take_due(struct timer_queue *queue, uint64_t now_tsc);
uint64_t timer_next(const struct timer_queue *queue);
