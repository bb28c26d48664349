/* SPDX-License-Identifier: MIT */
/*
 * What two guests whose configurations name each other have in common: memory, and the ends of
 * their event channels.  It is there as long as either of them is.  A guest that names nobody has
 * half of one to itself, for its channels to itself.
 */
#pragma once

#include "hv/addr.h"
#include "hv/pv/mica_abi.h"
#include "hv/spinlock.h"

#include <stdbool.h>
#include <stdint.h>

struct ivshmem;
struct vm;

/* One end of an event channel; what the guest is told of it is in mica_abi.h. */
struct event_port {
    uint8_t state; /* enum mica_event_state */
    uint8_t side;  /* the other end's, once it is there; before, who may bind to this one */
    uint8_t port;
    bool masked, pending;
    uint8_t vector; /* the message that tells the guest */
    uint16_t cpu;
};

struct pair_half {
    struct vm *vm; /* a null pointer: it is not there */
    struct event_port ports[MICA_EVENT_PORTS];
    struct ivshmem *device; /* a null pointer: it is off */
};

/* The lock is taken after that of a VM and before those of a CPU: it makes sure of the other VM,
 * whose own lock is not taken then. */
struct pair {
    struct spinlock lock;
    struct pair_half halves[2];
    uint64_t size; /* of the memory; 0: there is no second guest */
    hpa_t memory;
    bool used;      /* it is not fresh any more */
    uint64_t stale; /* what is to be zeroed of it before the guest that starts may have it */
};

/* Give a new VM its half: of the pair of the VM that its configuration names, if that one is there
 * already, else of a new one.  0 or -ENOMEM. */
int pair_join(struct vm *vm, const struct vm *partner);
void pair_leave(struct vm *vm);
/*
 * It starts: while the other one does not run nobody may find what was written before.  Then that
 * is zeroed, a slice at a time: false when nothing is left.
 */
void pair_start(struct vm *vm);
bool pair_renew(struct vm *vm);
