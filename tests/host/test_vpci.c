/* SPDX-License-Identifier: MIT */
/* The PCI bus: configuration space both ways, BARs that are sized and moved, MSI-X, and what a
 * hostile guest makes of them. */
#include "hv/layout.h"
#include "hv/panic.h"
#include "hv/vdev/vpci.h"

#include "tests/host/check.h"
#include "tests/host/vdev_fakes.h"

#include <stdlib.h>
#include <string.h>

#define BAR_SIZE 0x4000ull
#define TABLE    0x2000
#define PENDING  0x3000
#define SLOT     3

void panic_at(const char *file, int line, const char *format, ...)
{
    abort();
}

static struct vpci pci;
static struct vpci_function function, second;
static struct pio_range ports[VPCI_PORT_RANGES];
static unsigned int messages, reads, writes;
static struct apic_message last;
static uint64_t last_offset, last_value;
static struct vpci_function *last_function;

static void deliver(void *ctx, const struct apic_message *message)
{
    messages++;
    last = *message;
}

static uint64_t bar_read(void *dev, uint64_t offset, uint8_t size)
{
    reads++;
    last_function = dev;
    last_offset = offset;
    return 0x1122334455667788;
}

static void bar_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    writes++;
    last_function = dev;
    last_offset = offset;
    last_value = value;
}

static void make(struct vpci_function *made, unsigned int slot)
{
    static const struct vpci_id id = {.vendor = 0x1234,
                                      .device = 0x5678,
                                      .subsystem_vendor = 0x9abc,
                                      .subsystem = 0xdef0,
                                      .revision = 7,
                                      .class = 0x018000};
    static const uint8_t body[3] = {1, 2, 3};

    static const struct vpci_bar bar = {
        .size = BAR_SIZE, .wide = true, .read = bar_read, .write = bar_write};

    vpci_function_init(made, &id);
    vpci_set_bar(made, 0, &bar);
    made->dev = made;
    vpci_add_capability(made, 0x09, body, sizeof(body));
    vpci_add_msix(made, 3, 0, TABLE, PENDING);
    vpci_plug(&pci, slot, made);
}

static void start(void)
{
    vpci_init(&pci, &(struct vpci_ops){.deliver = deliver});
    vpci_ports(&pci, ports);
    make(&function, SLOT);
    make(&second, SLOT + 1);
    messages = reads = writes = 0;
}

static uint64_t ecam(unsigned int slot, unsigned int reg, uint8_t size)
{
    struct mmio_range range = vpci_ecam(&pci);

    return range.read(range.dev, slot << 15 | reg, size) & BITS(~0ull, size * 8u - 1, 0);
}

static void ecam_write(unsigned int slot, unsigned int reg, uint8_t size, uint64_t value)
{
    struct mmio_range range = vpci_ecam(&pci);

    range.write(range.dev, slot << 15 | reg, size, value);
}

static uint32_t port_read(unsigned int slot, unsigned int reg, uint8_t size)
{
    fake_out(ports, 2, 0xcf8, 4, 1u << 31 | slot << 11 | (reg & ~3u));
    return fake_in(ports, 2, (uint16_t)(0xcfc + reg % 4), size) &
           (uint32_t)BITS(~0ull, size * 8u - 1, 0);
}

static uint64_t window(uint64_t address, uint8_t size)
{
    struct mmio_range range = vpci_window(&pci);

    return range.read(range.dev, address - LAYOUT_PCI_BASE, size);
}

static void window_write(uint64_t address, uint8_t size, uint64_t value)
{
    struct mmio_range range = vpci_window(&pci);

    range.write(range.dev, address - LAYOUT_PCI_BASE, size, value);
}

