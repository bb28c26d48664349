/* SPDX-License-Identifier: MIT */
/*
 * A PCI bus: configuration space by CF8h/CFCh and by ECAM, functions with memory BARs, MSI-X. There
 * is bus 0 alone, without bridges, I/O BARs, ROMs and interrupt pins.
 *
 *   CF8h       CONFIG_ADDRESS, 32-bit accesses alone
 *   CFCh..CFFh CONFIG_DATA
 *   ECAM       bus << 20 | device << 15 | function << 12 | register
 *
 * A BAR decodes in the window LAYOUT_PCI_BASE and nowhere else, whatever it holds: so it can hide
 * neither RAM nor another device's fixed place.  Of BARs that overlap the lowest answers, by slot
 * and number.
 *
 * All functions are called with the VM's lock held, but vpci_interrupt() and vpci_is_master(),
 * which any CPU may call: the lock of a function guards its MSI-X, and deliver() is called back
 * under it.
 */
#pragma once

#include "hv/spinlock.h"
#include "hv/vdev/apic_message.h"
#include "hv/vdev/vdev.h"

#define VPCI_SLOTS       16
#define VPCI_CONFIG_SIZE 256
#define VPCI_MAX_VECTORS 8
#define VPCI_PORT_RANGES 2
#define VPCI_BARS        6

/* What a device is, before its capabilities. */
struct vpci_id {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint8_t revision;
    uint32_t class; /* 24 bits: class, subclass, interface */
};

struct vpci_bar {
    uint64_t size; /* 0: there is none; else a power of two, at least 4 KiB */
    bool wide;     /* of 64 bits: there is none with the next number */
    bool prefetchable;
    /* All but MSI-X. */
    uint64_t (*read)(void *dev, uint64_t offset, uint8_t size);
    void (*write)(void *dev, uint64_t offset, uint8_t size, uint64_t value);
    /* Of memory that the guest is to reach without exits, else a null pointer: it is seen at this
     * address now, 0: nowhere. */
    void (*moved)(void *dev, uint64_t address);
};

struct vpci_function {
    uint8_t config[VPCI_CONFIG_SIZE];
    uint8_t writable[VPCI_CONFIG_SIZE]; /* the bits of it that the guest may write */
    uint8_t last_capability;            /* where the next one is linked from */
    uint8_t next_free;                  /* where it goes */
    uint8_t window;                     /* the capability that is a way into the BARs; 0: none */

    void *dev;
    struct vpci_bar bars[VPCI_BARS];
    uint64_t seen_at[VPCI_BARS]; /* what moved() was told last */

    struct spinlock lock; /* of what follows, and of the capability's bits in config[] */
    uint8_t msix;         /* the capability; 0: none */
    uint8_t vectors;
    uint8_t msix_bar;
    uint32_t table, pending_array; /* offsets in it */
    uint32_t entries[VPCI_MAX_VECTORS][4];
    uint32_t pending; /* a bit for each vector */
    struct vpci *bus;
};

struct vpci_ops {
    void *ctx;
    void (*deliver)(void *ctx, const struct apic_message *message);
};

/* A BAR that is switched on. */
struct vpci_place {
    struct vpci_function *function;
    unsigned int number;
    uint64_t base, size;
};

struct vpci {
    uint32_t address; /* CONFIG_ADDRESS */
    unsigned int place_count;
    struct vpci_place places[VPCI_SLOTS * VPCI_BARS]; /* in the order in which they answer */
    struct vpci_function *slots[VPCI_SLOTS];
    struct vpci_function bridge;
    struct vpci_ops ops;
};

/* A bus with its host bridge in slot 0. */
void vpci_init(struct vpci *pci, const struct vpci_ops *ops);
void vpci_ports(struct vpci *pci, struct pio_range ranges[VPCI_PORT_RANGES]);
struct mmio_range vpci_ecam(struct vpci *pci);
struct mmio_range vpci_window(struct vpci *pci);

/* A function is made in this order, and then put into a free slot. */
void vpci_function_init(struct vpci_function *function, const struct vpci_id *id);
/* The caller sets dev. */
void vpci_set_bar(struct vpci_function *function, unsigned int number, const struct vpci_bar *bar);
/* body: what follows the id and the link; read-only.  Returns the capability's offset. */
uint8_t vpci_add_capability(struct vpci_function *function, uint8_t id, const void *body,
                            uint8_t size);
void vpci_add_msix(struct vpci_function *function, unsigned int vectors, unsigned int bar,
                   uint32_t table, uint32_t pending_array);
/* A capability of at least 20 bytes becomes a way into the BARs, whether they are on or not: it has
 * the number of one at 4, an offset at 8, a size of 1, 2 or 4 at 12, and what is there at 16. */
void vpci_open_window(struct vpci_function *function, uint8_t capability);
void vpci_plug(struct vpci *pci, unsigned int slot, struct vpci_function *function);

/* No effect while MSI-X is off, or on a vector that does not exist; pending while it is masked. */
void vpci_interrupt(struct vpci_function *function, unsigned int vector);
/* What is pending is not sent any more. */
void vpci_forget_interrupts(struct vpci_function *function);
/* Whether it may reach memory. */
bool vpci_is_master(const struct vpci_function *function);

/* A message as the local APICs take it; false for what is no interrupt message. */
bool vpci_decode_message(uint64_t address, uint32_t data, struct apic_message *message);
