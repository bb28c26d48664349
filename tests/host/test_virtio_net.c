/* SPDX-License-Identifier: MIT */
/* Two guests with a network device each, on one switch: frames, what is said of them, and drivers
 * that break rules. */
#include "tests/host/virtio_world.h"

#include "hv/vdev/virtio_net.h"
#include "tests/host/check.h"

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)
#define CSUM     BIT(0)
#define G_CSUM   BIT(1)
#define G_TSO4   BIT(7)
#define TSO4     BIT(11)
#define MRG      BIT(15)
#define ALL      (CSUM | G_CSUM | G_TSO4 | TSO4 | MRG)

#define RECEIVE 0
#define SEND    1
#define HEADER  12u
#define FRAME   (RAM_BASE + 0x10000) /* of the sender, with its header in front */
#define BUFFERS (RAM_BASE + 0x10000) /* of the receiver */
#define MAC(n)  (0x020000000000ull + (n))

static struct vswitch lan;
static struct virtio_net nets[2];

static void plug_net(unsigned int guest, uint64_t features)
{
    struct virtio_net *net = &nets[guest];

    use_guest(guest);
    net->virtio = device;
    virtio_net_attach(net, &lan, MAC(guest));
    plug(&virtio_net_kind, (struct virtio_setup){.dev = net,
                                                 .features = virtio_net_features(),
                                                 .config = &net->config,
                                                 .config_size = sizeof(net->config)});
    start_queues(features | FEATURES, 64, 2);
}

/* Guest 0 sends, guest 1 receives. */
static void set_up(uint64_t sends, uint64_t receives)
{
    for (unsigned int i = 0; i < 2; i++)
        if (nets[i].port.owner)
            virtio_off(i ? &second : &virtio);
    memset(&lan, 0, sizeof(lan));
    plug_net(0, sends);
    plug_net(1, receives);
}

/* The receiver's buffers, one behind the other, so that what they get lies in one piece. */
static void give_buffers(unsigned int count, uint32_t size)
{
    use_guest(1);
    memset(&ram[BUFFERS - RAM_BASE], 0xee, count * size);
    for (unsigned int i = 0; i < count; i++) {
        descriptor(DESC, i, BUFFERS + (uint64_t)i * size, size, D_WRITE, 0);
        offer((uint16_t)i);
    }
    kick_queue(RECEIVE);
}

struct header {
    uint8_t flags, gso_type;
    uint16_t header_size, gso_size, csum_start, csum_offset, buffers;
};

/* A frame that counts up, from guest 0 to guest 1. */
static void make_frame(const struct header *header, uint32_t size)
{
    static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0};

    use_guest(0);
    memcpy(&ram[FRAME - RAM_BASE], header, HEADER);
    for (uint32_t i = 0; i < size; i++)
        ram[FRAME + HEADER + i - RAM_BASE] = i < 12 ? addresses[i] : (uint8_t)(i * 7 + i / 251);
}

static void send_frame(const struct header *header, uint32_t size)
{
    make_frame(header, size);
    descriptor(DESC + QUEUE, 0, FRAME, HEADER + size, 0, 0);
    offer_to(SEND, 0);
    kick_queue(SEND);
}

/* Whether guest 1's buffers hold the frame that guest 0 has, but for some bytes. */
static bool arrived(uint32_t size, uint32_t except, uint32_t count)
{
    const uint8_t *sent = &rams[0][FRAME + HEADER - RAM_BASE];
    const uint8_t *got = &rams[1][BUFFERS + HEADER - RAM_BASE];

    except = except < size ? except : size;
    count = count < size - except ? count : size - except;
    return memcmp(sent, got, except) == 0 &&
           memcmp(sent + except + count, got + except + count, size - except - count) == 0;
}

static const struct header *got_header(void)
{
    return (const struct header *)&rams[1][BUFFERS - RAM_BASE];
}

static bool used_is(uint16_t index)
{
    use_guest(1);
    return used_index() == index;
}

