/* SPDX-License-Identifier: MIT */
/* The screen of characters (see text_screen.h).  The bytes may be anything: guests choose them. */
#include "drivers/text_screen.h"

#include "hv/string.h"
#include "hv/util.h"

#define TAB_STOP   8u
#define NUMBER_MAX 999u

enum { TEXT, ESCAPE, SEQUENCE, STRING };

static uint8_t *row_cells(struct text_screen *screen, unsigned int row)
{
    return screen->cells[(screen->top + row) % screen->rows];
}

static void clear(struct text_screen *screen, unsigned int row, unsigned int from, unsigned int to)
{
    memset(row_cells(screen, row) + from, ' ', to - from);
    screen->dirty[row] = true;
}

/* The rows move by one place in the ring that they form, so that none is copied. */
static void scroll(struct text_screen *screen)
{
    screen->top = (uint16_t)((screen->top + 1u) % screen->rows);
    clear(screen, screen->rows - 1u, 0, screen->columns);
    memset(screen->dirty, true, screen->rows);
}

static void line_feed(struct text_screen *screen)
{
    if (screen->row + 1u < screen->rows)
        screen->row++;
    else
        scroll(screen);
}

static void put_character(struct text_screen *screen, uint8_t byte)
{
    if (screen->column == screen->columns) {
        screen->column = 0;
        line_feed(screen);
    }
    row_cells(screen, screen->row)[screen->column++] = byte;
}

static void control(struct text_screen *screen, uint8_t byte)
{
    unsigned int last = screen->columns - 1u;

    if (byte == '\n')
        line_feed(screen);
    else if (byte == '\r')
        screen->column = 0;
    else if (byte == '\b' && screen->column)
        screen->column--;
    else if (byte == '\t')
        screen->column = (uint16_t)MIN((screen->column / TAB_STOP + 1) * TAB_STOP, last);
}

/* ---- Sequences ------------------------------------------------------------------------------- */

static void erase_in_line(struct text_screen *screen, unsigned int what)
{
    unsigned int at = MIN(screen->column, screen->columns - 1u);

    clear(screen, screen->row, what == 0 ? at : 0, what == 1 ? at + 1 : screen->columns);
}

static void erase_in_screen(struct text_screen *screen, unsigned int what)
{
    unsigned int first = what == 0 ? screen->row + 1u : 0;
    unsigned int end = what == 1 ? screen->row : screen->rows;

    for (unsigned int row = first; row < end; row++)
        clear(screen, row, 0, screen->columns);
    if (what < 2)
        erase_in_line(screen, what);
}

static void go(struct text_screen *screen, int row, int column)
{
    screen->row = (uint16_t)MAX(0, MIN(row, screen->rows - 1));
    screen->column = (uint16_t)MAX(0, MIN(column, screen->columns - 1));
}

static void perform(struct text_screen *screen, uint8_t final)
{
    int row = screen->row, column = MIN(screen->column, screen->columns - 1);
    unsigned int what = screen->numbers[0];
    int count = MAX(screen->numbers[0], 1);

    if (final == 'A')
        go(screen, row - count, column);
    else if (final == 'B')
        go(screen, row + count, column);
    else if (final == 'C')
        go(screen, row, column + count);
    else if (final == 'D')
        go(screen, row, column - count);
    else if (final == 'H')
        go(screen, count - 1, MAX(screen->numbers[1], 1) - 1);
    else if (final == 'J' && what <= 2)
        erase_in_screen(screen, what);
    else if (final == 'K' && what <= 2)
        erase_in_line(screen, what);
}

/* Numbers beyond the second are read and forgotten; one with a '?' or the like in front is not for
 * this screen. */
static void sequence_byte(struct text_screen *screen, uint8_t byte)
{
    uint16_t *number = &screen->numbers[MIN(screen->number_count, 1)];

    if (byte >= '@' && byte <= '~') {
        screen->state = TEXT;
        if (screen->number_count < 2)
            perform(screen, byte);
    } else if (byte >= '0' && byte <= '9') {
        *number = (uint16_t)MIN(*number * 10u + (byte - '0'), NUMBER_MAX);
    } else if (byte == ';' && screen->number_count == 0) {
        screen->number_count = 1;
    } else {
        screen->number_count = 2;
    }
}

static void escape_byte(struct text_screen *screen, uint8_t byte)
{
    memset(screen->numbers, 0, sizeof(screen->numbers));
    screen->number_count = 0;
    if (byte > '/') /* below it announces one more byte */
        screen->state = byte == '[' ? SEQUENCE : byte == ']' ? STRING : TEXT;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* A control character ends any sequence, so none can swallow what others write.  A character of
 * several bytes is one question mark. */
static void interpret(struct text_screen *screen, uint8_t byte)
{
    if (byte == 0x1b) {
        screen->state = ESCAPE;
    } else if (byte < ' ') {
        screen->state = TEXT;
        control(screen, byte);
    } else if (screen->state == ESCAPE) {
        escape_byte(screen, byte);
    } else if (screen->state == SEQUENCE) {
        sequence_byte(screen, byte);
    } else if (screen->state == TEXT && byte != 0x7f && (byte < 0x80 || byte >= 0xc0)) {
        put_character(screen, byte < 0x80 ? byte : '?');
    }
}

void text_screen_put(struct text_screen *screen, uint8_t byte)
{
    screen->dirty[screen->row] = true; /* the cursor leaves one row */
    interpret(screen, byte);
    screen->dirty[screen->row] = true; /* and is in another */
}

void text_screen_init(struct text_screen *screen, unsigned int columns, unsigned int rows)
{
    memset(screen, 0, sizeof(*screen));
    screen->columns = (uint16_t)MAX(MIN(columns, TEXT_COLUMNS_MAX), 1u);
    screen->rows = (uint16_t)MAX(MIN(rows, TEXT_ROWS_MAX), 1u);
    memset(screen->cells, ' ', sizeof(screen->cells));
    memset(screen->dirty, true, sizeof(screen->dirty));
}
