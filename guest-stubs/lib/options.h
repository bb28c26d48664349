/* SPDX-License-Identifier: MIT */
/* Numbers from the stub's command line, "name=number name=number", and kvmclock's word for how fast
 * the TSC is, which holds too when this guest has not the CPU for itself. */
#pragma once

#include <stdint.h>

/* Finds the command line, whichever protocol the stub was started by; done before stub_main(). */
void options_find(void);
/* The number after "name=", else the default. */
uint64_t option(const char *name, uint64_t otherwise);

uint64_t kvm_tsc_per_ms(void);
