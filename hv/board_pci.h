/* SPDX-License-Identifier: MIT */
/* The PCI bus of a VM and what is plugged into it: a host bridge, a source of entropy, a disk. */
#pragma once

#include "hv/addr.h"
#include "hv/random.h"
#include "hv/vdev/virtio.h"
#include "hv/vdev/virtio_blk.h"
#include "hv/vdev/virtio_rng.h"
#include "hv/vdev/vpci.h"

struct vm;

/* Serialised by the VM's lock. */
struct board_pci {
    struct vpci bus;
    struct vtimer timer; /* rings board_pci_work() */
    struct virtio rng, blk;
    struct virtio_rng rng_source;
    struct random random;
    uint32_t given; /* bytes since fresh ones were mixed in */
    struct virtio_blk disk;
    hpa_t disk_memory; /* what was written to it, and which pages were */
    uint64_t disk_memory_pages;
};

/* 0, or -ENOMEM; board_pci_destroy() is right in both cases. */
int board_pci_init(struct vm *vm);
void board_pci_destroy(struct vm *vm);
/* All devices as after power on; the disk keeps what was written. */
void board_pci_reset(struct vm *vm, const struct vpci_ops *ops, const struct vtimer *timer);
/* Goes on with requests that were too many for one exit. */
void board_pci_work(struct vm *vm);
