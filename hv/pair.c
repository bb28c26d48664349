/* SPDX-License-Identifier: MIT */
/* Making and freeing what two guests have in common.  On the boot CPU's main loop only. */
#include "hv/pair.h"

#include "arch/x86/paging.h"
#include "hv/config.h"
#include "hv/errno.h"
#include "hv/mem.h"
#include "hv/string.h"
#include "hv/vm.h"
#include "hv/vm_memory.h"

static struct vm *other(const struct vm *vm)
{
    return vm->pair->halves[!vm->side].vm;
}

static void free_pair(struct pair *pair)
{
    mem_free(virt_to_phys(pair), mem_pages(sizeof(*pair)));
}

/* The memory is aligned so that large pages map it. */
static struct pair *make(uint64_t size)
{
    hpa_t page = mem_alloc(mem_pages(sizeof(struct pair)), PAGE_SIZE);
    struct pair *pair;

    if (!page.value)
        return NULL;
    pair = phys_to_virt(page);
    pair->size = size;
    if (size)
        pair->memory = mem_alloc(size >> PAGE_SHIFT, MIN(size, SIZE_2M));
    if (size && !pair->memory.value) {
        free_pair(pair);
        return NULL;
    }
    return pair;
}

static void set_half(struct vm *vm, struct vm *value)
{
    spin_lock(&vm->pair->lock);
    vm->pair->halves[vm->side].vm = value;
    spin_unlock(&vm->pair->lock);
}

int pair_join(struct vm *vm, const struct vm *partner)
{
    bool joins = partner && partner->pair; /* one that is being destroyed has none any more */

    vm->pair = joins ? partner->pair : make(vm->config->share.size);
    if (!vm->pair)
        return -ENOMEM;
    vm->side = joins && !partner->side;
    set_half(vm, vm);
    return 0;
}

void pair_leave(struct vm *vm)
{
    struct pair *pair = vm->pair;

    if (!pair)
        return;
    set_half(vm, NULL);
    if (!other(vm)) {
        if (pair->size)
            vm_memory_adopt(vm, pair->memory, pair->size);
        free_pair(pair);
    }
    vm->pair = NULL;
}

void pair_start(struct vm *vm)
{
    struct pair *pair = vm->pair;
    const struct vm *partner = other(vm);

    pair->stale = pair->used && !(partner && vm_is_on(partner)) ? pair->size : 0;
    pair->used = true;
}

bool pair_renew(struct vm *vm)
{
    struct pair *pair = vm->pair;
    uint64_t size = MIN(pair->stale, VM_MEMORY_SLICE);

    if (!size)
        return false;
    pair->stale -= size;
    memset((uint8_t *)phys_to_virt(pair->memory) + pair->stale, 0, size);
    return true;
}
