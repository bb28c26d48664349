/* SPDX-License-Identifier: MIT */
/*
 * Events of a vCPU: what is pending, what can be delivered at the next entry, and the routing of
 * interrupt messages to the local APICs of a VM.
 */
#pragma once

#include "hv/vdev/apic_message.h"

#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct vm;
struct vm_event;

void intr_vcpu_init(struct vcpu *vcpu);

/* Before an entry: inject what can be, ask for a window for what cannot. */
void intr_deliver(struct vcpu *vcpu);

/* Would the guest take an interrupt now if its flags let it? */
bool intr_pending(const struct vcpu *vcpu);

/* The guest ends the interrupt in service. */
void intr_end(struct vcpu *vcpu);

/* Is there anything that ends a HLT? */
bool intr_wakes(struct vcpu *vcpu);

/* Send a message to this vCPU, whatever its destination is.  Any CPU. */
void intr_send(struct vcpu *vcpu, const struct apic_message *message);

/* Send a message to every vCPU of the VM that it concerns.  Any CPU. */
void intr_route(struct vm *vm, const struct apic_message *message);

/* The 8259's output has changed.  With the VM's lock held. */
void intr_pic_changed(struct vm *vm, bool level);

/* From the monitor or a message. */
void intr_post_nmi(struct vcpu *vcpu);

/* The guest's clock goes on after a pause: set the local APIC timer's alarm anew. */
void intr_resume_timer(struct vcpu *vcpu);

/* Leave the wait for SIPI at the page that came with it. */
void intr_start_at_sipi(struct vcpu *vcpu);
