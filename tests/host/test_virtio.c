/* SPDX-License-Identifier: MIT */
/* The virtio transport and its rings, with a device that copies what it reads to what it writes:
 * negotiation, requests, notifications, and every way in which a driver breaks the rules. */
#include "tests/host/virtio_world.h"

#include "hv/util.h"
#include "tests/host/check.h"

#define ALL (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)
#define OWN BIT(3)

static unsigned int requests;

static int echo(void *dev, unsigned int queue, struct virtq_chain *chain, uint32_t *written)
{
    uint8_t bytes[256];
    uint64_t size = MIN(MIN(chain->readable, chain->writable), sizeof(bytes));
    int error = virtq_pull(chain, bytes, size);

    requests++;
    if (!error)
        error = virtq_push(chain, bytes, size);
    *written = (uint32_t)size;
    return error;
}

static const struct virtio_kind echo_kind = {
    .id = 42, .class = 0xff0000, .queues = 2, .queue_size = 256, .request = echo};

static void plug_echo(void)
{
    static const uint8_t config[5] = {1, 2, 3, 4, 5};

    requests = 0;
    plug(&echo_kind,
         (struct virtio_setup){.features = OWN, .config = config, .config_size = sizeof(config)});
}

static void start(uint64_t features, uint16_t size)
{
    plug_echo();
    start_driver(features, size);
}

/* ---- What the driver finds ------------------------------------------------------------------ */

static void test_identity(void)
{
    unsigned int at = 0, types = 0;

    plug_echo();
    CHECK(config_in(0, 4) == 0x106a1af4 && config_in(8, 1) == 1 && config_in(0x2e, 2) == 0x106a,
          "a modern device: its id, revision 1");
    for (at = (unsigned int)config_in(0x34, 1); at; at = (unsigned int)config_in(at + 1, 1))
        if (config_in(at, 1) == 9)
            types |= 1u << config_in(at + 3, 1);
    CHECK(types == 0x3e, "common, notify, ISR, device configuration and window are in the list");
    CHECK(bar_in(C_QUEUES, 2) == 2 && bar_in(C_QUEUE_SIZE, 2) == 256, "two queues of 256");
    bar_out(C_QUEUE_SELECT, 2, 1);
    CHECK(bar_in(C_NOTIFY_OFF, 2) == 1, "each has its own doorbell");
    bar_out(C_QUEUE_SELECT, 2, 2);
    CHECK(bar_in(C_QUEUE_SIZE, 2) == 0, "there is no third");
    CHECK(bar_in(B_DEVICE, 4) == 0x04030201 && bar_in(B_DEVICE + 4, 4) == 5 &&
              bar_in(B_DEVICE + 8, 8) == 0 && bar_in(B_DEVICE + 0xfff, 8) == 0,
          "the configuration, and zeroes behind it");
}

static void test_negotiation(void)
{
    plug_echo();
    CHECK(offered_features() == (ALL | OWN), "what is offered");
    bar_out(C_DEVICE_SELECT, 4, 2);
    CHECK(bar_in(C_DEVICE_FEATURE, 4) == 0, "and nothing beyond 64 bits");
    choose_features(ALL | BIT(7));
    bar_out(C_STATUS, 1, 0xb);
    CHECK(bar_in(C_STATUS, 1) == 3, "a feature that is not offered is refused");
    choose_features(OWN);
    bar_out(C_STATUS, 1, 0xb);
    CHECK(bar_in(C_STATUS, 1) == 3, "so is a driver from before 1.0");
    choose_features(ALL);
    bar_out(C_STATUS, 1, 0xb);
    CHECK(bar_in(C_STATUS, 1) == 0xb, "a part of it is accepted");
    choose_features(0);
    bar_out(C_DRIVER_SELECT, 4, 1);
    CHECK(bar_in(C_DRIVER_FEATURE, 4) == 1, "and stands from then on");
    bar_out(C_STATUS, 1, 0);
    CHECK(bar_in(C_STATUS, 1) == 0 && bar_in(C_DRIVER_FEATURE, 4) == 0, "until the reset");
    bar_out(C_STATUS, 1, 0xff & ~0x40);
    CHECK(needs_reset(), "DRIVER_OK without features is a mistake");
}

/* ---- Requests ------------------------------------------------------------------------------- */

