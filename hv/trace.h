/* SPDX-License-Identifier: MIT */
/*
 * A ring of the last exits of one CPU.  Recording is a handful of stores by the CPU that owns the
 * ring; reading is for panic() and the monitor, and what is being written meanwhile may be read in
 * halves.  What a kind is called, hv/exit.h knows.
 *
 * And how long exits take, by kind, from the exit to the end of its handler.
 */
#pragma once

#include "hv/util.h"

#include <stdbool.h>
#include <stdint.h>

#define TRACE_ENTRIES 64u /* a power of two */

struct trace_entry {
    uint64_t tsc;
    uint32_t kind;    /* enum exit_kind */
    uint64_t rip;     /* the guest's */
    uint64_t info[2]; /* the backend's words: qualification and the like */
    uint32_t vcpu;    /* TRACE_VCPU(vm, vcpu) */
} ALIGNED(64);        /* a line of the cache each */

#define TRACE_VCPU(vm_id, vcpu_id) ((uint32_t)(vm_id) << 16 | ((uint32_t)(vcpu_id)&0xffff))

struct trace_ring {
    uint64_t count; /* of all exits ever; the last is entries[count % TRACE_ENTRIES] */
    struct trace_entry entries[TRACE_ENTRIES];
};

static inline void trace_exit(struct trace_ring *ring, uint64_t tsc, uint32_t vcpu, uint32_t kind,
                              uint64_t rip, uint64_t info0, uint64_t info1)
{
    struct trace_entry *entry = &ring->entries[++ring->count % TRACE_ENTRIES];

    entry->tsc = tsc;
    entry->rip = rip;
    entry->info[0] = info0;
    entry->info[1] = info1;
    entry->kind = kind;
    entry->vcpu = vcpu;
}

/* Are exits recorded?  They are at first.  For the run loop to look at. */
extern bool trace_is_on;

/* The n-th entry back, 0 being the last; a null pointer when there is none (any more). */
const struct trace_entry *trace_back(const struct trace_ring *ring, unsigned int n);

/* In TSC ticks. */
struct exit_time {
    uint64_t count, sum, min, max;
};

/* Are times taken?  They are not at first. */
extern bool exit_times_are_on;

static inline void exit_time_add(struct exit_time *time, uint64_t ticks)
{
    time->min = time->count ? MIN(time->min, ticks) : ticks;
    time->max = MAX(time->max, ticks);
    time->sum += ticks;
    time->count++;
}

void exit_time_merge(struct exit_time *into, const struct exit_time *more);
