/* SPDX-License-Identifier: MIT */
/* The line editor.  It believes that the terminal understands CR, and ESC [ K and D. */
#include "hv/monitor/line.h"

#include "hv/printf.h"
#include "hv/string.h"
#include "hv/util.h"

#define CTRL(c) ((c)&0x1f)
#define DELETE  0x7f
#define ESC     0x1b

enum { ESCAPE_NONE, ESCAPE_STARTED, ESCAPE_CSI, ESCAPE_SS3 };

void line_init(struct line *line, const char *prompt, const struct line_ops *ops)
{
    memset(line, 0, sizeof(*line));
    line->prompt = prompt;
    line->ops = *ops;
}

/* ---- Showing -------------------------------------------------------------------------------- */

static void write_string(struct line *line, const char *text)
{
    line->ops.write(line->ops.ctx, text, strlen(text));
}

static uint32_t columns(const struct line *line)
{
    return LINE_COLUMNS - (uint32_t)strlen(line->prompt);
}

/* Scroll so that the cursor is seen, by half a line at a time. */
static void scroll(struct line *line)
{
    uint32_t width = columns(line);

    if (line->cursor < line->first)
        line->first = line->cursor > width / 2 ? line->cursor - width / 2 : 0;
    if (line->cursor > line->first + width)
        line->first = line->cursor - width / 2;
}

size_t line_view(const struct line *line, char *buffer)
{
    uint32_t shown = MIN(line->length - line->first, columns(line));
    uint32_t behind = line->first + shown - line->cursor;
    size_t size = str_format(buffer, LINE_VIEW, "\r%s%.*s\x1b[K", line->prompt, (int)shown,
                             line->text + line->first);

    if (behind)
        size += str_format(buffer + size, LINE_VIEW - size, "\x1b[%uD", behind);
    return size;
}

void line_show(struct line *line)
{
    char view[LINE_VIEW];

    scroll(line);
    line->ops.write(line->ops.ctx, view, line_view(line, view));
}

/* ---- Editing -------------------------------------------------------------------------------- */

static void remove_range(struct line *line, uint32_t from, uint32_t to)
{
    memmove(line->text + from, line->text + to, line->length - to + 1);
    line->length -= to - from;
    line->cursor = from;
    line_show(line);
}

/* At the end of a line that fits the character alone is written. */
static void insert(struct line *line, char c)
{
    if (line->length >= LINE_SIZE) {
        write_string(line, "\a");
        return;
    }
    memmove(line->text + line->cursor + 1, line->text + line->cursor,
            line->length - line->cursor + 1);
    line->text[line->cursor++] = c;
    line->length++;
    if (line->cursor == line->length && line->length - line->first <= columns(line))
        line->ops.write(line->ops.ctx, &c, 1);
    else
        line_show(line);
}

static void set_text(struct line *line, const char *text)
{
    line->length = (uint32_t)MIN(strlen(text), LINE_SIZE);
    memmove(line->text, text, line->length);
    line->text[line->length] = '\0';
    line->cursor = line->length;
    line->first = 0;
    line_show(line);
}

static void move_to(struct line *line, uint32_t cursor)
{
    line->cursor = MIN(cursor, line->length);
    line_show(line);
}

static void erase_word(struct line *line)
{
    uint32_t from = line->cursor;

    while (from && line->text[from - 1] == ' ')
        from--;
    while (from && line->text[from - 1] != ' ')
        from--;
    remove_range(line, from, line->cursor);
}

/* ---- History -------------------------------------------------------------------------------- */

static char *history_slot(struct line *line, uint32_t back)
{
    return line->history[(line->history_count - back) % LINE_HISTORY];
}

static void remember(struct line *line)
{
    line->back = 0;
    if (!line->length || (line->history_count && strcmp(history_slot(line, 1), line->text) == 0))
        return;
    memcpy(line->history[line->history_count % LINE_HISTORY], line->text, line->length + 1);
    line->history_count++;
}

static void recall(struct line *line, uint32_t back)
{
    if (back > MIN(line->history_count, LINE_HISTORY))
        return;
    if (!line->back)
        memcpy(line->kept, line->text, sizeof(line->kept));
    line->back = back;
    set_text(line, back ? history_slot(line, back) : line->kept);
}

/* ---- Completion ----------------------------------------------------------------------------- */

struct completion {
    uint32_t start; /* of the word */
    uint32_t size;
    uint32_t matches;
    const char *first; /* match */
    uint32_t common;   /* characters that all matches share */
};

static const char *next_match(struct line *line, const struct completion *c, unsigned int *n)
{
    const char *word;

    while ((word = line->ops.candidate(line->ops.ctx, line->text, c->start, (*n)++)) != NULL)
        if (strncmp(word, line->text + c->start, c->size) == 0)
            return word;
    return NULL;
}

static void find_matches(struct line *line, struct completion *c)
{
    unsigned int n = 0;
    const char *word;

    while ((word = next_match(line, c, &n)) != NULL) {
        if (!c->matches++) {
            c->first = word;
            c->common = (uint32_t)strlen(word);
        }
        uint32_t same = 0;
        while (same < c->common && word[same] == c->first[same])
            same++;
        c->common = same;
    }
}

