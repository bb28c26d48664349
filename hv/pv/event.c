/* SPDX-License-Identifier: MIT */
/*
 * Event channels; mica_abi.h says what each call does.  Both ends of one lie in the same pair, and
 * everything here happens under its lock: a VM that is the other end's stays there until it is
 * dropped.  The VM's own lock is never taken, for a message needs none.
 */
#include "hv/pv/pv.h"

#include "hv/intr.h"
#include "hv/pair.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vm.h"

/* Who calls. */
struct caller {
    struct pair *pair;
    unsigned int side;
    const struct vm *vm;
};

static struct event_port *own(const struct caller *caller, uint64_t port)
{
    return &caller->pair->halves[caller->side].ports[port];
}

static struct event_port *peer_of(const struct caller *caller, const struct event_port *port)
{
    return &caller->pair->halves[port->side].ports[port->port];
}

/* ---- Telling a guest ------------------------------------------------------------------------ */

static void interrupt(const struct pair *pair, unsigned int side, const struct event_port *port)
{
    const struct apic_message message = {.vector = port->vector,
                                         .delivery_mode = APIC_DELIVER_FIXED};

    intr_send(pair->halves[side].vm->vcpus[port->cpu], &message);
}

static void tell(const struct pair *pair, unsigned int side, struct event_port *port)
{
    if (port->masked)
        port->pending = true;
    else
        interrupt(pair, side, port);
}

/* ---- Making an end -------------------------------------------------------------------------- */

/* Is this MICA_EVENT_TO of one of its CPUs? */
static bool is_destination(const struct caller *caller, uint64_t to)
{
    return to >> 16 < caller->vm->vcpu_count && (to & 0xffff) >= APIC_FIRST_VECTOR &&
           (to & 0xffff) <= 0xff;
}

/* The number of a new end, or a negative error. */
static int64_t open(const struct caller *caller, uint64_t to, const struct event_port *start)
{
    for (unsigned int i = 0; i < MICA_EVENT_PORTS; i++) {
        struct event_port *port = own(caller, i);

        if (port->state != MICA_EVENT_FREE)
            continue;
        *port = *start;
        port->vector = (uint8_t)to;
        port->cpu = (uint16_t)(to >> 16);
        return i;
    }
    return -MICA_ENOSPC;
}

static int64_t check_who(const struct caller *caller, uint64_t who, uint64_t to)
{
    if (who > MICA_EVENT_PARTNER || !is_destination(caller, to))
        return -MICA_EINVAL;
    return who == MICA_EVENT_PARTNER && !caller->pair->size ? -MICA_ENODEV : 0;
}

static int64_t create(const struct caller *caller, uint64_t who, uint64_t to)
{
    int64_t error = check_who(caller, who, to);
    const struct event_port start = {.state = MICA_EVENT_WAITING,
                                     .side = (uint8_t)(caller->side ^ who)};

    return error ? error : open(caller, to, &start);
}

static int64_t bind(const struct caller *caller, uint64_t at, uint64_t to)
{
    const uint64_t who = at >> 16, number = at & 0xffff;
    struct event_port *peer;
    int64_t result = check_who(caller, who, to);

    if (result)
        return result;
    if (number >= MICA_EVENT_PORTS)
        return -MICA_EINVAL;
    peer = &caller->pair->halves[caller->side ^ who].ports[number];
    if (peer->state != MICA_EVENT_WAITING || peer->side != caller->side)
        return -MICA_ENOENT;
    result = open(caller, to,
                  &(struct event_port){.state = MICA_EVENT_CONNECTED,
                                       .side = (uint8_t)(caller->side ^ who),
                                       .port = (uint8_t)number});
    if (result < 0)
        return result;
    peer->state = MICA_EVENT_CONNECTED;
    peer->port = (uint8_t)result;
    return result;
}

/* ---- Using it: the port is one of the table ------------------------------------------------- */

static int64_t notify(const struct caller *caller, struct event_port *port, uint64_t unused)
{
    if (port->state != MICA_EVENT_CONNECTED)
        return -MICA_ENOTCONN;
    tell(caller->pair, port->side, peer_of(caller, port));
    return 0;
}

static int64_t mask(const struct caller *caller, struct event_port *port, uint64_t on)
{
    if (on > 1)
        return -MICA_EINVAL;
    port->masked = on;
    if (on || !port->pending)
        return 0;
    port->pending = false;
    interrupt(caller->pair, caller->side, port);
    return 0;
}

static int64_t close(const struct caller *caller, struct event_port *port, uint64_t unused)
{
    if (port->state == MICA_EVENT_CONNECTED) {
        struct event_port *peer = peer_of(caller, port);

        peer->state = MICA_EVENT_CLOSED;
        tell(caller->pair, port->side, peer);
    }
    *port = (struct event_port){.state = MICA_EVENT_FREE};
    return 0;
}

static int64_t status(const struct event_port *port)
{
    uint32_t bits = port->state;

    if (port->masked)
        bits |= MICA_EVENT_MASKED;
    if (port->pending)
        bits |= MICA_EVENT_PENDING;
    if (port->state == MICA_EVENT_CONNECTED)
        bits |= (uint32_t)port->port << 16;
    return bits;
}

/* ---- The calls ------------------------------------------------------------------------------ */

static int64_t use(const struct caller *caller, enum mica_call call, uint64_t number,
                   uint64_t argument)
{
    static int64_t (*const uses[])(const struct caller *, struct event_port *, uint64_t) = {
        [MICA_CALL_EVENT_NOTIFY] = notify,
        [MICA_CALL_EVENT_MASK] = mask,
        [MICA_CALL_EVENT_CLOSE] = close,
    };

    if (number >= MICA_EVENT_PORTS)
        return -MICA_EINVAL;
    if (call == MICA_CALL_EVENT_STATUS)
        return status(own(caller, number));
    if (own(caller, number)->state == MICA_EVENT_FREE)
        return -MICA_ENOENT;
    return uses[call](caller, own(caller, number), argument);
}

int64_t event_call(struct vcpu *vcpu)
{
    enum mica_call call = (enum mica_call)(vcpu->gprs.r[GPR_RAX] - MICA_CALL_FIRST);
    const struct caller caller = {vcpu->vm->pair, vcpu->vm->side, vcpu->vm};
    const uint64_t a = vcpu->gprs.r[GPR_RBX], b = vcpu->gprs.r[GPR_RCX];
    int64_t result;

    spin_lock(&caller.pair->lock);
    if (call == MICA_CALL_EVENT_CREATE)
        result = create(&caller, a, b);
    else if (call == MICA_CALL_EVENT_BIND)
        result = bind(&caller, a, b);
    else
        result = use(&caller, call, a, b);
    spin_unlock(&caller.pair->lock);
    return result;
}

void event_close_all(struct vm *vm)
{
    const struct caller caller = {vm->pair, vm->side, vm};

    spin_lock(&vm->pair->lock);
    for (unsigned int i = 0; i < MICA_EVENT_PORTS; i++)
        close(&caller, own(&caller, i), 0);
    spin_unlock(&vm->pair->lock);
}
