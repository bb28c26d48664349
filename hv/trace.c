/* SPDX-License-Identifier: MIT */
/* Reading the ring of exits; writing it is inline, in trace.h. */
#include "hv/trace.h"

#include <stddef.h>

const struct trace_entry *trace_back(const struct trace_ring *ring, unsigned int n)
{
    if (n >= TRACE_ENTRIES || n >= ring->count)
        return NULL;
    return &ring->entries[(ring->count - 1 - n) % TRACE_ENTRIES];
}
