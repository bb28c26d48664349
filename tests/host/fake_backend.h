/* SPDX-License-Identifier: MIT */
/*
 * A backend over arrays, and a VM of one vCPU (or more) around it: what the core of hv/ needs to
 * run in a process.  RAM is where the test says; nothing is ever entered but fake.enter().
 */
#pragma once

#include "hv/backend.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#include <stdbool.h>
#include <stdint.h>

#define FAKE_LOW_RAM MIB(4) /* at 0 */

struct fake {
    uint64_t regs[VCPU_REG_COUNT];
    struct segment segs[SEG_COUNT];
    uint64_t pdptes[4], tsc_offset;
    struct vm_event injected; /* the event of the next entry; type EVENT_NONE: none */
    bool windows[2];
    unsigned int flushes, pdpte_loads, entries, dumps;
    bool dr_intercepted;
    uint64_t now_ns;    /* the guest's clock */
    unsigned int stops; /* calls of vm_stop() */
    enum stop_reason stop_reason;
    unsigned int wakes, yields, quiesces, slat_flushes;
    uint64_t pages;       /* that mem_alloc() has given */
    bool no_memory;       /* it gives none */
    uint8_t console[300]; /* what guest_console_put() took */
    unsigned int console_count;
    uint64_t xcr0_written, fpu_mask;
    uint64_t hardware_dr[4], hardware_tsc_aux;
    uint64_t hardware_cr2, hardware_efer, hardware_spec_ctrl;
    unsigned int ibpbs, l1d_flushes; /* what commands were written to MSRs */
    bool lent; /* the local APIC of the last vCPU that fake_apic has begun with */
    struct vlapic_status apic_status;
    uint64_t eoi_exits[4];
    unsigned int passed; /* accesses of registers */
    void (*enter)(struct vcpu *vcpu, struct vm_exit *exit);
};

extern struct fake fake;
extern struct apic_assist fake_apic; /* not available at first */
extern struct vm fake_vm;
extern struct vcpu fake_vcpus[VM_MAX_VCPUS];
extern uint8_t *fake_ram; /* FAKE_LOW_RAM bytes at gpa 0 */

/* Everything as after reset, in flat 64-bit mode at CPL 0, paging as fake_map_flat() makes it. */
void fake_start(unsigned int vcpu_count);
/* Another slot: hpa is the address of the memory in this process. */
void fake_add_slot(uint64_t gpa, void *memory, uint64_t size);

void fake_set_mode(unsigned int bits); /* 16 (real), 32 (no paging), 64 */
void fake_set_cpl(unsigned int cpl);
/* CR3 and four levels that map the first GiB, and the devices below 4 GiB, one to one. */
void fake_map_flat(void);
void fake_poke64(uint64_t gpa, uint64_t value);
uint64_t fake_peek64(uint64_t gpa);
void fake_code(uint64_t gpa, const void *bytes, unsigned int count); /* and RIP points there */

/* Run a test on a stack below a struct cpu, as this_cpu() wants it; privileged instructions are
 * done on `fake`. */
void fake_on_cpu(void (*test)(void));
