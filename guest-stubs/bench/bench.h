/* SPDX-License-Identifier: MIT */
/* The parts of the stub "bench": the operations (ops.asm), and who times and prints them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VEC_TIMER 0x51 /* ops.asm has the other vectors too */
#define VEC_SELF  0x50
#define VEC_IPI   0x61

#define ROUNDS 1000u

struct samples {
    uint32_t count;
    uint64_t min, sum;
};

extern uint64_t empty_cost; /* of a measurement of nothing */

void samples_add(struct samples *samples, uint64_t ticks);
void samples_print(const char *name, const struct samples *samples);

struct operation {
    const char *name;
    uint64_t (*run)(uint64_t round);
    const char *missing; /* why it cannot be run here; a null pointer: it can */
};

/* Runs it ROUNDS times and prints its line. */
void measure(const struct operation *operation);
void print_skipped(const char *name, const char *reason);
void set_handler(unsigned int vector, void (*handler)(void));

void measure_instructions(void);
void measure_xapic(void);
void measure_x2apic(void);
void measure_ipi(void);
void measure_switch(void);

/* Starts the CPU with this APIC id, which runs the function again and again.  False: it has not
 * come. */
bool start_cpu(uint32_t id, void (*function)(void));

extern uint32_t apic_is_x2;
/* Of the local APIC, in either mode: `reg` is the page's offset. */
void apic_write(unsigned int reg, uint32_t value);
