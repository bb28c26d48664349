/* SPDX-License-Identifier: MIT */
/* The scheduler, see sched.h.  Decides and accounts; running, timers and locks are its callers'. */
#include "hv/sched.h"

#include "hv/errno.h"
#include "hv/util.h"

#include <stddef.h>

#define ONE (1ull << 32) /* of 0.32 and 32.32 fixed point */

/*
 * Virtual time counts 8 in a nanosecond at weight 1, so that 64 bits last for 73 years and nothing
 * has to think of wrapping.  Queues begin above what a bonus takes off.
 */
#define VTIME_UNIT_SHIFT 3
#define VTIME_START      ONE

#define REALTIME_LIMIT (SCHED_REALTIME_PERCENT * ONE / 100)

/* Shorter turns are not worth a timer. */
#define MIN_TURN_NS 1000

static uint64_t multiply(uint64_t value, uint64_t fixed)
{
    return (uint64_t)(((unsigned __int128)value * fixed) >> 32);
}

/* How long the entity has been in its state.  CPUs' clocks may differ a little: time never runs
 * backwards here. */
static uint64_t elapse(struct sched_entity *entity, uint64_t now)
{
    uint64_t ns = now > entity->since ? now - entity->since : 0;

    entity->since += ns;
    return ns;
}

static bool may_run_on(const struct sched_entity *entity, unsigned int cpu)
{
    return cpu < SCHED_MAX_CPUS && (entity->cpus[cpu / 64] >> (cpu % 64) & 1);
}

static struct sched_entity *first(const struct heap *heap)
{
    return heap->root ? CONTAINER_OF(heap->root, struct sched_entity, node) : NULL;
}

/* ---- Virtual time --------------------------------------------------------------------------- */

static void advance_vtime(struct sched_entity *entity, uint64_t ns)
{
    unsigned __int128 vtime = (unsigned __int128)ns * entity->vtime_per_ns + entity->vtime_fraction;

    entity->vtime += (uint64_t)(vtime >> 32);
    entity->vtime_fraction = (uint32_t)vtime;
}

static uint64_t vtime_to_ns(const struct sched_entity *entity, uint64_t vtime)
{
    return multiply(vtime, (uint64_t)entity->weight << (32 - VTIME_UNIT_SHIFT));
}

static void update_queue_vtime(struct sched_queue *queue)
{
    const struct sched_entity *current = queue->current;
    uint64_t least = heap_first_key(&queue->fair);

    if (current && !current->realtime)
        least = MIN(least, current->vtime);
    if (least != HEAP_EMPTY)
        queue->vtime = MAX(queue->vtime, least);
}

/* A long sleep counts as a short one, so that nobody can save up time and then starve the others.
 */
static void limit_bonus(struct sched_entity *entity)
{
    uint64_t bonus = multiply(SCHED_BONUS_NS, entity->vtime_per_ns);

    entity->vtime = MAX(entity->vtime, entity->queue->vtime - bonus);
}

/* How long the current one may go on before it is the next one's turn. */
static uint64_t turn_left(const struct sched_entity *current, const struct sched_entity *next)
{
    uint64_t ahead_ns;

    if (current->vtime <= next->vtime)
        return SCHED_SLICE_NS + vtime_to_ns(current, next->vtime - current->vtime);
    ahead_ns = vtime_to_ns(current, current->vtime - next->vtime);
    return ahead_ns < SCHED_SLICE_NS ? SCHED_SLICE_NS - ahead_ns : 0;
}

/* ---- Budgets -------------------------------------------------------------------------------- */

static bool is_exhausted(const struct sched_entity *entity)
{
    return entity->period_ns && entity->left_ns <= 0;
}

/* An overrun is paid back once: the clock may have jumped. */
static void use_budget(struct sched_entity *entity, uint64_t ns)
{
    int64_t most = entity->left_ns + (int64_t)entity->budget_ns;

    entity->left_ns -= ns < (uint64_t)most ? (int64_t)ns : most;
}

static void begin_period(struct sched_entity *entity, uint64_t deadline)
{
    entity->left_ns = MIN(entity->left_ns, 0) + (int64_t)entity->budget_ns;
    entity->deadline = deadline;
}

/* The next period follows the last, unless that one is long over. */
static void renew_budget(struct sched_entity *entity, uint64_t now)
{
    uint64_t deadline = entity->deadline + entity->period_ns;

    begin_period(entity, deadline > now ? deadline : now + entity->period_ns);
}

