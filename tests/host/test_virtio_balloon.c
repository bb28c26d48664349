/* SPDX-License-Identifier: MIT */
/* The virtio balloon: which pages it takes and gives back, at once and by an owner who takes his
 * time, what it refuses, and what it hears of the guest's memory. */
#include "tests/host/virtio_world.h"

#include "hv/vdev/virtio_balloon.h"
#include "tests/host/check.h"

#define OFFERED    (VIRTIO_BALLOON_F_MUST_TELL_HOST | VIRTIO_BALLOON_F_STATS_VQ)
#define FEATURES   (VIRTIO_F_VERSION_1 | VIRTIO_BALLOON_F_MUST_TELL_HOST)
#define PAGES      200u /* that may go in, from FIRST_PAGE on */
#define FIRST_PAGE 0x100u
#define DEFLATE    1u
#define STATS      2u
#define SAID       (RAM_BASE + 0x20000)

static struct virtio_balloon balloon;
static uint64_t inside[(PAGES + 63) / 64];
static bool at_once;
static unsigned int moves[2];

static uint64_t page_number(void *ctx, uint64_t gpa)
{
    uint64_t page = gpa / 4096 - FIRST_PAGE;

    return page < PAGES ? page : VIRTIO_BALLOON_NO_PAGE;
}

static bool move(void *ctx, unsigned int queue)
{
    moves[queue] += balloon.batches[queue].count;
    return at_once;
}

static unsigned int count_inside(void)
{
    unsigned int count = 0;

    for (unsigned int i = 0; i < PAGES; i++)
        count += inside[i / 64] >> i % 64 & 1;
    return count;
}

static void begin(bool owner_is_quick)
{
    static struct virtio_balloon_config config = {.num_pages = 7};
    struct virtio_setup setup = {
        .dev = &balloon, .features = OFFERED, .config = &config, .config_size = sizeof(config)};

    memset(inside, 0, sizeof(inside));
    memset(moves, 0, sizeof(moves));
    at_once = owner_is_quick;
    balloon = (struct virtio_balloon){.virtio = &virtio,
                                      .ops = {.page_number = page_number, .move = move},
                                      .inside = inside,
                                      .page_count = PAGES};
    plug(&virtio_balloon_kind, setup);
    start_driver(FEATURES, 8);
    set_up_queue(DEFLATE, 8);
}

/* A request of so many pages in a row, or of the same one. */
static void ask(unsigned int queue, uint32_t page, unsigned int count, unsigned int step)
{
    uint64_t offset = queue * 0x8000ull;
    uint16_t index = (uint16_t)get(AVAIL + offset + 2, 2);

    for (unsigned int i = 0; i < count; i++)
        put(DATA + offset + 4 * i, page + i * step, 4);
    descriptor(DESC + offset, 0, DATA + offset, 4 * count, 0, 0);
    put(AVAIL + offset + 4 + 2u * (index % 8), 0, 2);
    put(AVAIL + offset + 2, index + 1u, 2);
    bar_out(B_NOTIFY + 4 * queue, 4, 0);
}

static unsigned int answered(unsigned int queue)
{
    return (unsigned int)get(USED + queue * 0x8000ull + 2, 2);
}

static void test_quick(void)
{
    begin(true);
    CHECK(config_in(0, 4) == 0x10451af4 && bar_in(C_QUEUES, 2) == 3 &&
              (offered_features() & 0xff) == OFFERED,
          "the balloon, with three queues");
    CHECK(bar_in(B_DEVICE, 4) == 7 && bar_in(B_DEVICE + 4, 4) == 0, "it asks for pages");
    ask(0, FIRST_PAGE, 100, 1);
    CHECK(answered(0) == 1 && moves[0] == 100 && count_inside() == 100, "pages go in");
    ask(DEFLATE, FIRST_PAGE + 50, 50, 1);
    CHECK(answered(1) == 1 && moves[1] == 50 && count_inside() == 50, "and out");
    ask(0, FIRST_PAGE + 60, 5, 1);
    CHECK(answered(0) == 2 && count_inside() == 55 && !needs_reset(), "and in again");
    bar_out(B_DEVICE + 4, 4, 55);
    bar_out(B_DEVICE, 4, 99);
    CHECK(virtio_balloon_actual(&balloon) == 55 && bar_in(B_DEVICE, 4) == 7,
          "the driver says how many are, and not how many shall be");
}

