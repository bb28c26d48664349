/* SPDX-License-Identifier: MIT */
/* The virtio console: what is sent comes out once and in order, whatever stops it on the way, and
 * what arrives fills the buffers that there are. */
#include "tests/host/virtio_world.h"

#include "hv/vdev/virtio_console.h"
#include "tests/host/check.h"

#define FEATURES VIRTIO_F_VERSION_1
#define RX       0
#define TX       1
#define TEXT     (RAM_BASE + 0x10000) /* behind the rings of both queues */
#define BUFFERS  (RAM_BASE + 0x20000)

static struct virtio_console console;
static uint8_t out[0x10000];
static unsigned int out_count, room, readies;

static bool put_byte(void *ctx, uint8_t byte)
{
    if (!room)
        return false;
    room--;
    out[out_count++] = byte;
    return true;
}

static void note_ready(void *ctx)
{
    readies++;
}

/* Both queues live; each byte of the text says where it is. */
static void start(void)
{
    console = (struct virtio_console){
        .virtio = &virtio, .put = put_byte, .ready = note_ready, .config = {.ports = 1}};
    plug(&virtio_console_kind, (struct virtio_setup){.dev = &console,
                                                     .features = VIRTIO_CONSOLE_F_EMERG_WRITE,
                                                     .config = &console.config,
                                                     .config_size = sizeof(console.config)});
    start_queues(FEATURES, 8, 2);
    for (unsigned int i = 0; i < 0x10000; i++)
        put(TEXT + i, i * 7 + i / 256, 1);
    out_count = readies = 0;
    room = ~0u;
}

static bool came(unsigned int from, unsigned int count)
{
    return out_count == from + count &&
           memcmp(out + from, &ram[TEXT - RAM_BASE + from], count) == 0;
}

static void transmit(uint64_t gpa, uint32_t size)
{
    descriptor(TX * QUEUE + DESC, 0, gpa, size, 0, 0);
    offer_to(TX, 0);
    kick_queue(TX);
}

static uint16_t done(unsigned int queue)
{
    return (uint16_t)get(queue * QUEUE + USED + 2, 2);
}

static void test_identity(void)
{
    start();
    CHECK(config_in(0, 4) == 0x10431af4 && bar_in(C_QUEUES, 2) == 2, "the console");
    CHECK((offered_features() & 0xffffff) == VIRTIO_CONSOLE_F_EMERG_WRITE &&
              bar_in(B_DEVICE + 4, 4) == 1,
          "one port, and no size");
}

static void test_sending(void)
{
    start();
    transmit(TEXT, 100);
    CHECK(came(0, 100) && done(TX) == 1, "what is sent comes out");
    descriptor(TX * QUEUE + DESC, 1, TEXT + 100, 1, D_NEXT, 2);
    descriptor(TX * QUEUE + DESC, 2, TEXT + 101, 200, 0, 0);
    offer_to(TX, 1);
    kick_queue(TX);
    CHECK(came(0, 301) && done(TX) == 2, "from several buffers");
    descriptor(TX * QUEUE + DESC, 1, TEXT + 301, 50, D_NEXT, 2);
    descriptor(TX * QUEUE + DESC, 2, BUFFERS, 4, D_WRITE, 0);
    offer_to(TX, 1);
    kick_queue(TX);
    CHECK(came(0, 351) && done(TX) == 3, "and what may be written is left alone");
}

static void test_no_room(void)
{
    start();
    room = 70;
    descriptor(TX * QUEUE + DESC, 1, TEXT, 60, D_NEXT, 2);
    descriptor(TX * QUEUE + DESC, 2, TEXT + 60, 60, 0, 0);
    descriptor(TX * QUEUE + DESC, 3, TEXT + 120, 10, 0, 0);
    offer_to(TX, 1);
    offer_to(TX, 3);
    kick_queue(TX);
    CHECK(came(0, 70) && done(TX) == 0, "without room it stands still");
    kick_queue(TX);
    CHECK(came(0, 70), "whatever the driver says");
    for (unsigned int i = 1; i <= 50; i++) {
        room = 1;
        virtio_work(&virtio);
    }
    CHECK(came(0, 120) && done(TX) == 1, "with room it goes on where it was");
    room = 5;
    virtio_work(&virtio);
    room = 100;
    virtio_work(&virtio);
    CHECK(came(0, 130) && done(TX) == 2, "and with the next one from its beginning");
    room = 3;
    transmit(TEXT + 130, 20);
    start_driver(FEATURES, 8);
    CHECK(console.sent == 0, "a reset forgets what was half sent");
}

static void test_shrinking(void)
{
    start();
    room = 40;
    transmit(TEXT, 100);
    put(TX * QUEUE + DESC + 8, 30, 4);
    room = ~0u;
    virtio_work(&virtio);
    CHECK(out_count == 40 && done(TX) == 1, "a buffer that has shrunk meanwhile is done");
    out_count = 0;
    transmit(TEXT, 10);
    CHECK(came(0, 10), "and takes nothing from the next");
}