/*
 * The rule of the constant-bandwidth server for who wakes: what is left of its budget may be used
 * until its deadline, unless that were more than its share of the time until then.
 */
static void wake_budget(struct sched_entity *entity, uint64_t now)
{
    uint64_t fair_ns;

    if (!entity->period_ns)
        return;
    fair_ns = entity->deadline > now ? multiply(entity->deadline - now, entity->share) : 0;
    if (entity->deadline <= now || entity->left_ns > (int64_t)fair_ns)
        begin_period(entity, now + entity->period_ns);
}

/* ---- Queues --------------------------------------------------------------------------------- */

static void append_to_list(struct sched_queue *queue, struct sched_entity *entity)
{
    entity->newer = NULL;
    entity->older = queue->newest;
    *queue->newest = entity;
    queue->newest = &entity->newer;
}

static void remove_from_list(struct sched_queue *queue, struct sched_entity *entity)
{
    *entity->older = entity->newer;
    if (entity->newer)
        entity->newer->older = entity->older;
    else
        queue->newest = entity->older;
}

static void enqueue(struct sched_entity *entity)
{
    struct sched_queue *queue = entity->queue;

    entity->state = is_exhausted(entity) ? SCHED_THROTTLED : SCHED_WAITING;
    if (entity->state == SCHED_THROTTLED) {
        heap_insert(&queue->throttled, &entity->node, entity->deadline);
    } else if (entity->realtime) {
        heap_insert(&queue->realtime, &entity->node, entity->deadline);
    } else {
        heap_insert(&queue->fair, &entity->node, entity->vtime);
        append_to_list(queue, entity);
        queue->waiting += entity->weight;
    }
}

static void dequeue(struct sched_entity *entity)
{
    struct sched_queue *queue = entity->queue;

    if (entity->state == SCHED_THROTTLED) {
        heap_remove(&queue->throttled, &entity->node);
    } else if (entity->realtime) {
        heap_remove(&queue->realtime, &entity->node);
    } else {
        heap_remove(&queue->fair, &entity->node);
        remove_from_list(queue, entity);
        queue->waiting -= entity->weight;
    }
}

/* It leaves the queue after waiting there. */
static void end_wait(struct sched_entity *entity, uint64_t now)
{
    uint64_t ns = elapse(entity, now);

    entity->stats.wait_ns += ns;
    if (entity->state == SCHED_WAITING)
        entity->stats.latency_max_ns = MAX(entity->stats.latency_max_ns, ns);
    dequeue(entity);
}

/* ---- Decisions ------------------------------------------------------------------------------ */

/* Charge the current one for what it ran.  Before anything looks at the queue. */
static void charge(struct sched_queue *queue, uint64_t now)
{
    struct sched_entity *current = queue->current;

    if (current) {
        uint64_t ns = elapse(current, now);

        current->stats.run_ns += ns;
        if (!current->realtime)
            advance_vtime(current, ns);
        if (current->period_ns)
            use_budget(current, ns);
    }
    update_queue_vtime(queue);
}

static bool preempts(const struct sched_entity *entity)
{
    const struct sched_entity *current = entity->queue->current;

    if (entity->state != SCHED_WAITING || !current)
        return entity->state == SCHED_WAITING;
    if (current->realtime)
        return entity->realtime && entity->deadline < current->deadline;
    return entity->realtime ||
           current->vtime > entity->vtime + multiply(SCHED_WAKE_NS, entity->vtime_per_ns);
}

/* It has become able to run.  True: now, and not at the end of the current one's turn. */
static bool arrive(struct sched_entity *entity)
{
    bool now;

    if (!entity->realtime)
        limit_bonus(entity);
    enqueue(entity);
    now = preempts(entity);
    entity->queue->turn_over |= now;
    return now;
}

/* Those whose next budget is due. */
static void release_throttled(struct sched_queue *queue, uint64_t now)
{
    struct sched_entity *entity;

    while ((entity = first(&queue->throttled)) && entity->deadline <= now) {
        end_wait(entity, now);
        renew_budget(entity, now);
        arrive(entity);
    }
}

/* An exhausted one joins the throttled, from where it comes back at once if its period is over. */
static void limit_current(struct sched_queue *queue)
{
    if (!queue->current || !is_exhausted(queue->current))
        return;
    enqueue(queue->current);
    queue->current = NULL;
}

static struct sched_entity *choose(const struct sched_queue *queue)
{
    struct sched_entity *current = queue->current;
    struct sched_entity *realtime = first(&queue->realtime);
    struct sched_entity *fair = first(&queue->fair);

