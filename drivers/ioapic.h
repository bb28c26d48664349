/* SPDX-License-Identifier: MIT */
/* The machine's I/O APICs: all pins masked at start, then those routed that the hypervisor itself
 * uses. */
#pragma once

#include "drivers/acpi_tables.h"

#include <stdbool.h>
#include <stdint.h>

/* From the MADT, or at the customary address where there is none.  Returns the number of pins, 0:
 * no I/O APIC. */
unsigned int ioapic_init(const struct acpi_info *info);

/* An ISA interrupt to one CPU's local APIC.  False when no I/O APIC has its pin, or the id does not
 * fit. */
bool ioapic_route_isa(const struct acpi_info *info, uint8_t irq, uint8_t vector, uint32_t apic_id);
