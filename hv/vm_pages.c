/* SPDX-License-Identifier: MIT */
/* The pages of a VM with overcommitted memory: taken, brought back, waited for. */
#include "hv/vm_pages.h"

#include "arch/x86/cpu.h"
#include "arch/x86/paging.h"
#include "hv/backend.h"
#include "hv/config.h"
#include "hv/cpu_work.h"
#include "hv/errno.h"
#include "hv/log.h"
#include "hv/loop.h"
#include "hv/mem.h"
#include "hv/panic.h"
#include "hv/string.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define WAITS 1u /* in absent_gpa beside a page's address */

/* ---- Where a page is ------------------------------------------------------------------------ */

bool vm_pages_have(const struct vm *vm, gpa_t gpa)
{
    for (unsigned int i = 0; i < vm->paged_count; i++)
        if (gpa.value - vm->slots[i].gpa.value < vm->slots[i].size)
            return true;
    return false;
}

void *vm_pages_at(const struct vm *vm, uint64_t gpa, uint64_t size)
{
    hpa_t hpa;

    if ((gpa & PAGE_MASK) + size > PAGE_SIZE || !vm_pages_have(vm, GPA(gpa)))
        return NULL;
    hpa = slat_translate(&vm->slat, GPA(gpa));
    return hpa.value ? phys_to_virt(hpa) : NULL;
}

static bool is_there(const struct vm *vm, gpa_t gpa)
{
    return slat_translate(&vm->slat, gpa).value != 0;
}

/* ---- Moving one ----------------------------------------------------------------------------- */

/* The tables have pages enough to be split down to every page: none of this fails for want of one.
 */
static void set_page(struct vm *vm, gpa_t gpa, hpa_t hpa)
{
    int error = hpa.value ? slat_map(&vm->slat, gpa, hpa, PAGE_SIZE, SLAT_RWX)
                          : slat_unmap(&vm->slat, gpa, PAGE_SIZE);

    ASSERT(!error);
}

static int bring(struct vm *vm, gpa_t gpa)
{
    hpa_t hpa;

    if (is_there(vm, gpa))
        return 0;
    hpa = mem_alloc(1, PAGE_SIZE);
    if (!hpa.value)
        return -ENOMEM;
    spin_lock(&vm->lock);
    set_page(vm, gpa, hpa);
    spin_unlock(&vm->lock);
    vm->absent_pages--;
    return 0;
}

