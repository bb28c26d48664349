/* SPDX-License-Identifier: MIT */
/* PCI and its devices as a driver that keeps to the rules finds them. */
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/virtio/virtio.h"

#define SECTOR 512u

static uint8_t first[4096] __attribute__((aligned(4096))), second[4096];

static uint32_t port_read(unsigned int slot, unsigned int reg)
{
    outl(PCI_ADDR, (uint32_t)BIT(31) | slot << 11 | reg);
    return inl(PCI_DATA);
}

static void check_bus(void)
{
    unsigned int differences = 0;

    check(*config(0, 0x08) >> 16 == 0x0600, "there is a host bridge");
    for (unsigned int slot = 0; slot < 32; slot++)
        for (unsigned int reg = 0; reg < 0x100; reg += 4)
            differences += port_read(slot, reg) != *config(slot, reg);
    check_equal(differences, 0, "both ways to configuration space show the same");
    check_equal(*config(20, 0), ~0u, "nothing is where no device is");
    check(rng.slot != 0 && blk.slot != 0, "there are an entropy device and a disk");
}

static void check_bar(const struct device *device)
{
    struct device moved = {device->slot, WINDOW + 0x1f000000, device->queue};

    *config(device->slot, 4) = 0;
    *config(device->slot, 0x10) = ~0u;
    *config(device->slot, 0x14) = ~0u;
    check_equal(*config(device->slot, 0x10) | (uint64_t)*config(device->slot, 0x14) << 32,
                ~(BAR_SIZE - 1) | 4, "the BAR can be sized");
    set_up(&moved);
    check(BAR16(&moved, C_QUEUE_SIZE) >= 8, "and moved");
    check_equal(BAR16(device, C_QUEUE_SIZE), 0xffff, "away from where it was not yet");
    set_up(device);
    check(BAR16(device, C_QUEUE_SIZE) >= 8, "and back");
}

static void check_rng(void)
{
    unsigned int same = 0, zeros = 0;

    start_device(&rng);
    memset(first, 0, sizeof(first));
    check(rng_request(first, 64) && rng_request(second, 64), "the entropy device answers");
    check_equal(queue_interrupts, 2, "with an interrupt each");
    for (unsigned int i = 0; i < 64; i++) {
        same += first[i] == second[i];
        zeros += first[i] == 0;
    }
    check(same < 16 && zeros < 16, "with bytes that differ");
    check_equal(first[64], 0, "and not one too many");
    check(rng_request(first, 4096), "a page at once");
}

/* The registers of the BAR through configuration space, while it is off. */
static void check_window(const struct device *device)
{
    unsigned int cap = *config(device->slot, 0x34) & 0xff;

    while (cap && *config(device->slot, cap) >> 24 != 5)
        cap = *config(device->slot, cap) >> 8 & 0xff;
    if (!check(cap != 0, "there is a window in configuration space"))
        return;
    start_device(device);
    *config(device->slot, 4) = 0;
    *config(device->slot, cap + 4) = 0;
    *config(device->slot, cap + 8) = C_DESC;
    *config(device->slot, cap + 12) = 4;
    check_equal(*config(device->slot, cap + 16), (uint32_t)(uint64_t)queue.desc,
                "a register is read through it");
    *config(device->slot, cap + 12) = ~0u;
    *config(device->slot, cap + 16) = 0;
    *config(device->slot, cap + 8) = ~0u;
    *config(device->slot, cap + 12) = 1;
    *config(device->slot, cap + 16) = 0;
    check_equal(*config(device->slot, cap + 16), 0, "behind the BAR there is nothing");
    *config(device->slot, cap + 8) = C_STATUS;
    *config(device->slot, cap + 16) = 0;
    check_equal(*config(device->slot, cap + 16), 0, "the device is reset through it");
    set_up(device);
}

static bool is_filled(const uint8_t *bytes, uint32_t size, uint8_t with)
{
    for (uint32_t i = 0; i < size; i++)
        if (bytes[i] != with)
            return false;
    return true;
}

