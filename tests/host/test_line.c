/* SPDX-License-Identifier: MIT */
/*
 * The monitor's line editor, with a terminal of one line on its other side: what the terminal shows
 * must always be what the editor holds.
 */
#include "hv/monitor/line.h"
#include "hv/string.h"
#include "hv/util.h"

#include "check.h"

#include <stdlib.h>

/* ---- The terminal --------------------------------------------------------------------------- */

#define COLUMNS 80

static char row[COLUMNS + 1];
static unsigned int column;
static unsigned int lines, bells;
static bool overflow;
static unsigned int sequence; /* 0: none, 1: ESC, 2: ESC [ */
static unsigned int parameter;

static void clear_from(unsigned int from)
{
    memset(row + from, ' ', COLUMNS - from);
}

static void end_sequence(char c)
{
    if (c == 'K')
        clear_from(column);
    else if (c == 'D')
        column -= MIN(parameter, column);
    sequence = 0;
}

static void terminal_byte(char c)
{
    if (sequence == 1) {
        sequence = c == '[' ? 2 : 0;
        parameter = 0;
    } else if (sequence == 2) {
        if (c >= '0' && c <= '9')
            parameter = parameter * 10 + (unsigned int)(c - '0');
        else
            end_sequence(c);
    } else if (c == 0x1b) {
        sequence = 1;
    } else if (c == '\r') {
        column = 0;
    } else if (c == '\n') {
        column = 0;
        clear_from(0);
        lines++;
    } else if (c == '\a') {
        bells++;
    } else if (column >= COLUMNS) {
        overflow = true;
    } else {
        row[column++] = c;
    }
}

static void terminal_write(void *ctx, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        terminal_byte(text[i]);
}

/* ---- The owner ------------------------------------------------------------------------------ */

static struct line line;
static char executed[LINE_SIZE + 1];
static unsigned int executions;

static void execute(void *ctx, char *text)
{
    memcpy(executed, text, strlen(text) + 1);
    executions++;
    memset(text, '!', strlen(text));
    line_show(&line);
}

static const char *candidate(void *ctx, const char *before, size_t size, unsigned int n)
{
    static const char *const commands[] = {"help", "list", "log", "reboot", "reset", "resume"};
    static const char *const guests[] = {"alpha", "beta"};

    if (size == 0)
        return n < ARRAY_SIZE(commands) ? commands[n] : NULL;
    return n < ARRAY_SIZE(guests) ? guests[n] : NULL;
}

static void start(void)
{
    const struct line_ops ops = {
        .write = terminal_write, .execute = execute, .candidate = candidate};

    line_init(&line, "mica> ", &ops);
    clear_from(0);
    column = 0;
    line_show(&line);
}

static void type(const char *keys)
{
    while (*keys)
        line_input(&line, (uint8_t)*keys++);
}

/* ---- What must always hold ------------------------------------------------------------------ */

static bool consistent(void)
{
    uint32_t shown = line.length - line.first;
    char expected[COLUMNS + 1];

    if (line.length > LINE_SIZE || line.cursor > line.length || line.first > line.cursor ||
        line.text[line.length] != '\0' || overflow)
        return false;
    shown = MIN(shown, LINE_COLUMNS - 6u);
    memset(expected, ' ', COLUMNS);
    memcpy(expected, "mica> ", 6);
    memcpy(expected + 6, line.text + line.first, shown);
    return memcmp(row, expected, COLUMNS) == 0 && column == 6 + line.cursor - line.first;
}

