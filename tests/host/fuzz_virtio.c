/* SPDX-License-Identifier: MIT */
/*
 * A virtio disk under a driver that does anything: writes of any register, any bytes in the rings,
 * which change while they are read.  The sanitizers are the check, and what lies beside the disk.
 */
#include "tests/host/virtio_fuzz.h"

#include "hv/vdev/virtio_blk.h"

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)
#define SECTORS  19u

static uint8_t image[SECTORS * 512], pages[(SECTORS + 7) / 8 * 4096];
static uint64_t copied[1];
static struct virtio_blk disk;

static void make(void)
{
    struct virtio_blk_config config;
    struct virtio_setup setup = {.dev = &disk, .config = &config, .config_size = sizeof(config)};

    memset(copied, 0, sizeof(copied));
    disk = (struct virtio_blk){
        .image = image, .size = sizeof(image), .pages = pages, .copied = copied};
    setup.features = virtio_blk_describe(&disk, &config);
    plug(&virtio_blk_kind, setup);
    start_driver(setup.features | FEATURES, 8);
}

/* A request that is nearly right. */
static void request(void)
{
    uint32_t words = number(), type = byte() % 16;

    put(DATA, type, 4);
    put(DATA + 8, byte() % (SECTORS + 2), 8);
    descriptor(DESC, 0, DATA, 16, D_NEXT, 1);
    descriptor(DESC, 1, DATA + 0x1000, words, D_NEXT | (type == 1 || type > 8 ? 0 : D_WRITE), 2);
    descriptor(DESC, 2, DATA + 0x800, 1, D_WRITE, 0);
    put(DATA + 0x1000 + 8, byte(), 4);
    offer(0);
}

static void step(void)
{
    uint8_t op = byte();

    if (op % 8 < 6) {
        disturb(op);
    } else if (op % 8 == 6) {
        request();
        kick();
    } else if (op & 8) {
        virtio_work(&virtio);
    } else {
        start_driver(FEATURES, (uint16_t)(1u << (op >> 4) % 9));
    }
}

static void check_all(void)
{
    check_queues(&virtio);
    REQUIRE((copied[0] & ~7ull) == 0);
    for (unsigned int i = 0; i < sizeof(image); i++)
        REQUIRE(image[i] == 0x5a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin_input(data, size);
    memset(image, 0x5a, sizeof(image));
    make();
    meddle = scribble;
    while (input < input_end)
        step();
    check_all();
    return 0;
}
