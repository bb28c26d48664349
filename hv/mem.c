/* SPDX-License-Identifier: MIT */
/*
 * The page allocator: two bitmaps over all physical pages up to the last usable one.  "free" has
 * the pages that may be handed out; "clean" those known to be zero.  A page that is handed out is
 * always clean in the second sense (it was zero when it was given), so free = 0 and clean = 0 is a
 * page that is not ours to give.
 */
#include "hv/mem.h"

#include "arch/x86/paging.h"
#include "boot/boot_info.h"
#include "hv/panic.h"
#include "hv/spinlock.h"
#include "hv/string.h"
#include "hv/util.h"

#define LOW_MEMORY  MIB(1) /* the trampoline's and firmware's; never handed out */
#define LARGE_PAGES (SIZE_2M >> PAGE_SHIFT)
#define NOT_FOUND   UINT64_MAX

/* Bitmaps are kept by their physical address, because the direct map moves once. */
struct pages {
    struct spinlock lock; /* of all that changes */
    hpa_t free, clean;
    uint64_t limit; /* pages that the bitmaps cover, a multiple of 64 */
    uint64_t total, free_count;
    uint64_t first_free; /* no page below it is free */
};

static struct pages pages;
static void (*pause_hook)(void);

static uint64_t *bits(hpa_t bitmap)
{
    return phys_to_virt(bitmap);
}

/* The first page in [from, to) whose bit is as wanted, or to. */
static uint64_t find_bit(const uint64_t *map, uint64_t from, uint64_t to, bool wanted)
{
    uint64_t flip = wanted ? 0 : UINT64_MAX;

    while (from < to) {
        uint64_t word = (map[from / 64] ^ flip) >> (from % 64);
        if (word)
            return MIN(from + (uint64_t)__builtin_ctzll(word), to);
        from = (from / 64 + 1) * 64;
    }
    return to;
}

/* Sets or clears the bits of a range, whole words at a time. */
static void set_bits(uint64_t *map, uint64_t first, uint64_t count, bool value)
{
    while (count) {
        uint64_t shift = first % 64;
        uint64_t n = MIN(count, 64 - shift);
        uint64_t mask = (n == 64 ? UINT64_MAX : BIT(n) - 1) << shift;

        if (value)
            map[first / 64] |= mask;
        else
            map[first / 64] &= ~mask;
        first += n;
        count -= n;
    }
}

/* ---- Start-up ---------------------------------------------------------------------------------
 */

/* What of a range may be handed out; false: nothing. */
static bool usable_part(const struct boot_mem *m, uint64_t *base, uint64_t *size)
{
    uint64_t end = m->base + m->size;

    if (m->type != BOOT_MEM_USABLE || end <= LOW_MEMORY)
        return false;
    *base = MAX(m->base, LOW_MEMORY);
    *size = end - *base;
    return true;
}

static uint64_t highest_page(const struct boot_info *info)
{
    uint64_t base, size, highest = 0;

    for (uint32_t i = 0; i < info->memory_count; i++)
        if (usable_part(&info->memory[i], &base, &size))
            highest = MAX(highest, (base + size) >> PAGE_SHIFT);
    return highest;
}

static hpa_t place_bitmaps(const struct boot_info *info, uint64_t size)
{
    uint64_t base, room;

    for (uint32_t i = 0; i < info->memory_count; i++)
        if (usable_part(&info->memory[i], &base, &room) && room >= size)
            return HPA(base);
    panic("no room for the bitmaps of memory: %llu KiB", (unsigned long long)size >> 10);
}

void mem_init(const struct boot_info *info)
{
    uint64_t base, size;

    pages = (struct pages){.limit = align_up(highest_page(info), 64)};
    uint64_t map_bytes = align_up(pages.limit / 8, PAGE_SIZE);
    pages.free = place_bitmaps(info, 2 * map_bytes);
    pages.clean = HPA(pages.free.value + map_bytes);
    memset(bits(pages.free), 0, 2 * map_bytes);

    for (uint32_t i = 0; i < info->memory_count; i++) {
        if (!usable_part(&info->memory[i], &base, &size))
            continue;
        set_bits(bits(pages.free), base >> PAGE_SHIFT, size >> PAGE_SHIFT, true);
        pages.total += size >> PAGE_SHIFT;
    }
    set_bits(bits(pages.free), pages.free.value >> PAGE_SHIFT, 2 * map_bytes >> PAGE_SHIFT, false);
    pages.free_count = pages.total - (2 * map_bytes >> PAGE_SHIFT);
}

