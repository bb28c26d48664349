/* SPDX-License-Identifier: MIT */
/* fw_cfg: its items, the directory and the one file, and how the two ports behave. */
#include "hv/vdev/vfwcfg.h"

#include "tests/host/check.h"
#include "tests/host/vdev_fakes.h"

#include <string.h>

static struct vfwcfg fwcfg;
static struct pio_range io;

static void select_item(uint16_t key)
{
    fake_out(&io, 1, 0x510, 2, key);
}

static void read_bytes(void *to, unsigned int size)
{
    for (unsigned int i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (uint8_t)fake_in(&io, 1, 0x511, 1);
}

static uint64_t number(uint16_t key, unsigned int size)
{
    uint64_t value = 0;

    select_item(key);
    read_bytes(&value, size);
    return value;
}

static void start(uint64_t memory_size, unsigned int cpus)
{
    vfwcfg_init(&fwcfg, memory_size, cpus);
    io = vfwcfg_ports(&fwcfg);
}

static void test_items(void)
{
    char signature[6];

    start(MIB(16), 3);
    read_bytes(signature, sizeof(signature));
    CHECK(memcmp(signature, "QEMU\0\0", 6) == 0, "the signature is selected at first, then zeros");
    CHECK(number(0x0001, 4) == 1, "the interface is the ports alone");
    CHECK(number(0x0003, 8) == MIB(16), "the size of memory");
    CHECK(number(0x0005, 2) == 3 && number(0x000f, 2) == 3, "the number of CPUs, and the most");
    CHECK(number(0x0002, 8) == 0 && number(0xffff, 8) == 0 && number(0x8000, 8) == 0,
          "an item that is not there is zeros");
    CHECK(number(0x4005, 2) == 3, "the selector's write bit means nothing");
    CHECK(number(0x0005, 8) == 3, "behind its end an item is zeros");
}

static void test_ports(void)
{
    uint32_t word = 0;

    start(MIB(16), 1);
    select_item(0);
    read_bytes(&word, 2);
    CHECK(fake_in(&io, 1, 0x510, 1) == ~0u && fake_in(&io, 1, 0x510, 2) == ~0u &&
              fake_in(&io, 1, 0x511, 4) == ~0u,
          "the selector and wider data do not read");
    fake_out(&io, 1, 0x511, 1, 0);
    fake_out(&io, 1, 0x511, 2, 3);
    fake_out(&io, 1, 0x510, 1, 3);
    fake_out(&io, 1, 0x510, 4, 3);
    read_bytes((uint8_t *)&word + 2, 2);
    CHECK(memcmp(&word, "QEMU", 4) == 0, "and nothing but a word selects");
    select_item(0);
    read_bytes(&word, 4);
    CHECK(memcmp(&word, "QEMU", 4) == 0, "selecting begins anew");
}

static void test_file(uint64_t memory_size, unsigned int count)
{
    struct vfwcfg_directory directory;
    struct vfwcfg_e820 entry;
    struct layout_map map;
    bool same = true;

    start(memory_size, 1);
    layout_make(memory_size, &map);
    select_item(0x0019);
    read_bytes(&directory, sizeof(directory));
    CHECK(sizeof(directory) == 4 + 64 && __builtin_bswap32(directory.count) == 1 &&
              strcmp(directory.name, "etc/e820") == 0 && map.count == count &&
              __builtin_bswap32(directory.size) == 20 * count,
          "the directory has the memory map");
    select_item(__builtin_bswap16(directory.key));
    for (unsigned int i = 0; i < map.count; i++) {
        read_bytes(&entry, 20);
        same &= entry.base == map.ranges[i].base && entry.size == map.ranges[i].size &&
                entry.type == layout_e820_type(map.ranges[i].type);
    }
    CHECK(same, "which is the guest's");
    read_bytes(&entry, 20);
    CHECK(entry.size == 0 && entry.type == 0, "and ends there");
}

int main(void)
{
    test_items();
    test_ports();
    test_file(MIB(16), 6);
    test_file(GIB(5), 7);
    return check_done();
}
