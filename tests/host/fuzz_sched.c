/* SPDX-License-Identifier: MIT */
/*
 * The scheduler under arbitrary arrivals, sleeps, yields, moves and departures on three CPUs that
 * decide when they are told to.  After each step everything that can be said of its structures, its
 * budgets and its deadlines is checked; in the end, that all who wait come to run.
 */
#include "hv/sched.h"
#include "hv/util.h"

#include <stddef.h>
#include <string.h>

#define CPUS     3
#define ENTITIES 14

#define US 1000ull
#define MS 1000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sched_queue queues[CPUS];
static struct actor {
    struct sched_entity entity;
    uint64_t admitted_at;
    uint64_t ran_before; /* it was admitted */
    unsigned int seen;   /* in heaps and on CPUs, in this check */
} actors[ENTITIES];

static uint64_t until[CPUS], vtime[CPUS];
static uint64_t now, started;
static uint64_t slowest; /* the most virtual time that one of them passes in a slice */

static void require(bool condition)
{
    if (!condition)
        __builtin_trap();
}

static struct actor *actor_of(struct heap_node *node)
{
    return CONTAINER_OF(CONTAINER_OF(node, struct sched_entity, node), struct actor, entity);
}

/* ---- Driving -------------------------------------------------------------------------------- */

static void decide(struct sched_queue *queue)
{
    uint64_t *when = &until[queue->cpu];
    const struct sched_entity *next = sched_pick(queue, now, when);

    require(next == queue->current && *when > now);
    require(!next || (next->state == SCHED_RUNNING && next->queue == queue));
}

static void pass_time(uint64_t ns)
{
    uint64_t end = now + ns;

    for (;;) {
        struct sched_queue *next = &queues[0];

        for (unsigned int i = 1; i < CPUS; i++)
            if (until[i] < until[next->cpu])
                next = &queues[i];
        if (until[next->cpu] > end)
            break;
        now = until[next->cpu];
        decide(next);
    }
    now = end;
}

static void begin(struct actor *actor, struct sched_queue *queue, const struct sched_params *params)
{
    uint32_t free_ppm;
    struct sched_stats stats = actor->entity.stats;

    require(sched_entity_init(&actor->entity, params) == 0);
    actor->entity.stats = stats;
    actor->admitted_at = now;
    actor->ran_before = stats.run_ns;
    sched_admit(queue, &actor->entity, &free_ppm); /* may be refused */
    if (!actor->entity.realtime)
        slowest =
            MAX(slowest, (actor->entity.vtime_per_ns >> 16) * SCHED_SLICE_NS / (1u << 16) + 1);
}

static void begin_as(struct actor *actor, uint8_t how, uint8_t where)
{
    static const uint32_t weights[] = {64, 100, 256, 256, 256, 512, 777, 1024};
    const uint64_t mask[SCHED_MAX_CPUS / 64] = {where % 7 + 1};
    struct sched_params params = {.weight = weights[how & 7], .cap = 100, .cpus = mask};
    static const uint64_t no_siblings[SCHED_MAX_CPUS / 64];
    struct sched_queue *all[CPUS] = {&queues[0], &queues[1], &queues[2]};

    if (how & 8)
        params.cap = 1 + (how >> 4) * 6;
    if (how >= 0xe0) {
        params.period_ns = (1 + (where >> 3)) * 500 * US;
        params.budget_ns = params.period_ns * (1 + (how & 15)) / 20;
    }
    sched_entity_init(&actor->entity, &params);
    begin(actor, sched_place(all, CPUS, &actor->entity, no_siblings), &params);
}

static void leave(struct actor *actor, uint8_t how, uint8_t where)
{
    struct sched_queue *queue = actor->entity.queue;

    /* What a real-time one has used of its period goes with it, and the sum of the shares would
     * not hold until then. */
    if (queue && actor->entity.realtime)
        return;
    sched_leave(&actor->entity, now);
    if (queue)
        decide(queue);
    begin_as(actor, how, where);
}

static void sleep(struct actor *actor)
{
    if (!actor->entity.queue)
        return;
    sched_sleep(&actor->entity, now);
    decide(actor->entity.queue);
}