static void test_identity(void)
{
    start();
    CHECK(ecam(0, 0, 4) == 0x00081b36 && ecam(0, 8, 4) >> 8 == 0x060000, "a host bridge in slot 0");
    CHECK(ecam(SLOT, 0, 4) == 0x56781234 && ecam(SLOT, 8, 4) == 0x01800007 &&
              ecam(SLOT, 0x2c, 4) == 0xdef09abc,
          "ids, class and revision by ECAM");
    CHECK(port_read(SLOT, 0, 4) == 0x56781234 && port_read(SLOT, 2, 2) == 0x5678 &&
              port_read(SLOT, 1, 1) == 0x12,
          "and by the ports, at every width");
    CHECK(ecam(SLOT, 0x0e, 1) == 0 && ecam(SLOT, 0x3d, 1) == 0,
          "one function of type 0 without interrupt pin");
    CHECK(ecam(7, 0, 4) == 0xffffffff && port_read(31, 0, 4) == 0xffffffff, "empty slots float");
    CHECK(ecam(SLOT, 1 << 12, 4) == 0xffffffff && ecam(32 + SLOT, 0, 4) == 0xffffffff,
          "so do other functions and buses");
    CHECK(ecam(SLOT, 0x100, 4) == 0 && ecam(SLOT, 0xffc, 8) == 0,
          "there are no extended capabilities");
    fake_out(ports, 2, 0xcf8, 4, 0x7ffffff3);
    CHECK(fake_in(ports, 2, 0xcf8, 4) == 0x00fffff0 && fake_in(ports, 2, 0xcfc, 4) == ~0u,
          "without its enable bit CONFIG_ADDRESS selects nothing");
    fake_out(ports, 2, 0xcf8, 1, 0x12);
    CHECK(fake_in(ports, 2, 0xcf8, 4) == 0x00fffff0, "narrow writes to it are none");
    port_read(SLOT, 0, 4);
    CHECK(fake_in(ports, 2, 0xcfe, 4) == ~0u, "an access across the end of CONFIG_DATA floats");
}

static void test_capabilities(void)
{
    start();
    CHECK((ecam(SLOT, 6, 2) & 0x10) && ecam(SLOT, 0x34, 1) == 0x40, "there is a list");
    CHECK(ecam(SLOT, 0x40, 1) == 9 && ecam(SLOT, 0x42, 1) == 1 && ecam(SLOT, 0x44, 1) == 3,
          "the first capability");
    CHECK(ecam(SLOT, ecam(SLOT, 0x41, 1), 1) == 0x11 && ecam(SLOT, 0x49, 1) == 0,
          "MSI-X is the second and last");
    CHECK(ecam(SLOT, 0x4a, 2) == 2 && ecam(SLOT, 0x4c, 4) == TABLE &&
              ecam(SLOT, 0x50, 4) == PENDING,
          "its table has three entries");
    ecam_write(SLOT, 0x40, 8, ~0ull);
    ecam_write(SLOT, 0, 8, ~0ull);
    CHECK(ecam(SLOT, 0x40, 1) == 9 && ecam(SLOT, 0x4a, 2) == 2 && ecam(SLOT, 0, 4) == 0x56781234,
          "all of that is read-only");
    ecam_write(SLOT, 0x4a, 2, 0xffff);
    CHECK(ecam(SLOT, 0x4a, 2) == 0xc002, "but for enable and mask");
    ecam_write(SLOT, 4, 2, 0xffff);
    CHECK(ecam(SLOT, 4, 2) == 0x0406, "COMMAND has memory, master and interrupt disable");
    ecam_write(0, 4, 2, 0xffff);
    CHECK(ecam(0, 4, 2) == 0, "the bridge has nothing to switch");
}

static void test_bar(void)
{
    start();
    CHECK(ecam(SLOT, 0x10, 4) == 4 && ecam(SLOT, 0x14, 4) == 0, "a 64-bit memory BAR at 0");
    ecam_write(SLOT, 0x10, 4, ~0u);
    ecam_write(SLOT, 0x14, 4, ~0u);
    CHECK(ecam(SLOT, 0x10, 4) == (uint32_t) ~(BAR_SIZE - 1) + 4 && ecam(SLOT, 0x14, 4) == ~0u,
          "it can be sized");
    CHECK(ecam(SLOT, 0x18, 4) == 0 && ecam(SLOT, 0x30, 4) == 0, "there are no others, and no ROM");
    ecam_write(SLOT, 0x10, 8, 0xc0100000);
    CHECK(window(0xc0100010, 4) == ~0ull && reads == 0, "it decodes only when it is enabled");
    ecam_write(SLOT, 4, 2, 2);
    CHECK(window(0xc0100010, 4) == 0x1122334455667788 && last_offset == 0x10 && reads == 1,
          "then it reads");
    window_write(0xc0101ffe, 8, 0x55);
    CHECK(writes == 1 && last_offset == 0x1ffe && last_value == 0x55, "and writes, unaligned too");
    ecam_write(SLOT, 0x10, 8, 0xdfffc000);
    CHECK(window(0xc0100010, 4) == ~0ull && window(0xdfffc000, 1) != ~0ull, "it may move");
    ecam_write(SLOT, 0x10, 8, 0xc0101004);
    CHECK(ecam(SLOT, 0x10, 4) == 0xc0100004, "to a multiple of its size");
}

