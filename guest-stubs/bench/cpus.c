/* SPDX-License-Identifier: MIT */
/* Starting other CPUs. */
#include "guest-stubs/bench/bench.h"
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define MAX_CPUS    32
#define TRAMPOLINE  0x70000u
#define STACK_SHIFT 12 /* trampoline.asm has it too */
#define PATIENCE    1000000u
#define ICR_INIT    0x4500u
#define ICR_STARTUP 0x4600u

extern const uint8_t ap_trampoline[], ap_trampoline_end[];
extern uint8_t ap_stacks[MAX_CPUS][1 << STACK_SHIFT];
uint8_t ap_stacks[MAX_CPUS][1 << STACK_SHIFT] __attribute__((aligned(4096)));

static volatile bool arrived;
static void (*job)(void);

_Noreturn void ap_main(unsigned int cpu);

static void enable_apic(void)
{
    if (apic_is_x2)
        wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10));
    apic_write(LAPIC_SVR, SVR_ENABLE | 0xff);
}

_Noreturn void ap_main(unsigned int cpu)
{
    trap_load_idt(idt, sizeof(idt) - 1);
    enable_apic();
    arrived = true;
    for (;;)
        job();
}

static void send(uint32_t to, uint32_t command)
{
    if (apic_is_x2) {
        wrmsr(MSR_X2APIC + LAPIC_ICR / 16, (uint64_t)to << 32 | command);
    } else {
        lapic_write(LAPIC_ICR2, to << 24);
        lapic_write(LAPIC_ICR, command);
    }
}

bool start_cpu(uint32_t id, void (*function)(void))
{
    job = function;
    arrived = false;
    memcpy((void *)(uint64_t)TRAMPOLINE, ap_trampoline,
           (unsigned long)(ap_trampoline_end - ap_trampoline));
    send(id, ICR_INIT);
    send(id, ICR_STARTUP | TRAMPOLINE >> 12);
    send(id, ICR_STARTUP | TRAMPOLINE >> 12);
    for (unsigned int i = 0; i < PATIENCE && !arrived; i++)
        __asm__ volatile("pause");
    return arrived;
}
