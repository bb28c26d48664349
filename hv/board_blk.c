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

/* Room for all of the disk, so that no write ever fails for want of it. */
static int allocate(struct board_disk *disk)
{
    uint64_t pages = mem_pages(disk->blk.size);
    uint64_t map = mem_pages(virtio_blk_words(disk->blk.size) * sizeof(uint64_t));
    hpa_t memory = mem_alloc(pages + map, PAGE_SIZE);

    if (!memory.value)
        return -ENOMEM;
    disk->memory = memory;
    disk->memory_pages = pages + map;
    disk->blk.pages = phys_to_virt(memory);
    disk->blk.copied = phys_to_virt(HPA(memory.value + (pages << PAGE_SHIFT)));
    return 0;
}

/* It is the image's name, and of an image that another disk has too the disk's number behind it. */
static void set_serial(struct board_disk *disks, unsigned int unit, const char *file)
{
    char *serial = disks[unit].blk.serial;
    size_t size = MIN(strlen(file), VIRTIO_BLK_ID_SIZE);

    memcpy(serial, file, size);
    for (unsigned int i = 0; i < unit; i++) {
        if (memcmp(disks[i].blk.serial, serial, VIRTIO_BLK_ID_SIZE) != 0)
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
    struct board_disk *disk = &vm->pci.disks[unit];

    if (!module)
        return 0;
    disk->blk.image = phys_to_virt(HPA(module->base));
    disk->blk.size = module->size;
    set_serial(vm->pci.disks, unit, config->file);
    return config->read_only ? 0 : allocate(disk);
}

static void destroy(struct vm *vm, unsigned int unit)
{
    const struct board_disk *disk = &vm->pci.disks[unit];

    if (disk->memory.value)
        mem_free(disk->memory, disk->memory_pages);
}

static bool setup_blk(struct vm *vm, unsigned int unit, struct virtio_setup *setup)
{
    struct virtio_blk *blk = &vm->pci.disks[unit].blk;

    setup->dev = blk;
    if (!blk->size)
        return false;
    setup->features = virtio_blk_describe(blk, &blk->config);
    setup->config = &blk->config;
    setup->config_size = sizeof(blk->config);
    return true;
}

const struct board_device board_blk = {
    .kind = &virtio_blk_kind, .init = init, .destroy = destroy, .setup = setup_blk};