static void check_blk(void)
{
    uint32_t sectors = BAR32(&blk, B_DEVICE);
    struct {
        uint64_t sector;
        uint32_t sectors, flags;
    } range = {10, 2, 0};

    start_device(&blk);
    check(blk_request(0, 0, first, 4096) == 0 && is_filled(first, 4096, 0), "the disk is read");
    check_equal(queue_interrupts, 1, "with an interrupt");
    memset(first, 0xa5, sizeof(first));
    check_equal(blk_request(1, 7, first, 4096), 0, "it is written");
    check(blk_request(0, 6, second, 1024) == 0 && is_filled(second, SECTOR, 0) &&
              is_filled(second + SECTOR, SECTOR, 0xa5),
          "what was written is there, and nothing before it");
    check(blk_request(0, 14, second, 1024) == 0 && is_filled(second, SECTOR, 0xa5) &&
              is_filled(second + SECTOR, SECTOR, 0),
          "nor behind it");
    check_equal(blk_request(4, 0, 0, 0), 0, "a flush");
    check_equal(blk_request(13, 0, &range, 16), 0, "zeroes are written");
    check(blk_request(0, 9, second, 2048) == 0 && is_filled(second, SECTOR, 0xa5) &&
              is_filled(second + SECTOR, 1024, 0) && is_filled(second + 1536, SECTOR, 0xa5),
          "and are there");
    check_equal(blk_request(0, sectors - 1, second, SECTOR), 0, "the last sector");
    check_equal(blk_request(0, sectors, second, SECTOR), 1, "the one behind it is an error");
    check(blk_request(8, 0, second, 20) == 0 && memcmp(second, "filler", 7) == 0,
          "the serial number is the image's name");
    check(!needs_reset(&blk), "and no rule was broken");
}

static void check_console(void)
{
    static const char text[] = "sent to the virtio console\n", cry[] = "sent without a driver\n";

    BAR8(&console, C_STATUS) = 0;
    BAR32(&console, C_DEVICE_SELECT) = 0;
    check(BAR32(&console, C_DEVICE_FEATURE) & BIT(2), "the console has an emergency write");
    for (unsigned int i = 0; i < sizeof(cry) - 1; i++)
        BAR32(&console, B_DEVICE + 8) = (uint8_t)cry[i];

    start_device(&console);
    check(send(&console, text, sizeof(text) - 1) && queue_interrupts == 1,
          "the console is sent to");
    check(!needs_reset(&console) && receive.used.index == 0, "and nothing comes back");
}

static void check_vsock(void)
{
    static struct packet out = {.src_cid = 77, .src_port = 1, .dst_port = 2, .type = 1};
    static volatile struct packet in[2];

    start_device(&vsock);
    check_equal(BAR64(&vsock, B_DEVICE), 77, "sockets have the context id of the configuration");
    offer_receive(0, &in[0], sizeof(in[0]));
    offer_receive(1, &in[1], sizeof(in[1]));
    out.dst_cid = 2;
    out.op = OP_REQUEST;
    check(send(&vsock, &out, PACKET_HEADER), "a packet is sent to the host");
    check(receive.used.index == 1 && in[0].op == OP_RST && in[0].src_cid == 2 &&
              in[0].dst_cid == 77 && in[0].src_port == 2 && in[0].dst_port == 1,
          "where nobody listens");
    out.dst_cid = 77;
    out.op = OP_RW;
    out.size = sizeof(out.data);
    memset(out.data, 0x5a, sizeof(out.data));
    check(send(&vsock, &out, sizeof(out)) && receive.used.index == 2 &&
              receive.used.ring[1].size == sizeof(out) && in[1].op == OP_RW &&
              in[1].data[0] == 0x5a && in[1].data[99] == 0x5a,
          "what it sends to itself arrives");
    set_desc(0, &out, sizeof(out), 0, 0);
    offer(0);
    kick(&vsock);
    check(queue.used.index == 2, "without a buffer nothing is sent");
    offer_receive(0, &in[0], sizeof(in[0]));
    BAR16(&vsock, B_NOTIFY) = 0;
    take_interrupts();
    check(queue.used.index == 3 && in[0].op == OP_RW && !needs_reset(&vsock), "until there is one");
}

static void check_masking(void)
{
    start_device(&rng);
    BAR32(&rng, B_TABLE + 16 + 12) = 1;
    rng_request(first, 16);
    check(queue_interrupts == 0 && BAR32(&rng, B_PENDING) == 2, "a masked vector is pending");
    BAR32(&rng, B_TABLE + 16 + 12) = 0;
    take_interrupts();
    check(queue_interrupts == 1 && BAR32(&rng, B_PENDING) == 0, "and comes when it is unmasked");
}

void check_honest(void)
{
    check_bus();
    check_bar(&rng);
    check_bar(&blk);
    check_window(&rng);
    check_rng();
    check_blk();
    check_console();
    check_vsock();
    check_masking();
}
