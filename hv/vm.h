/* SPDX-License-Identifier: MIT */
/*
 * A VM: its memory, its devices, its vCPUs, and how it ends.
 */
#pragma once

#include "hv/addr.h"
#include "hv/board_pci.h"
#include "hv/bus.h"
#include "hv/console.h"
#include "hv/slat.h"
#include "hv/spinlock.h"
#include "hv/timer.h"
#include "hv/vdev/vcmos.h"
#include "hv/vdev/vfwcfg.h"
#include "hv/vdev/vi8042.h"
#include "hv/vdev/vioapic.h"
#include "hv/vdev/vpic.h"
#include "hv/vdev/vpit.h"
#include "hv/vdev/vpm.h"
#include "hv/vdev/vtestdev.h"
#include "hv/vdev/vuart.h"

#include <stdbool.h>
#include <stdint.h>

struct boot_info;
struct guest_config;
struct host_config;
struct pair;
struct vcpu;

#define VM_MAX       64
#define VM_MAX_VCPUS 32
#define VM_MAX_RUNS  32                     /* of RAM */
#define VM_MORE_RUNS (2 + CONFIG_MAX_DISKS) /* tables, what it shared, disks */
#define VM_MAX_SLOTS 64

enum vm_state {
    VM_OFF, /* no vCPU has run, or it has ended; `ended` says how */
    VM_RUNNING,
    VM_PAUSED,
    VM_STARTING, /* its memory is being made fresh */
    VM_FREEING,  /* destroyed, but that not all of its memory is free yet: it is only a name */
};

/* What the main loop is to do with a VM, noted where it cannot be done. */
enum vm_due { DUE_NOTHING, DUE_POWER_OFF, DUE_EXIT, DUE_RESET, DUE_CRASH, DUE_START };

/* A run of guest-physical space with memory behind it.  Sorted by gpa. */
struct mem_slot {
    gpa_t gpa;
    uint64_t size;
    hpa_t hpa;
    unsigned int flags; /* SLAT_* */
};

/* A virtual device's alarm: a host timer that calls the device's tick with the VM's lock held. */
struct vm_timer {
    struct timer timer;
    struct vm *vm;
    void (*tick)(struct vm *vm, uint64_t now_ns);
    uint64_t deadline_ns; /* of the guest's clock, VTIMER_OFF: not set */
};

struct vm {
    unsigned int id; /* below VM_MAX; the next VM has it when this one is destroyed */
    uint32_t number; /* from 1, of no other VM ever */
    const struct guest_config *config;
    enum vm_state state;
    char ended[160];     /* one line: how the last run ended; empty: it never ran */
    uint8_t due;         /* enum vm_due; the first to set it has it, the boot CPU takes it */
    uint32_t exit_value; /* of DUE_EXIT */

    bool restarting; /* it has crashed and starts again when restart_timer fires */
    struct timer restart_timer;
    uint64_t restart_delay_ns; /* the next one */
    bool insists;              /* on its start: it tries again if there is no memory */
    bool ran;                  /* its memory is not fresh any more */

    struct vm *next_chore;     /* of those that wait for work on their memory */
    bool renewing;             /* it has begun, and is here: */
    unsigned int renewed_slot; /* an index of slots */
    uint64_t renewed_size;     /* of that one */

    struct slat slat; /* changed with the lock held, except while no vCPU can run */
    unsigned int run_count;
    /* As allocated: what is given back, in this order. */
    struct mem_slot runs[VM_MAX_RUNS + VM_MORE_RUNS];
    unsigned int slot_count;
    unsigned int paged_count; /* instead, of an overcommitted one: its slots have no address, their
                                 pages are where the tables say; see vm_pages.h */
    struct mem_slot slots[VM_MAX_SLOTS + 1]; /* the last is empty */
    unsigned int largest_slot;               /* an index of slots */
    uint64_t absent_pages;                   /* given back to the machine */
    bool waits_for_memory, waits_logged;     /* there is none for a page that is needed again */
    void *backend;                           /* the backend's part: permission maps */

    unsigned int vcpu_count;
    struct vcpu *vcpus[VM_MAX_VCPUS];

    struct pair *pair; /* what it has in common with another VM */
    uint8_t side;      /* which half of that is its own */

