/* SPDX-License-Identifier: MIT */
/*
 * The balloon, with "overcommit = on" (option overcommit=1) and without: pages given away come back
 * empty, when they are wanted back or just touched, and who gives away what he should not harms
 * himself alone.  With part=1 it gives away its own page tables; with part=2 it does as it is asked
 * until it shall give nothing, and says how much it has.
 */
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"
#include "guest-stubs/virtio/virtio.h"

#define AREA       0x600000ull /* behind all of the stub; a large page */
#define AREA_PAGES 512u
#define BATCH      256u
#define VEC_TIMER  0x50

#define F_MUST_TELL_HOST 1u
#define F_STATS_VQ       2u

enum { INFLATE, DEFLATE, STATS, QUEUES };
enum { STAT_MAJOR_FAULTS = 2, STAT_TOTAL = 5 };

static volatile struct queue *queues[QUEUES];
static uint32_t numbers[BATCH];
static volatile unsigned int timer_interrupts;
static bool overcommit;

static void count_timer(struct frame *frame)
{
    timer_interrupts++;
    lapic_write(LAPIC_EOI, 0);
}

/* ---- The driver ----------------------------------------------------------------------------- */

static void start_queue(unsigned int which, volatile struct queue *ring)
{
    queues[which] = ring;
    memset((void *)ring, 0, sizeof(*ring));
    BAR16(&balloon, C_QUEUE_SELECT) = (uint16_t)which;
    BAR16(&balloon, C_QUEUE_SIZE) = QUEUE_SIZE;
    BAR64(&balloon, C_DESC) = (uint64_t)ring->desc;
    BAR64(&balloon, C_AVAIL) = (uint64_t)&ring->avail;
    BAR64(&balloon, C_USED) = (uint64_t)&ring->used;
    BAR16(&balloon, C_QUEUE_ENABLE) = 1;
}

static void start_with(volatile struct queue *inflate_ring)
{
    static volatile struct queue deflate_ring, stats_ring;

    set_up(&balloon);
    BAR8(&balloon, C_STATUS) = 0;
    BAR8(&balloon, C_STATUS) = 3;
    BAR32(&balloon, C_DRIVER_SELECT) = 0;
    BAR32(&balloon, C_DRIVER_FEATURE) = F_MUST_TELL_HOST | F_STATS_VQ;
    BAR32(&balloon, C_DRIVER_SELECT) = 1;
    BAR32(&balloon, C_DRIVER_FEATURE) = (uint32_t)(F_VERSION_1 >> 32);
    BAR8(&balloon, C_STATUS) = 0xb;
    start_queue(INFLATE, inflate_ring);
    start_queue(DEFLATE, &deflate_ring);
    start_queue(STATS, &stats_ring);
    BAR8(&balloon, C_STATUS) = 0xf;
}

static void start(void)
{
    start_with(&queue);
}

static void offer_bytes(unsigned int which, uint64_t address, uint32_t size)
{
    volatile struct queue *q = queues[which];

    q->desc[0] = (struct descriptor){address, size, 0, 0};
    q->avail.ring[q->avail.index % QUEUE_SIZE] = 0;
    q->avail.index++;
    BAR16(&balloon, B_NOTIFY + 4 * which) = (uint16_t)which;
}

static void offer_batch(unsigned int which, unsigned int count)
{
    offer_bytes(which, (uint64_t)numbers, 4 * count);
}

/* How much memory it has, and how often it was asked; the last one nobody knows. */
static void say_stats(uint64_t bytes)
{
    static struct {
        uint16_t tag;
        uint64_t value;
    } __attribute__((packed)) stats[] = {{STAT_TOTAL, 0}, {STAT_MAJOR_FAULTS, 0}, {0x7fff, 1}};

    stats[0].value = bytes;
    stats[1].value = queues[STATS]->used.index;
    offer_bytes(STATS, (uint64_t)stats, sizeof(stats));
}

