/* SPDX-License-Identifier: MIT */
/* Putting a VM's PCI devices together.  What they do, hv/vdev/ says. */
#include "hv/board_pci.h"

#include "hv/guest_mem.h"
#include "hv/vm.h"

static const struct {
    const struct board_device *device;
    unsigned int unit;
} devices[] = {
    [BOARD_RNG] = {&board_rng, 0},
    [BOARD_BLK] = {&board_blk, 0},
    [BOARD_NET] = {&board_net, 0},
    [BOARD_CONSOLE] = {&board_console, 0},
    [BOARD_VSOCK] = {&board_vsock, 0},
    [BOARD_BALLOON] = {&board_balloon, 0},
    [BOARD_MORE_BLK] = {&board_blk, 1},
    {&board_blk, 2},
    {&board_blk, 3},
};

STATIC_ASSERT(ARRAY_SIZE(devices) == BOARD_DEVICE_COUNT, "a row for each");
STATIC_ASSERT(BOARD_DEVICE_COUNT < VPCI_SLOTS, "a slot for each, and for the bridge");

/* ---- What devices ask of the VM ------------------------------------------------------------- */

static int dma_read(void *ctx, uint64_t gpa, void *to, uint64_t size)
{
    return guest_mem_read(ctx, GPA(gpa), to, size);
}

static int dma_write(void *ctx, uint64_t gpa, const void *from, uint64_t size)
{
    return guest_mem_write(ctx, GPA(gpa), from, size);
}

static int dma_load16(void *ctx, uint64_t gpa, uint16_t *value)
{
    return guest_mem_load16(ctx, GPA(gpa), value);
}

static int dma_store16(void *ctx, uint64_t gpa, uint16_t value)
{
    return guest_mem_store16(ctx, GPA(gpa), value);
}

static const void *dma_look(void *ctx, uint64_t gpa, uint64_t size)
{
    return guest_mem_look(ctx, GPA(gpa), size);
}

static uint64_t now_ns(void *ctx)
{
    return vm_now_ns(ctx);
}

static void later(void *ctx)
{
    struct vm *vm = ctx;

    if (vm->pci_timer.deadline_ns == VTIMER_OFF)
        vtimer_set(&vm->pci.timer, vm_now_ns(vm) + VIRTIO_PACE_NS);
}

/* ---- The life of all ------------------------------------------------------------------------ */

static void reset_device(struct vm *vm, unsigned int id)
{
    struct virtio *virtio = &vm->pci.devices[id];
    struct virtio_setup setup = {.lock = &vm->pci.lock,
                                 .dma = {.ctx = vm,
                                         .read = dma_read,
                                         .write = dma_write,
                                         .load16 = dma_load16,
                                         .store16 = dma_store16,
                                         .look = dma_look},
                                 .clock = {.ctx = vm, .now_ns = now_ns},
                                 .ctx = vm,
                                 .later = later};

    if (!devices[id].device->setup(vm, devices[id].unit, &setup))
        return;
    virtio_init(virtio, devices[id].device->kind, &setup);
    vpci_plug(&vm->pci.bus, id + 1, &virtio->pci);
}

void board_pci_reset(struct vm *vm, const struct vpci_ops *ops, const struct vtimer *timer)
{
    vm->pci.timer = *timer;
    board_pci_off(vm);
    vpci_init(&vm->pci.bus, ops);
    for (unsigned int i = 0; i < BOARD_DEVICE_COUNT; i++)
        reset_device(vm, i);
    board_share_reset(vm);
}

void board_pci_off(struct vm *vm)
{
    for (unsigned int i = 0; i < BOARD_DEVICE_COUNT; i++)
        if (vm->pci.devices[i].kind)
            virtio_off(&vm->pci.devices[i]);
    board_share_off(vm);
}

void board_pci_work(struct vm *vm)
{
    for (unsigned int i = 0; i < BOARD_DEVICE_COUNT; i++)
        if (vm->pci.devices[i].kind)
            virtio_work(&vm->pci.devices[i]);
}

int board_pci_init(struct vm *vm)
{
    struct vpci *bus = &vm->pci.bus;
    struct pio_range ports[VPCI_PORT_RANGES];
    const struct mmio_range ecam = vpci_ecam(bus), window = vpci_window(bus);
    int error = 0;

    vpci_ports(bus, ports);
    for (unsigned int i = 0; i < VPCI_PORT_RANGES; i++)
        pio_bus_add(&vm->pio, &ports[i]);
    mmio_bus_add(&vm->mmio, &window);
    mmio_bus_add(&vm->mmio, &ecam);
    for (unsigned int i = 0; i < BOARD_DEVICE_COUNT && !error; i++)
        error = devices[i].device->init(vm, devices[i].unit);
    return error;
}

void board_pci_destroy(struct vm *vm)
{
    board_pci_off(vm);
    for (unsigned int i = 0; i < BOARD_DEVICE_COUNT; i++)
        if (devices[i].device->destroy)
            devices[i].device->destroy(vm, devices[i].unit);
}