static void wake(struct actor *actor)
{
    if (sched_wake(&actor->entity, now))
        decide(actor->entity.queue);
}

static void step(const uint8_t *bytes)
{
    struct actor *actor = &actors[bytes[1] % ENTITIES];
    struct sched_queue *queue = &queues[bytes[1] % CPUS];
    struct sched_queue *other = &queues[bytes[2] % CPUS];

    switch (bytes[0] % 8) {
    case 0:
    case 1:
        wake(actor);
        break;
    case 2:
        sleep(actor);
        break;
    case 3:
        pass_time(bytes[2] * 10 * US);
        break;
    case 4:
        pass_time(bytes[2] * 100 * US);
        break;
    case 5:
        sched_give_way(queue, now);
        decide(queue);
        break;
    case 6:
        if (queue != other && sched_steal(queue, other, now))
            decide(other);
        break;
    case 7:
        leave(actor, bytes[2], bytes[3]);
        break;
    }
}

/* ---- Checking ------------------------------------------------------------------------------- */

static uint64_t key_of(const struct sched_queue *queue, const struct heap *heap,
                       const struct sched_entity *entity)
{
    return heap == &queue->fair ? entity->vtime : entity->deadline;
}

/* The nodes below one, depth first; the tests have too few for a deep recursion. */
static void check_siblings(struct sched_queue *queue, struct heap *heap, struct heap_node **link,
                           uint64_t least)
{
    for (; *link; link = &(*link)->next) {
        struct actor *actor = actor_of(*link);
        const struct sched_entity *entity = &actor->entity;

        require((*link)->link == link && (*link)->key >= least);
        require(entity->queue == queue && (*link)->key == key_of(queue, heap, entity));
        require(entity->state == (heap == &queue->throttled ? SCHED_THROTTLED : SCHED_WAITING));
        require(heap == &queue->throttled || entity->realtime == (heap == &queue->realtime));
        require((heap == &queue->throttled) == (entity->period_ns && entity->left_ns <= 0));
        actor->seen++;
        check_siblings(queue, heap, &(*link)->child, (*link)->key);
    }
}

static void check_list(const struct sched_queue *queue)
{
    struct sched_entity *const *link = &queue->oldest;
    uint64_t weights = 0;

    for (; *link; link = &(*link)->newer) {
        require((*link)->older == link && (*link)->queue == queue);
        require((*link)->state == SCHED_WAITING && !(*link)->realtime);
        weights += (*link)->weight;
    }
    require(queue->newest == link && queue->waiting == weights);
}

static void check_queue(struct sched_queue *queue)
{
    uint64_t admitted = 0, reserved = 0;

    check_siblings(queue, &queue->realtime, &queue->realtime.root, 0);
    check_siblings(queue, &queue->fair, &queue->fair.root, 0);
    check_siblings(queue, &queue->throttled, &queue->throttled.root, 0);
    check_list(queue);
    for (unsigned int i = 0; i < ENTITIES; i++) {
        const struct sched_entity *entity = &actors[i].entity;

        if (entity->queue == queue) {
            admitted += entity->weight;
            reserved += entity->share * entity->realtime;
        }
    }
    require(queue->admitted == admitted && queue->reserved == reserved);
    require(reserved <= (1ull << 32) / 100 * SCHED_REALTIME_PERCENT + 100);
    require(queue->vtime >= vtime[queue->cpu]);
    vtime[queue->cpu] = queue->vtime;
    /* Nobody waits for an idle CPU, and no weighted one runs while a real-time one waits. */
    require(queue->current || (!queue->fair.root && !queue->realtime.root));
    require(!queue->realtime.root || queue->current->realtime);
    require(!queue->realtime.root || queue->realtime.root->key >= queue->current->deadline);
}

static uint64_t run_time(const struct sched_entity *entity)
{
    return entity->stats.run_ns + (entity->state == SCHED_RUNNING ? now - entity->since : 0);
}

