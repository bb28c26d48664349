/* SPDX-License-Identifier: MIT */
/*
 * Mica's own interface for guests: CPUID leaves and hypercalls, numbers only.
 *
 * A call is VMCALL on Intel's CPUs and VMMCALL on AMD's (the other one raises #UD), at CPL 0: the
 * number in RAX, arguments in RBX and RCX, the result in RAX; a negative one is an error below.  No
 * other register changes.  Outside 64-bit mode the lower 32 bits of each are looked at.  KVM's
 * calls are made in the same way; its numbers are below those of Mica.
 */
#pragma once

/* CPUID: the signature in EBX, ECX and EDX, in EAX the last leaf. */
#define MICA_CPUID_SIGNATURE 0x40000100u
#define MICA_SIGNATURE       0x6163694du /* "Mica", three times */
/* EAX: MICA_ABI_VERSION; EBX: the first number, ECX: how many; EDX: bit n, call n of them is there.
 */
#define MICA_CPUID_CALLS 0x40000101u
#define MICA_ABI_VERSION 1u

#define MICA_CALL_FIRST 0x4d490000u

enum mica_call {
    MICA_CALL_VERSION,       /* MICA_ABI_VERSION */
    MICA_CALL_FEATURES,      /* as EDX of MICA_CPUID_CALLS */
    MICA_CALL_CONSOLE_WRITE, /* guest-physical address, bytes: how many were taken, at most
                                MICA_CONSOLE_MAX; fewer when the console is slow */
    MICA_CALL_YIELD,         /* others that wait for this CPU go first */
    MICA_CALL_ID,            /* the guest's number << 16 | the number of its CPU */
    MICA_CALL_MARK,          /* two words into the trace of exits */
    MICA_CALL_SHUTDOWN,      /* the guest ends with this code of 32 bits */
    MICA_CALL_EVENT_CREATE,  /* MICA_EVENT_SELF or _PARTNER, MICA_EVENT_TO: a new end's number; the
                                guest that was named may bind to it */
    MICA_CALL_EVENT_BIND,    /* MICA_EVENT_AT, MICA_EVENT_TO: the number of an end here that is
                                connected with that one */
    MICA_CALL_EVENT_NOTIFY,  /* an end: the other one is told */
    MICA_CALL_EVENT_MASK,    /* an end, 1 or 0: what it is told waits from now on, or comes now */
    MICA_CALL_EVENT_CLOSE,   /* an end: it is gone, and the other one is told */
    MICA_CALL_EVENT_STATUS,  /* any number of an end: see MICA_EVENT_STATE */
    MICA_CALL_COUNT
};

/*
 * Event channels: two ends, in one guest or in two whose configurations name each other ("share
 * ="). An end is told by an interrupt, as by an MSI: MICA_EVENT_TO(the CPU's APIC id, a vector from
 * 16 on).  What it is told more than once before the interrupt is taken it is told once.  The ends
 * of a guest that is reset or has ended are closed.
 */
#define MICA_EVENT_PORTS 64u /* of a guest; a new end has the lowest number that is free */

#define MICA_EVENT_SELF    0u
#define MICA_EVENT_PARTNER 1u

#define MICA_EVENT_AT(who, port)   ((who) << 16 | (port))
#define MICA_EVENT_TO(cpu, vector) ((cpu) << 16 | (vector))

/* What MICA_CALL_EVENT_STATUS says. */
#define MICA_EVENT_STATE(status) ((status)&0xffu) /* enum mica_event_state */
#define MICA_EVENT_MASKED        0x100u
#define MICA_EVENT_PENDING       0x200u           /* told while it is masked */
#define MICA_EVENT_PEER(status)  ((status) >> 16) /* the other end's number, while connected */

enum mica_event_state {
    MICA_EVENT_FREE,      /* no end has this number */
    MICA_EVENT_WAITING,   /* created, and nobody has bound to it */
    MICA_EVENT_CONNECTED, /* both ends are there */
    MICA_EVENT_CLOSED,    /* the other end is gone */
};

#define MICA_CONSOLE_MAX 256u

/* Errors, negative in RAX: KVM's, with Linux's values but for the last. */
#define MICA_EPERM    1    /* from a user program */
#define MICA_ENOENT   2    /* no end has this number; or none waits there for this guest */
#define MICA_EFAULT   14   /* an address outside of RAM */
#define MICA_ENODEV   19   /* the guest has no partner */
#define MICA_EINVAL   22   /* an argument out of range */
#define MICA_ENOSPC   28   /* all its ends are in use */
#define MICA_ENOTCONN 107  /* there is no other end (yet, or any more) */
#define MICA_ENOSYS   1000 /* there is no such call */
