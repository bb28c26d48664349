/* SPDX-License-Identifier: MIT */
/* Sockets between two guests: what is delivered, what stands still, what is refused, and who hears
 * that the other one has gone. */
#include "tests/host/virtio_world.h"

#include "hv/vdev/virtio_vsock.h"
#include "tests/host/check.h"

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)
#define RX       0
#define TX       1
#define EVENT    2
#define PACKET   (RAM_BASE + 0x18000)
#define BUFFERS  (RAM_BASE + 0x20000)
#define STREAM   1

enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST };

struct header {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port, size;
    uint16_t type, op;
    uint32_t flags, buf_alloc, fwd_cnt;
} PACKED;

#define HEADER sizeof(struct header)

static struct virtio_vsock_hub hub;
static struct virtio_vsock vsocks[2];
static unsigned int wakes[2];
static uint32_t buffer_size;

static void note_wake(void *ctx)
{
    wakes[(struct virtio_vsock *)ctx - vsocks]++;
}

static void plug_vsock(unsigned int guest)
{
    struct virtio_vsock *vsock = &vsocks[guest];

    use_guest(guest);
    *vsock = (struct virtio_vsock){.hub = &hub,
                                   .virtio = device,
                                   .index = guest * 63,
                                   .cid = 3 + guest,
                                   .ctx = vsock,
                                   .wake = note_wake};
    plug(&virtio_vsock_kind, (struct virtio_setup){.dev = vsock,
                                                   .config = &vsock->cid,
                                                   .config_size = sizeof(vsock->cid)});
    start_queues(FEATURES, 8, 3);
}

static void start(void)
{
    memset(&hub, 0, sizeof(hub));
    plug_vsock(0);
    plug_vsock(1);
    memset(wakes, 0, sizeof(wakes));
}

/* Buffers to receive into, one behind the other; the device hears of them. */
static void give(unsigned int guest, unsigned int count, uint32_t size)
{
    use_guest(guest);
    buffer_size = size;
    for (unsigned int i = 0; i < count; i++) {
        uint16_t index = (uint16_t)(avail_index() % 8);

        descriptor(DESC, index, BUFFERS + (uint64_t)index * size, size, D_WRITE, 0);
        offer_to(RX, index);
    }
    kick_queue(RX);
}

/* From guest 0 to guest 1, where nothing else is said. */
static struct header packet(uint16_t op, uint32_t size)
{
    return (struct header){.src_cid = 3,
                           .dst_cid = 4,
                           .src_port = 1000,
                           .dst_port = 80,
                           .size = size,
                           .type = STREAM,
                           .op = op,
                           .flags = 0x11,
                           .buf_alloc = 0x22,
                           .fwd_cnt = 0x33};
}

static void send_packet(unsigned int guest, const struct header *header)
{
    use_guest(guest);
    memcpy(&ram[PACKET - RAM_BASE], header, HEADER);
    for (uint32_t i = 0; i < header->size; i++)
        put(PACKET + HEADER + i, i * 7 + i / 251, 1);
    descriptor(DESC + TX * QUEUE, 0, PACKET, (uint32_t)HEADER, header->size ? D_NEXT : 0, 1);
    descriptor(DESC + TX * QUEUE, 1, PACKET + HEADER, header->size, 0, 0);
    offer_to(TX, 0);
    kick_queue(TX);
}

static uint16_t done(unsigned int guest, unsigned int queue)
{
    use_guest(guest);
    return (uint16_t)get(USED + queue * QUEUE + 2, 2);
}

static const struct header *received(unsigned int guest, unsigned int buffer)
{
    return (const struct header *)&rams[guest][BUFFERS - RAM_BASE + buffer * buffer_size];
}

/* Whether a buffer of guest 1 holds these bytes of the packet that guest 0 has sent. */
static bool has_data(unsigned int buffer, uint32_t from, uint32_t size)
{
    const uint8_t *sent = &rams[0][PACKET + HEADER - RAM_BASE];
    const struct header *header = received(1, buffer);

    return header->size == size && header->op == RW && header->src_cid == 3 &&
           memcmp(header + 1, sent + from, size) == 0;
}

static bool is_rst(unsigned int buffer, uint64_t src_cid)
{
    const struct header *header = received(0, buffer);

    return header->op == RST && header->src_cid == src_cid && header->dst_cid == 3 &&
           header->src_port == 80 && header->dst_port == 1000 && header->size == 0;
}

static bool is_broken(unsigned int guest)
{
    use_guest(guest);
    return needs_reset();
}

/* ---- Delivering ----------------------------------------------------------------------------- */

