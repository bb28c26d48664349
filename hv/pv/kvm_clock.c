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

/* The version is odd while the rest is in flux, so that a reader on another vCPU tries again. */
static void publish(struct vcpu *vcpu, struct pvclock_time_info *info)
{
    gpa_t gpa = GPA(vcpu->kvm_system_time & ~(uint64_t)KVM_SYSTEM_TIME_ENABLE);

    info->version++;
    guest_mem_write(vcpu->vm, gpa, &info->version, sizeof(info->version));
    __atomic_thread_fence(__ATOMIC_RELEASE);
    guest_mem_write(vcpu->vm, GPA(gpa.value + sizeof(uint32_t)), &info->pad0,
                    sizeof(*info) - sizeof(uint32_t));
    __atomic_thread_fence(__ATOMIC_RELEASE);
    info->version++;
    guest_mem_write(vcpu->vm, gpa, &info->version, sizeof(info->version));
    vcpu->kvm_clock_version = info->version;
}

/*
 * All vCPUs have the same line through the same point, when the clock was 0, with only their own
 * TSC's offset in it: so what one has read no other reads again, whatever was rounded.
 */
void kvm_clock_update(struct vcpu *vcpu)
{
    struct pvclock_time_info info = {
        .flags = tsc_info.invariant ? PVCLOCK_TSC_STABLE : 0,
        .version = vcpu->kvm_clock_version,
        .tsc_timestamp = vcpu->vm->clock_tsc + vcpu->tsc_offset,
    };

    if (!(vcpu->kvm_system_time & KVM_SYSTEM_TIME_ENABLE))
        return;
    kvm_clock_scale(tsc_hz(), &info.tsc_to_system_mul, &info.tsc_shift);
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

uint64_t kvm_clock_read(const struct vcpu *vcpu, uint32_t msr)
{
    return msr == MSR_KVM_SYSTEM_TIME_NEW ? vcpu->kvm_system_time : 0;
}

bool kvm_clock_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return msr == MSR_KVM_SYSTEM_TIME_NEW ? write_system_time(vcpu, value)
                                          : write_wall_clock(vcpu, value);
}
