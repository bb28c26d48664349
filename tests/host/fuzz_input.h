/* SPDX-License-Identifier: MIT */
/* What a fuzz target is given, read a byte at a time; behind its end come zeroes. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define REQUIRE(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *input, *input_end;

static inline void begin_input(const uint8_t *data, size_t size)
{
    input = data;
    input_end = data + size;
}

static inline uint8_t byte(void)
{
    return input < input_end ? *input++ : 0;
}

static inline uint32_t number(void)
{
    return byte() | (uint32_t)byte() << 8;
}
