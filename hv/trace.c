/* SPDX-License-Identifier: MIT */
/* Reading the ring and the times of exits; writing them is inline, in trace.h. */
#include "hv/trace.h"

#include <stddef.h>

bool trace_is_on = true;
bool exit_times_are_on;

const struct trace_entry *trace_back(const struct trace_ring *ring, unsigned int n)
{
    if (n >= TRACE_ENTRIES || n >= ring->count)
        return NULL;
    return &ring->entries[(ring->count - n) % TRACE_ENTRIES];
}

void exit_time_merge(struct exit_time *into, const struct exit_time *more)
{
    if (!more->count)
        return;
    into->min = into->count ? MIN(into->min, more->min) : more->min;
    into->max = MAX(into->max, more->max);
    into->sum += more->sum;
    into->count += more->count;
}
