/* SPDX-License-Identifier: MIT */
/*
 * A learning switch for Ethernet frames.  What a frame holds and how a port takes it is the
 * devices' business.
 *
 * The table of addresses is made of what each port brings along: its own address, which stays, and
 * room for those of others behind it (a guest's containers and bridges), which replace each other
 * in turn.  So no guest can push another's addresses out, nor take the one that it was given.
 */
#pragma once

#include "hv/spinlock.h"
#include "hv/util.h"

#include <stdbool.h>
#include <stdint.h>

#define VSWITCH_NAME_SIZE 32
#define VSWITCH_ADDRESSES 16 /* of a port: its own, and those that were learned */
#define VSWITCH_HASHES    64

/* A MAC address is a number: 02:00:00:00:00:01 is 0x020000000001. */
#define MAC_MULTICAST BIT(40)
#define MAC_LOCAL     BIT(41)

struct vswitch_port;

struct vswitch_address {
    uint64_t mac; /* 0: none */
    struct vswitch_port *port;
    struct vswitch_address *next; /* of the same hash */
};

struct vswitch {
    char name[VSWITCH_NAME_SIZE];
    struct spinlock lock; /* of all of its ports */
    struct vswitch_port *ports;
    struct vswitch_address *heads[VSWITCH_HASHES];
};

struct vswitch_frame {
    uint64_t to, from;
    uint32_t size;
    void *content;
};

struct vswitch_count {
    uint64_t packets, bytes;
};

struct vswitch_port {
    struct vswitch *owner; /* a null pointer: on none */
    struct vswitch_port *next;
    bool up; /* else nothing is sent to it */
    void *dev;
    bool (*receive)(void *dev, const struct vswitch_frame *frame); /* false: there was no room */
    struct vswitch_address addresses[VSWITCH_ADDRESSES];           /* the first is its own */
    unsigned int last; /* the one that was learned last */
    struct vswitch_count sent, received;
    uint64_t lost;    /* frames for it that it had no room for */
    uint64_t refused; /* frames of it that were none */
};

/* ---- With the switch's lock held ------------------------------------------------------------ */

/* The caller has set dev and receive, and zeroed the rest. */
void vswitch_attach(struct vswitch *vswitch, struct vswitch_port *port, uint64_t mac);
void vswitch_detach(struct vswitch_port *port);
void vswitch_set_up(struct vswitch_port *port, bool up);
/* Hands a frame to all ports that it is for; returns how many of them took it. */
unsigned int vswitch_send(struct vswitch_port *port, const struct vswitch_frame *frame);