static void offer_echo(uint16_t head, const char *text, uint32_t size)
{
    memcpy(&ram[DATA - RAM_BASE + head * 256u], text, size);
    descriptor(DESC, head, DATA + head * 256u, size, D_NEXT, head + 1u);
    descriptor(DESC, head + 1u, DATA + head * 256u + 128, 128, D_WRITE, 0);
    offer(head);
}

static bool echoed(uint16_t index, uint16_t head, const char *text, uint32_t size)
{
    return used_id(index) == head && used_size(index) == size &&
           memcmp(&ram[DATA - RAM_BASE + head * 256u + 128], text, size) == 0;
}

static void test_requests(void)
{
    start(VIRTIO_F_VERSION_1, 8);
    offer_echo(0, "one", 3);
    CHECK(requests == 0 && used_index() == 0, "nothing happens before the doorbell");
    kick();
    CHECK(used_index() == 1 && echoed(0, 0, "one", 3) && interrupts[1] == 1, "one request");
    CHECK(bar_in(B_ISR, 1) == 1 && bar_in(B_ISR, 1) == 0, "the ISR status is read once");
    offer_echo(2, "two", 3);
    offer_echo(4, "three", 5);
    kick();
    CHECK(used_index() == 3 && echoed(1, 2, "two", 3) && echoed(2, 4, "three", 5) &&
              interrupts[1] == 2,
          "two at once, with one interrupt");
    for (unsigned int i = 0; i < 70000; i++) {
        offer(0);
        kick();
    }
    CHECK(used_index() == (uint16_t)70003 && interrupts[1] == 70002, "the indices wrap");
    put(AVAIL, 1, 2);
    offer(0);
    kick();
    CHECK(used_index() == (uint16_t)70004 && interrupts[1] == 70002,
          "without an interrupt where the driver wants none");
    CHECK(!needs_reset(), "all is well");
}

static void test_event_index(void)
{
    start(ALL, 8);
    put(AVAIL + 4 + 2 * 8, 2, 2); /* used_event: tell me of the third */
    for (uint16_t i = 0; i < 4; i++) {
        offer_echo(0, "x", 1);
        kick();
        if (i == 1)
            CHECK(interrupts[1] == 0, "the driver has asked for later");
    }
    CHECK(used_index() == 4 && interrupts[1] == 1, "one interrupt, at its place");
    CHECK(get(USED + 4 + 8 * 8, 2) == 4, "the device asks for the next");
}

static void test_indirect(void)
{
    uint64_t table = DATA + 0x8000;

    start(ALL, 8);
    memcpy(&ram[DATA - RAM_BASE], "indirect", 8);
    descriptor(table, 0, DATA, 4, D_NEXT, 2);
    descriptor(table, 2, DATA + 4, 4, D_NEXT, 1);
    descriptor(table, 1, DATA + 64, 8, D_WRITE, 0);
    descriptor(DESC, 5, table, 48, D_INDIRECT, 0);
    offer(5);
    kick();
    CHECK(used_index() == 1 && used_id(0) == 5 && used_size(0) == 8 &&
              memcmp(&ram[DATA + 64 - RAM_BASE], "indirect", 8) == 0,
          "a chain in a table of its own");
    descriptor(DESC, 0, DATA, 4, D_NEXT, 1);
    descriptor(DESC, 1, table, 16, D_INDIRECT, 0);
    descriptor(table, 0, DATA + 80, 4, D_WRITE, 0);
    offer(0);
    kick();
    CHECK(used_index() == 2 && get(DATA + 80, 4) == get(DATA, 4), "one that begins in the queue");
    start(VIRTIO_F_VERSION_1, 8);
    descriptor(DESC, 0, table, 16, D_INDIRECT, 0);
    offer(0);
    kick();
    CHECK(needs_reset(), "none where it was not negotiated");
}

/* The ring is filled anew while it is emptied, without end. */
static void never_stop(void)
{
    put(AVAIL + 2, used_index() + 8u, 2);
}

static void test_credit(void)
{
    start(ALL, 8);
    offer_echo(0, "x", 1);
    meddle = never_stop;
    kick();
    CHECK(requests == 256 && laters == 1, "a driver that never stops gets a ring full at a time");
    virtio_work(&virtio);
    CHECK(requests == 512 && laters == 2 && !needs_reset(), "and goes on later");
    meddle = NULL;
    requests = 0;
    virtio_work(&virtio);
    CHECK(requests <= 8 && laters == 2 && avail_index() == used_index(), "until it stops");
}

