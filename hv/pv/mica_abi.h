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
    MICA_CALL_COUNT
};

#define MICA_CONSOLE_MAX 256u

/* Errors, negative in RAX: KVM's, with Linux's values but for the last. */
#define MICA_EPERM  1    /* from a user program */
#define MICA_EFAULT 14   /* an address outside of RAM */
#define MICA_EINVAL 22   /* an argument out of range */
#define MICA_ENOSYS 1000 /* there is no such call */