/* ---- Frames --------------------------------------------------------------------------------- */

static const struct header plain;

static void test_identity(void)
{
    set_up(ALL, ALL);
    CHECK(config_in(0, 4) == 0x10411af4 && config_in(8, 4) == 0x02000001, "the network device");
    CHECK(bar_in(B_DEVICE, 4) == 0x2 && bar_in(B_DEVICE + 4, 4) == 0x10100,
          "its MAC; the link is up");
    CHECK(bar_in(C_QUEUES, 2) == 2 && (offered_features() & 0xffffff) == 0x199a3,
          "two queues, and what it offers");
}

static void test_frames(void)
{
    static const uint32_t sizes[] = {14, 60, 1514, 4096, 4097, 9014};

    for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        set_up(ALL, ALL);
        give_buffers(1, 0x4000);
        send_frame(&plain, sizes[i]);
        CHECK(used_is(1) && used_size(0) == HEADER + sizes[i] && arrived(sizes[i], 0, 0) &&
                  got_header()->buffers == 1 && interrupts[1] == 1,
              "a frame arrives");
    }
    use_guest(0);
    CHECK(get(USED + QUEUE + 2, 2) == 1 && interrupts[2] == 1,
          "and the sender has its buffer back");
    CHECK(nets[0].port.sent.bytes == 9014 && nets[1].port.received.packets == 1, "counted");
}

static void test_sizes(void)
{
    set_up(ALL, ALL);
    give_buffers(3, 0x8000);
    send_frame(&plain, 13);
    send_frame(&plain, 65551);
    CHECK(used_is(0) && nets[0].port.refused == 2, "runts and giants are no frames");
    send_frame(&plain, 65550);
    CHECK(used_is(3) && arrived(65550, 0, 0) && got_header()->buffers == 3, "the longest is one");
    use_guest(0);
    CHECK(get(USED + QUEUE + 2, 2) == 3 && !needs_reset(), "the sender goes on with all of them");
}

static void test_many_buffers(void)
{
    set_up(ALL, ALL);
    give_buffers(10, 256);
    send_frame(&plain, 1000);
    CHECK(used_is(4) && got_header()->buffers == 4 && arrived(1000, 0, 0),
          "a frame in four buffers");
    CHECK(used_id(0) == 0 && used_size(0) == 256 && used_id(3) == 3 &&
              used_size(3) == 1012 - 3 * 256 && interrupts[1] == 1,
          "which come at once, in their order");
    send_frame(&plain, 1600);
    CHECK(used_is(4) && nets[1].port.lost == 1, "one for which there is not enough is lost");
    send_frame(&plain, 600);
    CHECK(used_is(7) && used_id(4) == 4 && used_size(4) == 256, "the buffers were not");
    set_up(ALL, ALL & ~MRG);
    give_buffers(4, 1024);
    send_frame(&plain, 1013);
    send_frame(&plain, 1012);
    CHECK(used_is(1) && nets[1].port.lost == 1 && arrived(1012, 0, 0),
          "without merging one buffer takes it or not");
    set_up(ALL, ALL);
    send_frame(&plain, 60);
    CHECK(used_is(0) && nets[1].port.lost == 1, "no buffer at all");
    give_buffers(1, 2048);
    send_frame(&plain, 60);
    CHECK(used_is(1), "and then one");
}

