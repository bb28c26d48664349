/* SPDX-License-Identifier: MIT */
/*
 * Names for addresses: a few are looked up, then their table is cut short and damaged at every
 * byte: no read may leave it (the sanitizers watch).
 */
#include "tests/host/check.h"

#include "hv/symbols.h"

#include <stdlib.h>
#include <string.h>

#define BASE 0xffffffff80200000ull

/* Not in order: nothing depends on that.  The last ends the second. */
static const char good[] = "\x40\0\0\0first\0"
                           "\x00\x03\0\0.L\0"
                           "\x00\x01\0\0second\0"
                           "\x80\x03\0\0";

static bool finds(const struct symbols *s, uint64_t address, const char *name, uint64_t offset)
{
    uint64_t found_offset = 0;
    const char *found = symbols_find(s, address, &found_offset);

    if (!name || !found)
        return !name && !found;
    return !strcmp(found, name) && found_offset == offset;
}

static void test_lookup(void)
{
    struct symbols s;

    symbols_init(&s, good, sizeof(good), BASE);
    CHECK(finds(&s, BASE + 0x40, "first", 0), "the first byte of a function");
    CHECK(finds(&s, BASE + 0xff, "first", 0xbf), "the last before the next one");
    CHECK(finds(&s, BASE + 0x100, "second", 0), "that one's first");
    CHECK(finds(&s, BASE + 0x37f, ".L", 0x7f), "the last byte of the last one");
    CHECK(finds(&s, BASE + 0x380, NULL, 0), "behind it is none");
    CHECK(finds(&s, BASE + 0x3f, NULL, 0), "nor before the first");
    CHECK(finds(&s, BASE - 1, NULL, 0) && finds(&s, 0x50, NULL, 0), "nor outside of the image");
}

static void test_none(void)
{
    struct symbols s;

    symbols_init(&s, good, sizeof(good) - 1, BASE);
    CHECK(finds(&s, BASE + 0x100, "second", 0), "a table may end at any name");
    symbols_init(&s, good, sizeof(good) - 2, BASE);
    CHECK(finds(&s, BASE + 0x100, "second", 0), "or in an offset");
    symbols_init(&s, good, 9, BASE);
    CHECK(finds(&s, BASE + 0x50, NULL, 0), "but names that do not end are none");
    symbols_init(&s, good, 0, BASE);
    CHECK(finds(&s, BASE + 0x50, NULL, 0), "and no table has none");
}

/* In a heap block of its exact size, so that one byte beyond is seen. */
static void use(const char *table, uint64_t size)
{
    char *copy = malloc(size ? size : 1);
    struct symbols s;
    uint64_t offset;

    memcpy(copy, table, size);
    symbols_init(&s, copy, size, BASE);
    for (uint64_t address = BASE; address < BASE + 0x400; address += 0x10) {
        const char *name = symbols_find(&s, address, &offset);
        if (name && strlen(name) >= size)
            abort();
    }
    free(copy);
}

static void test_damage(void)
{
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
    char bad[sizeof(good)];

    for (uint64_t size = 0; size < sizeof(good); size++)
        use(good, size);
    CHECK(true, "a table cut short anywhere is survived");
    for (uint64_t at = 0; at < sizeof(good); at++) {
        for (size_t i = 0; i < sizeof(values); i++) {
            memcpy(bad, good, sizeof(good));
            bad[at] = (char)values[i];
            use(bad, sizeof(bad));
        }
    }
    CHECK(true, "so is damage to any one byte");
    for (unsigned int i = 0; i < 100000; i++) {
        memcpy(bad, good, sizeof(good));
        for (unsigned int n = 0; n < 4; n++)
            bad[(unsigned int)rand() % sizeof(bad)] = (char)rand();
        use(bad, sizeof(bad));
    }
    CHECK(true, "and to any four");
}

int main(void)
{
    test_lookup();
    test_none();
    test_damage();
    return check_done();
}
