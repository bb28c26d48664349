/* SPDX-License-Identifier: MIT */
/* The host's local APIC. Registers are named by their xAPIC offsets; x2APIC's MSRs follow from
 * those. */
#include "arch/x86/lapic.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/idt.h"
#include "arch/x86/msr.h"
#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
#include "hv/panic.h"

enum {
    REG_ID = 0x020,
    REG_VERSION = 0x030,
    REG_TPR = 0x080,
    REG_EOI = 0x0b0,
    REG_SVR = 0x0f0,
    REG_ISR = 0x100,
    REG_ESR = 0x280,
    REG_LVT_CMCI = 0x2f0,
    REG_ICR_LOW = 0x300,
    REG_ICR_HIGH = 0x310,
    REG_LVT_TIMER = 0x320,
    REG_LVT_THERMAL = 0x330,
    REG_LVT_PMC = 0x340,
    REG_LVT_LINT0 = 0x350,
    REG_LVT_LINT1 = 0x360,
    REG_LVT_ERROR = 0x370,
    REG_TMICT = 0x380,
    REG_TMCCT = 0x390,
    REG_TDCR = 0x3e0,
};

#define SVR_ENABLE         BIT(8)
#define LVT_MASKED         BIT(16)
#define LVT_TIMER_DEADLINE (2u << 17)
#define TDCR_DIVIDE_BY_1   0xbu
#define VERSION_MAX_LVT(v) ((v) >> 16 & 0xff)

#define ICR_FIXED   (0u << 8)
#define ICR_NMI     (4u << 8)
#define ICR_INIT    (5u << 8)
#define ICR_STARTUP (6u << 8)
#define ICR_PENDING (1u << 12)
#define ICR_ASSERT  (1u << 14)

static volatile uint8_t *mmio; /* a null pointer in x2APIC mode */
static bool x2apic;
static uint64_t boot_base; /* the boot CPU's MSR, without the bit that says so */
static bool deadline;

static uint32_t read_reg(uint32_t reg)
{
    if (x2apic)
        return (uint32_t)rdmsr(MSR_X2APIC_FIRST + (reg >> 4));
    return mmio_read32(mmio + reg);
}

static void write_reg(uint32_t reg, uint32_t value)
{
    if (x2apic)
        wrmsr(MSR_X2APIC_FIRST + (reg >> 4), value);
    else
        mmio_write32(mmio + reg, value);
}

static void write_icr(uint32_t apic_id, uint32_t command)
{
    if (x2apic) {
        memory_fence(); /* the WRMSR is not ordered with the stores that the target shall see */
        wrmsr(MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | command);
        return;
    }
    while (read_reg(REG_ICR_LOW) & ICR_PENDING)
        cpu_relax();
    write_reg(REG_ICR_HIGH, apic_id << 24);
    write_reg(REG_ICR_LOW, command);
}

/* What was in service when firmware let go would block every lower vector for good. */
static void end_stale_interrupts(void)
{
    for (uint32_t i = 0; i < 8; i++)
        for (unsigned int tries = 0; tries < 32 && read_reg(REG_ISR + 0x10 * i); tries++)
            write_reg(REG_EOI, 0);
}

static void set_timer_mode(void)
{
    write_reg(REG_LVT_TIMER, VECTOR_TIMER | (deadline ? LVT_TIMER_DEADLINE : 0));
    memory_fence(); /* in xAPIC mode a deadline written earlier than the mode would be lost */
}

