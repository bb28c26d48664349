/* SPDX-License-Identifier: MIT */
/*
 * Time: the TSC, its measured frequency, and conversions.  CPUID 15h and 16h are hints that must
 * agree with the measurement within 1%, never more.
 */
#pragma once

#include "arch/x86/regs.h"

#include <stdbool.h>
#include <stdint.h>

struct tsc_info {
    uint64_t hz;
    uint64_t boot;          /* the TSC when tsc_calibrate() began: time_ns() counts from here */
    uint64_t ns_per_tick;   /* 32.32 */
    uint64_t ticks_per_ns;  /* 32.32 */
    uint64_t lapic_hz;      /* the local APIC timer's, at divide by 1; 0: not measured */
    uint64_t lapic_per_tsc; /* 32.32 */
    const char *source;     /* what it was measured against */
    uint64_t cpuid_hz;      /* what CPUID claims, 0: nothing */
    bool cpuid_agrees;
    bool invariant;
};

extern struct tsc_info tsc_info;

/*
 * Measures for at most 10 ms, without interrupts, against the PIT's channel 2, or the ACPI PM timer
 * (3.579545 MHz) when its port is given (0: unknown).  The local APIC must be mapped
 * (lapic_init()): its timer is measured along.  False when there is neither: the caller gives up.
 */
bool tsc_calibrate(uint16_t pm_timer_port);

static inline uint64_t tsc_hz(void)
{
    return tsc_info.hz;
}

/* (value * factor) >> 32 with 128 bits between: no overflow while the result fits. */
static inline uint64_t fixed_multiply(uint64_t value, uint64_t factor)
{
    return (uint64_t)(((unsigned __int128)value * factor) >> 32);
}

static inline uint64_t tsc_to_ns(uint64_t ticks)
{
    return fixed_multiply(ticks, tsc_info.ns_per_tick);
}

static inline uint64_t ns_to_tsc(uint64_t ns)
{
    return fixed_multiply(ns, tsc_info.ticks_per_ns);
}

/*
 * The first ticks, or a few more, that tsc_to_ns() makes ns of.  Both factors are rounded down, so
 * that ns_to_tsc() alone comes too early, by more the longer the machine has run.
 */
static inline uint64_t ns_to_tsc_after(uint64_t ns)
{
    uint64_t ticks = ns_to_tsc(ns);
    uint64_t reached = tsc_to_ns(ticks);

    return reached < ns ? ticks + ns_to_tsc(ns - reached) + 2 : ticks;
}

/* Nanoseconds since boot. */
static inline uint64_t time_ns(void)
{
    return tsc_to_ns(rdtsc() - tsc_info.boot);
}

/* numerator * 2^32 / denominator, rounded down; the result must fit. */
uint64_t fixed_ratio(uint64_t numerator, uint64_t denominator);

/* Busy waits, for start-up and shutdown only. */
void delay_us(uint64_t us);
