/* SPDX-License-Identifier: MIT */
/*
 * The glyphs of ASCII for cells of 8 by 16 pixels.  A row is a byte, its leftmost pixel in bit 7;
 * of a cell's rows the glyph has those from FONT_TOP on, the others are empty.
 */
#pragma once

#include <stdint.h>

#define FONT_WIDTH  8u
#define FONT_HEIGHT 16u
#define FONT_TOP    1u
#define FONT_ROWS   13u
#define FONT_FIRST  ' '
#define FONT_LAST   '~'

extern const uint8_t font_glyphs[FONT_LAST - FONT_FIRST + 1][FONT_ROWS];
