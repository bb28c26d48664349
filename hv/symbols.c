/* SPDX-License-Identifier: MIT */
/* Finding the function of a code address. */
#include "hv/symbols.h"

#include "hv/string.h"

void symbols_init(struct symbols *symbols, const void *data, uint64_t size, uint64_t base)
{
    const char *bytes = data;

    /* A name that begins in it ends in it then. */
    *symbols = (struct symbols){bytes, size && !bytes[size - 1] ? size : 0, base};
}

const char *symbols_find(const struct symbols *symbols, uint64_t address, uint64_t *offset)
{
    const char *name = "";
    uint32_t begin, best = 0;

    address -= symbols->base;
    for (uint64_t at = 0; symbols->size - at > sizeof(begin);) {
        const char *its_name = symbols->data + at + sizeof(begin);

        memcpy(&begin, symbols->data + at, sizeof(begin));
        if (begin >= best && begin <= address) {
            best = begin;
            name = its_name;
        }
        at += sizeof(begin) + strlen(its_name) + 1;
    }
    *offset = address - best;
    return *name ? name : NULL;
}
