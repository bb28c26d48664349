/* SPDX-License-Identifier: MIT */
/* ChaCha20, and a generator made of it ("fast key erasure").  It knows no hardware and no lock. */
#include "hv/random.h"

#include "hv/string.h"
#include "hv/util.h"

#define BLOCK_WORDS 16

static uint32_t rotate(uint32_t value, unsigned int by)
{
    return value << by | value >> (32 - by);
}

static void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b, *d = rotate(*d ^ *a, 16);
    *c += *d, *b = rotate(*b ^ *c, 12);
    *a += *b, *d = rotate(*d ^ *a, 8);
    *c += *d, *b = rotate(*b ^ *c, 7);
}

static void double_round(uint32_t x[BLOCK_WORDS])
{
    for (unsigned int i = 0; i < 4; i++) /* columns */
        quarter_round(&x[i], &x[4 + i], &x[8 + i], &x[12 + i]);
    for (unsigned int i = 0; i < 4; i++) /* diagonals */
        quarter_round(&x[i], &x[4 + (i + 1) % 4], &x[8 + (i + 2) % 4], &x[12 + (i + 3) % 4]);
}

void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
                    uint32_t out[BLOCK_WORDS])
{
    /* "expand 32-byte k" */
    uint32_t start[BLOCK_WORDS] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

    memcpy(&start[4], key, 32);
    start[12] = counter;
    memcpy(&start[13], nonce, 12);
    memcpy(out, start, sizeof(start));
    for (unsigned int i = 0; i < 10; i++)
        double_round(out);
    for (unsigned int i = 0; i < BLOCK_WORDS; i++)
        out[i] += start[i];
}

/* The block of the key; its first half is the next key. */
static void next_block(struct random *random, uint32_t block[BLOCK_WORDS])
{
    static const uint32_t nonce[3];

    chacha20_block(random->key, 0, nonce, block);
    memcpy(random->key, block, sizeof(random->key));
}

void random_mix(struct random *random, const void *seed, uint32_t size)
{
    const uint8_t *from = seed;
    uint32_t block[BLOCK_WORDS];

    while (size) {
        uint32_t piece = MIN(size, RANDOM_SEED_SIZE);

        for (uint32_t i = 0; i < piece; i++)
            ((uint8_t *)random->key)[i] ^= from[i];
        next_block(random, block);
        from += piece;
        size -= piece;
    }
}

void random_fill(struct random *random, void *to, uint32_t size)
{
    uint32_t block[BLOCK_WORDS];

    while (size) {
        uint32_t piece = MIN(size, (uint32_t)(sizeof(block) / 2));

        next_block(random, block);
        memcpy(to, &block[BLOCK_WORDS / 2], piece);
        to = (char *)to + piece;
        size -= piece;
    }
}
