/* SPDX-License-Identifier: MIT */
/*
 * The virtio socket device and the hub.  Connections and their credit are the business of the
 * guests; here a packet is judged by its header alone and passed on.
 *
 * One device never runs another one's queue: it wakes its owner.  So a guest's requests are served
 * in its own time, and how deep one calls the other has an end.
 */
#include "hv/vdev/virtio_vsock.h"

#include "hv/errno.h"
#include "hv/util.h"

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUE_EVENT, QUEUES };

#define TYPE_STREAM 1

enum {
    OP_REQUEST = 1,
    OP_RESPONSE,
    OP_RST,
    OP_SHUTDOWN,
    OP_RW,
    OP_CREDIT_UPDATE,
    OP_CREDIT_REQUEST
};

#define EVENT_TRANSPORT_RESET 0

/* One packet in one turn, where a buffer that it fills counts as some bytes: Linux's, of up to
 * 64 KiB, take one turn each. */
#define TURN_MAX    0x20000u
#define BUFFER_COST 512u

#define BOUNCE 256u /* bytes at once of what does not lie in one piece */

struct header {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port;
    uint32_t size; /* of the data behind it */
    uint16_t type, op;
    uint32_t flags;
    uint32_t buf_alloc, fwd_cnt; /* the sender's credit */
} PACKED;

STATIC_ASSERT(sizeof(struct header) == 44, "virtio 1.2, 5.10.6: struct virtio_vsock_hdr");

/* ---- Those in the hub ----------------------------------------------------------------------- */

static struct virtio_vsock *find(const struct virtio_vsock_hub *hub, uint64_t cid)
{
    for (unsigned int i = 0; i < VIRTIO_VSOCK_MAX; i++)
        if (hub->live[i] && hub->live[i]->cid == cid)
            return hub->live[i];
    return NULL;
}

/* For each in a set. */
static void for_all(const struct virtio_vsock_hub *hub, uint64_t set,
                    void (*function)(struct virtio_vsock *))
{
    for (; set; set &= set - 1) {
        struct virtio_vsock *vsock = hub->live[__builtin_ctzll(set)];

        if (vsock)
            function(vsock);
    }
}

static void wake(struct virtio_vsock *vsock)
{
    vsock->wake(vsock->ctx);
}

static void wake_waiting(struct virtio_vsock *vsock)
{
    uint64_t waiting = vsock->waiting;

    vsock->waiting = 0;
    for_all(vsock->hub, waiting, wake);
}

/* ---- Delivering ----------------------------------------------------------------------------- */

/* Some of the next bytes where they lie, or a null pointer: they are not in one piece, or might
 * overlap with those that they are copied to. */
static const void *look(const struct virtq_chain *from, const struct virtq_chain *to, uint32_t size)
{
    if (from->dma == to->dma)
        return NULL;
    return from->dma->look(from->dma->ctx, from->buffers[from->pull_at].gpa, size);
}

static int copy(struct virtq_chain *from, struct virtq_chain *to, uint32_t size)
{
    uint8_t bounce[BOUNCE];

    while (size) {
        uint32_t piece = MIN(size, from->buffers[from->pull_at].size);
        const void *bytes = look(from, to, piece);

        if (bytes) {
            virtq_skip(from, piece);
        } else {
            piece = MIN(piece, BOUNCE);
            bytes = bounce;
            if (virtq_pull(from, bounce, piece) != 0)
                return -EFAULT;
        }
        if (virtq_push(to, bytes, piece) != 0)
            return -ENODEV;
        size -= piece;
    }
    return 0;
}

/* One of so many bytes at least: 0; -EAGAIN: there is none, and `from` waits; -ENODEV: it is not to
 * be had any more. */
static int take_buffer(struct virtio_vsock *from, struct virtio_vsock *to, uint64_t size,
                       struct virtq_chain *buffer)
{
    if (virtio_take(to->virtio, QUEUE_RECEIVE, buffer)) {
        if (buffer->writable >= size)
            return 0;
        virtio_need_reset(to->virtio);
    }
    if (!to->virtio->live)
        return -ENODEV;
    to->waiting |= BIT(from->index);
    return -EAGAIN;
}

/*
 * One buffer: the header, and as much of its data as there is room for.  Returns how much, -EAGAIN,
 * -ENODEV when the receiver or -EFAULT when the sender has broken a rule.
 */
static int64_t deliver(struct virtio_vsock *from, struct virtio_vsock *to, struct header header,
                       struct virtq_chain *data)
{
    struct virtq_chain buffer;
    int error = take_buffer(from, to, sizeof(header) + (header.size != 0), &buffer);

    if (error)
        return error;
    header.size = (uint32_t)MIN(header.size, buffer.writable - sizeof(header));
    error =
        virtq_push(&buffer, &header, sizeof(header)) ? -ENODEV : copy(data, &buffer, header.size);
    if (error == -EFAULT)
        virtio_untake(to->virtio, QUEUE_RECEIVE, 1);
    else if (error)
        virtio_need_reset(to->virtio);
    if (error)
        return error;
    virtio_give(to->virtio, QUEUE_RECEIVE, buffer.head, (uint32_t)buffer.pushed);
    virtio_tell(to->virtio, QUEUE_RECEIVE);
    to->received.packets++;
    to->received.bytes += header.size;
    return header.size;
}

