/* SPDX-License-Identifier: MIT */
/*
 * The host's measures against speculative execution: against a guest that reads what the CPU did
 * for Mica or for another guest, or that steers it there.  A table says which of them this CPU
 * needs and which it can; what lies next to an entry or an exit is done by speculation.asm.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cpu;

/* What is done, as bits of speculation_measures. */
#define SPECULATION_REGISTERS   0x001u /* cleared at each exit */
#define SPECULATION_AUTO_IBRS   0x002u /* in EFER */
#define SPECULATION_IBRS        0x004u /* in SPEC_CTRL */
#define SPECULATION_IBRS_EXIT   0x008u
#define SPECULATION_IBPB_EXIT   0x010u
#define SPECULATION_IBPB_GUESTS 0x020u
#define SPECULATION_BHI_DIS     0x040u /* in SPEC_CTRL */
#define SPECULATION_STIBP       0x080u /* in SPEC_CTRL */
#define SPECULATION_RSB         0x100u
#define SPECULATION_L1D         0x200u
#define SPECULATION_VERW        0x400u

/* All 0 with `mitigations = off`: the backends then enter by an entry without measures. */
extern uint32_t speculation_measures;
/* IA32_ARCH_CAPABILITIES; 0 without. */
extern uint64_t speculation_capabilities;

/* Once, after the configuration is known and before a guest is made. */
void speculation_init(bool on);
/* What speculation_init() decides of host_cpuid and these capabilities. */
void speculation_decide(bool on, uint64_t arch_capabilities);

/* A row of `info host`; false when the index is past the last. */
struct speculation_row {
    const char *name;
    const char *when;     /* it is done, where nothing below says no */
    const char *needless; /* why this CPU can do without; a null pointer: it cannot */
    const char *missing;  /* the CPU's feature that it would take; a null pointer: it is there */
};

bool speculation_row(unsigned int index, struct speculation_row *row);

/* The vCPU of a guest comes to this CPU; guests have numbers from 1 that are never used again. */
void speculation_change_guest(struct cpu *cpu, uint32_t guest);
