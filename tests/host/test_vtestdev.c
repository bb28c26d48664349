/* SPDX-License-Identifier: MIT */
/* The test ports: the exit value at each size, and the byte sink. */
#include "hv/vdev/vtestdev.h"

#include "tests/host/check.h"
#include "tests/host/vdev_fakes.h"

static struct vtestdev test;
static struct pio_range io[VTESTDEV_PORT_RANGES];
static unsigned int exits, puts_count;
static uint32_t exit_value;
static uint8_t put_byte;

static void note_exit(void *ctx, uint32_t value)
{
    exits++;
    exit_value = value;
}

static void note_put(void *ctx, uint8_t byte)
{
    puts_count++;
    put_byte = byte;
}

static uint32_t in(uint16_t port, uint8_t size)
{
    return fake_in(io, VTESTDEV_PORT_RANGES, port, size);
}

static void out(uint16_t port, uint8_t size, uint32_t value)
{
    fake_out(io, VTESTDEV_PORT_RANGES, port, size, value);
}

int main(void)
{
    static const struct vtestdev_ops ops = {.exit = note_exit, .put = note_put};

    vtestdev_init(&test, &ops);
    vtestdev_ports(&test, io);
    CHECK(in(0xe9, 1) == 0xe9, "debugcon reads E9h, by which it is found");
    CHECK(in(0xe9, 2) == ~0u && in(0xf4, 1) == ~0u && in(0xf4, 4) == ~0u, "everything else floats");
    out(0xe9, 1, 0x41);
    CHECK(puts_count == 1 && put_byte == 0x41, "a byte written to debugcon reaches the sink");
    out(0xe9, 2, 0x4242);
    CHECK(puts_count == 1, "a wider write does not");
    out(0xf4, 1, 0x12355778);
    CHECK(exits == 1 && exit_value == 0x78, "an exit value of 8 bits");
    out(0xf4, 2, 0x12355778);
    CHECK(exits == 2 && exit_value == 0x5778, "of 16 bits");
    out(0xf4, 4, 0x12355778);
    CHECK(exits == 3 && exit_value == 0x12355778, "of 32 bits");
    out(0xf5, 1, 1);
    CHECK(exits == 3, "the neighbours of the exit port do nothing");
    return check_done();
}
