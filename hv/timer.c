/* SPDX-License-Identifier: MIT */
/* Timer queues.  Knows no hardware; who runs a queue arms the APIC. */
#include "hv/timer.h"

#include "hv/util.h"

#include <stddef.h>

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    *timer = (struct timer){.fire = fire};
}

void timer_cancel(struct timer *timer)
{
    if (!timer->queue)
        return;
    heap_remove(&timer->queue->heap, &timer->node);
    timer->queue = NULL;
}

void timer_arm(struct timer_queue *queue, struct timer *timer, uint64_t deadline_tsc)
{
    timer_cancel(timer);
    timer->queue = queue;
    heap_insert(&queue->heap, &timer->node, deadline_tsc);
}

uint64_t timer_next(const struct timer_queue *queue)
{
    return heap_first_key(&queue->heap);
}

struct timer *timer_take_due(struct timer_queue *queue, uint64_t now_tsc)
{
    struct timer *timer;

    if (timer_next(queue) > now_tsc || !queue->heap.root)
        return NULL;
    timer = CONTAINER_OF(queue->heap.root, struct timer, node);
    timer_cancel(timer);
    return timer;
}
