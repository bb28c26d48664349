/* SPDX-License-Identifier: MIT */
/*
 * Second-level tables in both formats against a naive model: random mapping and unmapping, what
 * sizes leaves have, the pages that tables take, and the lack of them.
 */
#include "tests/host/check.h"

#include "arch/x86/paging.h"
#include "hv/errno.h"
#include "hv/slat.h"
#include "hv/util.h"

#include <stdlib.h>
#include <string.h>

#define POOL_HPA   0x1000000ull /* where the tables lie; nothing else is touched */
#define POOL_PAGES 8192ull
#define WINDOW     GIB(3)
#define PAGES      (WINDOW / PAGE_SIZE)

extern struct slat_format npt_format, ept_format;

uint64_t direct_map_base;

static uint8_t *arena;
static uint64_t model[PAGES]; /* hpa of each page | flags << 1 | present */
static struct slat slat;

static void start(const struct slat_format *format, uint64_t pages)
{
    memset(arena, 0, pages * PAGE_SIZE);
    slat_init(&slat, format, HPA(POOL_HPA), pages);
}

static uint64_t random_below(uint64_t limit)
{
    return (((uint64_t)rand() << 31) ^ (uint64_t)rand()) % limit;
}

static uint64_t leaf_size(unsigned int level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

static bool page_is_right(uint64_t page)
{
    uint64_t gpa = page * PAGE_SIZE;
    struct slat_entry entry = slat_lookup(&slat, GPA(gpa));

    if (!(model[page] & 1))
        return !entry.present;
    return entry.present && (gpa >= SIZE_2M || entry.level == 1) &&
           ((entry.value & SLAT_ADDRESS) | (gpa & (leaf_size(entry.level) - 1))) ==
               (model[page] & ~PAGE_MASK) &&
           slat.format->flags(entry.value) == (model[page] >> 1 & 15);
}

static void set_model(uint64_t gpa, uint64_t hpa, uint64_t size, unsigned int flags)
{
    for (uint64_t at = 0; at < size; at += PAGE_SIZE)
        model[(gpa + at) / PAGE_SIZE] = flags ? (hpa + at) | flags << 1 | 1 : 0;
}

static bool random_step(void)
{
    static const uint64_t grains[] = {SIZE_4K, SIZE_4K, SIZE_2M, SIZE_2M, SIZE_1G};
    static const unsigned int flags[] = {SLAT_RWX, SLAT_READ | SLAT_EXEC, SLAT_READ | SLAT_WRITE,
                                         SLAT_RWX | SLAT_DEVICE};
    uint64_t grain = grains[rand() % 5];
    uint64_t gpa = random_below(WINDOW / grain) * grain;
    uint64_t wanted = (1 + random_below(grain == SIZE_4K ? 3000 : 40)) * grain;
    uint64_t size = MIN(wanted, WINDOW - gpa);
    uint64_t hpa = GIB(8) + (rand() % 2 ? gpa : random_below(1 << 20) * PAGE_SIZE);
    unsigned int how = flags[rand() % 4];

    if (rand() % 4 == 0) {
        set_model(gpa, 0, size, 0);
        return slat_unmap(&slat, GPA(gpa), size) == 0;
    }
    set_model(gpa, hpa, size, how);
    return slat_map(&slat, GPA(gpa), HPA(hpa), size, how) == 0;
}

static void test_random(const struct slat_format *format)
{
    bool taken = true, right = true, whole = true;

    memset(model, 0, sizeof(model));
    start(format, POOL_PAGES);
    for (unsigned int i = 0; i < 300; i++) {
        taken &= random_step();
        for (unsigned int n = 0; n < 1000; n++)
            right &= page_is_right(random_below(PAGES));
    }
    for (uint64_t page = 0; page < PAGES; page++)
        whole &= page_is_right(page);
    CHECK(taken, "300 random mappings and unmappings find pages for their tables");
    CHECK(right, "after each, samples are as in the model");
    CHECK(whole, "in the end every page is");
}

static unsigned int level_at(uint64_t gpa)
{
    return slat_lookup(&slat, GPA(gpa)).level;
}

static void test_levels(const struct slat_format *format)
{
    uint64_t before;

    start(format, 64);
    slat_map(&slat, GPA(0), HPA(GIB(8)), GIB(3), SLAT_RWX);
    CHECK(level_at(0) == 1 && level_at(SIZE_2M - 1) == 1 && level_at(SIZE_2M) == 2,
          "the first 2 MiB have small leaves, then larger ones follow");
    CHECK(level_at(GIB(1)) == 3 && level_at(GIB(3) - 1) == 3, "1 GiB where all is aligned");
    before = slat.pool.free_count;
    slat_map(&slat, GPA(GIB(1) + 5 * SIZE_2M + PAGE_SIZE), HPA(GIB(20)), PAGE_SIZE, SLAT_READ);
    CHECK(level_at(GIB(1)) == 2 && level_at(GIB(1) + 5 * SIZE_2M) == 1 &&
              slat.pool.free_count == before - 2,
          "one page within splits 1 GiB and 2 MiB");
    slat_map(&slat, GPA(GIB(1)), HPA(GIB(9)), GIB(1), SLAT_RWX);
    CHECK(level_at(GIB(1)) == 2 && level_at(GIB(1) + 5 * SIZE_2M) == 1 &&
              slat.pool.free_count == before - 2,
          "mapped whole again, the tables stay: a CPU may be walking them");
    slat_unmap(&slat, GPA(GIB(1)), GIB(1));
    slat_map(&slat, GPA(GIB(1)), HPA(GIB(8)), GIB(1), SLAT_RWX);
    CHECK(slat.pool.free_count == before - 2, "and they serve again");
    slat_map(&slat, GPA(GIB(4)), HPA(GIB(8) + PAGE_SIZE), SIZE_2M, SLAT_RWX);
    CHECK(level_at(GIB(4)) == 1, "no large leaf where the two addresses differ in the low bits");
}

static void test_no_1g(struct slat_format *format)
{
    format->has_1g = false;
    start(format, 64);
    slat_map(&slat, GPA(GIB(1)), HPA(GIB(8)), GIB(1), SLAT_RWX);
    CHECK(level_at(GIB(1)) == 2, "a CPU without 1 GiB leaves gets 2 MiB");
    format->has_1g = true;
}

static void test_unmapped(const struct slat_format *format)
{
    uint64_t before;

    start(format, 8);
    before = slat.pool.free_count;
    CHECK(slat_unmap(&slat, GPA(GIB(40) + PAGE_SIZE), GIB(3)) == 0 &&
              slat.pool.free_count == before,
          "unmapping what is not mapped takes no pages");
}

static void test_exhaustion(const struct slat_format *format)
{
    start(format, 4);
    CHECK(slat_map(&slat, GPA(GIB(5)), HPA(GIB(8)), PAGE_SIZE, SLAT_RWX) == 0 &&
              slat.pool.free_count == 0,
          "a page needs three tables below the root");
    CHECK(slat_map(&slat, GPA(GIB(6)), HPA(GIB(8)), PAGE_SIZE, SLAT_RWX) == -ENOMEM,
          "without pages mapping fails");
    CHECK(slat_lookup(&slat, GPA(GIB(5))).present && !slat_lookup(&slat, GPA(GIB(6))).present,
          "and what was there is as it was");
    start(format, 2);
    slat_map(&slat, GPA(GIB(512)), HPA(GIB(8)), GIB(1), SLAT_RWX);
    CHECK(slat_map(&slat, GPA(GIB(512)), HPA(GIB(9)), PAGE_SIZE, SLAT_RWX) == -ENOMEM &&
              level_at(GIB(512)) == 3,
          "a leaf that cannot be split stays whole");
}

/* Ranges of RAM in random places: mapped, then every page by itself. */
static bool layout_fits(const struct slat_format *format)
{
    struct {
        uint64_t gpa, size;
    } ranges[6];
    unsigned int count = 1 + (unsigned int)rand() % 6;
    uint64_t total = 0, gpa = 0;
    bool fits = true;

    for (unsigned int i = 0; i < count; i++) {
        gpa += random_below(1ull << (rand() % 26)) * PAGE_SIZE;
        ranges[i].gpa = gpa;
        ranges[i].size = (1 + random_below(2000)) * PAGE_SIZE;
        gpa += ranges[i].size;
        total += ranges[i].size;
    }
    start(format, slat_pages_needed(total, count));
    for (unsigned int i = 0; i < count; i++)
        fits &=
            slat_map(&slat, GPA(ranges[i].gpa), HPA(ranges[i].gpa), ranges[i].size, SLAT_RWX) == 0;
    for (unsigned int i = 0; i < count; i++)
        for (uint64_t at = 0; at < ranges[i].size; at += PAGE_SIZE)
            fits &= slat_map(&slat, GPA(ranges[i].gpa + at), HPA(at), PAGE_SIZE, SLAT_READ) == 0;
    return fits;
}

static void test_pages_needed(const struct slat_format *format)
{
    bool fits = true;

    for (unsigned int i = 0; i < 200; i++)
        fits &= layout_fits(format);
    CHECK(fits, "the pages reckoned are enough to split 200 random layouts whole");
}

static void test_format(struct slat_format *format)
{
    printf("# %s\n", format->name);
    format->has_1g = true;
    test_random(format);
    test_levels(format);
    test_no_1g(format);
    test_unmapped(format);
    test_exhaustion(format);
    test_pages_needed(format);
}

static void test_entries(void)
{
    uint64_t ept = ept_format.make_leaf(0x200000, 2, SLAT_READ | SLAT_WRITE);

    CHECK(npt_format.make_leaf(0x200000, 2, SLAT_READ) == (0x200000 | 0x85 | BIT(63)),
          "NPT: present, user, large, not executable");
    CHECK(npt_format.table == 7, "NPT: a table allows all, for user accesses");
    CHECK(ept == (0x200000 | 0x3 | 6 << 3 | BIT(6) | BIT(7)), "EPT: RW, write-back, IPAT, large");
    CHECK((ept_format.make_leaf(0x1000, 1, SLAT_RWX | SLAT_DEVICE) & 0x38) == 0,
          "EPT: device memory is uncached");
    CHECK((ept_format.make_leaf(0x1000, 1, SLAT_WRITE) & 3) == 3,
          "EPT: nothing is writable without being readable");
}

int main(void)
{
    srand(1);
    arena = aligned_alloc(PAGE_SIZE, POOL_PAGES * PAGE_SIZE);
    direct_map_base = (uint64_t)arena - POOL_HPA;
    test_entries();
    test_format(&npt_format);
    test_format(&ept_format);
    free(arena);
    return check_done();
}
