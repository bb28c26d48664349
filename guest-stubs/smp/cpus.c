/* SPDX-License-Identifier: MIT */
/*
 * Several CPUs, for this stub and others: they start by INIT and start-up IPIs, halt with
 * interrupts on, and run a job when they are given one.  What reaches them is counted.  Waiting has
 * an end everywhere, so that what is lost is a failed check.
 */
#include "guest-stubs/smp/cpus.h"

#include "guest-stubs/lib/options.h"

#define TRAMPOLINE  0x70000u
#define STACK_SHIFT 12 /* trampoline.asm has it too */

extern const uint8_t ap_trampoline[], ap_trampoline_end[];
extern uint8_t ap_stacks[MAX_CPUS][1 << STACK_SHIFT];
_Noreturn void ap_main(unsigned int cpu);

unsigned int cpu_count = 1;
uint64_t tsc_ms;
struct cpu_state cpus[MAX_CPUS];
uint8_t ap_stacks[MAX_CPUS][1 << STACK_SHIFT] __attribute__((aligned(4096)));

/* By the stack, which costs no exit. */
unsigned int this_cpu(void)
{
    uint64_t offset = (uint64_t)__builtin_frame_address(0) - (uint64_t)ap_stacks;

    return offset < sizeof(ap_stacks) ? (unsigned int)(offset >> STACK_SHIFT) : 0;
}

/* ---- The interrupt controller ---------------------------------------------------------------- */

static bool in_x2apic(void)
{
    return (rdmsr(MSR_APIC_BASE) & BIT(10)) != 0;
}

void lapic_enable(void)
{
    if (in_x2apic())
        wrmsr(MSR_X2APIC + LAPIC_SVR / 16, SVR_ENABLE | VEC_SPURIOUS);
    else
        lapic_write(LAPIC_SVR, SVR_ENABLE | VEC_SPURIOUS);
}

void lapic_eoi(void)
{
    if (in_x2apic())
        wrmsr(MSR_X2APIC + LAPIC_EOI / 16, 0);
    else
        lapic_write(LAPIC_EOI, 0);
}

void ipi(uint32_t to, uint32_t command)
{
    if (in_x2apic()) {
        wrmsr(MSR_X2APIC + LAPIC_ICR / 16, (uint64_t)to << 32 | command);
        return;
    }
    lapic_write(LAPIC_ICR2, to << 24);
    lapic_write(LAPIC_ICR, command);
    while (lapic_read(LAPIC_ICR) & ICR_BUSY)
        __asm__ volatile("pause");
}

static void count_ipi(struct frame *frame)
{
    cpus[this_cpu()].ipis++;
    lapic_eoi();
}

static void count_nmi(struct frame *frame)
{
    cpus[this_cpu()].nmis++;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

bool wait_until(bool (*condition)(void))
{
    uint64_t until = rdtsc() + 5000 * tsc_ms;

    interrupts_on();
    while (!condition() && rdtsc() < until)
        __asm__ volatile("pause");
    interrupts_off();
    return condition();
}

void wait_ms(unsigned int ms)
{
    uint64_t until = rdtsc() + ms * tsc_ms;

    interrupts_on();
    while (rdtsc() < until)
        __asm__ volatile("pause");
    interrupts_off();
}

/* ---- The other CPUs -------------------------------------------------------------------------- */

static void note_ids(struct cpu_state *cpu)
{
    cpu->apic_id = cpuid(1, 0).ebx >> 24;
    cpu->topology_id = cpuid(0, 0).eax >= 0xb ? cpuid(0xb, 0).edx : cpu->apic_id;
}

_Noreturn void ap_main(unsigned int cpu)
{
    struct cpu_state *self = &cpus[cpu];

    trap_load_idt(idt, sizeof(idt) - 1);
    lapic_enable();
    note_ids(self);
    self->job = 0;
    self->arrivals++;
    for (;;) {
        if (self->job) {
            interrupts_on();
            self->job();
            interrupts_off();
            self->job = 0;
        } else {
            __asm__ volatile("sti; hlt; cli" ::: "memory");
        }
    }
}

static unsigned int awaited_cpu, awaited_arrivals;

static bool has_arrived(void)
{
    return cpus[awaited_cpu].arrivals == awaited_arrivals;
}

bool start_cpu(unsigned int cpu)
{
    memcpy((void *)(uint64_t)TRAMPOLINE, ap_trampoline,
           (unsigned long)(ap_trampoline_end - ap_trampoline));
    awaited_cpu = cpu;
    awaited_arrivals = cpus[cpu].arrivals + 1;
    ipi(cpu, ICR_INIT | ICR_ASSERT);
    ipi(cpu, ICR_STARTUP | ICR_ASSERT | TRAMPOLINE >> 12);
    ipi(cpu, ICR_STARTUP | ICR_ASSERT | TRAMPOLINE >> 12); /* it runs already */
    return wait_until(has_arrived);
}

static bool job_is_done(void)
{
    return !cpus[awaited_cpu].job;
}

void start_job(unsigned int cpu, void (*job)(void))
{
    cpus[cpu].job = job;
    ipi(cpu, VEC_IPI | ICR_ASSERT);
}

bool run_job(unsigned int cpu, void (*job)(void))
{
    start_job(cpu, job);
    awaited_cpu = cpu;
    return wait_until(job_is_done);
}

bool run_everywhere(void (*job)(void))
{
    bool done = true;

    for (unsigned int cpu = 1; cpu < cpu_count; cpu++)
        start_job(cpu, job);
    job();
    for (awaited_cpu = 1; awaited_cpu < cpu_count; awaited_cpu++)
        done &= wait_until(job_is_done);
    return done;
}

void cpus_init(void)
{
    tsc_ms = kvm_tsc_per_ms();
    outb(PIC_MASTER + 1, 0xff);
    outb(PIC_SLAVE + 1, 0xff);
    trap_handlers[VEC_IPI] = count_ipi;
    trap_handlers[VEC_NMI] = count_nmi;
    lapic_enable();
    note_ids(&cpus[0]);
}
