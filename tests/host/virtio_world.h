/* SPDX-License-Identifier: MIT */
/* A guest for virtio devices in host tests: memory, a PCI bus with one device, and a driver that
 * keeps to the rules unless it is told otherwise.  Where two guests talk, use_guest() says whose
 * all this is. */
#pragma once

#include "hv/errno.h"
#include "hv/layout.h"
#include "hv/panic.h"
#include "hv/vdev/virtio.h"

#include <stdlib.h>
#include <string.h>

/* RAM lies at RAM_BASE; below, above and around it there is nothing. */
#define RAM_BASE 0x10000ull
#define RAM_SIZE 0x40000ull
#define DESC     (RAM_BASE + 0x0000)
#define AVAIL    (RAM_BASE + 0x1000)
#define USED     (RAM_BASE + 0x2000)
#define DATA     (RAM_BASE + 0x4000)
#define QUEUE    0x8000ull /* from one queue's areas to the next one's */
#define SLOT     1
#define BAR      0xc0010000ull

#define D_NEXT     1
#define D_WRITE    2
#define D_INDIRECT 4

static uint8_t rams[2][RAM_SIZE], *ram = rams[0];
static struct vpci buses[2], *bus = &buses[0];
static struct virtio virtio, second, *device = &virtio;
static struct spinlock lock;
static unsigned int interrupt_counts[2][4], *interrupts = interrupt_counts[0]; /* by vector */
static unsigned int laters;
static uint64_t now_ns;
static uint16_t ring_size;

void panic_at(const char *file, int line, const char *format, ...)
{
    abort();
}

static inline void use_guest(unsigned int which)
{
    ram = rams[which];
    bus = &buses[which];
    device = which ? &second : &virtio;
    interrupts = interrupt_counts[which];
}

static bool is_ram(uint64_t gpa, uint64_t size)
{
    return gpa >= RAM_BASE && gpa - RAM_BASE <= RAM_SIZE && size <= RAM_SIZE - (gpa - RAM_BASE);
}

static int ram_read(void *ctx, uint64_t gpa, void *to, uint64_t size)
{
    if (!is_ram(gpa, size))
        return -EFAULT;
    memcpy(to, (uint8_t *)ctx + (gpa - RAM_BASE), size);
    return 0;
}

static int ram_write(void *ctx, uint64_t gpa, const void *from, uint64_t size)
{
    if (!is_ram(gpa, size))
        return -EFAULT;
    memcpy((uint8_t *)ctx + (gpa - RAM_BASE), from, size);
    return 0;
}

/* Called before each load: another CPU of the guest. */
static void (*meddle)(void);

static int ram_load16(void *ctx, uint64_t gpa, uint16_t *value)
{
    if (gpa % 2)
        abort(); /* the device must not ask for it */
    if (meddle)
        meddle();
    return ram_read(ctx, gpa, value, sizeof(*value));
}

static int ram_store16(void *ctx, uint64_t gpa, uint16_t value)
{
    if (gpa % 2)
        abort();
    return ram_write(ctx, gpa, &value, sizeof(value));
}

/* A page at a time: what lies across a page's end is in pieces. */
static const void *ram_look(void *ctx, uint64_t gpa, uint64_t size)
{
    bool one = size && gpa / 4096 == (gpa + size - 1) / 4096;

    return one && is_ram(gpa, size) ? (uint8_t *)ctx + (gpa - RAM_BASE) : NULL;
}

static void deliver(void *ctx, const struct apic_message *message)
{
    ((unsigned int *)ctx)[(message->vector - 0x40) & 3]++;
}

static uint64_t read_clock(void *ctx)
{
    return now_ns;
}

static void note_later(void *ctx)
{
    laters++;
}

static inline void put(uint64_t gpa, uint64_t value, unsigned int size)
{
    memcpy(&ram[gpa - RAM_BASE], &value, size);
}

static inline uint64_t get(uint64_t gpa, unsigned int size)
{
    uint64_t value = 0;

    memcpy(&value, &ram[gpa - RAM_BASE], size);
    return value;
}

/* ---- The BAR -------------------------------------------------------------------------------- */

static inline uint64_t bar_in(uint64_t offset, uint8_t size)
{
    struct mmio_range window = vpci_window(bus);
    uint64_t value = window.read(window.dev, BAR - LAYOUT_PCI_BASE + offset, size);

    return size == 8 ? value : value & ((1ull << size * 8) - 1);
}

static inline void bar_out(uint64_t offset, uint8_t size, uint64_t value)
{
    struct mmio_range window = vpci_window(bus);

    window.write(window.dev, BAR - LAYOUT_PCI_BASE + offset, size, value);
}

static inline void config_out(unsigned int reg, uint8_t size, uint64_t value)
{
    struct mmio_range ecam = vpci_ecam(bus);

    ecam.write(ecam.dev, SLOT << 15 | reg, size, value);
}

static inline uint64_t config_in(unsigned int reg, uint8_t size)
{
    struct mmio_range ecam = vpci_ecam(bus);

    return ecam.read(ecam.dev, SLOT << 15 | reg, size);
}

