/* SPDX-License-Identifier: MIT */
/*
 * The screen of characters, and its way into pixels: what is drawn is read back from a buffer by
 * comparing each cell with the font.
 */
#include "drivers/font.h"
#include "drivers/framebuffer.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS   20u
#define ROWS      6u
#define TWO_MARKS "\x3f\x3f"  /* not the beginning of a trigraph */
#define OUTSIDE   0x12345678u /* pixels that nobody may touch */

static struct text_screen screen;
static struct framebuffer fb;
static uint32_t *pixels;
static size_t pixel_count;
static struct framebuffer_mode mode;

/* ---- The screen ------------------------------------------------------------------------------ */

static void put(const char *text)
{
    while (*text)
        text_screen_put(&screen, (uint8_t)*text++);
}

/* The screen as text: rows without the spaces at their ends, joined by '|', and no empty last ones.
 */
static const char *text(void)
{
    static char all[TEXT_ROWS_MAX * (TEXT_COLUMNS_MAX + 1) + 1];
    size_t size = 0;

    for (unsigned int row = 0; row < screen.rows; row++) {
        memcpy(all + size, text_screen_row(&screen, row), screen.columns);
        size += screen.columns;
        while (size && all[size - 1] == ' ')
            size--;
        all[size++] = '|';
    }
    while (size && all[size - 1] == '|')
        size--;
    all[size] = '\0';
    return all;
}

static bool shows(const char *bytes, const char *expected)
{
    text_screen_init(&screen, COLUMNS, ROWS);
    put(bytes);
    if (strcmp(text(), expected) == 0)
        return true;
    printf("# it shows \"%s\"\n", text());
    return false;
}

static void test_text(void)
{
    CHECK(shows("one\r\ntwo", "one|two"), "lines");
    CHECK(shows("one\ntwo", "one|   two"), "a line feed keeps the column");
    CHECK(shows("abc\rx", "xbc"), "a carriage return");
    CHECK(shows("abc\b\bx", "axc"), "backspaces");
    CHECK(shows("\b\b\ba", "a"), "none beyond the line's beginning");
    CHECK(shows("a\tb\tc", "a       b       c"), "tabs");
    CHECK(shows("\t\t\t\t\tx", "                   x"), "none beyond the line's end");
    CHECK(shows("\x01\x02\x07"
                "a\x7f"
                "b\x0e",
                "ab"),
          "other control characters are nothing");
    CHECK(shows("\xc3\xa4\xe2\x82\xac!", TWO_MARKS "!"),
          "a character of several bytes is one mark");
    CHECK(shows("01234567890123456789abc", "01234567890123456789|abc"), "long lines wrap");
    CHECK(shows("01234567890123456789\r\nabc", "01234567890123456789|abc"),
          "but not before the next character");
    CHECK(shows("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8", "3|4|5|6|7|8"), "the screen scrolls");
    CHECK(shows("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\x1b[Hx\r\ny", "x|y|5|6|7|8"),
          "and has its first line at the top then");
}

