/* SPDX-License-Identifier: MIT */
/*
 * The PCI bus of a VM and what is plugged into it: a host bridge, and virtio devices.  How a kind
 * is put together is its own file's: board_blk.c, board_rng.c, ...
 */
#pragma once

#include "hv/addr.h"
#include "hv/config.h"
#include "hv/random.h"
#include "hv/spinlock.h"
#include "hv/vdev/ivshmem.h"
#include "hv/vdev/virtio.h"
#include "hv/vdev/virtio_balloon.h"
#include "hv/vdev/virtio_blk.h"
#include "hv/vdev/virtio_console.h"
#include "hv/vdev/virtio_net.h"
#include "hv/vdev/virtio_rng.h"
#include "hv/vdev/virtio_vsock.h"
#include "hv/vdev/vpci.h"

struct vm;

/* In the order of their slots, from the one behind the host bridge on.  Further disks are behind
 * all others: none has another slot for them. */
enum board_device_id {
    BOARD_RNG,
    BOARD_BLK,
    BOARD_NET,
    BOARD_CONSOLE,
    BOARD_VSOCK,
    BOARD_BALLOON,
    BOARD_MORE_BLK,
    BOARD_DEVICE_COUNT = BOARD_MORE_BLK + CONFIG_MAX_DISKS - 1
};

/* How a kind of device is put together. */
struct board_device {
    const struct virtio_kind *kind;
    /* Once, with the VM: 0 or a negative errno; destroy() is right in both cases.  Unit: which of
     * this kind, from 0. */
    int (*init)(struct vm *vm, unsigned int unit);
    void (*destroy)(struct vm *vm, unsigned int unit); /* or a null pointer */
    /* At each start; false: this VM has none.  Transport, memory and lock are set already. */
    bool (*setup)(struct vm *vm, unsigned int unit, struct virtio_setup *setup);
};

extern const struct board_device board_rng, board_blk, board_net, board_console, board_vsock,
    board_balloon;

/* Serialised by the VM's lock, but for what is serialised by a device's. */
struct board_pci {
    struct vpci bus;
    struct spinlock lock; /* of the devices that have none of another kind */
    struct vtimer timer;  /* rings board_pci_work() */
    struct virtio devices[BOARD_DEVICE_COUNT];

    struct virtio_rng rng;
    struct random random;
    uint32_t given; /* bytes since fresh ones were mixed in */

    struct virtio_blk disks[CONFIG_MAX_DISKS];

    struct virtio_net net;
    struct virtio_console console;
    struct virtio_vsock vsock;

    struct ivshmem share;
    uint64_t share_gpa; /* where its memory is mapped; 0: nowhere */

    struct virtio_balloon balloon;
    struct virtio_balloon_config balloon_config; /* at each start: what was asked for last */
};

/* 0, or -ENOMEM; board_pci_destroy() is right in both cases. */
int board_pci_init(struct vm *vm);
void board_pci_destroy(struct vm *vm);
/* All devices as after power on; the disk keeps what was written. */
void board_pci_reset(struct vm *vm, const struct vpci_ops *ops, const struct vtimer *timer);
/* The VM has ended: its devices touch no memory any more, whatever others send them. */
void board_pci_off(struct vm *vm);
/* So many pages shall be in the balloon, where there is one.  Takes the VM's lock. */
void board_ask_balloon(struct vm *vm, uint32_t pages);
/* What its balloon's driver said last of the memory that it uses, if anything; and asks it to say
 * more.  Takes the VM's lock. */
void board_memory_stats(struct vm *vm, struct balloon_stats *stats);
/* Goes on with requests that were too many for one exit, and with what stood still. */
void board_pci_work(struct vm *vm);
/* What is typed, for the virtio console: how much of it was taken.  With the VM's lock held. */
unsigned int board_pci_input(struct vm *vm, const uint8_t *bytes, unsigned int count);

/* ---- board_share.c: memory that is shared with another VM ----------------------------------- */

void board_share_reset(struct vm *vm);
/* Nobody's doorbell reaches it any more. */
void board_share_off(struct vm *vm);
