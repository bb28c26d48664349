/* SPDX-License-Identifier: MIT */
/* The memory that a VM shares with another one, as a device on its PCI bus. */
#include "hv/board_pci.h"

#include "arch/x86/paging.h"
#include "hv/pair.h"
#include "hv/vm.h"
#include "hv/vm_memory.h"

#define SLOT (VPCI_SLOTS - 1) /* wherever the others are */

static void moved(void *ctx, uint64_t gpa)
{
    struct vm *vm = ctx;

    if (vm->pci.share_gpa)
        vm_memory_hide(vm, GPA(vm->pci.share_gpa), vm->pair->size);
    if (gpa)
        vm_memory_show(vm, GPA(gpa), vm->pair->memory, vm->pair->size);
    vm->pci.share_gpa = gpa;
}

/* The partner's lock is not taken: the pair's makes sure of its device. */
static void doorbell(void *ctx, unsigned int peer, unsigned int vector)
{
    struct pair *pair = ((struct vm *)ctx)->pair;

    if (peer >= IVSHMEM_PEERS)
        return;
    spin_lock(&pair->lock);
    if (pair->halves[peer].device)
        ivshmem_ring(pair->halves[peer].device, vector);
    spin_unlock(&pair->lock);
}

static void connect(struct vm *vm, struct ivshmem *device)
{
    spin_lock(&vm->pair->lock);
    vm->pair->halves[vm->side].device = device;
    spin_unlock(&vm->pair->lock);
}

void board_share_off(struct vm *vm)
{
    if (vm->pair)
        connect(vm, NULL);
}

void board_share_reset(struct vm *vm)
{
    const struct ivshmem_setup setup = {.id = vm->side,
                                        .memory = phys_to_virt(vm->pair->memory),
                                        .size = vm->pair->size,
                                        .ctx = vm,
                                        .doorbell = doorbell,
                                        .moved = moved};

    if (!vm->pair->size)
        return;
    moved(vm, 0);
    ivshmem_init(&vm->pci.share, &setup);
    vpci_plug(&vm->pci.bus, SLOT, &vm->pci.share.pci);
    connect(vm, &vm->pci.share);
}