    if (current && current->realtime)
        return realtime && realtime->deadline < current->deadline ? realtime : current;
    if (realtime)
        return realtime;
    if (!current || !fair)
        return current ? current : fair;
    return queue->turn_over || turn_left(current, fair) < MIN_TURN_NS ? fair : current;
}

static void switch_to(struct sched_queue *queue, struct sched_entity *next, uint64_t now)
{
    end_wait(next, now);
    if (queue->current)
        enqueue(queue->current);
    next->state = SCHED_RUNNING;
    next->stats.turns++;
    queue->current = next;
}

/* When the queue has to be looked at again, if nothing happens until then. */
static uint64_t next_decision(const struct sched_queue *queue, uint64_t now)
{
    const struct sched_entity *current = queue->current;
    const struct sched_entity *fair = first(&queue->fair);
    uint64_t until = heap_first_key(&queue->throttled);

    if (current && current->period_ns)
        until = MIN(until, now + (uint64_t)MAX(current->left_ns, MIN_TURN_NS));
    if (current && !current->realtime && fair)
        until = MIN(until, now + turn_left(current, fair));
    return until;
}

struct sched_entity *sched_pick(struct sched_queue *queue, uint64_t now, uint64_t *until)
{
    struct sched_entity *next;

    charge(queue, now);
    limit_current(queue);
    release_throttled(queue, now);
    next = choose(queue);
    if (next != queue->current)
        switch_to(queue, next, now);
    queue->turn_over = false;
    queue->until = *until = next_decision(queue, now);
    return next;
}

bool sched_wake(struct sched_entity *entity, uint64_t now)
{
    struct sched_queue *queue = entity->queue;

    if (!queue || entity->state != SCHED_SLEEPING)
        return false;
    charge(queue, now);
    elapse(entity, now);
    wake_budget(entity, now);
    return arrive(entity) || next_decision(queue, now) < queue->until;
}

void sched_sleep(struct sched_entity *entity, uint64_t now)
{
    if (entity->state == SCHED_RUNNING) {
        charge(entity->queue, now);
        entity->queue->current = NULL;
    } else if (entity->state != SCHED_SLEEPING) {
        end_wait(entity, now);
    }
    entity->state = SCHED_SLEEPING;
}

void sched_give_way(struct sched_queue *queue, uint64_t now)
{
    struct sched_entity *current = queue->current;
    const struct sched_entity *next = first(&queue->fair);

    charge(queue, now);
    if (!current || current->realtime || !next)
        return;
    current->vtime = MAX(current->vtime, next->vtime);
    queue->turn_over = true;
}

/* ---- Several CPUs --------------------------------------------------------------------------- */

uint64_t sched_load(const struct sched_queue *queue)
{
    const struct sched_entity *current = queue->current;

    return queue->waiting + (current && !current->realtime ? current->weight : 0);
}

bool sched_may_push(struct sched_queue *queue, uint64_t now)
{
    if (!queue->oldest || now < queue->balance_at)
        return false;
    queue->balance_at = now + SCHED_BALANCE_NS;
    return true;
}

static bool may_move(const struct sched_entity *entity, const struct sched_queue *to)
{
    return may_run_on(entity, to->cpu) &&
           sched_load(to) + entity->weight <= sched_load(entity->queue);
}

/* Of those that may move the one that has been there for longest, so that all move in turn. */
static struct sched_entity *choose_to_move(const struct sched_queue *from,
                                           const struct sched_queue *to)
{
    struct sched_entity *best = NULL;

    for (struct sched_entity *entity = from->oldest; entity; entity = entity->newer)
        if (may_move(entity, to) && (!best || entity->moved < best->moved))
            best = entity;
    return best;
}

static void move(struct sched_entity *entity, struct sched_queue *to, uint64_t now)
{
    struct sched_queue *from = entity->queue;

    dequeue(entity);
    from->admitted -= entity->weight;
    to->admitted += entity->weight;
    entity->vtime += to->vtime - from->vtime; /* as far ahead or behind as it was */
    entity->queue = to;
    entity->moved = now;
    arrive(entity);
}

struct sched_entity *sched_steal(struct sched_queue *from, struct sched_queue *to, uint64_t now)
{
    const struct sched_entity *current = from->current;
    struct sched_entity *entity = choose_to_move(from, to);

