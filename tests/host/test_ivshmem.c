/* SPDX-License-Identifier: MIT */
/* The shared memory's device: what it is, where its memory is seen, and its doorbells. */
#include "tests/host/check.h"
#include "tests/host/ivshmem_world.h"

#define REGISTERS 0xc0000000ull
#define MSIX      0xc0001000ull
#define MEMORY    0xc0400000ull

static void place(uint64_t memory)
{
    config_out(REG_BAR0, 4, REGISTERS);
    config_out(REG_BAR1, 4, MSIX);
    config_out(REG_BAR2, 8, memory);
    config_out(REG_COMMAND, 2, 6);
}

static void test_identity(void)
{
    start(1);
    CHECK(config_in(0, 4) == 0x11101af4 && config_in(8, 4) == 0x05000001, "ids, class, revision");
    CHECK(config_in(REG_BAR0, 4) == 0 && config_in(REG_BAR1, 4) == 0 &&
              config_in(REG_BAR2, 8) == 0xc && config_in(0x20, 8) == 0,
          "two BARs of 32 bits, and one of 64 that is prefetchable");
    for (unsigned int reg = REG_BAR0; reg < 0x28; reg += 4)
        config_out(reg, 4, ~0u);
    CHECK(config_in(REG_BAR0, 4) == 0xfffff000 && config_in(REG_BAR1, 4) == 0xfffff000 &&
              config_in(REG_BAR2, 8) == ~(SHARED_SIZE - 1) + 0xc && config_in(0x20, 8) == 0,
          "they can be sized");
    CHECK(moves == 0, "which maps nothing");
    CHECK(config_in(0x40, 1) == 0x11 && config_in(0x42, 2) == IVSHMEM_VECTORS - 1 &&
              config_in(0x44, 4) == 1 && config_in(0x48, 4) == 0x801,
          "MSI-X is in the second");
}

static void test_registers(void)
{
    start(1);
    place(MEMORY);
    CHECK(window_in(REGISTERS + 8, 4) == 1 && window_in(REGISTERS, 4) == 0 &&
              window_in(REGISTERS + 4, 4) == 0 && window_in(REGISTERS + 0xffc, 8) == 0,
          "it says which peer this is");
    window_out(REGISTERS + 12, 4, 0x00000003);
    CHECK(rings == 1 && rung_peer == 0 && rung_vector == 3, "it rings the other's doorbell");
    window_out(REGISTERS + 12, 4, 0xffff0102);
    CHECK(rings == 2 && rung_peer == 0xffff && rung_vector == 0x102, "whoever is named");
    window_out(REGISTERS + 12, 2, 0);
    window_out(REGISTERS + 12, 8, 0);
    window_out(REGISTERS + 13, 4, 0);
    window_out(REGISTERS + 8, 4, 5);
    window_out(REGISTERS, 8, ~0ull);
    CHECK(rings == 2 && window_in(REGISTERS + 8, 4) == 1,
          "by words, and nothing else does a thing");
}

static void test_moving(void)
{
    start(0);
    place(MEMORY);
    CHECK(seen == MEMORY && moves == 1, "the memory is seen where its BAR says");
    config_out(REG_BAR2, 4, 0xc8000000);
    CHECK(seen == 0xc8000000 && moves == 2, "and moves with it");
    config_out(REG_COMMAND, 2, 4);
    CHECK(seen == 0 && moves == 3, "it is gone when the function is switched off");
    config_out(REG_BAR2, 4, 0xdfffc000);
    CHECK(moves == 3, "until then nothing moves");
    config_out(REG_COMMAND, 2, 2);
    CHECK(seen == 0xdfffc000, "the window's last bytes will do");
    config_out(0x3c, 1, 5);
    CHECK(moves == 4, "other registers move nothing");
}

static void test_moving_hostile(void)
{
    static const uint64_t outside[] = {0,
                                       0x100000,
                                       LAYOUT_PCI_BASE - SHARED_SIZE,
                                       LAYOUT_ECAM_BASE,
                                       LAYOUT_IOAPIC_BASE,
                                       LAYOUT_LAPIC_BASE,
                                       0x1c0000000,
                                       0xffffffffc0000000,
                                       ~0ull};

    start(0);
    place(MEMORY);
    for (unsigned int i = 0; i < ARRAY_SIZE(outside); i++) {
        config_out(REG_BAR2, 8, MEMORY);
        config_out(REG_BAR2, 8, outside[i]);
        if (seen != 0)
            break;
    }
    CHECK(seen == 0, "outside of the window it is nowhere: over RAM, devices, above 4 GiB");
    config_out(REG_BAR2, 8, REGISTERS);
    CHECK(seen == 0 && window_in(REGISTERS + 8, 4) == 0 &&
              window_in(REGISTERS + 0x2000, 4) == 0x5a5a5a5a,
          "under another BAR it is not mapped, and answers where that one does not");
    config_out(REG_BAR0, 4, 0xd0000000);
    CHECK(seen == 0, "nor under a part of one");
    config_out(REG_BAR1, 4, 0xd0001000);
    CHECK(seen == REGISTERS, "until they have left");
    config_out(REG_BAR1, 4, (uint32_t)REGISTERS + 0x3000);
    CHECK(seen == 0, "and when one comes over it, it goes");
}

static void test_memory(void)
{
    start(0);
    place(MEMORY);
    window_out(MEMORY + 8, 8, 0x1122334455667788);
    CHECK(window_in(MEMORY + 12, 4) == 0x11223344 && shared[8] == 0x88 && shared[16] == 0x5a,
          "accesses that are emulated reach the memory");
    CHECK(window_in(MEMORY + SHARED_SIZE - 2, 4) == 0xffff5a5a, "up to its end");
    window_out(MEMORY + SHARED_SIZE - 1, 8, ~0ull);
    CHECK(shared[SHARED_SIZE - 1] == 0xff && window_in(MEMORY + SHARED_SIZE, 4) == 0xffffffff,
          "and not beyond");
}

static void test_ringing(void)
{
    start(0);
    place(MEMORY);
    ivshmem_ring(&device, 2);
    CHECK(messages == 0 && window_in(MSIX + 0x800, 8) == 0, "a ring while MSI-X is off is lost");
    config_out(0x42, 2, 0x8000);
    ivshmem_ring(&device, 2);
    CHECK(messages == 0 && window_in(MSIX + 0x800, 8) == 4, "one while it is masked is pending");
    window_out(MSIX + 2 * 16, 8, 0xfee01000);
    window_out(MSIX + 2 * 16 + 8, 8, 0x61);
    CHECK(messages == 1 && message.vector == 0x61 && message.destination == 1 &&
              window_in(MSIX + 0x800, 8) == 0,
          "and comes when the mask is off");
    ivshmem_ring(&device, 2);
    CHECK(messages == 2, "a ring is an interrupt");
    ivshmem_ring(&device, IVSHMEM_VECTORS);
    ivshmem_ring(&device, 0xffff);
    CHECK(messages == 2, "of a vector that is there");
    CHECK(window_in(MSIX + 0x400, 8) == 0 && window_in(MSIX + 0xffe, 4) == 0,
          "beside table and pending bits there is nothing");
    window_out(MSIX + 0x400, 8, ~0ull);
}

int main(void)
{
    test_identity();
    test_registers();
    test_moving();
    test_moving_hostile();
    test_memory();
    test_ringing();
    free(shared);
    return check_done();
}
