/* SPDX-License-Identifier: MIT */
/*
 * Storm: one CPU sends the others whatever its local APIC can send, in no order: INITs, start-up
 * IPIs, NMIs, interrupts with every vector, SMIs, reserved modes, levels, to CPUs that are there or
 * not.
 *
 * The others start in real mode and run or halt there until the next INIT.  It goes on for so many
 * commands=; then each must still start when it is told to.  cpus= is how many there are.
 */
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define ICR_FIXED   0x000u
#define ICR_LOWEST  0x100u
#define ICR_SMI     0x200u
#define ICR_MODE3   0x300u
#define ICR_INIT    0x500u
#define ICR_STARTUP 0x600u
#define ICR_MODE7   0x700u
#define ICR_LOGICAL 0x800u
#define ICR_ASSERT  0x4000u
#define ICR_LEVEL   0x8000u
#define ICR_OTHERS  0xc0000u
#define ICR2_SHIFT  24

/* What runs in real mode, each in a page of its own. */
#define PAGE_RUN    0x70
#define PAGE_HALT   0x71
#define PAGE_COUNT  0x72
#define PAGE_RETURN 0x73
#define COUNTER     ((volatile uint16_t *)0x9000)

static const uint8_t run_code[] = {0xfb, 0xf3, 0x90, 0xeb, 0xfc}; /* sti; pause */
static const uint8_t halt_code[] = {0xfb, 0xf4, 0xeb, 0xfd};      /* sti; hlt */
static const uint8_t count_code[] = {0xf0, 0xff, 0x06, 0x00, 0x90, 0xf4, 0xeb, 0xfd}; /* once */
static const uint8_t return_code[] = {0xcf};                                          /* iret */

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t random_number(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % below;
}

static void put_code(unsigned int page, const uint8_t *code, unsigned long size)
{
    memcpy((void *)(uint64_t)(page << 12), code, size);
}

/* Every interrupt returns at once. */
static void put_real_mode(void)
{
    put_code(PAGE_RUN, run_code, sizeof(run_code));
    put_code(PAGE_HALT, halt_code, sizeof(halt_code));
    put_code(PAGE_COUNT, count_code, sizeof(count_code));
    put_code(PAGE_RETURN, return_code, sizeof(return_code));
    for (volatile uint32_t *vector = (uint32_t *)4; vector < (uint32_t *)1024; vector++)
        *vector = PAGE_RETURN << 24;
}

static void send(uint32_t to, uint32_t command)
{
    lapic_write(LAPIC_ICR2, to << ICR2_SHIFT);
    lapic_write(LAPIC_ICR, command);
}

/* CPU 0, which sends, is nobody's target: an INIT would be its end. */
static void send_anything(unsigned int cpus)
{
    static const uint32_t modes[] = {ICR_FIXED, ICR_LOWEST, ICR_SMI,     ICR_MODE3,   ICR_NMI,
                                     ICR_INIT,  ICR_INIT,   ICR_STARTUP, ICR_STARTUP, ICR_MODE7};
    static const uint32_t levels[] = {ICR_ASSERT, ICR_ASSERT, ICR_ASSERT | ICR_LEVEL, ICR_LEVEL, 0};
    uint32_t mode = modes[random_number(ARRAY_SIZE(modes))];
    uint32_t level = levels[random_number(ARRAY_SIZE(levels))];
    uint32_t vector = mode == ICR_STARTUP ? PAGE_RUN + random_number(2) : random_number(256);
    uint32_t others = random_number(8) ? 0 : ICR_OTHERS;
    uint32_t logical = random_number(8) ? 0 : ICR_LOGICAL;

    send(1 + random_number(cpus + 1), mode | level | vector | others | logical);
}

static bool starts(unsigned int cpu)
{
    uint16_t before = *COUNTER;
    uint64_t until = rdtsc() + 1000 * kvm_tsc_per_ms();

    send(cpu, ICR_INIT | ICR_ASSERT);
    send(cpu, ICR_STARTUP | ICR_ASSERT | PAGE_COUNT);
    send(cpu, ICR_STARTUP | ICR_ASSERT | PAGE_COUNT); /* it runs already */
    while (*COUNTER == before && rdtsc() < until)
        __asm__ volatile("pause");
    return *COUNTER == before + 1;
}

void stub_main(void)
{
    const unsigned int cpus = (unsigned int)option("cpus", 2);
    const uint64_t commands = option("commands", 8000);

    put_real_mode();
    lapic_write(LAPIC_SVR, SVR_ENABLE | 0xff);
    print("A storm of %lu commands follows\n", commands);
    for (uint64_t i = 0; i < commands; i++)
        send_anything(cpus);
    check(true, "the CPU that sends outlives it");
    send(0, ICR_INIT | ICR_ASSERT | ICR_OTHERS);
    for (unsigned int cpu = 1; cpu < cpus; cpu++)
        check(starts(cpu), "cpu %u starts after it, once", cpu);
}
