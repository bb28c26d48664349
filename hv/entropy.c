/* SPDX-License-Identifier: MIT */
/* Randomness for guests: the machine's seeds, and the generator that the guests' are made of. */
#include "hv/entropy.h"

#include "arch/x86/rdrand.h"
#include "arch/x86/tsc.h"
#include "boot/boot_info.h"
#include "hv/util.h"

#define STIR_WORDS 4

static struct random root; /* the boot CPU's */
static bool available;

void entropy_stir(struct random *random)
{
    uint64_t words[STIR_WORDS + 1] = {rdtsc()};

    for (unsigned int i = 1; i <= STIR_WORDS; i++)
        if (!rdrand(&words[i]))
            words[i] = rdtsc();
    random_mix(random, words, sizeof(words));
}

void entropy_init(const struct boot_info *info)
{
    uint32_t size = MIN(info->seed_size, (uint32_t)sizeof(info->seed));
    uint64_t word;

    available = size != 0 || rdrand(&word);
    random_mix(&root, info->seed, size);
    entropy_stir(&root);
}

bool entropy_available(void)
{
    return available;
}

void entropy_seed(struct random *random)
{
    uint8_t seed[RANDOM_SEED_SIZE];

    entropy_stir(&root);
    random_fill(&root, seed, sizeof(seed));
    *random = (struct random){{0}};
    random_mix(random, seed, sizeof(seed));
}
