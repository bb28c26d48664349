/* SPDX-License-Identifier: MIT */
/*
 * The virtio balloon under a driver that does anything, with an owner who is slow at times.  What
 * must hold: the owner is given pages of RAM alone, in by turns with out, and each once.
 */
#include "tests/host/fuzz_input.h"
#include "tests/host/virtio_world.h"

#include "hv/vdev/virtio_balloon.h"

#define OFFERED  (VIRTIO_BALLOON_F_MUST_TELL_HOST | VIRTIO_BALLOON_F_STATS_VQ)
#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | OFFERED)
#define PAGES    32u
#define SAID     (RAM_BASE + 0x20000)

static struct virtio_balloon balloon;
static uint64_t inside[1];
static bool with_owner[2]; /* it has a batch of the queue */

static uint64_t page_number(void *ctx, uint64_t gpa)
{
    return gpa / 4096 < PAGES ? gpa / 4096 : VIRTIO_BALLOON_NO_PAGE;
}

static bool move(void *ctx, unsigned int queue)
{
    const struct balloon_batch *batch = &balloon.batches[queue];

    REQUIRE(!with_owner[queue] && batch->count <= PAGES);
    for (unsigned int i = 0; i < batch->count; i++)
        REQUIRE(batch->pages[i] < PAGES &&
                (inside[0] >> batch->pages[i] & 1) == (queue == VIRTIO_BALLOON_INFLATE));
    with_owner[queue] = byte() & 1;
    return !with_owner[queue];
}

/* Some bytes of the rings are others now. */
static void scribble(void)
{
    uint8_t what = byte();

    if (what >= 0xc0)
        ram[(what & 0x1fu) << 12 | (number() & 0xff)] = byte();
}

static void make(void)
{
    static struct virtio_balloon_config config;
    struct virtio_setup setup = {
        .dev = &balloon, .features = OFFERED, .config = &config, .config_size = sizeof(config)};

    inside[0] = 0;
    with_owner[0] = with_owner[1] = false;
    balloon = (struct virtio_balloon){.virtio = &virtio,
                                      .ops = {.page_number = page_number, .move = move},
                                      .inside = inside,
                                      .page_count = PAGES};
    plug(&virtio_balloon_kind, setup);
    start_queues(FEATURES, 8, VIRTIO_BALLOON_QUEUES);
}

/* A request that is nearly right. */
static void request(void)
{
    unsigned int queue = byte() & 1, count = byte() % 40;
    uint64_t offset = queue * 0x8000ull;
    uint16_t index = (uint16_t)get(AVAIL + offset + 2, 2);

    for (unsigned int i = 0; i < count; i++)
        put(DATA + offset + 4 * i, byte() % (PAGES + 1), 4);
    descriptor(DESC + offset, 0, DATA + offset, 4 * count + (byte() > 250), 0, 0);
    put(AVAIL + offset + 4 + 2u * (index % 8), byte() & 1, 2);
    put(AVAIL + offset + 2, index + 1u, 2);
    bar_out(B_NOTIFY + 4 * queue, 4, 0);
}

static void finish(unsigned int queue)
{
    if (with_owner[queue])
        virtio_balloon_done(&balloon, queue);
    with_owner[queue] = false;
}

/* Statistics, which the driver may say or not when it is asked. */
static void talk(uint8_t op)
{
    if (op & 8)
        virtio_balloon_ask_stats(&balloon);
    if (op & 16)
        put(SAID + byte(), byte(), 1);
    if (op & 32) {
        descriptor(DESC + VIRTIO_BALLOON_STATS * QUEUE, op >> 6, SAID + byte(), number(), 0, 0);
        offer_to(VIRTIO_BALLOON_STATS, op >> 6);
        kick_queue(VIRTIO_BALLOON_STATS);
    }
    REQUIRE(!balloon.stats.kept || virtio.live);
    REQUIRE(balloon.stats.known >> BALLOON_STAT_COUNT == 0);
}

static void step(void)
{
    uint8_t op = byte();

    switch (op % 8) {
    case 0:
        bar_out(number() & 0x7fff, (uint8_t)(1u << op / 64), number() * 0x100010001ull);
        break;
    case 1:
        bar_in(number() & 0x7fff, (uint8_t)(1u << op / 64));
        break;
    case 2:
        config_out(number() & 0xfff, (uint8_t)(1u << op / 64), number() * 0x100010001ull);
        break;
    case 3:
        virtio_work(&virtio);
        break;
    case 4:
        finish(op >> 7);
        break;
    case 5:
        if (op & 8)
            start_queues(op & 16 ? FEATURES : FEATURES & ~VIRTIO_BALLOON_F_STATS_VQ, 8,
                         VIRTIO_BALLOON_QUEUES);
        virtio_balloon_ask(&balloon, number());
        break;
    case 6:
        talk(op);
        break;
    default:
        request();
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin_input(data, size);
    make();
    meddle = scribble;
    while (input < input_end)
        step();
    REQUIRE(inside[0] >> PAGES == 0);
    return 0;
}