    /* The only one, and about to run. */
    if (!entity || (!current && !from->oldest->newer))
        return NULL;
    /* It is the running one's turn to move: look again when that one waits. */
    if (sched_load(to) && current && !current->realtime && current->moved < entity->moved &&
        may_move(current, to)) {
        from->balance_at = now + SCHED_SLICE_NS / 2;
        return NULL;
    }
    charge(from, now);
    charge(to, now);
    move(entity, to, now);
    from->balance_at = to->balance_at = now + SCHED_BALANCE_NS;
    return entity;
}

static bool has_room(const struct sched_queue *queue, const struct sched_entity *entity)
{
    return !entity->realtime || entity->share <= REALTIME_LIMIT - queue->reserved;
}

/* What is wrong with a place, worst first. */
static uint64_t misfit(const struct sched_queue *queue, const struct sched_entity *entity,
                       const uint64_t *siblings)
{
    uint64_t load =
        entity->realtime ? queue->reserved : queue->admitted * ONE / (ONE - queue->reserved);
    bool sibling = siblings[queue->cpu / 64] >> (queue->cpu % 64) & 1;

    return (has_room(queue, entity) ? 0 : BIT(63)) | (sibling ? BIT(62) : 0) | load;
}

struct sched_queue *sched_place(struct sched_queue *const *queues, unsigned int count,
                                const struct sched_entity *entity, const uint64_t *siblings)
{
    struct sched_queue *best = NULL;

    for (unsigned int i = 0; i < count; i++)
        if (may_run_on(entity, queues[i]->cpu) &&
            (!best || misfit(queues[i], entity, siblings) < misfit(best, entity, siblings)))
            best = queues[i];
    return best;
}

int sched_admit(struct sched_queue *queue, struct sched_entity *entity, uint32_t *free_ppm)
{
    *free_ppm = (uint32_t)multiply(REALTIME_LIMIT - queue->reserved, 1000000);
    if (entity->queue || !may_run_on(entity, queue->cpu))
        return -EINVAL;
    if (!has_room(queue, entity))
        return -EBUSY;
    if (entity->realtime)
        queue->reserved += entity->share;
    else
        queue->admitted += entity->weight;
    entity->queue = queue;
    entity->vtime = queue->vtime;
    entity->deadline = 0; /* its first wake-up begins a period */
    entity->left_ns = 0;
    return 0;
}

void sched_leave(struct sched_entity *entity, uint64_t now)
{
    struct sched_queue *queue = entity->queue;

    if (!queue)
        return;
    sched_sleep(entity, now);
    if (entity->realtime)
        queue->reserved -= entity->share;
    else
        queue->admitted -= entity->weight;
    entity->queue = NULL;
}

/* ---- Beginnings ----------------------------------------------------------------------------- */

void sched_queue_init(struct sched_queue *queue, unsigned int cpu)
{
    *queue = (struct sched_queue){
        .cpu = cpu, .vtime = VTIME_START, .until = SCHED_NEVER, .newest = &queue->oldest};
}

static bool are_valid(const struct sched_params *params)
{
    if (params->period_ns)
        return params->period_ns <= SCHED_PERIOD_MAX && params->budget_ns > 0 &&
               params->budget_ns <= params->period_ns;
    return params->weight >= 1 && params->weight <= SCHED_WEIGHT_MAX && params->cap >= 1 &&
           params->cap <= 100;
}

/* part / whole in 0.32, in two steps, for nothing here divides 128 bits. */
static uint64_t fraction(uint64_t part, uint64_t whole)
{
    uint64_t high = (part << 16) / whole;
    uint64_t rest = (part << 16) % whole;

    return (high << 16) + (rest << 16) / whole;
}

int sched_entity_init(struct sched_entity *entity, const struct sched_params *params)
{
    bool capped = !params->period_ns && params->cap < 100;

    if (!are_valid(params))
        return -EINVAL;
    *entity = (struct sched_entity){
        .realtime = params->period_ns != 0,
        .weight = params->period_ns ? 0 : params->weight,
        .period_ns = capped ? SCHED_WINDOW_NS : params->period_ns,
        .budget_ns = capped ? SCHED_WINDOW_NS / 100 * params->cap : params->budget_ns,
    };
    if (entity->weight)
        entity->vtime_per_ns = (ONE << VTIME_UNIT_SHIFT) / entity->weight;
    if (entity->period_ns)
        entity->share = fraction(entity->budget_ns, entity->period_ns);
    for (unsigned int i = 0; i < ARRAY_SIZE(entity->cpus); i++)
        entity->cpus[i] = params->cpus[i];
    return 0;
}
