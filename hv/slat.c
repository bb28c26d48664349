/* SPDX-License-Identifier: MIT */
/* Second-level tables: mapping, unmapping, looking up.  What an entry looks like, the format knows.
 */
#include "hv/slat.h"

#include "arch/x86/paging.h"
#include "hv/errno.h"
#include "hv/string.h"
#include "hv/util.h"

#define TOP_LEVEL 4u

static unsigned int index_at(uint64_t gpa, unsigned int level)
{
    return (unsigned int)(gpa >> (PAGE_SHIFT + 9 * (level - 1))) & 511;
}

static uint64_t size_at(unsigned int level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

static uint64_t *table_at(uint64_t hpa)
{
    return phys_to_virt(HPA(hpa));
}

uint64_t slat_pages_needed(uint64_t size, unsigned int ranges)
{
    uint64_t tables = 1;

    /* A range may begin and end in the middle of what one table covers. */
    for (unsigned int level = 2; level <= TOP_LEVEL; level++)
        tables += size / size_at(level) + 2ull * ranges;
    return tables;
}

static void pool_put(struct slat_pool *pool, uint64_t hpa)
{
    *table_at(hpa) = pool->first_free;
    pool->first_free = hpa;
    pool->free_count++;
}

static uint64_t pool_take(struct slat_pool *pool)
{
    uint64_t hpa = pool->first_free;

    if (!hpa)
        return 0;
    pool->first_free = *table_at(hpa);
    pool->free_count--;
    *table_at(hpa) = 0;
    return hpa;
}

void slat_init(struct slat *slat, const struct slat_format *format, hpa_t pages, uint64_t count)
{
    *slat = (struct slat){.format = format};
    for (uint64_t i = count; i-- > 0;)
        pool_put(&slat->pool, pages.value + i * PAGE_SIZE);
    slat->root = pool_take(&slat->pool);
}

/* CPUs and others that look up may walk the tables meanwhile: each entry changes in one piece. */
static void set_entry(uint64_t *entry, uint64_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static bool is_leaf(uint64_t entry, unsigned int level)
{
    return level == 1 || (entry & SLAT_LEAF);
}

/* A table in the place of an absent entry, or of a large leaf, one level below which it says the
 * same. */
static int descend(struct slat *slat, uint64_t *entry, unsigned int level)
{
    const struct slat_format *format = slat->format;
    uint64_t table = pool_take(&slat->pool);

    if (!table)
        return -ENOMEM;
    for (unsigned int i = 0; (*entry & format->present) && i < 512; i++)
        table_at(table)[i] = format->make_leaf((*entry & SLAT_ADDRESS) + i * size_at(level - 1),
                                               level - 1, format->flags(*entry));
    set_entry(entry, table | format->table);
    return 0;
}

/*
 * The entry for gpa at *level, with the tables above it made; or further down where a table stands
 * already, with *level as there is: a table is never taken away, for a CPU may still walk it.
 */
static int entry_for(struct slat *slat, uint64_t gpa, unsigned int *level, uint64_t **out)
{
    const struct slat_format *format = slat->format;
    uint64_t *table = table_at(slat->root);

    for (unsigned int at = TOP_LEVEL;; at--) {
        uint64_t *entry = &table[index_at(gpa, at)];
        bool present = *entry & format->present;
        bool is_table = present && !is_leaf(*entry, at);

        if (at <= *level && !is_table) {
            *level = at;
            *out = entry;
            return 0;
        }
        if (!is_table && descend(slat, entry, at) != 0)
            return -ENOMEM;
        table = table_at(*entry & SLAT_ADDRESS);
    }
}

static unsigned int best_level(const struct slat *slat, uint64_t gpa, uint64_t hpa, uint64_t size)
{
    if (gpa < SIZE_2M) /* legacy holes and hooks live here */
        return 1;
    for (unsigned int level = slat->format->has_1g ? 3 : 2; level > 1; level--)
        if (is_aligned(gpa | hpa, size_at(level)) && size >= size_at(level))
            return level;
    return 1;
}

struct slat_entry slat_lookup(const struct slat *slat, gpa_t gpa)
{
    const struct slat_format *format = slat->format;
    uint64_t *table = table_at(slat->root);

    for (unsigned int level = TOP_LEVEL;; level--) {
        uint64_t entry = __atomic_load_n(&table[index_at(gpa.value, level)], __ATOMIC_ACQUIRE);
        bool present = entry & format->present;

        if (!present || is_leaf(entry, level))
            return (struct slat_entry){.value = entry, .level = level, .present = present};
        table = table_at(entry & SLAT_ADDRESS);
    }
}

hpa_t slat_translate(const struct slat *slat, gpa_t gpa)
{
    struct slat_entry entry = slat_lookup(slat, gpa);

    if (!entry.present)
        return HPA(0);
    return HPA((entry.value & SLAT_ADDRESS) | (gpa.value & (size_at(entry.level) - 1)));
}

/* The part of [gpa, gpa + size) from its beginning that one absent entry covers. */
static uint64_t absent_at(const struct slat *slat, uint64_t gpa, uint64_t size)
{
    struct slat_entry entry = slat_lookup(slat, GPA(gpa));
    uint64_t covered = size_at(entry.level) - (gpa & (size_at(entry.level) - 1));

    return entry.present ? 0 : MIN(size, covered);
}

/* Set the entries of [gpa, gpa + size); flags 0: not present. */
static int set_range(struct slat *slat, uint64_t gpa, uint64_t hpa, uint64_t size,
                     unsigned int flags)
{
    const struct slat_format *format = slat->format;

    while (size) {
        unsigned int level = best_level(slat, gpa, flags ? hpa : gpa, size);
        uint64_t absent = flags ? 0 : absent_at(slat, gpa, size);
        uint64_t *entry;

        if (absent) { /* no tables to say again that nothing is there */
            gpa += absent;
            size -= absent;
            continue;
        }
        if (entry_for(slat, gpa, &level, &entry) != 0)
            return -ENOMEM;
        set_entry(entry, flags ? format->make_leaf(hpa, level, flags) : 0);
        gpa += size_at(level);
        hpa += size_at(level);
        size -= size_at(level);
    }
    return 0;
}

int slat_map(struct slat *slat, gpa_t gpa, hpa_t hpa, uint64_t size, unsigned int flags)
{
    return set_range(slat, gpa.value, hpa.value, size, flags);
}

int slat_unmap(struct slat *slat, gpa_t gpa, uint64_t size)
{
    return set_range(slat, gpa.value, 0, size, 0);
}
