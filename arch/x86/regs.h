/* SPDX-License-Identifier: MIT */
/*
 * The CPU's control words, bit by bit in the manual's order, and the single instructions that read
 * and write them.  No policy, no state.
 */
#pragma once

#include "hv/util.h"

#include <stdint.h>

/* ---- CR0 ------------------------------------------------------------------------------------ */
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

/* ---- CR3 ------------------------------------------------------------------------------------ */
#define CR3_PWT         BIT(3)
#define CR3_PCD         BIT(4)
#define CR3_PCID_MASK   0xfffull
#define CR3_LAM_U57     BIT(61)
#define CR3_LAM_U48     BIT(62)
#define CR3_NOFLUSH     BIT(63)
#define CR3_ADDRESS     0x000ffffffffff000ull
#define CR3_PAE_ADDRESS 0xffffffe0ull

/* ---- CR4 ------------------------------------------------------------------------------------ */
#define CR4_VME        BIT(0)
#define CR4_PVI        BIT(1)
#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_PCE        BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_VMXE       BIT(13)
#define CR4_SMXE       BIT(14)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_KL         BIT(19)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define CR4_PKE        BIT(22)
#define CR4_CET        BIT(23)
#define CR4_PKS        BIT(24)
#define CR4_UINTR      BIT(25)
#define CR4_LASS       BIT(27)
#define CR4_LAM_SUP    BIT(28)
#define CR4_FRED       BIT(32)

/* ---- EFER ----------------------------------------------------------------------------------- */
#define EFER_SCE     BIT(0)
#define EFER_LME     BIT(8)
#define EFER_LMA     BIT(10)
#define EFER_NXE     BIT(11)
#define EFER_SVME    BIT(12)
#define EFER_LMSLE   BIT(13)
#define EFER_FFXSR   BIT(14)
#define EFER_TCE     BIT(15)
#define EFER_MCOMMIT BIT(17)
#define EFER_INTWB   BIT(18)
#define EFER_UAIE    BIT(20)
#define EFER_AIBRSE  BIT(21)

/* ---- RFLAGS --------------------------------------------------------------------------------- */
#define RFLAGS_CF        BIT(0)
#define RFLAGS_RESERVED1 BIT(1) /* always 1 */
#define RFLAGS_PF        BIT(2)
#define RFLAGS_AF        BIT(4)
#define RFLAGS_ZF        BIT(6)
#define RFLAGS_SF        BIT(7)
#define RFLAGS_TF        BIT(8)
#define RFLAGS_IF        BIT(9)
#define RFLAGS_DF        BIT(10)
#define RFLAGS_OF        BIT(11)
#define RFLAGS_IOPL      0x3000ull
#define RFLAGS_NT        BIT(14)
#define RFLAGS_RF        BIT(16)
#define RFLAGS_VM        BIT(17)
#define RFLAGS_AC        BIT(18)
#define RFLAGS_VIF       BIT(19)
#define RFLAGS_VIP       BIT(20)
#define RFLAGS_ID        BIT(21)
#define RFLAGS_DEFINED   0x003f7fd7ull

/* ---- DR6, DR7 ------------------------------------------------------------------------------- */
#define DR6_B0       BIT(0)
#define DR6_B1       BIT(1)
#define DR6_B2       BIT(2)
#define DR6_B3       BIT(3)
#define DR6_BLD      BIT(11) /* active low */
#define DR6_BD       BIT(13)
#define DR6_BS       BIT(14)
#define DR6_BT       BIT(15)
#define DR6_RTM      BIT(16) /* active low */
#define DR6_INIT     0xffff0ff0ull
#define DR6_WRITABLE (DR6_B0 | DR6_B1 | DR6_B2 | DR6_B3 | DR6_BD | DR6_BS | DR6_BT)

#define DR7_L0       BIT(0)
#define DR7_G0       BIT(1)
#define DR7_L1       BIT(2)
#define DR7_G1       BIT(3)
#define DR7_L2       BIT(4)
#define DR7_G2       BIT(5)
#define DR7_L3       BIT(6)
#define DR7_G3       BIT(7)
#define DR7_LE       BIT(8)
#define DR7_GE       BIT(9)
#define DR7_FIXED1   BIT(10) /* always 1 */
#define DR7_RTM      BIT(11)
#define DR7_GD       BIT(13)
#define DR7_RW(n)    (3ull << (16 + 4 * (n)))
#define DR7_LEN(n)   (3ull << (18 + 4 * (n)))
#define DR7_ENABLE   0xffull
#define DR7_INIT     DR7_FIXED1
#define DR7_WRITABLE 0xffff23ffull /* without RTM */

