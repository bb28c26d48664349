/* SPDX-License-Identifier: MIT */
/*
 * Arbitrary bytes on a screen of arbitrary size: the cursor stays on it, the cells hold what a font
 * has, and after drawing in arbitrary pieces what is shown is what the screen holds.
 */
#include "drivers/framebuffer.h"

#include <stddef.h>
#include <stdlib.h>

static struct text_screen screen;
static struct framebuffer fb;

static void check_screen(void)
{
    if (screen.row >= screen.rows || screen.column > screen.columns || screen.top >= screen.rows)
        abort();
    for (unsigned int row = 0; row < screen.rows; row++)
        for (unsigned int column = 0; column < screen.columns; column++)
            if (screen.cells[row][column] < ' ' || screen.cells[row][column] > '~')
                abort();
}

static void check_shown(void)
{
    for (unsigned int row = 0; row < screen.rows; row++)
        for (unsigned int column = 0; column < screen.columns; column++)
            if ((fb.shown[row][column] & 0x7f) != text_screen_row(&screen, row)[column])
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    const struct framebuffer_mode mode = {.size = 4 * 120 * 120,
                                          .width = 1 + data[0] % 110,
                                          .height = 1 + data[1] % 110,
                                          .stride = 1 + data[2] % 120,
                                          .has_32_bits = true};
    if (framebuffer_check(&mode))
        return 0;
    void *pixels = malloc(framebuffer_bytes(&mode));
    framebuffer_init(&fb, &mode, pixels, &screen);
    for (size_t i = 3; i < size; i++) {
        text_screen_put(&screen, data[i]);
        if (data[i] % 7 == 0)
            framebuffer_draw(&fb, &screen, data[i] % 5);
    }
    check_screen();
    while (framebuffer_draw(&fb, &screen, 3))
        ;
    check_shown();
    free(pixels);
    return 0;
}
