/* SPDX-License-Identifier: MIT */
/* The virtio devices: entropy, and a disk that is read-only or copied on writing. */
#include "tests/host/virtio_world.h"

#include "hv/vdev/virtio_blk.h"
#include "hv/vdev/virtio_rng.h"
#include "tests/host/check.h"

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)
#define SECTORS  2051u /* the last page is not whole */
#define HEADER   DATA
#define STATUS   (DATA + 0x800)
#define BUFFER   (DATA + 0x1000)

/* ---- Entropy -------------------------------------------------------------------------------- */

static void count_up(void *ctx, void *to, uint32_t size)
{
    uint8_t *next = ctx;

    for (uint32_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (*next)++;
}

static void test_rng(void)
{
    uint8_t next = 0;
    struct virtio_rng rng = {.ctx = &next, .fill = count_up};
    unsigned int wrong = 0;

    plug(&virtio_rng_kind, (struct virtio_setup){.dev = &rng});
    CHECK(config_in(0, 4) == 0x10441af4 && bar_in(C_QUEUES, 2) == 1, "the entropy device");
    start_driver(FEATURES, 8);
    descriptor(DESC, 0, BUFFER, 100, D_WRITE | D_NEXT, 1);
    descriptor(DESC, 1, BUFFER + 200, 30, D_WRITE, 0);
    offer(0);
    kick();
    for (unsigned int i = 0; i < 130; i++)
        wrong += get(BUFFER + (i < 100 ? i : i + 100), 1) != i;
    CHECK(wrong == 0 && used_size(0) == 130 && get(BUFFER + 100, 1) == 0 &&
              get(BUFFER + 230, 1) == 0,
          "what is asked for is filled, and not a byte more");
    descriptor(DESC, 0, BUFFER, 0x20000, D_WRITE, 0);
    offer(0);
    kick();
    CHECK(used_index() == 2 && used_size(1) == 4096, "at most 4 KiB at once");
    descriptor(DESC, 0, BUFFER, 16, 0, 0);
    offer(0);
    kick();
    CHECK(used_index() == 3 && used_size(2) == 0 && !needs_reset(),
          "nothing into what is not ours");
    descriptor(DESC, 0, RAM_BASE + RAM_SIZE - 4, 16, D_WRITE, 0);
    offer(0);
    kick();
    CHECK(needs_reset(), "nor behind the end of RAM");
}

/* ---- The disk ------------------------------------------------------------------------------- */

static uint8_t image[SECTORS * 512], original[SECTORS * 512];
static uint8_t pages[(SECTORS + 7) / 8 * 4096];
static uint64_t copied[8];
static struct virtio_blk disk;

static void plug_disk(bool read_only)
{
    struct virtio_blk_config config;
    struct virtio_setup setup = {.dev = &disk, .config = &config, .config_size = sizeof(config)};

    for (unsigned int i = 0; i < sizeof(image); i++)
        image[i] = (uint8_t)(i / 512 * 7 + i);
    memcpy(original, image, sizeof(image));
    memset(pages, 0xee, sizeof(pages));
    memset(copied, 0, sizeof(copied));
    disk = (struct virtio_blk){.image = image,
                               .size = sizeof(image),
                               .pages = read_only ? NULL : pages,
                               .copied = copied,
                               .serial = "root.img"};
    setup.features = virtio_blk_describe(&disk, &config);
    plug(&virtio_blk_kind, setup);
    start_driver(setup.features | FEATURES, 8);
}

/* A request of up to one buffer; returns its status, 0xff where none was written. */
static unsigned int ask(uint32_t type, uint64_t sector, uint32_t size, bool write)
{
    put(HEADER, type, 8);
    put(HEADER + 8, sector, 8);
    put(STATUS, 0xff, 1);
    descriptor(DESC, 0, HEADER, 16, D_NEXT, size ? 1 : 2);
    descriptor(DESC, 1, BUFFER, size, D_NEXT | (write ? D_WRITE : 0), 2);
    descriptor(DESC, 2, STATUS, 1, D_WRITE, 0);
    offer(0);
    kick();
    return (unsigned int)get(STATUS, 1);
}

static bool reads_as(uint64_t sector, const uint8_t *bytes, uint32_t size)
{
    memset(&ram[BUFFER - RAM_BASE], 0xcc, size);
    return ask(0, sector, size, true) == 0 && used_size((uint16_t)(used_index() - 1)) == size + 1 &&
           memcmp(&ram[BUFFER - RAM_BASE], bytes, size) == 0;
}

static void test_disk_identity(void)
{
    plug_disk(false);
    CHECK(config_in(0, 4) == 0x10421af4 && config_in(8, 4) == 0x01800001, "the block device");
    CHECK(bar_in(B_DEVICE, 8) == SECTORS && bar_in(B_DEVICE + 20, 4) == 512, "its size");
    CHECK((offered_features() & 0x6260) == 0x6240, "flush, discard, write zeroes; not read-only");
    CHECK(ask(8, 0, 20, true) == 0 &&
              memcmp(&ram[BUFFER - RAM_BASE], "root.img\0\0\0\0\0\0\0\0\0\0\0\0", 20) == 0,
          "its serial number");
    CHECK(ask(8, 0, 4, true) == 0 && used_size(1) == 5, "as much of it as is asked for");
    CHECK(ask(4, 0, 0, false) == 0, "a flush");
    CHECK(ask(99, 0, 0, false) == 2 && ask(7, 0, 512, true) == 2, "what is unknown is unsupported");
    plug_disk(true);
    CHECK((offered_features() & 0x6260) == 0x0260, "a read-only one says so");
}

static void test_reading(void)
{
    plug_disk(true);
    CHECK(reads_as(0, image, 512) && reads_as(5, image + 5 * 512, 0x2000), "reading");
    CHECK(reads_as(SECTORS - 1, image + sizeof(image) - 512, 512), "the last sector");
    CHECK(ask(0, SECTORS, 512, true) == 1 && ask(0, SECTORS - 1, 1024, true) == 1 &&
              ask(0, ~0ull, 512, true) == 1 && ask(0, 1ull << 55, 512, true) == 1,
          "nothing behind it");
    CHECK(ask(0, 0, 511, true) == 1 && ask(0, 0, 513, true) == 1, "whole sectors alone");
    CHECK(ask(0, 0, 0, true) == 0, "none is fine");
    CHECK(ask(1, 0, 512, false) == 1 && ask(11, 0, 16, false) == 2 && ask(13, 0, 16, false) == 2 &&
              memcmp(image, original, sizeof(image)) == 0,
          "a read-only disk is not written");
}

static void test_writing(void)
{
    plug_disk(false);
    for (unsigned int i = 0; i < 0x3000; i++)
        put(BUFFER + i, 0x40 + i % 23, 1);
    memcpy(original + 3 * 512, &ram[BUFFER - RAM_BASE], 0x3000);
    CHECK(ask(1, 3, 0x3000, false) == 0 && used_size(0) == 1, "writing");
    put(BUFFER, 0x1234, 2);
    memcpy(original + sizeof(original) - 512, &ram[BUFFER - RAM_BASE], 512);
    CHECK(ask(1, SECTORS - 1, 512, false) == 0, "the last sector");
    CHECK(reads_as(0, original, 0x8000) &&
              reads_as(SECTORS - 19, original + (SECTORS - 19) * 512, 19 * 512),
          "what was written is read, beside what was not");
    CHECK(memcmp(image, original, sizeof(image)) != 0 && image[3 * 512] == (uint8_t)(21 + 1536),
          "the image stays as it was");
    CHECK(ask(1, SECTORS, 512, false) == 1 && ask(1, SECTORS - 1, 1024, false) == 1 &&
              ask(1, 0, 100, false) == 1,
          "nothing behind the end");
}

static unsigned int ask_zero(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    put(BUFFER, sector, 8);
    put(BUFFER + 8, sectors, 4);
    put(BUFFER + 12, flags, 4);
    return ask(type, 0, 16, false);
}

static void test_zeroing(void)
{
    plug_disk(false);
    memset(original + 9 * 512, 0, 20 * 512);
    memset(original + (SECTORS - 3) * 512, 0, 3 * 512);
    CHECK(ask_zero(13, 9, 20, 1) == 0 && ask_zero(11, SECTORS - 3, 3, 0) == 0, "zeroes, discard");
    CHECK(reads_as(0, original, 0x8000) &&
              reads_as(SECTORS - 11, original + (SECTORS - 11) * 512, 11 * 512),
          "both read as zeroes");
    CHECK(ask_zero(13, SECTORS - 3, 4, 0) == 1 && ask_zero(13, ~0ull, 1, 0) == 1 &&
              ask_zero(11, 0, 0xffffffff, 0) == 1 && ask_zero(13, 0, 4096, 0) == 1,
          "nothing behind the end, and no more than was said");
    CHECK(ask_zero(13, 0, 1, 2) == 2 && ask_zero(11, 0, 1, 1) == 2,
          "unknown flags are unsupported");
    CHECK(ask(13, 0, 32, false) == 1, "one range at a time");
    CHECK(reads_as(0, original, 0x8000) && !needs_reset(), "and none of that did anything");
}

static void test_mistakes(void)
{
    plug_disk(false);
    descriptor(DESC, 0, HEADER, 15, D_NEXT, 1);
    descriptor(DESC, 1, STATUS, 1, D_WRITE, 0);
    offer(0);
    kick();
    CHECK(needs_reset(), "a header that is too short");
    plug_disk(false);
    descriptor(DESC, 0, HEADER, 16, 0, 0);
    offer(0);
    kick();
    CHECK(needs_reset(), "no place for the status");
    plug_disk(false);
    CHECK(ask(13, 0, 8, false) == 0xff && needs_reset(), "a range that is too short");
    plug_disk(false);
    put(HEADER, 0, 8);
    descriptor(DESC, 0, HEADER, 16, D_NEXT, 1);
    descriptor(DESC, 1, RAM_BASE + RAM_SIZE - 256, 512, D_WRITE | D_NEXT, 2);
    descriptor(DESC, 2, STATUS, 1, D_WRITE, 0);
    offer(0);
    kick();
    CHECK(needs_reset() && used_index() == 0, "a buffer across the end of RAM");
    plug_disk(false);
    descriptor(DESC, 0, HEADER, 16, D_NEXT, 1);
    descriptor(DESC, 1, BUFFER, 0xfffffe00, D_WRITE | D_NEXT, 2);
    descriptor(DESC, 2, STATUS, 1, D_WRITE, 0);
    offer(0);
    kick();
    CHECK(!needs_reset() && get(STATUS, 1) == 1, "a buffer larger than the disk");
}

int main(void)
{
    test_rng();
    test_disk_identity();
    test_reading();
    test_writing();
    test_zeroing();
    test_mistakes();
    return check_done();
}
