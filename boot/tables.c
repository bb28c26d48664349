/* SPDX-License-Identifier: MIT */
/* The first page tables, four levels.  Knows nothing of CR3 or of who runs on them. */
#include "boot/tables.h"

#include "hv/addr.h"
#include "hv/elf64.h"
#include "hv/util.h"

#define PTE_PRESENT BIT(0)
#define PTE_WRITE   BIT(1)
#define PTE_LARGE   BIT(7)
#define PTE_NX      BIT(63)
#define PTE_ADDRESS 0x000ffffffffff000ull

#define ENTRIES  512
#define LEVEL_4K 1 /* the level of the tables that hold the leaves */
#define LEVEL_2M 2
#define LEVELS   4

static uint32_t level_shift(uint32_t level)
{
    return PAGE_SHIFT + 9 * (level - 1);
}

static uint64_t *table_at(uint64_t entry)
{
    return (uint64_t *)(entry & PTE_ADDRESS);
}

static uint64_t new_table(struct tables *tables)
{
    uint64_t page = tables->next;

    if (page >= tables->end)
        return 0;
    tables->next += PAGE_SIZE;
    __builtin_memset(table_at(page), 0, PAGE_SIZE);
    return page;
}

/* The table that an entry points at; an absent one is made, a large leaf is split into its parts.
 */
static uint64_t *descend(struct tables *tables, uint64_t *entry, uint32_t level)
{
    uint64_t old = *entry;

    if (!(old & PTE_PRESENT) || (old & PTE_LARGE)) {
        uint64_t page = new_table(tables);

        if (page == 0)
            return NULL;
        for (uint64_t i = 0; (old & PTE_PRESENT) && i < ENTRIES; i++)
            table_at(page)[i] = (old & ~PTE_LARGE) + (i << level_shift(level - 1));
        *entry = page | PTE_PRESENT | PTE_WRITE;
    }
    return table_at(*entry);
}

static bool map_leaf(struct tables *tables, uint64_t virt, uint64_t phys, uint32_t leaf_level,
                     uint64_t flags)
{
    uint64_t *table = table_at(tables->root);
    uint32_t level = LEVELS;

    for (; level > leaf_level; level--) {
        table = descend(tables, &table[virt >> level_shift(level) & (ENTRIES - 1)], level);
        if (table == NULL)
            return false;
    }
    table[virt >> level_shift(level) & (ENTRIES - 1)] =
        phys | flags | PTE_PRESENT | (leaf_level == LEVEL_4K ? 0 : PTE_LARGE);
    return true;
}

static bool map_range(struct tables *tables, uint64_t virt, uint64_t phys, uint64_t size,
                      uint32_t leaf_level, uint64_t flags)
{
    uint64_t step = 1ull << level_shift(leaf_level);

    for (uint64_t done = 0; done < size; done += step)
        if (!map_leaf(tables, virt + done, phys + done, leaf_level, flags))
            return false;
    return true;
}

static bool is_high_ram(const struct boot_mem *memory)
{
    return memory->type <= BOOT_MEM_RUNTIME_DATA && memory->base + memory->size > GIB(4);
}

/* How many aligned blocks of 1 << shift bytes hold the first 4 GiB and all RAM. */
static uint64_t count_blocks(const struct boot_mem *memory, uint32_t count, uint32_t shift)
{
    uint64_t next = ((GIB(4) - 1) >> shift) + 1, blocks = next;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t first = MAX(memory[i].base >> shift, next);
        uint64_t last = (memory[i].base + memory[i].size - 1) >> shift;

        if (!is_high_ram(&memory[i]) || last < first)
            continue;
        blocks += last - first + 1;
        next = last + 1;
    }
    return blocks;
}

uint64_t tables_pages(const struct boot_mem *memory, uint32_t count, uint64_t image_size)
{
    uint64_t identity = count_blocks(memory, count, level_shift(LEVELS)) +
                        count_blocks(memory, count, level_shift(LEVELS - 1));
    uint64_t image = 1 + 2 + image_size / SIZE_2M + 2; /* it may begin anywhere */

    return 1 + identity + image + 1; /* the root; the split for the code page */
}

bool tables_init(struct tables *tables, uint64_t pool, uint64_t pages)
{
    *tables = (struct tables){.next = pool, .end = pool + pages * PAGE_SIZE};
    tables->root = new_table(tables);
    return tables->root != 0;
}

bool tables_map_identity(struct tables *tables, const struct boot_mem *memory, uint32_t count)
{
    uint64_t flags = PTE_WRITE | PTE_NX;
    bool ok = map_range(tables, 0, 0, GIB(4), LEVEL_2M, flags);

    for (uint32_t i = 0; ok && i < count; i++) {
        uint64_t base = MAX(align_down(memory[i].base, SIZE_2M), GIB(4));
        uint64_t end = align_up(memory[i].base + memory[i].size, SIZE_2M);

        if (is_high_ram(&memory[i]))
            ok = map_range(tables, base, base, end - base, LEVEL_2M, flags);
    }
    return ok;
}

bool tables_map_image(struct tables *tables, const struct elf_image *image, uint64_t virt,
                      uint64_t phys)
{
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        uint64_t flags = ((segment->flags & ELF_PF_W) ? PTE_WRITE : 0) |
                         ((segment->flags & ELF_PF_X) ? 0 : PTE_NX);

        if (!map_range(tables, virt + segment->offset, phys + segment->offset,
                       align_up(segment->size, PAGE_SIZE), LEVEL_4K, flags))
            return false;
    }
    return true;
}

bool tables_map_code(struct tables *tables, uint64_t page)
{
    return map_leaf(tables, page, page, LEVEL_4K, 0);
}
