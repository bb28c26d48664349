/* SPDX-License-Identifier: MIT */
/*
 * The virtio console.  What is sent goes out byte by byte, and a chain may take several turns:
 * when there is no room, or when it is long.  Then its queue stands still, and what was sent of it
 * is skipped the next time.
 */
#include "hv/vdev/virtio_console.h"

#include "hv/errno.h"
#include "hv/util.h"

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUES };

#define PIECE     64u
#define TURN_MAX  4096u /* bytes of one chain in one turn */
#define BYTE_COST 64u   /* sending a byte takes so much longer than copying one */

/* How many of them were taken. */
static unsigned int put_all(struct virtio_console *console, const uint8_t *bytes,
                            unsigned int count)
{
    unsigned int done = 0;

    while (done < count && console->put(console->ctx, bytes[done]))
        done++;
    return done;
}

/* Up to `max` bytes of the rest of a chain: 0, -EAGAIN when there is no room for them, or another
 * negative errno. */
static int send(struct virtio_console *console, struct virtq_chain *chain, uint64_t max)
{
    uint8_t bytes[PIECE];

    while (max) {
        unsigned int piece = (unsigned int)MIN(max, PIECE), taken;
        int error = virtq_pull(chain, bytes, piece);

        if (error)
            return error;
        taken = put_all(console, bytes, piece);
        console->sent += taken;
        if (taken < piece)
            return -EAGAIN;
        max -= piece;
    }
    return 0;
}

/* What was sent of this chain in turns before is not looked at again. */
static int request(void *dev, unsigned int queue, struct virtq_chain *chain, uint32_t *written)
{
    struct virtio_console *console = dev;
    uint64_t count;
    int error;

    virtq_skip(chain, MIN(console->sent, chain->readable));
    count = MIN(chain->readable, TURN_MAX);
    chain->work = count * BYTE_COST;
    error = send(console, chain, count);
    if (!error && chain->readable) {
        virtio_later(console->virtio);
        return -EAGAIN;
    }
    if (error != -EAGAIN)
        console->sent = 0;
    return error;
}

/* Without room it is lost, for nobody could be told. */
static void configured(void *dev, uint64_t offset)
{
    const struct virtio_console *console = dev;

    if (offset == offsetof(struct virtio_console_config, emergency_write))
        console->put(console->ctx, console->virtio->config[offset]);
}

static void refilled(void *dev, unsigned int queue)
{
    const struct virtio_console *console = dev;

    console->ready(console->ctx);
}

static void changed(void *dev, bool live)
{
    struct virtio_console *console = dev;

    console->sent = 0;
}

unsigned int virtio_console_receive(struct virtio_console *console, const uint8_t *bytes,
                                    unsigned int count)
{
    struct virtq_chain chain;
    uint32_t taken;

    if (!count || !virtio_take(console->virtio, QUEUE_RECEIVE, &chain))
        return 0;
    taken = (uint32_t)MIN(chain.writable, count);
    if (!taken || virtq_push(&chain, bytes, taken) != 0) {
        virtio_need_reset(console->virtio);
        return 0;
    }
    virtio_give(console->virtio, QUEUE_RECEIVE, chain.head, taken);
    virtio_tell(console->virtio, QUEUE_RECEIVE);
    return taken;
}

const struct virtio_kind virtio_console_kind = {.id = 3,
                                                .class = 0x078000,
                                                .queues = QUEUES,
                                                .queue_size = 64,
                                                .receives = 1 << QUEUE_RECEIVE,
                                                .config_writable = sizeof(uint32_t),
                                                .request = request,
                                                .refilled = refilled,
                                                .configured = configured,
                                                .changed = changed};
