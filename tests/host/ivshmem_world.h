/* SPDX-License-Identifier: MIT */
/* An ivshmem device on a bus, as a guest reaches both. */
#pragma once

#include "hv/vdev/ivshmem.h"

#include "hv/layout.h"
#include "hv/panic.h"

#include <stdlib.h>
#include <string.h>

#define SHARED_SIZE 0x4000ull
#define SLOT        3

enum { REG_COMMAND = 4, REG_BAR0 = 0x10, REG_BAR1 = 0x14, REG_BAR2 = 0x18 };

void panic_at(const char *file, int line, const char *format, ...)
{
    abort();
}

static struct vpci pci;
static struct ivshmem device;
static uint8_t *shared; /* of exactly that size, so that ASan sees what goes beyond */
static uint64_t seen;   /* where the memory is mapped */
static unsigned int moves, rings, messages;
static unsigned int rung_peer, rung_vector;
static struct apic_message message;

static void note_message(void *ctx, const struct apic_message *from)
{
    messages++;
    message = *from;
}

static void note_ring(void *ctx, unsigned int peer, unsigned int vector)
{
    rings++;
    rung_peer = peer;
    rung_vector = vector;
}

static void note_move(void *ctx, uint64_t gpa)
{
    moves++;
    seen = gpa;
}

static inline void start(uint32_t id)
{
    if (!shared)
        shared = malloc(SHARED_SIZE);
    memset(shared, 0x5a, SHARED_SIZE);
    vpci_init(&pci, &(struct vpci_ops){.deliver = note_message});
    ivshmem_init(&device, &(struct ivshmem_setup){.id = id,
                                                  .memory = shared,
                                                  .size = SHARED_SIZE,
                                                  .doorbell = note_ring,
                                                  .moved = note_move});
    vpci_plug(&pci, SLOT, &device.pci);
    seen = moves = rings = messages = 0;
}

static inline uint64_t config_in(unsigned int reg, uint8_t size)
{
    struct mmio_range ecam = vpci_ecam(&pci);

    return ecam.read(ecam.dev, SLOT << 15 | reg, size) & BITS(~0ull, size * 8u - 1, 0);
}

static inline void config_out(unsigned int reg, uint8_t size, uint64_t value)
{
    struct mmio_range ecam = vpci_ecam(&pci);

    ecam.write(ecam.dev, SLOT << 15 | reg, size, value);
}

static inline uint64_t window_in(uint64_t address, uint8_t size)
{
    struct mmio_range window = vpci_window(&pci);

    return window.read(window.dev, address - LAYOUT_PCI_BASE, size) & BITS(~0ull, size * 8u - 1, 0);
}

static inline void window_out(uint64_t address, uint8_t size, uint64_t value)
{
    struct mmio_range window = vpci_window(&pci);

    window.write(window.dev, address - LAYOUT_PCI_BASE, size, value);
}
