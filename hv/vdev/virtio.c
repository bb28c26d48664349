/* SPDX-License-Identifier: MIT */
/*
 * Virtio over PCI (virtio 1.2, 4.1): the registers, and the way of a request from a doorbell to an
 * interrupt.  Requests are answered where the doorbell is rung, a ring full at once, but not more
 * than CREDIT: a guest that never stops filling its ring holds its own vCPU only that long.
 *
 * Queues whose doorbells ring again and again are looked at from a timer instead: virtio_pace.h.
 */
#include "hv/vdev/virtio.h"

#include "hv/errno.h"
#include "hv/string.h"
#include "hv/util.h"

#define BAR_COMMON  0x0000u
#define BAR_ISR     0x1000u
#define BAR_DEVICE  0x2000u
#define BAR_NOTIFY  0x3000u
#define BAR_TABLE   0x4000u
#define BAR_PENDING 0x4800u
#define BAR_SIZE    0x8000u
#define BAR_PART    0x1000u

#define STATUS_ACKNOWLEDGE 0x01u
#define STATUS_DRIVER      0x02u
#define STATUS_DRIVER_OK   0x04u
#define STATUS_FEATURES_OK 0x08u
#define STATUS_NEEDS_RESET 0x40u
#define STATUS_FAILED      0x80u
#define STATUS_DRIVERS \
    (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK | STATUS_FEATURES_OK | STATUS_FAILED)

#define ISR_QUEUE  1
#define ISR_CONFIG 2
#define NO_VECTOR  0xffff

#define VENDOR_VIRTIO      0x1af4
#define DEVICE_BASE        0x1040 /* and the device type */
#define CAP_VENDOR         0x09
#define TRANSPORT_FEATURES (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

#define CREDIT       0x100000u
#define REQUEST_COST 0x1000u /* what one counts at least: a ring full is not more than CREDIT */

/* virtio 1.2, 4.1.4.3: what the driver sees, made anew for each read. */
struct common {
    uint32_t device_feature_select, device_feature;
    uint32_t driver_feature_select, driver_feature;
    uint16_t config_vector, queue_count;
    uint8_t status, generation;
    uint16_t queue_select, queue_size, queue_vector, queue_enable, queue_notify_off;
    uint64_t queue_descriptors, queue_available, queue_used;
};

STATIC_ASSERT(offsetof(struct common, status) == 0x14, "device_status");
STATIC_ASSERT(offsetof(struct common, queue_notify_off) == 0x1e, "queue_notify_off");
STATIC_ASSERT(offsetof(struct common, queue_descriptors) == 0x20, "queue_desc");
STATIC_ASSERT(sizeof(struct common) == 0x38, "the structure of virtio 1.0");

/* ---- Interrupts and trouble ----------------------------------------------------------------- */

static void tell(struct virtio *virtio, uint8_t why, uint16_t vector)
{
    virtio->isr |= why;
    vpci_interrupt(&virtio->pci, vector);
}

static bool is_live(const struct virtio *virtio)
{
    return (virtio->status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) == STATUS_DRIVER_OK;
}

static void note_change(struct virtio *virtio)
{
    bool live = is_live(virtio);

    if (live == virtio->live)
        return;
    virtio->live = live;
    if (virtio->kind->changed)
        virtio->kind->changed(virtio->setup.dev, live);
}

void virtio_need_reset(struct virtio *virtio)
{
    bool live = is_live(virtio);

    virtio->status |= STATUS_NEEDS_RESET;
    if (live)
        tell(virtio, ISR_CONFIG, virtio->config_vector);
    note_change(virtio);
}

/* ---- Requests ------------------------------------------------------------------------------- */

/* Takes and answers one, and says what it cost: 1, 0 when there is none, or a negative errno. */
static int answer_one(struct virtio *virtio, unsigned int index, uint32_t *cost)
{
    struct virtq *queue = &virtio->queues[index];
    struct virtq_chain chain;
    uint32_t written = 0;
    uint64_t size;
    int result = virtq_take(queue, &chain);

    *cost = REQUEST_COST;
    if (result <= 0)
        return result;
    size = chain.readable + chain.writable;
    chain.work = 0;
    result = virtio->kind->request(virtio->setup.dev, index, &chain, &written);
    if (result == 0)
        result = virtq_give(queue, chain.head, written);
    size -= chain.readable + chain.writable;
    *cost = (uint32_t)MAX(size + chain.work, REQUEST_COST);
    return result ? result : 1;
}

