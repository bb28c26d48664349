/* SPDX-License-Identifier: MIT */
/* KVM's paravirtual interface as its documentation publishes it: numbers and layouts, no code. */
#pragma once

#include <stdint.h>

#define KVM_CPUID_SIGNATURE 0x40000000u
#define KVM_CPUID_FEATURES  0x40000001u

/* EAX of KVM_CPUID_FEATURES, those that Mica has. */
#define KVM_FEATURE_NOP_IO_DELAY       1u  /* port 80h need not be written to wait */
#define KVM_FEATURE_CLOCKSOURCE2       3u  /* the two MSRs below */
#define KVM_FEATURE_CLOCKSOURCE_STABLE 24u /* PVCLOCK_TSC_STABLE may be set */

#define MSR_KVM_WALL_CLOCK_NEW  0x4b564d00u
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01u

#define KVM_SYSTEM_TIME_ENABLE 1u

/* Errors of hypercalls, in RAX. */
#define KVM_ENOSYS 1000
#define KVM_EPERM  1

struct pvclock_wall_clock {
    uint32_t version; /* odd while it is being written */
    uint32_t sec;     /* of the date when the system time was 0 */
    uint32_t nsec;
};

#define PVCLOCK_TSC_STABLE 1u

/* now = system_time + ((((tsc - tsc_timestamp) shifted left by tsc_shift) * tsc_to_system_mul) >>
 * 32) */
struct pvclock_time_info {
    uint32_t version; /* odd while it is being written */
    uint32_t pad0;
    uint64_t tsc_timestamp;
    uint64_t system_time; /* ns */
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags;
    uint8_t pad[2];
};

_Static_assert(sizeof(struct pvclock_time_info) == 32, "as the guest reads it");
