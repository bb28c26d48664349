/* SPDX-License-Identifier: MIT */
/* Bringing a VM to the point where it can run. */
#pragma once

struct vm;

/*
 * Makes its memory fresh, a slice at a time: 1 while there is more to do; 0; or -ENOMEM, with the
 * reason in vm->ended and in the log.
 */
int vm_boot_renew(struct vm *vm);
/*
 * Then load its kernel and set the state that the boot protocol promises; none of its vCPUs may run
 * or be loaded anywhere.  On failure a negative errno, with the reason in vm->ended and in the log.
 */
int vm_boot_up(struct vm *vm);
