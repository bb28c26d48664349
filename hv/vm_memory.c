/* SPDX-License-Identifier: MIT */
/* A VM's memory: runs of pages from the machine, the slots that the guest's layout makes of them,
 * and the second-level tables that map these. */
#include "hv/vm_memory.h"

#include "hv/backend.h"
#include "hv/config.h"
#include "hv/errno.h"
#include "hv/guest_mem.h"
#include "hv/layout.h"
#include "hv/mem.h"
#include "hv/panic.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_pages.h"

#define NOWHERE GPA(1ull << 52) /* beyond every guest-physical address */

/* Where byte `offset` of the VM's memory is seen by the guest. */
static uint64_t line_to_gpa(const struct vm *vm, uint64_t offset)
{
    uint64_t low = layout_low_size(vm->config->memory);

    return offset < low ? offset : LAYOUT_HIGH_BASE + (offset - low);
}

/* One run of pages for as much of `wanted` bytes as the machine has in one piece; returns its size,
 * 0: none. */
static uint64_t allocate_run(struct vm *vm, uint64_t gpa, uint64_t wanted)
{
    if (vm->run_count == VM_MAX_RUNS)
        return 0;
    for (uint64_t size = wanted; size; size = align_down(size / 2, PAGE_SIZE)) {
        uint64_t alignment = size >= SIZE_1G ? SIZE_1G : size >= SIZE_2M ? SIZE_2M : PAGE_SIZE;
        hpa_t hpa = mem_alloc(size >> PAGE_SHIFT, alignment);

        if (hpa.value) {
            vm->runs[vm->run_count++] = (struct mem_slot){GPA(gpa), size, hpa, SLAT_RWX};
            return size;
        }
    }
    return 0;
}

static int allocate_part(struct vm *vm, uint64_t begin, uint64_t end)
{
    while (begin < end) {
        uint64_t size = allocate_run(vm, line_to_gpa(vm, begin), end - begin);

        if (!size)
            return -ENOMEM;
        begin += size;
    }
    return 0;
}

/* The runs cover the layout's holes too; a slot is a piece of one that the layout calls memory. */
static int add_slots(struct vm *vm, const struct layout_range *range)
{
    for (unsigned int i = 0; i < vm->run_count; i++) {
        const struct mem_slot *run = &vm->runs[i];
        uint64_t begin = MAX(range->base, run->gpa.value);
        uint64_t end = MIN(range->base + range->size, run->gpa.value + run->size);

        if (begin >= end)
            continue;
        if (vm->slot_count == VM_MAX_SLOTS)
            return -ENOSPC;
        vm->slots[vm->slot_count++] = (struct mem_slot){
            GPA(begin), end - begin, HPA(run->hpa.value + (begin - run->gpa.value)), run->flags};
    }
    return 0;
}

static int make_slots(struct vm *vm)
{
    struct layout_map map;

    layout_make(vm->config->memory, &map);
    for (unsigned int i = 0; i < map.count; i++)
        if (map.ranges[i].type != LAYOUT_RESERVED && add_slots(vm, &map.ranges[i]) != 0)
            return -ENOSPC;
    vm->largest_slot = 0;
    for (unsigned int i = 1; i < vm->slot_count; i++)
        if (vm->slots[i].size > vm->slots[vm->largest_slot].size)
            vm->largest_slot = i;
    return 0;
}

static int map_memory(struct vm *vm)
{
    uint64_t pages = slat_pages_needed(vm->config->memory, vm->slot_count);
    hpa_t pool;

    if (vm->config->share.size) /* which it may see anywhere in the PCI window */
        pages += slat_pages_needed(LAYOUT_PCI_SIZE, 1);
    pool = vm_memory_take(vm, pages);
    if (!pool.value)
        return -ENOMEM;
    slat_init(&vm->slat, backend->slat, pool, pages);
    for (unsigned int i = 0; i < vm->slot_count; i++) {
        const struct mem_slot *slot = &vm->slots[i];
        int error = slat_map(&vm->slat, slot->gpa, slot->hpa, slot->size, slot->flags);

        if (error)
            return error;
    }
    return 0;
}

