/* SPDX-License-Identifier: MIT */
/* The virtio entropy device.  A request gets up to REQUEST_MAX bytes; where they come from is the
 * owner's business. */
#include "hv/vdev/virtio_rng.h"

#include "hv/util.h"

#define PIECE       64u
#define REQUEST_MAX 4096u
#define FILL_COST   16u /* making a byte takes so much longer than copying one */

static int request(void *dev, unsigned int queue, struct virtq_chain *chain, uint32_t *written)
{
    const struct virtio_rng *rng = dev;
    uint32_t wanted = (uint32_t)MIN(chain->writable, REQUEST_MAX);
    uint8_t bytes[PIECE];

    chain->work = wanted * FILL_COST;
    while (*written < wanted) {
        uint32_t piece = MIN(wanted - *written, PIECE);
        int error;

        rng->fill(rng->ctx, bytes, piece);
        error = virtq_push(chain, bytes, piece);
        if (error)
            return error;
        *written += piece;
    }
    return 0;
}

const struct virtio_kind virtio_rng_kind = {
    .id = 4, .class = 0x00ff00, .queues = 1, .queue_size = 16, .request = request};
