/* SPDX-License-Identifier: MIT */
/* The ring of a guest's output, against a plain copy of everything that ever came. */
#include "hv/scrollback.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

#define ALL (1u << 20)

static struct scrollback sb;
static uint8_t all[ALL]; /* since the beginning */
static uint8_t got[ALL];

static void put(const char *text)
{
    while (*text) {
        all[sb.end] = (uint8_t)*text;
        scrollback_put(&sb, (uint8_t)*text++);
    }
}

static void reset(void)
{
    memset(&sb, 0, sizeof(sb));
}

/* Is what is not shown yet exactly this? */
static bool unshown_is(const char *text)
{
    struct scrollback copy = sb;
    uint32_t count = scrollback_take(&copy, got, ALL);

    return count == strlen(text) && memcmp(got, text, count) == 0;
}

static void test_lines(void)
{
    reset();
    CHECK(scrollback_line(&sb, 10) == 0 && unshown_is(""), "empty");
    put("one");
    CHECK(scrollback_line(&sb, 10) == 0, "a line without an end is none");
    put("\ntwo\n");
    CHECK(scrollback_line(&sb, 10) == 4 && scrollback_line(&sb, 10) == 4, "then it is one");
    CHECK(scrollback_take(&sb, got, 4) == 4 && memcmp(got, "one\n", 4) == 0 &&
              scrollback_line(&sb, 10) == 4 && unshown_is("two\n"),
          "taken, it makes way for the next");
    scrollback_take(&sb, got, 4);
    put("0123456789abc");
    CHECK(scrollback_line(&sb, 10) == 10 && scrollback_unshown(&sb) == 13,
          "one that is too long is broken");
}

static void test_skip(void)
{
    reset();
    put("one\ntwo\nthr");
    scrollback_skip(&sb, 5, 100);
    CHECK(unshown_is("one\ntwo\nthr"), "there may be no more than remains");
    scrollback_skip(&sb, 2, 100);
    CHECK(unshown_is("two\nthr") && scrollback_kept(&sb) == 11, "what is passed over is kept");
    scrollback_skip(&sb, 2, 3);
    CHECK(unshown_is("thr"), "no more bytes than these");
    scrollback_take(&sb, got, 1);
    scrollback_skip(&sb, 2, 100);
    CHECK(unshown_is("hr"), "what was shown is not shown again");
}

static void test_rewind(void)
{
    reset();
    put("one\ntwo\nthree\nfour");
    scrollback_take(&sb, got, ALL);
    scrollback_rewind(&sb, 2);
    CHECK(unshown_is("three\nfour"), "the last two lines, the open one counted");
    put("\n");
    scrollback_take(&sb, got, ALL);
    scrollback_rewind(&sb, 2);
    CHECK(unshown_is("three\nfour\n"), "an end does not begin another");
    scrollback_rewind(&sb, 100);
    CHECK(unshown_is("one\ntwo\nthree\nfour\n"), "all where there are not so many");
    scrollback_rewind(&sb, 1);
    CHECK(unshown_is("one\ntwo\nthree\nfour\n"), "what was not shown stays so");
}

static void test_cut(void)
{
    reset();
    put("the first line, of which the beginning is lost\n");
    for (unsigned int i = 0; i < SCROLLBACK_SIZE - 20; i++)
        put(i % 50 == 49 ? "\n" : "x");
    scrollback_rewind(&sb, 100000);
    scrollback_take(&sb, got, ALL);
    CHECK(memcmp(got, "xxxxx", 5) == 0, "a line that is cut is not shown again");
    reset();
    for (unsigned int i = 0; i < SCROLLBACK_SIZE + 100; i++)
        put("y");
    scrollback_rewind(&sb, 24);
    CHECK(scrollback_unshown(&sb) == SCROLLBACK_SIZE, "unless it is all there is");
}

/* Is what take() gives what came, in its order and without a gap but where it was displaced? */
static void test_random(void)
{
    uint64_t next = 0;
    bool same = true, bounded = true;

    reset();
    while (sb.end < ALL - 2 * SCROLLBACK_SIZE) {
        for (int i = rand() % (rand() % 20 ? 300 : 20000); i > 0; i--)
            put((char[]){(char)(rand() % 30 ? 'a' + rand() % 26 : '\n'), 0});
        bounded &= scrollback_unshown(&sb) <= SCROLLBACK_SIZE &&
                   scrollback_is_full(&sb) == (scrollback_unshown(&sb) == SCROLLBACK_SIZE) &&
                   scrollback_kept(&sb) <= SCROLLBACK_SIZE &&
                   scrollback_line(&sb, 256) <= scrollback_unshown(&sb);
        if (rand() % 10 == 0)
            scrollback_rewind(&sb, (unsigned int)rand() % 40);
        if (rand() % 10 == 0)
            scrollback_skip(&sb, (unsigned int)rand() % 30, 2000);
        next = sb.shown;
        uint32_t count = scrollback_take(&sb, got, (uint32_t)rand() % 1000);
        same &= memcmp(got, all + next, count) == 0 && sb.shown == next + count;
    }
    CHECK(same, "what is taken is what came");
    CHECK(bounded, "and never more than there is room for");
}

int main(void)
{
    srand(3);
    test_lines();
    test_skip();
    test_rewind();
    test_cut();
    test_random();
    return check_done();
}
