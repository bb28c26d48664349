/* SPDX-License-Identifier: MIT */
/*
 * The other CPUs: starting them, waking them, stopping them.  What they run is their caller's, and
 * where the list of them comes from is not known here.
 */
#pragma once

#include "hv/util.h"

struct boot_info;
struct cpu;
struct cpu_list;

/* What a CPU has until its own block is mapped: a note about itself, and a stack on top. */
#define SMP_SLOT_SIZE 0x2000u

/*
 * On the boot CPU's own stack, after tsc_calibrate() and fpu_init().  Starts all CPUs of the list
 * together, and takes in one after the other those that came in time and are like the boot CPU;
 * each of the others gets a line in the log that names it by its APIC id, and waits for a SIPI that
 * nobody sends.  Those that were taken in have the indices from 1 without holes, in the list's
 * order.  When cpu_count says how many there are, each calls main() on its own stack with
 * interrupts off; it must not return.
 */
void smp_start(const struct boot_info *info, const struct cpu_list *list,
               void (*main)(struct cpu *cpu));

/*
 * After work was posted to a CPU: makes it look, by an interrupt at VECTOR_KICK if it is in a guest
 * or asleep, and by nothing if it will look anyway.  See cpu_away_begin().
 */
void smp_kick(struct cpu *cpu);

/*
 * For good, before the machine goes off.  Each stops where it lets interrupts in, so that it holds
 * no lock, and calls before() first if that is not a null pointer.  One that lets none in for 100
 * ms is stopped by NMI wherever it is.
 */
void smp_stop_others(void (*before)(struct cpu *cpu));

/* The same by NMI at once: for panic(). */
void smp_stop_others_now(void);