    /* Everything below is serialised by lock, for accesses come from all vCPUs, timers and the
     * console. */
    struct spinlock lock;
    struct pio_bus pio;
    struct mmio_bus mmio;
    struct vuart uart;
    struct vpic pic;
    struct vpit pit;
    struct vcmos cmos;
    struct vpm pm;
    struct vi8042 i8042;
    struct vtestdev testdev; /* this and the next two: with "testdev = on" only */
    struct vfwcfg fwcfg;
    hpa_t test_memory; /* of testdev */
    struct vioapic ioapic;
    struct board_pci pci;
    struct vm_timer pit_timer, cmos_timer, pm_timer, pci_timer;
    uint32_t lowest_rotor;
    bool pic_intr; /* the 8259's output */

    /* The guest's clock: vclock = host time - clock_base while running, clock_stopped while not. */
    uint64_t clock_tsc;     /* the host's TSC when it was 0; every pause adds its length */
    uint64_t clock_base_ns; /* the same as host time */
    uint64_t clock_stopped_ns;
    uint64_t stopped_tsc; /* the host's when it was last paused */

    struct guest_console console;
};

/* Why a VM was stopped; the line that is logged says the rest. */
enum stop_reason {
    STOP_TRIPLE_FAULT,
    STOP_TASK_SWITCH,
    STOP_UNKNOWN_EXIT,
    STOP_ENTRY_FAILED,
    STOP_UNSUPPORTED, /* an instruction or state that Mica does not emulate */
};

/* ---- Which there are: vm_table.c ------------------------------------------------------------ */

/* The VMs that mica.conf describes; those that cannot be are named in the log. */
void vm_create_all(void);
/*
 * Make the one of that name that mica.conf describes, switched off; or stop a VM, and give all of
 * its memory back, after which it is gone.  On the boot CPU's main loop only.  0, or a negative
 * errno with one line of why in *why.
 */
int vm_create(const char *name, const char **why);
void vm_destroy(struct vm *vm);
unsigned int vm_count(void);
void vm_free_slice(struct vm *vm); /* for vm_chore.c */
struct vm *vm_by_index(unsigned int index);
struct vm *vm_by_id(unsigned int id);
struct vm *vm_find(const char *name);
struct vm *vm_of_console(void); /* whose console is shown at first, or a null pointer */
/* The n-th of those that mica.conf describes and that are not there, or a null pointer. */
const char *vm_absent_name(unsigned int n);
const struct host_config *vm_host_config(void);

/* ---- The life of one: vm.c ------------------------------------------------------------------ */

const char *vm_name(const struct vm *vm);
const char *vm_state_name(const struct vm *vm);
static inline bool vm_is_on(const struct vm *vm)
{
    return vm->state == VM_RUNNING || vm->state == VM_PAUSED;
}
/* Start those that start by themselves. */
void vm_start_all(void);
void vm_init_restart(struct vm *vm); /* for vm_create() */
void vm_start_slice(struct vm *vm);  /* for vm_chore.c */

/* For the monitor: 0, or a negative errno with one line of why in *why.  A VM with much memory is
 * only about to start then, and says itself if it cannot. */
int vm_start(struct vm *vm, const char **why);
int vm_pause(struct vm *vm, const char **why);
int vm_resume(struct vm *vm, const char **why);
int vm_reset(struct vm *vm, const char **why);
int vm_stop_command(struct vm *vm, const char **why);

/* From a handler on one of its vCPUs, or a device: the VM ends.  Returns ACTION_STOP for handlers'
 * convenience. */
enum exit_action vm_stop(struct vm *vm, struct vcpu *vcpu, enum stop_reason reason,
                         const char *format, ...) PRINTF(4, 5);

/* From a device, with the VM's lock held: noted, done by the main loop. */
void vm_set_due(struct vm *vm, enum vm_due due, uint32_t value);

uint64_t vm_now_ns(const struct vm *vm);
uint64_t vm_ns_to_tsc(const struct vm *vm, uint64_t guest_ns); /* of the host's TSC, rounded up */
void vm_work(void); /* what the main loop does for VMs: resets that are due, the end of the last */
bool vm_any_running(void);