static void test_identity(void)
{
    start();
    CHECK(config_in(0, 4) == 0x10531af4 && bar_in(C_QUEUES, 2) == 3, "the socket device");
    CHECK(bar_in(B_DEVICE, 8) == 4, "its context id");
}

static void test_delivering(void)
{
    struct header request = packet(REQUEST, 0), data = packet(RW, 100);

    start();
    give(1, 1, HEADER);
    send_packet(0, &request);
    CHECK(received(1, 0)->op == REQUEST && done(0, TX) == 1, "a buffer as large as a packet");
    start();
    give(1, 4, 2048);
    send_packet(0, &request);
    CHECK(memcmp(received(1, 0), &request, HEADER) == 0 && used_index() == 0 && done(0, TX) == 1,
          "a packet without data");
    CHECK(done(1, RX) == 1 && used_size(0) == HEADER && interrupts[1] == 1, "with an interrupt");
    send_packet(0, &data);
    CHECK(memcmp(received(1, 1), &data, HEADER) == 0 && has_data(1, 0, 100), "one with data");
    CHECK(done(1, RX) == 2 && used_size(1) == HEADER + 100, "of this length");
    CHECK(vsocks[0].sent.packets == 2 && vsocks[0].sent.bytes == 100 &&
              vsocks[1].received.packets == 2 && vsocks[1].received.bytes == 100 &&
              vsocks[0].refused == 0,
          "they are counted");
    data.src_cid = 4;
    data.dst_cid = 3;
    give(0, 1, 2048);
    send_packet(1, &data);
    CHECK(received(0, 0)->op == RW && received(0, 0)->size == 100, "and the other way");
    data.dst_cid = 4;
    send_packet(1, &data);
    CHECK(received(1, 2)->size == 100 && received(1, 2)->src_cid == 4, "and to itself");
}

static void test_ignored_data(void)
{
    struct header shutdown = packet(SHUTDOWN, 50);

    start();
    give(1, 1, 2048);
    send_packet(0, &shutdown);
    CHECK(received(1, 0)->op == SHUTDOWN && received(1, 0)->size == 0 && done(1, RX) == 1,
          "what belongs to no stream has no data");
}

static void test_splitting(void)
{
    struct header data = packet(RW, 2500);

    start();
    give(1, 4, HEADER + 1000);
    send_packet(0, &data);
    CHECK(has_data(0, 0, 1000) && has_data(1, 1000, 1000) && has_data(2, 2000, 500) &&
              done(1, RX) == 3 && done(0, TX) == 1,
          "data may fill several buffers");
    CHECK(vsocks[0].sent.packets == 1 && vsocks[0].sent.bytes == 2500 &&
              vsocks[1].received.packets == 3,
          "a packet for each");
}

/* ---- Standing still ------------------------------------------------------------------------- */

static void test_waiting(void)
{
    struct header data = packet(RW, 2500), request = packet(REQUEST, 0);

    start();
    give(1, 1, HEADER + 1000);
    send_packet(0, &data);
    CHECK(has_data(0, 0, 1000) && done(0, TX) == 0, "without a buffer it stands still");
    use_guest(0);
    kick_queue(TX);
    CHECK(done(1, RX) == 1 && done(0, TX) == 0 && wakes[0] == 0, "whatever the sender says");
    give(1, 1, HEADER + 1000);
    CHECK(wakes[0] == 1 && done(1, RX) == 1, "who waits is woken by a buffer");
    virtio_work(&virtio);
    CHECK(has_data(1, 1000, 1000) && done(0, TX) == 0, "and goes on where it was");
    give(1, 3, HEADER + 1000);
    virtio_work(&virtio);
    CHECK(has_data(2, 2000, 500) && done(0, TX) == 1 && done(1, RX) == 3, "to the end");
    send_packet(0, &request);
    CHECK(received(1, 3)->op == REQUEST && done(0, TX) == 2, "the next is whole");
    CHECK(vsocks[0].sent.bytes == 2500 && vsocks[1].received.bytes == 2500, "all is counted once");
    give(1, 1, HEADER + 1000);
    CHECK(wakes[0] == 2, "and nobody is woken who does not wait");
}

static void test_waiting_for_each_other(void)
{
    struct header there = packet(RW, 10), back = packet(RW, 10);

    start();
    back.src_cid = 4;
    back.dst_cid = 3;
    send_packet(0, &there);
    send_packet(1, &back);
    for (unsigned int i = 0; i < 4; i++)
        virtio_work(i % 2 ? &second : &virtio);
    CHECK(wakes[0] == 0 && wakes[1] == 0 && done(0, TX) == 0 && done(1, TX) == 0,
          "two that wait for each other sleep");
    give(1, 1, 2048);
    virtio_work(&virtio);
    CHECK(has_data(0, 0, 10) && done(0, TX) == 1 && done(1, TX) == 0, "until one has a buffer");
}

