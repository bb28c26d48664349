/* SPDX-License-Identifier: MIT */
/*
 * What a driver must not do.  The device is then in need of a reset, which makes it whole; nothing
 * else happens.
 */
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/virtio/virtio.h"

#define RAM_END (START_RAM_KIB * 1024ull)

static uint8_t data[8192] __attribute__((aligned(4096)));
static volatile struct descriptor table[8] __attribute__((aligned(16)));
static uint64_t random_state = 1;

static uint32_t random32(void)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 32);
}

static const volatile void *at(uint64_t address)
{
    return (const volatile void *)address;
}

/* ---- Rings ---------------------------------------------------------------------------------- */

static void jump(void)
{
    queue.avail.index = QUEUE_SIZE + 1;
}

static void jump_back(void)
{
    queue.avail.index = 0xffff;
}

static void far_head(void)
{
    offer(QUEUE_SIZE);
}

static void far_next(void)
{
    set_desc(0, data, 4, D_WRITE | D_NEXT, 0xffff);
    offer(0);
}

static void loop(void)
{
    set_desc(0, data, 4, D_WRITE | D_NEXT, 1);
    set_desc(1, data, 4, D_WRITE | D_NEXT, 0);
    offer(0);
}

static void one_buffer(uint64_t address, uint32_t size)
{
    set_desc(0, at(address), size, D_WRITE, 0);
    offer(0);
}

static void no_length(void)
{
    one_buffer((uint64_t)data, 0);
}

static void all_lengths(void)
{
    one_buffer(RAM_END - 16, 0xffffffff);
}

static void behind_ram(void)
{
    one_buffer(RAM_END, 16);
}

static void in_lapic(void)
{
    one_buffer(LAPIC_BASE + LAPIC_ICR, 16);
}

static void in_itself(void)
{
    one_buffer(rng.bar + C_STATUS, 16);
}

static void wrapping(void)
{
    one_buffer(~0ull - 7, 16);
}

static void bad_order(void)
{
    set_desc(0, data, 4, D_WRITE | D_NEXT, 1);
    set_desc(1, data, 4, 0, 0);
    offer(0);
}

static void indirect(const volatile void *address, uint32_t size, uint16_t flags)
{
    set_desc(0, address, size, (uint16_t)(D_INDIRECT | flags), 1);
    offer(0);
}

static void odd_table(void)
{
    indirect(table, 15, 0);
}

static void table_with_next(void)
{
    indirect(table, 16, D_NEXT);
}

static void table_in_table(void)
{
    table[0] = (struct descriptor){(uint64_t)table, 16, D_INDIRECT, 0};
    indirect(table, 16, 0);
}

static void table_loop(void)
{
    table[0] = (struct descriptor){(uint64_t)data, 4, D_WRITE | D_NEXT, 0};
    indirect(table, 0xfffffff0, 0);
}

static void table_nowhere(void)
{
    indirect(at(0xd0000000), 16, 0);
}

static const struct {
    void (*act)(void);
    const char *what;
} mistakes[] = {
    {jump, "an index that jumps"},
    {jump_back, "an index that goes back"},
    {far_head, "a head that is not there"},
    {far_next, "a link that leads nowhere"},
    {loop, "a loop of descriptors"},
    {no_length, "a length of 0"},
    {all_lengths, "a length of 4 GiB"},
    {behind_ram, "a buffer behind RAM"},
    {in_lapic, "a buffer in the local APIC"},
    {in_itself, "a buffer in the device's own registers"},
    {wrapping, "a buffer that wraps"},
    {bad_order, "a readable buffer behind a writable one"},
    {odd_table, "an indirect table of an odd size"},
    {table_with_next, "one with a next"},
    {table_in_table, "one in one"},
    {table_loop, "a loop in one"},
    {table_nowhere, "one that is nowhere"},
};

