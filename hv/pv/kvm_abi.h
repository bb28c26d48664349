/* SPDX-License-Identifier: MIT */
/* KVM's paravirtual interface as its documentation publishes it: numbers and layouts, no code. */
#pragma once

#include <stdint.h>

#define KVM_CPUID_SIGNATURE 0x40000000u
#define KVM_CPUID_FEATURES  0x40000001u

/* EAX of KVM_CPUID_FEATURES, those that Mica has. */
#define KVM_FEATURE_NOP_IO_DELAY       1u  /* port 80h need not be written to wait */
#define KVM_FEATURE_CLOCKSOURCE2       3u  /* MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_SYSTEM_TIME_NEW */
#define KVM_FEATURE_STEAL_TIME         5u  /* MSR_KVM_STEAL_TIME */
#define KVM_FEATURE_PV_EOI             6u  /* MSR_KVM_PV_EOI_EN */
#define KVM_FEATURE_PV_UNHALT          7u  /* KVM_HC_KICK_CPU */
#define KVM_FEATURE_PV_TLB_FLUSH       9u  /* KVM_VCPU_FLUSH_TLB is acted upon */
#define KVM_FEATURE_PV_SEND_IPI        11u /* KVM_HC_SEND_IPI */
#define KVM_FEATURE_POLL_CONTROL       12u /* MSR_KVM_POLL_CONTROL */
#define KVM_FEATURE_PV_SCHED_YIELD     13u /* KVM_HC_SCHED_YIELD */
#define KVM_FEATURE_CLOCKSOURCE_STABLE 24u /* PVCLOCK_TSC_STABLE may be set */

#define MSR_KVM_WALL_CLOCK_NEW  0x4b564d00u
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01u
#define MSR_KVM_STEAL_TIME      0x4b564d03u
#define MSR_KVM_PV_EOI_EN       0x4b564d04u
#define MSR_KVM_POLL_CONTROL    0x4b564d05u

#define KVM_SYSTEM_TIME_ENABLE 1u
#define KVM_MSR_ENABLE         1u /* of the steal time and PV EOI */
#define KVM_POLL_ENABLE        1u

/* The number in RAX, arguments in RBX, RCX, RDX, RSI; 32 bits of each outside 64-bit mode. */
#define KVM_HC_VAPIC_POLL_IRQ 1  /* only exits, so that what is pending is looked at */
#define KVM_HC_KICK_CPU       5  /* flags, APIC id: its HLT ends, this one or the next */
#define KVM_HC_SEND_IPI       10 /* two words of a bitmap, the APIC id of its bit 0, ICR */
#define KVM_HC_SCHED_YIELD    11 /* APIC id: it is to run rather than the caller */
#define KVM_HC_COUNT          12

/* Errors of hypercalls, negative in RAX. */
#define KVM_EPERM  1
#define KVM_EFAULT 14
#define KVM_EINVAL 22
#define KVM_ENOSYS 1000

/* What MSR_KVM_STEAL_TIME points at, aligned to its size. */
struct kvm_steal_time {
    uint64_t steal;   /* ns in which this vCPU could run and did not */
    uint32_t version; /* odd while it is being written */
    uint32_t flags;
    uint8_t preempted; /* KVM_VCPU_*; exchanged atomically by both sides */
    uint8_t pad8[3];
    uint32_t pad[11];
};

#define KVM_VCPU_PREEMPTED 0x1u /* it is on no CPU */
#define KVM_VCPU_FLUSH_TLB 0x2u /* set by the guest beside it: before it runs again */

#define KVM_PV_EOI_SKIP 0x1u /* in the byte of MSR_KVM_PV_EOI_EN: cleared instead of an EOI */

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
_Static_assert(sizeof(struct kvm_steal_time) == 64, "as the guest reads it");