static unsigned int looks;

static void count_look(void)
{
    looks++;
}

static void test_looks(void)
{
    start(ALL, 8);
    offer_echo(0, "x", 1);
    meddle = count_look;
    kick();
    meddle = NULL;
    CHECK(requests == 1 && looks == 4,
          "one request: the index, the head, the index again, what is to be told");
}

/* ---- The rules ------------------------------------------------------------------------------ */

static void break_index(void)
{
    put(AVAIL + 2, 9, 2);
}

static void break_head(void)
{
    offer(8);
}

static void break_far_head(void)
{
    offer(0xffff);
}

static void break_next(void)
{
    descriptor(DESC, 0, DATA, 4, D_NEXT, 8);
    offer(0);
}

static void break_loop(void)
{
    descriptor(DESC, 0, DATA, 4, D_NEXT, 1);
    descriptor(DESC, 1, DATA, 4, D_NEXT, 0);
    offer(0);
}

static void break_self(void)
{
    descriptor(DESC, 0, DATA, 4, D_NEXT | D_WRITE, 0);
    offer(0);
}

static void break_empty(void)
{
    descriptor(DESC, 0, DATA, 0, 0, 0);
    offer(0);
}

static void break_order(void)
{
    descriptor(DESC, 0, DATA, 4, D_NEXT | D_WRITE, 1);
    descriptor(DESC, 1, DATA, 4, 0, 0);
    offer(0);
}

static void offer_pair(uint64_t from, uint32_t from_size, uint64_t to, uint32_t to_size)
{
    descriptor(DESC, 0, from, from_size, D_NEXT, 1);
    descriptor(DESC, 1, to, to_size, D_WRITE, 0);
    offer(0);
}

static void break_from(void)
{
    offer_pair(0xfee00000, 16, DATA, 16);
}

static void break_to(void)
{
    offer_pair(DATA, 16, RAM_BASE + RAM_SIZE - 8, 16);
}

static void break_null(void)
{
    offer_pair(DATA, 16, 0, 16);
}

static void break_wrap(void)
{
    offer_pair(~0ull - 7, 16, DATA, 16);
}

static void break_4g(void)
{
    offer_pair(RAM_BASE + RAM_SIZE - 16, 0xffffffff, DATA, 0xffffffff);
}

static void indirect(uint64_t gpa, uint32_t size, unsigned int flags)
{
    descriptor(DESC, 0, gpa, size, D_INDIRECT | flags, 1);
    offer(0);
}

static void break_indirect_odd(void)
{
    indirect(DATA, 17, 0);
}

static void break_indirect_empty(void)
{
    indirect(DATA, 0, 0);
}

static void break_indirect_next(void)
{
    indirect(DATA, 16, D_NEXT);
}

static void break_indirect_nowhere(void)
{
    indirect(0xd0000000, 16, 0);
}

static void break_indirect_wrap(void)
{
    indirect(~0ull - 15, 0xfffffff0, 0);
}

static void break_indirect_twice(void)
{
    descriptor(DATA, 0, DATA, 16, D_INDIRECT, 0);
    indirect(DATA, 16, 0);
}

static void break_indirect_loop(void)
{
    descriptor(DATA, 0, DATA + 64, 4, D_NEXT, 0);
    indirect(DATA, 0xfffffff0, 0);
}

static void break_indirect_end(void)
{
    descriptor(DATA, 0, DATA + 64, 4, D_NEXT, 1);
    indirect(DATA, 16, 0);
}

#define BREAK(name, words)  \
    {                       \
        break_##name, words \
    }

static const struct {
    void (*act)(void);
    const char *what;
} mistakes[] = {
    BREAK(index, "an available index that jumps"),
    BREAK(head, "a head behind the table"),
    BREAK(far_head, "a head far behind it"),
    BREAK(next, "a link behind the table"),
    BREAK(loop, "a loop"),
    BREAK(self, "a descriptor that is its own next"),
    BREAK(empty, "a length of 0"),
    BREAK(order, "a readable buffer behind a writable one"),
    BREAK(from, "a buffer in the local APIC"),
    BREAK(to, "a buffer across the end of RAM"),
    BREAK(null, "a buffer where no RAM is"),
    BREAK(wrap, "a buffer that wraps"),
    BREAK(4g, "lengths of 4 GiB"),
    BREAK(indirect_odd, "an indirect table of an odd size"),
    BREAK(indirect_empty, "an empty one"),
    BREAK(indirect_next, "one with a next"),
    BREAK(indirect_nowhere, "one that is not in RAM"),
    BREAK(indirect_wrap, "one that wraps"),
    BREAK(indirect_twice, "one in another"),
    BREAK(indirect_loop, "a loop in one"),
    BREAK(indirect_end, "a link behind its end"),
};