/* Offers what is in numbers[], and waits.  False: the device does not want to go on. */
static bool request(unsigned int which, unsigned int count)
{
    volatile struct queue *q = queues[which];
    uint16_t before = q->used.index;

    offer_batch(which, count);
    while (q->used.index == before && !needs_reset(&balloon))
        take_interrupts();
    return q->used.index == (uint16_t)(before + 1);
}

static bool move(unsigned int which, uint64_t address, unsigned int pages)
{
    bool ok = true;

    for (unsigned int done = 0; ok && done < pages; done += BATCH) {
        unsigned int count = pages - done < BATCH ? pages - done : BATCH;

        for (unsigned int i = 0; i < count; i++)
            numbers[i] = (uint32_t)(address / PAGE_SIZE + done + i);
        ok = request(which, count);
    }
    return ok;
}

/* ---- What it does for an honest driver ------------------------------------------------------ */

static volatile uint64_t *word(unsigned int page)
{
    return (volatile uint64_t *)(AREA + (uint64_t)page * PAGE_SIZE);
}

static void fill_area(void)
{
    for (unsigned int i = 0; i < AREA_PAGES; i++)
        memset((void *)word(i), 0xa5, PAGE_SIZE);
}

static bool is_zero(unsigned int page)
{
    for (unsigned int i = 0; i < PAGE_SIZE / 8; i++)
        if (word(page)[i])
            return false;
    return true;
}

static unsigned int count_dirty(unsigned int from, unsigned int to)
{
    unsigned int dirty = 0;

    for (; from < to; from++)
        dirty += !is_zero(from);
    return dirty;
}

/* With interrupts that come while the CPU waits for a page, and must not wake it without. */
static void check_touch(void)
{
    unsigned int wrong = 0;

    trap_handlers[VEC_TIMER] = count_timer;
    lapic_write(LAPIC_TDCR, TDCR_BY_1);
    lapic_write(LAPIC_TIMER, LVT_PERIODIC | VEC_TIMER);
    lapic_write(LAPIC_TMICT, 2000000);
    interrupts_on();
    for (unsigned int i = 100; i < 120; i++) {
        wrong += *word(i) != 0;
        *word(i) = i;
    }
    while (timer_interrupts < 2)
        ;
    interrupts_off();
    lapic_write(LAPIC_TMICT, 0);
    for (unsigned int i = 100; i < 120; i++)
        wrong += *word(i) != i;
    check_equal(wrong, 0, "pages that are touched are there, empty, and keep what is written");
}

static void check_honest_driver(void)
{
    start();
    check_equal(BAR32(&balloon, B_DEVICE), 0, "nothing is asked for at first");
    fill_area();
    check(move(INFLATE, AREA, AREA_PAGES), "two MiB are given away");
    BAR32(&balloon, B_DEVICE + 4) = AREA_PAGES;
    check(*(volatile uint64_t *)(AREA - 8) == 0 && !needs_reset(&balloon), "and nothing else");
    check_touch();
    check(move(DEFLATE, AREA, AREA_PAGES), "they come back");
    check_equal(count_dirty(0, 100) + count_dirty(120, AREA_PAGES), 0, "as empty pages");
    check_equal(*word(119), 119, "those that were touched as they are");
    fill_area();
    check(move(INFLATE, AREA + PAGE_SIZE, 1) && move(DEFLATE, AREA + PAGE_SIZE, 1) && is_zero(1) &&
              *word(0) == *word(2) && *word(0) != 0,
          "and one by one");
}

/* ---- And for others ------------------------------------------------------------------------- */

static bool request_one(unsigned int which, uint64_t address)
{
    numbers[0] = (uint32_t)(address / PAGE_SIZE);
    return request(which, 1);
}

static const struct {
    const char *what;
    uint64_t address;
} mistakes[] = {
    {"a page behind RAM", 0x80000000},
    {"one in the hole below 1 MiB", 0xa0000},
    {"one of the PCI window", WINDOW},
    {"one of the local APIC", LAPIC_BASE},
    {"the last that there is a number for", 0xffffffffull * PAGE_SIZE},
};

