/* SPDX-License-Identifier: MIT */
/*
 * The virtio console under a driver that does anything: writes of any register, any bytes in the
 * rings, which change while they are read; output that is refused, input at any time.  The
 * sanitizers are the check, and that the console never says to have more than it was given.
 */
#include "tests/host/virtio_fuzz.h"

#include "hv/vdev/virtio_console.h"

#define FEATURES VIRTIO_F_VERSION_1
#define RX       0
#define TX       1
#define BUFFERS  (RAM_BASE + 0x20000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void start(uint64_t features, uint16_t size)
{
    start_driver(features, size);
    bar_out(C_STATUS, 1, 0);
    bar_out(C_STATUS, 1, 3);
    choose_features(features);
    bar_out(C_STATUS, 1, 0xb);
    set_up_queue(RX, size);
    set_up_queue(TX, size);
    bar_out(C_STATUS, 1, 0xf);
}

static void make(void)
{
    console = (struct virtio_console){
        .virtio = &virtio, .put = put_byte, .ready = take_input, .config = {.ports = 1}};
    plug(&virtio_console_kind, (struct virtio_setup){.dev = &console,
                                                     .config = &console.config,
                                                     .config_size = sizeof(console.config)});
    start(FEATURES, 8);
}

/* A chain that is nearly right. */
static void offer_chain(unsigned int queue)
{
    unsigned int flags = queue == RX ? D_WRITE : 0;

    descriptor(DESC + queue * QUEUE, 0, BUFFERS + number(), number(), D_NEXT | flags, 1);
    descriptor(DESC + queue * QUEUE, 1, BUFFERS + byte(), byte(), flags, 0);
    offer_to(queue, 0);
    kick_queue(queue);
}

static void step(void)
{
    uint8_t op = byte();

    switch (op % 12) {
    case 6:
    case 7:
        room = number() * (op >> 4);
        offer_chain(TX);
        break;
    case 8:
        offer_chain(RX);
        break;
    case 9:
        spin_lock(&lock);
        take_input(NULL);
        spin_unlock(&lock);
        break;
    case 10:
        room = byte();
        virtio_work(&virtio);
        break;
    case 11:
        start(FEATURES | (op & 16 ? VIRTIO_F_EVENT_IDX : VIRTIO_F_INDIRECT_DESC),
              (uint16_t)(1u << (op >> 5)));
        break;
    default:
        disturb(op);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    input_end = data + size;
    room = 0;
    make();
    meddle = scribble;
    while (input < input_end)
        step();
    check_queues();
    REQUIRE(virtio.live || console.sent == 0);
    return 0;
}
