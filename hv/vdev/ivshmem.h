/* SPDX-License-Identifier: MIT */
/*
 * Memory that two guests share, with a doorbell each way: a PCI device after the public
 * specification of ivshmem (revision 1, with doorbells) for two peers, 0 and 1.
 *
 *   BAR 0  registers     BAR 1  MSI-X     BAR 2  the memory, 64-bit and prefetchable
 *
 * Called with the VM's lock held, but ivshmem_ring().
 */
#pragma once

#include "hv/vdev/vpci.h"

#define IVSHMEM_PEERS   2u
#define IVSHMEM_VECTORS 4u

struct ivshmem_setup {
    uint32_t id;   /* which of the two this one is */
    void *memory;  /* for accesses that are emulated */
    uint64_t size; /* a power of two, at least 4 KiB */
    void *ctx;
    void (*doorbell)(void *ctx, unsigned int peer,
                     unsigned int vector);  /* peer may be any number */
    void (*moved)(void *ctx, uint64_t gpa); /* the memory's place, 0: none */
};

struct ivshmem {
    struct vpci_function pci;
    struct ivshmem_setup setup;
};

/* As after power on; the caller plugs it into a slot. */
void ivshmem_init(struct ivshmem *ivshmem, const struct ivshmem_setup *setup);
/* Somebody has rung its doorbell.  Any CPU; a vector that is not there is nothing. */
void ivshmem_ring(struct ivshmem *ivshmem, unsigned int vector);