static void test_sequences(void)
{
    CHECK(shows("mica> li\r\x1b[K[log]\r\nmica> list\x1b[K\x1b[2D!", "[log]|mica> li!t"),
          "what the line editor writes");
    CHECK(shows("old\r\nold\x1b[2J\x1b[Htop\x1b[K\r\nrow\x1b[K\r\n\x1b[J", "top|row"),
          "what top writes");
    CHECK(shows("abcdef\x1b[3D\x1b[1K", "    ef"), "erase to the left");
    CHECK(shows("abcdef\x1b[2Kx", "      x"), "erase the line");
    CHECK(shows("abc\r\ndef\r\nghi\x1b[2;2H\x1b[J", "abc|d"), "erase to the end");
    CHECK(shows("abc\r\ndef\r\nghi\x1b[2;2H\x1b[1J", "|  f|ghi"), "erase from the beginning");
    CHECK(shows("\x1b[3;5Hx\x1b[A\x1b[2Dy\x1b[Bz\x1b[Cw", "|   y|    z w"), "the cursor moves");
    CHECK(shows("\x1b[999;999Hx\x1b[999A\x1b[999Dy", "y|||||                   x"),
          "and stays on the screen");
    CHECK(shows("\x1b[1;31mred\x1b[0m \x1b[38;5;1mx\x1b[?25l\x1b[?2004hy", "red xy"),
          "colours and modes are left out");
    CHECK(shows("\x1b]0;title\x07"
                "a\x1b]0;title\x1b\\b\x1b(Bc\x1b=d\x1b[6n",
                "abcd"),
          "and titles, character sets, questions");
    CHECK(shows("\x1b]0;no end\r\nlog\x1b[12\r\nmore", "|log|more"),
          "a sequence without an end ends with its line");
    CHECK(shows("\x1b[99999999999999999999C\x1b[-1Cx\x1b[1;2;3;4;5;6Hy", "                   x|y"),
          "numbers that are too large, negative or too many");
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

static void make(uint32_t width, uint32_t height, uint32_t stride)
{
    free(pixels);
    mode = (struct framebuffer_mode){.size = 4ull * stride * height,
                                     .width = width,
                                     .height = height,
                                     .stride = stride,
                                     .has_32_bits = true};
    pixel_count = framebuffer_bytes(&mode) / 4; /* not one more, so that ASan sees the first */
    pixels = malloc(4 * pixel_count);
    for (size_t i = 0; i < pixel_count; i++)
        pixels[i] = OUTSIDE;
    framebuffer_init(&fb, &mode, pixels, &screen);
}

static bool is_ink(unsigned int row, unsigned int column, unsigned int y, unsigned int x)
{
    size_t line = (row * FONT_HEIGHT + y) * fb.scale + fb.scale - 1;

    return pixels[line * mode.stride + (column * FONT_WIDTH + x) * fb.scale] != 0;
}

/* Which character a cell of pixels is: 0 where it is none, with 0x80 where it is inverted. */
static int read_cell(unsigned int row, unsigned int column)
{
    bool inverse = is_ink(row, column, 0, 0); /* no glyph has ink there */

    for (int code = FONT_FIRST; code <= FONT_LAST; code++) {
        bool same = true;

        for (unsigned int y = 0; y < FONT_HEIGHT; y++)
            for (unsigned int x = 0; x < FONT_WIDTH; x++) {
                bool in_glyph = y >= FONT_TOP && y < FONT_TOP + FONT_ROWS &&
                                font_glyphs[code - FONT_FIRST][y - FONT_TOP] >> (7 - x) & 1;
                same &= (is_ink(row, column, y, x) ^ inverse) == in_glyph;
            }
        if (same)
            return code | (inverse ? 0x80 : 0);
    }
    return 0;
}

/* Do the pixels show the screen, with one cursor, and none outside of it? */
static bool is_drawn(void)
{
    unsigned int cursors = 0;

    for (unsigned int row = 0; row < screen.rows; row++)
        for (unsigned int column = 0; column < screen.columns; column++) {
            int cell = read_cell(row, column);

            cursors += cell >> 7 & 1;
            if ((cell & 0x7f) != text_screen_row(&screen, row)[column])
                return false;
        }
    for (size_t i = 0; i < pixel_count; i++)
        if (i % mode.stride >= mode.width && pixels[i] != OUTSIDE)
            return false;
    return cursors == 1;
}

static void draw_all(void)
{
    while (framebuffer_draw(&fb, &screen, 7))
        ;
}

static void test_check(void)
{
    const struct framebuffer_mode good = {
        .size = 800 * 600 * 4, .width = 800, .height = 600, .stride = 800, .has_32_bits = true};
    struct framebuffer_mode bad[9];

    for (size_t i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].has_32_bits = false;
    bad[1].size--;
    bad[2].stride = 799;
    bad[3].width = 7;
    bad[4].height = 15;
    bad[5].height = UINT32_MAX;
    bad[6].width = bad[6].stride = UINT32_MAX;
    bad[7].stride = UINT32_MAX;
    bad[8].size = 0;
    CHECK(!framebuffer_check(&good), "an ordinary mode");
    unsigned int refused = 0;
    for (size_t i = 0; i < 9; i++)
        refused += framebuffer_check(&bad[i]) != NULL;
    CHECK(refused == 9, "modes that contradict themselves are refused");
}

static void test_drawing(void)
{
    make(800, 600, 832);
    CHECK(screen.columns == 100 && screen.rows == 37, "as many characters as fit");
    put("mica: a hypervisor\r\n !\"#$%&'()*+,-./0123456789:;<=>?@\r\n"
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`\r\nabcdefghijklmnopqrstuvwxyz{|}~");
    CHECK(framebuffer_draw(&fb, &screen, 10), "a few cells are not all");
    draw_all();
    CHECK(is_drawn(), "every character can be read back");
    CHECK(read_cell(3, 30) == (' ' | 0x80), "the cursor is a block");
    put("\r\x1b[K");
    draw_all();
    CHECK(is_drawn(), "what is erased is gone");
    for (unsigned int i = 0; i < 100; i++) {
        char line[32];
        snprintf(line, sizeof(line), "\r\nline %u", i);
        put(line);
        framebuffer_draw(&fb, &screen, (unsigned int)rand() % 60);
    }
    draw_all();
    CHECK(is_drawn() && strstr(text(), "line 99"), "and after scrolling in the midst of drawing");
}

/* A cell that is right already is not written again. */
static void test_only_changes(void)
{
    make(160, 96, 160);
    put("some text\r\nmore of it");
    draw_all();
    for (size_t i = 0; i < pixel_count; i++)
        pixels[i] = OUTSIDE;
    put("x");
    draw_all();
    size_t written = 0;
    for (size_t i = 0; i < pixel_count; i++)
        written += pixels[i] != OUTSIDE;
    CHECK(written == 2 * FONT_WIDTH * FONT_HEIGHT,
          "a character costs two cells: it, and the cursor");
}

static void test_sizes(void)
{
    make(8, 16, 8);
    put("ab");
    draw_all();
    CHECK(screen.columns == 1 && screen.rows == 1 && is_drawn(), "a single cell");
    make(1927, 1089, 1930);
    put("full hd, and a bit");
    draw_all();
    CHECK(fb.scale == 1 && screen.columns == 240 && screen.rows == 68 && is_drawn(), "1920 x 1080");
    make(3840, 2160, 3840);
    put("four times as many pixels");
    draw_all();
    CHECK(fb.scale == 2 && screen.columns == 240 && screen.rows == 67 && is_drawn(),
          "larger screens have larger characters");
}

int main(void)
{
    srand(5);
    test_text();
    test_sequences();
    test_check();
    test_drawing();
    test_only_changes();
    test_sizes();
    free(pixels);
    return check_done();
}
