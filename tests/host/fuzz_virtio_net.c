/* SPDX-License-Identifier: MIT */
/*
 * Two guests with a network device each on one switch, under drivers that do anything: writes of
 * any register, any bytes in the rings, which change while they are read, frames that are nearly
 * right.  The sanitizers are the check.
 */
#include "tests/host/fuzz_input.h"
#include "tests/host/virtio_world.h"

#include "hv/vdev/virtio_net.h"

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)
#define BUFFERS  (RAM_BASE + 0x10000)

static struct vswitch lan;
static struct virtio_net nets[2];

/* Some bytes of the rings are others now. */
static void scribble(void)
{
    uint8_t what = byte();

    if (what >= 0xc0)
        ram[(what & 8u) << 12 | (what & 3u) << 12 | (number() & 0xff)] = byte();
}

static void start(void)
{
    static const uint64_t choices[] = {0x199a3, 0, 0x8003, 0x1983, 1, 0x8000, 0x1100, 0x9823};
    uint8_t how = byte();

    start_queues(FEATURES | choices[how & 7], (uint16_t)(8u << (how >> 3 & 3)), 2);
}

static void make(void)
{
    memset(&lan, 0, sizeof(lan));
    for (unsigned int i = 0; i < 2; i++) {
        struct virtio_net *net = &nets[i];

        use_guest(i);
        net->virtio = device;
        virtio_net_attach(net, &lan, 0x020000000000 + i);
        plug(&virtio_net_kind, (struct virtio_setup){.dev = net,
                                                     .features = virtio_net_features(),
                                                     .config = &net->config,
                                                     .config_size = sizeof(net->config)});
        start();
    }
}

/* A frame that is nearly right, in one piece, in two, or in an indirect table. */
static void send(void)
{
    uint32_t size = number(), cut = byte() * 5u;
    uint8_t shape = byte();

    put(DATA, byte() & 3, 1);
    put(DATA + 1, byte() & 7, 1);
    for (unsigned int i = 2; i < 12; i += 2)
        put(DATA + i, number(), 2);
    put(DATA + 12, 0x0002, 6);
    put(DATA + 17, byte() & 3, 1);
    put(DATA + 18, 0x0002, 6);
    descriptor(DESC + QUEUE, 0, DATA, cut + 1, D_NEXT, 1);
    descriptor(DESC + QUEUE, 1, DATA + 1 + cut, size + 1, 0, 0);
    descriptor(DESC + QUEUE, 2, DESC + QUEUE, 32, D_INDIRECT, 0);
    offer_to(1, shape & 1 ? 2 : 0);
    kick_queue(1);
}

static void give_buffers(void)
{
    uint8_t count = byte() & 7;
    uint32_t size = number() % 0x3000 + 1;

    for (unsigned int i = 0; i < count; i++) {
        descriptor(DESC, i, BUFFERS + i * 0x3000u, size, D_WRITE, 0);
        offer((uint16_t)i);
    }
    kick();
}

static void poke_descriptor(void)
{
    static const uint64_t bases[] = {DATA, BUFFERS,   0, ~0xfffull, RAM_BASE + RAM_SIZE - 256,
                                     DESC, 0xfee00000};
    uint8_t index = byte() & 7;

    descriptor(byte() & 1 ? DESC : DESC + QUEUE, index, bases[byte() % 7] + byte(),
               byte() & 1 ? number() % 200 : ~0u - byte(), byte() & 7, byte() & 15);
}

static void step(void)
{
    uint8_t op = byte();

    use_guest(op >> 5 & 1);
    switch (op % 8) {
    case 0:
        bar_out(number() & 0x7fff, (uint8_t)(1u << op / 64), number() * 0x100010001ull);
        break;
    case 1:
        bar_out(byte() & 0x3f, (uint8_t)(1u << op / 64), number());
        break;
    case 2:
        config_out(number() & 0xff, (uint8_t)(1u << op / 64), number() * 0x100010001ull);
        break;
    case 3:
        poke_descriptor();
        break;
    case 4:
        offer_to(op >> 4 & 1, byte() & 15);
        kick_queue(op >> 4 & 1);
        break;
    case 5:
        send();
        break;
    case 6:
        give_buffers();
        break;
    case 7:
        now_ns += number() * 4;
        if (op & 0x10)
            start();
        else
            virtio_work(device);
        break;
    }
}

static void check_all(void)
{
    for (unsigned int i = 0; i < 2; i++) {
        const struct vswitch_port *port = &nets[i].port;

        REQUIRE(port->received.packets <= nets[1 - i].port.sent.packets);
        REQUIRE(port->addresses[0].mac == 0x020000000000ull + i && port->owner == &lan);
        REQUIRE(port->received.bytes <= port->received.packets * VIRTIO_NET_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin_input(data, size);
    now_ns = 1000000;
    make();
    meddle = scribble;
    while (input < input_end)
        step();
    check_all();
    use_guest(0);
    virtio_off(&virtio);
    virtio_off(&second);
    return 0;
}