static bool works(void)
{
    start();
    return move(INFLATE, AREA, 3) && move(DEFLATE, AREA, 3) && !needs_reset(&balloon);
}

static void check_mistakes(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(mistakes); i++) {
        start();
        check(!request_one(INFLATE, mistakes[i].address) && needs_reset(&balloon) && works(),
              "%s: it needs a reset, and has one", mistakes[i].what);
    }
    start();
    check(request_one(INFLATE, AREA) && !request_one(INFLATE, AREA) && works(), "a page twice");
    start();
    check(!request_one(DEFLATE, AREA) && works(), "one that it has not");
    start();
    check(!request(INFLATE, BATCH + 1) && works(), "more than it takes at once");
    start();
    say_stats(1);
    check(!needs_reset(&balloon) && queues[STATS]->used.index == 0,
          "who says something of his memory is heard");
    start();
    offer_bytes(STATS, 0x80000000 - 4, 20);
    check(needs_reset(&balloon) && works(), "but not from behind RAM");
}

/* Whatever becomes of this, it is only the device's. */
static void check_own_ring(void)
{
    volatile struct queue *ring = (volatile struct queue *)word(7);

    start_with(ring);
    numbers[0] = (uint32_t)((uint64_t)ring / PAGE_SIZE);
    offer_batch(INFLATE, 1);
    for (unsigned int i = 0; i < 100 && ring->avail.index; i++)
        delay_us(1000);
    check(ring->avail.index == 0 && works(),
          "the page of its own ring is gone, and a reset makes it whole");
}

static void check_dma(void)
{
    uint16_t before;

    start();
    if (!rng.slot || !check(move(INFLATE, AREA, 1), "a page is given away"))
        return;
    set_up(&rng);
    start_device(&rng);
    before = queue.used.index;
    set_desc(0, word(0), 16, D_WRITE, 0);
    offer(0);
    kick(&rng);
    check(overcommit ? needs_reset(&rng) : queue.used.index == (uint16_t)(before + 1),
          "another device writes to it: %s", overcommit ? "there is no RAM" : "it is RAM");
    check(works(), "the page comes back");
}

/* ---- The other parts ------------------------------------------------------------------------ */

static void give_tables_away(void)
{
    start();
    request_one(INFLATE, (uint64_t)page_pml4);
    write_cr3(read_cr3());
    fail_at_once("it goes on without page tables");
}

/* Touches what comes back before it says so. */
static void give_back(uint64_t address, unsigned int pages)
{
    for (unsigned int i = 0; i < pages; i++)
        *(volatile uint64_t *)(address + (uint64_t)i * PAGE_SIZE) = i;
    move(DEFLATE, address, pages);
}

static void obey(void)
{
    unsigned int inside = 0, target;

    start();
    say_stats(START_RAM_KIB * 1024ull);
    print("# ready\n");
    do {
        while ((target = BAR32(&balloon, B_DEVICE)) == inside) {
            if (queues[STATS]->used.index == queues[STATS]->avail.index)
                say_stats(START_RAM_KIB * 1024ull - inside * PAGE_SIZE);
            take_interrupts();
        }
        if (target > inside)
            move(INFLATE, AREA + (uint64_t)inside * PAGE_SIZE, target - inside);
        else
            give_back(AREA + (uint64_t)target * PAGE_SIZE, inside - target);
        inside = target;
        BAR32(&balloon, B_DEVICE + 4) = inside;
        print("# %u KiB given away\n", inside * 4);
    } while (inside);
    check(!needs_reset(&balloon), "it gave and took as it was asked");
}

void stub_main(void)
{
    uint64_t part = option("part", 0);

    overcommit = option("overcommit", 0);
    find_devices();
    if (!balloon.slot)
        fail_at_once("there is no balloon");
    if (part == 1)
        give_tables_away();
    if (part == 2) {
        obey();
        return;
    }
    check_honest_driver();
    check_mistakes();
    check_own_ring();
    check_dma();
}