static void test_leaving(void)
{
    struct header data = packet(RW, 2500);

    start();
    give(0, 2, 2048);
    give(1, 1, HEADER + 1000);
    send_packet(0, &data);
    use_guest(1);
    bar_out(C_STATUS, 1, 0);
    CHECK(wakes[0] == 1, "who waits for one that goes is woken");
    virtio_work(&virtio);
    buffer_size = 2048;
    CHECK(done(0, TX) == 1 && done(0, RX) == 1 && is_rst(0, 4), "and hears that it is gone");
    CHECK(vsocks[0].moved == 0 && vsocks[0].refused == 1, "nothing is left over");
    send_packet(0, &data);
    give(0, 1, 2048);
    virtio_off(&virtio);
    CHECK(!hub.live[0] && !hub.live[63], "a hub knows whose driver is there");
}

static void test_long(void)
{
    struct header data = packet(RW, 0);

    start();
    use_guest(0);
    data.size = 0x28000;
    memcpy(&ram[PACKET - RAM_BASE], &data, HEADER);
    descriptor(DESC + TX * QUEUE, 0, PACKET, (uint32_t)HEADER, D_NEXT, 1);
    for (unsigned int i = 1; i <= 5; i++)
        descriptor(DESC + TX * QUEUE, i, RAM_BASE + 0x20000, 0x8000, i < 5 ? D_NEXT : 0, i + 1);
    use_guest(1);
    for (unsigned int i = 0; i < 7; i++) {
        descriptor(DESC, i, BUFFERS, 0x8000, D_WRITE, 0);
        offer_to(RX, (uint16_t)i);
    }
    kick_queue(RX);
    use_guest(0);
    offer_to(TX, 0);
    kick_queue(TX);
    CHECK(laters == 1 && done(0, TX) == 0 && done(1, RX) == 4, "a long one takes several turns");
    virtio_work(&virtio);
    CHECK(laters == 1 && done(0, TX) == 1 && done(1, RX) == 6 &&
              vsocks[1].received.bytes == data.size,
          "and is whole in the end");
}

/* ---- Refusing ------------------------------------------------------------------------------- */

static void refuse_one(struct header header, const char *what)
{
    start();
    give(0, 1, 2048);
    give(1, 1, 2048);
    send_packet(0, &header);
    CHECK(done(0, TX) == 1 && done(0, RX) == 1 && is_rst(0, header.dst_cid) && done(1, RX) == 0 &&
              !is_broken(0) && vsocks[0].refused == 1 && vsocks[0].sent.packets == 0,
          what);
}

static void test_refusing(void)
{
    struct header header = packet(RW, 10);

    header.dst_cid = 2;
    refuse_one(header, "refused: what is for the host");
    header.dst_cid = 5;
    refuse_one(header, "refused: what is for nobody");
    header.dst_cid = 0x100000004;
    refuse_one(header, "refused: an address of more than 32 bits");
    header = packet(RW, 10);
    header.src_cid = 4;
    refuse_one(header, "refused: what comes from another");
    header = packet(RW, 10);
    header.type = 2;
    refuse_one(header, "refused: another type");
    header = packet(0, 0);
    refuse_one(header, "refused: operation 0");
    header = packet(8, 0);
    refuse_one(header, "refused: operation 8");
}

static void test_rst(void)
{
    struct header rst = packet(RST, 0), data = packet(RW, 10);

    start();
    rst.dst_cid = 9;
    give(0, 1, 2048);
    send_packet(0, &rst);
    CHECK(done(0, TX) == 1 && done(0, RX) == 0, "nobody answers an RST");
    start();
    data.dst_cid = 9;
    send_packet(0, &data);
    CHECK(done(0, TX) == 0, "an RST waits for a buffer too");
    give(0, 1, 2048);
    CHECK(wakes[0] == 1, "of the sender's own");
    virtio_work(&virtio);
    CHECK(done(0, TX) == 1 && is_rst(0, 9), "and comes then");
}

/* ---- Events --------------------------------------------------------------------------------- */

static void connect(void)
{
    struct header request = packet(REQUEST, 0), response = packet(RESPONSE, 0);

    give(0, 2, 2048);
    give(1, 2, 2048);
    send_packet(0, &request);
    response.src_cid = 4;
    response.dst_cid = 3;
    send_packet(1, &response);
    memset(wakes, 0, sizeof(wakes));
}

static void give_event_buffer(unsigned int guest, uint32_t size)
{
    use_guest(guest);
    put(BUFFERS + 0x10000, ~0ull, 8);
    descriptor(DESC + EVENT * QUEUE, 0, BUFFERS + 0x10000, size, D_WRITE, 0);
    offer_to(EVENT, 0);
    kick_queue(EVENT);
}