/* 1: the credit is used up and there is more. */
static int answer_all(struct virtio *virtio, unsigned int index)
{
    struct virtq *queue = &virtio->queues[index];
    uint32_t credit = CREDIT, cost;
    int more;

    do {
        more = answer_one(virtio, index, &cost);
        credit -= MIN(credit, cost);
        if (more > 0 && queue->left == 0) /* as it seems; listening will tell */
            more = 0;
        if (more == 0 && !virtio->paces[index].on)
            more = virtq_listen(queue);
    } while (more > 0 && credit);
    return more > 0 && !virtio->paces[index].on ? virtq_listen(queue) : more;
}

/* Whether the queue may be used: its areas are where the driver has said. */
static bool is_usable(const struct virtio *virtio, unsigned int index)
{
    return is_live(virtio) && virtio->queues[index].enabled && vpci_is_master(&virtio->pci);
}

static bool receives(const struct virtio *virtio, unsigned int index)
{
    return virtio->kind->receives >> index & 1;
}

static void answer_queue(struct virtio *virtio, unsigned int index)
{
    const struct virtio_pace *pace = &virtio->paces[index];
    int more = pace->on ? virtq_hush(&virtio->queues[index]) : 0;

    if (more == 0)
        more = answer_all(virtio, index);
    virtio_tell(virtio, index);
    if (more == -EAGAIN)
        virtq_untake(&virtio->queues[index], 1);
    else if (more < 0)
        virtio_need_reset(virtio);
    else if (more || pace->on)
        virtio_later(virtio);
}

static void run_queue(struct virtio *virtio, unsigned int index)
{
    if (!is_usable(virtio, index))
        return;
    if (!receives(virtio, index))
        answer_queue(virtio, index);
    else if (virtio->kind->refilled)
        virtio->kind->refilled(virtio->setup.dev, index);
}

static void run_all(struct virtio *virtio)
{
    for (unsigned int i = 0; i < virtio->kind->queues; i++)
        run_queue(virtio, i);
}

/* The doorbell.  Where the timer comes anyway, that will do. */
static void ring(struct virtio *virtio, unsigned int index)
{
    struct virtio_pace *pace = &virtio->paces[index];

    if (pace->on) {
        virtio_later(virtio);
        return;
    }
    if (virtio->kind->paced >> index & 1)
        virtio_pace_rung(pace, vclock_now(&virtio->setup.clock));
    run_queue(virtio, index);
}

/* The timer. */
static void look(struct virtio *virtio, unsigned int index)
{
    struct virtio_pace *pace = &virtio->paces[index];

    if (pace->on)
        virtio_pace_looked(pace,
                           is_usable(virtio, index) ? virtq_waiting(&virtio->queues[index]) : 0);
    run_queue(virtio, index);
}

/* ---- What the device does of itself --------------------------------------------------------- */

bool virtio_take(struct virtio *virtio, unsigned int index, struct virtq_chain *chain)
{
    struct virtq *queue = &virtio->queues[index];
    int result;

    if (!is_usable(virtio, index))
        return false;
    do { /* what is made available while the driver is asked to notify is seen */
        result = virtq_take(queue, chain);
    } while (result == 0 && virtio->kind->refilled && (result = virtq_listen(queue)) > 0);
    if (result < 0)
        virtio_need_reset(virtio);
    return result > 0;
}

void virtio_untake(struct virtio *virtio, unsigned int index, unsigned int count)
{
    virtq_untake(&virtio->queues[index], count);
}

void virtio_put(struct virtio *virtio, unsigned int index, uint16_t head, uint32_t written)
{
    if (virtq_put(&virtio->queues[index], head, written) != 0)
        virtio_need_reset(virtio);
}

void virtio_publish(struct virtio *virtio, unsigned int index)
{
    if (virtq_publish(&virtio->queues[index]) != 0)
        virtio_need_reset(virtio);
}

void virtio_undo(struct virtio *virtio, unsigned int index, unsigned int taken, unsigned int put)
{
    virtq_untake(&virtio->queues[index], taken);
    virtq_unput(&virtio->queues[index], put);
}