enum {
    C_DEVICE_SELECT = 0x00,
    C_DEVICE_FEATURE = 0x04,
    C_DRIVER_SELECT = 0x08,
    C_DRIVER_FEATURE = 0x0c,
    C_CONFIG_VECTOR = 0x10,
    C_QUEUES = 0x12,
    C_STATUS = 0x14,
    C_QUEUE_SELECT = 0x16,
    C_QUEUE_SIZE = 0x18,
    C_QUEUE_VECTOR = 0x1a,
    C_QUEUE_ENABLE = 0x1c,
    C_NOTIFY_OFF = 0x1e,
    C_DESC = 0x20,
    C_AVAIL = 0x28,
    C_USED = 0x30,
    B_ISR = 0x1000,
    B_DEVICE = 0x2000,
    B_NOTIFY = 0x3000,
    B_TABLE = 0x4000,
};

static inline bool needs_reset(void)
{
    return bar_in(C_STATUS, 1) & 0x40;
}

static inline uint64_t offered_features(void)
{
    bar_out(C_DEVICE_SELECT, 4, 1);
    uint64_t high = bar_in(C_DEVICE_FEATURE, 4);
    bar_out(C_DEVICE_SELECT, 4, 0);
    return high << 32 | bar_in(C_DEVICE_FEATURE, 4);
}

static inline void choose_features(uint64_t features)
{
    bar_out(C_DRIVER_SELECT, 4, 0);
    bar_out(C_DRIVER_FEATURE, 4, (uint32_t)features);
    bar_out(C_DRIVER_SELECT, 4, 1);
    bar_out(C_DRIVER_FEATURE, 4, features >> 32);
}

static inline void plug(const struct virtio_kind *kind, struct virtio_setup setup)
{
    setup.dma = (struct dma){.ctx = ram,
                             .read = ram_read,
                             .write = ram_write,
                             .load16 = ram_load16,
                             .store16 = ram_store16,
                             .look = ram_look};
    setup.clock.now_ns = read_clock;
    setup.later = note_later;
    setup.lock = &lock;
    memset(ram, 0, RAM_SIZE);
    memset(interrupts, 0, sizeof(interrupt_counts[0]));
    laters = 0;
    meddle = NULL;
    vpci_init(bus, &(struct vpci_ops){.ctx = interrupts, .deliver = deliver});
    virtio_init(device, kind, &setup);
    vpci_plug(bus, SLOT, &device->pci);
    config_out(0x10, 8, BAR);
    config_out(4, 2, 6);
    config_out((unsigned int)device->pci.msix + 2, 2, 0x8000);
    for (unsigned int i = 0; i < device->pci.vectors; i++) {
        bar_out(B_TABLE + 16 * i, 8, 0xfee00000);
        bar_out(B_TABLE + 16 * i + 8, 8, 0x40 + i);
    }
}

static inline void set_up_queue(unsigned int queue, uint16_t size)
{
    uint64_t offset = queue * QUEUE;

    ring_size = size;
    bar_out(C_QUEUE_SELECT, 2, queue);
    bar_out(C_QUEUE_SIZE, 2, size);
    bar_out(C_QUEUE_VECTOR, 2, 1 + queue);
    bar_out(C_DESC, 4, DESC + offset);
    bar_out(C_DESC + 4, 4, 0);
    bar_out(C_AVAIL, 8, AVAIL + offset);
    bar_out(C_USED, 8, USED + offset);
    bar_out(C_QUEUE_ENABLE, 2, 1);
}

/* Negotiation and the first queues, as the standard has it. */
static inline void start_queues(uint64_t features, uint16_t size, unsigned int count)
{
    memset(ram, 0, RAM_SIZE);
    bar_out(C_STATUS, 1, 0);
    bar_out(C_STATUS, 1, 1);
    bar_out(C_STATUS, 1, 3);
    choose_features(features);
    bar_out(C_STATUS, 1, 0xb);
    bar_out(C_CONFIG_VECTOR, 2, 0);
    for (unsigned int i = 0; i < count; i++)
        set_up_queue(i, size);
    bar_out(C_STATUS, 1, 0xf);
    memset(interrupts, 0, sizeof(interrupt_counts[0]));
}

static inline void start_driver(uint64_t features, uint16_t size)
{
    start_queues(features, size, 1);
}

static inline void descriptor(uint64_t table, unsigned int index, uint64_t gpa, uint32_t size,
                              unsigned int flags, unsigned int next)
{
    put(table + 16 * index, gpa, 8);
    put(table + 16 * index + 8, size, 4);
    put(table + 16 * index + 12, flags, 2);
    put(table + 16 * index + 14, next, 2);
}

static inline uint16_t avail_index(void)
{
    return (uint16_t)get(AVAIL + 2, 2);
}

static inline uint16_t used_index(void)
{
    return (uint16_t)get(USED + 2, 2);
}

static inline void offer_to(unsigned int queue, uint16_t head)
{
    uint64_t area = AVAIL + queue * QUEUE;
    uint16_t index = (uint16_t)get(area + 2, 2);

    put(area + 4 + 2u * (index % ring_size), head, 2);
    put(area + 2, index + 1u, 2);
}

static inline void offer(uint16_t head)
{
    offer_to(0, head);
}

static inline void kick_queue(unsigned int queue)
{
    bar_out(B_NOTIFY + 4 * queue, 4, queue);
}

static inline void kick(void)
{
    kick_queue(0);
}

static inline uint32_t used_id(uint16_t index)
{
    return (uint32_t)get(USED + 4 + 8u * (index % ring_size), 4);
}

static inline uint32_t used_size(uint16_t index)
{
    return (uint32_t)get(USED + 8 + 8u * (index % ring_size), 4);
}
