/* SPDX-License-Identifier: MIT */
/* Timer queues: a pairing heap of intrusive nodes.  Knows no hardware; who runs a queue arms the
 * APIC. */
#include "hv/timer.h"

#include <stddef.h>

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    *timer = (struct timer){.deadline_tsc = TIMER_NEVER, .fire = fire};
}

/* Two heaps become one; either may be empty.  The result's link is the caller's to set. */
static struct timer *meld(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->deadline_tsc < a->deadline_tsc) {
        struct timer *other = a;

        a = b;
        b = other;
    }
    b->next = a->child;
    if (b->next)
        b->next->link = &b->next;
    a->child = b;
    b->link = &a->child;
    return a;
}

/* A list of siblings becomes one heap: in pairs from the left, then the pairs together. */
static struct timer *meld_siblings(struct timer *list)
{
    struct timer *pairs = NULL;
    struct timer *result = NULL;

    while (list) {
        struct timer *a = list;
        struct timer *b = a->next;

        list = b ? b->next : NULL;
        a->next = NULL;
        if (b)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct timer *heap = pairs;

        pairs = heap->next;
        heap->next = NULL;
        result = meld(result, heap);
    }
    return result;
}

static void set_root(struct timer_queue *queue, struct timer *root)
{
    queue->root = root;
    if (root)
        root->link = &queue->root;
}

void timer_cancel(struct timer *timer)
{
    struct timer_queue *queue = timer->queue;
    struct timer *rest;

    if (!queue)
        return;
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    rest = meld_siblings(timer->child);
    set_root(queue, meld(queue->root, rest));
    timer->queue = NULL;
    timer->child = timer->next = NULL;
    timer->link = NULL;
}

void timer_arm(struct timer_queue *queue, struct timer *timer, uint64_t deadline_tsc)
{
    timer_cancel(timer);
    timer->deadline_tsc = deadline_tsc;
    timer->queue = queue;
    set_root(queue, meld(queue->root, timer));
}

uint64_t timer_next(const struct timer_queue *queue)
{
    return queue->root ? queue->root->deadline_tsc : TIMER_NEVER;
}

uint64_t timer_run(struct timer_queue *queue, uint64_t now_tsc)
{
    while (queue->root && queue->root->deadline_tsc <= now_tsc) {
        struct timer *timer = queue->root;

        timer_cancel(timer);
        timer->fire(timer);
    }
    return timer_next(queue);
}