static void test_mistakes(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(mistakes); i++) {
        unsigned int before;

        start(ALL, 8);
        mistakes[i].act();
        kick();
        before = requests;
        bool stopped = needs_reset() && interrupts[0] == 1 && used_index() == 0;
        offer_echo(2, "x", 1);
        kick();
        virtio_work(&virtio);
        stopped = stopped && requests == before && interrupts[0] == 1 && bar_in(B_ISR, 1) == 2;
        start_driver(ALL, 8);
        offer_echo(2, "x", 1);
        kick();
        CHECK(stopped && !needs_reset() && used_index() == 1, mistakes[i].what);
    }
}

static const uint64_t bad_areas[][3] = {
    {DESC + 8, AVAIL, USED}, {DESC, AVAIL + 1, USED}, {DESC, AVAIL, USED + 2},
    {~0xfull, AVAIL, USED},  {DESC, ~0xfull, USED},   {DESC, AVAIL, ~0xfull},
};
static const uint64_t no_ram_areas[][3] = {
    {0xfee00000, AVAIL, USED},
    {DESC, 0, USED},
    {DESC, AVAIL, RAM_BASE + RAM_SIZE},
};

static void place(const uint64_t areas[3], uint16_t size)
{
    plug_echo();
    choose_features(ALL);
    bar_out(C_STATUS, 1, 0xb);
    bar_out(C_QUEUE_SIZE, 2, size);
    for (unsigned int i = 0; i < 3; i++)
        bar_out(C_DESC + 8 * i, 8, areas[i]);
    bar_out(C_QUEUE_ENABLE, 2, 1);
}

static void test_areas(void)
{
    static const uint64_t good[3] = {DESC, AVAIL, USED};
    static const uint16_t bad_sizes[] = {0, 3, 255};
    unsigned int refused = 0;

    for (unsigned int i = 0; i < ARRAY_SIZE(bad_areas); i++) {
        place(bad_areas[i], 8);
        refused += needs_reset() && bar_in(C_QUEUE_ENABLE, 2) == 0;
    }
    CHECK(refused == ARRAY_SIZE(bad_areas), "areas that are not aligned or wrap are refused");
    for (unsigned int i = refused = 0; i < ARRAY_SIZE(bad_sizes); i++) {
        place(good, bad_sizes[i]);
        refused += needs_reset();
    }
    CHECK(refused == ARRAY_SIZE(bad_sizes), "so are sizes that are no powers of two");
    place(good, 0xffff);
    CHECK(bar_in(C_QUEUE_SIZE, 2) == 256 && !needs_reset(), "a size too large is the largest");
    for (unsigned int i = refused = 0; i < ARRAY_SIZE(no_ram_areas); i++) {
        place(no_ram_areas[i], 8);
        ring_size = 8;
        offer_echo(0, "x", 1);
        bar_out(C_STATUS, 1, 0xf);
        kick();
        refused += needs_reset();
    }
    CHECK(refused == ARRAY_SIZE(no_ram_areas), "areas without RAM show when they are used");
}

static void test_queue_rules(void)
{
    plug_echo();
    set_up_queue(0, 8);
    CHECK(needs_reset(), "a queue is not enabled before the features are chosen");
    start(ALL, 8);
    bar_out(C_DESC, 8, DATA);
    bar_out(C_QUEUE_SIZE, 2, 4);
    bar_out(C_QUEUE_ENABLE, 2, 1);
    bar_out(C_QUEUE_ENABLE, 2, 0);
    CHECK(bar_in(C_DESC, 8) == DESC && bar_in(C_QUEUE_SIZE, 2) == 8 &&
              bar_in(C_QUEUE_ENABLE, 2) == 1 && !needs_reset(),
          "an enabled queue stands still");
    bar_out(C_QUEUE_VECTOR, 2, 3);
    CHECK(bar_in(C_QUEUE_VECTOR, 2) == 0xffff, "a vector that is not there is none");
    offer_echo(0, "x", 1);
    kick();
    CHECK(used_index() == 1 && interrupts[1] == 0, "work is done without a vector too");
    bar_out(C_QUEUE_SELECT, 2, 0xffff);
    bar_out(C_DESC, 8, 1);
    bar_out(C_QUEUE_ENABLE, 2, 1);
    CHECK(!needs_reset() && bar_in(C_DESC, 8) == 0, "a queue that is not there takes nothing");
    bar_out(B_NOTIFY + 4, 2, 1);
    bar_out(B_NOTIFY + 8, 4, 2);
    bar_out(B_NOTIFY + 0xffc, 8, 2);
    CHECK(!needs_reset() && used_index() == 1, "doorbells of no queue ring nowhere");
}

