/* SPDX-License-Identifier: MIT */
/*
 * The split virtqueue: taking chains, giving them back, and who is told when.  What is in a chain
 * is the device's business.
 *
 *   descriptors  size * { address 64, length 32, flags 16, next 16 }
 *   available    flags 16, index 16, size * head 16, used_event 16
 *   used         flags 16, index 16, size * { head 32, written 32 }, avail_event 16
 */
#include "hv/vdev/virtq.h"

#include "hv/errno.h"
#include "hv/util.h"

#define DESCRIPTOR_NEXT     BIT(0)
#define DESCRIPTOR_WRITE    BIT(1)
#define DESCRIPTOR_INDIRECT BIT(2)
#define NO_INTERRUPT        BIT(0) /* of the available ring's flags */
#define NO_NOTIFY           BIT(0) /* of the used ring's */

#define INDEX 2 /* offsets in both rings */
#define RING  4

#define AREA_MAX (16ull * VIRTQ_MAX_SIZE) /* the largest of the three */

struct descriptor {
    uint64_t address;
    uint32_t size;
    uint16_t flags;
    uint16_t next;
};

/* A table of descriptors: the queue's own, or an indirect one. */
struct table {
    uint64_t gpa;
    uint32_t count;
    bool indirect;
};

static bool may_lie_at(uint64_t gpa, uint64_t alignment)
{
    return gpa % alignment == 0 && gpa <= UINT64_MAX - AREA_MAX;
}

bool virtq_is_sound(const struct virtq *queue)
{
    return queue->size != 0 && queue->size <= VIRTQ_MAX_SIZE &&
           (queue->size & (queue->size - 1)) == 0 && may_lie_at(queue->descriptors, 16) &&
           may_lie_at(queue->available, 2) && may_lie_at(queue->used, 4);
}

static int load(const struct virtq *queue, uint64_t gpa, uint16_t *value)
{
    return queue->dma->load16(queue->dma->ctx, gpa, value);
}

static int store(const struct virtq *queue, uint64_t gpa, uint16_t value)
{
    return queue->dma->store16(queue->dma->ctx, gpa, value);
}

/* ---- Taking --------------------------------------------------------------------------------- */

int virtq_waiting(const struct virtq *queue)
{
    uint16_t index, count;

    if (load(queue, queue->available + INDEX, &index) != 0)
        return -EFAULT;
    count = (uint16_t)(index - queue->next);
    return count <= queue->size ? count : -EINVAL;
}

static int add_buffer(struct virtq_chain *chain, const struct descriptor *descriptor)
{
    bool write = descriptor->flags & DESCRIPTOR_WRITE;

    if (descriptor->size == 0 || chain->count == VIRTQ_MAX_BUFFERS ||
        (!write && chain->readable_count != chain->count))
        return -EINVAL;
    chain->buffers[chain->count++] = (struct virtq_buffer){descriptor->address, descriptor->size};
    if (write) {
        chain->writable += descriptor->size;
    } else {
        chain->readable_count++;
        chain->readable += descriptor->size;
    }
    return 0;
}

/* The chain goes on in a table of its own, and ends there. */
static int go_indirect(const struct virtq *queue, const struct descriptor *descriptor,
                       struct table *table)
{
    if (!queue->indirect || table->indirect || (descriptor->flags & DESCRIPTOR_NEXT) ||
        descriptor->size == 0 || descriptor->size % sizeof(*descriptor))
        return -EINVAL;
    *table = (struct table){descriptor->address, descriptor->size / sizeof(*descriptor), true};
    return 0;
}

/* A loop ends when the chain is full. */
static int walk(const struct virtq *queue, struct virtq_chain *chain)
{
    struct table table = {queue->descriptors, queue->size, false};
    struct descriptor descriptor = {.flags = DESCRIPTOR_NEXT, .next = chain->head};
    int error = 0;

    while (!error && (descriptor.flags & DESCRIPTOR_NEXT)) {
        uint16_t index = descriptor.next;

        if (index >= table.count)
            return -EINVAL;
        error = queue->dma->read(queue->dma->ctx, table.gpa + index * sizeof(descriptor),
                                 &descriptor, sizeof(descriptor));
        if (!error && (descriptor.flags & DESCRIPTOR_INDIRECT)) {
            error = go_indirect(queue, &descriptor, &table);
            descriptor = (struct descriptor){.flags = DESCRIPTOR_NEXT};
        } else if (!error) {
            error = add_buffer(chain, &descriptor);
        }
    }
    return error;
}

int virtq_take(struct virtq *queue, struct virtq_chain *chain)
{
    uint64_t place = queue->available + RING + queue->next % queue->size * 2u;
    int count = virtq_waiting(queue);
    int error;

    if (count <= 0)
        return count;
    chain->dma = queue->dma;
    chain->count = chain->readable_count = chain->pull_at = 0;
    chain->readable = chain->writable = chain->pushed = 0;
    if (load(queue, place, &chain->head) != 0)
        return -EFAULT;
    error = walk(queue, chain);
    if (error)
        return error;
    chain->push_at = chain->readable_count;
    queue->next++;
    queue->left = (uint16_t)(count - 1);
    return 1;
}

