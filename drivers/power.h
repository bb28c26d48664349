/* SPDX-License-Identifier: MIT */
/*
 * Turning the machine off and on again, by every way that is known, in order.  The caller has
 * stopped all other CPUs and turned virtualization off on this one, and interrupts are off.
 */
#pragma once

#include "hv/util.h"

#include <stdint.h>

/* EFI_SYSTEM_TABLE's physical address, and a CR3 under which firmware's runtime services work; 0:
 * none. */
void power_init(uint64_t system_table, uint64_t runtime_cr3);

/* ACPI S5, then firmware.  Returns when neither works. */
void power_machine_off(void);

/* ACPI's reset register, 0xcf9, the keyboard controller, a triple fault. */
NORETURN void power_machine_reboot(void);
