/* SPDX-License-Identifier: MIT */
/*
 * The page allocator over a small machine: random use against a model, fragmentation, exhaustion,
 * alignment, what is zero, and the misuse that must end in a panic.
 */
#include "tests/host/check.h"

#include "arch/x86/paging.h"
#include "boot/boot_info.h"
#include "hv/mem.h"
#include "hv/panic.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#define MACHINE_SIZE MIB(64)
#define PAGES        (MACHINE_SIZE / PAGE_SIZE)
#define MAX_RUNS     512

uint64_t direct_map_base;

static jmp_buf panic_jump;
static uint8_t *machine;
static struct boot_info info;
static uint64_t random_state = 88172645463325252ull;

void panic_at(const char *file, int line, const char *format, ...)
{
    longjmp(panic_jump, 1);
}

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void add_memory(uint64_t base, uint64_t end, uint32_t type)
{
    info.memory[info.memory_count++] = (struct boot_mem){base, end - base, type, 0};
}

/* A PC in small: low memory, a hole, a module, memory above.  All of it dirty. */
static void start_machine(void)
{
    memset(machine, 0xa5, MACHINE_SIZE);
    memset(&info, 0, sizeof(info));
    add_memory(0, 0x9f000, BOOT_MEM_USABLE);
    add_memory(MIB(1) - PAGE_SIZE, MIB(8), BOOT_MEM_USABLE);
    add_memory(MIB(8), MIB(9), BOOT_MEM_MODULE);
    add_memory(MIB(9), MIB(40), BOOT_MEM_USABLE);
    add_memory(MIB(40), MIB(41), BOOT_MEM_RUNTIME_DATA);
    add_memory(MIB(42), MIB(64), BOOT_MEM_USABLE);
    mem_init(&info);
}

static bool is_usable(uint64_t page)
{
    uint64_t hpa = page * PAGE_SIZE;

    for (uint32_t i = 0; i < info.memory_count; i++)
        if (info.memory[i].type == BOOT_MEM_USABLE && hpa >= info.memory[i].base &&
            hpa < info.memory[i].base + info.memory[i].size)
            return hpa >= MIB(1);
    return false;
}

static bool is_zero(hpa_t hpa, uint64_t pages)
{
    const uint8_t *p = phys_to_virt(hpa);

    return !p[0] && !memcmp(p, p + 1, pages * PAGE_SIZE - 1);
}

static void make_dirty(hpa_t hpa, uint64_t pages)
{
    memset(phys_to_virt(hpa), 0x5a, pages * PAGE_SIZE);
}

static bool panics_on_free(hpa_t hpa, uint64_t pages)
{
    if (setjmp(panic_jump))
        return true;
    mem_free(hpa, pages);
    return false;
}

static void test_start(void)
{
    start_machine();
    CHECK(mem_total_pages() == PAGES - 256 - 3 * 256, "all usable pages above 1 MiB are counted");
    CHECK(mem_free_pages() == mem_total_pages() - 2, "but those of the bitmaps all are free");
}

struct run {
    hpa_t hpa;
    uint64_t pages;
};

static struct run runs[MAX_RUNS];
static unsigned int run_count;
static uint8_t owner[PAGES];

/* One allocation, judged by the model: the pages must be usable, nobody's, aligned and zero. */
static bool allocate(uint64_t pages, uint64_t alignment)
{
    hpa_t hpa = mem_alloc(pages, alignment);
    bool good = is_aligned(hpa.value, alignment);

    if (!hpa.value)
        return true; /* the model says below whether that was right */
    for (uint64_t i = 0; i < pages && good; i++) {
        uint64_t page = hpa.value / PAGE_SIZE + i;
        good = page < PAGES && !owner[page] && is_usable(page);
        owner[page] = 1;
    }
    good = good && is_zero(hpa, pages);
    make_dirty(hpa, pages);
    runs[run_count++] = (struct run){hpa, pages};
    return good;
}

/* All of a run, or its tail alone. */
static void release(unsigned int index)
{
    struct run *run = &runs[index];
    uint64_t kept = next_random() % 4 ? 0 : next_random() % run->pages;
    hpa_t hpa = HPA(run->hpa.value + kept * PAGE_SIZE);

    mem_free(hpa, run->pages - kept);
    memset(&owner[hpa.value / PAGE_SIZE], 0, run->pages - kept);
    run->pages = kept;
    if (!kept)
        *run = runs[--run_count];
}

static uint64_t owned_pages(void)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < PAGES; i++)
        n += owner[i];
    return n;
}

static void test_random(void)
{
    static const uint64_t alignments[] = {SIZE_4K,     SIZE_4K, SIZE_4K,
                                          4 * SIZE_4K, SIZE_2M, 4 * SIZE_2M};
    bool good = true, counted = true;

    start_machine();
    uint64_t all = mem_free_pages();
    for (unsigned int i = 0; i < 20000; i++) {
        if (run_count < MAX_RUNS && next_random() % 100 < 52)
            good &= allocate(1 + next_random() % (next_random() % 8 ? 12 : 1500),
                             alignments[next_random() % 6]);
        else if (run_count)
            release((unsigned int)(next_random() % run_count));
        if (i % 97 == 0)
            counted &= mem_free_pages() + owned_pages() == all;
    }
    CHECK(good, "20000 random steps: runs are usable, aligned, zero, and nobody else's");
    CHECK(counted, "and the count of free pages is the model's");
    while (run_count)
        release(run_count - 1);
    CHECK(mem_free_pages() == all, "after freeing everything every page is back");
}

