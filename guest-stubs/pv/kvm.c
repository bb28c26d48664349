/* SPDX-License-Identifier: MIT */
/* KVM's feature bits, its MSRs' refusals, and its calls: kick, IPIs, yield. */
#include "guest-stubs/pv/pv.h"

#define SHOWN                                                                                      \
    (BIT(KVM_FEATURE_NOP_IO_DELAY) | BIT(KVM_FEATURE_CLOCKSOURCE2) | BIT(KVM_FEATURE_STEAL_TIME) | \
     BIT(KVM_FEATURE_PV_EOI) | BIT(KVM_FEATURE_PV_UNHALT) | BIT(KVM_FEATURE_PV_TLB_FLUSH) |        \
     BIT(KVM_FEATURE_PV_SEND_IPI) | BIT(KVM_FEATURE_POLL_CONTROL) |                                \
     BIT(KVM_FEATURE_PV_SCHED_YIELD))

static void check_features(void)
{
    uint32_t features = cpuid(KVM_CPUID_FEATURES, 0).eax;
    uint32_t stable =
        HAS(0x80000007, 0, edx, 8) ? (uint32_t)BIT(KVM_FEATURE_CLOCKSOURCE_STABLE) : 0;

    check_equal(features, SHOWN | stable,
                "the features are these, the stable clock with an invariant TSC");
    check(!HAS(1, 0, ecx, 3), "MWAIT is not shown beside the flush of TLBs");
}

static void check_msrs(void)
{
    check_equal(rdmsr(MSR_KVM_POLL_CONTROL), 1, "halting is polled for at first");
    try_wrmsr(MSR_KVM_POLL_CONTROL, 0);
    check(rdmsr(MSR_KVM_POLL_CONTROL) == 0, "and not any more");
    try_wrmsr(MSR_KVM_POLL_CONTROL, 2);
    check_fault(VEC_GP, 0, "a reserved bit of it is refused");
    try_wrmsr(MSR_KVM_STEAL_TIME, 0x3000 + 32 + 1);
    check_fault(VEC_GP, 0, "so is a place for steal time that is not aligned");
    try_wrmsr(MSR_KVM_STEAL_TIME, LAPIC_BASE + 1);
    check_fault(VEC_GP, 0, "or not in RAM");
    try_wrmsr(MSR_KVM_PV_EOI_EN, ~3ull + 1);
    check_fault(VEC_GP, 0, "and a byte for EOIs that is nowhere");
    try_rdmsr(0x4b564d02);
    check_fault(VEC_GP, 0, "asynchronous page faults are not there");
}

/* ---- Kick ----------------------------------------------------------------------------------- */

static volatile bool halts, woke;

static void halt_without_interrupts(void)
{
    interrupts_off();
    halts = true;
    __asm__ volatile("hlt" ::: "memory");
    woke = true;
    interrupts_on();
}

static bool is_halted(void)
{
    return halts;
}

static bool is_awake(void)
{
    return woke;
}

static bool is_idle(void)
{
    return !cpus[1].job;
}

static void check_kick(void)
{
    start_job(1, halt_without_interrupts);
    wait_until(is_halted);
    wait_ms(20);
    ipi(1, VEC_IPI | ICR_ASSERT);
    wait_ms(5);
    check(!woke, "an IPI does not wake a CPU that halts with interrupts off");
    check(kvm_call(KVM_HC_KICK_CPU, 0, 1, 0, 0) == 0 && wait_until(is_awake), "a kick does");
    check(kvm_call(KVM_HC_KICK_CPU, 0, 0, 0, 0) == 0, "one that comes before the HLT");
    halt_without_interrupts();
    check(true, "is remembered until then");
    check(kvm_call(KVM_HC_KICK_CPU, 0, 1000, 0, 0) == 0, "one for nobody is nothing");
    wait_until(is_idle); /* it has taken its IPI */
}

/* ---- IPIs ----------------------------------------------------------------------------------- */

static unsigned int expected_ipis;

static bool have_come(void)
{
    for (unsigned int cpu = 1; cpu < cpu_count; cpu++)
        if (cpus[cpu].ipis != expected_ipis)
            return false;
    return true;
}

static void check_send(uint64_t bitmap, uint32_t first, const char *what)
{
    for (unsigned int cpu = 0; cpu < cpu_count; cpu++)
        cpus[cpu].ipis = 0;
    expected_ipis = 1;
    check_equal((uint64_t)kvm_call(KVM_HC_SEND_IPI, bitmap, 0, first, VEC_IPI), cpu_count - 1,
                "%s goes to all %u others, by one call", what, cpu_count - 1);
    wait_until(have_come);
    wait_ms(2);
    check(have_come() && cpus[0].ipis == 0, "and each has one");
}

void pv_ipis(void)
{
    check_send(BIT(cpu_count) - 2, 0, "an IPI by a bitmap");
    check_send(~0ull, 1, "one by a bitmap that begins at 1");
    check_equal((uint64_t)kvm_call(KVM_HC_SEND_IPI, 0, ~0ull, 0, VEC_IPI), 0,
                "the second word's CPUs are not there");
    check_equal((uint64_t)kvm_call(KVM_HC_SEND_IPI, 1, 0, 0, ICR_OTHERS | VEC_IPI),
                (uint64_t)-KVM_EINVAL, "a shorthand is refused");
    kvm_call(KVM_HC_SEND_IPI, 2, 0, 0, ICR_NMI);
    wait_ms(20);
    check_equal(cpus[1].nmis, 1, "an NMI is sent");
}

void pv_kvm(void)
{
    check_features();
    check_msrs();
    check_equal((uint64_t)kvm_call(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0), 0, "a call that only exits");
    check_kick();
    pv_ipis();
    for (unsigned int cpu = 0; cpu <= cpu_count; cpu++)
        check_equal((uint64_t)kvm_call(KVM_HC_SCHED_YIELD, cpu, 0, 0, 0), 0,
                    "it yields to cpu %u, be it there or not", cpu);
}