static void test_target(void)
{
    uint8_t generation;

    begin(true);
    generation = (uint8_t)bar_in(0x15, 1);
    virtio_balloon_ask(&balloon, 1234);
    CHECK(bar_in(B_DEVICE, 4) == 1234 && bar_in(0x15, 1) == (uint8_t)(generation + 1) &&
              interrupts[0] == 1,
          "another number is asked for, with an interrupt");
}

static const struct {
    const char *what;
    uint32_t page;
    unsigned int count, step;
} wrong[] = {
    {"a page below RAM", FIRST_PAGE - 1, 1, 1},
    {"a page behind it", FIRST_PAGE + PAGES, 1, 1},
    {"the last of all numbers", ~0u, 1, 1},
    {"two pages of which one is none", FIRST_PAGE + PAGES - 1, 2, 1},
    {"one page twice", FIRST_PAGE + 7, 2, 0},
    {"one that is in already", FIRST_PAGE, 1, 1},
    {"no page", FIRST_PAGE, 0, 1},
    {"more pages than are taken at once", FIRST_PAGE + 1, VIRTIO_BALLOON_BATCH + 1, 0},
};

static void test_wrong(void)
{
    for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        begin(true);
        ask(0, FIRST_PAGE, 1, 1);
        ask(0, wrong[i].page, wrong[i].count, wrong[i].step);
        CHECK(needs_reset() && answered(0) == 1 && moves[0] == 1 && count_inside() == 0,
              wrong[i].what);
    }
    begin(true);
    ask(DEFLATE, FIRST_PAGE, 1, 1);
    CHECK(needs_reset() && moves[1] == 0, "one out that is not in");
    begin(true);
    ask(0, FIRST_PAGE, 1, 1);
    descriptor(DESC, 0, DATA, 5, 0, 0);
    offer(0);
    kick();
    CHECK(needs_reset(), "a number cut off");
}

static void test_slow(void)
{
    begin(false);
    ask(0, FIRST_PAGE, 10, 1);
    ask(0, FIRST_PAGE + 10, 10, 1);
    CHECK(answered(0) == 0 && moves[0] == 10 && balloon.batches[0].state == BALLOON_BUSY,
          "an owner who takes his time has one request");
    ask(DEFLATE, FIRST_PAGE, 1, 1);
    CHECK(answered(1) == 0 && moves[1] == 1, "and one of the other queue");
    virtio_balloon_done(&balloon, 0);
    CHECK(answered(0) == 0 && laters == 1, "what is done is told later");
    virtio_work(&virtio);
    CHECK(answered(0) == 1 && moves[0] == 20 && answered(1) == 0, "and then the next is taken");
    virtio_balloon_done(&balloon, 0);
    virtio_balloon_done(&balloon, 1);
    virtio_work(&virtio);
    CHECK(answered(0) == 2 && answered(1) == 1 && count_inside() == 19 && !needs_reset(),
          "until all are done");
}

static void test_reset(void)
{
    begin(false);
    ask(0, FIRST_PAGE, 10, 1);
    bar_out(B_DEVICE + 4, 4, 10);
    start_driver(FEATURES, 8);
    CHECK(count_inside() == 0 && balloon.batches[0].state == BALLOON_STALE &&
              virtio_balloon_actual(&balloon) == 0,
          "a reset empties the balloon, but not the owner's hands");
    ask(0, FIRST_PAGE, 3, 1);
    CHECK(answered(0) == 0 && moves[0] == 10 && !needs_reset(), "meanwhile nothing is taken");
    virtio_balloon_done(&balloon, 0);
    virtio_work(&virtio);
    CHECK(answered(0) == 0 && moves[0] == 13, "and then it is");
    virtio_balloon_done(&balloon, 0);
    bar_out(C_STATUS, 1, 0);
    CHECK(balloon.batches[0].state == BALLOON_IDLE, "nor is one told that was not there");
}

/* ---- Statistics ----------------------------------------------------------------------------- */

