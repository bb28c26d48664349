/* SPDX-License-Identifier: MIT */
/*
 * What takes long with the memory of a VM: it is zeroed before a new start (VM_STARTING), or given
 * back (VM_FREEING).  The boot CPU's main loop does it a slice at a time, one VM after the other,
 * and the guests there run in between.
 */
#pragma once

struct vm;

/* When no other is to be done the first slice is done at once, and with it all that is quick. */
void vm_chore_add(struct vm *vm);
/* It is done, or not wanted any more. */
void vm_chore_remove(struct vm *vm);
void vm_chore_work(void); /* a slice */
