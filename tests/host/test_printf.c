/* SPDX-License-Identifier: MIT */
/* str_format() against libc's snprintf(), which has the same meaning for what both know. */
#include "hv/printf.h"
#include "hv/string.h"

#include "check.h"

#include <stdint.h>
#include <stdlib.h>

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-security"

static bool same(const char *ours, size_t our_length, const char *theirs, int their_length,
                 const char *what)
{
    if (our_length == (size_t)their_length && strcmp(ours, theirs) == 0)
        return true;
    printf("# %s: \"%s\" (%zu), expected \"%s\" (%d)\n", what, ours, our_length, theirs,
           their_length);
    return false;
}

#define SAME(size, ...)                                                    \
    ({                                                                     \
        char a_[300] = "", b_[300] = "";                                   \
        size_t n_ = str_format(a_, (size), __VA_ARGS__);                   \
        same(a_, n_, b_, snprintf(b_, (size), __VA_ARGS__), #__VA_ARGS__); \
    })

static bool strings_agree(void)
{
    const char open[3] = {'a', 'b', 'c'}; /* no NUL: the precision is the end */

    return SAME(64, "plain") &&
           SAME(64, "%s|%10s|%-10s|%.2s|%10.2s|", "abc", "abc", "abc", "abc", "abc") &&
           SAME(64, "%.*s|%*s|%-*s|%*s", 3, open, 6, "x", 6, "y", -6, "z") &&
           SAME(64, "%c%c|%5c|%-5c|", 'a', 'b', 'c', 'd') && SAME(64, "100%%") &&
           SAME(300, "%250s|", "wide") && SAME(64, "%.0s|", "gone");
}

static bool integers_agree(void)
{
    return SAME(64, "%d %i %u %x %X", -1, 42, 4000000000u, 0xbeefu, 0xbeefu) &&
           SAME(64, "%hhd %hhu %hd %hu", 200, 200, 40000, 40000) &&
           SAME(99, "%ld %lu %lx %lld %llx %zu %zx", INT64_MIN, UINT64_MAX, UINT64_MAX, -5ll, 77ull,
                (size_t)9, (size_t)255) &&
           SAME(64, "%08x|%-8x|%8x|%+d|% d|%+d", 0x12u, 0x12u, 0x12u, 5, 5, -5) &&
           SAME(64, "%.3d|%8.3d|%-8.3d|%.0d|%.8x", 7, 7, 7, 0, 0x1234u) &&
           SAME(64, "%#x %#X %#x %#10x %#010x", 255u, 255u, 0u, 255u, 255u) &&
           SAME(64, "%016lx|%5lu.%06lu|", 0xffff8000ul, 12ul, 345ul) &&
           SAME(64, "%05d|%-05d|", -42, -42) && SAME(64, "%p", (void *)0xffff800012345678);
}

static bool short_buffers_agree(void)
{
    bool ok = true;

    for (size_t size = 0; size <= 12; size++)
        ok &= SAME(size, "%s-%d", "hello", 12345);
    return ok;
}

/* Formats put together at random, each with one 64-bit and one 32-bit number. */
static bool random_formats_agree(void)
{
    static const char *const flags[] = {"", "-", "0", "+", " ", "-+", "0+", "#"};
    static const char *const widths[] = {"", "1", "5", "20", ".0", ".4", "9.4", "4.9"};
    static const char conversions[] = "diuxX";
    bool ok = true;

    srand(1);
    for (int i = 0; i < 20000 && ok; i++) {
        char format[64], a[128], b[128];
        const char *flag = flags[rand() % 8];
        char conversion = conversions[rand() % 5];
        if (*flag == '#' && (conversion == 'd' || conversion == 'i' || conversion == 'u'))
            flag = "";
        snprintf(format, sizeof(format), "<%%%s%sl%c|%%%s%s%c>", flag, widths[rand() % 8],
                 conversion, flag, widths[rand() % 8], conversion);
        uint64_t value = ((uint64_t)rand() << 33 ^ (uint64_t)rand()) >> (rand() % 64);
        unsigned int small = (unsigned int)rand() * 2u >> (rand() % 32);
        size_t n = str_format(a, sizeof(a), format, value, small);
        ok = same(a, n, b, snprintf(b, sizeof(b), format, value, small), format);
    }
    return ok;
}

int main(void)
{
    char buffer[32];

    CHECK(strings_agree(), "strings, characters, widths and precisions");
    CHECK(integers_agree(), "integers of every length and flag");
    CHECK(short_buffers_agree(),
          "a short buffer is cut, ends in NUL, and the full length is returned");
    CHECK(random_formats_agree(), "20000 random formats");
    const char *volatile null_string = NULL; /* no compiler knows */
    str_format(buffer, sizeof(buffer), "%s", null_string);
    CHECK(strcmp(buffer, "(null)") == 0, "a null string has a text");
    const char *unknown = "%y %";
    str_format(buffer, sizeof(buffer), unknown);
    CHECK(strcmp(buffer, "%y %") == 0, "an unknown conversion is copied");
    return check_done();
}
