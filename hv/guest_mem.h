/* SPDX-License-Identifier: MIT */
/*
 * Guest memory, checked: by guest-physical address, and by guest-virtual one through the guest's
 * own tables.  What is read is copied once and then judged; nobody keeps a pointer across an exit.
 * A page that an overcommitted VM has given back is no RAM here (vm_pages.h); should one go while
 * it is copied, a part may have been.
 */
#pragma once

#include "hv/addr.h"

#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct vm;

/* 0, or -EFAULT when any byte is not in the guest's RAM (nothing is copied then). */
int guest_mem_read(struct vm *vm, gpa_t gpa, void *to, uint64_t size);
int guest_mem_write(struct vm *vm, gpa_t gpa, const void *from, uint64_t size);
int guest_mem_zero(struct vm *vm, gpa_t gpa, uint64_t size);
/* Two bytes at an even address, in one piece whatever other CPUs do. */
int guest_mem_load16(struct vm *vm, gpa_t gpa, uint16_t *value);
int guest_mem_store16(struct vm *vm, gpa_t gpa, uint16_t value);
/* The bytes where they lie, to be copied at once: the guest may change them meanwhile.  A null
 * pointer where they are not in one piece of RAM. */
const void *guest_mem_look(struct vm *vm, gpa_t gpa, uint64_t size);
bool guest_mem_is_ram(struct vm *vm, gpa_t gpa);
/* Exchange one byte atomically, with the guest's CPUs too.  Returns what it was; 0 where there is
 * no RAM. */
uint8_t guest_mem_exchange(struct vm *vm, gpa_t gpa, uint8_t value);

#define ACCESS_READ  0u
#define ACCESS_WRITE 1u
#define ACCESS_FETCH 2u
#define ACCESS_USER  4u /* as CPL 3; else as a supervisor, SMAP as RFLAGS.AC says */
#define ACCESS_QUIET 8u /* no accessed and dirty bits are set: for the monitor */

/* One step of a walk, for the monitor's `walk`. */
struct walk_step {
    unsigned int level; /* 5..1 */
    gpa_t entry_gpa;
    uint64_t entry;
};

struct guest_walk {
    bool ok;
    gpa_t gpa;
    uint64_t page_size;
    uint32_t error; /* the page-fault error code when !ok */
    unsigned int step_count;
    struct walk_step steps[5];
};

/* Walk the guest's tables for a linear address in the vCPU's present mode. */
void guest_walk(struct vcpu *vcpu, uint64_t gva, uint32_t access, struct guest_walk *out);

/* Bytes of code at CS:RIP into bytes, up to size (at most 15); returns how many could be read. */
unsigned int guest_fetch(struct vcpu *vcpu, uint8_t *bytes, unsigned int size);
/* The same for an instruction that the CPU has begun to execute: so it could be fetched. */
unsigned int guest_fetch_begun(struct vcpu *vcpu, uint8_t *bytes, unsigned int size);
