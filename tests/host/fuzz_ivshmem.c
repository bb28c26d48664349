/* SPDX-License-Identifier: MIT */
/*
 * The shared memory's device, and another function beside it, under a guest that writes anything
 * anywhere: what is mapped is whole in the window and covers no other BAR that is switched on, and
 * every access stays in the memory, which the sanitizers see.
 */
#include "tests/host/fuzz_input.h"
#include "tests/host/ivshmem_world.h"

static struct vpci_function other;

static uint64_t other_read(void *dev, uint64_t offset, uint8_t size)
{
    REQUIRE(offset < 0x2000);
    return 0;
}

static void other_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    REQUIRE(offset < 0x2000);
}

static void add_other(void)
{
    static const struct vpci_id id = {.vendor = 1, .device = 2};
    static const struct vpci_bar bar = {
        .size = 0x2000, .wide = true, .read = other_read, .write = other_write};

    vpci_function_init(&other, &id);
    vpci_set_bar(&other, 4, &bar);
    vpci_plug(&pci, SLOT + 1, &other);
}

/* Where something may be, or a stray one. */
static uint64_t address(void)
{
    static const uint64_t bases[] = {LAYOUT_PCI_BASE, LAYOUT_ECAM_BASE - SHARED_SIZE,
                                     LAYOUT_PCI_BASE - 0x2000, 0, ~0xffffull};
    uint64_t base = bases[byte() % ARRAY_SIZE(bases)];

    return base + ((uint64_t)byte() << 12 & 0x7000);
}

static void write_config(void)
{
    static const uint16_t regs[] = {REG_BAR0, REG_BAR1, REG_BAR2, REG_BAR2 + 4, REG_COMMAND,
                                    0x42,     0x20,     0x24,     0x18,         4};
    struct mmio_range ecam = vpci_ecam(&pci);
    uint8_t what = byte();
    uint32_t reg = regs[what % ARRAY_SIZE(regs)];
    uint64_t value = reg == REG_COMMAND ? byte() : reg == 0x42 ? (uint64_t)byte() << 8 : address();

    ecam.write(ecam.dev, (SLOT + (what >> 7)) << 15 | reg, (uint8_t)(1u << (what >> 5 & 3)), value);
}

static uint64_t base_of(const struct vpci_function *function, unsigned int number)
{
    uint64_t base = 0;

    memcpy(&base, &function->config[0x10 + 4 * number], function->bars[number].wide ? 8 : 4);
    return base & ~0xfull;
}

static void check_beside(const struct vpci_function *function, unsigned int number)
{
    uint64_t base = base_of(function, number), size = function->bars[number].size;

    if (function->config[REG_COMMAND] & 2)
        REQUIRE(base > seen + (SHARED_SIZE - 1) || base + (size - 1) < seen);
}

static void check_seen(void)
{
    if (!seen)
        return;
    REQUIRE(seen == base_of(&device.pci, 2) && (device.pci.config[REG_COMMAND] & 2));
    REQUIRE(seen >= LAYOUT_PCI_BASE && seen + SHARED_SIZE <= LAYOUT_ECAM_BASE);
    check_beside(&device.pci, 0);
    check_beside(&device.pci, 1);
    check_beside(&other, 4);
}

static void step(void)
{
    uint8_t op = byte(), size = (uint8_t)(1u << (op >> 6));
    uint64_t at;

    switch (op % 4) {
    case 0:
    case 1:
        write_config();
        check_seen();
        break;
    case 2:
        at = address() + byte() * 17u;
        if (at - LAYOUT_PCI_BASE < LAYOUT_PCI_SIZE) {
            window_out(at, size, byte() * 0x0101010101010101ull);
            window_in(at, size);
        }
        break;
    case 3:
        ivshmem_ring(&device, byte());
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin_input(data, size);
    start(0);
    add_other();
    while (input < input_end)
        step();
    free(shared);
    shared = NULL;
    return 0;
}
