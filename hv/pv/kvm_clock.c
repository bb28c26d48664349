/* SPDX-License-Identifier: MIT */
/* kvmclock, see KVM's documentation of its MSRs.  The guest's memory is written, never read. */
#include "hv/pv/kvm_clock.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/tsc.h"
#include "hv/board.h"
#include "hv/guest_mem.h"
#include "hv/pv/kvm_abi.h"
#include "hv/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define NS_PER_S 1000000000ull

void kvm_clock_scale(uint64_t tsc_hz, uint32_t *mul, int8_t *shift)
{
    *shift = 0;
    for (; tsc_hz > 2 * NS_PER_S; tsc_hz >>= 1)
        --*shift;
    for (; tsc_hz <= NS_PER_S; tsc_hz <<= 1)
        ++*shift;
    *mul = (uint32_t)fixed_ratio(NS_PER_S, tsc_hz); /* below 2^32, for 1 GHz < tsc_hz */
}

static uint64_t scaled(const struct pvclock_time_info *info, uint64_t ticks)
{
    ticks = info->tsc_shift < 0 ? ticks >> -info->tsc_shift : ticks << info->tsc_shift;
    return fixed_multiply(ticks, info->tsc_to_system_mul);
}

/* The version is odd while the rest is in flux, so that a reader on another vCPU tries again. */
static void publish(struct vcpu *vcpu, struct pvclock_time_info *info)
{
    gpa_t gpa = GPA(vcpu->kvm_system_time & ~(uint64_t)KVM_SYSTEM_TIME_ENABLE);

    info->version = vcpu->kvm_clock.version + 1;
    guest_mem_write(vcpu->vm, gpa, &info->version, sizeof(info->version));
    __atomic_thread_fence(__ATOMIC_RELEASE);
    guest_mem_write(vcpu->vm, GPA(gpa.value + sizeof(uint32_t)), &info->pad0,
                    sizeof(*info) - sizeof(uint32_t));
    __atomic_thread_fence(__ATOMIC_RELEASE);
    info->version++;
    guest_mem_write(vcpu->vm, gpa, &info->version, sizeof(info->version));
    vcpu->kvm_clock = *info;
}

void kvm_clock_update(struct vcpu *vcpu)
{
    struct pvclock_time_info info = {.flags = tsc_info.invariant ? PVCLOCK_TSC_STABLE : 0};
    const struct pvclock_time_info *old = &vcpu->kvm_clock;

    if (!(vcpu->kvm_system_time & KVM_SYSTEM_TIME_ENABLE))
        return;
    kvm_clock_scale(tsc_hz(), &info.tsc_to_system_mul, &info.tsc_shift);
    info.tsc_timestamp = vcpu_guest_tsc(vcpu);
    info.system_time = vm_now_ns(vcpu->vm);
    /* The guest's arithmetic has fewer bits than the host's: what it may have read already is never
     * taken back. */
    if (old->version && vcpu->vm->state == VM_RUNNING && info.tsc_timestamp >= old->tsc_timestamp &&
        info.tsc_timestamp - old->tsc_timestamp < tsc_hz())
        info.system_time =
            MAX(info.system_time,
                old->system_time + scaled(old, info.tsc_timestamp - old->tsc_timestamp));
    publish(vcpu, &info);
}

static bool write_system_time(struct vcpu *vcpu, uint64_t value)
{
    uint64_t last = (value & ~1ull) + sizeof(struct pvclock_time_info) - 1;

    if ((value & KVM_SYSTEM_TIME_ENABLE) &&
        ((value & 2) || last < value || !guest_mem_is_ram(vcpu->vm, GPA(value & ~1ull)) ||
         !guest_mem_is_ram(vcpu->vm, GPA(last))))
        return false;
    vcpu->kvm_system_time = value;
    kvm_clock_update(vcpu);
    return true;
}

/* Written once, when the guest asks, and not stored. */
static bool write_wall_clock(struct vcpu *vcpu, uint64_t gpa)
{
    uint64_t now = vm_now_ns(vcpu->vm);
    uint64_t started_ns = board_date_ns() - now;
    struct pvclock_wall_clock clock = {.version = 2,
                                       .sec = (uint32_t)(started_ns / NS_PER_S),
                                       .nsec = (uint32_t)(started_ns % NS_PER_S)};

    return guest_mem_write(vcpu->vm, GPA(gpa), &clock, sizeof(clock)) == 0;
}

bool kvm_clock_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    *value = msr == MSR_KVM_SYSTEM_TIME_NEW ? vcpu->kvm_system_time : 0;
    return true;
}

bool kvm_clock_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return msr == MSR_KVM_SYSTEM_TIME_NEW ? write_system_time(vcpu, value)
                                          : write_wall_clock(vcpu, value);
}