/* A packet whose data may fill several buffers, for a stream knows no borders.  What was delivered
 * in turns before is skipped. */
static int forward(struct virtio_vsock *from, struct virtio_vsock *to, struct header header,
                   struct virtq_chain *data)
{
    uint32_t skipped = (uint32_t)MIN(from->moved, header.size), turn = 0;

    virtq_skip(data, skipped);
    header.size -= skipped;
    do {
        int64_t count = deliver(from, to, header, data);

        if (count < 0)
            return (int)count;
        header.size -= (uint32_t)count;
        from->moved += (uint32_t)count;
        turn += (uint32_t)count + BUFFER_COST;
        data->work += BUFFER_COST;
    } while (header.size && turn < TURN_MAX);
    if (header.size) {
        virtio_later(from->virtio);
        return -EAGAIN;
    }
    return 0;
}

/* The sender hears that there is no such connection; nobody answers an RST. */
static int refuse(struct virtio_vsock *from, const struct header *header)
{
    const struct header rst = {.src_cid = header->dst_cid,
                               .dst_cid = from->cid,
                               .src_port = header->dst_port,
                               .dst_port = header->src_port,
                               .type = header->type,
                               .op = OP_RST};
    int64_t result = header->op == OP_RST ? 0 : deliver(from, from, rst, NULL);

    if (result == 0)
        from->refused++;
    return (int)result;
}

/* ---- What is sent --------------------------------------------------------------------------- */

/* Whom it is for, or a null pointer where it is for nobody. */
static struct virtio_vsock *receiver(const struct virtio_vsock *from, const struct header *header)
{
    if (header->src_cid != from->cid || header->type != TYPE_STREAM || header->op < OP_REQUEST ||
        header->op > OP_CREDIT_REQUEST)
        return NULL;
    return find(from->hub, header->dst_cid);
}

static void note_sent(struct virtio_vsock *from, struct virtio_vsock *to,
                      const struct header *header)
{
    from->sent.packets++;
    from->sent.bytes += header->size;
    if (header->op == OP_RESPONSE) {
        from->peers |= BIT(to->index);
        to->peers |= BIT(from->index);
    }
}

static int request(void *dev, unsigned int queue, struct virtq_chain *chain, uint32_t *written)
{
    struct virtio_vsock *from = dev, *to;
    struct header header;
    int error = -ENODEV;

    if (virtq_pull(chain, &header, sizeof(header)) != 0 || header.size > chain->readable)
        return -EINVAL;
    if (header.op != OP_RW)
        header.size = 0;
    to = receiver(from, &header);
    if (to)
        error = forward(from, to, header, chain);
    if (error == 0)
        note_sent(from, to, &header);
    else if (error == -ENODEV)
        error = refuse(from, &header);
    if (error != -EAGAIN)
        from->moved = 0;
    return error;
}

/* ---- The driver comes and goes -------------------------------------------------------------- */

static bool has_buffer(const struct virtio_vsock *vsock)
{
    struct virtq_chain buffer;

    if (!virtio_take(vsock->virtio, QUEUE_RECEIVE, &buffer))
        return false;
    virtio_untake(vsock->virtio, QUEUE_RECEIVE, 1);
    return true;
}

static void send_event(struct virtio_vsock *vsock)
{
    static const uint32_t event = EVENT_TRANSPORT_RESET;
    struct virtq_chain buffer;

    if (!vsock->event_due || !virtio_take(vsock->virtio, QUEUE_EVENT, &buffer))
        return;
    if (virtq_push(&buffer, &event, sizeof(event)) != 0) {
        virtio_need_reset(vsock->virtio);
        return;
    }
    vsock->event_due = false;
    virtio_give(vsock->virtio, QUEUE_EVENT, buffer.head, sizeof(event));
    virtio_tell(vsock->virtio, QUEUE_EVENT);
}

/* Who waits for buffers is woken when there are some: two that wait for each other would wake each
 * other without an end otherwise. */
static void refilled(void *dev, unsigned int queue)
{
    struct virtio_vsock *vsock = dev;

    if (queue == QUEUE_EVENT)
        send_event(vsock);
    else if (vsock->waiting && has_buffer(vsock))
        wake_waiting(vsock);
}

static void lose_peer(struct virtio_vsock *vsock)
{
    vsock->event_due = true;
    wake(vsock);
}

/* Whoever waits for it is to see that it is gone, and who is connected to it to close that. */
static void leave(struct virtio_vsock *vsock)
{
    wake_waiting(vsock);
    for_all(vsock->hub, vsock->peers, lose_peer);
    for (unsigned int i = 0; i < VIRTIO_VSOCK_MAX; i++)
        if (vsock->hub->live[i])
            vsock->hub->live[i]->peers &= ~BIT(vsock->index);
    vsock->peers = 0;
    vsock->moved = 0;
    vsock->event_due = false;
}

static void changed(void *dev, bool live)
{
    struct virtio_vsock *vsock = dev;

    vsock->hub->live[vsock->index] = live ? vsock : NULL;
    if (!live)
        leave(vsock);
}

const struct virtio_kind virtio_vsock_kind = {.id = 19,
                                              .class = 0x078000,
                                              .queues = QUEUES,
                                              .queue_size = 128,
                                              .receives = 1 << QUEUE_RECEIVE | 1 << QUEUE_EVENT,
                                              .request = request,
                                              .refilled = refilled,
                                              .changed = changed};
