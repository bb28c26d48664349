/* SPDX-License-Identifier: MIT */
/*
 * Interrupts and exceptions of the host.  Every vector has a gate.  An exception in root mode is a
 * panic, unless the instruction is in the fixup table (msr.h); NMIs are counted; #DF and #MC panic
 * on their own stacks.
 */
#pragma once

#include "hv/util.h"

#include <stdint.h>

#define VECTOR_DEVICE_FIRST 0x30u /* devices: 0x30..0xef */
#define VECTOR_DEVICE_LAST  0xefu
#define VECTOR_TIMER        0xf0u /* the local APIC's timer */
#define VECTOR_KICK         0xf1u /* from another CPU: does nothing but make a guest exit, or HLT end */
#define VECTOR_STOP         0xf2u /* from another CPU: stop for good, see smp_stop_others() */
#define VECTOR_ERROR        0xfeu /* the local APIC's error interrupt: counted */
#define VECTOR_SPURIOUS     0xffu

/* What isr.asm leaves on the stack, lowest address first. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rdx, rcx, rbx, rax;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};

/*
 * The handler runs with interrupts off on the stack of what it interrupted; the local APIC gets its
 * EOI after it.  A handler may not take a lock that is held where interrupts are let in
 * (cpu_take_interrupts()).  One handler a vector.
 */
void irq_register(uint8_t vector, void (*handler)(void *ctx), void *ctx);

/* A device vector that nobody has, or 0 when all are taken. */
uint8_t irq_alloc_vector(void);

/* Builds the one IDT of all CPUs; idt_load() makes it this CPU's, with or without the IST stacks.
 */
void idt_init(void);
void idt_use_ist(void);
void idt_load(void);

/* isr.asm's only way into C. */
void trap_handle(struct trap_frame *frame);

/* From here on an NMI stops the CPU that gets it: another has panicked. */
void trap_stop_on_nmi(void);
