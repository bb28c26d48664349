/* SPDX-License-Identifier: MIT */
/* The timer queue against a sorted model: random arming, moving, cancelling and firing. */
#include "tests/host/check.h"

#include "hv/timer.h"
#include "hv/util.h"

#include <stdlib.h>

#define TIMERS 200
#define STEPS  200000

struct model {
    struct timer timer;
    bool armed;
    uint64_t deadline;
};

static struct model models[TIMERS];
static struct timer_queue queue;
static uint64_t last_fired, now;
static unsigned int fired;
static bool in_order = true, only_due = true;
static struct model *rearm; /* fires again a little later when it fires */

/* As a CPU's main loop does it. */
static uint64_t run(struct timer_queue *queue, uint64_t now)
{
    struct timer *timer;

    while ((timer = timer_take_due(queue, now)) != NULL)
        timer->fire(timer);
    return timer_next(queue);
}

static void fire(struct timer *timer)
{
    struct model *model = CONTAINER_OF(timer, struct model, timer);

    in_order &= model->deadline >= last_fired;
    only_due &= model->armed && model->deadline <= now && !timer->queue;
    last_fired = model->deadline;
    model->armed = false;
    fired++;
    if (model == rearm) {
        model->armed = true;
        model->deadline = now + 5;
        timer_arm(&queue, timer, model->deadline);
    }
}

static uint64_t model_next(void)
{
    uint64_t next = TIMER_NEVER;

    for (unsigned int i = 0; i < TIMERS; i++)
        if (models[i].armed && models[i].deadline < next)
            next = models[i].deadline;
    return next;
}

static bool step(void)
{
    struct model *model = &models[rand() % TIMERS];

    switch (rand() % 8) {
    case 0:
        timer_cancel(&model->timer);
        model->armed = false;
        break;
    case 1:
        now += (uint64_t)(rand() % 50);
        last_fired = 0;
        run(&queue, now);
        return !model->armed || model->deadline > now;
    default:
        model->deadline = now + (uint64_t)(rand() % 1000);
        model->armed = true;
        timer_arm(&queue, &model->timer, model->deadline);
        break;
    }
    return true;
}

static void test_random(void)
{
    bool next_right = true, none_left = true;

    srand(1);
    for (unsigned int i = 0; i < TIMERS; i++)
        timer_init(&models[i].timer, fire);
    rearm = &models[7];
    for (unsigned int i = 0; i < STEPS; i++) {
        none_left &= step();
        if (i % 16 == 0)
            next_right &= timer_next(&queue) == model_next();
    }
    CHECK(next_right, "the next deadline is the model's, over 200000 random steps");
    CHECK(in_order, "what is due fires in the order of the deadlines");
    CHECK(only_due, "only what is due fires, and it is not armed any more");
    CHECK(none_left, "nothing that is due is left");
    CHECK(fired > 1000, "timers did fire");
    rearm = NULL;
    last_fired = 0;
    now = UINT64_MAX - 1;
    CHECK(run(&queue, now) == TIMER_NEVER && !queue.heap.root, "in the end all fire");
}

static void test_simple(void)
{
    struct timer timer;

    timer_init(&timer, fire);
    CHECK(timer_next(&queue) == TIMER_NEVER, "an empty queue has no deadline");
    timer_cancel(&timer);
    CHECK(!timer.queue, "cancelling what is not armed does nothing");
    timer_arm(&queue, &timer, 10);
    timer_arm(&queue, &timer, 20);
    CHECK(timer_next(&queue) == 20, "arming again moves");
    timer_cancel(&timer);
    timer_cancel(&timer);
    CHECK(timer_next(&queue) == TIMER_NEVER, "cancelled twice it is gone");
}

int main(void)
{
    test_random();
    test_simple();
    return check_done();
}
