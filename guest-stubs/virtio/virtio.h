/* SPDX-License-Identifier: MIT */
/* A small driver for PCI and virtio 1.2, as exact or as wrong as it is told to be. */
#pragma once

#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/pci.h"

#include <stdbool.h>
#include <stdint.h>

#define SLOTS      8
#define BAR_SIZE   0x8000ull
#define ID_RNG     0x10441af4u
#define ID_BLK     0x10421af4u
#define ID_CONSOLE 0x10431af4u
#define ID_VSOCK   0x10531af4u
#define ID_BALLOON 0x10451af4u
#define ID_NET     0x10411af4u
#define VEC_QUEUE  0x60
#define VEC_OTHER  0x61

#define F_INDIRECT  BIT(28)
#define F_EVENT_IDX BIT(29)
#define F_VERSION_1 BIT(32)
#define F_ALL       (F_INDIRECT | F_EVENT_IDX | F_VERSION_1)

/* Registers of the common configuration, and the other parts of the BAR. */
enum {
    C_DEVICE_SELECT = 0x00,
    C_DEVICE_FEATURE = 0x04,
    C_DRIVER_SELECT = 0x08,
    C_DRIVER_FEATURE = 0x0c,
    C_CONFIG_VECTOR = 0x10,
    C_STATUS = 0x14,
    C_QUEUE_SELECT = 0x16,
    C_QUEUE_SIZE = 0x18,
    C_QUEUE_VECTOR = 0x1a,
    C_QUEUE_ENABLE = 0x1c,
    C_DESC = 0x20,
    C_AVAIL = 0x28,
    C_USED = 0x30,
    B_ISR = 0x1000,
    B_DEVICE = 0x2000,
    B_NOTIFY = 0x3000,
    B_TABLE = 0x4000,
    B_PENDING = 0x4800,
};

#define STATUS_NEEDS_RESET 0x40

#define D_NEXT     1
#define D_WRITE    2
#define D_INDIRECT 4

#define QUEUE_SIZE 8

struct descriptor {
    uint64_t address;
    uint32_t size;
    uint16_t flags, next;
};

struct queue {
    struct descriptor desc[QUEUE_SIZE] __attribute__((aligned(16)));
    struct {
        uint16_t flags, index, ring[QUEUE_SIZE], used_event;
    } avail;
    struct {
        uint16_t flags, index;
        struct {
            uint32_t id, size;
        } ring[QUEUE_SIZE];
        uint16_t avail_event;
    } used __attribute__((aligned(4)));
};

/* What all devices are driven by, one at a time; the second is queue 0 of those that are driven by
 * their queue 1. */
extern volatile struct queue queue, receive;
extern volatile unsigned int queue_interrupts, other_interrupts;

struct device {
    unsigned int slot; /* 0: it is not there */
    uint64_t bar;
    unsigned int queue; /* the one that it is driven by */
};

extern struct device rng, blk, console, vsock, balloon, net;

#define BAR8(device, offset)  (*(volatile uint8_t *)((device)->bar + (offset)))
#define BAR16(device, offset) (*(volatile uint16_t *)((device)->bar + (offset)))
#define BAR32(device, offset) (*(volatile uint32_t *)((device)->bar + (offset)))
#define BAR64(device, offset) (*(volatile uint64_t *)((device)->bar + (offset)))

/* Finds the devices and gives them their places. */
void find_devices(void);
/* BAR, command register and MSI-X as they should be. */
void set_up(const struct device *device);
void choose_features(const struct device *device, uint64_t features);
/* Reset, negotiation, the queue. */
void start_device(const struct device *device);
void set_desc(unsigned int index, const volatile void *address, uint32_t size, uint16_t flags,
              uint16_t next);
void offer(uint16_t head);
/* A buffer for what is received. */
void offer_receive(uint16_t head, volatile void *address, uint32_t size);
void kick(const struct device *device);
bool needs_reset(const struct device *device);
/* Lets interrupts in; they are counted. */
void take_interrupts(void);

/* One exact request; the rng's 16 bytes, the disk's status. */
bool rng_request(void *to, uint32_t size);
unsigned int blk_request(uint32_t type, uint64_t sector, void *data, uint32_t size);
/* What goes between sockets: virtio 1.2, 5.10.6. */
struct packet {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port, size;
    uint16_t type, op;
    uint32_t flags, buf_alloc, fwd_cnt;
    uint8_t data[100];
} __attribute__((packed));

#define PACKET_HEADER 44
enum { OP_REQUEST = 1, OP_RST = 3, OP_RW = 5 };

/* One buffer that the device reads. */
bool send(const struct device *device, const void *data, uint32_t size);

void check_honest(void);
void check_hostile(void);