static void test_reset_in_the_middle(void)
{
    start(ALL, 8);
    offer_echo(0, "x", 1);
    bar_out(C_STATUS, 1, 0);
    kick();
    virtio_work(&virtio);
    CHECK(requests == 0 && used_index() == 0 && bar_in(C_QUEUE_ENABLE, 2) == 0 &&
              bar_in(C_DESC, 8) == 0 && bar_in(C_QUEUE_VECTOR, 2) == 0xffff,
          "a reset forgets the queue and what waits in it");
    start_driver(ALL, 8);
    config_out(4, 2, 2);
    offer_echo(0, "x", 1);
    kick();
    CHECK(requests == 0, "a function that may not be master reaches no memory");
    config_out(4, 2, 6);
    kick();
    CHECK(requests == 1, "until it may");
}

/* Every register at every width and offset: the sanitizers are the check. */
static void test_accesses(void)
{
    uint64_t sum = 0;

    start(ALL, 8);
    for (unsigned int offset = 0; offset < 0x8000; offset += offset % 0x1000 < 0x60 ? 1 : 61)
        for (unsigned int shift = 0; shift < 4; shift++) {
            sum += bar_in(offset, (uint8_t)(1u << shift));
            bar_out(offset, (uint8_t)(1u << shift), ~0ull);
        }
    bar_out(C_STATUS, 1, 0);
    CHECK(bar_in(C_STATUS, 1) == 0 && sum != 0, "no access of any width and offset does harm");
}

/* ---- A device that speaks first ------------------------------------------------------------- */

static unsigned int refills, changes;
static bool is_full; /* the device takes nothing now */
static uint8_t swallowed;

static int swallow(void *dev, unsigned int queue, struct virtq_chain *chain, uint32_t *written)
{
    if (is_full)
        return -EAGAIN;
    requests++;
    return virtq_pull(chain, &swallowed, 1);
}

static void note_refill(void *dev, unsigned int queue)
{
    refills += queue == 0;
}

static void note_change(void *dev, bool live)
{
    changes = changes * 2 + live;
}

/* Queue 0 receives, queue 1 sends; the second half of the configuration is the driver's. */
static const struct virtio_kind line_kind = {.id = 43,
                                             .class = 0xff0000,
                                             .queues = 2,
                                             .queue_size = 256,
                                             .receives = 1,
                                             .config_writable = 4,
                                             .request = swallow,
                                             .refilled = note_refill,
                                             .changed = note_change};

static void start_line(void)
{
    static const uint8_t config[8] = {1, 2, 3, 4, 5, 6, 7, 8};

    requests = refills = changes = 0;
    is_full = false;
    plug(&line_kind, (struct virtio_setup){.config = config, .config_size = sizeof(config)});
    start_driver(ALL, 8);
}

static void test_receive(void)
{
    struct virtq_chain chain;

    start_line();
    CHECK(changes == 1, "the device hears that its driver is there");
    CHECK(!virtio_take(&virtio, 0, &chain), "no buffer yet");
    descriptor(DESC, 0, DATA, 16, D_WRITE, 0);
    descriptor(DESC, 1, DATA + 16, 16, D_WRITE, 0);
    refills = 0;
    offer(0);
    offer(1);
    kick();
    CHECK(refills == 1 && requests == 0, "buffers that are for what comes are no request");
    CHECK(virtio_take(&virtio, 0, &chain) && chain.head == 0 && chain.writable == 16, "the first");
    virtio_untake(&virtio, 0, 1);
    CHECK(virtio_take(&virtio, 0, &chain) && chain.head == 0, "taken back, it is the next again");
    CHECK(virtq_push(&chain, "hello", 5) == 0 && used_index() == 0, "filled");
    virtio_give(&virtio, 0, chain.head, 5);
    CHECK(used_index() == 1 && used_size(0) == 5 && interrupts[1] == 0, "given, not told");
    virtio_tell(&virtio, 0);
    CHECK(interrupts[1] == 1 && get(DATA, 4) == 0x6c6c6568, "told");
    CHECK(virtio_take(&virtio, 0, &chain) && !virtio_take(&virtio, 0, &chain), "and one more");
    virtio_off(&virtio);
    CHECK(changes == 2 && !virtio_take(&virtio, 0, &chain), "nothing when the driver has gone");
}