static void test_exhaustion(void)
{
    bool good = true;

    start_machine();
    memset(owner, 0, sizeof(owner));
    uint64_t all = mem_free_pages(), n = 0;
    while (mem_free_pages()) {
        hpa_t hpa = mem_alloc(1, PAGE_SIZE);
        good &= hpa.value && is_usable(hpa.value / PAGE_SIZE) && !owner[hpa.value / PAGE_SIZE]++;
        n++;
    }
    CHECK(good && n == all, "every page can be had singly, each once");
    CHECK(!mem_alloc(1, PAGE_SIZE).value, "then there is none");
    mem_free(HPA(MIB(20)), 1);
    CHECK(!mem_alloc(2, PAGE_SIZE).value, "one free page is not two");
    CHECK(mem_alloc(1, PAGE_SIZE).value == MIB(20), "and it is found wherever it is");
}

static void test_fragmentation(void)
{
    start_machine();
    while (mem_alloc(1, PAGE_SIZE).value)
        ;
    for (uint64_t hpa = MIB(10); hpa < MIB(20); hpa += 2 * PAGE_SIZE)
        mem_free(HPA(hpa), 1);
    CHECK(!mem_alloc(2, PAGE_SIZE).value, "every other page free is no run of two");
    mem_free(HPA(MIB(12) + PAGE_SIZE), 1);
    CHECK(mem_alloc(3, PAGE_SIZE).value == MIB(12), "the gap of three is found");
    for (uint64_t hpa = MIB(14); hpa < MIB(16); hpa += PAGE_SIZE)
        if (hpa / PAGE_SIZE % 2)
            mem_free(HPA(hpa), 1);
    CHECK(mem_alloc(512, SIZE_2M).value == MIB(14), "and an aligned 2 MiB once it is whole");
}

static void test_limits(void)
{
    start_machine();
    CHECK(!mem_alloc(0, PAGE_SIZE).value, "no pages are none");
    CHECK(!mem_alloc(UINT64_MAX, PAGE_SIZE).value, "a count beyond all reason fails");
    CHECK(!mem_alloc(PAGES, PAGE_SIZE).value, "as does one beyond the machine");
    CHECK(!mem_alloc(1, GIB(1)).value, "and an alignment that no usable page has");
    CHECK(mem_alloc(31 * 256, PAGE_SIZE).value == MIB(9), "the largest run fits exactly");
}

static void test_misuse(void)
{
    start_machine();
    hpa_t run = mem_alloc(8, PAGE_SIZE);

    CHECK(panics_on_free(HPA(run.value + 4 * PAGE_SIZE), 5), "freeing past a run is a panic");
    CHECK(!panics_on_free(HPA(run.value + 4 * PAGE_SIZE), 1), "freeing a part of it is not");
    CHECK(panics_on_free(HPA(run.value + 4 * PAGE_SIZE), 1), "freeing that again is");
    CHECK(panics_on_free(run, 8), "and so is freeing the run with the hole");
    CHECK(panics_on_free(HPA(MIB(8)), 1), "a module's page was never allocated");
    CHECK(panics_on_free(HPA(0x5000), 1), "nor was low memory");
    CHECK(panics_on_free(HPA(MIB(30)), 1), "nor a page that nobody asked for");
    CHECK(panics_on_free(HPA(GIB(1)), 1), "nor one that the machine does not have");
    CHECK(panics_on_free(HPA(run.value), UINT64_MAX), "nor as many as that");
    CHECK(!panics_on_free(HPA(0), 1) && panics_on_free(HPA(PAGE_SIZE), 1),
          "what there was no room for is nothing to free");
    CHECK(panics_on_free(HPA(run.value + 8), 1), "an address inside a page is a panic");
    CHECK(!panics_on_free(run, 4), "the rest of the run is still good to free");
}

static unsigned int pauses;

static void count_pause(void)
{
    pauses++;
}

static void test_pause(void)
{
    start_machine();
    mem_set_pause_hook(count_pause);
    hpa_t run = mem_alloc(16 * 256, SIZE_2M);
    CHECK(pauses == 8, "zeroing 16 MiB pauses every 2 MiB");
    mem_free(run, 16 * 256);
    CHECK(pauses == 16, "so does freeing them");
    pauses = 0;
    CHECK(mem_alloc(16 * 256, SIZE_2M).value == run.value && !pauses,
          "the same run again is clean and is not zeroed a second time");
    mem_set_pause_hook(NULL);
}

int main(void)
{
    machine = aligned_alloc(SIZE_2M, MACHINE_SIZE);
    direct_map_base = (uint64_t)machine;

    test_start();
    test_random();
    test_exhaustion();
    test_fragmentation();
    test_limits();
    test_misuse();
    test_pause();
    free(machine);
    return check_done();
}