static void test_pieces(void)
{
    set_up(ALL, ALL);
    give_buffers(1, 0x4000);
    make_frame(&plain, 9000);
    descriptor(DESC + QUEUE, 0, FRAME, 5, D_NEXT, 1);
    descriptor(DESC + QUEUE, 1, FRAME + 5, 10, D_NEXT, 2);
    descriptor(DESC + QUEUE, 2, FRAME + 15, 6, D_NEXT, 3);
    descriptor(DESC + QUEUE, 3, FRAME + 21, HEADER + 9000 - 21, 0, 0);
    offer_to(SEND, 0);
    kick_queue(SEND);
    CHECK(used_is(1) && arrived(9000, 0, 0), "a frame in odd pieces");
    set_up(ALL, ALL);
    use_guest(1);
    descriptor(DESC, 0, BUFFERS, 11, D_WRITE | D_NEXT, 1);
    descriptor(DESC, 1, BUFFERS + 11, 30, D_WRITE | D_NEXT, 2);
    descriptor(DESC, 2, BUFFERS + 41, 700, D_WRITE, 0);
    descriptor(DESC, 3, BUFFERS + 741, 800, D_WRITE, 0);
    offer(0);
    offer(3);
    send_frame(&plain, 1500);
    CHECK(used_is(2) && arrived(1500, 0, 0) && got_header()->buffers == 2 && used_size(0) == 741,
          "into odd pieces, the header among them");
}

/* ---- What is said of them ------------------------------------------------------------------- */

/* The sum of the received bytes from start on, and of what the sender had put in the checksum's
 * place for those that are not in the packet: 0xffff where the checksum is right. */
