/* SPDX-License-Identifier: MIT */
/*
 * Which CPUs are to be started: firmware's list, from whichever table it came, made sound.  Pure;
 * starts nothing.
 */
#pragma once

#include "arch/x86/cpu.h"

#include <stdbool.h>
#include <stdint.h>

struct cpu_list {
    unsigned int count;
    uint32_t highest_id; /* the highest APIC id that an IPI reaches in the local APIC's mode */
    uint32_t apic_ids[CPU_MAX]; /* the boot CPU first, then in firmware's order; none twice */
};

/* The boot CPU alone. */
void cpu_list_init(struct cpu_list *list, uint32_t boot_apic_id, bool x2apic);

/*
 * An entry of firmware's.  The boot CPU's own and those that are not enabled add nothing.  Returns
 * why an enabled one is left out, to be said behind its name, or a null pointer.
 */
const char *cpu_list_add(struct cpu_list *list, uint32_t apic_id, bool enabled);
