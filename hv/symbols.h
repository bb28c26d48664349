/* SPDX-License-Identifier: MIT */
/*
 * Names for code addresses, from the part of mica.elf that has them.  It is not trusted to be
 * whole: no read leaves it.
 */
#pragma once

#include <stdint.h>

struct symbols {
    const char *data; /* 32 bits of an offset in the image, unaligned, and a name with a NUL, ... */
    uint64_t size;    /* its last byte is NUL; 0: no symbols */
    uint64_t base;    /* where the image is */
};

/* Damaged ones are none. */
void symbols_init(struct symbols *symbols, const void *data, uint64_t size, uint64_t base);

/* The function that an address lies in and how far into it; a null pointer when there is none. */
const char *symbols_find(const struct symbols *symbols, uint64_t address, uint64_t *offset);
