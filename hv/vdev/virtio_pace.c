/* SPDX-License-Identifier: MIT */
/* When a queue is served from a timer. */
#include "hv/vdev/virtio_pace.h"

#include "hv/util.h"

#define WORTH        4 /* what a look finds at least, or it was the last */
#define PATIENCE_MAX 256u

void virtio_pace_init(struct virtio_pace *pace)
{
    *pace = (struct virtio_pace){.patience = WORTH};
}

void virtio_pace_rung(struct virtio_pace *pace, uint64_t now_ns)
{
    if (now_ns - pace->since_ns >= VIRTIO_PACE_NS) {
        pace->since_ns = now_ns;
        pace->rung = 0;
    }
    pace->on = ++pace->rung >= pace->patience;
    pace->was_worth = false;
}

void virtio_pace_looked(struct virtio_pace *pace, int found)
{
    pace->on = found >= WORTH;
    pace->was_worth |= pace->on;
    if (pace->was_worth)
        pace->patience = WORTH;
    else if (found > 0) /* they have waited for nothing */
        pace->patience = MIN(2 * pace->patience, PATIENCE_MAX);
    pace->rung = 0;
}
