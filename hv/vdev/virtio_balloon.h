/* SPDX-License-Identifier: MIT */
/*
 * The virtio balloon (virtio 1.2, 5.5): pages that the driver gives away when it is asked to, and
 * wants back.  What becomes of a page is the owner's business; which are in the balloon is known
 * here, and that each is a page of RAM and goes in and out by turns.
 *
 * The driver also says how much memory the guest uses, for what: once of itself, and then as often
 * as it is asked.
 */
#pragma once

#include "hv/vdev/virtio.h"

#define VIRTIO_BALLOON_F_MUST_TELL_HOST BIT(0)
#define VIRTIO_BALLOON_F_STATS_VQ       BIT(1)

#define VIRTIO_BALLOON_BATCH   256u       /* pages of one request at most: what one exit may take */
#define VIRTIO_BALLOON_NO_PAGE UINT64_MAX /* where there is no RAM */

enum {
    VIRTIO_BALLOON_INFLATE,
    VIRTIO_BALLOON_DEFLATE,
    VIRTIO_BALLOON_MOVES, /* those before it move pages */
    VIRTIO_BALLOON_STATS = VIRTIO_BALLOON_MOVES,
    VIRTIO_BALLOON_QUEUES
};

struct virtio_balloon_config {
    uint32_t num_pages; /* of 4 KiB, that shall be in the balloon */
    uint32_t actual;    /* that are, says the driver */
};

struct virtio_balloon;

struct virtio_balloon_ops {
    void *ctx;
    /* The number of a page of RAM, below page_count, or VIRTIO_BALLOON_NO_PAGE. */
    uint64_t (*page_number)(void *ctx, uint64_t gpa);
    /*
     * Deals with the pages of a batch, which the driver gives away or wants back: true when that is
     * done.  False: it takes longer, and virtio_balloon_done() will be called.
     */
    bool (*move)(void *ctx, unsigned int queue);
};

enum balloon_state {
    BALLOON_IDLE,
    BALLOON_BUSY,  /* the owner has it, and the driver waits */
    BALLOON_STALE, /* the owner has it, but the driver has been reset meanwhile */
    BALLOON_DONE,  /* the driver is to be told */
};

/* A request, copied. */
struct balloon_batch {
    enum balloon_state state;
    unsigned int count;
    uint32_t pages[VIRTIO_BALLOON_BATCH]; /* their addresses / 4096 */
};

/* virtio 1.2, 5.5.6.4: by their tags. */
enum balloon_stat {
    BALLOON_SWAPPED_IN, /* bytes, as all of memory */
    BALLOON_SWAPPED_OUT,
    BALLOON_MAJOR_FAULTS,
    BALLOON_MINOR_FAULTS,
    BALLOON_FREE,
    BALLOON_TOTAL,
    BALLOON_AVAILABLE,
    BALLOON_CACHES,
    BALLOON_HUGE_PAGES,
    BALLOON_HUGE_PAGES_FAILED,
    BALLOON_STAT_COUNT
};

/* What the driver said last. */
struct balloon_stats {
    uint32_t known; /* a bit for each that it said; 0: it said nothing yet */
    bool kept;      /* its buffer is not given back before more is asked for */
    bool asked;
    uint64_t at_ns; /* when it did */
    uint64_t values[BALLOON_STAT_COUNT];
};

struct virtio_balloon {
    struct virtio *virtio;
    struct virtio_balloon_ops ops;
    uint64_t *inside; /* a bit for each page of RAM: it is in the balloon */
    uint64_t page_count;
    struct balloon_batch batches[VIRTIO_BALLOON_MOVES];
    struct balloon_stats stats;
};

extern const struct virtio_kind virtio_balloon_kind; /* its device is a struct virtio_balloon */

/* ---- For the owner, with the device's lock held --------------------------------------------- */

/* The batch that move() has left to it is dealt with: it hears soon what the driver wants next. */
void virtio_balloon_done(struct virtio_balloon *balloon, unsigned int queue);
/* So many pages shall be in the balloon. */
void virtio_balloon_ask(struct virtio_balloon *balloon, uint32_t pages);
/* How many are, as the driver says: any number. */
uint32_t virtio_balloon_actual(const struct virtio_balloon *balloon);

/* The driver shall say anew how much memory the guest uses; where it does, stats changes soon. */
void virtio_balloon_ask_stats(struct virtio_balloon *balloon);

/* The words that `inside` needs. */
static inline uint64_t virtio_balloon_words(uint64_t page_count)
{
    return (page_count + 63) / 64;
}