/* ---- XCR0 ----------------------------------------------------------------------------------- */
#define XCR0_X87       BIT(0)
#define XCR0_SSE       BIT(1)
#define XCR0_AVX       BIT(2)
#define XCR0_BNDREGS   BIT(3)
#define XCR0_BNDCSR    BIT(4)
#define XCR0_OPMASK    BIT(5)
#define XCR0_ZMM_HI256 BIT(6)
#define XCR0_HI16_ZMM  BIT(7)
#define XCR0_PKRU      BIT(9)
#define XCR0_TILECFG   BIT(17)
#define XCR0_TILEDATA  BIT(18)
#define XCR0_LWP       BIT(62)
#define XCR0_MPX       (XCR0_BNDREGS | XCR0_BNDCSR)
#define XCR0_AVX512    (XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM)
#define XCR0_AMX       (XCR0_TILECFG | XCR0_TILEDATA)

#define FCW_INIT   0x37fu
#define MXCSR_INIT 0x1f80u

/* ---- Page faults ---------------------------------------------------------------------------- */
#define PF_PRESENT      BIT(0)
#define PF_WRITE        BIT(1)
#define PF_USER         BIT(2)
#define PF_RESERVED     BIT(3)
#define PF_FETCH        BIT(4)
#define PF_PKEY         BIT(5)
#define PF_SHADOW_STACK BIT(6)
#define PF_SGX          BIT(15)

/* ---- Error codes of the segment faults --------------------------------------------------------
 */
#define ERROR_EXT   BIT(0)
#define ERROR_IDT   BIT(1)
#define ERROR_TI    BIT(2)
#define ERROR_INDEX 0xfff8ull

/* ---- Vectors -------------------------------------------------------------------------------- */
enum {
    VEC_DE = 0,
    VEC_DB = 1,
    VEC_NMI = 2,
    VEC_BP = 3,
    VEC_OF = 4,
    VEC_BR = 5,
    VEC_UD = 6,
    VEC_NM = 7,
    VEC_DF = 8,
    VEC_CSO = 9, /* coprocessor segment overrun, long gone */
    VEC_TS = 10,
    VEC_NP = 11,
    VEC_SS = 12,
    VEC_GP = 13,
    VEC_PF = 14,
    VEC_MF = 16,
    VEC_AC = 17,
    VEC_MC = 18,
    VEC_XM = 19,
    VEC_VE = 20,
    VEC_CP = 21,
    VEC_HV = 28,
    VEC_VC = 29,
    VEC_SX = 30,
    VEC_EXCEPTIONS = 32,
};

/* The exceptions that push an error code: DF, TS, NP, SS, GP, PF, AC, CP, VC, SX. */
#define VEC_HAS_ERROR_CODE                                                               \
    (BIT(VEC_DF) | BIT(VEC_TS) | BIT(VEC_NP) | BIT(VEC_SS) | BIT(VEC_GP) | BIT(VEC_PF) | \
     BIT(VEC_AC) | BIT(VEC_CP) | BIT(VEC_VC) | BIT(VEC_SX))

/* ---- Segment descriptors: the type field, with S = 0 (system) and S = 1 (code, data) ----------
 */
#define SEG_SYS_TSS16_AVAILABLE 1u
#define SEG_SYS_LDT             2u
#define SEG_SYS_TSS16_BUSY      3u
#define SEG_SYS_CALL_GATE16     4u
#define SEG_SYS_TASK_GATE       5u
#define SEG_SYS_INT_GATE16      6u
#define SEG_SYS_TRAP_GATE16     7u
#define SEG_SYS_TSS_AVAILABLE   9u
#define SEG_SYS_TSS_BUSY        11u
#define SEG_SYS_CALL_GATE       12u
#define SEG_SYS_INT_GATE        14u
#define SEG_SYS_TRAP_GATE       15u
#define SEG_TYPE_ACCESSED       1u /* code and data */
#define SEG_TYPE_WRITABLE       2u /* data */
#define SEG_TYPE_READABLE       2u /* code */
#define SEG_TYPE_EXPAND_DOWN    4u /* data */
#define SEG_TYPE_CONFORMING     4u /* code */
#define SEG_TYPE_CODE           8u
#define SEG_TYPE_DATA_RW        3u  /* data, read and write, accessed */
#define SEG_TYPE_CODE_RX        11u /* code, execute and read, accessed */

/* Access rights as VT-x keeps them (and the third and fourth byte of a descriptor's high half). */
#define SEG_AR_TYPE      0x0fu
#define SEG_AR_S         (1u << 4)
#define SEG_AR_DPL       (3u << 5)
#define SEG_AR_P         (1u << 7)
#define SEG_AR_AVL       (1u << 12)
#define SEG_AR_L         (1u << 13)
#define SEG_AR_DB        (1u << 14)
#define SEG_AR_G         (1u << 15)
#define SEG_AR_UNUSABLE  (1u << 16)
#define SEG_AR_DPL_SHIFT 5

/* ---- Page-table entries --------------------------------------------------------------------- */
#define PTE_P         BIT(0)
#define PTE_W         BIT(1)
#define PTE_U         BIT(2)
#define PTE_PWT       BIT(3)
#define PTE_PCD       BIT(4)
#define PTE_A         BIT(5)
#define PTE_D         BIT(6)
#define PTE_PS        BIT(7) /* levels 2 and 3 */
#define PTE_PAT       BIT(7) /* level 1 */
#define PTE_G         BIT(8)
#define PTE_PAT_LARGE BIT(12) /* levels 2 and 3 */
#define PTE_NX        BIT(63)
#define PTE_ADDRESS   0x000ffffffffff000ull

