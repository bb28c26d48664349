/* SPDX-License-Identifier: MIT */
/* The shared memory's PCI device: registers, and the emulated way to the memory, which guests take
 * only where it is not mapped. */
#include "hv/vdev/ivshmem.h"

#include "hv/addr.h"
#include "hv/string.h"
#include "hv/util.h"

/* The registers are words.  The two before these belong to interrupt pins, which are not there. */
#define REG_POSITION 0x8
#define REG_DOORBELL 0xc

#define BAR_REGISTERS 0
#define BAR_MSIX      1
#define BAR_MEMORY    2
#define MSIX_TABLE    0x000
#define MSIX_PENDING  0x800

static uint64_t register_read(void *dev, uint64_t offset, uint8_t size)
{
    const struct ivshmem *ivshmem = dev;

    return offset == REG_POSITION && size == 4 ? ivshmem->setup.id : 0;
}

static void register_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    const struct ivshmem *ivshmem = dev;

    if (offset == REG_DOORBELL && size == 4)
        ivshmem->setup.doorbell(ivshmem->setup.ctx, (unsigned int)BITS(value, 31, 16),
                                (unsigned int)BITS(value, 15, 0));
}

void ivshmem_ring(struct ivshmem *ivshmem, unsigned int vector)
{
    vpci_interrupt(&ivshmem->pci, vector);
}

/* What lies behind the end of an access floats, as behind the end of a BAR. */
static uint64_t memory_read(void *dev, uint64_t offset, uint8_t size)
{
    const struct ivshmem *ivshmem = dev;
    uint64_t value = ~0ull;

    memcpy(&value, (const uint8_t *)ivshmem->setup.memory + offset,
           MIN(size, ivshmem->setup.size - offset));
    return value;
}

static void memory_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    const struct ivshmem *ivshmem = dev;

    memcpy((uint8_t *)ivshmem->setup.memory + offset, &value,
           MIN(size, ivshmem->setup.size - offset));
}

static void memory_moved(void *dev, uint64_t address)
{
    const struct ivshmem *ivshmem = dev;

    ivshmem->setup.moved(ivshmem->setup.ctx, address);
}

static uint64_t msix_read(void *dev, uint64_t offset, uint8_t size)
{
    return 0;
}

static void msix_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
}

void ivshmem_init(struct ivshmem *ivshmem, const struct ivshmem_setup *setup)
{
    static const struct vpci_id id = {.vendor = 0x1af4,
                                      .device = 0x1110,
                                      .subsystem_vendor = 0x1af4,
                                      .subsystem = 0x1100,
                                      .revision = 1,
                                      .class = 0x050000}; /* RAM */
    static const struct vpci_bar registers = {
        .size = PAGE_SIZE, .read = register_read, .write = register_write};
    static const struct vpci_bar msix = {
        .size = PAGE_SIZE, .read = msix_read, .write = msix_write}; /* beside what vpci.c does */
    const struct vpci_bar memory = {.size = setup->size,
                                    .wide = true,
                                    .prefetchable = true,
                                    .read = memory_read,
                                    .write = memory_write,
                                    .moved = memory_moved};

    ivshmem->setup = *setup;
    vpci_function_init(&ivshmem->pci, &id);
    ivshmem->pci.dev = ivshmem;
    vpci_set_bar(&ivshmem->pci, BAR_REGISTERS, &registers);
    vpci_set_bar(&ivshmem->pci, BAR_MSIX, &msix);
    vpci_set_bar(&ivshmem->pci, BAR_MEMORY, &memory);
    vpci_add_msix(&ivshmem->pci, IVSHMEM_VECTORS, BAR_MSIX, MSIX_TABLE, MSIX_PENDING);
}