static void test_standstill(void)
{
    start_line();
    set_up_queue(1, 8);
    put(DATA, 0x5a, 1);
    descriptor(DESC + 0x8000, 0, DATA, 1, 0, 0);
    put(AVAIL + 0x8000 + 2, 1, 2);
    is_full = true;
    bar_out(B_NOTIFY + 4, 4, 0);
    CHECK(requests == 0 && !needs_reset() && get(USED + 0x8000 + 2, 2) == 0, "it waits");
    is_full = false;
    virtio_resume(&virtio, 1);
    CHECK(requests == 1 && swallowed == 0x5a && get(USED + 0x8000 + 2, 2) == 1, "and goes on");
}

static void test_config_changes(void)
{
    static const uint8_t nine = 9;
    uint64_t generation;

    start_line();
    generation = bar_in(0x15, 1);
    virtio_set_config(&virtio, 1, &nine, 1);
    CHECK(bar_in(B_DEVICE, 4) == 0x04030901 && bar_in(0x15, 1) != generation && interrupts[0] == 1,
          "the device changes its configuration, and says so");
    bar_out(B_DEVICE + 4, 4, 0x44332211);
    CHECK(bar_in(B_DEVICE + 4, 4) == 0x44332211, "the driver writes its part");
    bar_out(B_DEVICE + 2, 4, 0);
    bar_out(B_DEVICE + 6, 4, 0);
    bar_out(B_DEVICE + 7, 2, 0);
    bar_out(B_DEVICE + 0xfff, 1, 0);
    CHECK(bar_in(B_DEVICE, 8) == 0x4433221104030901, "and nothing beside it");
}

/* ---- A doorbell that rings too often -------------------------------------------------------- */

static const struct virtio_kind paced_kind = {
    .id = 42, .class = 0xff0000, .queues = 1, .queue_size = 256, .paced = 1, .request = echo};

static void start_paced(uint64_t features)
{
    requests = 0;
    now_ns = 5 * VIRTIO_PACE_NS;
    plug(&paced_kind, (struct virtio_setup){0});
    start_driver(features, 32);
    for (unsigned int i = 0; i < 32; i += 2)
        offer_echo((uint16_t)i, "paced", 5);
    put(AVAIL + 2, 0, 2);
}

/* Offers some and rings once; whether as many were served. */
static bool ring_with(unsigned int count, unsigned int served)
{
    unsigned int before = requests;

    for (unsigned int i = 0; i < count; i++)
        offer((uint16_t)(avail_index() % 16 * 2));
    kick();
    return requests - before == served && !needs_reset();
}

/* The place that the driver is asked to notify at. */
static uint16_t asked(void)
{
    return (uint16_t)get(USED + 4 + 8 * 32, 2);
}

