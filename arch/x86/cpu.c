/* SPDX-License-Identifier: MIT */
/* Bring-up of a CPU: control registers, GDT, TSS, stacks.  What runs on it is not decided here. */
#include "arch/x86/cpu.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/idt.h"
#include "arch/x86/lapic.h"
#include "arch/x86/msr.h"
#include "arch/x86/paging.h"
#include "hv/panic.h"
#include "hv/string.h"

/* PAT as after reset, but entry 1 (PWT alone) is write-combining instead of write-through. */
#define HOST_PAT ((PAT_RESET & ~0xff00ull) | (uint64_t)MEMTYPE_WC << 8)

unsigned int cpu_count;

static const uint64_t early_gdt[] = {0, GDT_CODE64, GDT_DATA};

/* entry.asm */
void cpu_load_gdt(const struct desc_ptr *gdt);
NORETURN void cpu_switch_stack(uint64_t stack_top, void (*function)(void *), void *argument);

struct cpu *cpu_current(void)
{
    uint64_t rsp = read_rsp();

    if (rsp < CPU_BLOCKS || rsp >= cpu_block(CPU_MAX))
        return NULL;
    return this_cpu();
}

void cpu_load_early_tables(void)
{
    struct desc_ptr gdt = {sizeof(early_gdt) - 1, (uint64_t)early_gdt};

    cpu_load_gdt(&gdt);
    idt_load();
}

void cpu_init_early(void)
{
    cpuid_init();
    idt_init();
    cpu_load_early_tables();
}

/* Bits that are wanted where the CPU has them; the rest of CR4 is off. */
static uint64_t host_cr4(void)
{
    static const struct {
        enum cpu_feature feature;
        uint64_t bit;
    } optional[] = {
        {FEATURE_MCE, CR4_MCE},        {FEATURE_PGE, CR4_PGE},   {FEATURE_FXSR, CR4_OSFXSR},
        {FEATURE_SSE, CR4_OSXMMEXCPT}, {FEATURE_UMIP, CR4_UMIP}, {FEATURE_XSAVE, CR4_OSXSAVE},
        {FEATURE_SMEP, CR4_SMEP},      {FEATURE_SMAP, CR4_SMAP},
    };
    uint64_t cr4 = CR4_PAE;

    for (size_t i = 0; i < ARRAY_SIZE(optional); i++)
        if (cpu_has(optional[i].feature))
            cr4 |= optional[i].bit;
    return cr4;
}

void cpu_init_control_registers(void)
{
    uint64_t cr4 = host_cr4();

    write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
    write_cr4(cr4 & ~CR4_PGE); /* without PGE first: that drops firmware's global translations */
    write_cr4(cr4);
    wrmsr(MSR_EFER, (rdmsr(MSR_EFER) & (EFER_LME | EFER_LMA | EFER_SVME)) | EFER_NXE);
    if (cpu_has(FEATURE_PAT))
        wrmsr(MSR_PAT, HOST_PAT);
    write_dr7(DR7_INIT);
}

static void build_gdt(struct cpu *cpu)
{
    uint64_t base = (uint64_t)&cpu->tss;

    cpu->gdt[1] = GDT_CODE64;
    cpu->gdt[2] = GDT_DATA;
    cpu->gdt[3] = TSS_LIMIT | BITS(base, 23, 0) << 16 |
                  (uint64_t)(SEG_AR_P | SEG_SYS_TSS_AVAILABLE) << 40 | BITS(base, 31, 24) << 56;
    cpu->gdt[4] = base >> 32;
}

static void build_tss(struct cpu *cpu)
{
    uint64_t block = cpu_block(cpu->index);

    cpu->tss.rsp[0] = block + CPU_STACK_TOP;
    cpu->tss.ist[IST_NMI - 1] = block + CPU_NMI_STACK_TOP;
    cpu->tss.ist[IST_DF - 1] = block + CPU_DF_STACK_TOP;
    cpu->tss.ist[IST_MC - 1] = block + CPU_MC_STACK_TOP;
    cpu->tss.io_map_base = sizeof(struct tss);
}

void cpu_load_tables(struct cpu *cpu)
{
    struct desc_ptr gdt = {sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt};

    cpu->gdt[3] &= ~BIT(41); /* LTR refuses a busy TSS */
    cpu_load_gdt(&gdt);
    lldt(0);
    ltr(SELECTOR_TSS);
    idt_load();
}

/* ---- How deep the main stack has been: what is still painted was never used ----------------- */

#define STACK_PAINT 0x7061696e74656421ull

static uint64_t *stack_bottom(const struct cpu *cpu)
{
    return (uint64_t *)(cpu_block(cpu->index) + CPU_STACK_TOP - CPU_STACK_SIZE);
}

static void paint_stack(const struct cpu *cpu)
{
    for (uint64_t i = 0; i < CPU_STACK_SIZE / sizeof(uint64_t); i++)
        stack_bottom(cpu)[i] = STACK_PAINT;
}

uint64_t cpu_stack_used(const struct cpu *cpu)
{
    uint64_t clean = 0;

    while (clean < CPU_STACK_SIZE && stack_bottom(cpu)[clean / sizeof(uint64_t)] == STACK_PAINT)
        clean += sizeof(uint64_t);
    return CPU_STACK_SIZE - clean;
}

/* The block's address is known from the index. */
struct cpu *cpu_create(unsigned int index, uint32_t apic_id)
{
    if (!paging_map_cpu(index))
        return NULL;
    struct cpu *cpu = cpu_by_index(index);

    cpu->index = index;
    cpu->apic_id = apic_id;
    cpu->timer_deadline = UINT64_MAX;
    build_gdt(cpu);
    build_tss(cpu);
    paint_stack(cpu);
    return cpu;
}

void cpu_init_boot(void)
{
    struct cpu *cpu = cpu_create(0, lapic_id());

    if (!cpu)
        panic("no memory for the boot CPU's stacks");
    cpu_load_tables(cpu);
    idt_use_ist();
    cpu->shared.online = 1;
    cpu_count = 1;
}

void cpu_start_on_stack_of(const struct cpu *cpu, void (*function)(void *), void *argument)
{
    cpu_switch_stack(cpu_block(cpu->index) + CPU_STACK_TOP, function, argument);
}

void cpu_start_on_own_stack(void (*function)(void *), void *argument)
{
    cpu_start_on_stack_of(cpu_by_index(0), function, argument);
}
