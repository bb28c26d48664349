/* SPDX-License-Identifier: MIT */
/* The parts of the stub "smp", and what they share: starting CPUs, giving them work, counting what
 * reaches them. */
#pragma once

#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define MAX_CPUS 32

#define VEC_IPI      0x61
#define VEC_PING     0x71
#define VEC_PONG     0x72
#define VEC_WATCHDOG 0xe0
#define VEC_SPURIOUS 0xef

#define ICR_LOWEST  0x100u
#define ICR_INIT    0x500u
#define ICR_STARTUP 0x600u
#define ICR_LOGICAL 0x800u
#define ICR_ASSERT  0x4000u
#define ICR_ALL     0x80000u
#define ICR_OTHERS  0xc0000u
#define ICR_BUSY    0x1000u
#define LAPIC_LDR   0x0d0
#define LAPIC_DFR   0x0e0

/* A CPU's number is its APIC id; the boot CPU's is 0. */
extern unsigned int cpu_count;
unsigned int this_cpu(void);
/* TSC ticks in a millisecond, not measured: other guests may have the CPU at any time. */
extern uint64_t tsc_ms;

struct cpu_state {
    volatile unsigned int arrivals; /* how often it came out of the trampoline */
    volatile unsigned int ipis, nmis;
    volatile unsigned int apic_id, topology_id; /* as CPUID says there */
    void (*volatile job)(void);
};
extern struct cpu_state cpus[MAX_CPUS];

/* The boot CPU's part, before all else here. */
void cpus_init(void);

/* The interrupt controller in either mode; `to` is 8 bits wide in xAPIC mode. */
void lapic_enable(void);
void lapic_eoi(void);
void ipi(uint32_t to, uint32_t command);

/* INIT, SIPI, SIPI; false: it has not come within a second. */
bool start_cpu(unsigned int cpu);
/* Lets another CPU run the function, with interrupts on, and waits until it has (start only: until
 * it could have begun). */
void start_job(unsigned int cpu, void (*job)(void));
bool run_job(unsigned int cpu, void (*job)(void));
/* The same on all CPUs, the boot CPU last. */
bool run_everywhere(void (*job)(void));

/* Waits with interrupts on until the condition holds; false after five seconds. */
bool wait_until(bool (*condition)(void));
void wait_ms(unsigned int ms);

void smp_start(void);
void smp_ipi(void);
void smp_stress(void);
