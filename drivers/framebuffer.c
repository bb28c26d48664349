/* SPDX-License-Identifier: MIT */
/* The framebuffer (see framebuffer.h): cells into pixels.  It is memory that is slow to write and
 * slower to read. */
#include "drivers/framebuffer.h"

#include "drivers/font.h"
#include "hv/string.h"
#include "hv/util.h"

#define INK      0x00aaaaaau
#define SIDE_MAX 16384u /* pixels */
#define CURSOR   0x80u  /* of a cell that is shown: with its colours exchanged */
#define ROW_COST 4u     /* cells that could be drawn while a row is compared */

/* The least with which the screen has no more cells than can be shown. */
static uint32_t scale_of(const struct framebuffer_mode *mode)
{
    uint32_t scale = 1;

    while (mode->width / (FONT_WIDTH * scale) > TEXT_COLUMNS_MAX ||
           mode->height / (FONT_HEIGHT * scale) > TEXT_ROWS_MAX)
        scale++;
    return scale;
}

const char *framebuffer_check(const struct framebuffer_mode *mode)
{
    if (!mode->has_32_bits)
        return "its pixels are not of 32 bits";
    if (mode->width < FONT_WIDTH || mode->height < FONT_HEIGHT)
        return "it is smaller than a character";
    if (mode->width > SIDE_MAX || mode->height > SIDE_MAX)
        return "it is larger than any screen";
    if (mode->stride < mode->width || mode->stride > SIDE_MAX)
        return "its lines have no room for its width";
    if (framebuffer_bytes(mode) > mode->size)
        return "its memory is too small for its lines";
    if (mode->width < FONT_WIDTH * scale_of(mode) || mode->height < FONT_HEIGHT * scale_of(mode))
        return "it is too narrow";
    return NULL;
}

uint64_t framebuffer_bytes(const struct framebuffer_mode *mode)
{
    return 4ull * ((uint64_t)mode->stride * (mode->height - 1) + mode->width);
}

static void clear_line(volatile uint32_t *to, uint64_t count)
{
    __asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0) : "memory");
}

void framebuffer_init(struct framebuffer *fb, const struct framebuffer_mode *mode, void *pixels,
                      struct text_screen *screen)
{
    uint32_t scale = scale_of(mode);

    text_screen_init(screen, mode->width / (FONT_WIDTH * scale),
                     mode->height / (FONT_HEIGHT * scale));
    fb->pixels = pixels;
    fb->stride = mode->stride;
    fb->scale = scale;
    fb->row = fb->column = 0;
    for (uint32_t y = 0; y < mode->height; y++)
        clear_line(fb->pixels + (uint64_t)y * fb->stride, mode->width);
    memset(fb->shown, ' ', sizeof(fb->shown));
}

/* A row of a glyph, on one line of pixels. */
static void draw_line(volatile uint32_t *to, uint32_t scale, uint32_t bits)
{
    for (unsigned int i = 0; i < FONT_WIDTH; i++, bits <<= 1) {
        uint32_t colour = INK & (0 - (bits >> 7 & 1));
        uint32_t left = scale;

        do
            *to++ = colour;
        while (--left);
    }
}

static void draw_cell(struct framebuffer *fb, unsigned int row, unsigned int column, uint8_t cell)
{
    volatile uint32_t *to = fb->pixels + (uint64_t)row * FONT_HEIGHT * fb->scale * fb->stride +
                            column * FONT_WIDTH * fb->scale;
    uint8_t inverse = cell & CURSOR ? 0xff : 0, code = cell & 0x7f;
    const uint8_t *glyph =
        font_glyphs[code >= FONT_FIRST && code <= FONT_LAST ? code - FONT_FIRST : 0];

    for (unsigned int y = 0; y < FONT_HEIGHT; y++) {
        uint8_t bits = y >= FONT_TOP && y < FONT_TOP + FONT_ROWS ? glyph[y - FONT_TOP] : 0;

        for (uint32_t n = 0; n < fb->scale; n++, to += fb->stride)
            draw_line(to, fb->scale, bits ^ inverse);
    }
}

/* The row's cells from fb->column on, until so many have been drawn; returns how many still may be.
 */
static unsigned int draw_row(struct framebuffer *fb, const struct text_screen *screen,
                             unsigned int cells)
{
    const uint8_t *wanted = text_screen_row(screen, fb->row);
    uint8_t *shown = fb->shown[fb->row];

    for (; fb->column < screen->columns && cells; fb->column++) {
        bool cursor =
            fb->row == screen->row && fb->column == MIN(screen->column, screen->columns - 1);
        uint8_t cell = wanted[fb->column] | (cursor ? CURSOR : 0);

        if (cell != shown[fb->column]) {
            shown[fb->column] = cell;
            draw_cell(fb, fb->row, fb->column, cell);
            cells--;
        }
    }
    return cells;
}

bool framebuffer_draw(struct framebuffer *fb, struct text_screen *screen, unsigned int cells)
{
    for (unsigned int clean = 0; clean < screen->rows;) {
        bool begun = fb->column != 0;

        if (begun || screen->dirty[fb->row]) {
            if (!cells)
                return true;
            screen->dirty[fb->row] &= begun; /* what changes from here on is found again */
            cells = draw_row(fb, screen, cells);
            if (fb->column < screen->columns)
                return true;
            cells -= MIN(cells, ROW_COST);
            clean = 0;
        } else {
            clean++;
        }
        fb->column = 0;
        fb->row = (uint16_t)((fb->row + 1u) % screen->rows);
    }
    return false;
}
