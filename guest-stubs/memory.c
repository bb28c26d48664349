/* SPDX-License-Identifier: MIT */
/*
 * Memory: a guest of 3.5 GiB.  Below 0xC0000000 all is RAM but for the hole below 1 MiB; from there
 * to 4 GiB devices have their place, and what does not answer reads as ones; the rest of the RAM
 * follows at 4 GiB. The CMOS says how much: 34h and 35h from 16 MiB on, 5Bh to 5Dh from 4 GiB on,
 * in units of 64 KiB.
 */
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/stub.h"

#define MIB        (1ull << 20)
#define GIB        (1ull << 30)
#define LOW_END    (3 * GIB)
#define HIGH       (4 * GIB)
#define HIGH_SIZE  (GIB / 2)
#define STEP       (2 * MIB)
#define STUB_END   (16 * MIB) /* this program lies below */
#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71
#define CMOS_UNIT  0x10000ull

static volatile uint64_t *at(uint64_t address)
{
    return (volatile uint64_t *)address;
}

static uint64_t cmos(uint8_t index, unsigned int bytes)
{
    uint64_t value = 0;

    for (unsigned int i = 0; i < bytes; i++) {
        outb(CMOS_INDEX, (uint8_t)(index + i));
        value |= (uint64_t)inb(CMOS_DATA) << (8 * i);
    }
    return value * CMOS_UNIT;
}

static void check_sizes(void)
{
    check_equal(START_RAM_KIB * 1024ull, LOW_END, "3 GiB lie below the devices");
    check_equal(16 * MIB + cmos(0x34, 2), LOW_END, "the CMOS says so");
    check_equal(cmos(0x5b, 3), HIGH_SIZE, "and that 512 MiB lie above 4 GiB");
}

/* Writes its address into a word of each 2 MiB, and then looks whether any has become another's. */
static void mark(uint64_t begin, uint64_t end)
{
    for (uint64_t address = begin; address < end; address += STEP)
        *at(address) = address;
}

static uint64_t count_wrong(uint64_t begin, uint64_t end)
{
    uint64_t wrong = 0;

    for (uint64_t address = begin; address < end; address += STEP)
        wrong += *at(address) != address;
    return wrong;
}

static void check_contents(void)
{
    mark(STUB_END, LOW_END);
    mark(HIGH, HIGH + HIGH_SIZE);
    check_equal(count_wrong(STUB_END, LOW_END), 0, "each 2 MiB below 3 GiB hold what is written");
    check_equal(count_wrong(HIGH, HIGH + HIGH_SIZE), 0, "and each 2 MiB above 4 GiB");
}

static void check_edges(void)
{
    *at(LOW_END - 8) = 0x1234;
    *at(HIGH + HIGH_SIZE - 8) = 0x5678;
    check_equal(*at(LOW_END - 8), 0x1234, "the last word below 3 GiB is memory");
    check_equal(*at(LOW_END), ~0ull, "the next one is nothing");
    check_equal(*at(HIGH - 8), ~0ull, "the last word below 4 GiB is nothing");
    check_equal(*at(HIGH + HIGH_SIZE - 8), 0x5678, "the last word of all is memory");
    check_equal(*at(HIGH + HIGH_SIZE), ~0ull, "the next one is nothing");
}

void stub_main(void)
{
    page_map_gib(HIGH);
    check_sizes();
    check_contents();
    check_edges();
}
