/* SPDX-License-Identifier: MIT */
/*
 * A VM's memory over the real page allocator of a small machine: all of it comes back, a slice at a
 * time, also that of its disk and what it had shared; and it is made fresh in slices too.
 */
#include "tests/host/check.h"

#include "arch/x86/paging.h"
#include "boot/boot_info.h"
#include "hv/backend.h"
#include "hv/config.h"
#include "hv/errno.h"
#include "hv/guest_mem.h"
#include "hv/mem.h"
#include "hv/panic.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_memory.h"
#include "hv/vm_pages.h"

#include <stdlib.h>
#include <string.h>

#define MACHINE_SIZE MIB(64)
#define GUEST_SIZE   MIB(20)
#define SLICE_PAGES  (VM_MEMORY_SLICE / PAGE_SIZE)

extern struct slat_format npt_format;

static void ignore_flush(struct vm *vm)
{
}

static const struct backend fake = {.slat = &npt_format, .slat_flush = ignore_flush};
const struct backend *backend = &fake;
uint64_t direct_map_base;

static uint8_t *machine;
static struct guest_config config = {.memory = GUEST_SIZE};
static struct vm vm;
static uint64_t zeroed;  /* bytes, by guest_mem_zero() */
static uint64_t longest; /* the most of them at once */

void panic_at(const char *file, int line, const char *format, ...)
{
    abort();
}

void vcpu_request(struct vcpu *vcpu, uint32_t request)
{
}

int guest_mem_zero(struct vm *guest, gpa_t gpa, uint64_t size)
{
    for (unsigned int i = 0; i < guest->slot_count; i++) {
        const struct mem_slot *slot = &guest->slots[i];
        uint64_t offset = gpa.value - slot->gpa.value;

        if (offset >= slot->size || size > slot->size - offset)
            continue;
        memset(phys_to_virt(HPA(slot->hpa.value + offset)), 0, size);
        zeroed += size;
        longest = MAX(longest, size);
        return 0;
    }
    return -EFAULT;
}

/* Overcommitted VMs have a test of their own. */
void vm_pages_begin(struct vm *guest)
{
}

void vm_pages_free(struct vm *guest, const struct mem_slot *run, uint64_t size)
{
}

int vm_pages_renew(struct vm *guest, gpa_t gpa, uint64_t size)
{
    return 0;
}

static void start_machine(void)
{
    static struct boot_info info;

    memset(&info, 0, sizeof(info));
    info.memory[info.memory_count++] = (struct boot_mem){MIB(1), MIB(30), BOOT_MEM_USABLE, 0};
    info.memory[info.memory_count++] = (struct boot_mem){MIB(32), MIB(32), BOOT_MEM_USABLE, 0};
    mem_init(&info);
    memset(&vm, 0, sizeof(vm));
    vm.config = &config;
}

/* How many slices it took; 0: one of them was too large. */
static unsigned int free_all(void)
{
    unsigned int slices = 0;

    for (;;) {
        uint64_t before = mem_free_pages();

        if (!vm_memory_free_some(&vm))
            return slices;
        slices++;
        if (mem_free_pages() <= before || mem_free_pages() > before + SLICE_PAGES)
            return 0;
    }
}

static void test_free(void)
{
    uint64_t all;
    hpa_t disk;

    start_machine();
    all = mem_free_pages();
    CHECK(vm_memory_create(&vm) == 0 && vm_memory_size(&vm) >= GUEST_SIZE, "there is memory");
    disk = vm_memory_take(&vm, 1000);
    CHECK(disk.value != 0, "and some for its disk");
    vm_memory_adopt(&vm, mem_alloc(3, PAGE_SIZE), 3 * PAGE_SIZE);
    memset(phys_to_virt(disk), 0x5a, 1000 * PAGE_SIZE);
    memset(phys_to_virt(vm.slots[0].hpa), 0x5a, vm.slots[0].size);
    CHECK(vm_memory_size(&vm) == (all - mem_free_pages()) << PAGE_SHIFT,
          "which is all that it has");
    CHECK(free_all() >= (GUEST_SIZE + 1000 * PAGE_SIZE) / VM_MEMORY_SLICE,
          "it comes back in slices");
    CHECK(mem_free_pages() == all && vm_memory_size(&vm) == 0, "all of it");
    CHECK(!vm_memory_free_some(&vm), "and only once");
}

static void test_no_room(void)
{
    uint64_t all;

    start_machine();
    config.memory = MIB(80);
    CHECK(vm_memory_create(&vm) == -ENOMEM && vm.run_count == 0,
          "who wants more than is free gets nothing");
    config.memory = MIB(60);
    all = mem_free_pages();
    mem_alloc(all - (MIB(60) >> PAGE_SHIFT), PAGE_SIZE);
    all = mem_free_pages();
    CHECK(vm_memory_create(&vm) == -ENOMEM, "nor who leaves no room for his tables");
    vm_memory_free(&vm);
    CHECK(mem_free_pages() == all, "and what he had is back");
    config.memory = GUEST_SIZE;
}

static int renew_all(unsigned int *slices)
{
    int status = vm_memory_renew_begin(&vm);

    zeroed = longest = 0;
    for (*slices = 0; status >= 0 && (status = vm_memory_renew(&vm)) > 0; (*slices)++)
        ;
    return status;
}

static bool is_zero(const struct mem_slot *slot)
{
    const uint8_t *bytes = phys_to_virt(slot->hpa);

    return bytes[0] == 0 && memcmp(bytes, bytes + 1, slot->size - 1) == 0;
}

static void test_renew(void)
{
    unsigned int slices;
    uint64_t size = 0;
    bool all_zero = true;

    start_machine();
    vm_memory_create(&vm);
    CHECK(renew_all(&slices) == 0 && slices == 0 && zeroed == 0, "new memory is fresh");
    vm.ran = true;
    for (unsigned int i = 0; i < vm.slot_count; i++) {
        memset(phys_to_virt(vm.slots[i].hpa), 0x5a, vm.slots[i].size);
        size += vm.slots[i].size;
    }
    vm_memory_renew_begin(&vm);
    CHECK(vm_memory_renew(&vm) == 1 && vm_memory_renew(&vm) == 1, "what ran is not at once");
    CHECK(renew_all(&slices) == 0 && zeroed == size && longest <= VM_MEMORY_SLICE &&
              slices >= size / VM_MEMORY_SLICE,
          "begun anew it is all made fresh, in slices");
    for (unsigned int i = 0; i < vm.slot_count; i++)
        all_zero &= is_zero(&vm.slots[i]);
    CHECK(all_zero, "and zero");
    vm.absent_pages = mem_free_pages() + 1;
    CHECK(vm_memory_renew_begin(&vm) == -ENOMEM,
          "who has given away more than is free cannot start");
    vm.absent_pages = 0;
    vm_memory_free(&vm);
}

int main(void)
{
    machine = aligned_alloc(SIZE_2M, MACHINE_SIZE);
    memset(machine, 0xa5, MACHINE_SIZE);
    direct_map_base = (uint64_t)machine;
    test_free();
    test_no_room();
    test_renew();
    free(machine);
    return check_done();
}
