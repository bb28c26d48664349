/* SPDX-License-Identifier: MIT */
/* An ELF file, 32-bit or 64-bit, as far as a boot loader cares: its header and program headers,
 * checked. */
#pragma once

#include "hv/load/loader.h"

#define ELF_PT_LOAD 1
#define ELF_PT_NOTE 4

#define ELF_MAX_SEGMENTS 64

struct elf {
    const struct load_file *file;
    bool is_64;
    uint64_t entry;
    uint64_t table; /* offset of the program headers */
    unsigned int count;
};

struct elf_segment {
    uint32_t type;
    uint64_t offset; /* in the file */
    uint64_t vaddr, paddr;
    uint64_t file_size, memory_size;
};

/* Checks the header; every program header lies in the file afterwards, but what they say is not
 * judged. */
int elf_open(struct loader *loader, struct elf *elf);
struct elf_segment elf_segment(const struct elf *elf, unsigned int index);

/*
 * Copies the loadable segments to their physical addresses and clears what the file does not fill.
 * Refuses what is not in the file, not in RAM, in the loader's area, or overlaps.  *end: the first
 * address after all of them.
 */
int elf_load_segments(struct loader *loader, const struct elf *elf, uint64_t *end);

/* Whether a loadable segment holds the address. */
bool elf_holds(const struct elf *elf, uint64_t paddr);

/* The two protocols of ELF files: whether this one asks for it. */
bool pvh_find_entry(const struct elf *elf, uint64_t *entry);
int pvh_load(struct loader *loader, const struct elf *elf, uint64_t entry);
