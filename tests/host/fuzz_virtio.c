/* SPDX-License-Identifier: MIT */
/*
 * A virtio disk under a driver that does anything: writes of any register, any bytes in the rings,
 * which change while they are read.  The sanitizers are the check, and what lies beside the disk.
 */
#include "tests/host/virtio_world.h"

#include "hv/vdev/virtio_blk.h"

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)
#define SECTORS  19u

#define REQUIRE(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t image[SECTORS * 512], pages[(SECTORS + 7) / 8 * 4096];
static uint64_t copied[1];
static struct virtio_blk disk;
static const uint8_t *input, *input_end;

static uint8_t byte(void)
{
    return input < input_end ? *input++ : 0;
}

static uint32_t number(void)
{
    return byte() | (uint32_t)byte() << 8;
}

/* Some bytes of the rings are others now. */
static void scribble(void)
{
    uint8_t what = byte();

    if (what >= 0xc0)
        ram[(what & 3u) << 12 | (number() & 0xff)] = byte();
}

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

static void poke_descriptor(void)
{
    static const uint64_t bases[] = {DATA, DATA + 0x1000, 0, ~0xfffull, RAM_BASE + RAM_SIZE - 256,
                                     DESC, 0xfee00000};
    uint8_t index = byte() & 7;

    descriptor(byte() & 1 ? DESC : DATA, index, bases[byte() % 7] + byte(),
               byte() & 1 ? number() : ~0u - byte(), byte() & 7, byte() & 15);
}

static void step(void)
{
    uint8_t op = byte();

    switch (op % 8) {
    case 0:
        bar_out(number() & 0x7fff, (uint8_t)(1u << op / 64), number() * 0x100010001ull);
        break;
    case 1:
        bar_in(number() & 0x7fff, (uint8_t)(1u << op / 64));
        break;
    case 2:
        config_out(number() & 0xfff, (uint8_t)(1u << op / 64), number() * 0x100010001ull);
        break;
    case 3:
        bar_out(byte() & 0x3f, (uint8_t)(1u << op / 64), number());
        break;
    case 4:
        poke_descriptor();
        break;
    case 5:
        offer(byte() & 15);
        kick();
        break;
    case 6:
        request();
        kick();
        break;
    case 7:
        if (op & 8)
            virtio_work(&virtio);
        else
            start_driver(FEATURES, (uint16_t)(1u << (op >> 4) % 9));
        break;
    }
}

static void check_all(void)
{
    const struct virtq *queue = &virtio.queues[0];

    REQUIRE(queue->size <= VIRTQ_MAX_SIZE && (!queue->enabled || virtq_is_sound(queue)));
    REQUIRE((copied[0] & ~7ull) == 0);
    for (unsigned int i = 0; i < sizeof(image); i++)
        REQUIRE(image[i] == 0x5a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    input_end = data + size;
    memset(image, 0x5a, sizeof(image));
    make();
    meddle = scribble;
    while (input < input_end)
        step();
    check_all();
    return 0;
}
