/* SPDX-License-Identifier: MIT */
/* The driver: finding devices by ECAM, starting them, requests. */
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"
#include "guest-stubs/virtio/virtio.h"

volatile struct queue queue, receive;
volatile unsigned int queue_interrupts, other_interrupts;
struct device rng, blk, console, vsock, balloon, net;

static void count_queue(struct frame *frame)
{
    queue_interrupts++;
    lapic_write(LAPIC_EOI, 0);
}

static void count_other(struct frame *frame)
{
    other_interrupts++;
    lapic_write(LAPIC_EOI, 0);
}

void take_interrupts(void)
{
    interrupts_on();
    for (unsigned int i = 0; i < 100; i++)
        BARRIER();
    interrupts_off();
}

void find_devices(void)
{
    for (unsigned int slot = 1; slot < SLOTS; slot++) {
        const uint64_t bar = WINDOW + slot * BAR_SIZE;

        if (*config(slot, 0) == ID_RNG)
            rng = (struct device){slot, bar, 0};
        if (*config(slot, 0) == ID_BLK)
            blk = (struct device){slot, bar, 0};
        if (*config(slot, 0) == ID_CONSOLE)
            console = (struct device){slot, bar, 1};
        if (*config(slot, 0) == ID_VSOCK)
            vsock = (struct device){slot, bar, 1};
        if (*config(slot, 0) == ID_BALLOON)
            balloon = (struct device){slot, bar, 0};
        if (*config(slot, 0) == ID_NET)
            net = (struct device){slot, bar, 1};
    }
    lapic_write(LAPIC_SVR, SVR_ENABLE | 0xff);
    trap_handlers[VEC_QUEUE] = count_queue;
    trap_handlers[VEC_OTHER] = count_other;
}

static void set_vector(const struct device *device, unsigned int index, uint32_t vector)
{
    BAR64(device, B_TABLE + 16 * index) = LAPIC_BASE;
    BAR32(device, B_TABLE + 16 * index + 8) = vector;
    BAR32(device, B_TABLE + 16 * index + 12) = 0;
}

void set_up(const struct device *device)
{
    *config(device->slot, REG_BAR) = (uint32_t)device->bar;
    *config(device->slot, REG_BAR + 4) = 0;
    *config(device->slot, REG_COMMAND) = 6;
    enable_msix(device->slot);
    set_vector(device, 0, VEC_OTHER);
    set_vector(device, 1, VEC_QUEUE);
}

void choose_features(const struct device *device, uint64_t features)
{
    BAR32(device, C_DRIVER_SELECT) = 0;
    BAR32(device, C_DRIVER_FEATURE) = (uint32_t)features;
    BAR32(device, C_DRIVER_SELECT) = 1;
    BAR32(device, C_DRIVER_FEATURE) = (uint32_t)(features >> 32);
}

static void enable_queue(const struct device *device, unsigned int index,
                         volatile struct queue *rings)
{
    memset((void *)rings, 0, sizeof(*rings));
    BAR16(device, C_QUEUE_SELECT) = (uint16_t)index;
    BAR16(device, C_QUEUE_SIZE) = QUEUE_SIZE;
    BAR16(device, C_QUEUE_VECTOR) = 1;
    BAR64(device, C_DESC) = (uint64_t)rings->desc;
    BAR64(device, C_AVAIL) = (uint64_t)&rings->avail;
    BAR64(device, C_USED) = (uint64_t)&rings->used;
    BAR16(device, C_QUEUE_ENABLE) = 1;
}

void start_device(const struct device *device)
{
    static const struct device *driven;

    if (driven && driven != device) /* or it would look into the rings, when it has time */
        BAR8(driven, C_STATUS) = 0;
    driven = device;
    BAR8(device, C_STATUS) = 0;
    BAR8(device, C_STATUS) = 3;
    choose_features(device, F_ALL);
    BAR8(device, C_STATUS) = 0xb;
    BAR16(device, C_CONFIG_VECTOR) = 0;
    if (device->queue)
        enable_queue(device, 0, &receive);
    enable_queue(device, device->queue, &queue);
    BAR8(device, C_STATUS) = 0xf;
    take_interrupts();
    queue_interrupts = other_interrupts = 0;
}

bool needs_reset(const struct device *device)
{
    return BAR8(device, C_STATUS) & STATUS_NEEDS_RESET;
}

static void set_desc_of(volatile struct queue *rings, unsigned int index,
                        struct descriptor descriptor)
{
    volatile struct descriptor *desc = &rings->desc[index];

    desc->address = descriptor.address;
    desc->size = descriptor.size;
    desc->flags = descriptor.flags;
    desc->next = descriptor.next;
}

void set_desc(unsigned int index, const volatile void *address, uint32_t size, uint16_t flags,
              uint16_t next)
{
    set_desc_of(&queue, index, (struct descriptor){(uint64_t)address, size, flags, next});
}

/* The driver asks to be told of each. */
static void offer_to(volatile struct queue *rings, uint16_t head)
{
    rings->avail.ring[rings->avail.index % QUEUE_SIZE] = head;
    rings->avail.used_event = rings->used.index;
    rings->avail.index++;
}

void offer(uint16_t head)
{
    offer_to(&queue, head);
}

void offer_receive(uint16_t head, volatile void *address, uint32_t size)
{
    set_desc_of(&receive, head, (struct descriptor){(uint64_t)address, size, D_WRITE, 0});
    offer_to(&receive, head);
}

void kick(const struct device *device)
{
    BAR16(device, B_NOTIFY + 4 * device->queue) = 0;
    take_interrupts();
}

bool rng_request(void *to, uint32_t size)
{
    uint16_t before = queue.used.index;

    set_desc(0, to, size, D_WRITE, 0);
    offer(0);
    kick(&rng);
    return queue.used.index == (uint16_t)(before + 1) &&
           queue.used.ring[before % QUEUE_SIZE].size == size;
}

bool send(const struct device *device, const void *data, uint32_t size)
{
    uint16_t before = queue.used.index;

    set_desc(0, data, size, 0, 0);
    offer(0);
    kick(device);
    return queue.used.index == (uint16_t)(before + 1) &&
           queue.used.ring[before % QUEUE_SIZE].size == 0;
}

unsigned int blk_request(uint32_t type, uint64_t sector, void *data, uint32_t size)
{
    static volatile struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    static volatile uint8_t status;
    bool write = type == 0 || type == 8;

    header.type = type;
    header.sector = sector;
    status = 0xff;
    set_desc(0, &header, sizeof(header), D_NEXT, size ? 1 : 2);
    set_desc(1, data, size, (uint16_t)(D_NEXT | (write ? D_WRITE : 0)), 2);
    set_desc(2, &status, 1, D_WRITE, 0);
    offer(0);
    kick(&blk);
    return status;
}
