/* SPDX-License-Identifier: MIT */
/*
 * The first page tables: all RAM and the first 4 GiB one to one, not executable, and the image at
 * its own address, W^X.  They last until arch/x86/paging.c has built its own.  Pure: no firmware,
 * so that they are checked on the host as well.
 */
#pragma once

#include "boot/boot_info.h"
#include "boot/elf.h"

#include <stdbool.h>
#include <stdint.h>

/* Tables are taken from a pool of pages, whose physical addresses are their addresses here. */
struct tables {
    uint64_t root; /* for CR3 */
    uint64_t next, end;
};

/* An upper bound for what the functions below take from the pool. */
uint64_t tables_pages(const struct boot_mem *memory, uint32_t count, uint64_t image_size);

/* All return false when the pool is empty. */
bool tables_init(struct tables *tables, uint64_t pool, uint64_t pages);
bool tables_map_identity(struct tables *tables, const struct boot_mem *memory, uint32_t count);
bool tables_map_image(struct tables *tables, const struct elf_image *image, uint64_t virt,
                      uint64_t phys);

/* Makes one page of the identity map executable and read-only, for the code that changes CR3. */
bool tables_map_code(struct tables *tables, uint64_t page);
