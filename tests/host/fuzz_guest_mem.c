/* SPDX-License-Identifier: MIT */
/*
 * Walks over page tables that are nothing but the input, in any mode: no byte outside the guest's
 * memory is touched (the sanitizer watches), and what a walk leads to is what its last entry says.
 */
#include "tests/host/fake_backend.h"

#include "arch/x86/regs.h"
#include "hv/guest_mem.h"
#include "hv/util.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct header {
    uint64_t cr0, cr3, cr4, efer, rflags, gva, rip, cs_base, gpa;
    uint32_t access;
    uint16_t length;
    uint8_t cpl, bits;
};

#define RAM_PAGES 4

static void set_up(const struct header *header, uint8_t *ram)
{
    static const unsigned int modes[] = {16, 32, 64, 64};

    fake_vm.slot_count = 0;
    fake_set_mode(modes[header->bits & 3]);
    fake_set_cpl(header->cpl & 3);
    fake.regs[VCPU_CR0] = header->cr0;
    fake.regs[VCPU_CR3] = header->cr3 & (RAM_PAGES * PAGE_SIZE - 1);
    fake.regs[VCPU_CR4] = header->cr4;
    fake.regs[VCPU_EFER] = header->efer;
    fake.regs[VCPU_RFLAGS] = header->rflags;
    fake.segs[SEG_CS].base = header->cs_base;
    fake_vcpus[0].rip = header->rip;
    fake_add_slot(0, ram, 2 * PAGE_SIZE);
    fake_add_slot(2 * PAGE_SIZE, ram + 2 * PAGE_SIZE, PAGE_SIZE);
    fake_add_slot(header->gpa & ~PAGE_MASK, ram + 3 * PAGE_SIZE, PAGE_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *ram;
    struct header header = {0};
    struct guest_walk walk;
    uint8_t bytes[3 * PAGE_SIZE];

    if (size < sizeof(header))
        return 0;
    if (!ram) {
        ram = malloc(RAM_PAGES * PAGE_SIZE);
        fake_start(1);
    }
    memset(bytes, 0, sizeof(bytes));
    memcpy(&header, data, sizeof(header));
    header.length %= sizeof(bytes);
    data += sizeof(header);
    size -= sizeof(header);
    for (size_t i = 0; i < RAM_PAGES * PAGE_SIZE; i++)
        ram[i] = size ? data[i % size] : 0;
    set_up(&header, ram);

    guest_walk(&fake_vcpus[0], header.gva, header.access, &walk);
    if (walk.step_count > ARRAY_SIZE(walk.steps) ||
        (walk.ok && ((walk.gpa.value ^ header.gva) & PAGE_MASK)))
        abort();
    if (guest_fetch(&fake_vcpus[0], bytes, 15) > 15)
        abort();
    guest_mem_read(&fake_vm, walk.gpa, bytes, header.length);
    guest_mem_read(&fake_vm, GPA(header.gpa), bytes, header.length);
    guest_mem_write(&fake_vm, GPA(header.gpa + header.length), bytes, header.length);
    guest_mem_zero(&fake_vm, GPA(header.gva), header.length);
    return 0;
}
