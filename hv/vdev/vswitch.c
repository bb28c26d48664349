/* SPDX-License-Identifier: MIT */
/* The switch: which port an address is behind, and who gets a frame. */
#include "hv/vdev/vswitch.h"

#include <stddef.h>

/* ---- Addresses ------------------------------------------------------------------------------ */

static struct vswitch_address **head_of(struct vswitch *vswitch, uint64_t mac)
{
    uint32_t folded = (uint32_t)(mac ^ mac >> 24);

    return &vswitch->heads[(folded * 0x9e3779b1u) >> 26];
}

STATIC_ASSERT(VSWITCH_HASHES == 1 << (32 - 26), "the hash's bits");

static struct vswitch_address *find(struct vswitch *vswitch, uint64_t mac)
{
    struct vswitch_address *address = *head_of(vswitch, mac);

    while (address && address->mac != mac)
        address = address->next;
    return address;
}

static void add(struct vswitch_port *port, struct vswitch_address *address, uint64_t mac)
{
    struct vswitch_address **head = head_of(port->owner, mac);

    *address = (struct vswitch_address){.mac = mac, .port = port, .next = *head};
    *head = address;
}

static void forget(struct vswitch_port *port, struct vswitch_address *address)
{
    struct vswitch_address **link = head_of(port->owner, address->mac);

    if (!address->mac)
        return;
    while (*link != address)
        link = &(*link)->next;
    *link = address->next;
    address->mac = 0;
}

static bool is_own(const struct vswitch_address *address)
{
    return address == &address->port->addresses[0];
}

/* An address that was another port's has moved, but for the ports' own. */
static void learn(struct vswitch_port *port, uint64_t mac)
{
    struct vswitch_address *address = find(port->owner, mac);

    if (address && (address->port == port || is_own(address)))
        return;
    if (address)
        forget(address->port, address);
    port->last = port->last % (VSWITCH_ADDRESSES - 1) + 1;
    address = &port->addresses[port->last];
    forget(port, address);
    add(port, address, mac);
}

/* ---- Ports ---------------------------------------------------------------------------------- */

void vswitch_attach(struct vswitch *vswitch, struct vswitch_port *port, uint64_t mac)
{
    port->owner = vswitch;
    port->next = vswitch->ports;
    vswitch->ports = port;
    add(port, &port->addresses[0], mac);
}

void vswitch_detach(struct vswitch_port *port)
{
    struct vswitch_port **link = &port->owner->ports;

    vswitch_set_up(port, false);
    forget(port, &port->addresses[0]);
    while (*link != port)
        link = &(*link)->next;
    *link = port->next;
    port->owner = NULL;
}

void vswitch_set_up(struct vswitch_port *port, bool up)
{
    port->up = up;
    for (unsigned int i = 1; i < VSWITCH_ADDRESSES; i++)
        forget(port, &port->addresses[i]);
}

/* ---- Frames --------------------------------------------------------------------------------- */

static void count(struct vswitch_count *sum, const struct vswitch_frame *frame)
{
    sum->packets++;
    sum->bytes += frame->size;
}

static unsigned int deliver(struct vswitch_port *port, const struct vswitch_frame *frame)
{
    if (!port->up)
        return 0;
    if (!port->receive(port->dev, frame)) {
        port->lost++;
        return 0;
    }
    count(&port->received, frame);
    return 1;
}

unsigned int vswitch_send(struct vswitch_port *port, const struct vswitch_frame *frame)
{
    const struct vswitch_address *to = NULL;
    unsigned int copies = 0;

    if (!frame->from || (frame->from & MAC_MULTICAST)) {
        port->refused++;
        return 0;
    }
    count(&port->sent, frame);
    learn(port, frame->from);
    if (!(frame->to & MAC_MULTICAST))
        to = find(port->owner, frame->to);
    if (to)
        return to->port == port ? 0 : deliver(to->port, frame);
    for (struct vswitch_port *other = port->owner->ports; other; other = other->next)
        if (other != port)
            copies += deliver(other, frame);
    return copies;
}
