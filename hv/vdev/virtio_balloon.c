/* SPDX-License-Identifier: MIT */
/*
 * The virtio balloon: requests.  One whose pages take the owner longer stays in its queue, which
 * stands still, and is answered when it comes up again.
 */
#include "hv/vdev/virtio_balloon.h"

#include "hv/addr.h"
#include "hv/errno.h"
#include "hv/string.h"
#include "hv/util.h"

#define STATS_MAX 32u /* of one buffer: more than there are tags */

/* ---- Pages ---------------------------------------------------------------------------------- */

/* A page goes in or out; false: it is no RAM, or was there already. */
static bool move_page(struct virtio_balloon *balloon, uint32_t page, bool in)
{
    uint64_t number = balloon->ops.page_number(balloon->ops.ctx, (uint64_t)page << PAGE_SHIFT);
    uint64_t bit = BIT(number % 64);
    uint64_t *word;

    if (number >= balloon->page_count)
        return false;
    word = &balloon->inside[number / 64];
    if (!(*word & bit) != in)
        return false;
    *word ^= bit;
    return true;
}

static int read_batch(struct virtio_balloon *balloon, unsigned int queue, struct virtq_chain *chain)
{
    struct balloon_batch *batch = &balloon->batches[queue];
    uint64_t size = chain->readable;
    int error;

    if (!size || size % sizeof(batch->pages[0]) || size > sizeof(batch->pages))
        return -EINVAL;
    error = virtq_pull(chain, batch->pages, size);
    if (error)
        return error;
    batch->count = (unsigned int)(size / sizeof(batch->pages[0]));
    for (unsigned int i = 0; i < batch->count; i++)
        if (!move_page(balloon, batch->pages[i], queue == VIRTIO_BALLOON_INFLATE))
            return -EINVAL;
    return 0;
}

static int answer_batch(struct virtio_balloon *balloon, unsigned int queue,
                        struct virtq_chain *chain)
{
    struct balloon_batch *batch = &balloon->batches[queue];
    int error;

    if (batch->state == BALLOON_DONE) {
        batch->state = BALLOON_IDLE;
        return 0;
    }
    if (batch->state != BALLOON_IDLE)
        return -EAGAIN;
    error = read_batch(balloon, queue, chain);
    if (error)
        return error;
    chain->work = batch->count * PAGE_SIZE;
    if (balloon->ops.move(balloon->ops.ctx, queue))
        return 0;
    batch->state = BALLOON_BUSY;
    return -EAGAIN;
}

/* ---- Statistics ----------------------------------------------------------------------------- */

/* Tags that nobody knows are left out. */
static int read_stats(struct virtio_balloon *balloon, struct virtq_chain *chain)
{
    struct {
        uint16_t tag;
        uint64_t value;
    } PACKED said[STATS_MAX];
    struct balloon_stats *stats = &balloon->stats;
    uint64_t count = MIN(chain->readable / sizeof(said[0]), STATS_MAX);

    if (virtq_pull(chain, said, count * sizeof(said[0])) != 0)
        return -EFAULT;
    stats->known = 0;
    for (unsigned int i = 0; i < count; i++) {
        if (said[i].tag >= BALLOON_STAT_COUNT)
            continue;
        stats->known |= 1u << said[i].tag;
        stats->values[said[i].tag] = said[i].value;
    }
    stats->at_ns = vclock_now(&balloon->virtio->setup.clock);
    return 0;
}

/* Giving a buffer back is the question, another one is the answer. */
static int answer_stats(struct virtio_balloon *balloon, struct virtq_chain *chain)
{
    struct balloon_stats *stats = &balloon->stats;
    int error = 0;

    if (!virtio_has(balloon->virtio, VIRTIO_BALLOON_F_STATS_VQ))
        return -EINVAL;
    if (stats->asked) {
        stats->asked = stats->kept = false;
        return 0;
    }
    if (!stats->kept)
        error = read_stats(balloon, chain);
    stats->kept = !error;
    return error ? error : -EAGAIN;
}

void virtio_balloon_ask_stats(struct virtio_balloon *balloon)
{
    if (!balloon->stats.kept) /* it is saying it, or has no driver */
        return;
    balloon->stats.asked = true;
    virtio_resume(balloon->virtio, VIRTIO_BALLOON_STATS);
}

/* ---- Both ----------------------------------------------------------------------------------- */

static int request(void *dev, unsigned int queue, struct virtq_chain *chain, uint32_t *written)
{
    return queue == VIRTIO_BALLOON_STATS ? answer_stats(dev, chain)
                                         : answer_batch(dev, queue, chain);
}

/* A driver that goes leaves nothing in the balloon, and is not quoted any more.  What the owner has
 * it keeps until it is done. */
static void changed(void *dev, bool live)
{
    struct virtio_balloon *balloon = dev;
    struct balloon_batch *batch;
    uint32_t none = 0;

    if (live)
        return;
    memset(balloon->inside, 0, virtio_balloon_words(balloon->page_count) * sizeof(uint64_t));
    balloon->stats = (struct balloon_stats){0};
    for (unsigned int i = 0; i < VIRTIO_BALLOON_MOVES; i++) {
        batch = &balloon->batches[i];
        batch->state = batch->state == BALLOON_BUSY   ? BALLOON_STALE
                       : batch->state == BALLOON_DONE ? BALLOON_IDLE
                                                      : batch->state;
    }
    virtio_set_config(balloon->virtio, offsetof(struct virtio_balloon_config, actual), &none,
                      sizeof(none));
}

void virtio_balloon_done(struct virtio_balloon *balloon, unsigned int queue)
{
    struct balloon_batch *batch = &balloon->batches[queue];

    batch->state = batch->state == BALLOON_BUSY ? BALLOON_DONE : BALLOON_IDLE;
    balloon->virtio->setup.later(balloon->virtio->setup.ctx);
}

void virtio_balloon_ask(struct virtio_balloon *balloon, uint32_t pages)
{
    virtio_set_config(balloon->virtio, offsetof(struct virtio_balloon_config, num_pages), &pages,
                      sizeof(pages));
}

uint32_t virtio_balloon_actual(const struct virtio_balloon *balloon)
{
    struct virtio_balloon_config config;

    memcpy(&config, balloon->virtio->config, sizeof(config));
    return config.actual;
}

const struct virtio_kind virtio_balloon_kind = {
    .id = 5,
    .class = 0x00ff00,
    .queues = VIRTIO_BALLOON_QUEUES,
    .queue_size = 64,
    .config_writable = sizeof(uint32_t),
    .request = request,
    .changed = changed,
};
