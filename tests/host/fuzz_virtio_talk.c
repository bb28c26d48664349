/* SPDX-License-Identifier: MIT */
/*
 * The virtio console, and sockets between two guests, under drivers that do anything: writes of any
 * register, any bytes in the rings, which change while they are read; output that is refused, input
 * at any time, receivers that come and go.  The sanitizers are the check, and that what is counted
 * fits together.
 */
#include "tests/host/virtio_fuzz.h"

#include "hv/vdev/virtio_console.h"
#include "hv/vdev/virtio_vsock.h"

#define FEATURES VIRTIO_F_VERSION_1
#define RX       0
#define TX       1
#define EVENT    2
#define BUFFERS  (RAM_BASE + 0x20000)

/* Buffers that are nearly right. */
static void offer_chain(unsigned int queue, unsigned int flags)
{
    descriptor(DESC + queue * QUEUE, 0, BUFFERS + number(), number(), D_NEXT | flags, 1);
    descriptor(DESC + queue * QUEUE, 1, BUFFERS + byte(), byte(), flags, 0);
    offer_to(queue, 0);
    kick_queue(queue);
}

static void restart(uint8_t op)
{
    start_queues(FEATURES | (op & 16 ? VIRTIO_F_EVENT_IDX : VIRTIO_F_INDIRECT_DESC),
                 (uint16_t)(1u << (op >> 5)), device->kind->queues);
}

/* ---- The console ---------------------------------------------------------------------------- */

static struct virtio_console console;
static unsigned int room;

static bool put_byte(void *ctx, uint8_t value)
{
    return room && room--;
}

/* The guest's receiver takes what waits as soon as it can. */
static void take_input(void *ctx)
{
    static const uint8_t text[80];

    REQUIRE(virtio_console_receive(&console, text, byte() % 80) < 80);
}

static void make_console(void)
{
    console = (struct virtio_console){
        .virtio = &virtio, .put = put_byte, .ready = take_input, .config = {.ports = 1}};
    room = 0;
    plug(&virtio_console_kind, (struct virtio_setup){.dev = &console,
                                                     .features = VIRTIO_CONSOLE_F_EMERG_WRITE,
                                                     .config = &console.config,
                                                     .config_size = sizeof(console.config)});
    start_queues(FEATURES, 8, 2);
}

static void step_console(uint8_t op)
{
    switch (op % 13) {
    case 6:
    case 7:
        room = number() * (op >> 4);
        offer_chain(TX, 0);
        break;
    case 8:
        offer_chain(RX, D_WRITE);
        break;
    case 9:
        take_input(NULL);
        break;
    case 10:
        room = byte();
        virtio_work(&virtio);
        break;
    case 11:
        restart(op);
        break;
    case 12:
        bar_out(B_DEVICE + byte() % 16, (uint8_t)(1u << op / 64), number());
        break;
    default:
        disturb(op);
    }
}

/* ---- Sockets -------------------------------------------------------------------------------- */

static struct virtio_vsock_hub hub;
static struct virtio_vsock vsocks[2];
static unsigned int woken; /* a bit for each */

static void note_wake(void *ctx)
{
    woken |= 1u << ((struct virtio_vsock *)ctx - vsocks);
}

static void make_vsock(unsigned int guest)
{
    struct virtio_vsock *vsock = &vsocks[guest];

    use_guest(guest);
    *vsock = (struct virtio_vsock){.hub = &hub,
                                   .virtio = device,
                                   .index = guest,
                                   .cid = 3 + guest,
                                   .ctx = vsock,
                                   .wake = note_wake};
    plug(&virtio_vsock_kind, (struct virtio_setup){.dev = vsock,
                                                   .config = &vsock->cid,
                                                   .config_size = sizeof(vsock->cid)});
    start_queues(FEATURES, 8, 3);
}

static void make_vsocks(void)
{
    memset(&hub, 0, sizeof(hub));
    woken = 0;
    make_vsock(0);
    make_vsock(1);
}

static void offer_packet(void)
{
    uint8_t what = byte();
    uint64_t packet = DATA + 0x200;

    put(packet, 3u + (device == &second), 8);
    put(packet + 8, 2u + what % 4, 8);
    put(packet + 24, number(), 4);
    put(packet + 28, what < 250, 2);
    put(packet + 30, what >> 4, 2);
    descriptor(DESC + TX * QUEUE, 0, packet, 44, D_NEXT, 1);
    descriptor(DESC + TX * QUEUE, 1, BUFFERS, number(), what & 1 ? D_NEXT : 0, 2);
    descriptor(DESC + TX * QUEUE, 2, BUFFERS + what, number(), 0, 0);
    offer_to(TX, 0);
    kick_queue(TX);
}

static void step_vsocks(uint8_t op)
{
    use_guest(op >> 7);
    switch (op % 12) {
    case 6:
    case 7:
        offer_packet();
        break;
    case 8:
        offer_chain(RX, D_WRITE);
        break;
    case 9:
        offer_chain(EVENT, D_WRITE);
        break;
    case 10:
        woken &= ~(1u << (op >> 7));
        virtio_work(device);
        break;
    case 11:
        restart(op);
        break;
    default:
        disturb(op);
    }
}

/* Who has no driver is in no hub, and waits for nobody. */
static void check_vsock(unsigned int guest)
{
    const struct virtio_vsock *vsock = &vsocks[guest];

    check_queues(vsock->virtio);
    REQUIRE(hub.live[guest] == (vsock->virtio->live ? vsock : NULL));
    REQUIRE(vsock->virtio->live || (!vsock->peers && !vsock->moved && !vsock->event_due));
}

/* Two that wake each other come to rest. */
static void check_rest(void)
{
    meddle = NULL;
    for (unsigned int i = 0; woken && i < 1000; i++) {
        unsigned int guest = woken & 1 ? 0 : 1;

        woken &= ~(1u << guest);
        use_guest(guest);
        virtio_work(device);
    }
    REQUIRE(!woken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin_input(data, size);
    use_guest(0);
    if (byte() & 1) {
        make_console();
        meddle = scribble;
        while (input < input_end)
            step_console(byte());
        check_queues(&virtio);
        REQUIRE(virtio.live || console.sent == 0);
    } else {
        make_vsocks();
        meddle = scribble;
        while (input < input_end)
            step_vsocks(byte());
        check_vsock(0);
        check_vsock(1);
        check_rest();
    }
    return 0;
}
