/* SPDX-License-Identifier: MIT */
/* Putting a VM's PCI devices together.  What they do, hv/vdev/ says. */
#include "hv/board_pci.h"

#include "arch/x86/paging.h"
#include "boot/boot_info.h"
#include "hv/config.h"
#include "hv/entropy.h"
#include "hv/errno.h"
#include "hv/guest_mem.h"
#include "hv/mem.h"
#include "hv/module.h"
#include "hv/string.h"
#include "hv/vm.h"

enum { SLOT_RNG = 1, SLOT_BLK = 2 };

#define LATER_NS   250000   /* until more work is done for a guest that has asked for too much */
#define STIR_BYTES 0x10000u /* of entropy given, and fresh bits are mixed in */

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

static void later(void *ctx)
{
    struct vm *vm = ctx;

    vtimer_set(&vm->pci.timer, vm_now_ns(vm) + LATER_NS);
}

static void fill_random(void *ctx, void *to, uint32_t size)
{
    struct board_pci *pci = ctx;

    pci->given += size;
    if (pci->given > STIR_BYTES) {
        entropy_stir(&pci->random);
        pci->given = 0;
    }
    random_fill(&pci->random, to, size);
}

/* ---- The devices ---------------------------------------------------------------------------- */

static struct virtio_setup setup_of(struct vm *vm, void *dev)
{
    return (struct virtio_setup){.dev = dev,
                                 .dma = {.ctx = vm,
                                         .read = dma_read,
                                         .write = dma_write,
                                         .load16 = dma_load16,
                                         .store16 = dma_store16},
                                 .ctx = vm,
                                 .later = later};
}

static void reset_rng(struct vm *vm)
{
    struct board_pci *pci = &vm->pci;
    const struct virtio_setup setup = setup_of(vm, &pci->rng_source);

    virtio_init(&pci->rng, &virtio_rng_kind, &setup);
    vpci_plug(&pci->bus, SLOT_RNG, &pci->rng.pci);
}

static void reset_blk(struct vm *vm)
{
    struct board_pci *pci = &vm->pci;
    struct virtio_setup setup = setup_of(vm, &pci->disk);
    struct virtio_blk_config config;

    setup.features = virtio_blk_describe(&pci->disk, &config);
    setup.config = &config;
    setup.config_size = sizeof(config);
    virtio_init(&pci->blk, &virtio_blk_kind, &setup);
    vpci_plug(&pci->bus, SLOT_BLK, &pci->blk.pci);
}

void board_pci_reset(struct vm *vm, const struct vpci_ops *ops, const struct vtimer *timer)
{
    vm->pci.timer = *timer;
    vpci_init(&vm->pci.bus, ops);
    if (entropy_available())
        reset_rng(vm);
    if (vm->pci.disk.size)
        reset_blk(vm);
}

void board_pci_work(struct vm *vm)
{
    if (vm->pci.rng.kind)
        virtio_work(&vm->pci.rng);
    if (vm->pci.blk.kind)
        virtio_work(&vm->pci.blk);
}

/* ---- Making and destroying them ------------------------------------------------------------- */

/* Room for all of the disk, so that no write ever fails for want of it. */
static int allocate_disk(struct board_pci *pci)
{
    uint64_t pages = mem_pages(pci->disk.size);
    uint64_t map = mem_pages(virtio_blk_words(pci->disk.size) * sizeof(uint64_t));
    hpa_t memory = mem_alloc(pages + map, PAGE_SIZE);

    if (!memory.value)
        return -ENOMEM;
    pci->disk_memory = memory;
    pci->disk_memory_pages = pages + map;
    pci->disk.pages = phys_to_virt(memory);
    pci->disk.copied = phys_to_virt(HPA(memory.value + (pages << PAGE_SHIFT)));
    return 0;
}

static int init_disk(struct vm *vm)
{
    const struct config_disk *config = &vm->config->disk;
    const struct boot_module *module = config->file[0] ? module_find(config->file) : NULL;
    struct virtio_blk *disk = &vm->pci.disk;

    if (!module)
        return 0;
    disk->image = phys_to_virt(HPA(module->base));
    disk->size = module->size;
    memcpy(disk->serial, config->file, MIN(strlen(config->file), VIRTIO_BLK_ID_SIZE));
    return config->read_only ? 0 : allocate_disk(&vm->pci);
}

int board_pci_init(struct vm *vm)
{
    struct board_pci *pci = &vm->pci;
    struct pio_range ports[VPCI_PORT_RANGES];
    const struct mmio_range ecam = vpci_ecam(&pci->bus), window = vpci_window(&pci->bus);

    vpci_ports(&pci->bus, ports);
    for (unsigned int i = 0; i < VPCI_PORT_RANGES; i++)
        pio_bus_add(&vm->pio, &ports[i]);
    mmio_bus_add(&vm->mmio, &window);
    mmio_bus_add(&vm->mmio, &ecam);
    pci->rng_source = (struct virtio_rng){.ctx = pci, .fill = fill_random};
    entropy_seed(&pci->random);
    return init_disk(vm);
}

void board_pci_destroy(struct vm *vm)
{
    if (vm->pci.disk_memory.value)
        mem_free(vm->pci.disk_memory, vm->pci.disk_memory_pages);
}
