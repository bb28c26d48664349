/* SPDX-License-Identifier: MIT */
/* kvmclock: the time of a guest without exits, in a page that the guest names. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* How TSC ticks become nanoseconds in 32 bits: shift left by shift (right if negative), times mul,
 * >> 32.  Pure. */
void kvm_clock_scale(uint64_t tsc_hz, uint32_t *mul, int8_t *shift);

/* MSR_KVM_WALL_CLOCK_NEW and MSR_KVM_SYSTEM_TIME_NEW.  False: #GP. */
uint64_t kvm_clock_read(const struct vcpu *vcpu, uint32_t msr);
bool kvm_clock_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);

/* The guest's TSC or its clock has jumped (a write of TSC, a pause): tell it anew. */
void kvm_clock_update(struct vcpu *vcpu);
