/* SPDX-License-Identifier: MIT */
/*
 * A linear framebuffer of 32 bits a pixel that shows a screen of characters, grey on black.  It is
 * only ever written: what it shows is remembered, and cells that differ are drawn, a few at a time.
 */
#pragma once

#include "drivers/text_screen.h"

#include <stdbool.h>
#include <stdint.h>

/* As firmware describes it; not trusted. */
struct framebuffer_mode {
    uint64_t size;          /* bytes */
    uint32_t width, height; /* pixels */
    uint32_t stride;        /* pixels a line */
    bool has_32_bits;       /* RGBX or BGRX, 8 bits each; grey is the same in both */
};

struct framebuffer {
    volatile uint32_t *pixels;
    uint32_t stride;
    uint32_t scale;       /* a font's pixel is a square of so many */
    uint16_t row, column; /* where drawing goes on */
    uint8_t shown[TEXT_ROWS_MAX][TEXT_COLUMNS_MAX];
};

/* A null pointer, or the reason why the mode cannot be used. */
const char *framebuffer_check(const struct framebuffer_mode *mode);
/* Bytes from the first pixel to the last of a mode that can be used. */
uint64_t framebuffer_bytes(const struct framebuffer_mode *mode);

/* Black, and a screen of the size that fits. */
void framebuffer_init(struct framebuffer *fb, const struct framebuffer_mode *mode, void *pixels,
                      struct text_screen *screen);

/* Draw what has changed, but not much more than so many cells; false: nothing is left. */
bool framebuffer_draw(struct framebuffer *fb, struct text_screen *screen, unsigned int cells);
