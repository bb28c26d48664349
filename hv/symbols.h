/* SPDX-License-Identifier: MIT */
/*
 * Names for code addresses, from the symbol table of the ELF file that was booted.  The file is not
 * trusted to be whole: a damaged one has no names, and no read leaves it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbols {
    const uint8_t *table; /* of Elf64_Sym, unaligned; a null pointer: no symbols */
    uint64_t count;
    const char *names;
    uint64_t names_size; /* its last byte is NUL */
    uint64_t slide;      /* what was added to the link addresses */
};

/* False, and no symbols, when the file has none or is damaged. */
bool symbols_init(struct symbols *symbols, const void *elf, uint64_t size, uint64_t slide);

/* The function that an address lies in and how far into it; a null pointer when there is none. */
const char *symbols_find(const struct symbols *symbols, uint64_t address, uint64_t *offset);