static void test_bar_hostile(void)
{
    start();
    ecam_write(SLOT, 4, 2, 2);
    ecam_write(SLOT + 1, 4, 2, 2);
    ecam_write(SLOT, 0x10, 8, 0x1000c0000000);
    ecam_write(SLOT + 1, 0x10, 8, 0xfffffffffffff000);
    CHECK(window(0xc0000000, 4) == ~0ull && window(0xdfffffff, 8) == ~0ull,
          "a BAR above 4 GiB is nowhere, not cut to 32 bits");
    ecam_write(SLOT, 0x10, 8, 0);
    ecam_write(SLOT + 1, 0x10, 8, 0xc0000000);
    CHECK(window(0xc0000000, 4) != ~0ull && last_function == &second, "one over RAM hides nothing");
    ecam_write(SLOT, 0x10, 8, 0xc0000000);
    window(0xc0000008, 4);
    CHECK(last_function == &function, "of two in one place the lower slot answers");
    ecam_write(SLOT, 4, 2, 0);
    window(0xc0000008, 4);
    CHECK(last_function == &second, "and when it is off, the other");
    window(0xc0003fff, 8);
    CHECK(last_offset == 0x3fff, "an access at the end of a BAR is its own");
}

/* ---- Several BARs --------------------------------------------------------------------------- */

static void start_several(void)
{
    static const struct vpci_bar small = {.size = 0x1000, .read = bar_read, .write = bar_write};
    static const struct vpci_bar large = {.size = 0x100000000,
                                          .wide = true,
                                          .prefetchable = true,
                                          .read = bar_read,
                                          .write = bar_write};

    start();
    vpci_set_bar(&second, 3, &small);
    vpci_set_bar(&second, 4, &large);
}

static void test_bars(void)
{
    start_several();
    CHECK(ecam(SLOT + 1, 0x1c, 4) == 0 && ecam(SLOT + 1, 0x20, 8) == 0xc,
          "BARs of 32 and of 64 bits, prefetchable and not");
    ecam_write(SLOT + 1, 0x1c, 4, ~0u);
    ecam_write(SLOT + 1, 0x20, 8, ~0ull);
    CHECK(ecam(SLOT + 1, 0x1c, 4) == 0xfffff000 && ecam(SLOT + 1, 0x20, 8) == 0xffffffff0000000c,
          "each has its size");
    ecam_write(SLOT + 1, 0x10, 8, 0xc0000000);
    ecam_write(SLOT + 1, 0x1c, 4, 0xc0100000);
    ecam_write(SLOT + 1, 4, 2, 2);
    window(0xc0100123, 1);
    CHECK(reads == 1 && last_function == &second && last_offset == 0x123, "each has its place");
    CHECK(window(0xc0100000 + TABLE, 4) == ~0ull && window(0xc0000000 + TABLE + 12, 4) == 1,
          "MSI-X is in one of them");
    window(0xc0200000, 4);
    CHECK(reads == 1, "one that is larger than the window is nowhere");
}

/* A small one in the middle of a large one, both used in turn. */
static void test_bar_in_bar(void)
{
    static const struct vpci_bar large = {
        .size = 4 * BAR_SIZE, .wide = true, .read = bar_read, .write = bar_write};

    start();
    vpci_set_bar(&second, 0, &large);
    ecam_write(SLOT, 0x10, 8, 0xc0000000 + BAR_SIZE);
    ecam_write(SLOT + 1, 0x10, 8, 0xc0000000);
    ecam_write(SLOT, 4, 2, 2);
    ecam_write(SLOT + 1, 4, 2, 2);
    for (unsigned int i = 0; i < 2; i++) {
        window(0xc0000000 + BAR_SIZE - 8, 4);
        CHECK(last_function == &second && last_offset == BAR_SIZE - 8, "the large one");
        window(0xc0000000 + BAR_SIZE + 4, 4);
        CHECK(last_function == &function && last_offset == 4, "the small one in it");
        window(0xc0000000 + BAR_SIZE + 8, 4);
        CHECK(last_function == &function && last_offset == 8, "again");
    }
    ecam_write(SLOT, 0x10, 8, 0);
    window(0xc0000000 + BAR_SIZE + 8, 4);
    CHECK(last_function == &second && last_offset == BAR_SIZE + 8, "and where it was");
}

static void set_entry(unsigned int vector, uint64_t address, uint32_t data, uint32_t control)
{
    uint64_t entry = 0xc0000000 + TABLE + vector * 16u;

    window_write(entry, 8, address);
    window_write(entry + 8, 4, data);
    window_write(entry + 12, 4, control);
}

static void start_msix(void)
{
    start();
    ecam_write(SLOT, 0x10, 8, 0xc0000000);
    ecam_write(SLOT, 4, 2, 6);
    ecam_write(SLOT, 0x4a, 2, 0x8000);
}

