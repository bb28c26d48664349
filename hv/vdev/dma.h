/* SPDX-License-Identifier: MIT */
/*
 * What a device reaches of the guest's memory: RAM, by guest-physical address.  Every function
 * returns 0, or a negative errno when any byte is not RAM; nothing has been copied then.
 */
#pragma once

#include <stdint.h>

struct dma {
    void *ctx;
    int (*read)(void *ctx, uint64_t gpa, void *to, uint64_t size);
    int (*write)(void *ctx, uint64_t gpa, const void *from, uint64_t size);
    /* The same in one piece, whatever another CPU does; gpa is even. */
    int (*load16)(void *ctx, uint64_t gpa, uint16_t *value);
    int (*store16)(void *ctx, uint64_t gpa, uint16_t value);
    /* The bytes where they lie, to be copied at once; they may change meanwhile.  A null pointer
     * where they do not lie in one piece. */
    const void *(*look)(void *ctx, uint64_t gpa, uint64_t size);
};
