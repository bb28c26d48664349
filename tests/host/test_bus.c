/* SPDX-License-Identifier: MIT */
/* The buses: who gets an access, with what offset and value, and what nobody claims. */
#include "tests/host/check.h"

#include "hv/bus.h"
#include "hv/panic.h"

#include <setjmp.h>
#include <stdlib.h>

static jmp_buf panic_jump;

void panic_at(const char *file, int line, const char *format, ...)
{
    longjmp(panic_jump, 1);
}

static struct {
    void *dev;
    uint64_t offset, value;
    uint8_t size;
} seen;

static uint32_t port_read(void *dev, uint16_t offset, uint8_t size)
{
    seen.dev = dev;
    seen.offset = offset;
    seen.size = size;
    return 0x89abcdef;
}

static void port_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    port_read(dev, offset, size);
    seen.value = value;
}

static uint64_t memory_read(void *dev, uint64_t offset, uint8_t size)
{
    seen.dev = dev;
    seen.offset = offset;
    seen.size = size;
    return 0x0123456789abcdefull;
}

static void memory_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    memory_read(dev, offset, size);
    seen.value = value;
}

static int devices[64];

static void add_port(struct pio_bus *bus, uint16_t base, uint16_t count, unsigned int device)
{
    const struct pio_range range = {base, count, &devices[device], port_read, port_write};

    pio_bus_add(bus, &range);
}

static void add_memory(struct mmio_bus *bus, uint64_t base, uint64_t size, unsigned int device)
{
    const struct mmio_range range = {base, size, &devices[device], memory_read, memory_write};

    mmio_bus_add(bus, &range);
}

static bool port_panics(struct pio_bus *bus, uint16_t base, uint16_t count)
{
    if (setjmp(panic_jump))
        return true;
    add_port(bus, base, count, 0);
    return false;
}

static bool memory_panics(struct mmio_bus *bus, uint64_t base, uint64_t size)
{
    if (setjmp(panic_jump))
        return true;
    add_memory(bus, base, size, 0);
    return false;
}

static void test_ports(void)
{
    static const uint16_t bases[] = {0x3f8, 0x20, 0xa0, 0xffff, 0, 0x60, 0x64, 0x400};
    static const uint16_t counts[] = {8, 2, 2, 1, 1, 1, 1, 0x100};
    struct pio_bus bus = {0};
    bool right = true;

    for (unsigned int i = 0; i < 8; i++)
        add_port(&bus, bases[i], counts[i], i);
    for (unsigned int port = 0; port <= 0xffff; port++) {
        unsigned int owner = 0;

        while (owner < 8 && (port < bases[owner] || port >= bases[owner] + counts[owner]))
            owner++;
        seen.dev = NULL;
        uint32_t value = pio_bus_read(&bus, (uint16_t)port, 4);
        if (owner == 8)
            right &= !seen.dev && value == ~0u;
        else
            right &= seen.dev == &devices[owner] && seen.offset == port - bases[owner] &&
                     value == 0x89abcdef;
    }
    CHECK(right, "every port reaches its device, or floats");
    CHECK(pio_bus_read(&bus, 0x3f8, 1) == 0xef && pio_bus_read(&bus, 0x3f8, 2) == 0xcdef,
          "what is read is cut to the size");
    CHECK(pio_bus_read(&bus, 0x10, 1) == 0xff && pio_bus_read(&bus, 0x10, 2) == 0xffff,
          "so is what floats");
    pio_bus_write(&bus, 0x3f9, 1, 0x12345678);
    CHECK(seen.value == 0x78 && seen.offset == 1 && seen.size == 1, "and what is written");
    seen.dev = NULL;
    pio_bus_write(&bus, 0x10, 1, 1);
    CHECK(!seen.dev, "a write that nobody claims goes nowhere");
    pio_bus_read(&bus, 0xffff, 4);
    CHECK(seen.dev == &devices[3] && seen.size == 4, "an access past the last port is not split");
    CHECK(port_panics(&bus, 0x3ff, 1), "ranges may not overlap at the end");
    bus.count = 8;
}

static void test_memory(void)
{
    struct mmio_bus bus = {0};

    add_memory(&bus, 0xfec00000, 0x1000, 1);
    add_memory(&bus, 0xd0000000, 0x100, 2);
    CHECK(mmio_bus_read(&bus, 0xfec00010, 4) == 0x89abcdef && seen.dev == &devices[1] &&
              seen.offset == 0x10,
          "an address reaches its device");
    CHECK(mmio_bus_read(&bus, 0xd00000ff, 8) == 0x0123456789abcdefull && seen.dev == &devices[2],
          "with 8 bytes too");
    CHECK(mmio_bus_read(&bus, 0xd0000100, 8) == ~0ull, "behind it the bus floats");
    CHECK(mmio_bus_read(&bus, 0xcfffffff, 2) == 0xffff, "and before");
    mmio_bus_write(&bus, 0xfec00000, 1, 0xffff);
    CHECK(seen.value == 0xff, "what is written is cut to the size");
    CHECK(memory_panics(&bus, 0xfec00fff, 1), "ranges may not overlap");
    CHECK(memory_panics(&bus, 0xd0000000, 0x2ec00001), "nor contain the next");
}

static void test_full(void)
{
    struct pio_bus bus = {0};

    for (unsigned int i = 0; i < PIO_MAX_RANGES; i++)
        add_port(&bus, (uint16_t)(i * 2), 2, i);
    CHECK(port_panics(&bus, 0x1000, 1), "one range too many is a panic");
    bus.count = 0;
    CHECK(port_panics(&bus, 0x1000, 0), "and so is an empty one");
}

int main(void)
{
    test_ports();
    test_memory();
    test_full();
    return check_done();
}
