/* SPDX-License-Identifier: MIT */
/* Three VMs of two CPUs each, over the fake backend: "one" and "two" name each other, "alone" names
 * nobody. */
#pragma once

#include "tests/host/fake_backend.h"

#include "arch/x86/regs.h"
#include "hv/config.h"
#include "hv/intr.h"
#include "hv/mem.h"
#include "hv/pair.h"
#include "hv/pv/pv.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vm_memory.h"

#include <string.h>

#define WORLD_CPUS  2
#define SHARED_SIZE PAGE_SIZE

enum { ONE, TWO, ALONE, WORLD_VMS };

static struct vm world[WORLD_VMS];
static struct vcpu world_cpus[WORLD_VMS][WORLD_CPUS];
static const struct guest_config world_configs[WORLD_VMS] = {
    {.name = "one", .share = {"two", SHARED_SIZE}},
    {.name = "two", .share = {"one", SHARED_SIZE}},
    {.name = "alone"},
};

static inline void world_add(unsigned int which)
{
    struct vm *vm = &world[which];
    const struct vm *partner = which < ALONE && world[!which].pair ? &world[!which] : NULL;

    memset(vm, 0, sizeof(*vm));
    vm->id = which;
    vm->config = &world_configs[which];
    vm->vcpu_count = WORLD_CPUS;
    for (unsigned int i = 0; i < WORLD_CPUS; i++) {
        struct vcpu *vcpu = &world_cpus[which][i];

        memset(vcpu, 0, sizeof(*vcpu));
        vcpu->vm = vm;
        vcpu->id = i;
        vm->vcpus[i] = vcpu;
        intr_vcpu_init(vcpu);
        vlapic_reset(&vcpu->lapic);
        vcpu->lapic.svr |= APIC_SVR_ENABLE;
    }
    pair_join(vm, partner);
}

/* The memory of a pair is freed with that of its last VM. */
void vm_memory_adopt(struct vm *vm, hpa_t hpa, uint64_t size)
{
    mem_free(hpa, size >> PAGE_SHIFT);
}

/* As vm_destroy() has it. */
static inline void world_remove(unsigned int which)
{
    event_close_all(&world[which]);
    pair_leave(&world[which]);
}

static inline int64_t world_call(unsigned int which, enum mica_call call, uint64_t a, uint64_t b)
{
    struct vcpu *vcpu = &world_cpus[which][0];
    pv_function *function = pv_find(MICA_CALL_FIRST + call);

    vcpu->gprs.r[GPR_RAX] = MICA_CALL_FIRST + call;
    vcpu->gprs.r[GPR_RBX] = a;
    vcpu->gprs.r[GPR_RCX] = b;
    return function ? function(vcpu) : -MICA_ENOSYS;
}
