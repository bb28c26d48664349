/* SPDX-License-Identifier: MIT */
/*
 * What every stub is made of: printing, reporting checks as TAP, leaving.  A stub's main function
 * is stub_main(); it runs in 64-bit mode at CPL 0 with interrupts off, and returns when it is done.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

void stub_main(void);

/* EAX, EBX, ECX and ESI at the entry (hv/load/flat.c says what they hold); by Multiboot and PVH
 * only the command line is found. */
extern uint32_t start_values[4];
#define START_FLAT    0x4d494341u /* START_MAGIC of a flat binary: "MICA" */
#define START_MAGIC   start_values[0]
#define START_RSDP    start_values[1]
#define START_RAM_KIB start_values[2]
#define START_CMDLINE start_values[3]

/* %s, %u and %x with l for 64 bits, %c and %%. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One check.  Returns ok. */
bool check(bool ok, const char *what, ...) __attribute__((format(printf, 2, 3)));
bool check_list(bool ok, const char *what, va_list arguments);
/* Two values that must be equal; a failure prints both. */
bool check_equal(uint64_t got, uint64_t expected, const char *what, ...)
    __attribute__((format(printf, 3, 4)));
/* A check that cannot be made here. */
void skip(const char *what, const char *reason);

/* The guest ends with this value, without a plan, for stubs that check nothing; without "testdev =
 * on" powered off. */
_Noreturn void leave(uint8_t value);
/* Prints the plan and leaves with EXIT_PASSED or EXIT_FAILED. */
_Noreturn void finish(void);
/* Something that no check expected: it counts as one that failed, and the guest ends. */
_Noreturn void fail_at_once(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define PORT_DEBUG_EXIT 0xf4
#define EXIT_PASSED     0x10
#define EXIT_FAILED     0x11

/*
 * The emulated CPUs, by the brand string that they pass on.  For the few places where an emulator
 * is known to be wrong; each says how.
 */
bool on_qemu_tcg(void);
bool on_bochs(void);
/*
 * Whether the last trap's DR6 has these bits.  Bochs's AMD-V exits for #DB before it has set DR6,
 * and nothing tells the bits then: there this is always true.
 */
bool dr6_has(uint64_t bits);

/* Time: TSC ticks in a millisecond, measured once against the 8254's channel 2. */
uint64_t tsc_per_ms(void);
void delay_us(uint64_t us);

unsigned long string_length(const char *text);
int memcmp(const void *a, const void *b, unsigned long size);
void *memcpy(void *to, const void *from, unsigned long size);
void *memset(void *to, int value, unsigned long size);
