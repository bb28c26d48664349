/* SPDX-License-Identifier: MIT */
/*
 * A physical CPU: its stacks, its tables, and what the rest of the hypervisor keeps per CPU.
 *
 * Each CPU has one block of 64 KiB of virtual space, aligned to its size.  From the bottom: a guard
 * page, the main stack, and a stack each for NMI, #DF and #MC with guard pages between them; at the
 * top struct cpu.  So this_cpu() needs nothing but RSP, whichever of the stacks is in use.
 */
#pragma once

#include "arch/x86/regs.h"
#include "hv/addr.h"
#include "hv/trace.h"

#include <stdbool.h>
#include <stdint.h>

#define CPU_MAX        256u
#define CPU_BLOCKS     0xffffe00000000000ull /* the block of CPU n is at + n * CPU_BLOCK_SIZE */
#define CPU_BLOCK_SIZE 0x10000ull
#define CPU_AREA_SIZE  0x4000ull /* struct cpu, at the top of the block */

/* Where the stacks end (they grow down), from the bottom of the block. */
#define CPU_STACK_SIZE    0x4000ull
#define CPU_STACK_TOP     0x5000ull /* 0x1000..0x5000 */
#define CPU_NMI_STACK_TOP 0x7000ull /* 0x6000..0x7000 */
#define CPU_DF_STACK_TOP  0x9000ull
#define CPU_MC_STACK_TOP  0xb000ull

/* Selectors of every CPU's GDT. */
#define SELECTOR_CODE 0x08u
#define SELECTOR_DATA 0x10u
#define SELECTOR_TSS  0x18u
#define GDT_ENTRIES   5u /* null, code, data, TSS (two) */
#define TSS_LIMIT     0x67u
#define GDT_CODE64    0x00af9b000000ffffull /* present, DPL 0, code, L, accessed */
#define GDT_DATA      0x00cf93000000ffffull

/* IST numbers of the IDT's gates. */
#define IST_NMI 1u
#define IST_DF  2u
#define IST_MC  3u

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved28;
    uint64_t ist[7]; /* ist[n - 1] is IST n */
    uint64_t reserved92;
    uint16_t reserved100;
    uint16_t io_map_base;
} PACKED;

STATIC_ASSERT(sizeof(struct tss) == TSS_LIMIT + 1, "the TSS as the CPU reads it");

enum { CPU_IN_GUEST = 1, CPU_ASLEEP = 2 };

/* What other CPUs may touch, with atomic operations only. */
struct cpu_shared {
    union {
        struct {
            uint32_t away; /* CPU_IN_GUEST or CPU_ASLEEP: a kick is needed; see cpu_away_begin() */
            uint32_t work; /* bits of hv's own; set before a kick, taken with cpu_take_work() */
        };
        uint64_t away_and_work; /* for one look at both */
    };
    uint32_t online;  /* 1 once the CPU takes part */
    uint32_t stopped; /* 1 once it has stopped for a panic */
} ALIGNED(64);

/* Fields: (o) set once when the CPU starts, (c) only on this CPU, (s) see struct cpu_shared. */
struct cpu {
    uint32_t index;            /* (o) 0 is the boot CPU */
    uint32_t apic_id;          /* (o) */
    struct vcpu *vcpu;         /* (c) the vCPU that is loaded, or a null pointer */
    struct hv_cpu *hv;         /* (o) hv's own part */
    void *backend;             /* (o) the backend's area: the VMXON region, or the host save area */
    hpa_t backend_hpa;         /* (o) */
    uint64_t timer_deadline;   /* (c) TSC that the local APIC timer is armed for, UINT64_MAX: off */
    uint64_t nmi_count;        /* (c) */
    uint32_t guest;            /* (c) the last one whose vCPU came here: speculation.h; 0: none */
    struct cpu_shared shared;  /* (s) */
    uint64_t gdt[GDT_ENTRIES]; /* (o) */
    struct tss tss;            /* (o) */
    uint64_t irq_count[256];   /* (c) by vector, exceptions that were fixed up included */
    struct trace_ring trace;   /* (c) */
};

STATIC_ASSERT(sizeof(struct cpu) <= CPU_AREA_SIZE, "struct cpu fits the top of the block");

/* Where a CPU's block and the structure at its top are. */
static inline uint64_t cpu_block(unsigned int index)
{
    return CPU_BLOCKS + index * CPU_BLOCK_SIZE;
}

static inline struct cpu *cpu_by_index(unsigned int index)
{
    return (struct cpu *)(cpu_block(index) + CPU_BLOCK_SIZE - CPU_AREA_SIZE);
}

