/* SPDX-License-Identifier: MIT */
/*
 * What panic() is given at start-up, so that it can say more than its own layer knows: where to
 * write, what names are, and how to stop the rest of the machine.  Everything works without, only
 * less.
 */
#pragma once

#include "hv/util.h"

#include <stddef.h>
#include <stdint.h>

struct boot_info;
struct trap_frame;
struct vcpu;

/* Names for the stack trace; once more after paging_init(), for they lie elsewhere then. */
void panic_init(const struct boot_info *info);

/* Until set: COM1 at 0x3f8, polled.  Must work with interrupts off and locks in any state. */
void panic_set_output(void (*write)(const char *text, size_t size));

/* Shows the vCPU that is loaded on the CPU that panicked. */
void panic_set_guest_dump(void (*dump)(struct vcpu *vcpu));
void panic_set_exit_names(const char *(*name)(uint32_t kind));

/* Called first; must make the other CPUs stop, without waiting long. */
void panic_set_stop_others(void (*stop)(void));

/* A line's worth of text to where the panic goes; for the guest dump. */
void panic_print(const char *format, ...) PRINTF(1, 2);

/* A panic about an exception: its frame is what is shown. */
NORETURN void panic_trap(const struct trap_frame *frame, const char *format, ...) PRINTF(2, 3);

/* A random value for the stack protector.  Only a function that never returns may call it. */
void panic_seed_stack_guard(uint64_t random);
