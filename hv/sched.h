/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: who runs next on a CPU, and until when.  Pure: it knows no vCPU, no hardware and
 * no clock; time comes in as `now`, in nanoseconds.
 *
 * Each CPU has one queue, and each entity (a vCPU) one queue that is its home.  The caller holds
 * the queue's lock in every call, both locks where two queues are given.  Two classes:
 *
 *   weighted   By virtual time: the time it ran, divided by its weight.  The smallest runs.  A cap
 *              is a budget of so many percent of each window.
 *   real-time  Constant-bandwidth servers: a budget in each period, the earliest deadline runs,
 *              before all that are weighted.  They stay on the CPU that admitted them, where all
 *              budgets together stay under SCHED_REALTIME_PERCENT.
 *
 * Who has used up a budget is throttled, however idle the CPU is, until the period or window ends.
 *
 *   CPU n:  for (;;) { next = sched_pick(queue, now, &until); run next until then, or until kicked;
 *                      if (next halted) sched_sleep(next, now); }
 */
#pragma once

#include "hv/heap.h"

#include <stdbool.h>
#include <stdint.h>

#define SCHED_NEVER      UINT64_MAX
#define SCHED_MAX_CPUS   256
#define SCHED_WEIGHT_MAX 10000
#define SCHED_PERIOD_MAX 10000000000ull /* ns */

/* What real-time entities may reserve of a CPU: the rest is for the hypervisor's own work, which is
 * charged to nobody, and keeps weighted guests and the monitor from starving. */
#define SCHED_REALTIME_PERCENT 95

#define SCHED_SLICE_NS   1000000  /* how far one runs ahead of the next before it is its turn */
#define SCHED_WAKE_NS    500000   /* who wakes preempts one that is that much ahead of it */
#define SCHED_BONUS_NS   2000000  /* what a sleeper may have saved up */
#define SCHED_WINDOW_NS  10000000 /* of a cap: any second then holds it within 1% */
#define SCHED_BALANCE_NS 20000000 /* how often a busy CPU offers work to others */

struct sched_params {
    uint32_t weight;      /* 1 to SCHED_WEIGHT_MAX; ignored for real-time */
    uint32_t cap;         /* 1 to 100 percent of one CPU, 100: none; ignored for real-time */
    uint64_t period_ns;   /* 0: weighted */
    uint64_t budget_ns;   /* 1 to period_ns */
    const uint64_t *cpus; /* SCHED_MAX_CPUS bits: where it may run */
};

enum sched_state {
    SCHED_SLEEPING,  /* or nowhere at home */
    SCHED_WAITING,   /* for the CPU */
    SCHED_THROTTLED, /* for its budget */
    SCHED_RUNNING,
};

struct sched_stats {
    uint64_t run_ns;
    uint64_t wait_ns;        /* runnable and not running, throttled included: KVM's steal time */
    uint64_t latency_max_ns; /* the longest from being able to run (not throttled) to running */
    uint64_t turns;          /* how often it was put on a CPU */
};

struct sched_entity {
    struct heap_node node;               /* in a heap of its queue while it waits or is throttled */
    struct sched_entity *newer, **older; /* the list of waiting weighted entities of its queue */
    struct sched_queue *queue;           /* its home; a null pointer: not admitted */
    enum sched_state state;
    bool realtime;
    uint32_t weight;
    uint64_t vtime_per_ns; /* 32.32 */
    uint64_t period_ns;    /* of the budget; 0: unlimited */
    uint64_t budget_ns;    /* a period's */
    uint64_t share;        /* budget_ns / period_ns, 0.32 */
    uint64_t cpus[SCHED_MAX_CPUS / 64];
    uint64_t vtime;          /* weighted: what it has had */
    uint32_t vtime_fraction; /* its binary places: nothing is lost to rounding */
    int64_t left_ns;         /* of this period's budget; negative: overrun, owed to the next */
    uint64_t deadline;       /* the end of this period */
    uint64_t since;          /* when it entered its state, or was charged last */
    uint64_t moved;          /* when it came to its queue */
    struct sched_stats stats;
};

struct sched_queue {
    unsigned int cpu;
    struct sched_entity *current;          /* the one that runs, or a null pointer */
    struct heap realtime;                  /* waiting, by deadline */
    struct heap fair;                      /* waiting, by virtual time */
    struct heap throttled;                 /* by the time of the next budget */
    struct sched_entity *oldest, **newest; /* the list of fair, in the order of arrival */
    bool turn_over;                        /* the current one has to give way */
    uint64_t vtime;    /* the least virtual time of those who run or wait; never falls */
    uint64_t until;    /* what sched_pick() answered last */
    uint64_t waiting;  /* weights in fair together */
    uint64_t admitted; /* weights of all who are at home here, asleep or not */
    uint64_t reserved; /* shares of the real-time ones together, 0.32 */
    uint64_t balance_at;
};

void sched_queue_init(struct sched_queue *queue, unsigned int cpu);
/* 0, or -EINVAL for parameters outside their ranges. */
int sched_entity_init(struct sched_entity *entity, const struct sched_params *params);

/*
 * The queue to admit the entity to: of the CPUs that it may use one that has room for its budget,
 * is not among those of its siblings (SCHED_MAX_CPUS bits), and has the least to do, in this order.
 * A null pointer: it may use none.  A guess that needs no lock.
 */
struct sched_queue *sched_place(struct sched_queue *const *queues, unsigned int count,
                                const struct sched_entity *entity, const uint64_t *siblings);
/*
 * Make the queue its home; it sleeps.  -EINVAL: it may not run there.  -EBUSY: its budget is more
 * than is free of the CPU, and *free_ppm (parts in a million) says how much is.
 */
int sched_admit(struct sched_queue *queue, struct sched_entity *entity, uint32_t *free_ppm);
/* The reverse, in any state; if it is running, on its CPU. */
void sched_leave(struct sched_entity *entity, uint64_t now);

/* It can run from now on.  True: its CPU has to call sched_pick(), soon (kick it). */
bool sched_wake(struct sched_entity *entity, uint64_t now);
/* It cannot run any more, whether it was waiting or running. */
void sched_sleep(struct sched_entity *entity, uint64_t now);
/* The running one lets another weighted one go first: it yields, or spins.  (Its plain name is
 * POSIX's, and host tests would take it for that.) */
void sched_give_way(struct sched_queue *queue, uint64_t now);
/*
 * Who is to run from now on; it may be the one that is.  A null pointer: nobody.  Nobody needs to
 * look again before *until, unless sched_wake() says so; SCHED_NEVER: no timer at all.
 */
struct sched_entity *sched_pick(struct sched_queue *queue, uint64_t now, uint64_t *until);

/* What waits or runs, in weights; needs no lock when a guess will do. */
uint64_t sched_load(const struct sched_queue *queue);
/*
 * Move a waiting weighted entity to a CPU with less to do: an idle one steals, and a busy one
 * pushes when sched_may_push() says that it is time (those that never wait take no timer, so they
 * do not look for work).  Three entities of one weight rotate so on two CPUs.  Returns the entity
 * that was moved, after which the CPU of `to` has to call sched_pick(), or a null pointer.
 */
struct sched_entity *sched_steal(struct sched_queue *from, struct sched_queue *to, uint64_t now);
bool sched_may_push(struct sched_queue *queue, uint64_t now);