/* ---- Control registers ---------------------------------------------------------------------- */
#define DEFINE_REG(name)                                                 \
    static inline uint64_t read_##name(void)                             \
    {                                                                    \
        uint64_t value;                                                  \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value)::"memory"); \
        return value;                                                    \
    }                                                                    \
    static inline void write_##name(uint64_t value)                      \
    {                                                                    \
        __asm__ volatile("mov %0, %%" #name ::"r"(value) : "memory");    \
    }

DEFINE_REG(cr0)
DEFINE_REG(cr2)
DEFINE_REG(cr3)
DEFINE_REG(cr4)
DEFINE_REG(cr8)
DEFINE_REG(dr0)
DEFINE_REG(dr1)
DEFINE_REG(dr2)
DEFINE_REG(dr3)
DEFINE_REG(dr6)
DEFINE_REG(dr7)
#undef DEFINE_REG

#define DEFINE_SELECTOR(name)                                  \
    static inline uint16_t read_##name(void)                   \
    {                                                          \
        uint16_t value;                                        \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value)); \
        return value;                                          \
    }

DEFINE_SELECTOR(cs)
DEFINE_SELECTOR(ds)
DEFINE_SELECTOR(es)
DEFINE_SELECTOR(ss)
DEFINE_SELECTOR(fs)
DEFINE_SELECTOR(gs)
#undef DEFINE_SELECTOR

static inline uint64_t read_rsp(void)
{
    uint64_t value;
    __asm__ volatile("mov %%rsp, %0" : "=r"(value));
    return value;
}

static inline uint64_t read_rflags(void)
{
    uint64_t value;
    __asm__ volatile("pushfq; popq %0" : "=r"(value)::"memory");
    return value;
}

static inline uint64_t xgetbv(uint32_t index)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}

static inline void xsetbv(uint32_t index, uint64_t value)
{
    __asm__ volatile("xsetbv" ::"c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

/* ---- Descriptor tables ---------------------------------------------------------------------- */
struct PACKED desc_ptr {
    uint16_t limit;
    uint64_t base;
};

static inline void lgdt(const struct desc_ptr *p)
{
    __asm__ volatile("lgdt %0" ::"m"(*p) : "memory");
}

static inline void lidt(const struct desc_ptr *p)
{
    __asm__ volatile("lidt %0" ::"m"(*p) : "memory");
}

static inline struct desc_ptr sgdt(void)
{
    struct desc_ptr p;
    __asm__ volatile("sgdt %0" : "=m"(p));
    return p;
}

static inline struct desc_ptr sidt(void)
{
    struct desc_ptr p;
    __asm__ volatile("sidt %0" : "=m"(p));
    return p;
}

static inline void ltr(uint16_t selector)
{
    __asm__ volatile("ltr %0" ::"r"(selector) : "memory");
}

static inline uint16_t str(void)
{
    uint16_t selector;
    __asm__ volatile("str %0" : "=r"(selector));
    return selector;
}

static inline void lldt(uint16_t selector)
{
    __asm__ volatile("lldt %0" ::"r"(selector) : "memory");
}

/* ---- Caches, time, interrupts --------------------------------------------------------------- */
static inline void invlpg(const void *p)
{
    __asm__ volatile("invlpg (%0)" ::"r"(p) : "memory");
}

static inline void wbinvd(void)
{
    __asm__ volatile("wbinvd" ::: "memory");
}

static inline uint64_t rdtsc(void)
{
    uint64_t low, high; /* the upper halves of RAX and RDX are cleared */
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return high << 32 | low;
}

/* RDTSC that no earlier load passes. */
static inline uint64_t rdtsc_ordered(void)
{
    __asm__ volatile("lfence" ::: "memory");
    return rdtsc();
}

static inline void irq_enable(void)
{
    __asm__ volatile("sti" ::: "memory");
}

static inline void irq_disable(void)
{
    __asm__ volatile("cli" ::: "memory");
}

static inline void cpu_halt(void)
{
    __asm__ volatile("hlt" ::: "memory");
}

static inline void cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

static inline void memory_fence(void)
{
    __asm__ volatile("mfence" ::: "memory");
}

/* ---- Ports ---------------------------------------------------------------------------------- */
static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %w1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %w1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %w1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %w1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %w1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %w1" ::"a"(value), "Nd"(port) : "memory");
}

/* ---- Memory-mapped registers: exactly one access of the width ---------------------------------
 */
static inline uint32_t mmio_read32(const volatile void *p)
{
    return *(const volatile uint32_t *)p;
}

static inline void mmio_write32(volatile void *p, uint32_t value)
{
    *(volatile uint32_t *)p = value;
}
