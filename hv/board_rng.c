/* SPDX-License-Identifier: MIT */
/* A VM's source of entropy, where the machine has one. */
#include "hv/board_pci.h"

#include "hv/entropy.h"
#include "hv/vm.h"

#define STIR_BYTES 0x10000u /* of entropy given, and fresh bits are mixed in */

static void fill(void *ctx, void *to, uint32_t size)
{
    struct board_pci *pci = ctx;

    pci->given += size;
    if (pci->given > STIR_BYTES) {
        entropy_stir(&pci->random);
        pci->given = 0;
    }
    random_fill(&pci->random, to, size);
}

static int init(struct vm *vm, unsigned int unit)
{
    vm->pci.rng = (struct virtio_rng){.ctx = &vm->pci, .fill = fill};
    entropy_seed(&vm->pci.random);
    return 0;
}

static bool setup_rng(struct vm *vm, unsigned int unit, struct virtio_setup *setup)
{
    setup->dev = &vm->pci.rng;
    return entropy_available();
}

const struct board_device board_rng = {.kind = &virtio_rng_kind, .init = init, .setup = setup_rng};