static uint32_t received_sum(uint32_t start, uint32_t size, uint32_t place)
{
    const uint8_t *sent = &rams[0][FRAME + HEADER - RAM_BASE];
    const uint8_t *got = &rams[1][BUFFERS + HEADER - RAM_BASE];
    uint32_t sum = (uint32_t)sent[place] << 8 | sent[place + 1];

    for (uint32_t i = start; i < size; i++)
        sum += (uint32_t)got[i] << ((i - start) % 2 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static void test_checksums(void)
{
    static const uint32_t sizes[] = {60, 61, 1514, 9001};
    struct header unfinished = {.flags = 1, .csum_start = 34, .csum_offset = 16};

    set_up(ALL, ALL);
    give_buffers(1, 0x4000);
    send_frame(&unfinished, 1514);
    CHECK(used_is(1) && arrived(1514, 0, 0) && got_header()->flags == 1 &&
              got_header()->csum_start == 34 && got_header()->csum_offset == 16,
          "an unfinished checksum is handed on");
    for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        set_up(ALL, 0);
        give_buffers(1, 0x4000);
        unfinished.csum_offset = (uint16_t)(i % 2 ? 6 : 16);
        send_frame(&unfinished, sizes[i]);
        CHECK(used_is(1) && got_header()->flags == 0 && got_header()->csum_start == 0 &&
                  arrived(sizes[i], 34u + unfinished.csum_offset, 2) && !arrived(sizes[i], 0, 0) &&
                  received_sum(34, sizes[i], 34u + unfinished.csum_offset) == 0xffff,
              "and finished for who does not take it");
    }
    set_up(ALL, MRG);
    give_buffers(3, 63); /* the checksum lies across the end of the first */
    unfinished.csum_offset = 16;
    send_frame(&unfinished, 150);
    CHECK(used_is(3) && arrived(150, 50, 2) && received_sum(34, 150, 50) == 0xffff,
          "over the end of a buffer too");
}

/* What is false in a header: nobody hears of such a frame. */
static void test_false_headers(void)
{
    static const struct {
        struct header header;
        uint64_t features;
        const char *what;
    } rows[] = {
        {{.flags = 1, .csum_start = 100, .csum_offset = 0}, ALL, "a checksum behind the end"},
        {{.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, ALL, "one that wraps"},
        {{.flags = 1, .csum_start = 84, .csum_offset = 15}, ALL, "one across the end"},
        {{.flags = 1, .csum_start = 34, .csum_offset = 16}, 0, "one that was not negotiated"},
        {{.gso_type = 1, .gso_size = 40}, ALL, "segments without a checksum"},
        {{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1}, ALL, "segments of 0"},
        {{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 3, .gso_size = 40},
         ALL,
         "segments of UDP"},
        {{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 0x81, .gso_size = 40},
         ALL,
         "segments with ECN"},
        {{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 4, .gso_size = 40},
         ALL,
         "segments that were not negotiated"},
        {{.flags = 1,
          .csum_start = 34,
          .csum_offset = 16,
          .gso_type = 1,
          .gso_size = 40,
          .header_size = 101},
         ALL,
         "headers longer than the frame"},
    };

    for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_up(rows[i].features, ALL);
        give_buffers(1, 0x4000);
        send_frame(&rows[i].header, 100);
        CHECK(used_is(0) && nets[0].port.refused == 1, rows[i].what);
    }
    use_guest(0);
    CHECK(get(USED + QUEUE + 2, 2) == 1 && !needs_reset(), "the sender's device goes on");
    set_up(ALL, ALL);
    give_buffers(1, 0x4000);
    send_frame(&(struct header){.flags = 0xfe, .csum_start = 7, .gso_size = 9, .buffers = 77}, 100);
    CHECK(used_is(1) && memcmp(got_header(), &(struct header){.buffers = 1}, HEADER) == 0,
          "what means nothing is not handed on");
}

static void test_segments(void)
{
    const struct header tcp = {.flags = 1,
                               .gso_type = 1,
                               .header_size = 54,
                               .gso_size = 1448,
                               .csum_start = 34,
                               .csum_offset = 16};
    const struct header *got = got_header();

    set_up(ALL, ALL);
    give_buffers(20, 4096);
    send_frame(&tcp, 65226);
    CHECK(used_is(16) && arrived(65226, 0, 0) && got->buffers == 16, "64 KiB in one frame");
    CHECK(got->flags == 1 && got->gso_type == 1 && got->gso_size == 1448 &&
              got->header_size == 54 && interrupts[1] == 1,
          "with what is said of it, in one interrupt");
    set_up(ALL, ALL & ~G_TSO4);
    give_buffers(20, 4096);
    send_frame(&tcp, 65226);
    CHECK(used_is(0) && nets[1].port.lost == 1, "who does not take it loses it");
    set_up(ALL, ALL & ~G_CSUM);
    give_buffers(20, 4096);
    send_frame(&tcp, 65226);
    CHECK(used_is(0) && nets[1].port.lost == 1, "so who takes no unfinished checksum");
}

/* ---- Drivers that break rules --------------------------------------------------------------- */

static void send_chain(uint64_t gpa, uint32_t size, unsigned int flags)
{
    make_frame(&plain, 100);
    descriptor(DESC + QUEUE, 0, FRAME, HEADER + 20, D_NEXT, 1);
    descriptor(DESC + QUEUE, 1, gpa, size, flags, 2);
    descriptor(DESC + QUEUE, 2, FRAME, 40, flags & D_WRITE, 0);
    offer_to(SEND, 0);
    kick_queue(SEND);
}

static bool sender_stopped(void)
{
    bool received = !used_is(0) || needs_reset();

    use_guest(0);
    return !received && needs_reset() && get(USED + QUEUE + 2, 2) == 0;
}

static void test_bad_senders(void)
{
    static const struct {
        uint64_t gpa;
        uint32_t size;
        unsigned int flags;
        const char *what;
    } rows[] = {
        {RAM_BASE + RAM_SIZE, 60, D_NEXT, "a piece behind RAM"},
        {RAM_BASE + RAM_SIZE - 50, 60, D_NEXT, "one across its end"},
        {RAM_BASE + RAM_SIZE - 4096, 8192, D_NEXT, "a long one across its end"},
        {0xfee00000, 60, D_NEXT, "one in the local APIC"},
        {~0ull - 20, 60, D_NEXT, "one that wraps"},
        {FRAME, 60, D_WRITE, "one to be written"},
        {FRAME, 0, D_NEXT, "one of no length"},
    };

    for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_up(ALL, ALL);
        give_buffers(4, 0x4000);
        send_chain(rows[i].gpa, rows[i].size, rows[i].flags);
        CHECK(sender_stopped(), rows[i].what);
        plug_net(0, ALL);
        send_frame(&plain, 200);
        CHECK(used_is(1) && arrived(200, 0, 0), "a reset, and all is well");
    }
    set_up(ALL, ALL);
    use_guest(0);
    descriptor(DESC + QUEUE, 0, FRAME, HEADER - 1, 0, 0);
    offer_to(SEND, 0);
    kick_queue(SEND);
    CHECK(sender_stopped(), "half a header");
    set_up(ALL, 0);
    give_buffers(1, 0x4000);
    make_frame(&(struct header){.flags = 1, .csum_start = 34, .csum_offset = 16}, 100);
    descriptor(DESC + QUEUE, 0, FRAME, HEADER + 100, D_NEXT, 1);
    descriptor(DESC + QUEUE, 1, RAM_BASE + RAM_SIZE, 100, 0, 0);
    offer_to(SEND, 0);
    kick_queue(SEND);
    CHECK(sender_stopped(), "a piece that is missed while the checksum is made");
}

