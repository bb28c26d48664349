/* SPDX-License-Identifier: MIT */
/*
 * A screen of characters: bytes in, cells out.  It understands what a line editor and `top` write
 * (CR, LF, BS, TAB; ESC [ and A B C D H J K) and leaves out all other sequences, such as colours.
 * It knows no pixels.  Cells hold ASCII from the space to the tilde.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TEXT_COLUMNS_MAX 240u
#define TEXT_ROWS_MAX    68u

struct text_screen {
    uint16_t columns, rows;
    uint16_t column, row; /* of the cursor; column may be `columns`: the next character wraps */
    uint16_t top;         /* row of cells[] that is the first on the screen */
    uint16_t numbers[2];  /* of the sequence that is being read */
    uint8_t number_count;
    uint8_t state;
    bool dirty[TEXT_ROWS_MAX]; /* rows of the screen; whoever draws them clears it */
    uint8_t cells[TEXT_ROWS_MAX][TEXT_COLUMNS_MAX];
};

/* Empty; as large as asked for, within the maxima. */
void text_screen_init(struct text_screen *screen, unsigned int columns, unsigned int rows);
void text_screen_put(struct text_screen *screen, uint8_t byte);

/* The cells of a row of the screen. */
static inline const uint8_t *text_screen_row(const struct text_screen *screen, unsigned int row)
{
    return screen->cells[(screen->top + row) % screen->rows];
}
