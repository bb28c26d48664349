/* SPDX-License-Identifier: MIT */
/*
 * The paravirtual interfaces but for kvmclock: KVM's by its published ABI, and Mica's own calls.
 * What a guest names by an address is checked when it does so, and reached through guest_mem.h.
 */
#pragma once

#include "hv/pv/kvm_abi.h"
#include "hv/pv/mica_abi.h"

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* A vCPU's part; access as in struct vcpu. */
struct pv_vcpu {
    uint64_t steal_time;    /* (c) MSR_KVM_STEAL_TIME */
    uint64_t steal_ns;      /* (c) what the guest was told last */
    uint64_t steal_base_ns; /* (c) the same plus this is what the scheduler has */
    uint32_t steal_version; /* (c) */
    bool eoi_offered;       /* (c) the guest may have skipped an EOI */
    bool kicked;            /* (a) its HLT ends, this one or the next */
    uint64_t eoi;           /* (c) MSR_KVM_PV_EOI_EN */
    uint64_t poll_control;  /* (c) MSR_KVM_POLL_CONTROL */
};

struct pv_args {
    uint64_t a[4]; /* cut to 32 bits outside 64-bit mode */
    bool is_64bit;
};

/* After RESET and INIT: no address that the guest named before is used any more. */
void pv_reset(struct vcpu *vcpu);
/* The call whose number is in RAX, from CPL 0; returns what goes there. */
int64_t pv_call(struct vcpu *vcpu, bool is_64bit);

/* ---- kvm.c ---------------------------------------------------------------------------------- */

/* The bits of KVM_CPUID_FEATURES that stand for what works. */
uint32_t kvm_features(void);
/* MSR_KVM_STEAL_TIME to MSR_KVM_POLL_CONTROL.  False: #GP. */
bool kvm_read_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
bool kvm_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value);
int64_t kvm_call(struct vcpu *vcpu, uint64_t number, const struct pv_args *args);
/* Was it kicked since it was asked last? */
bool kvm_take_kick(struct vcpu *vcpu);

/* ---- kvm_steal.c ---------------------------------------------------------------------------- */

bool kvm_steal_write(struct vcpu *vcpu, uint64_t value);
/* It gets a CPU; and leaves it. */
void kvm_steal_enter(struct vcpu *vcpu);
void kvm_steal_leave(struct vcpu *vcpu);

/* ---- kvm_eoi.c ------------------------------------------------------------------------------ */

bool kvm_eoi_write(struct vcpu *vcpu, uint64_t value);
/* The guest runs next: let it skip the EOI where that need not be noticed at once. */
void kvm_eoi_offer(struct vcpu *vcpu);
/* Before the local APIC's state is looked at: an EOI that was skipped takes place. */
void kvm_eoi_sync(struct vcpu *vcpu);

/* ---- mica.c --------------------------------------------------------------------------------- */

uint32_t mica_features(void);
int64_t mica_call(struct vcpu *vcpu, uint64_t index, const struct pv_args *args);