void virtio_give(struct virtio *virtio, unsigned int index, uint16_t head, uint32_t written)
{
    virtio_put(virtio, index, head, written);
    virtio_publish(virtio, index);
}

void virtio_tell(struct virtio *virtio, unsigned int index)
{
    int told = virtq_must_tell(&virtio->queues[index]);

    if (told > 0)
        tell(virtio, ISR_QUEUE, virtio->vectors[index]);
    else if (told < 0)
        virtio_need_reset(virtio);
}

void virtio_resume(struct virtio *virtio, unsigned int index)
{
    run_queue(virtio, index);
}

void virtio_set_config(struct virtio *virtio, unsigned int offset, const void *bytes,
                       unsigned int size)
{
    memcpy(&virtio->config[offset], bytes, size);
    virtio->generation++;
    if (is_live(virtio))
        tell(virtio, ISR_CONFIG, virtio->config_vector);
}

void virtio_work(struct virtio *virtio)
{
    spin_lock(virtio->setup.lock);
    for (unsigned int i = 0; i < virtio->kind->queues; i++)
        look(virtio, i);
    spin_unlock(virtio->setup.lock);
}

/* ---- The common configuration --------------------------------------------------------------- */

static uint64_t offered(const struct virtio *virtio)
{
    return virtio->setup.features | TRANSPORT_FEATURES;
}