static bool holds(const char *text, unsigned int cursor)
{
    if (strcmp(line.text, text) != 0 || line.cursor != cursor)
        printf("# \"%s\" at %u\n", line.text, line.cursor);
    return strcmp(line.text, text) == 0 && line.cursor == cursor && consistent();
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_editing(void)
{
    start();
    type("hello");
    CHECK(holds("hello", 5), "text is inserted at the end");
    type("\x1b[D\x1b[DX");
    CHECK(holds("helXlo", 4), "and in the middle");
    type("\x01Y\x05Z");
    CHECK(holds("YhelXloZ", 8), "Ctrl-A and Ctrl-E");
    type("\x1b[H\x1b[C\x1b[3~");
    CHECK(holds("YelXloZ", 1), "Home, right, Delete");
    type("\x1b[F\x7f\x08");
    CHECK(holds("YelXl", 5), "End, both kinds of backspace");
    type("\x1b[1~\x1b[4~\x1bOH\x1bOF\x1b[7~\x1b[8~");
    CHECK(holds("YelXl", 5), "the other terminals' Home and End");
    type(" two  three \x17");
    CHECK(holds("YelXl two  ", 11), "Ctrl-W erases a word");
    type("\x02\x02\x02\x02\x0b");
    CHECK(holds("YelXl t", 7), "Ctrl-K erases to the end");
    type("\x02\x15");
    CHECK(holds("t", 0), "Ctrl-U erases to the beginning");
    type("\x03");
    CHECK(holds("", 0) && executions == 0, "Ctrl-C drops the line");
    type("\x1b[D\x1b[C\x7f\x1b[3~\x17\x15\x0b");
    CHECK(holds("", 0), "nothing happens to an empty line");
}

static void test_escapes(void)
{
    start();
    type("a\x1b[5~\x1b[6~\x1b[1;5C\x1b[20~\x1b[?25h\x1bOPb");
    CHECK(holds("ab", 2), "unknown sequences are swallowed whole");
    type("\x1bZ\x1b\x1b[Dc");
    CHECK(holds("acb", 2), "a broken sequence costs at most itself");
    type("\xc3\xa4\x07\x0e\x10");
    CHECK(holds("acb", 2), "other bytes are ignored");
}

static void test_enter(void)
{
    start();
    executions = 0;
    type("list\r");
    CHECK(executions == 1 && strcmp(executed, "list") == 0 && holds("", 0), "CR runs the line");
    type("log\r\nhelp\n");
    CHECK(executions == 3 && strcmp(executed, "help") == 0, "CR LF counts once, LF alone too");
    type("abc\x1b[D\x1b[D\r");
    CHECK(strcmp(executed, "abc") == 0, "wherever the cursor is");
}

static void test_history(void)
{
    char text[32];

    start();
    type("one\rtwo\rtwo\rthree\r");
    type("dra\x1b[A");
    CHECK(holds("three", 5), "up recalls the last line");
    type("\x1b[A\x1b[A");
    CHECK(holds("one", 3), "a repeated line is kept once");
    type("\x1b[A");
    CHECK(holds("one", 3), "the oldest is the end");
    type("\x1b[B\x1b[B\x1b[B");
    CHECK(holds("dra", 3), "down returns to what was being typed");
    type("\x1b[B");
    CHECK(holds("dra", 3), "and stays there");
    type("\x10s\r");
    CHECK(strcmp(executed, "threes") == 0, "a recalled line can be changed");
    start();
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof(text), "line%d\r", i);
        type(text);
    }
    for (int i = 0; i < 40; i++)
        type("\x1b[A");
    CHECK(holds("line24", 6), "16 lines are kept");
}

static void test_completion(void)
{
    start();
    type("h\t");
    CHECK(holds("help ", 5), "an only match is completed");
    type("b\t");
    CHECK(holds("help beta ", 10), "so is a second word");
    type("\x15l\t");
    CHECK(holds("l", 1), "several matches");
    unsigned int before = lines;
    type("\x15re\t");
    CHECK(lines > before && holds("re", 2), "are listed");
    type("s\t");
    CHECK(holds("res", 3), "with nothing more in common");
    type("et\t");
    CHECK(holds("reset ", 6), "a whole word gets its space");
    type("\x15reb\t\x15");
    before = bells;
    type("zzz\t");
    CHECK(holds("zzz", 3) && bells == before + 1, "no match rings");
    type("\x15h beta\x01\x1b[C\t");
    CHECK(holds("help  beta", 5), "completion happens at the cursor");
}

static void test_long_line(void)
{
    bool ok = true;

    start();
    for (int i = 0; i < 300; i++) {
        line_input(&line, (uint8_t)('a' + i % 26));
        ok = ok && consistent();
    }
    CHECK(ok && line.length == LINE_SIZE, "a long line scrolls, and ends where it is full");
    for (int i = 0; i < 300 && ok; i++) {
        type("\x1b[D");
        ok = consistent();
    }
    CHECK(ok && line.cursor == 0 && line.first == 0, "and scrolls back");
    type("\r");
    CHECK(strlen(executed) == LINE_SIZE, "all of it is run");
}

static void test_random(void)
{
    static const char *const keys[] = {
        "a",      "b ",      "help",   "\x1b[A", "\x1b[B", "\x1b[C",
        "\x1b[D", "\x1b[H",  "\x1b[F", "\x7f",   "\t",     "\x17",
        "\x0b",   "\x1b[3~", "res\t",  "\r",     "x",      "wide wide wide wide ",
        "\x1b"};
    bool ok = true;

    start();
    srand(3);
    for (int i = 0; i < 200000 && ok; i++) {
        type(keys[rand() % (int)ARRAY_SIZE(keys)]);
        ok = consistent();
    }
    CHECK(ok, "200000 random keys: the terminal shows what the editor holds");
    for (int i = 0; i < 300000 && ok; i++)
        line_input(&line, (uint8_t)rand());
    CHECK(line.length <= LINE_SIZE && line.cursor <= line.length, "random bytes do no harm");
}

int main(void)
{
    test_editing();
    test_escapes();
    test_enter();
    test_history();
    test_completion();
    test_long_line();
    test_random();
    return check_done();
}
