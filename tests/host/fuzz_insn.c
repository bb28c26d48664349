/* SPDX-License-Identifier: MIT */
/*
 * Arbitrary bytes as instructions, in every mode, executed on arbitrary registers over memory that
 * gives anything and faults at will.  Nothing may crash or read beyond the bytes that are there;
 * says nothing about whether the results are right.
 */
#include "hv/errno.h"
#include "hv/insn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* The input is also what memory and registers hold, over and over. */
struct bus {
    const uint8_t *data;
    size_t size, at;
};

static uint8_t next(struct bus *bus)
{
    return bus->size == 0 ? 0 : bus->data[bus->at++ % bus->size];
}

static int access_memory(struct bus *bus, enum insn_seg seg, unsigned int size)
{
    require(seg <= INSN_GS && (size == 1 || size == 2 || size == 4 || size == 8));
    return next(bus) % 8 == 0 ? -1 : 0;
}

static int bus_read(void *ctx, enum insn_seg seg, uint64_t offset, unsigned int size,
                    uint64_t *value)
{
    *value = 0;
    for (unsigned int i = 0; i < 8; i++) /* more than was asked for must not matter */
        *value = *value << 8 | next(ctx);
    return access_memory(ctx, seg, size);
}

static int bus_write(void *ctx, enum insn_seg seg, uint64_t offset, unsigned int size,
                     uint64_t value)
{
    require((value & ~insn_mask(size)) == 0);
    return access_memory(ctx, seg, size);
}

static void execute(const struct insn *insn, struct bus *bus)
{
    uint64_t gpr[16], rflags = next(bus);
    struct insn_env env = {
        .gpr = gpr,
        .rflags = &rflags,
        .rip = (uint64_t)next(bus) << 56,
        .rep_limit = next(bus),
        .ctx = bus,
        .read = bus_read,
        .write = bus_write,
    };

    for (unsigned int i = 0; i < 16; i++)
        gpr[i] = 0x0101010101010101ull * next(bus);
    enum insn_result result = insn_execute(insn, &env);
    require(result == INSN_UD || !insn->ud);
    require(result != INSN_AGAIN || insn->repeat != 0);
    insn_address(insn, gpr, env.rip);
}

/* Decode from a block of exactly the bytes that are available. */
static void decode(const uint8_t *bytes, unsigned int available, enum insn_mode mode,
                   struct bus *bus)
{
    uint8_t *block = malloc(available);
    struct insn insn;

    require(block != NULL || available == 0);
    if (available != 0)
        memcpy(block, bytes, available);
    int error = insn_decode(&insn, block, available, mode);
    require(error == 0 || error == -EINVAL || (error == -EAGAIN && available < INSN_MAX_LENGTH));
    if (error == 0) {
        require(insn.length >= 1 && insn.length <= INSN_MAX_LENGTH && insn.length <= available);
        require(insn.op > INSN_OP_NONE && insn.op < INSN_OP_COUNT);
        require(insn_length_of(insn.op, block, available, mode) == insn.length);
        execute(&insn, bus);
    }
    enum insn_op expected = next(bus) % (INSN_OP_COUNT + 1);
    int length = insn_length_of(expected, block, available, mode);
    require(length <= INSN_MAX_LENGTH && length <= (int)available);
    free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bus bus = {.data = data, .size = size};

    for (enum insn_mode mode = INSN_16; mode <= INSN_64; mode++) {
        unsigned int available = (unsigned int)(size < 17 ? size : 17);

        decode(data, available, mode, &bus);
        if (available != 0)
            decode(data, next(&bus) % available, mode, &bus);
    }
    return 0;
}
