/* SPDX-License-Identifier: MIT */
/*
 * A virtio 1.2 device on PCI, without the interface of before 1.0: negotiation, queues, interrupts.
 * What a request means is the kind's business.  The BAR:
 *
 *   0000h  common configuration     1000h  ISR status     2000h  the device's configuration
 *   3000h  a doorbell for each queue, 4 bytes             4000h  MSI-X table, 4800h pending bits
 *
 * What happens in the BAR comes with the VM's lock held and takes the device's own lock behind it.
 * Devices that exchange data share one lock: who holds it may use the queues of all of them.
 */
#pragma once

#include "hv/spinlock.h"
#include "hv/util.h"
#include "hv/vdev/virtio_pace.h"
#include "hv/vdev/virtq.h"
#include "hv/vdev/vpci.h"

#define VIRTIO_MAX_QUEUES  4
#define VIRTIO_CONFIG_SIZE 64

#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX     BIT(29)
#define VIRTIO_F_VERSION_1     BIT(32)

struct virtio;

/* What is the same for all devices of a kind. */
struct virtio_kind {
    uint16_t id;    /* virtio 1.2, 5: device types */
    uint32_t class; /* PCI's */
    uint16_t queues;
    uint16_t queue_size;
    uint8_t receives;        /* a bit for each queue whose buffers wait for what will come */
    uint8_t paced;           /* and one for each that may be served from a timer */
    uint8_t config_writable; /* the configuration's last bytes that the driver may write */
    /*
     * Answers a request: 0 and how many bytes were written to it; -EAGAIN when it cannot be now,
     * and the queue stands still until virtio_resume(); or another negative errno when the driver
     * has broken a rule.
     */
    int (*request)(void *dev, unsigned int queue, struct virtq_chain *chain, uint32_t *written);
    /* The driver has given buffers to a queue that receives; a null pointer: nobody waits for any.
     */
    void (*refilled)(void *dev, unsigned int queue);
    /* The driver has written to the configuration, from that byte on; or a null pointer. */
    void (*configured)(void *dev, uint64_t offset);
    /* The driver is there or has gone, with all that it has negotiated; or a null pointer. */
    void (*changed)(void *dev, bool live);
};

/* What a device needs beside its kind. */
struct virtio_setup {
    void *dev;
    uint64_t features;  /* its own, beside the transport's */
    const void *config; /* as it is at first */
    uint8_t config_size;
    struct spinlock *lock; /* held when the functions of the kind are called */
    struct dma dma;
    struct vclock clock; /* the guest's */
    /* There is work left: virtio_work() is to be called VIRTIO_PACE_NS from now, or from when this
     * was said first. */
    void *ctx;
    void (*later)(void *ctx);
};

struct virtio {
    struct vpci_function pci;
    const struct virtio_kind *kind;
    struct virtio_setup setup;
    uint8_t status, isr;
    uint8_t generation; /* of the configuration */
    bool live;          /* as changed() was told last */
    uint64_t driver_features;
    uint32_t device_select, driver_select; /* which half of the features is seen */
    uint16_t queue_select;
    uint16_t config_vector;
    struct virtq queues[VIRTIO_MAX_QUEUES];
    uint16_t vectors[VIRTIO_MAX_QUEUES];
    struct virtio_pace paces[VIRTIO_MAX_QUEUES];
    uint8_t config[VIRTIO_CONFIG_SIZE];
};

/* As after power on; the caller plugs it into a slot.  Where it was used before, virtio_off() comes
 * first. */
void virtio_init(struct virtio *virtio, const struct virtio_kind *kind,
                 const struct virtio_setup *setup);
/* As after a reset by its driver: no memory of the guest's is touched any more.  Takes the lock. */
void virtio_off(struct virtio *virtio);
/* Goes on with what was left; later() may be called again.  Takes the lock. */
void virtio_work(struct virtio *virtio);

/* ---- For the device, with its lock held ----------------------------------------------------- */

static inline bool virtio_has(const struct virtio *virtio, uint64_t feature)
{
    return virtio->driver_features & feature;
}

/*
 * A buffer of a queue that receives: true with a chain to be filled.  False: there is none; then
 * refilled() will be called, where the kind has it.
 */
bool virtio_take(struct virtio *virtio, unsigned int queue, struct virtq_chain *chain);
/* Buffers that were taken last and are not needed after all. */
void virtio_untake(struct virtio *virtio, unsigned int queue, unsigned int count);
/* One is full; the driver does not hear of it yet. */
void virtio_give(struct virtio *virtio, unsigned int queue, uint16_t head, uint32_t written);
/* The same for several that the driver is to see at once: when they are published. */
void virtio_put(struct virtio *virtio, unsigned int queue, uint16_t head, uint32_t written);
void virtio_publish(struct virtio *virtio, unsigned int queue);
/* So many that were taken last, and those of them that were put and not published, are as if they
 * had not been. */
void virtio_undo(struct virtio *virtio, unsigned int queue, unsigned int taken, unsigned int put);
/* The driver hears of what was given to it, when it wants to. */
void virtio_tell(struct virtio *virtio, unsigned int queue);
/* The driver has broken a rule of this device's.  Nothing but a reset helps. */
void virtio_need_reset(struct virtio *virtio);
/* virtio_work() comes soon, which is a virtio_resume() of all queues. */
static inline void virtio_later(const struct virtio *virtio)
{
    virtio->setup.later(virtio->setup.ctx);
}
/* A queue that stood still since request() returned -EAGAIN goes on. */
void virtio_resume(struct virtio *virtio, unsigned int queue);
/* The device's configuration is another now. */
void virtio_set_config(struct virtio *virtio, unsigned int offset, const void *bytes,
                       unsigned int size);