static void begin_stats(void)
{
    begin(true);
    start_queues(VIRTIO_F_VERSION_1 | OFFERED, 8, 3);
}

static void put_stat(unsigned int place, unsigned int tag, uint64_t value)
{
    put(SAID + 10ull * place, tag, 2);
    put(SAID + 10ull * place + 2, value, 8);
}

static void say(unsigned int index, uint64_t gpa, uint32_t size)
{
    descriptor(DESC + STATS * QUEUE, index, gpa, size, 0, 0);
    offer_to(STATS, (uint16_t)index);
    kick_queue(STATS);
}

static void test_stats(void)
{
    const struct balloon_stats *stats = &balloon.stats;

    begin_stats();
    virtio_balloon_ask_stats(&balloon);
    CHECK(stats->known == 0 && !needs_reset(), "nothing is known of memory at first");
    put_stat(0, BALLOON_TOTAL, 0x123456789abcdef0);
    put_stat(1, BALLOON_FREE, 77);
    put_stat(2, BALLOON_STAT_COUNT, 1);
    put_stat(3, 0xffff, 2);
    now_ns = 5000;
    say(0, SAID, 45);
    CHECK(stats->known == (1u << BALLOON_TOTAL | 1u << BALLOON_FREE) && stats->at_ns == 5000 &&
              stats->values[BALLOON_TOTAL] == 0x123456789abcdef0 &&
              stats->values[BALLOON_FREE] == 77,
          "what the driver says is, but no tag from the future");
    CHECK(answered(STATS) == 0, "and its buffer is kept");
    put_stat(1, BALLOON_FREE, 78);
    virtio_work(&virtio);
    kick_queue(STATS);
    CHECK(stats->values[BALLOON_FREE] == 77, "which is not looked at again");
    virtio_balloon_ask_stats(&balloon);
    CHECK(answered(STATS) == 1 && interrupts[1 + STATS] == 1 && !stats->kept && stats->known,
          "until he is asked");
    virtio_balloon_ask_stats(&balloon);
    virtio_work(&virtio);
    CHECK(answered(STATS) == 1, "and while he is, not once more");
    put_stat(0, BALLOON_FREE, 79);
    say(0, SAID, 10);
    CHECK(stats->known == 1u << BALLOON_FREE && stats->values[BALLOON_FREE] == 79 &&
              answered(STATS) == 1,
          "for another one is the answer");
    bar_out(C_STATUS, 1, 0);
    CHECK(stats->known == 0 && !stats->kept, "who has gone is not quoted");
    virtio_balloon_ask_stats(&balloon);
    CHECK(!needs_reset() && stats->known == 0, "nor asked");
}

static void test_stats_wrong(void)
{
    const struct balloon_stats *stats = &balloon.stats;

    begin_stats();
    for (unsigned int i = 0; i < 1000; i++)
        put_stat(i, i < 40 ? i : BALLOON_FREE, i);
    say(0, SAID, 10000);
    CHECK(stats->known == (1u << BALLOON_STAT_COUNT) - 1 && stats->values[BALLOON_FREE] == 4,
          "of very much only the beginning is read");
    say(1, SAID, 9);
    say(2, SAID, 20);
    CHECK(answered(STATS) == 0 && stats->values[BALLOON_TOTAL] == 5, "and one buffer at a time");
    virtio_balloon_ask_stats(&balloon);
    CHECK(answered(STATS) == 1 && stats->known == 0, "less than one is nothing");
    virtio_balloon_ask_stats(&balloon);
    CHECK(answered(STATS) == 2 && stats->known == 3 && !needs_reset(), "two are two");
    say(3, RAM_BASE + RAM_SIZE - 5, 10);
    virtio_balloon_ask_stats(&balloon);
    CHECK(needs_reset() && stats->known == 0, "some that lie nowhere");
    begin(true);
    set_up_queue(STATS, 8);
    say(0, SAID, 10);
    CHECK(needs_reset(), "some that were not negotiated");
}

int main(void)
{
    test_quick();
    test_target();
    test_wrong();
    test_slow();
    test_reset();
    test_stats();
    test_stats_wrong();
    return check_done();
}
