/* SPDX-License-Identifier: MIT */
/*
 * Drives a fuzz target without libFuzzer, so that any compiler runs it and each run is the same:
 * inputs are random bytes and mutations of earlier inputs.  It measures no coverage; for that, link
 * the target with clang's -fsanitize=fuzzer instead of this file.
 *
 *   fuzz_NAME [ROUNDS [SEED]]     or     fuzz_NAME FILE     to run one input again
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX  1024
#define POOL_SIZE  64
#define ROUNDS     200000
#define ROUNDS_MAX 1000000000ul

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    size_t size;
    uint8_t data[INPUT_MAX];
};

/* The values at which lengths, offsets and counters go wrong. */
static const uint64_t edges[] = {
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0xfff,
    0x1000,
    0x7fff,
    0x8000,
    0xffff,
    0x10000,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    1ull << 32,
    INT64_MAX,
    (uint64_t)INT64_MIN,
    UINT64_MAX,
};

/* From the sanitizers' runtime: called before it ends the process. */
void __sanitizer_set_death_callback(void (*callback)(void));

static struct input pool[POOL_SIZE];
static const struct input *running;
static uint64_t random_state = 1;

/* SplitMix64. */
static uint64_t random64(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static size_t random_below(size_t limit)
{
    return limit == 0 ? 0 : (size_t)(random64() % limit);
}

static void make_random(struct input *input)
{
    input->size = random_below(random_below(4) == 0 ? INPUT_MAX : 64);
    for (size_t i = 0; i < input->size; i++)
        input->data[i] = (uint8_t)random64();
}

static void overwrite_edge(struct input *input)
{
    size_t width = (size_t)1 << random_below(4);
    uint64_t value = edges[random_below(sizeof(edges) / sizeof(edges[0]))];

    if (input->size >= width)
        memcpy(input->data + random_below(input->size - width + 1), &value, width);
}

static void insert_copy(struct input *input)
{
    size_t length = random_below(16);
    size_t from = random_below(input->size), to = random_below(input->size);

    if (length > input->size - from)
        length = input->size - from;
    if (input->size + length > INPUT_MAX)
        return;
    uint8_t copy[16];
    memcpy(copy, input->data + from, length);
    memmove(input->data + to + length, input->data + to, input->size - to);
    memcpy(input->data + to, copy, length);
    input->size += length;
}

static void mutate_once(struct input *input)
{
    size_t at = random_below(input->size);

    if (input->size == 0) {
        make_random(input);
        return;
    }
    switch (random_below(6)) {
    case 0:
        input->data[at] ^= (uint8_t)(1u << random_below(8));
        break;
    case 1:
        input->data[at] = (uint8_t)random64();
        break;
    case 2:
        overwrite_edge(input);
        break;
    case 3:
        input->size = at;
        break;
    case 4:
        insert_copy(input);
        break;
    case 5:
        memmove(input->data + at, input->data + at + 1, input->size - at - 1);
        input->size--;
        break;
    }
}

static void print_running(void)
{
    fprintf(stderr, "the input, for xxd -r -p and another run of this one alone:\n");
    for (size_t i = 0; running != NULL && i < running->size; i++)
        fprintf(stderr, "%02x", running->data[i]);
    fprintf(stderr, "\n");
}

/* The target gets a block of exactly the input's size, so that ASan sees the first byte read past
 * it. */
static void run_input(const struct input *input)
{
    uint8_t *copy = malloc(input->size);

    if (copy == NULL && input->size != 0)
        abort();
    if (input->size != 0)
        memcpy(copy, input->data, input->size);
    running = input;
    LLVMFuzzerTestOneInput(copy, input->size);
    free(copy);
}

static void run_rounds(unsigned long rounds)
{
    for (size_t i = 0; i < POOL_SIZE; i++)
        make_random(&pool[i]);
    for (unsigned long round = 0; round < rounds; round++) {
        struct input *input = &pool[random_below(POOL_SIZE)];

        if (random_below(16) == 0)
            make_random(input);
        for (size_t count = random_below(4) + 1; count > 0; count--)
            mutate_once(input);
        run_input(input);
    }
}

static int run_file(const char *path)
{
    struct input input = {.size = 0};
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        perror(path);
        return 2;
    }
    input.size = fread(input.data, 1, INPUT_MAX, file);
    fclose(file);
    run_input(&input);
    return 0;
}

int main(int argc, char **argv)
{
    char *end = "";
    unsigned long rounds = argc > 1 ? strtoul(argv[1], &end, 0) : ROUNDS;

    __sanitizer_set_death_callback(print_running);
    if (*end != '\0')
        return run_file(argv[1]);
    if (rounds > ROUNDS_MAX)
        rounds = ROUNDS_MAX;
    if (argc > 2)
        random_state = strtoull(argv[2], NULL, 0);
    run_rounds(rounds);
    printf("ok 1 - %lu mutated inputs neither crash nor break a check\n1..1\n", rounds);
    return 0;
}