static void check_packets(void)
{
    static struct packet packet = {
        .src_cid = 77, .dst_cid = 77, .size = 101, .type = 1, .op = OP_RW};

    start_device(&vsock);
    send(&vsock, &packet, PACKET_HEADER - 1);
    check(needs_reset(&vsock), "a packet without a whole header");
    start_device(&vsock);
    send(&vsock, &packet, sizeof(packet));
    check(needs_reset(&vsock), "one that says to have more than it has");
    start_device(&vsock);
    offer_receive(0, data, PACKET_HEADER);
    packet.size = 100;
    send(&vsock, &packet, sizeof(packet));
    check(needs_reset(&vsock), "one to be received without room for data");
}

static bool works(void)
{
    start_device(&rng);
    return rng_request(data, 16) && queue_interrupts == 1 && !needs_reset(&rng);
}

/* A frame of zeroes, which goes nowhere. */
static bool net_works(void)
{
    memset(data, 0, 100);
    start_device(&net);
    return send(&net, data, 100) && queue_interrupts == 1 && !needs_reset(&net);
}

/* In which of two devices' queues it is makes no difference. */
static void check_mistakes(const struct device *device, bool (*is_well)(void), const char *name)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(mistakes); i++) {
        start_device(device);
        mistakes[i].act();
        kick(device);
        bool stopped = needs_reset(device) && other_interrupts == 1 && queue_interrupts == 0;
        kick(device);
        check(stopped && other_interrupts == 1 && is_well(),
              "%s: %s: it needs a reset, and has one", name, mistakes[i].what);
    }
}

static void check_frames(void)
{
    static const uint8_t wrong[][12] = {
        {1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, /* a checksum far behind the end */
        {0, 1, 0, 0, 1, 0},                         /* segments that were not negotiated */
        {0, 0x7f},                                  /* of an unknown kind */
    };
    bool taken = true;

    start_device(&net);
    for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++) {
        memcpy(data, wrong[i], sizeof(wrong[i]));
        taken = send(&net, data, 100) && taken;
    }
    memset(data, 0, 100);
    taken = taken && send(&net, data, 12) && send(&net, data, 25);
    check(taken && !needs_reset(&net), "frames that are none are taken, and go nowhere");
    set_desc(0, data, 11, 0, 0);
    offer(0);
    kick(&net);
    check(needs_reset(&net) && net_works(), "half a header is a mistake");
}

/* ---- Registers ------------------------------------------------------------------------------ */

static void check_queue_rules(void)
{
    start_device(&rng);
    BAR64(&rng, C_DESC) = 0x1000;
    BAR16(&rng, C_QUEUE_ENABLE) = 1;
    check(BAR64(&rng, C_DESC) == (uint64_t)queue.desc && rng_request(data, 16),
          "a queue that is enabled twice stays as it was");
    offer(0);
    BAR8(&rng, C_STATUS) = 0;
    kick(&rng);
    check(BAR8(&rng, C_STATUS) == 0 && works(), "a reset in the middle");
    BAR8(&rng, C_STATUS) = 0;
    BAR16(&rng, C_QUEUE_ENABLE) = 1;
    check(needs_reset(&rng) && works(), "a queue that is enabled without negotiation");
    BAR8(&rng, C_STATUS) = 0;
    BAR8(&rng, C_STATUS) = 3;
    BAR32(&rng, C_DRIVER_SELECT) = 0;
    BAR32(&rng, C_DRIVER_FEATURE) = ~0u;
    BAR8(&rng, C_STATUS) = 0xb;
    check((BAR8(&rng, C_STATUS) & 8) == 0, "features that were not offered are refused");
}

static void check_messages(void)
{
    static const uint64_t targets[] = {0, 0xfec00000, 0xe0000000, 0xfff00000, 0x1fee00000};
    static volatile uint64_t watched = 0x5555;

    start_device(&rng);
    for (unsigned int i = 0; i <= ARRAY_SIZE(targets); i++) {
        BAR64(&rng, B_TABLE + 16) = i ? targets[i - 1] : (uint64_t)&watched;
        rng_request(data, 16);
    }
    check(watched == 0x5555 && queue_interrupts == 0 && !needs_reset(&rng),
          "messages that point elsewhere than at a local APIC do nothing");
    set_up(&rng);
    check(works(), "and the vector can be set right again");
}

static void place_bar(uint64_t address)
{
    *config(rng.slot, 0x10) = (uint32_t)address;
    *config(rng.slot, 0x14) = (uint32_t)(address >> 32);
}

