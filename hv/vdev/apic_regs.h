/* SPDX-License-Identifier: MIT */
/*
 * Register numbers and bits of the local APIC and of the I/O APIC, by the manuals' names (SDM,
 * *Advanced Programmable Interrupt Controller*; 82093AA data sheet).  Numbers only.
 *
 * A local APIC register n is the MSR 800h + n in x2APIC mode and the offset n * 16 of the xAPIC
 * page. The bits of IA32_APIC_BASE are in arch/x86/msr.h.
 */
#pragma once

enum apic_register {
    APIC_ID = 0x02,
    APIC_VERSION = 0x03,
    APIC_TPR = 0x08,
    APIC_APR = 0x09, /* arbitration priority; xAPIC only, reads 0 since the Pentium 4 */
    APIC_PPR = 0x0a,
    APIC_EOI = 0x0b,
    APIC_RRD = 0x0c, /* remote read; xAPIC only, not implemented since the Pentium 4 */
    APIC_LDR = 0x0d,
    APIC_DFR = 0x0e, /* xAPIC only */
    APIC_SVR = 0x0f,
    APIC_ISR0 = 0x10,
    APIC_ISR7 = 0x17,
    APIC_TMR0 = 0x18,
    APIC_TMR7 = 0x1f,
    APIC_IRR0 = 0x20,
    APIC_IRR7 = 0x27,
    APIC_ESR = 0x28,
    APIC_LVT_CMCI = 0x2f,
    APIC_ICR = 0x30,  /* 64 bits in x2APIC mode, the low half in xAPIC mode */
    APIC_ICR2 = 0x31, /* the high half; xAPIC only */
    APIC_LVT_TIMER = 0x32,
    APIC_LVT_THERMAL = 0x33,
    APIC_LVT_PMC = 0x34,
    APIC_LVT_LINT0 = 0x35,
    APIC_LVT_LINT1 = 0x36,
    APIC_LVT_ERROR = 0x37,
    APIC_TMICT = 0x38, /* initial count */
    APIC_TMCCT = 0x39, /* current count */
    APIC_TDCR = 0x3e,  /* divide configuration */
    APIC_SELF_IPI = 0x3f,
    APIC_REGISTERS = 0x40,
};

#define APIC_VERSION_VALUE \
    0x00050014u              /* version 14h, six LVT entries, no EOI-broadcast suppression */
#define APIC_FIRST_VECTOR 16 /* vectors 0 to 15 are illegal in messages and LVT entries */
#define APIC_DFR_MODEL    0xf0000000u
#define APIC_DFR_FLAT     0xf0000000u

/* SVR */
#define APIC_SVR_VECTOR 0x0ffu
#define APIC_SVR_ENABLE 0x100u /* software enable */
#define APIC_SVR_FOCUS  0x200u

/* ESR */
#define APIC_ESR_SEND_CHECKSUM    0x01u
#define APIC_ESR_RECEIVE_CHECKSUM 0x02u
#define APIC_ESR_SEND_ACCEPT      0x04u
#define APIC_ESR_RECEIVE_ACCEPT   0x08u
#define APIC_ESR_REDIRECTABLE_IPI 0x10u
#define APIC_ESR_SEND_VECTOR      0x20u /* send illegal vector */
#define APIC_ESR_RECEIVE_VECTOR   0x40u /* receive illegal vector */
#define APIC_ESR_REGISTER         0x80u /* illegal register address */

/* LVT entries; ICR and redirection entries have the lower half in common */
#define APIC_LVT_VECTOR       0x000ffu
#define APIC_LVT_MODE         0x00700u
#define APIC_LVT_STATUS       0x01000u /* delivery status, read-only */
#define APIC_LVT_POLARITY     0x02000u
#define APIC_LVT_REMOTE_IRR   0x04000u /* read-only */
#define APIC_LVT_LEVEL        0x08000u
#define APIC_LVT_MASKED       0x10000u
#define APIC_LVT_TIMER_MODE   0x60000u
#define APIC_LVT_PERIODIC     0x20000u
#define APIC_LVT_TSC_DEADLINE 0x40000u

/* ICR */
#define APIC_ICR_VECTOR      0x000ffu
#define APIC_ICR_MODE        0x00700u
#define APIC_ICR_LOGICAL     0x00800u
#define APIC_ICR_STATUS      0x01000u /* read-only and idle; reserved in x2APIC mode */
#define APIC_ICR_ASSERT      0x04000u
#define APIC_ICR_LEVEL       0x08000u
#define APIC_ICR_SHORTHAND   0xc0000u
#define APIC_ICR_DESTINATION 0xffffffff00000000ull

/* The I/O APIC's page, and the registers behind its window. */
#define IOAPIC_IOREGSEL 0x00u
#define IOAPIC_IOWIN    0x10u
#define IOAPIC_EOIR     0x40u

#define IOAPIC_REG_ID  0x00u
#define IOAPIC_REG_VER 0x01u
#define IOAPIC_REG_ARB 0x02u
#define IOAPIC_REG_RTE 0x10u /* two registers a pin, low half first */

#define IOAPIC_VERSION_VALUE 0x20u /* the first version with an EOI register */

/* Redirection entries */
#define IOAPIC_RTE_VECTOR      0x000ffull
#define IOAPIC_RTE_MODE        0x00700ull
#define IOAPIC_RTE_LOGICAL     0x00800ull
#define IOAPIC_RTE_STATUS      0x01000ull /* read-only and idle */
#define IOAPIC_RTE_POLARITY    0x02000ull
#define IOAPIC_RTE_REMOTE_IRR  0x04000ull /* read-only */
#define IOAPIC_RTE_LEVEL       0x08000ull
#define IOAPIC_RTE_MASKED      0x10000ull
#define IOAPIC_RTE_DESTINATION 0xff00000000000000ull