static void reset_device(unsigned int guest)
{
    use_guest(guest);
    bar_out(C_STATUS, 1, 0);
}

static void test_events(void)
{
    start();
    give_event_buffer(0, 8);
    connect();
    CHECK(done(0, EVENT) == 0, "there is no event while all is well");
    reset_device(1);
    CHECK(wakes[0] == 1, "who has a connection to one that goes is woken");
    virtio_work(&virtio);
    CHECK(done(0, EVENT) == 1 && get(BUFFERS + 0x10000, 8) == 0xffffffff00000000,
          "and told to look after its connections");
    reset_device(0);
    CHECK(wakes[1] == 0, "nobody is told twice");
    start();
    connect();
    reset_device(0);
    virtio_work(&second);
    CHECK(wakes[1] == 1 && done(1, EVENT) == 0, "an event waits for its buffer");
    give_event_buffer(1, 4);
    CHECK(done(1, EVENT) == 1 && (uint32_t)get(BUFFERS + 0x10000, 4) == 0, "and comes then");
    start();
    give(1, 1, 2048);
    struct header request = packet(REQUEST, 0);
    send_packet(0, &request);
    reset_device(0);
    CHECK(wakes[1] == 0, "a request alone is no connection");
    start();
    connect();
    give_event_buffer(0, 2);
    reset_device(1);
    virtio_work(&virtio);
    CHECK(is_broken(0) && !hub.live[0], "a buffer that is too small for an event");
}

/* ---- Mistakes ------------------------------------------------------------------------------- */

static void test_sender_mistakes(void)
{
    struct header data = packet(RW, 1000);

    start();
    use_guest(0);
    descriptor(DESC + TX * QUEUE, 0, PACKET, HEADER - 1, 0, 0);
    offer_to(TX, 0);
    kick_queue(TX);
    CHECK(is_broken(0) && !is_broken(1), "a header that is too short");
    start();
    give(1, 1, 2048);
    data.size = 1001;
    use_guest(0);
    memcpy(&ram[PACKET - RAM_BASE], &data, HEADER);
    descriptor(DESC + TX * QUEUE, 0, PACKET, HEADER + 1000, 0, 0);
    offer_to(TX, 0);
    kick_queue(TX);
    CHECK(is_broken(0) && done(1, RX) == 0, "more data than there are");
    start();
    give(1, 2, 2048);
    use_guest(0);
    data.size = 1000;
    memcpy(&ram[PACKET - RAM_BASE], &data, HEADER);
    descriptor(DESC + TX * QUEUE, 0, PACKET, HEADER, D_NEXT, 1);
    descriptor(DESC + TX * QUEUE, 1, RAM_BASE + RAM_SIZE - 900, 1000, 0, 0);
    offer_to(TX, 0);
    kick_queue(TX);
    CHECK(is_broken(0) && !is_broken(1) && done(1, RX) == 0, "data from nowhere");
    data = packet(REQUEST, 0);
    data.src_cid = 4;
    data.dst_cid = 4;
    send_packet(1, &data);
    CHECK(done(1, RX) == 1 && received(1, 0)->op == REQUEST, "cost the receiver no buffer");
}

static void receiver_mistake(uint64_t gpa, uint32_t size, unsigned int flags, const char *what)
{
    struct header data = packet(RW, 100);

    start();
    give(0, 1, 2048);
    use_guest(1);
    descriptor(DESC, 0, gpa, size, flags, 0);
    offer_to(RX, 0);
    kick_queue(RX);
    send_packet(0, &data);
    CHECK(is_broken(1) && !is_broken(0) && done(0, TX) == 1 && is_rst(0, 4), what);
}

static void test_receiver_mistakes(void)
{
    receiver_mistake(BUFFERS, HEADER, D_WRITE, "gone: a buffer without room for data");
    receiver_mistake(BUFFERS, 2048, 0, "gone: one that may not be written");
    receiver_mistake(RAM_BASE + RAM_SIZE - 10, 2048, D_WRITE, "gone: one without RAM");
    receiver_mistake(RAM_BASE + RAM_SIZE - 100, 2048, D_WRITE, "gone: one that ends too early");
    receiver_mistake(BUFFERS, 0, D_WRITE, "gone: one without a length");
}

int main(void)
{
    test_identity();
    test_delivering();
    test_ignored_data();
    test_splitting();
    test_waiting();
    test_waiting_for_each_other();
    test_leaving();
    test_long();
    test_refusing();
    test_rst();
    test_events();
    test_sender_mistakes();
    test_receiver_mistakes();
    return check_done();
}