static uint32_t half(uint64_t features, uint32_t select)
{
    return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static bool has_queue(const struct virtio *virtio)
{
    return virtio->queue_select < virtio->kind->queues;
}

static void fill_common(const struct virtio *virtio, struct common *common)
{
    *common = (struct common){
        .device_feature_select = virtio->device_select,
        .device_feature = half(offered(virtio), virtio->device_select),
        .driver_feature_select = virtio->driver_select,
        .driver_feature = half(virtio->driver_features, virtio->driver_select),
        .config_vector = virtio->config_vector,
        .queue_count = virtio->kind->queues,
        .status = virtio->status,
        .generation = virtio->generation,
        .queue_select = virtio->queue_select,
    };
    if (!has_queue(virtio)) /* a size of 0: there is no such queue */
        return;
    const struct virtq *queue = &virtio->queues[virtio->queue_select];
    common->queue_size = queue->size;
    common->queue_vector = virtio->vectors[virtio->queue_select];
    common->queue_enable = queue->enabled;
    common->queue_notify_off = virtio->queue_select;
    common->queue_descriptors = queue->descriptors;
    common->queue_available = queue->available;
    common->queue_used = queue->used;
}

static void reset(struct virtio *virtio)
{
    virtio->status = virtio->isr = 0;
    virtio->driver_features = 0;
    virtio->device_select = virtio->driver_select = 0;
    virtio->queue_select = 0;
    virtio->config_vector = NO_VECTOR;
    vpci_forget_interrupts(&virtio->pci);
    for (unsigned int i = 0; i < virtio->kind->queues; i++) {
        virtio->queues[i] =
            (struct virtq){.size = virtio->kind->queue_size, .dma = &virtio->setup.dma};
        virtio->vectors[i] = NO_VECTOR;
        virtio_pace_init(&virtio->paces[i]);
    }
    note_change(virtio);
}

void virtio_off(struct virtio *virtio)
{
    spin_lock(virtio->setup.lock);
    reset(virtio);
    spin_unlock(virtio->setup.lock);
}

/* Bits are only ever added; FEATURES_OK stays off when the choice is not one that was offered. */
static void write_status(struct virtio *virtio, uint8_t value)
{
    if (value == 0) {
        reset(virtio);
        return;
    }
    value &= STATUS_DRIVERS;
    if ((virtio->driver_features & ~offered(virtio)) ||
        !(virtio->driver_features & VIRTIO_F_VERSION_1))
        value &= (uint8_t)~STATUS_FEATURES_OK;
    virtio->status |= value;
    if ((virtio->status & STATUS_DRIVER_OK) && !(virtio->status & STATUS_FEATURES_OK))
        virtio_need_reset(virtio);
    note_change(virtio);
    if (value & STATUS_DRIVER_OK) /* for what was made available before */
        run_all(virtio);
}

static void write_features(struct virtio *virtio, uint32_t value)
{
    unsigned int shift = 32 * virtio->driver_select;

    if (virtio->driver_select >= 2 || (virtio->status & STATUS_FEATURES_OK))
        return;
    virtio->driver_features &= ~(0xffffffffull << shift);
    virtio->driver_features |= (uint64_t)value << shift;
}

static uint16_t checked_vector(const struct virtio *virtio, uint64_t value)
{
    return value < virtio->pci.vectors ? (uint16_t)value : NO_VECTOR;
}

static void enable_queue(struct virtio *virtio, struct virtq *queue)
{
    if (!(virtio->status & STATUS_FEATURES_OK) || !virtq_is_sound(queue)) {
        virtio_need_reset(virtio);
        return;
    }
    queue->event_index = virtio->driver_features & VIRTIO_F_EVENT_IDX;
    queue->indirect = virtio->driver_features & VIRTIO_F_INDIRECT_DESC;
    queue->enabled = true;
}

/* One half of an address, or all of it. */
static void write_address(uint64_t *address, uint64_t offset, uint8_t size, uint64_t value)
{
    if (size == 4 || (size == 8 && offset % 8 == 0))
        memcpy((uint8_t *)address + offset % 8, &value, size);
}

/* What belongs to a queue stands still from its enabling until the reset. */
static void write_queue(struct virtio *virtio, uint64_t offset, uint8_t size, uint64_t value)
{
    struct virtq *queue = &virtio->queues[virtio->queue_select];

    if (offset == offsetof(struct common, queue_vector) && size == 2)
        virtio->vectors[virtio->queue_select] = checked_vector(virtio, value);
    else if (queue->enabled)
        return;
    else if (offset == offsetof(struct common, queue_size) && size == 2)
        queue->size = (uint16_t)MIN(value, virtio->kind->queue_size);
    else if (offset == offsetof(struct common, queue_enable) && size == 2 && value == 1)
        enable_queue(virtio, queue);
    else if (offset % 4 == 0 && offset >= offsetof(struct common, queue_used))
        write_address(&queue->used, offset, size, value);
    else if (offset % 4 == 0 && offset >= offsetof(struct common, queue_available))
        write_address(&queue->available, offset, size, value);
    else if (offset % 4 == 0 && offset >= offsetof(struct common, queue_descriptors))
        write_address(&queue->descriptors, offset, size, value);
}

/* A register is written whole or not at all. */
static void write_common(struct virtio *virtio, uint64_t offset, uint8_t size, uint64_t value)
{
    if (offset == offsetof(struct common, device_feature_select) && size == 4)
        virtio->device_select = (uint32_t)value;
    else if (offset == offsetof(struct common, driver_feature_select) && size == 4)
        virtio->driver_select = (uint32_t)value;
    else if (offset == offsetof(struct common, driver_feature) && size == 4)
        write_features(virtio, (uint32_t)value);
    else if (offset == offsetof(struct common, config_vector) && size == 2)
        virtio->config_vector = checked_vector(virtio, value);
    else if (offset == offsetof(struct common, status) && size == 1)
        write_status(virtio, (uint8_t)value);
    else if (offset == offsetof(struct common, queue_select) && size == 2)
        virtio->queue_select = (uint16_t)value;
    else if (offset < sizeof(struct common) && has_queue(virtio))
        write_queue(virtio, offset, size, value);
}

/* ---- The BAR -------------------------------------------------------------------------------- */

/* Some bytes of a structure; zeroes behind its end. */
static uint64_t read_bytes(const void *structure, uint64_t length, uint64_t offset, uint8_t size)
{
    uint64_t value = 0;

    if (offset < length)
        memcpy(&value, (const uint8_t *)structure + offset, MIN(size, length - offset));
    return value;
}

static uint64_t read_register(struct virtio *virtio, uint64_t offset, uint8_t size)
{
    struct common common;
    uint8_t isr;

    switch (offset / BAR_PART * BAR_PART) {
    case BAR_COMMON:
        fill_common(virtio, &common);
        return read_bytes(&common, sizeof(common), offset, size);
    case BAR_ISR: /* reading clears it */
        isr = virtio->isr;
        if (offset == BAR_ISR)
            virtio->isr = 0;
        return read_bytes(&isr, sizeof(isr), offset - BAR_ISR, size);
    case BAR_DEVICE:
        return read_bytes(virtio->config, virtio->setup.config_size, offset - BAR_DEVICE, size);
    default:
        return 0;
    }
}

static void write_config(struct virtio *virtio, uint64_t offset, uint8_t size, uint64_t value)
{
    uint8_t end = virtio->setup.config_size, from = (uint8_t)(end - virtio->kind->config_writable);

    if (offset < from || offset >= end || size > end - offset)
        return;
    memcpy(&virtio->config[offset], &value, size);
    if (virtio->kind->configured)
        virtio->kind->configured(virtio->setup.dev, offset);
}

static void write_register(struct virtio *virtio, uint64_t offset, uint8_t size, uint64_t value)
{
    switch (offset / BAR_PART * BAR_PART) {
    case BAR_COMMON:
        write_common(virtio, offset, size, value);
        break;
    case BAR_DEVICE:
        write_config(virtio, offset - BAR_DEVICE, size, value);
        break;
    case BAR_NOTIFY:
        if (offset - BAR_NOTIFY < virtio->kind->queues * 4ull)
            ring(virtio, (unsigned int)(offset - BAR_NOTIFY) / 4);
        break;
    default:
        break;
    }
}

static uint64_t bar_read(void *dev, uint64_t offset, uint8_t size)
{
    struct virtio *virtio = dev;
    uint64_t value;

    spin_lock(virtio->setup.lock);
    value = read_register(virtio, offset, size);
    spin_unlock(virtio->setup.lock);
    return value;
}

static void bar_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    struct virtio *virtio = dev;

    spin_lock(virtio->setup.lock);
    write_register(virtio, offset, size, value);
    spin_unlock(virtio->setup.lock);
}