static void list_matches(struct line *line, const struct completion *c)
{
    unsigned int n = 0;
    const char *word;

    write_string(line, "\n");
    while ((word = next_match(line, c, &n)) != NULL) {
        write_string(line, word);
        write_string(line, "  ");
    }
    write_string(line, "\n");
    line_show(line);
}

/* The word up to the cursor, as far as all that it can become agree; all of them when that adds
 * nothing. */
static void complete(struct line *line)
{
    struct completion c = {.start = line->cursor};

    while (c.start && line->text[c.start - 1] != ' ')
        c.start--;
    c.size = line->cursor - c.start;
    find_matches(line, &c);
    if (!c.matches) {
        write_string(line, "\a");
    } else if (c.matches > 1 && c.common <= c.size) {
        list_matches(line, &c);
    } else {
        for (uint32_t i = c.size; i < c.common; i++)
            insert(line, c.first[i]);
        if (c.matches == 1)
            insert(line, ' ');
    }
}

/* ---- Keys ----------------------------------------------------------------------------------- */

static void enter(struct line *line)
{
    char text[LINE_SIZE + 1];

    if (line->cursor != line->length)
        move_to(line, line->length);
    write_string(line, "\n");
    remember(line);
    memcpy(text, line->text, line->length + 1);
    line->length = line->cursor = line->first = 0;
    line->text[0] = '\0';
    line->ops.execute(line->ops.ctx, text);
}

static void backspace(struct line *line)
{
    if (line->cursor)
        remove_range(line, line->cursor - 1, line->cursor);
}

static void delete_under(struct line *line)
{
    if (line->cursor < line->length)
        remove_range(line, line->cursor, line->cursor + 1);
}

static void cancel(struct line *line)
{
    write_string(line, "^C\n");
    line->back = 0;
    set_text(line, "");
}

static void older(struct line *line)
{
    recall(line, line->back + 1);
}

static void newer(struct line *line)
{
    if (line->back)
        recall(line, line->back - 1);
}

static void left(struct line *line)
{
    if (line->cursor)
        move_to(line, line->cursor - 1);
}

static void control(struct line *line, uint8_t byte)
{
    switch (byte) {
    case CTRL('A'):
        move_to(line, 0);
        break;
    case CTRL('B'):
        left(line);
        break;
    case CTRL('C'):
        cancel(line);
        break;
    case CTRL('D'):
        delete_under(line);
        break;
    case CTRL('E'):
        move_to(line, line->length);
        break;
    case CTRL('F'):
        move_to(line, line->cursor + 1);
        break;
    case CTRL('H'):
    case DELETE:
        backspace(line);
        break;
    case CTRL('I'):
        complete(line);
        break;
    case CTRL('K'):
        remove_range(line, line->cursor, line->length);
        break;
    case CTRL('L'):
        write_string(line, "\x1b[H\x1b[2J");
        line_show(line);
        break;
    case CTRL('N'):
        newer(line);
        break;
    case CTRL('P'):
        older(line);
        break;
    case CTRL('U'):
        remove_range(line, 0, line->cursor);
        break;
    case CTRL('W'):
        erase_word(line);
        break;
    default:
        break;
    }
}

/* ESC [ n ~ */
static void numbered_key(struct line *line, unsigned int number)
{
    if (number == 1 || number == 7)
        move_to(line, 0);
    else if (number == 4 || number == 8)
        move_to(line, line->length);
    else if (number == 3)
        delete_under(line);
}

static void named_key(struct line *line, uint8_t byte)
{
    switch (byte) {
    case 'A':
        older(line);
        break;
    case 'B':
        newer(line);
        break;
    case 'C':
        move_to(line, line->cursor + 1);
        break;
    case 'D':
        left(line);
        break;
    case 'F':
        move_to(line, line->length);
        break;
    case 'H':
        move_to(line, 0);
        break;
    case '~':
        numbered_key(line, line->number);
        break;
    default:
        break;
    }
}

/* A sequence ends at its first byte from '@' to '~'; one that says nothing to the editor is
 * swallowed whole. */
static void escape_byte(struct line *line, uint8_t byte)
{
    if (line->escape == ESCAPE_STARTED) {
        line->number = 0;
        line->escape = byte == '[' ? ESCAPE_CSI : byte == 'O' ? ESCAPE_SS3 : ESCAPE_NONE;
        return;
    }
    if (byte >= '0' && byte <= '9')
        line->number = (uint8_t)MIN(line->number * 10 + (byte - '0'), 255);
    if (line->escape == ESCAPE_SS3 || (byte >= '@' && byte <= '~')) {
        line->escape = ESCAPE_NONE;
        named_key(line, byte);
    } else if (byte < ' ') {
        line->escape = ESCAPE_NONE; /* not a sequence after all */
    }
}

void line_input(struct line *line, uint8_t byte)
{
    bool after_cr = line->after_cr;

    line->after_cr = byte == '\r';
    if (byte == ESC) {
        line->escape = ESCAPE_STARTED;
    } else if (line->escape) {
        escape_byte(line, byte);
    } else if (byte == '\r' || byte == '\n') {
        if (byte == '\r' || !after_cr)
            enter(line);
    } else if (byte >= ' ' && byte < DELETE) {
        insert(line, (char)byte);
    } else {
        control(line, byte);
    }
}
