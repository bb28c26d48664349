/* SPDX-License-Identifier: MIT */
/* The machine's ACPI: its tables, mapped and read once, and its registers. */
#pragma once

#include "drivers/acpi_tables.h"

#include <stdbool.h>
#include <stdint.h>

/* After paging_init(), and again is harmless.  rsdp 0: firmware has no tables. */
void acpi_init(uint64_t rsdp);

/* Never a null pointer; all zero before acpi_init() and where there are no tables. */
const struct acpi_info *acpi_info(void);

/* The port of the PM timer, or 0: for tsc_calibrate(). */
uint16_t acpi_pm_timer_port(void);

/* Into S5.  Returns when the machine cannot, or has not gone off within a second. */
void acpi_power_off(void);

/* By the reset register.  Returns when there is none, or nothing has happened. */
void acpi_reset(void);
