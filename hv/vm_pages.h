/* SPDX-License-Identifier: MIT */
/*
 * Pages that come and go: the memory of a VM with "overcommit = on".  What its balloon takes goes
 * back to the machine, and where such a page is touched again the vCPU waits until the machine has
 * one for it.  The second-level tables alone say which pages are there, and where.
 *
 * All moving is done on the boot CPU's main loop, a batch at a time.  What else reaches a guest's
 * memory (devices, hypercalls, emulated instructions) finds no RAM where a page is absent: a driver
 * has its pages back before the device answers that it has.
 */
#pragma once

#include "hv/addr.h"
#include "hv/exit.h"

#include <stdbool.h>
#include <stdint.h>

struct mem_slot;
struct vcpu;
struct vm;

/* Its memory, whole and mapped, is kept by pages from now on; and given back by pages, so much
 * behind what is left of a run. */
void vm_pages_begin(struct vm *vm);
void vm_pages_free(struct vm *vm, const struct mem_slot *run, uint64_t size);
/* Zeroes whole pages of RAM, and brings those that are absent.  0 or -ENOMEM.  None of its vCPUs
 * runs. */
int vm_pages_renew(struct vm *vm, gpa_t gpa, uint64_t size);

/* Is an address in the RAM of such a VM, whether its page is there or not? */
bool vm_pages_have(const struct vm *vm, gpa_t gpa);
/* The host's view of [gpa, gpa + size) within a page of its RAM, or a null pointer. */
void *vm_pages_at(const struct vm *vm, uint64_t gpa, uint64_t size);

/* A vCPU has touched RAM that was not mapped: it waits, or tries again if the page has come. */
enum exit_action vm_pages_touched(struct vcpu *vcpu, gpa_t gpa);
/* There is something to move, or there may be memory for those who wait.  Any CPU. */
void vm_pages_post(void);
/* Moves what is to be moved; on the boot CPU's main loop. */
void vm_pages_work(struct vm *vm);