int vm_memory_create(struct vm *vm)
{
    uint64_t low = layout_low_size(vm->config->memory);

    if (mem_pages(vm->config->memory) > mem_free_pages()) /* or all that is left would be zeroed */
        return -ENOMEM;
    if (allocate_part(vm, 0, low) != 0 || allocate_part(vm, low, vm->config->memory) != 0)
        return -ENOMEM;
    if (make_slots(vm) != 0)
        return -ENOSPC;
    if (map_memory(vm) != 0)
        return -ENOMEM;
    if (vm->config->overcommit)
        vm_pages_begin(vm);
    return 0;
}

/* ---- All that it has ------------------------------------------------------------------------- */

void vm_memory_adopt(struct vm *vm, hpa_t hpa, uint64_t size)
{
    ASSERT(vm->run_count < ARRAY_SIZE(vm->runs));
    vm->runs[vm->run_count++] = (struct mem_slot){NOWHERE, size, hpa, 0};
}

hpa_t vm_memory_take(struct vm *vm, uint64_t pages)
{
    hpa_t hpa = mem_alloc(pages, PAGE_SIZE);

    if (hpa.value)
        vm_memory_adopt(vm, hpa, pages << PAGE_SHIFT);
    return hpa;
}

uint64_t vm_memory_size(const struct vm *vm)
{
    uint64_t sum = 0;

    for (unsigned int i = 0; i < vm->run_count; i++)
        sum += vm->runs[i].size;
    return sum - (vm->absent_pages << PAGE_SHIFT);
}

/* In the order in which it came: where the pages of RAM are the tables may have to say. */
bool vm_memory_free_some(struct vm *vm)
{
    for (unsigned int i = 0; i < vm->run_count; i++) {
        struct mem_slot *run = &vm->runs[i];
        uint64_t size = MIN(run->size, VM_MEMORY_SLICE);

        if (!size)
            continue;
        run->size -= size;
        if (vm->paged_count)
            vm_pages_free(vm, run, size);
        else
            mem_free(HPA(run->hpa.value + run->size), size >> PAGE_SHIFT);
        return true;
    }
    return false;
}

void vm_memory_free(struct vm *vm)
{
    while (vm_memory_free_some(vm))
        ;
}

/* ---- Made fresh ------------------------------------------------------------------------------ */

int vm_memory_renew_begin(struct vm *vm)
{
    vm->renewed_slot = vm->ran ? 0 : VM_MAX_SLOTS;
    vm->renewed_size = 0;
    return vm->absent_pages > mem_free_pages() ? -ENOMEM : 0;
}

static int renew_part(struct vm *vm, gpa_t gpa, uint64_t size)
{
    return vm->paged_count ? vm_pages_renew(vm, gpa, size) : guest_mem_zero(vm, gpa, size);
}

int vm_memory_renew(struct vm *vm)
{
    for (; vm->renewed_slot < vm->slot_count + vm->paged_count; vm->renewed_slot++) {
        const struct mem_slot *slot = &vm->slots[vm->renewed_slot];
        gpa_t gpa = GPA(slot->gpa.value + vm->renewed_size);
        uint64_t size = MIN(slot->size - vm->renewed_size, VM_MEMORY_SLICE);

        vm->renewed_size += size;
        if (size)
            return renew_part(vm, gpa, size) != 0 ? -ENOMEM : 1;
        vm->renewed_size = 0;
    }
    return 0;
}

/* ---- Seen by the guest ----------------------------------------------------------------------- */

void vm_memory_flush(struct vm *vm)
{
    backend->slat_flush(vm);
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        vcpu_request(vm->vcpus[i], VCPU_REQ_FLUSH);
}

/* No code runs from it, for Mica would not find the bytes of an instruction there. */
void vm_memory_show(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t size)
{
    int error = slat_map(&vm->slat, gpa, hpa, size, SLAT_READ | SLAT_WRITE);

    ASSERT(!error); /* the pool has what it takes */
}

void vm_memory_hide(struct vm *vm, gpa_t gpa, uint64_t size)
{
    slat_unmap(&vm->slat, gpa, size);
    vm_memory_flush(vm);
}