/* Valid on a CPU's own stacks only, that is after cpu_start_on_own_stack(). */
static inline struct cpu *this_cpu(void)
{
    uint64_t rsp;

    __asm__("mov %%rsp, %0" : "=r"(rsp));
    return (struct cpu *)((rsp | (CPU_BLOCK_SIZE - 1)) + 1 - CPU_AREA_SIZE);
}

/* Like this_cpu(), but a null pointer on the boot stack: for panic() and what it calls. */
struct cpu *cpu_current(void);

extern unsigned int cpu_count; /* CPUs that take part; cpu_by_index(0 .. cpu_count - 1) are valid */

/*
 * Before anything else in hv_main(), on the boot stack: the CPUID snapshot, and an IDT on the boot
 * GDT, so that an early exception ends in a panic with its registers.
 */
void cpu_init_early(void);

/* After paging_init(): the boot CPU's block, GDT, TSS, IST stacks.  Then its own stack; does not
 * return. */
void cpu_init_boot(void);
NORETURN void cpu_start_on_own_stack(void (*function)(void *), void *argument);

/* For every other CPU: its block, by the boot CPU, or a null pointer without memory; what serves
 * until it is on that block; and the way onto it. */
struct cpu *cpu_create(unsigned int index, uint32_t apic_id);
void cpu_load_early_tables(void);
NORETURN void cpu_start_on_stack_of(const struct cpu *cpu, void (*function)(void *),
                                    void *argument);

/* How many bytes of its main stack have ever been used. */
uint64_t cpu_stack_used(const struct cpu *cpu);

/*
 * This CPU's control registers and PAT: NX and WP, and SMEP, SMAP, UMIP, PGE, MCE, OSXSAVE where
 * present; nothing of what firmware left.  paging_init() calls it on the boot CPU.
 */
void cpu_init_control_registers(void);

/* This CPU's descriptor tables, for backends: LGDT, LTR and LIDT of its own. */
void cpu_load_tables(struct cpu *cpu);

/*
 * Root mode runs with interrupts off except in these two.  Handlers run inside; they must not take
 * a lock that the caller holds.
 */
static inline void cpu_take_interrupts(void)
{
    __asm__ volatile("sti; nop; cli" ::: "memory");
}

/*
 * Sleep until an interrupt.  Called with interrupts off after the caller has found nothing to do:
 * STI's shadow covers HLT, so that an interrupt which makes work in between still wakes the CPU.
 */
static inline void cpu_idle(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

/* For good: but an NMI is taken, and an INIT. */
static inline NORETURN void cpu_park(void)
{
    for (;;) {
        irq_disable();
        cpu_halt();
    }
}

/*
 * Where a CPU does not look for work by itself it has to be kicked (smp_kick()).  Around an entry
 * or a HLT, with interrupts off:
 *
 *     cpu_away_begin(cpu, where);
 *     if (nothing has been posted)      the last look
 *         enter the guest, or cpu_idle();
 *     cpu_away_end(cpu);
 *
 * and on the other side: post, then smp_kick().  Each side writes, then reads what the other has
 * written, with a full barrier between.  So either the poster sees the CPU away and sends the
 * interrupt, or the CPU's last look sees what was posted, or both.  An interrupt that comes after
 * the look is pending because interrupts are off, and ends the guest or the HLT at once: no wake-up
 * is lost.  Whoever sends takes the mark away first, so that many posts cost one interrupt.
 */
static inline void cpu_away_begin(struct cpu *cpu, uint32_t where)
{
    __atomic_exchange_n(&cpu->shared.away, where, __ATOMIC_SEQ_CST);
}

static inline void cpu_away_end(struct cpu *cpu)
{
    __atomic_store_n(&cpu->shared.away, 0, __ATOMIC_RELAXED);
}

/* Entered the guest, and neither work nor a kick has come since? */
static inline bool cpu_is_undisturbed(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->shared.away_and_work, __ATOMIC_RELAXED) == CPU_IN_GUEST;
}

/* Until there is work or any interrupt; not at all if there is work already. */
static inline void cpu_wait_for_work(struct cpu *cpu)
{
    cpu_away_begin(cpu, CPU_ASLEEP);
    if (!__atomic_load_n(&cpu->shared.work, __ATOMIC_RELAXED))
        cpu_idle();
    cpu_away_end(cpu);
}

/* The work bits that were set, taken and cleared: whoever sees them cleared sees what the CPU has
 * done before. */
static inline uint32_t cpu_take_work(struct cpu *cpu)
{
    if (!__atomic_load_n(&cpu->shared.work, __ATOMIC_RELAXED))
        return 0;
    return __atomic_exchange_n(&cpu->shared.work, 0, __ATOMIC_ACQ_REL);
}

static inline void cpu_post_work(struct cpu *cpu, uint32_t bits)
{
    __atomic_fetch_or(&cpu->shared.work, bits, __ATOMIC_RELEASE);
}
