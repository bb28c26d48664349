/* SPDX-License-Identifier: MIT */
/*
 * The split virtqueue (virtio 1.2, 2.7), the device's side: indirect descriptors, event index.
 *
 * Everything in the rings is the guest's and may change while it is looked at.  Each index and each
 * descriptor is copied once and judged then; a chain that is taken is a private copy.  What breaks
 * a rule gives a negative errno, and the device is in need of a reset.
 */
#pragma once

#include "hv/vdev/dma.h"

#include <stdbool.h>
#include <stdint.h>

#define VIRTQ_MAX_SIZE    256
#define VIRTQ_MAX_BUFFERS 64 /* of one chain: fewer than the standard allows, a page's worth */

struct virtq {
    bool enabled;
    uint16_t size;         /* a power of two, up to VIRTQ_MAX_SIZE */
    uint64_t descriptors;  /* the three areas, guest-physical */
    uint64_t available;    /* the driver's */
    uint64_t used;         /* the device's */
    uint16_t next;         /* of the available ring: to be taken */
    uint16_t left;         /* that waited behind the chain that was taken last */
    uint16_t done;         /* of the used ring: to be filled */
    uint16_t told;         /* `done` when the driver was last told of it, or would have been */
    bool event_index;      /* as negotiated */
    bool indirect;         /* as negotiated */
    bool quiet;            /* the driver has been asked not to notify */
    const struct dma *dma; /* all of the above is set by the owner before the queue is used */
};

struct virtq_buffer {
    uint64_t gpa;
    uint32_t size;
};

/* A request: buffers that the device reads, then those that it writes. */
struct virtq_chain {
    const struct dma *dma;
    uint16_t head;
    unsigned int count, readable_count;
    uint64_t readable, writable; /* bytes that have not been pulled or pushed yet */
    unsigned int pull_at, push_at;
    uint64_t pushed;
    uint64_t work; /* bytes that it took besides these, for who serves it to say */
    struct virtq_buffer buffers[VIRTQ_MAX_BUFFERS];
};

/* Whether the areas may lie there; that they are memory shows when they are used. */
bool virtq_is_sound(const struct virtq *queue);

/* 1 with a chain, 0 without one, or a negative errno. */
int virtq_take(struct virtq *queue, struct virtq_chain *chain);
/* So many of the chains that were taken last have not been looked at: they are taken again. */
void virtq_untake(struct virtq *queue, unsigned int count);
/* Hands a chain back, with so many bytes written to it from its beginning. */
int virtq_give(struct virtq *queue, uint16_t head, uint32_t written);
/* The same for several that the driver is to see at once. */
int virtq_put(struct virtq *queue, uint16_t head, uint32_t written);
int virtq_publish(struct virtq *queue);
/* So many have been put and not been published: they have not been put. */
void virtq_unput(struct virtq *queue, unsigned int count);
/* Asks to be notified of what is made available from now on.  1: there is more already. */
int virtq_listen(struct virtq *queue);
/* Asks not to be notified until then. */
int virtq_hush(struct virtq *queue);
/* How many chains wait, never more than the queue has; or a negative errno. */
int virtq_waiting(const struct virtq *queue);
/* 1: the driver wants an interrupt for what was given since the last call. */
int virtq_must_tell(struct virtq *queue);

/* Copies between a chain and the device, from where the last copy ended; there must be as much. */
int virtq_pull(struct virtq_chain *chain, void *to, uint64_t size);
int virtq_push(struct virtq_chain *chain, const void *from, uint64_t size);
/* As if so many bytes, which must be there, had been pulled. */
void virtq_skip(struct virtq_chain *chain, uint64_t size);
/* The very last byte of the writable part, which is not pushed before. */
int virtq_push_last(struct virtq_chain *chain, uint8_t byte);