static void check_budget(const struct actor *actor)
{
    const struct sched_entity *entity = &actor->entity;
    uint64_t share =
        (uint64_t)((unsigned __int128)(now - actor->admitted_at) * entity->share >> 32);

    require(entity->left_ns <= (int64_t)entity->budget_ns);
    require(entity->left_ns >= -(int64_t)entity->budget_ns);
    require(run_time(entity) - actor->ran_before <= share + entity->budget_ns + 10 * US);
    /* A constant-bandwidth server gets its budget by its deadline. */
    require(!entity->realtime || entity->state == SCHED_SLEEPING ||
            now <= entity->deadline + 10 * US);
}

static void check_actor(struct actor *actor)
{
    const struct sched_entity *entity = &actor->entity;
    const struct sched_queue *queue = entity->queue;
    bool runs = queue && queue->current == entity;

    require(actor->seen == (entity->state == SCHED_WAITING || entity->state == SCHED_THROTTLED));
    require(runs == (entity->state == SCHED_RUNNING));
    require(queue || entity->state == SCHED_SLEEPING);
    require(!queue || entity->cpus[0] >> queue->cpu & 1);
    if (queue && entity->period_ns)
        check_budget(actor);
    if (!queue || entity->realtime || entity->state != SCHED_WAITING)
        return;
    require(entity->vtime + (SCHED_BONUS_NS * entity->vtime_per_ns >> 32) + 1 >= queue->vtime);
    require(entity->vtime <= queue->vtime + slowest + (entity->vtime_per_ns * US >> 32) + 1);
}

static void check_all(void)
{
    uint64_t ran = 0;

    for (unsigned int i = 0; i < ENTITIES; i++)
        actors[i].seen = 0;
    for (unsigned int i = 0; i < CPUS; i++)
        check_queue(&queues[i]);
    for (unsigned int i = 0; i < ENTITIES; i++) {
        check_actor(&actors[i]);
        ran += run_time(&actors[i].entity);
    }
    require(ran <= CPUS * (now - started));
}

/* How long the last of those who wait may have to: until all others have caught up with it and had
 * a slice, beside the real-time ones. */
static uint64_t longest_wait(const struct sched_queue *queue)
{
    uint64_t last = 0, wait_ns = 0;

    for (unsigned int i = 0; i < ENTITIES; i++)
        if (actors[i].entity.queue == queue && actors[i].entity.state == SCHED_WAITING)
            last = MAX(last, actors[i].entity.vtime);
    for (unsigned int i = 0; i < ENTITIES; i++) {
        const struct sched_entity *entity = &actors[i].entity;

        if (entity->queue != queue)
            continue;
        wait_ns += entity->realtime ? entity->budget_ns : SCHED_SLICE_NS + US;
        if (!entity->realtime && entity->vtime < last)
            wait_ns += (last - entity->vtime) * entity->weight / 8;
    }
    return (uint64_t)(((unsigned __int128)wait_ns << 32) / ((1ull << 32) - queue->reserved));
}

static void check_starvation(void)
{
    uint64_t turns[ENTITIES], wait_ns = 0;

    for (unsigned int i = 0; i < ENTITIES; i++)
        turns[i] = actors[i].entity.stats.turns;
    for (unsigned int i = 0; i < ENTITIES; i++)
        if (actors[i].entity.state != SCHED_WAITING)
            turns[i] = UINT64_MAX;
    for (unsigned int i = 0; i < CPUS; i++)
        wait_ns = MAX(wait_ns, longest_wait(&queues[i]));
    pass_time(wait_ns);
    for (unsigned int i = 0; i < ENTITIES; i++)
        require(turns[i] == UINT64_MAX || actors[i].entity.stats.turns > turns[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(actors, 0, sizeof(actors));
    memset(vtime, 0, sizeof(vtime));
    now = started = 1000 * MS;
    slowest = 0;
    for (unsigned int i = 0; i < CPUS; i++) {
        sched_queue_init(&queues[i], i);
        until[i] = SCHED_NEVER;
    }
    for (unsigned int i = 0; i < ENTITIES && size >= 2; i++, data += 2, size -= 2)
        begin_as(&actors[i], data[0], data[1]);
    for (unsigned int i = 0; i < ENTITIES; i++)
        wake(&actors[i]);
    for (; size >= 4; data += 4, size -= 4) {
        step(data);
        check_all();
    }
    check_starvation();
    check_all();
    return 0;
}
