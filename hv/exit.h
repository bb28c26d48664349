/* SPDX-License-Identifier: MIT */
/*
 * What a VM exit is, in no vendor's words.  A backend describes it (arch/{vmx,svm}/decode.c),
 * exit.c dispatches it, a handler (emul_*.c) acts and says what becomes of the vCPU.
 */
#pragma once

#include "hv/addr.h"

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* What an exit asks for.  exit_kind_name() has a name for each. */
enum exit_kind {
    EXIT_HOST_EVENT,  /* a physical interrupt: the run loop lets the host take it */
    EXIT_HOST_NMI,    /* a physical NMI, already delivered to the host's handler */
    EXIT_INTR_WINDOW, /* the guest can take an interrupt now */
    EXIT_NMI_WINDOW,  /* the guest can take an NMI now */
    EXIT_EXCEPTION,   /* an intercepted exception, see .exception */
    EXIT_CPUID,
    EXIT_HLT,
    EXIT_PAUSE,
    EXIT_HYPERCALL, /* VMCALL or VMMCALL, the one of this vendor */
    EXIT_RDMSR,     /* index in RCX */
    EXIT_WRMSR,
    EXIT_IO,  /* see .io */
    EXIT_MEM, /* the second-level tables did not allow an access, see .mem */
    EXIT_CR,  /* see .cr */
    EXIT_DR,  /* see .dr */
    EXIT_XSETBV,
    EXIT_CACHE, /* INVD, WBINVD */
    EXIT_RDPMC,
    EXIT_HIDDEN,     /* an instruction of a feature that the guest does not have: #UD */
    EXIT_APIC_WRITE, /* a lent local APIC's page has been written, see .apic; RIP is behind it */
    EXIT_APIC_EOI,   /* the EOI of a vector that wants to be seen, likewise */
    EXIT_TIMER,      /* the VMX-preemption timer */
    EXIT_TASK_SWITCH,
    EXIT_TRIPLE_FAULT,
    EXIT_INIT,         /* a physical INIT: ignored, Mica does not send any to a running CPU */
    EXIT_ENTRY_FAILED, /* the CPU refused the guest state: our bug or the guest's, the guest ends */
    EXIT_UNKNOWN,      /* a reason nobody asked for */
    EXIT_KIND_COUNT
};

#define TRACE_MARK EXIT_KIND_COUNT /* no exit: a mark that a guest has put into the trace */

enum event_type {
    EVENT_NONE,
    EVENT_INTR, /* external interrupt */
    EVENT_NMI,
    EVENT_EXCEPTION,      /* hardware exception */
    EVENT_SOFT_INTR,      /* INT n; insn_len is valid */
    EVENT_SOFT_EXCEPTION, /* INT3, INTO; insn_len is valid */
    EVENT_PRIV_EXCEPTION, /* INT1 (ICEBP); insn_len is valid */
};

/* An event to be delivered to the guest, or one whose delivery an exit interrupted. */
struct vm_event {
    uint8_t type; /* enum event_type */
    uint8_t vector;
    bool has_error;
    uint8_t insn_len;
    uint32_t error;
};

enum event_window { WINDOW_INTR, WINDOW_NMI };

struct exit_exception {
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint64_t info;           /* #DB: the DR6 bits to set; #PF: the address */
    bool iret_unblocked_nmi; /* IRET faulted after it had unblocked NMIs: block them again */
    bool soft;         /* INT3, INTO, INT1 or INT n: insn_len is valid and the event type below */
    uint8_t soft_type; /* enum event_type when soft */
};

struct exit_io {
    uint16_t port;
    uint8_t size; /* 1, 2, 4 */
    bool in;
    bool string;
};

struct exit_mem {
    gpa_t gpa;
    uint64_t gva; /* valid if gva_valid */
    bool gva_valid;
    bool read, write, fetch;
    bool in_page_walk; /* the access was the CPU's own, to the guest's page tables */
};

enum cr_access { CR_READ, CR_WRITE, CR_CLTS, CR_LMSW };

struct exit_cr {
    bool decoded;   /* false: the CPU does not give gpr and access; decode the instruction */
    uint8_t cr;     /* 0, 3, 4, 8 */
    uint8_t access; /* enum cr_access */
    uint8_t gpr;
    uint16_t lmsw; /* LMSW's source */
};

struct exit_dr {
    bool decoded;
    uint8_t dr;
    bool write;
    uint8_t gpr;
};

struct exit_apic {
    uint16_t offset; /* of the register in the APIC page */
    uint8_t vector;
};

struct vm_exit {
    uint8_t kind;     /* enum exit_kind */
    uint8_t insn_len; /* of the instruction that exited; 0: the CPU does not say, hv decodes it when
                         it must */
    struct vm_event vectoring; /* the event whose delivery this exit interrupted, or EVENT_NONE */
    union {
        struct exit_exception exception;
        struct exit_io io;
        struct exit_mem mem;
        struct exit_cr cr;
        struct exit_dr dr;
        struct exit_apic apic;
    };
    struct {
        uint64_t reason, info1, info2;
    } raw; /* the vendor's words, for the log and the trace only */
};

/* What a handler says.  The run loop alone moves RIP. */
enum exit_action {
    ACTION_RESUME,  /* enter again at the same RIP (a fault was injected, or nothing is to be done)
                     */
    ACTION_ADVANCE, /* the instruction is done: go on behind it */
    ACTION_BLOCK,   /* as ADVANCE, and wait until something wakes the vCPU */
    ACTION_WAIT,    /* as RESUME, when the page is there that vm_pages_touched() has asked for */
    ACTION_STOP,    /* the VM has ended or the vCPU has to leave the CPU; vm_stop() was called */
};

const char *exit_kind_name(unsigned int kind);

/* By kind, all of them; in exit.c. */
typedef enum exit_action exit_handler(struct vcpu *vcpu, const struct vm_exit *exit);
extern exit_handler *const exit_handlers[EXIT_KIND_COUNT];