static void receive_into(uint64_t gpa, uint32_t size, unsigned int flags)
{
    use_guest(1);
    descriptor(DESC, 0, gpa, size, flags, 1);
    descriptor(DESC, 1, BUFFERS, 2048, D_WRITE, 0);
    offer(0);
    send_frame(&plain, 1000);
}

static void test_bad_receivers(void)
{
    static const struct {
        uint64_t gpa;
        uint32_t size;
        unsigned int flags;
        const char *what;
    } rows[] = {
        {RAM_BASE + RAM_SIZE - 8, 2048, D_WRITE, "a buffer across the end of RAM"},
        {RAM_BASE + RAM_SIZE - 100, 2048, D_WRITE, "one with room for the header alone"},
        {BUFFERS, 2048, 0, "one to be read"},
        {BUFFERS, 60, D_NEXT, "one of both kinds"},
        {BUFFERS, 8, D_WRITE, "one too short for the header"},
        {BUFFERS, 8, D_NEXT | D_WRITE | D_INDIRECT, "an indirect table that is none"},
    };

    for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_up(ALL, ALL);
        receive_into(rows[i].gpa, rows[i].size, rows[i].flags);
        CHECK(used_is(0) && needs_reset() && interrupts[1] == 0, rows[i].what);
        use_guest(0);
        CHECK(!needs_reset() && get(USED + QUEUE + 2, 2) == 1, "the sender does not notice");
        plug_net(1, ALL);
        give_buffers(1, 0x4000);
        send_frame(&plain, 200);
        CHECK(used_is(1) && arrived(200, 0, 0), "a reset, and all is well");
    }
    set_up(ALL, ALL);
    give_buffers(60, 13);
    offer(0);
    send_frame(&plain, 60);
    CHECK(used_is(6) && arrived(60, 0, 0), "many small buffers");
    send_frame(&plain, 800);
    CHECK(used_is(6) && nets[1].port.lost == 1, "but there is an end to it");
}

static void test_reset(void)
{
    set_up(ALL, ALL);
    give_buffers(1, 0x4000);
    use_guest(1);
    bar_out(C_STATUS, 1, 0);
    send_frame(&plain, 100);
    CHECK(used_is(0) && nets[1].port.lost == 0 && rams[1][BUFFERS - RAM_BASE] == 0xee,
          "nothing for a driver that has gone");
    set_up(ALL, ALL);
    give_buffers(1, 0x4000);
    config_out(4, 2, 2);
    send_frame(&plain, 100);
    CHECK(used_is(0) && rams[1][BUFFERS - RAM_BASE] == 0xee, "nor for one that is no bus master");
}

int main(void)
{
    test_identity();
    test_frames();
    test_sizes();
    test_many_buffers();
    test_pieces();
    test_checksums();
    test_false_headers();
    test_segments();
    test_bad_senders();
    test_bad_receivers();
    test_reset();
    return check_done();
}
