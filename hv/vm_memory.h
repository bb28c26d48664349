/* SPDX-License-Identifier: MIT */
/* A VM's memory, from its creation to its end.  How the guest's addresses are reached, guest_mem.h
 * says. */
#pragma once

#include "hv/addr.h"
#include "hv/util.h"

#include <stdbool.h>
#include <stdint.h>

struct vm;

#define VM_MEMORY_SLICE KIB(256) /* what is zeroed in one go while others wait */

/* As its configuration says, mapped; 0, or a negative errno, after which vm_memory_free() is due
 * all the same. */
int vm_memory_create(struct vm *vm);
void vm_memory_free(struct vm *vm);
/* A slice of that: false when nothing is left. */
bool vm_memory_free_some(struct vm *vm);
/* More memory for the VM, contiguous, or HPA(0); and some that it is to have from now on.  Freed
 * with the rest, and after it. */
hpa_t vm_memory_take(struct vm *vm, uint64_t pages);
void vm_memory_adopt(struct vm *vm, hpa_t hpa, uint64_t size);
uint64_t vm_memory_size(const struct vm *vm); /* of all that is left of it */
/*
 * As fresh as after a power cycle: whole and zero.  At the first start it is so already.  0, or
 * -ENOMEM at once when there is not what it has given away; then slices: 1 while there is more to
 * do, 0, -ENOMEM.
 */
int vm_memory_renew_begin(struct vm *vm);
int vm_memory_renew(struct vm *vm);
/*
 * After mappings were taken away or narrowed, with what serialises that: each vCPU's next entry
 * starts without any translation of before.  Those that are in the guest leave it, but use the old
 * ones until they have: before a page is put to another use, loop_quiesce() is due too.  Any CPU,
 * handlers included.
 */
void vm_memory_flush(struct vm *vm);

/* With the VM's lock held: other memory than its own, at a place in the PCI window, where the
 * guest's CPUs reach it as they reach RAM; and gone from there. */
void vm_memory_show(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t size);
void vm_memory_hide(struct vm *vm, gpa_t gpa, uint64_t size);