static void check_bars(void)
{
    uint32_t version = lapic_read(LAPIC_VERSION), id = *config(0, 0);
    volatile uint64_t *word = (volatile uint64_t *)data;

    *word = 0x1234567;
    place_bar((uint64_t)data & ~(BAR_SIZE - 1));
    check_equal(*word, 0x1234567, "a BAR over RAM hides no RAM");
    place_bar(LAPIC_BASE);
    check_equal(lapic_read(LAPIC_VERSION), version, "nor the local APIC");
    place_bar(ECAM);
    check_equal(*config(0, 0), id, "nor configuration space");
    place_bar(0xffffffff00000000ull + WINDOW);
    check_equal(BAR32(&rng, 0), ~0u, "one above 4 GiB is nowhere");
    place_bar(blk.bar);
    check(BAR32(&blk, C_DEVICE_FEATURE) != ~0u, "two in one place: one of them answers");
    set_up(&rng);
    check(works(), "and all is well when it is back");
}

/* Any byte but those that say where this program's memory may be written, and how much of it. */
static void disturb_rings(void)
{
    unsigned long offset = random32() % sizeof(queue);

    if (offset >= sizeof(queue.desc) || offset % 16 >= 12)
        ((volatile uint8_t *)&queue)[offset] = (uint8_t)random32();
}

/* Anything anywhere in the device and its rings, but for messages, which might be for anyone. */
static void disturb(const struct device *device)
{
    uint32_t what = random32();

    switch (what % 8) {
    case 0:
        BAR32(device, random32() % B_TABLE & ~3u) = random32();
        break;
    case 1:
        BAR8(device, random32() % 0x38) = (uint8_t)random32();
        break;
    case 2:
        BAR16(device, random32() % 0x38 & ~1u) = (uint16_t)random32();
        break;
    case 3:
        BAR64(device, C_DESC + random32() % 3 * 8) = (uint64_t)data + random32() % 4096;
        break;
    case 4:
        disturb_rings();
        break;
    case 5:
        *config(device->slot, random32() % 0x100 & ~3u) = random32();
        break;
    default:
        offer((uint16_t)(random32() % 8));
        BAR16(device, B_NOTIFY + 4 * device->queue) = 0;
        break;
    }
}

/* Some of the pieces of this that will be sent are packets. */
static void fill_with_packets(void)
{
    static const struct packet packet = {
        .src_cid = 77, .dst_cid = 77, .size = 1, .type = 1, .op = OP_RW};

    for (unsigned int i = 0; i + PACKET_HEADER <= sizeof(data); i += PACKET_HEADER)
        memcpy(data + i, &packet, PACKET_HEADER);
}

static void check_random(const struct device *device, const char *name)
{
    unsigned int broken = 0;

    for (unsigned int round = 0; round < 20; round++) {
        set_up(device);
        start_device(device);
        for (unsigned int i = 0; i < QUEUE_SIZE; i++)
            set_desc(i, data + random32() % 4000, random32() % 96, random32() & 7, random32() % 8);
        for (unsigned int i = 0; device->queue && i < QUEUE_SIZE; i++)
            offer_receive((uint16_t)i, data + random32() % 4000, random32() % 200);
        for (unsigned int i = 0; i < 50; i++)
            disturb(device);
        *config(device->slot, 4) = 0;
        take_interrupts();
        set_up(device);
        start_device(device);
        broken += needs_reset(device);
    }
    if (device == &console)
        send(device, "\n", 1); /* what is reported is a line of its own */
    check_equal(broken, 0, "%s: a thousand things at random, and a reset makes it whole", name);
}

void check_hostile(void)
{
    check_mistakes(&rng, works, "entropy");
    check_mistakes(&net, net_works, "network");
    check_frames();
    check_queue_rules();
    check_messages();
    check_bars();
    check_packets();
    check_random(&rng, "entropy");
    check_random(&blk, "disk");
    check_random(&net, "network");
    memset(data, '.', sizeof(data)); /* it will be seen */
    check_random(&console, "console");
    fill_with_packets();
    check_random(&vsock, "sockets");
    check(works(), "the device works as on the first day");
}
