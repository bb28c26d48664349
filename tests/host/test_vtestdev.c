/* SPDX-License-Identifier: MIT */
/* The test devices: the exit value at each size, the byte sink, the register, lines, memory. */
#include "hv/vdev/vtestdev.h"

#include "tests/host/check.h"
#include "tests/host/vdev_fakes.h"

#include <string.h>

static struct vtestdev test;
static struct pio_range io[VTESTDEV_PORT_RANGES];
static unsigned int exits, puts_count;
static uint32_t exit_value;
static uint8_t put_byte;
static struct fake_line line;
static uint8_t memory[VTESTDEV_MEMORY_SIZE];

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

static void test_exit(void)
{
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
}

static void test_register(void)
{
    CHECK(in(0xe0, 4) == 0, "the register begins as 0");
    out(0xe0, 4, 0x44332211);
    CHECK(in(0xe0, 4) == 0x44332211 && in(0xe1, 2) == 0x3322 && in(0xe3, 1) == 0x44,
          "it holds what is written, and gives parts of it");
    out(0xe1, 1, 0xaa);
    out(0xe2, 2, 0xccbb);
    CHECK(in(0xe0, 4) == 0xccbbaa11, "a part that is written leaves the others");
    out(0xe3, 4, 0x99887766);
    CHECK(in(0xe0, 4) == 0x66bbaa11 && in(0xe3, 2) == 0x66, "nothing lies behind its end");
}

static void test_lines(void)
{
    out(0x2000 + 5, 1, 1);
    CHECK(line.level && line.gsi == 5, "a 1 raises the line of that number");
    out(0x2000 + 5, 1, 0);
    CHECK(!line.level && line.gsi == 5, "a 0 lowers it");
    out(0x2000 + 23, 1, 0xff);
    CHECK(line.level && line.gsi == 23, "the last is 23, and any other byte is high");
    out(0x2000 + 22, 4, 0x0100);
    CHECK(line.level && line.gsi == 23 && line.rises == 3,
          "a wider write sets as many lines, and none past the last");
    out(0x2000 + 24, 1, 0);
    CHECK(line.level, "the next port sets none");
    CHECK(in(0x2000, 1) == ~0u, "lines do not read");
}

static void test_memory(void)
{
    const struct mmio_range range = vtestdev_memory(&test);

    CHECK(range.base == 0xff000000 && range.size == 0x10000, "64 KiB at FF000000h");
    range.write(range.dev, 8, 8, 0x8877665544332211);
    range.write(range.dev, 10, 2, 0xbbaa);
    CHECK(range.read(range.dev, 8, 8) == 0x88776655bbaa2211, "they hold what is written");
    range.write(range.dev, 0xffff, 8, 0x1234567890abcdef);
    CHECK((range.read(range.dev, 0xffff, 1) & 0xff) == 0xef &&
              range.read(range.dev, 0xffff, 4) == 0xffffffffffffffef,
          "what lies behind their end is nowhere");
}

int main(void)
{
    const struct vtestdev_ops ops = {
        .ctx = &line, .exit = note_exit, .put = note_put, .set_irq = fake_set_line};

    memset(memory, 0xff, sizeof(memory));
    vtestdev_init(&test, &ops, memory);
    vtestdev_ports(&test, io);
    CHECK(memory[0] == 0 && memory[VTESTDEV_MEMORY_SIZE - 1] == 0, "the memory begins as 0");
    test_exit();
    test_register();
    test_lines();
    test_memory();
    return check_done();
}