int vm_pages_renew(struct vm *vm, gpa_t gpa, uint64_t size)
{
    for (uint64_t at = gpa.value; at < gpa.value + size; at += PAGE_SIZE) {
        void *page = vm_pages_at(vm, at, PAGE_SIZE);

        if (page)
            memset(page, 0, PAGE_SIZE);
        else if (bring(vm, GPA(at)) != 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- The balloon's requests ----------------------------------------------------------------- */

static gpa_t page_of(const struct balloon_batch *batch, unsigned int i)
{
    return GPA((uint64_t)batch->pages[i] << PAGE_SHIFT);
}

/*
 * Out of the tables with those that the driver still wants to give: with the VM's lock held, so
 * that it cannot take its word back.  Returns how many there were.
 */
static unsigned int unmap_batch(struct vm *vm, const struct balloon_batch *batch, hpa_t *out)
{
    unsigned int count = 0;

    for (unsigned int i = 0; batch->state == BALLOON_BUSY && i < batch->count; i++) {
        hpa_t hpa = slat_translate(&vm->slat, page_of(batch, i));

        if (!hpa.value)
            continue;
        set_page(vm, page_of(batch, i), HPA(0));
        out[count++] = hpa;
    }
    return count;
}

static void tell_done(struct vm *vm, unsigned int queue)
{
    spin_lock(&vm->lock);
    spin_lock(&vm->pci.lock);
    virtio_balloon_done(&vm->pci.balloon, queue);
    spin_unlock(&vm->pci.lock);
    spin_unlock(&vm->lock);
}

/* A page is the machine's when no CPU can reach it by an old translation or an address that it had
 * looked up. */
static void take_batch(struct vm *vm)
{
    const struct balloon_batch *batch = &vm->pci.balloon.batches[VIRTIO_BALLOON_INFLATE];
    static hpa_t pages[VIRTIO_BALLOON_BATCH];
    unsigned int count;

    spin_lock(&vm->lock);
    count = unmap_batch(vm, batch, pages);
    spin_unlock(&vm->lock);
    if (count) {
        backend->slat_flush(vm);
        loop_quiesce();
    }
    for (unsigned int i = 0; i < count; i++)
        mem_free(pages[i], 1);
    vm->absent_pages += count;
    tell_done(vm, VIRTIO_BALLOON_INFLATE);
    if (count)
        vm_pages_post();
}

static int bring_batch(struct vm *vm)
{
    const struct balloon_batch *batch = &vm->pci.balloon.batches[VIRTIO_BALLOON_DEFLATE];

    for (unsigned int i = 0; batch->state == BALLOON_BUSY && i < batch->count; i++)
        if (bring(vm, page_of(batch, i)) != 0)
            return -ENOMEM;
    tell_done(vm, VIRTIO_BALLOON_DEFLATE);
    return 0;
}

static bool is_ours(const struct vm *vm, unsigned int queue)
{
    enum balloon_state state =
        __atomic_load_n(&vm->pci.balloon.batches[queue].state, __ATOMIC_ACQUIRE);

    return state == BALLOON_BUSY || state == BALLOON_STALE;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

enum exit_action vm_pages_touched(struct vcpu *vcpu, gpa_t gpa)
{
    if (!vcpu->vm->paged_count || is_there(vcpu->vm, gpa)) /* another CPU was quicker */
        return ACTION_RESUME;
    __atomic_store_n(&vcpu->absent_gpa, align_down(gpa.value, PAGE_SIZE) | WAITS, __ATOMIC_RELEASE);
    vm_pages_post();
    return ACTION_WAIT;
}

static int bring_touched(struct vcpu *vcpu)
{
    uint64_t absent = __atomic_load_n(&vcpu->absent_gpa, __ATOMIC_ACQUIRE);

    if (!absent)
        return 0;
    if (bring(vcpu->vm, GPA(absent & ~(uint64_t)WAITS)) != 0)
        return -ENOMEM;
    /* After an INIT it may wait for another already. */
    __atomic_compare_exchange_n(&vcpu->absent_gpa, &absent, 0, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
    vcpu_request(vcpu, VCPU_REQ_MEMORY);
    return 0;
}

/* One line for each start: a guest could make many. */
static void note_waiting(struct vm *vm, bool waits)
{
    if (waits && !vm->waits_logged) {
        log_warn("guest %s: waits for memory, of which %llu KiB are free", vm_name(vm),
                 (unsigned long long)mem_free_pages() * 4);
        vm->waits_logged = true;
    }
    vm->waits_for_memory = waits;
}

void vm_pages_post(void)
{
    loop_post(cpu_by_index(0), WORK_VM);
}

void vm_pages_work(struct vm *vm)
{
    bool waits = false;

    if (!vm->paged_count || vm->state == VM_FREEING)
        return;
    if (is_ours(vm, VIRTIO_BALLOON_INFLATE))
        take_batch(vm);
    for (unsigned int i = 0; vm_is_on(vm) && i < vm->vcpu_count; i++)
        waits |= bring_touched(vm->vcpus[i]) != 0;
    if (is_ours(vm, VIRTIO_BALLOON_DEFLATE))
        waits |= bring_batch(vm) != 0;
    note_waiting(vm, waits);
}

/* ---- Beginning and end ---------------------------------------------------------------------- */

void vm_pages_begin(struct vm *vm)
{
    vm->paged_count = vm->slot_count;
    vm->slot_count = 0;
    vm->largest_slot = VM_MAX_SLOTS;
}

void vm_pages_free(struct vm *vm, const struct mem_slot *run, uint64_t size)
{
    for (uint64_t at = run->size; at < run->size + size; at += PAGE_SIZE) {
        gpa_t gpa = GPA(run->gpa.value + at);
        hpa_t hpa = HPA(run->hpa.value + at); /* in a hole of the layout: never moved */

        if (vm_pages_have(vm, gpa))
            hpa = slat_translate(&vm->slat, gpa);
        if (hpa.value)
            mem_free(hpa, 1);
        else
            vm->absent_pages--;
    }
}
