/* SPDX-License-Identifier: MIT */
/* The random number generator: the cipher by RFC 8439's vector, and that no output repeats. */
#include "hv/random.h"

#include "tests/host/check.h"

#include <string.h>

/* RFC 8439, 2.3.2. */
static void test_vector(void)
{
    static const uint32_t nonce[3] = {0x09000000, 0x4a000000, 0x00000000};
    static const uint32_t expected[16] = {0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3,
                                          0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3,
                                          0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9,
                                          0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2};
    uint32_t key[8], out[16];
    uint8_t bytes[32];

    for (unsigned int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    memcpy(key, bytes, sizeof(key));
    chacha20_block(key, 1, nonce, out);
    CHECK(memcmp(out, expected, sizeof(out)) == 0, "ChaCha20's block is RFC 8439's, 2.3.2");
}

/* RFC 8439, A.1, vector 1: key, nonce and counter 0.  The generator gives its second half. */
static void test_fill(void)
{
    static const uint8_t expected[32] = {0xda, 0x41, 0x59, 0x7c, 0x51, 0x57, 0x48, 0x8d,
                                         0x77, 0x24, 0xe0, 0x3f, 0xb8, 0xd8, 0x4a, 0x37,
                                         0x6a, 0x43, 0xb8, 0xf4, 0x15, 0x18, 0xa1, 0x1c,
                                         0xc3, 0x87, 0xb6, 0x69, 0xb2, 0xee, 0x65, 0x86};
    struct random random = {{0}};
    uint8_t first[32], second[32], long_one[100];

    random_fill(&random, first, sizeof(first));
    CHECK(memcmp(first, expected, sizeof(first)) == 0, "the first bytes are RFC 8439's, A.1");
    random_fill(&random, second, sizeof(second));
    CHECK(memcmp(first, second, sizeof(first)) != 0, "the next are others");
    random = (struct random){{0}};
    memset(long_one, 0, sizeof(long_one));
    random_fill(&random, long_one, 97);
    CHECK(memcmp(long_one, first, 32) == 0 && memcmp(long_one + 32, second, 32) == 0,
          "a long request is several short ones");
    CHECK(long_one[97] == 0 && long_one[98] == 0 && long_one[99] == 0, "and ends where it should");
    memset(second, 0, sizeof(second));
    CHECK(memcmp(random.key, first, 32) != 0 && memcmp(random.key, second, 32) != 0,
          "what is kept was not given out");
}

static void test_mix(void)
{
    struct random a = {{0}}, b = {{0}};
    uint8_t seed[40] = {0}, x[32], y[32];

    random_mix(&a, seed, sizeof(seed));
    seed[39] = 1;
    random_mix(&b, seed, sizeof(seed));
    random_fill(&a, x, sizeof(x));
    random_fill(&b, y, sizeof(y));
    CHECK(memcmp(x, y, sizeof(x)) != 0, "every byte of a seed counts");
}

int main(void)
{
    test_vector();
    test_fill();
    test_mix();
    return check_done();
}
