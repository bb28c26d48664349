/* SPDX-License-Identifier: MIT */
/*
 * A VM's balloon.  Without "overcommit = on" the VM's memory stays reserved for it, page by page: a
 * page in the balloon is merely emptied.  With it vm_pages.c moves the pages.
 */
#include "hv/board_pci.h"

#include "arch/x86/paging.h"
#include "hv/config.h"
#include "hv/errno.h"
#include "hv/guest_mem.h"
#include "hv/layout.h"
#include "hv/mem.h"
#include "hv/vm.h"
#include "hv/vm_pages.h"

static uint64_t page_number(void *ctx, uint64_t gpa)
{
    struct vm *vm = ctx;
    uint64_t low = layout_low_size(vm->config->memory);

    if (!guest_mem_is_ram(vm, GPA(gpa)))
        return VIRTIO_BALLOON_NO_PAGE;
    return (gpa < low ? gpa : low + (gpa - LAYOUT_HIGH_BASE)) >> PAGE_SHIFT;
}

static bool move(void *ctx, unsigned int queue)
{
    struct vm *vm = ctx;
    const struct balloon_batch *batch = &vm->pci.balloon.batches[queue];

    if (vm->paged_count) {
        vm_pages_post();
        return false;
    }
    for (unsigned int i = 0; queue == VIRTIO_BALLOON_INFLATE && i < batch->count; i++)
        guest_mem_zero(vm, GPA((uint64_t)batch->pages[i] << PAGE_SHIFT), PAGE_SIZE);
    return true;
}

static uint64_t inside_pages(const struct virtio_balloon *balloon)
{
    return mem_pages(virtio_balloon_words(balloon->page_count) * sizeof(uint64_t));
}

static int init(struct vm *vm, unsigned int unit)
{
    struct virtio_balloon *balloon = &vm->pci.balloon;
    hpa_t memory;

    if (!vm->config->balloon && !vm->config->overcommit)
        return 0;
    balloon->virtio = &vm->pci.devices[BOARD_BALLOON];
    balloon->ops = (struct virtio_balloon_ops){.ctx = vm, .page_number = page_number, .move = move};
    balloon->page_count = vm->config->memory >> PAGE_SHIFT;
    memory = mem_alloc(inside_pages(balloon), PAGE_SIZE);
    if (!memory.value)
        return -ENOMEM;
    balloon->inside = phys_to_virt(memory);
    return 0;
}

static void destroy(struct vm *vm, unsigned int unit)
{
    struct virtio_balloon *balloon = &vm->pci.balloon;

    if (balloon->inside)
        mem_free(virt_to_phys(balloon->inside), inside_pages(balloon));
}

static bool setup_balloon(struct vm *vm, unsigned int unit, struct virtio_setup *setup)
{
    setup->dev = &vm->pci.balloon;
    setup->features = VIRTIO_BALLOON_F_MUST_TELL_HOST | VIRTIO_BALLOON_F_STATS_VQ;
    setup->config = &vm->pci.balloon_config;
    setup->config_size = sizeof(vm->pci.balloon_config);
    return vm->pci.balloon.inside != NULL;
}

void board_ask_balloon(struct vm *vm, uint32_t pages)
{
    spin_lock(&vm->lock);
    spin_lock(&vm->pci.lock);
    vm->pci.balloon_config.num_pages = pages;
    if (vm->pci.balloon.virtio->kind) /* else at its start */
        virtio_balloon_ask(&vm->pci.balloon, pages);
    spin_unlock(&vm->pci.lock);
    spin_unlock(&vm->lock);
}

void board_memory_stats(struct vm *vm, struct balloon_stats *stats)
{
    struct virtio_balloon *balloon = &vm->pci.balloon;

    spin_lock(&vm->lock);
    spin_lock(&vm->pci.lock);
    *stats = balloon->stats;
    virtio_balloon_ask_stats(balloon);
    spin_unlock(&vm->pci.lock);
    spin_unlock(&vm->lock);
}

const struct board_device board_balloon = {
    .kind = &virtio_balloon_kind, .init = init, .destroy = destroy, .setup = setup_balloon};
