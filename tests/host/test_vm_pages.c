/* SPDX-License-Identifier: MIT */
/*
 * The pages of an overcommitted VM: what the balloon takes is the machine's only behind a flush,
 * who touches it waits, what is wanted back comes, and at the end nothing is missing.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/x86/paging.h"
#include "hv/config.h"
#include "hv/emul.h"
#include "hv/errno.h"
#include "hv/guest_mem.h"
#include "hv/guest_used.h"
#include "hv/mem.h"
#include "hv/util.h"
#include "hv/vm_pages.h"

#include <stdlib.h>
#include <string.h>

#define BASE  0x100000ull
#define PAGES 64u
#define POOL  64u

extern struct slat_format npt_format;

static struct vm *const vm = &fake_vm;
static struct vcpu *const vcpu = &fake_vcpus[0];
static uint8_t pool[POOL * 4096] __attribute__((aligned(4096)));
static unsigned int laters;

static void later(void *ctx)
{
    laters++;
}

/* One run, whose last page the layout does not call memory, and a slot without it. */
static void begin(void)
{
    static uint64_t inside[1];

    fake_start(1);
    memset(&vm->pci, 0, sizeof(vm->pci));
    vm->pci.devices[BOARD_BALLOON].setup.later = later;
    vm->pci.devices[BOARD_BALLOON].kind = &virtio_balloon_kind;
    vm->pci.balloon.virtio = &vm->pci.devices[BOARD_BALLOON];
    vm->pci.balloon.inside = inside;
    memset(pool, 0, sizeof(pool));
    slat_init(&vm->slat, &npt_format, HPA((uint64_t)pool), POOL);
    vm->slots[0] = (struct mem_slot){GPA(BASE), PAGES * PAGE_SIZE, HPA(0), SLAT_RWX};
    for (uint64_t at = 0; at < PAGES * PAGE_SIZE; at += PAGE_SIZE) {
        hpa_t page = mem_alloc(1, PAGE_SIZE);

        memset((void *)page.value, 0xa5, PAGE_SIZE);
        slat_map(&vm->slat, GPA(BASE + at), page, PAGE_SIZE, SLAT_RWX);
    }
    vm->runs[0] = (struct mem_slot){GPA(BASE), (PAGES + 1) * PAGE_SIZE,
                                    HPA(mem_alloc(1, PAGE_SIZE).value - PAGES * PAGE_SIZE), 0};
    vm->run_count = vm->slot_count = 1;
    vm->absent_pages = 0;
    vm->waits_for_memory = vm->waits_logged = false;
    vm->state = VM_RUNNING;
    vm_pages_begin(vm);
}

/* Half of it at a time. */
static void end(void)
{
    while (vm->runs[0].size) {
        uint64_t size = align_up(vm->runs[0].size / 2, PAGE_SIZE);

        vm->runs[0].size -= size;
        vm_pages_free(vm, &vm->runs[0], size);
    }
    CHECK(vm->absent_pages == 0, "at the end no page is missing");
}

static int renew(void)
{
    return vm_pages_renew(vm, GPA(BASE), PAGES * PAGE_SIZE);
}

/* The balloon has left this to its owner. */
static struct balloon_batch *batch_of(unsigned int queue, uint32_t first, unsigned int count)
{
    struct balloon_batch *batch = &vm->pci.balloon.batches[queue];

    batch->state = BALLOON_BUSY;
    batch->count = count;
    for (unsigned int i = 0; i < count; i++)
        batch->pages[i] = (uint32_t)(BASE >> PAGE_SHIFT) + first + i;
    return batch;
}

static int byte_at(uint64_t gpa)
{
    uint8_t byte;

    return guest_mem_read(vm, GPA(gpa), &byte, 1) == 0 ? byte : -1;
}

static enum exit_action touch(uint64_t gpa)
{
    struct vm_exit exit = {.kind = EXIT_MEM, .mem = {.gpa = GPA(gpa), .read = true}};

    return emul_mem(vcpu, &exit);
}

static void test_translation(void)
{
    uint8_t bytes[3 * 4096] = {0};

    begin();
    CHECK(guest_mem_write(vm, GPA(BASE + 4090), bytes, 4200) == 0 && byte_at(BASE + 4089) == 0xa5 &&
              byte_at(BASE + 4090) == 0 && byte_at(BASE + 8289) == 0 &&
              byte_at(BASE + 8290) == 0xa5,
          "pages that lie anywhere are written in a row");
    CHECK(guest_mem_read(vm, GPA(BASE + PAGES * PAGE_SIZE - 1), bytes, 2) == -EFAULT &&
              !guest_mem_is_ram(vm, GPA(BASE + PAGES * PAGE_SIZE)) && byte_at(BASE - 1) == -1,
          "and end where RAM does, mapped or not");
    CHECK(!guest_mem_used(vm, BASE, 0, 1), "the short walk leaves them to the long one");
    end();
}

