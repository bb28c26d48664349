/* SPDX-License-Identifier: MIT */
/*
 * boot/tables.c: the first page tables, built in this process's memory and walked as the CPU would.
 */
#include "boot/tables.h"

#include "hv/addr.h"
#include "hv/elf64.h"
#include "hv/util.h"
#include "tests/host/check.h"

#include <stdlib.h>

#define PTE_P  BIT(0)
#define PTE_W  BIT(1)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)

#define IMAGE_VIRT 0xffffffff80000000ull
#define IMAGE_PHYS 0x3a123000ull

static const struct elf_image image = {
    .virt = IMAGE_VIRT,
    .size = 0x203000,
    .segment_count = 3,
    .segments = {{.offset = 0, .size = 0x1fffff, .flags = ELF_PF_R | ELF_PF_X},
                 {.offset = 0x200000, .size = 0x1000, .flags = ELF_PF_R},
                 {.offset = 0x202000, .size = 0x234, .flags = ELF_PF_R | ELF_PF_W}},
};

/* RAM to 3 GiB and from 4 GiB, a part of a large page, RAM far away, and what is no RAM. */
static const struct boot_mem memory[] = {
    {0x0, 0xc0000000, BOOT_MEM_USABLE, 0},         {0xe0000000, 0x10000000, BOOT_MEM_MMIO, 0},
    {0x100000000, 0x40001000, BOOT_MEM_USABLE, 0}, {0x140001000, 0x1000, BOOT_MEM_ACPI, 0},
    {0x8000000000, 0x200000, BOOT_MEM_MODULE, 0},  {0x10000000000, 0x40000000, BOOT_MEM_MMIO, 0},
};

struct walk {
    bool present, write, execute, large;
    uint64_t phys;
};

static struct walk walk(const struct tables *tables, uint64_t virt)
{
    uint64_t entry = tables->root;
    struct walk w = {.present = true, .write = true, .execute = true};

    for (uint32_t shift = 39; w.present && shift >= 12; shift -= 9) {
        entry = ((uint64_t *)(entry & 0x000ffffffffff000))[virt >> shift & 511];
        w.present = entry & PTE_P;
        w.write &= (entry & PTE_W) != 0;
        w.execute &= !(entry & PTE_NX);
        w.large = shift > 12 && (entry & PTE_PS);
        if (w.large || shift == 12) {
            w.phys = (entry & 0x000ffffffffff000) + (virt & ((1ull << shift) - 1));
            break;
        }
    }
    return w;
}

static bool is_plain(const struct tables *tables, uint64_t address)
{
    struct walk w = walk(tables, address);

    return w.present && w.phys == address && w.write && !w.execute;
}

static bool image_is(const struct tables *tables, uint64_t offset, bool write, bool execute)
{
    struct walk w = walk(tables, IMAGE_VIRT + offset);

    return w.present && !w.large && w.phys == IMAGE_PHYS + offset && w.write == write &&
           w.execute == execute;
}

static bool build(struct tables *tables, void *pool, uint64_t pages)
{
    return tables_init(tables, (uint64_t)pool, pages) &&
           tables_map_identity(tables, memory, ARRAY_SIZE(memory)) &&
           tables_map_image(tables, &image, IMAGE_VIRT, IMAGE_PHYS) &&
           tables_map_code(tables, 0x12345000);
}

static void test_identity(const struct tables *tables)
{
    bool low = true, high = true;

    for (uint64_t a = 0; a < GIB(4); a += SIZE_2M)
        low &= a == 0x12200000 || (is_plain(tables, a) && walk(tables, a).large);
    for (uint64_t a = GIB(4); a < GIB(5); a += SIZE_2M)
        high &= is_plain(tables, a) && walk(tables, a).large;
    CHECK(low, "the first 4 GiB are one to one, in 2 MiB pages, not executable");
    CHECK(high && is_plain(tables, 0x140001fff), "so is RAM above, to its last byte");
    CHECK(is_plain(tables, 0x8000000000), "so is RAM behind the first 512 GiB");
    CHECK(!walk(tables, 0x140200000).present && !walk(tables, 0x8000200000).present &&
              !walk(tables, 0x10000000000).present,
          "nothing is mapped above 4 GiB that is not RAM");
}

static void test_code_page(const struct tables *tables)
{
    uint64_t executable = 0;
    bool others = true;

    for (uint64_t a = 0; a < GIB(4); a += PAGE_SIZE) {
        if (!walk(tables, a).execute)
            others &= is_plain(tables, a);
        else
            executable++;
    }
    struct walk w = walk(tables, 0x12345000);
    CHECK(executable == 1 && w.execute && !w.write && w.phys == 0x12345000,
          "one page of it is executable, and read-only");
    CHECK(others, "its neighbours stay as they were");
}

static void test_image(const struct tables *tables)
{
    CHECK(image_is(tables, 0, false, true) && image_is(tables, 0x1ff000, false, true),
          "text can be executed, not written");
    CHECK(image_is(tables, 0x200000, false, false), "rodata neither");
    CHECK(image_is(tables, 0x202000, true, false), "data can be written, not executed");
    CHECK(!walk(tables, IMAGE_VIRT + 0x201000).present &&
              !walk(tables, IMAGE_VIRT + 0x203000).present &&
              !walk(tables, IMAGE_VIRT - 0x1000).present,
          "nothing is mapped between, before or behind the segments");
}

static void test_pool(void *pool, uint64_t used)
{
    bool all_refused = true;
    struct tables tables;

    for (uint64_t pages = 0; pages < used; pages++)
        all_refused &= !build(&tables, pool, pages);
    CHECK(all_refused && build(&tables, pool, used), "a pool that is too small is said to be");
}

int main(void)
{
    uint64_t pages = tables_pages(memory, ARRAY_SIZE(memory), image.size);
    void *pool = aligned_alloc(PAGE_SIZE, pages * PAGE_SIZE);
    struct tables tables;

    CHECK(build(&tables, pool, pages), "tables_pages() asks for enough");
    uint64_t used = (tables.next - (uint64_t)pool) / PAGE_SIZE;
    CHECK(used + 4 >= pages, "and for little more");
    test_identity(&tables);
    test_code_page(&tables);
    test_image(&tables);
    test_pool(pool, used);
    free(pool);
    return check_done();
}