static void test_pacing(void)
{
    start_paced(ALL);
    CHECK(ring_with(1, 1) && ring_with(1, 1) && ring_with(1, 1) && laters == 0 && asked() == 3,
          "three times in a row are nothing special");
    CHECK(ring_with(1, 1) && laters == 1 && asked() == 3, "the fourth is served, and is the last");
    CHECK(ring_with(5, 0) && laters == 2, "who rings nevertheless waits for the timer");
    virtio_work(&virtio);
    CHECK(requests == 9 && laters == 3 && asked() == 3, "which finds much, and will come again");
    ring_with(2, 0);
    virtio_work(&virtio);
    CHECK(requests == 11 && laters == 4 && asked() == 11, "little, and it was the last time");
    for (unsigned int i = 0; i < 4; i++)
        ring_with(1, 1);
    CHECK(laters == 5, "after four more it is paced again");
    ring_with(1, 0);
    virtio_work(&virtio);
    for (unsigned int i = 0; i < 7; i++)
        ring_with(1, 1);
    CHECK(laters == 6 && ring_with(1, 1) && laters == 7,
          "after eight, where the first look found one alone");
    virtio_work(&virtio);
    for (unsigned int i = 0; i < 100; i++) {
        now_ns += VIRTIO_PACE_NS / 6;
        ring_with(1, 1);
    }
    CHECK(laters == 7 && requests == 124, "and those who ring now and then are served at once");
    start_paced(VIRTIO_F_VERSION_1);
    for (unsigned int i = 0; i < 4; i++)
        ring_with(1, 1);
    CHECK(get(USED, 2) == 1, "a flag says so where there is no event index");
    virtio_work(&virtio);
    CHECK(get(USED, 2) == 0 && ring_with(1, 1), "and is taken back");
    start_paced(ALL);
    for (unsigned int i = 0; i < 4; i++)
        ring_with(1, 1);
    config_out(4, 2, 2);
    virtio_work(&virtio);
    config_out(4, 2, 6);
    CHECK(ring_with(1, 1), "one that was no bus master when the timer came is served again");
}

/* ---- The way through configuration space ---------------------------------------------------- */

static unsigned int find_window(void)
{
    unsigned int cap = (unsigned int)config_in(0x34, 1);

    while (cap && (config_in(cap, 1) != 9 || config_in(cap + 3, 1) != 5))
        cap = (unsigned int)config_in(cap + 1, 1);
    return cap;
}

static void aim(unsigned int cap, unsigned int bar, uint64_t offset, uint64_t size)
{
    config_out(cap + 4, 1, bar);
    config_out(cap + 8, 4, offset);
    config_out(cap + 12, 4, size);
}

static uint64_t look(unsigned int cap, uint64_t offset, uint64_t size)
{
    aim(cap, 0, offset, size);
    return config_in(cap + 16, 4);
}

static void test_window(void)
{
    unsigned int cap;

    start(ALL, 8);
    cap = find_window();
    CHECK(cap && config_in(cap + 2, 1) == 20 && config_in(cap + 16, 4) == 0,
          "there is a window in configuration space");
    config_out(4, 2, 0);
    CHECK(look(cap, C_STATUS, 1) == 0xf && look(cap, C_DESC, 4) == DESC &&
              look(cap, B_TABLE + 8, 4) == 0x40,
          "through it registers are read while the BAR is off");
    aim(cap, 0, C_QUEUE_SELECT, 2);
    config_out(cap + 16, 2, 7);
    CHECK(look(cap, C_QUEUE_SELECT, 2) == 7, "and written");
    aim(cap, 0, B_TABLE + 8, 4);
    config_out(cap + 16, 4, 0x4711);
    CHECK(look(cap, B_TABLE + 8, 4) == 0x4711, "those of MSI-X too");
    CHECK(look(cap, C_STATUS, 0) == 0 && look(cap, C_STATUS, 3) == 0 &&
              look(cap, C_STATUS, 8) == 0 && look(cap, C_STATUS + 1, 2) == 0 &&
              look(cap, 0x8000, 1) == 0 && look(cap, ~0u, 1) == 0 && look(cap, 0x7ffe, 4) == 0,
          "sizes that do not exist and what lies behind the BAR read as 0");
    aim(cap, 1, C_STATUS, 1);
    config_out(cap + 16, 4, 0);
    aim(cap, 0xff, C_STATUS, 1);
    config_out(cap + 16, 4, 0);
    aim(cap, 0, C_STATUS, 3);
    config_out(cap + 16, 4, 0);
    CHECK(look(cap, C_STATUS, 1) == 0xf, "and nothing is written by them, or to other BARs");
    aim(cap, 0, C_STATUS, 1);
    config_out(cap + 16, 1, 0);
    CHECK(look(cap, C_STATUS, 1) == 0, "a reset through the window");
}

int main(void)
{
    test_window();
    test_pacing();
    test_receive();
    test_standstill();
    test_config_changes();
    test_identity();
    test_negotiation();
    test_requests();
    test_event_index();
    test_indirect();
    test_credit();
    test_looks();
    test_mistakes();
    test_areas();
    test_queue_rules();
    test_reset_in_the_middle();
    test_accesses();
    return check_done();
}