static void test_long(void)
{
    unsigned int turns = 1;

    start();
    transmit(TEXT, 0x8000);
    CHECK(out_count == 4096 && laters == 1 && done(TX) == 0, "a long one takes several turns");
    for (; done(TX) == 0 && turns < 20; turns++)
        virtio_work(&virtio);
    CHECK(came(0, 0x8000) && turns == 8, "and is whole in the end");
    for (unsigned int i = 0; i < 8; i++) {
        descriptor(TX * QUEUE + DESC, i, TEXT, 4096, 0, 0);
        offer_to(TX, (uint16_t)i);
    }
    out_count = laters = 0;
    kick_queue(TX);
    CHECK(out_count == 0x4000 && laters == 1, "many are not all served at once");
}

static void test_receiving(void)
{
    const uint8_t *text = &ram[TEXT - RAM_BASE];

    start();
    CHECK(virtio_console_receive(&console, text, 10) == 0, "nothing is taken without a buffer");
    descriptor(RX * QUEUE + DESC, 0, BUFFERS, 16, D_WRITE, 0);
    descriptor(RX * QUEUE + DESC, 1, BUFFERS + 0x100, 16, D_WRITE, 0);
    offer_to(RX, 0);
    offer_to(RX, 1);
    kick_queue(RX);
    CHECK(readies == 1, "who was refused hears of buffers");
    CHECK(virtio_console_receive(&console, text, 30) == 16 &&
              virtio_console_receive(&console, text + 16, 10) == 10 &&
              virtio_console_receive(&console, text + 26, 4) == 0,
          "as much is taken as fits");
    CHECK(memcmp(&ram[BUFFERS - RAM_BASE], text, 16) == 0 &&
              memcmp(&ram[BUFFERS + 0x100 - RAM_BASE], text + 16, 10) == 0 &&
              get(BUFFERS + 0x100 + 10, 1) == 0,
          "and is where it belongs");
    CHECK(done(RX) == 2 && get(USED + 8, 4) == 16 && get(USED + 16, 4) == 10 && interrupts[1] == 2,
          "with its length and an interrupt each");
    CHECK(virtio_console_receive(&console, text, 0) == 0 && !needs_reset(), "none is fine");
    offer_to(RX, 0);
    bar_out(C_STATUS, 1, 0);
    CHECK(virtio_console_receive(&console, text, 1) == 0, "nor without a driver");
}

static void test_emergency(void)
{
    start();
    bar_out(C_STATUS, 1, 0);
    bar_out(B_DEVICE + 8, 4, 'a');
    bar_out(B_DEVICE + 8, 4, 0xffffff62);
    CHECK(out_count == 2 && out[0] == 'a' && out[1] == 'b',
          "in an emergency a byte is sent without a driver");
    bar_out(B_DEVICE + 8, 1, 'c');
    bar_out(B_DEVICE + 9, 1, 'd');
    bar_out(B_DEVICE + 8, 8, 'e');
    bar_out(B_DEVICE + 4, 4, 'f');
    bar_out(B_DEVICE + 12, 4, 'g');
    CHECK(out_count == 3 && out[2] == 'c' && bar_in(B_DEVICE + 4, 4) == 1,
          "and by a write of that field alone");
    room = 0;
    bar_out(B_DEVICE + 8, 4, 'h');
    room = 1;
    bar_out(B_DEVICE + 8, 4, 'i');
    CHECK(out_count == 4 && out[3] == 'i', "without room it is lost");
    start();
    room = 10;
    transmit(TEXT, 20);
    room = 1;
    bar_out(B_DEVICE + 8, 4, '!');
    room = ~0u;
    virtio_work(&virtio);
    CHECK(out_count == 21 && out[10] == '!' &&
              memcmp(out + 11, &ram[TEXT + 10 - RAM_BASE], 10) == 0 && done(TX) == 1 &&
              !needs_reset(),
          "what is being sent goes on behind it");
}

static void test_mistakes(void)
{
    static const uint8_t text[4];

    start();
    descriptor(DESC, 0, BUFFERS, 16, 0, 0);
    offer_to(RX, 0);
    CHECK(virtio_console_receive(&console, text, 4) == 0 && needs_reset(),
          "a buffer to receive into that may not be written");
    start();
    descriptor(DESC, 0, RAM_BASE + RAM_SIZE - 2, 16, D_WRITE, 0);
    offer_to(RX, 0);
    CHECK(virtio_console_receive(&console, text, 4) == 0 && needs_reset(), "one that is no RAM");
    start();
    transmit(RAM_BASE + RAM_SIZE - 2, 4);
    CHECK(out_count == 0 && needs_reset(), "what is sent from nowhere");
}

int main(void)
{
    test_identity();
    test_sending();
    test_no_room();
    test_shrinking();
    test_long();
    test_receiving();
    test_emergency();
    test_mistakes();
    return check_done();
}
