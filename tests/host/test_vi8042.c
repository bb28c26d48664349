/* SPDX-License-Identifier: MIT */
/* The absent keyboard controller: quick to probe, and a reset all the same. */
#include "hv/vdev/vi8042.h"

#include "tests/host/check.h"
#include "tests/host/vdev_fakes.h"

static struct vi8042 i8042;
static struct pio_range io[VI8042_PORT_RANGES];
static unsigned int resets;

static void reset(void *ctx)
{
    resets++;
}

static void start(void)
{
    static const struct vi8042_ops ops = {.reset = reset};

    resets = 0;
    vi8042_init(&i8042, &ops);
    vi8042_ports(&i8042, io);
}

static uint8_t in(uint16_t port)
{
    return (uint8_t)fake_in(io, VI8042_PORT_RANGES, port, 1);
}

static void out(uint16_t port, uint8_t value)
{
    fake_out(io, VI8042_PORT_RANGES, port, 1, value);
}

/* i8042_flush() of Linux, which i8042_controller_check() takes for "No controller found" on -EIO.
 */
static int linux_flush(unsigned int *reads)
{
    for (*reads = 0; in(0x64) & 0x01; (*reads)++) {
        if (*reads == 16)
            return -5;
        in(0x60);
    }
    return 0;
}

int main(void)
{
    unsigned int reads;

    start();
    CHECK(linux_flush(&reads) == -5 && reads == 16, "linux: no controller after 16 reads");
    CHECK(in(0x60) == 0xff && in(0x64) == 0xff, "grub, seabios: status and data are FFh");
    CHECK(fake_in(io, VI8042_PORT_RANGES, 0x92, 2) == ~0u &&
              fake_in(io, VI8042_PORT_RANGES, 0x64, 4) == ~0u,
          "other sizes float high");

    for (unsigned int command = 0; command < 0xf0; command++)
        out(0x64, (uint8_t)command);
    out(0x64, 0xff);
    CHECK(resets == 0, "other commands, and a pulse of no line, do nothing");
    out(0x64, 0xfe);
    CHECK(resets == 1, "command FEh resets");
    out(0x64, 0xf0);
    CHECK(resets == 2, "a pulse of all lines too");

    start();
    out(0x64, 0xd1);
    out(0x60, 0xdf);
    out(0x64, 0xff);
    CHECK(resets == 0, "enabling A20 by the output port resets nothing");
    out(0x60, 0x00);
    CHECK(resets == 0, "data without command D1h goes nowhere");
    out(0x64, 0xd1);
    out(0x64, 0xad);
    out(0x60, 0x00);
    CHECK(resets == 0, "another command takes D1h back");
    out(0x64, 0xd1);
    out(0x60, 0xfe);
    CHECK(resets == 1, "the output port's bit 0 is the reset line");
    out(0x60, 0x00);
    CHECK(resets == 1, "and takes one byte");
    fake_out(io, VI8042_PORT_RANGES, 0x64, 2, 0xfefe);
    fake_out(io, VI8042_PORT_RANGES, 0x92, 4, 0x01);
    CHECK(resets == 1, "wider writes do nothing");

    start();
    CHECK(in(0x92) == 0x02, "port A: A20 is open");
    out(0x92, 0xfc);
    CHECK(in(0x92) == 0x00 && resets == 0, "port A: the A20 bit reads back, the others are 0");
    out(0x92, 0x03);
    CHECK(in(0x92) == 0x02 && resets == 1, "port A: bit 0 resets");
    return check_done();
}