static void test_msix(void)
{
    start_msix();
    CHECK(window(0xc0000000 + TABLE + 12, 4) == 1, "entries begin masked");
    set_entry(1, 0xfee03000, 0x4051, 0);
    vpci_interrupt(&function, 1);
    CHECK(messages == 1 && last.vector == 0x51 && last.destination == 3 &&
              last.delivery_mode == APIC_DELIVER_FIXED && !last.logical && !last.level,
          "a message");
    set_entry(1, 0xfee0f00c, 0x0061, 0);
    vpci_interrupt(&function, 1);
    CHECK(messages == 2 && last.logical && last.delivery_mode == APIC_DELIVER_LOWEST,
          "redirected to one of a logical set");
    CHECK(window(0xc0000000 + TABLE + 16, 8) == 0xfee0f00c, "the table reads back");
    vpci_interrupt(&function, 3);
    vpci_interrupt(&function, ~0u);
    CHECK(messages == 2, "a vector that is not there sends nothing");
}

static void test_masking(void)
{
    start_msix();
    set_entry(2, 0xfee00000, 0x71, 1);
    vpci_interrupt(&function, 2);
    vpci_interrupt(&function, 2);
    CHECK(messages == 0 && window(0xc0000000 + PENDING, 8) == 4, "a masked vector is pending");
    set_entry(2, 0xfee00000, 0x71, 0);
    CHECK(messages == 1 && window(0xc0000000 + PENDING, 8) == 0, "and comes once when unmasked");
    ecam_write(SLOT, 0x4a, 2, 0xc000);
    vpci_interrupt(&function, 2);
    CHECK(messages == 1, "the mask of all masks all");
    ecam_write(SLOT, 0x4a, 2, 0x8000);
    CHECK(messages == 2, "until it is off");
    ecam_write(SLOT, 4, 2, 2);
    vpci_interrupt(&function, 2);
    CHECK(messages == 2, "a function that may not be master sends nothing");
    ecam_write(SLOT, 4, 2, 6);
    CHECK(messages == 3, "until it may");
    ecam_write(SLOT, 0x4a, 2, 0);
    vpci_interrupt(&function, 2);
    ecam_write(SLOT, 0x4a, 2, 0x8000);
    CHECK(messages == 3, "what happens while MSI-X is off is lost");
    CHECK(window(0xc0000000 + PENDING + 7, 1) == 0, "each byte of the pending bits can be read");
    window_write(0xc0000000 + PENDING, 8, ~0ull);
    CHECK(messages == 3 && window(0xc0000000 + PENDING, 8) == 0, "pending bits are read-only");
}

static void test_msix_hostile(void)
{
    static const uint64_t addresses[] = {0,          0x1000,     0xfec00000,        0xfed00000,
                                         0xfef00000, 0xffffffff, 0x1fee00000,       0xc0002000,
                                         0xe0000000, 0xdeadbeef, 0xffffffffffffffff};
    unsigned int expected;

    start_msix();
    for (unsigned int i = 0; i < ARRAY_SIZE(addresses); i++) {
        set_entry(0, addresses[i], 0x41, 0);
        vpci_interrupt(&function, 0);
    }
    CHECK(messages == 0, "an entry that points elsewhere than at the local APICs does nothing");
    set_entry(0, 0xfee00000, 0x341, 0);
    vpci_interrupt(&function, 0);
    set_entry(0, 0xfee00000, 0x641, 0);
    vpci_interrupt(&function, 0);
    CHECK(messages == 0, "nor does one with a reserved delivery mode");
    set_entry(0, 0xfee00000, 0x42, 0);
    expected = messages;
    window_write(0xc0000000 + TABLE + 1, 4, 0xffffffff);
    window_write(0xc0000000 + TABLE + 4, 8, ~0ull);
    window_write(0xc0000000 + TABLE, 1, 0xff);
    window_write(0xc0000000 + TABLE + 2, 2, 0xffff);
    CHECK(window(0xc0000000 + TABLE, 8) == 0xfee00000, "unaligned and narrow writes are none");
    window_write(0xc0000000 + TABLE + 8, 8, ~0ull);
    CHECK(window(0xc0000000 + TABLE + 8, 8) == 0x1ffffffffull && messages == expected,
          "of the vector control one bit is kept");
    window_write(0xc0000000 + TABLE + 3 * 16, 8, 5);
    CHECK(writes == 1 && last_offset == TABLE + 48, "behind the table the BAR is the device's");
}

int main(void)
{
    test_identity();
    test_capabilities();
    test_bar();
    test_bar_hostile();
    test_bars();
    test_bar_in_bar();
    test_msix();
    test_masking();
    test_msix_hostile();
    return check_done();
}
