/* SPDX-License-Identifier: MIT */
/*
 * A random number generator: ChaCha20 (RFC 8439) whose key is replaced at each use, so that what
 * was given out cannot be found from what is kept.  It is as good as the seeds mixed into it, which
 * are the caller's.
 */
#pragma once

#include <stdint.h>

#define RANDOM_SEED_SIZE 32

struct random {
    uint32_t key[RANDOM_SEED_SIZE / 4];
};

/* One block of the cipher. */
void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
                    uint32_t out[16]);

void random_mix(struct random *random, const void *seed, uint32_t size);
void random_fill(struct random *random, void *to, uint32_t size);
