/* SPDX-License-Identifier: MIT */
/*
 * Lending local APICs to a CPU that virtualizes them (struct apic_assist of the backend): when, and
 * what passes between the two.  A vCPU is loaded but where it says otherwise.
 */
#pragma once

#include "hv/backend.h"
#include "hv/vcpu.h"

#include <stdbool.h>

/* At creation, loaded or not.  The second gives 0 or -ENOMEM. */
void apic_assist_vm_create(struct vm *vm);
int apic_assist_create(struct vcpu *vcpu);
void apic_assist_destroy(struct vcpu *vcpu);

/* The local APIC's mode may have changed, or the backend's state has been reset. */
void apic_assist_update(struct vcpu *vcpu);

void apic_assist_feed_posted(struct vcpu *vcpu);

/* What was posted reaches a lent APIC. */
static inline void apic_assist_feed(struct vcpu *vcpu)
{
    if (vlapic_has_posted(&vcpu->lapic))
        apic_assist_feed_posted(vcpu);
}

/* Would the CPU deliver an interrupt of a lent APIC if RFLAGS let it? */
bool apic_assist_pending(struct vcpu *vcpu);