static void test_taking(void)
{
    struct balloon_batch *batch;
    uint64_t before;

    begin();
    before = fake.pages;
    batch = batch_of(VIRTIO_BALLOON_INFLATE, 3, 10);
    laters = fake.quiesces = fake.slat_flushes = 0;
    vm_pages_work(vm);
    CHECK(fake.pages == before - 10 && vm->absent_pages == 10, "what the balloon takes is free");
    CHECK(fake.quiesces == 1 && fake.slat_flushes == 1, "behind one flush and one wait for all");
    CHECK(batch->state == BALLOON_DONE && laters == 1, "and the driver hears of it");
    CHECK(byte_at(BASE + 3 * PAGE_SIZE) == -1 && byte_at(BASE + 3 * PAGE_SIZE - 1) == 0xa5 &&
              byte_at(BASE + 13 * PAGE_SIZE) == 0xa5 &&
              guest_mem_zero(vm, GPA(BASE + 2 * PAGE_SIZE), 2 * PAGE_SIZE) == -EFAULT &&
              byte_at(BASE + 2 * PAGE_SIZE) == 0xa5,
          "devices find nothing there, and all around it as it was");
    CHECK(guest_mem_is_ram(vm, GPA(BASE + 3 * PAGE_SIZE)), "it is RAM all the same");
    batch->state = BALLOON_BUSY;
    vm_pages_work(vm);
    CHECK(fake.pages == before - 10 && vm->absent_pages == 10 && fake.quiesces == 1,
          "a page that has gone already is not taken again");
    batch = batch_of(VIRTIO_BALLOON_INFLATE, 20, 5);
    batch->state = BALLOON_STALE;
    vm_pages_work(vm);
    CHECK(vm->absent_pages == 10 && batch->state == BALLOON_IDLE,
          "nor one whose driver has been reset");
    end();
}

static void test_bringing(void)
{
    struct balloon_batch *batch;
    uint64_t before;

    begin();
    before = fake.pages;
    batch_of(VIRTIO_BALLOON_INFLATE, 0, 10);
    vm_pages_work(vm);
    batch = batch_of(VIRTIO_BALLOON_DEFLATE, 2, 4);
    vm_pages_work(vm);
    CHECK(fake.pages == before - 6 && vm->absent_pages == 6 && batch->state == BALLOON_DONE &&
              byte_at(BASE + 2 * PAGE_SIZE) == 0 && byte_at(BASE + 5 * PAGE_SIZE) == 0 &&
              byte_at(BASE + 6 * PAGE_SIZE) == -1,
          "what is wanted back is there, empty, when the driver hears of it");
    batch = batch_of(VIRTIO_BALLOON_DEFLATE, 6, 4);
    fake.no_memory = true;
    vm_pages_work(vm);
    CHECK(batch->state == BALLOON_BUSY && vm->waits_for_memory && vm->absent_pages == 6,
          "without memory it waits");
    CHECK(renew() == -ENOMEM && vm->absent_pages == 6, "and cannot start");
    fake.no_memory = false;
    vm_pages_work(vm);
    CHECK(batch->state == BALLOON_DONE && !vm->waits_for_memory && vm->absent_pages == 2,
          "until there is some");
    CHECK(renew() == 0 && vm->absent_pages == 0 && fake.pages == before && byte_at(BASE) == 0 &&
              byte_at(BASE + PAGES * PAGE_SIZE - 1) == 0,
          "at its start all is there, and zero");
    end();
}

static void no_entry(struct vcpu *entered, struct vm_exit *exit)
{
    exit->kind = EXIT_HLT;
    exit->insn_len = 1;
}

static void test_waiting(void)
{
    unsigned int entries;

    begin();
    batch_of(VIRTIO_BALLOON_INFLATE, 0, 10);
    vm_pages_work(vm);
    fake.enter = no_entry;
    CHECK(touch(BASE + 5 * PAGE_SIZE + 123) == ACTION_WAIT,
          "who touches a page that has gone waits");
    vcpu->state = VCPU_WAIT_MEMORY;
    entries = fake.entries;
    vcpu->requests = VCPU_REQ_EVENT | VCPU_REQ_TIMER;
    vcpu_run(vcpu);
    CHECK(fake.entries == entries && vcpu->state == VCPU_WAIT_MEMORY, "and no interrupt wakes him");
    fake.no_memory = true;
    vm_pages_work(vm);
    CHECK(vm->waits_for_memory && !(vcpu->requests & VCPU_REQ_MEMORY), "nor what there is not");
    fake.no_memory = false;
    vm_pages_work(vm);
    CHECK(!vm->waits_for_memory && (vcpu->requests & VCPU_REQ_MEMORY) && vcpu->absent_gpa == 0 &&
              byte_at(BASE + 5 * PAGE_SIZE) == 0,
          "but a page does");
    vcpu_run(vcpu);
    CHECK(fake.entries > entries, "and he goes on");
    CHECK(touch(BASE + 5 * PAGE_SIZE) == ACTION_RESUME, "who comes late need not wait");
    end();
}

static void test_end(void)
{
    begin();
    batch_of(VIRTIO_BALLOON_INFLATE, 7, 30);
    vm_pages_work(vm);
    touch(BASE + 8 * PAGE_SIZE);
    vm_pages_work(vm);
    end();
    CHECK(fake.pages == 0, "in the end every page is given back, and none twice");
}

static void test_all(void)
{
    test_translation();
    test_taking();
    test_bringing();
    test_waiting();
    test_end();
}

int main(void)
{
    fake_on_cpu(test_all);
    return check_done();
}
