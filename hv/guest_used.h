/* SPDX-License-Identifier: MIT */
/*
 * The short walk of a guest's tables, for the paths that frequent exits take: to where the CPU has
 * just been itself.  What it finds is read at once, and judged; nobody keeps the pointer.
 */
#pragma once

#include "arch/x86/paging.h"
#include "arch/x86/regs.h"
#include "hv/util.h"
#include "hv/vm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read once, for others may write it: as through volatile, but within one instruction. */
static inline uint64_t guest_entry(const uint64_t *entry)
{
    uint64_t value = *entry;

    __asm__("" : "+r"(value));
    return value;
}

/* From an entry to that of the table that it points to.  False: it is not in the slot, or not
 * there. Slots are whole pages: a table is in one or is not. */
static inline bool guest_go_down(const struct mem_slot *slot, uint64_t *entry, uint64_t gva,
                                 unsigned int shift)
{
    uint64_t offset = (*entry & CR3_ADDRESS) - slot->gpa.value;
    const uint64_t *table = phys_to_virt(HPA(slot->hpa.value + offset));

    if (unlikely(offset >= slot->size))
        return false;
    *entry = guest_entry(&table[gva >> shift & 511]);
    return likely(*entry & PTE_P);
}

/* The byte at gva of the page of this size that an entry maps. */
static inline const void *guest_in_page(const struct mem_slot *slot, uint64_t entry, uint64_t gva,
                                        uint64_t size)
{
    uint64_t offset = (entry & CR3_ADDRESS & ~(size - 1)) + (gva & (size - 1)) - slot->gpa.value;

    return likely(offset < slot->size) ? phys_to_virt(HPA(slot->hpa.value + offset)) : NULL;
}

/*
 * Where the CPU has just accessed size bytes itself, by four levels of tables at cr3: a walk
 * without any checks of access, which asks only for what it needs, or a null pointer where that
 * does not suffice: RAM outside the largest slot, a page's end within.
 */
static ALWAYS_INLINE const void *guest_mem_used(const struct vm *vm, uint64_t cr3, uint64_t gva,
                                                unsigned int size)
{
    const struct mem_slot *slot = &vm->slots[vm->largest_slot];
    uint64_t entry = cr3;

    if (unlikely((gva & PAGE_MASK) > PAGE_SIZE - size) || !guest_go_down(slot, &entry, gva, 39) ||
        !guest_go_down(slot, &entry, gva, 30))
        return NULL;
    if (entry & PTE_PS)
        return guest_in_page(slot, entry, gva, GIB(1));
    if (!guest_go_down(slot, &entry, gva, 21))
        return NULL;
    if (entry & PTE_PS)
        return guest_in_page(slot, entry, gva, MIB(2));
    return guest_go_down(slot, &entry, gva, PAGE_SHIFT) ? guest_in_page(slot, entry, gva, PAGE_SIZE)
                                                        : NULL;
}
