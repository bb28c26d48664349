/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts.  There are three ways to meet one:
 *
 *   TRY("wrmsr", : : "c"(msr), ...);     an instruction that may fault; then check_fault() and its
 * kin context_run(&context);               code at any privilege level or mode; it ends at the
 * first trap, which is normally its INT 80h trap_handlers[vector] = function;    a handler, for
 * interrupts
 *
 * What comes otherwise ends the stub with a report.
 */
#pragma once

#include "guest-stubs/lib/cpu.h"

#include <stdbool.h>
#include <stdint.h>

#define VEC_DE   0
#define VEC_DB   1
#define VEC_NMI  2
#define VEC_BP   3
#define VEC_OF   4
#define VEC_BR   5
#define VEC_UD   6
#define VEC_NM   7
#define VEC_DF   8
#define VEC_TS   10
#define VEC_NP   11
#define VEC_SS   12
#define VEC_GP   13
#define VEC_PF   14
#define VEC_AC   17
#define VEC_END  0x80 /* INT 80h, which every privilege level may use, ends a context */
#define VEC_NONE 0xffff

#define PF_P BIT(0)
#define PF_W BIT(1)
#define PF_U BIT(2)
#define PF_R BIT(3)
#define PF_I BIT(4)

#define SEL_CODE64  0x08
#define SEL_DATA    0x10
#define SEL_CODE32  0x18
#define SEL_SPARE0  0x20
#define SEL_SPARE1  0x28
#define SEL_UCODE32 0x33
#define SEL_UDATA   0x3b
#define SEL_UCODE64 0x43
#define SEL_TSS     0x48

extern uint64_t gdt[16];

/* The registers at a trap, as the entry code pushes them. */
struct frame {
    uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* The last trap that TRY or a context has met. */
struct trap {
    uint64_t vector; /* VEC_NONE: none */
    uint64_t error;
    uint64_t rip, rflags;
    uint64_t cr2; /* of #PF */
    uint64_t dr6; /* of #DB, which is then reset */
};

extern struct trap trap;
extern uint64_t trap_begin;  /* where TRY's instruction stands */
extern uint64_t trap_resume; /* where it goes on after a fault */
extern void (*trap_handlers[256])(struct frame *frame);

void trap_clear(void);

#define TRY(code, ...)                                                                     \
    do {                                                                                   \
        trap_clear();                                                                      \
        __asm__ volatile(                                                                  \
            "movq $661f, trap_begin(%%rip)\n\tmovq $662f, trap_resume(%%rip)\n661:\t" code \
            "\n662:\tmovq $0, trap_resume(%%rip)" __VA_ARGS__);                            \
        BARRIER();                                                                         \
    } while (0)

/* The last TRY met this fault at its instruction. */
bool check_fault(unsigned int vector, uint64_t error, const char *what, ...)
    __attribute__((format(printf, 3, 4)));
/* The last TRY went through. */
bool check_no_fault(const char *what, ...) __attribute__((format(printf, 1, 2)));

/* RDMSR and WRMSR by TRY. */
uint64_t try_rdmsr(uint32_t msr);
void try_wrmsr(uint32_t msr, uint64_t value);

/* Runs until the first trap that has no handler; the frame then holds the registers there. */
void run(struct frame *frame);
/* A frame for code of 64 bits at CPL 0, or at CPL 3, with a stack. */
struct frame kernel_frame(const void *code);
struct frame user_frame(const void *code);

/*
 * Code to run so, written in assembly; a label NAME_end stands behind it.  A user's lies in pages
 * that users may touch.
 */
#define SNIPPET_IN(section, name, code)                              \
    extern uint8_t name[], name##_end[];                             \
    __asm__(".pushsection " section "\n" #name ":\n" code "\n" #name \
            "_end: int $0x80\n.popsection\n")
#define SNIPPET(name, code)      SNIPPET_IN(".text", name, code)
#define USER_SNIPPET(name, code) SNIPPET_IN(".user, \"awx\"", name, code)

/* A gate's handler stack: 0 is the stack that is in use, 1 to 3 are the TSS's. */
void trap_set_stack(unsigned int vector, unsigned int ist);
/* The IDT, to be put somewhere else or spoilt. */
struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};
extern struct gate idt[256];
void trap_load_idt(const struct gate *base, uint16_t limit);

struct __attribute__((packed)) tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t ist[8]; /* ist[0] is reserved */
    uint8_t reserved1[10];
    uint16_t iomap_base;
    uint8_t iomap[65536 / 8 + 1];
};
_Static_assert(__builtin_offsetof(struct tss, iomap) == 104, "the layout is the CPU's");
extern struct tss tss;