void virtq_untake(struct virtq *queue, unsigned int count)
{
    queue->next = (uint16_t)(queue->next - count);
}

/* ---- Giving back ---------------------------------------------------------------------------- */

int virtq_put(struct virtq *queue, uint16_t head, uint32_t written)
{
    uint64_t place = queue->used + RING + queue->done % queue->size * 8u;
    uint32_t element[2] = {head, written};

    if (queue->dma->write(queue->dma->ctx, place, element, sizeof(element)) != 0)
        return -EFAULT;
    queue->done++;
    return 0;
}

int virtq_publish(struct virtq *queue)
{
    return store(queue, queue->used + INDEX, queue->done); /* x86 keeps the order of stores */
}

void virtq_unput(struct virtq *queue, unsigned int count)
{
    queue->done = (uint16_t)(queue->done - count);
}

int virtq_give(struct virtq *queue, uint16_t head, uint32_t written)
{
    int error = virtq_put(queue, head, written);

    return error ? error : virtq_publish(queue);
}

/* What is stored must be seen before what is loaded next is looked at: the one place where x86
 * needs a fence. */
static void fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Without the event index a flag says whether the driver is to notify. */
static int set_quiet(struct virtq *queue, bool quiet)
{
    if (queue->quiet == quiet)
        return 0;
    queue->quiet = quiet;
    return queue->event_index ? 0 : store(queue, queue->used, quiet ? NO_NOTIFY : 0);
}

int virtq_hush(struct virtq *queue)
{
    return set_quiet(queue, true);
}

int virtq_listen(struct virtq *queue)
{
    uint64_t event = queue->used + RING + queue->size * 8u;
    int count;

    if (set_quiet(queue, false) != 0)
        return -EFAULT;
    if (queue->event_index && store(queue, event, queue->next) != 0)
        return -EFAULT;
    fence();
    count = virtq_waiting(queue); /* MIN() would look twice */
    return MIN(count, 1);
}

int virtq_must_tell(struct virtq *queue)
{
    uint16_t event, since = (uint16_t)(queue->done - queue->told);
    uint64_t where = queue->available;

    if (since == 0)
        return 0;
    queue->told = queue->done;
    fence();
    if (queue->event_index)
        where += RING + queue->size * 2u;
    if (load(queue, where, &event) != 0)
        return -EFAULT;
    return queue->event_index ? (uint16_t)(queue->done - event - 1) < since
                              : !(event & NO_INTERRUPT);
}

/* ---- What is in a chain --------------------------------------------------------------------- */

/* The next piece of a buffer, which is cut off its front. */
static struct virtq_buffer next_piece(struct virtq_chain *chain, unsigned int *at, uint64_t size)
{
    struct virtq_buffer *buffer = &chain->buffers[*at];
    struct virtq_buffer piece = {buffer->gpa, (uint32_t)MIN(size, buffer->size)};

    buffer->gpa += piece.size;
    buffer->size -= piece.size;
    if (buffer->size == 0)
        ++*at;
    return piece;
}

int virtq_pull(struct virtq_chain *chain, void *to, uint64_t size)
{
    if (size > chain->readable)
        return -EINVAL;
    chain->readable -= size;
    while (size) {
        struct virtq_buffer piece = next_piece(chain, &chain->pull_at, size);

        if (chain->dma->read(chain->dma->ctx, piece.gpa, to, piece.size) != 0)
            return -EFAULT;
        to = (char *)to + piece.size;
        size -= piece.size;
    }
    return 0;
}

void virtq_skip(struct virtq_chain *chain, uint64_t size)
{
    chain->readable -= size;
    while (size)
        size -= next_piece(chain, &chain->pull_at, size).size;
}

int virtq_push(struct virtq_chain *chain, const void *from, uint64_t size)
{
    if (size > chain->writable)
        return -EINVAL;
    chain->writable -= size;
    chain->pushed += size;
    while (size) {
        struct virtq_buffer piece = next_piece(chain, &chain->push_at, size);

        if (chain->dma->write(chain->dma->ctx, piece.gpa, from, piece.size) != 0)
            return -EFAULT;
        from = (const char *)from + piece.size;
        size -= piece.size;
    }
    return 0;
}

int virtq_push_last(struct virtq_chain *chain, uint8_t byte)
{
    const struct virtq_buffer *last = &chain->buffers[chain->count - 1];

    if (chain->writable == 0)
        return -EINVAL;
    return chain->dma->write(chain->dma->ctx, last->gpa + last->size - 1, &byte, 1);
}
