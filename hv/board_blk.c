/* SPDX-License-Identifier: MIT */
/* A VM's disks: of each a module, and memory for what is written. */
#include "hv/board_pci.h"

#include "arch/x86/paging.h"
#include "boot/boot_info.h"
#include "hv/config.h"
#include "hv/errno.h"
#include "hv/mem.h"
#include "hv/module.h"
#include "hv/string.h"
#include "hv/vm.h"
#include "hv/vm_memory.h"

/* Room for all of the disk, so that no write ever fails for want of it. */
static int allocate(struct vm *vm, struct virtio_blk *blk)
{
    uint64_t pages = mem_pages(blk->size);
    uint64_t map = mem_pages(virtio_blk_words(blk->size) * sizeof(uint64_t));
    hpa_t memory = vm_memory_take(vm, pages + map);

    if (!memory.value)
        return -ENOMEM;
    blk->pages = phys_to_virt(memory);
    blk->copied = phys_to_virt(HPA(memory.value + (pages << PAGE_SHIFT)));
    return 0;
}

/* It is the image's name, and of an image that another disk has too the disk's number behind it. */
static void set_serial(struct virtio_blk *disks, unsigned int unit, const char *file)
{
    char *serial = disks[unit].serial;
    size_t size = MIN(strlen(file), VIRTIO_BLK_ID_SIZE);

    memcpy(serial, file, size);
    for (unsigned int i = 0; i < unit; i++) {
        if (memcmp(disks[i].serial, serial, VIRTIO_BLK_ID_SIZE) != 0)
            continue;
        size = MIN(size, VIRTIO_BLK_ID_SIZE - 2u);
        serial[size] = '-';
        serial[size + 1] = (char)('1' + unit);
    }
}

static int init(struct vm *vm, unsigned int unit)
{
    const struct config_disk *config = &vm->config->disks[unit];
    const struct boot_module *module = config->file[0] ? module_find(config->file) : NULL;
    struct virtio_blk *blk = &vm->pci.disks[unit];

    if (!module)
        return 0;
    blk->image = phys_to_virt(HPA(module->base));
    blk->size = module->size;
    set_serial(vm->pci.disks, unit, config->file);
    return config->read_only ? 0 : allocate(vm, blk);
}

static bool setup_blk(struct vm *vm, unsigned int unit, struct virtio_setup *setup)
{
    struct virtio_blk *blk = &vm->pci.disks[unit];

    setup->dev = blk;
    if (!blk->size)
        return false;
    setup->features = virtio_blk_describe(blk, &blk->config);
    setup->config = &blk->config;
    setup->config_size = sizeof(blk->config);
    return true;
}

const struct board_device board_blk = {.kind = &virtio_blk_kind, .init = init, .setup = setup_blk};