static void set_up(void)
{
    static const struct {
        uint32_t reg, last_lvt; /* which number of "max LVT entry" makes it exist */
    } lvts[] = {
        {REG_LVT_LINT0, 0},   {REG_LVT_LINT1, 0}, {REG_LVT_PMC, 4},
        {REG_LVT_THERMAL, 5}, {REG_LVT_CMCI, 6},
    };
    uint32_t max_lvt = VERSION_MAX_LVT(read_reg(REG_VERSION));

    write_reg(REG_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
    write_reg(REG_TPR, 0);
    for (size_t i = 0; i < ARRAY_SIZE(lvts); i++)
        if (max_lvt >= lvts[i].last_lvt)
            write_reg(lvts[i].reg, LVT_MASKED);
    write_reg(REG_LVT_ERROR, VECTOR_ERROR);
    write_reg(REG_ESR, 0);
    write_reg(REG_TMICT, 0);
    write_reg(REG_TDCR, TDCR_DIVIDE_BY_1);
    end_stale_interrupts();
    set_timer_mode();
}

void lapic_init(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    if (!cpu_has(FEATURE_APIC) || !(base & APIC_BASE_ENABLE))
        panic("the local APIC is off");
    boot_base = base & ~APIC_BASE_BSP;
    x2apic = base & APIC_BASE_X2APIC;
    if (!x2apic)
        mmio = paging_map_mmio(HPA(base & APIC_BASE_ADDRESS), PAGE_SIZE);
    deadline = cpu_has(FEATURE_TSC_DEADLINE);
    set_up();
}

/* Out of x2APIC mode the way leads through off, and into it through xAPIC mode. */
void lapic_init_secondary(void)
{
    const uint64_t mode = APIC_BASE_ENABLE | APIC_BASE_X2APIC;

    if ((rdmsr(MSR_APIC_BASE) ^ boot_base) & mode) {
        wrmsr(MSR_APIC_BASE, boot_base & ~mode);
        wrmsr(MSR_APIC_BASE, boot_base & ~APIC_BASE_X2APIC);
    }
    wrmsr(MSR_APIC_BASE, boot_base);
    set_up();
}

bool lapic_is_x2apic(void)
{
    return x2apic;
}

bool lapic_has_deadline(void)
{
    return deadline;
}

uint32_t lapic_id(void)
{
    uint32_t id = read_reg(REG_ID);

    return x2apic ? id : id >> 24;
}

void lapic_eoi(void)
{
    write_reg(REG_EOI, 0);
}

void lapic_send_ipi(uint32_t apic_id, uint8_t vector)
{
    write_icr(apic_id, ICR_FIXED | ICR_ASSERT | vector);
}

void lapic_send_nmi(uint32_t apic_id)
{
    write_icr(apic_id, ICR_NMI | ICR_ASSERT);
}

void lapic_send_init(uint32_t apic_id)
{
    write_icr(apic_id, ICR_INIT | ICR_ASSERT);
}

void lapic_send_sipi(uint32_t apic_id, uint8_t page)
{
    write_icr(apic_id, ICR_STARTUP | ICR_ASSERT | page);
}

/* TSC ticks to timer ticks, never 0 (that would turn the timer off) and never early but at the
 * limit. */
static uint32_t timer_ticks(uint64_t tsc_ticks)
{
    uint64_t limit = UINT64_C(1) << 40;
    uint64_t ticks = fixed_multiply(MIN(tsc_ticks, limit), tsc_info.lapic_per_tsc) + 1;

    return ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
}

void lapic_timer_arm(uint64_t tsc_deadline)
{
    this_cpu()->timer_deadline = tsc_deadline;
    if (deadline) {
        wrmsr(MSR_TSC_DEADLINE, MAX(tsc_deadline, 1));
    } else {
        uint64_t now = rdtsc();
        write_reg(REG_TMICT, timer_ticks(tsc_deadline > now ? tsc_deadline - now : 0));
    }
}

void lapic_timer_off(void)
{
    this_cpu()->timer_deadline = UINT64_MAX;
    if (deadline)
        wrmsr(MSR_TSC_DEADLINE, 0);
    else
        write_reg(REG_TMICT, 0);
}

void lapic_timer_measure_start(void)
{
    write_reg(REG_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
    write_reg(REG_TMICT, UINT32_MAX);
}

void lapic_timer_measure_stop(void)
{
    write_reg(REG_TMICT, 0);
    set_timer_mode();
}

uint32_t lapic_timer_count(void)
{
    return read_reg(REG_TMCCT);
}
