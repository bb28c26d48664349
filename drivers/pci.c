/* SPDX-License-Identifier: MIT */
/* PCI configuration space by the ports 0xcf8 and 0xcfc, and a walk over all buses behind bridges.
 */
#include "drivers/pci.h"

#include "arch/x86/regs.h"
#include "hv/util.h"

#include <stdbool.h>

#define PCI_ADDRESS 0xcf8u
#define PCI_DATA    0xcfcu

#define PCI_VENDOR        0x00u
#define PCI_COMMAND       0x04u
#define PCI_CLASS         0x0au
#define PCI_HEADER_TYPE   0x0eu
#define PCI_SECONDARY_BUS 0x19u

#define COMMAND_BUS_MASTER 0x0004u
#define HEADER_MULTI       0x80u
#define HEADER_TYPE_MASK   0x7fu
#define HEADER_BRIDGE      0x01u
#define CLASS_HOST_BRIDGE  0x0600u
#define NO_DEVICE          0xffffu

struct function {
    uint8_t bus, device, number;
};

/* The buses that are still to be walked, each once, whatever the bridges say. */
static struct {
    uint8_t queue[256];
    bool known[256];
    unsigned int count, next;
    unsigned int functions, stopped;
} walk;

static uint16_t select(struct function f, uint8_t offset)
{
    outl(PCI_ADDRESS, 0x80000000u | (uint32_t)f.bus << 16 | (uint32_t)(f.device & 31) << 11 |
                          (uint32_t)(f.number & 7) << 8 | (offset & 0xfcu));
    return (uint16_t)(PCI_DATA + (offset & 3));
}

static uint8_t read8(struct function f, uint8_t offset)
{
    return inb(select(f, offset));
}

static uint16_t read16(struct function f, uint8_t offset)
{
    return inw(select(f, offset));
}

static void write16(struct function f, uint8_t offset, uint16_t value)
{
    outw(select(f, offset), value);
}

void pci_write8(uint8_t bus, uint8_t device, uint8_t function, uint8_t offset, uint8_t value)
{
    outb(select((struct function){bus, device, function}, offset), value);
}

static void add_bus(uint8_t bus)
{
    if (walk.known[bus])
        return;
    walk.known[bus] = true;
    walk.queue[walk.count++] = bus;
}

static void visit(struct function f)
{
    uint16_t command = read16(f, PCI_COMMAND);

    walk.functions++;
    if (command & COMMAND_BUS_MASTER) {
        write16(f, PCI_COMMAND, command & (uint16_t)~COMMAND_BUS_MASTER);
        walk.stopped++;
    }
    if ((read8(f, PCI_HEADER_TYPE) & HEADER_TYPE_MASK) == HEADER_BRIDGE)
        add_bus(read8(f, PCI_SECONDARY_BUS));
    /* A machine with several host bridges has one as function n of device 0 for each bus n. */
    if (f.bus == 0 && f.device == 0 && f.number && read16(f, PCI_CLASS) == CLASS_HOST_BRIDGE)
        add_bus(f.number);
}

static void visit_device(uint8_t bus, uint8_t device)
{
    struct function f = {.bus = bus, .device = device};

    if (read16(f, PCI_VENDOR) == NO_DEVICE)
        return;
    unsigned int count = read8(f, PCI_HEADER_TYPE) & HEADER_MULTI ? 8 : 1;
    for (f.number = 0; f.number < count; f.number++)
        if (read16(f, PCI_VENDOR) != NO_DEVICE)
            visit(f);
}

unsigned int pci_stop_dma(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(walk.known); i++)
        walk.known[i] = false;
    walk.count = walk.next = walk.functions = walk.stopped = 0;
    add_bus(0);
    while (walk.next < walk.count) {
        uint8_t bus = walk.queue[walk.next++];
        for (uint8_t device = 0; device < 32; device++)
            visit_device(bus, device);
    }
    return walk.stopped;
}

unsigned int pci_function_count(void)
{
    return walk.functions;
}