/* ---- Runs --------------------------------------------------------------------------------------
 */

static uint64_t find_run(uint64_t from, uint64_t to, uint64_t count, uint64_t alignment)
{
    const uint64_t *map = bits(pages.free);
    uint64_t first = from;

    while (first < to) {
        first = align_up(find_bit(map, first, to, true), alignment);
        if (first >= to || count > pages.limit - first)
            return NOT_FOUND;
        uint64_t taken = find_bit(map, first, first + count, false);
        if (taken == first + count)
            return first;
        first = taken + 1;
    }
    return NOT_FOUND;
}

/* First fit: what is small and long-lived gathers at the bottom, and large runs stay whole above
 * it. */
static uint64_t take_run(uint64_t count, uint64_t alignment)
{
    uint64_t first = find_run(pages.first_free, pages.limit, count, alignment);

    if (first == NOT_FOUND)
        return NOT_FOUND;
    set_bits(bits(pages.free), first, count, false);
    pages.free_count -= count;
    if (count == 1 && alignment == 1)
        pages.first_free = first + 1;
    return first;
}

static void zero_page(uint64_t page)
{
    memset(phys_to_virt(HPA(page << PAGE_SHIFT)), 0, PAGE_SIZE);
    if (page % LARGE_PAGES == LARGE_PAGES - 1 && pause_hook)
        pause_hook();
}

/* Only the owner of a page looks at its clean bit, but the word has other owners' bits too. */
static void clean_run(uint64_t first, uint64_t count)
{
    uint64_t *map = bits(pages.clean);

    for (uint64_t page = first; page < first + count; page++) {
        uint64_t *word = &map[page / 64];

        if (__atomic_load_n(word, __ATOMIC_RELAXED) & BIT(page % 64))
            continue;
        zero_page(page);
        __atomic_fetch_or(word, BIT(page % 64), __ATOMIC_RELAXED);
    }
}

hpa_t mem_alloc(uint64_t count, uint64_t alignment)
{
    if (!count || count > pages.limit)
        return HPA(0);
    spin_lock(&pages.lock);
    uint64_t first = take_run(count, MAX(alignment >> PAGE_SHIFT, 1));
    spin_unlock(&pages.lock);
    if (first == NOT_FOUND)
        return HPA(0);
    clean_run(first, count);
    return HPA(first << PAGE_SHIFT);
}

/* Whether all of a run is handed out: not free, and once given (see the top). */
static bool is_allocated(uint64_t first, uint64_t count)
{
    return first < pages.limit && count <= pages.limit - first &&
           find_bit(bits(pages.free), first, first + count, true) == first + count &&
           find_bit(bits(pages.clean), first, first + count, false) == first + count;
}

void mem_free(hpa_t hpa, uint64_t count)
{
    uint64_t first = hpa.value >> PAGE_SHIFT;

    if (!hpa.value)
        return;
    if (!is_aligned(hpa.value, PAGE_SIZE) || !is_allocated(first, count))
        panic("freeing %llu pages at %#llx, which are not all allocated", (unsigned long long)count,
              (unsigned long long)hpa.value);
    for (uint64_t page = first; page < first + count; page++)
        zero_page(page);

    spin_lock(&pages.lock);
    set_bits(bits(pages.free), first, count, true);
    pages.free_count += count;
    pages.first_free = MIN(pages.first_free, first);
    spin_unlock(&pages.lock);
}

uint64_t mem_total_pages(void)
{
    return pages.total;
}

uint64_t mem_free_pages(void)
{
    return __atomic_load_n(&pages.free_count, __ATOMIC_RELAXED);
}

void mem_set_pause_hook(void (*hook)(void))
{
    pause_hook = hook;
}