/* ---- Making one ----------------------------------------------------------------------------- */

/* virtio 1.2, 4.1.4: struct virtio_pci_cap behind its id and link. */
struct capability {
    uint8_t length, type, bar, id;
    uint16_t padding;
    uint32_t offset, size;
    uint32_t multiplier; /* of the doorbells' alone; or the window's data */
} PACKED;

enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_WINDOW };

static uint8_t add_capability(struct virtio *virtio, uint8_t type, uint32_t offset, uint32_t size)
{
    struct capability cap = {.length = 16, .type = type, .offset = offset, .size = size};

    if (type == CAP_NOTIFY)
        cap.multiplier = 4;
    if (type == CAP_NOTIFY || type == CAP_WINDOW)
        cap.length += (uint8_t)sizeof(cap.multiplier);
    return vpci_add_capability(&virtio->pci, CAP_VENDOR, &cap, (uint8_t)(cap.length - 2));
}

static void init_function(struct virtio *virtio)
{
    static const struct vpci_bar bar = {
        .size = BAR_SIZE, .wide = true, .read = bar_read, .write = bar_write};
    const struct vpci_id id = {
        .vendor = VENDOR_VIRTIO,
        .device = (uint16_t)(DEVICE_BASE + virtio->kind->id),
        .subsystem_vendor = VENDOR_VIRTIO,
        .subsystem = (uint16_t)(DEVICE_BASE + virtio->kind->id),
        .revision = 1,
        .class = virtio->kind->class,
    };

    vpci_function_init(&virtio->pci, &id);
    virtio->pci.dev = virtio;
    vpci_set_bar(&virtio->pci, 0, &bar);
    vpci_add_msix(&virtio->pci, virtio->kind->queues + 1u, 0, BAR_TABLE, BAR_PENDING);
    add_capability(virtio, CAP_COMMON, BAR_COMMON, sizeof(struct common));
    add_capability(virtio, CAP_NOTIFY, BAR_NOTIFY, virtio->kind->queues * 4u);
    add_capability(virtio, CAP_ISR, BAR_ISR, 1);
    if (virtio->setup.config_size)
        add_capability(virtio, CAP_DEVICE, BAR_DEVICE, virtio->setup.config_size);
    vpci_open_window(&virtio->pci, add_capability(virtio, CAP_WINDOW, 0, 0));
}

void virtio_init(struct virtio *virtio, const struct virtio_kind *kind,
                 const struct virtio_setup *setup)
{
    *virtio = (struct virtio){.kind = kind, .setup = *setup};
    if (setup->config_size)
        memcpy(virtio->config, setup->config, setup->config_size);
    reset(virtio);
    init_function(virtio);
}
