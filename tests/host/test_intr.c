/* SPDX-License-Identifier: MIT */
/*
 * Events and the run loop over a fake backend: what two faults become, what comes first, when a
 * window is asked for, what ends a HLT, and what moving RIP entails.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/regs.h"
#include "hv/intr.h"
#include "hv/util.h"
#include "hv/vdev/apic_regs.h"

#include <string.h>

static struct vcpu *const vcpu = &fake_vcpus[0];

static void start(void)
{
    fake_start(1);
    vlapic_write_msr(&vcpu->lapic, MSR_APIC_BASE,
                     vcpu->lapic.base | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    vlapic_write_msr(&vcpu->lapic, MSR_X2APIC_FIRST + APIC_SVR, 0x1ff);
}

static void post(uint8_t vector)
{
    const struct apic_message message = {.vector = vector, .x2apic = true};

    intr_route(&fake_vm, &message);
}

/* ---- Two faults ----------------------------------------------------------------------------- */

/* SDM, "Interrupt 8": the class of each vector, B benign, C contributory, P page fault. */
static const char classes[33] = "CBBBBBBBDBCCCCPBBBBBB" /* #CP is not shown to guests */
                                "BBBBBBBBBBB";

static bool combination_is_right(uint8_t first, uint8_t second)
{
    char a = classes[first], b = classes[second];
    bool is_double = (a == 'C' && b == 'C') || (a == 'P' && (b == 'C' || b == 'P'));
    bool is_triple = a == 'D' && b != 'B';

    vcpu->exception = (struct vm_event){.type = EVENT_EXCEPTION, .vector = first};
    fake.stops = 0;
    inject_exception(vcpu, second, true, 0x1234);
    if (is_triple)
        return fake.stops == 1 && fake.stop_reason == STOP_TRIPLE_FAULT;
    if (is_double)
        return vcpu->exception.vector == VEC_DF && vcpu->exception.has_error &&
               vcpu->exception.error == 0;
    return fake.stops == 0 && vcpu->exception.vector == second && vcpu->exception.error == 0x1234;
}

static void test_double_fault(void)
{
    bool right = true;

    start();
    for (uint8_t first = 0; first < 21; first++)
        for (uint8_t second = 0; second < 21; second++)
            right &= combination_is_right(first, second);
    CHECK(right, "two exceptions combine as the manual's table says, for 441 pairs");
    vcpu->exception = (struct vm_event){.type = EVENT_SOFT_EXCEPTION, .vector = VEC_BP};
    inject_pf(vcpu, 0x1234, 2);
    CHECK(vcpu->exception.vector == VEC_PF && fake.regs[VCPU_CR2] == 0x1234,
          "a fault in the delivery of INT3 takes its place");
}

/* ---- Order and windows ---------------------------------------------------------------------- */

static void make_everything_pending(void)
{
    start();
    fake.regs[VCPU_RFLAGS] |= RFLAGS_IF;
    inject_gp(vcpu, 0);
    vcpu->requeued = (struct vm_event){.type = EVENT_INTR, .vector = 0x99};
    intr_post_nmi(vcpu);
    post(0x40);
}

static struct vm_event deliver(void)
{
    fake.injected.type = EVENT_NONE;
    intr_deliver(vcpu);
    return fake.injected;
}

static void test_order(void)
{
    struct vm_event event;

    make_everything_pending();
    event = deliver();
    CHECK(event.type == EVENT_EXCEPTION && event.vector == VEC_GP, "an exception comes first");
    CHECK(vcpu->check_events, "what waits is looked at again");
    event = deliver();
    CHECK(event.type == EVENT_INTR && event.vector == 0x99, "then what an exit interrupted");
    event = deliver();
    CHECK(event.type == EVENT_NMI, "then the NMI");
    event = deliver();
    CHECK(event.type == EVENT_INTR && event.vector == 0x40, "then the interrupt");
    CHECK(!fake.windows[WINDOW_INTR] && !fake.windows[WINDOW_NMI], "and no window stays open");
    CHECK(deliver().type == EVENT_NONE, "then nothing");
}

static void test_windows(void)
{
    start();
    post(0x40);
    CHECK(deliver().type == EVENT_NONE && fake.windows[WINDOW_INTR],
          "IF = 0: an interrupt waits for its window");
    fake.regs[VCPU_RFLAGS] |= RFLAGS_IF;
    fake.regs[VCPU_BLOCKING] = BLOCKING_STI;
    CHECK(deliver().type == EVENT_NONE && fake.windows[WINDOW_INTR], "so it does behind STI");
    fake.regs[VCPU_BLOCKING] = 0;
    vlapic_set_tpr(&vcpu->lapic, 0x50);
    CHECK(deliver().type == EVENT_NONE && !fake.windows[WINDOW_INTR],
          "below the TPR there is nothing to wait for");
    vlapic_set_tpr(&vcpu->lapic, 0);
    CHECK(deliver().vector == 0x40 && !fake.windows[WINDOW_INTR], "then it is delivered");
    post(0x40);
    post(0x61);
    vlapic_eoi(&vcpu->lapic);
    CHECK(deliver().vector == 0x61 && !fake.windows[WINDOW_INTR],
          "the higher first, and the lower waits for the EOI without a window");
    post(0x72);
    inject_ud(vcpu);
    CHECK(deliver().vector == VEC_UD && fake.windows[WINDOW_INTR],
          "an exception makes an interrupt wait for a window");
}

static void test_nmi(void)
{
    start();
    intr_post_nmi(vcpu);
    intr_post_nmi(vcpu);
    intr_post_nmi(vcpu);
    CHECK(vcpu->nmi_pending == 2, "of many NMIs two are kept");
    CHECK(deliver().type == EVENT_NMI && vcpu->nmi_pending == 1, "one is delivered");
    CHECK(deliver().type == EVENT_NONE && fake.windows[WINDOW_NMI],
          "the other waits for the end of the first");
    CHECK(vcpu->check_events, "and is looked at again, whatever the next exit is");
    fake.regs[VCPU_BLOCKING] = 0;
    CHECK(deliver().type == EVENT_NMI && !fake.windows[WINDOW_NMI], "then it comes");
}

/* ---- HLT ------------------------------------------------------------------------------------ */

static void test_wake(void)
{
    start();
    CHECK(!intr_wakes(vcpu), "nothing wakes");
    post(0x40);
    CHECK(!intr_wakes(vcpu), "an interrupt does not at IF = 0");
    fake.regs[VCPU_RFLAGS] |= RFLAGS_IF;
    CHECK(intr_wakes(vcpu), "at IF = 1 it does");
    vlapic_set_tpr(&vcpu->lapic, 0x40);
    CHECK(!intr_wakes(vcpu), "below the TPR it does not");
    intr_post_nmi(vcpu);
    CHECK(intr_wakes(vcpu), "an NMI does");
    fake.regs[VCPU_BLOCKING] = BLOCKING_NMI;
    CHECK(!intr_wakes(vcpu), "while NMIs are blocked it does not");
    inject_db(vcpu, DR6_BS);
    CHECK(intr_wakes(vcpu), "a trap does");
}

/* ---- The run loop --------------------------------------------------------------------------- */

static struct vm_exit next_exit;
static struct vm_event entered_with[8];

static void exit_once(struct vcpu *unused, struct vm_exit *exit)
{
    entered_with[fake.entries & 7] = fake.injected;
    *exit = next_exit;
    next_exit = (struct vm_exit){.kind = EXIT_HOST_NMI};
    if (fake.entries == 2)
        __atomic_fetch_or(&vcpu->requests, VCPU_REQ_LEAVE, __ATOMIC_RELAXED);
}

/* Two entries, of which the first ends as said. */
static void run(struct vm_exit exit)
{
    next_exit = exit;
    fake.entries = 0;
    fake.enter = exit_once;
    memset(entered_with, 0, sizeof(entered_with));
    vcpu->state = VCPU_RUNNABLE;
    vcpu_run(vcpu);
}

static void test_requeue(void)
{
    const struct vm_event interrupt = {.type = EVENT_INTR, .vector = 0x77};
    const struct vm_event fault = {
        .type = EVENT_EXCEPTION, .vector = VEC_NP, .has_error = true, .error = 0x18};

    start();
    run((struct vm_exit){.kind = EXIT_HOST_NMI, .vectoring = interrupt});
    CHECK(entered_with[2].type == EVENT_INTR && entered_with[2].vector == 0x77,
          "an interrupt whose delivery an exit interrupted is delivered at the next entry");
    start();
    run((struct vm_exit){.kind = EXIT_HOST_NMI, .vectoring = fault});
    CHECK(entered_with[2].vector == VEC_NP && entered_with[2].error == 0x18,
          "an exception likewise, with its error code");
    start();
    run((struct vm_exit){.kind = EXIT_EXCEPTION,
                         .vectoring = fault,
                         .exception = {.vector = VEC_AC, .has_error = true}});
    CHECK(entered_with[2].vector == VEC_AC, "a benign fault in a delivery comes by itself");
}

static void run_at(uint64_t rip, uint8_t kind, uint8_t length)
{
    vcpu->rip = rip;
    run((struct vm_exit){.kind = kind, .insn_len = length});
}

static void test_advance(void)
{
    start();
    fake.regs[VCPU_BLOCKING] = BLOCKING_STI | BLOCKING_NMI;
    run_at(0x7ffffffe, EXIT_CPUID, 2);
    CHECK(vcpu->rip == 0x80000000 && fake.regs[VCPU_BLOCKING] == BLOCKING_NMI,
          "moving RIP ends the shadow of STI, not the blocking of NMIs");
    start();
    run_at(0xfffffffe, EXIT_CPUID, 2);
    CHECK(vcpu->rip == 0x100000000, "RIP has 64 bits in 64-bit code");
    start();
    fake_set_mode(32);
    run_at(0xfffffffe, EXIT_CPUID, 2);
    CHECK(vcpu->rip == 0, "and 32 elsewhere");
    start();
    fake.regs[VCPU_RFLAGS] |= RFLAGS_TF;
    run_at(0x1000, EXIT_CPUID, 2);
    CHECK(entered_with[2].vector == VEC_DB && (fake.regs[VCPU_DR6] & DR6_BS),
          "TF traps behind an emulated instruction");
}

static void test_lengths(void)
{
    static const struct {
        uint8_t kind, length;
        uint8_t bytes[5];
    } cases[] = {
        {EXIT_CPUID, 2, {0x0f, 0xa2}},       {EXIT_CPUID, 4, {0x66, 0xf3, 0x0f, 0xa2}},
        {EXIT_RDMSR, 2, {0x0f, 0x32}},       {EXIT_HYPERCALL, 3, {0x0f, 0x01, 0xd9}},
        {EXIT_PAUSE, 2, {0xf3, 0x90}},       {EXIT_CACHE, 2, {0x0f, 0x09}},
        {EXIT_CACHE, 3, {0xf3, 0x0f, 0x09}}, {EXIT_CACHE, 2, {0x0f, 0x08}},
        {EXIT_CPUID, 0, {0x90, 0x0f, 0xa2}}, /* another instruction by now: executed again */
    };
    bool right = true;

    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
        start();
        fake_code(0x3000, cases[i].bytes, sizeof(cases[i].bytes));
        vcpu->gprs.r[GPR_RCX] = MSR_TSC;
        run((struct vm_exit){.kind = cases[i].kind});
        right &= vcpu->rip == 0x3000u + cases[i].length;
    }
    CHECK(right, "where the CPU gives no length it is decoded");
}

static void test_hlt(void)
{
    start();
    run((struct vm_exit){.kind = EXIT_HLT, .insn_len = 1});
    CHECK(fake.entries == 1 && vcpu->state == VCPU_HALTED, "HLT blocks");
    fake.regs[VCPU_RFLAGS] |= RFLAGS_IF;
    post(0x40);
    vcpu_run(vcpu);
    CHECK(vcpu->state == VCPU_HALTED || fake.entries > 1, "and what wakes it is noticed");
    start();
    fake.regs[VCPU_RFLAGS] |= RFLAGS_IF;
    fake.regs[VCPU_BLOCKING] = BLOCKING_STI;
    post(0x40);
    vcpu->requests = 0;
    run((struct vm_exit){.kind = EXIT_HLT, .insn_len = 1});
    CHECK(entered_with[2].type == EVENT_INTR && entered_with[2].vector == 0x40,
          "STI; HLT with an interrupt pending does not sleep");
}

static void test_reset(void)
{
    host_cpuid.has[FEATURE_RDTSCP] = true;
    start();
    host_cpuid.has[FEATURE_RDTSCP] = true;
    vcpu_load(vcpu);
    vcpu_use_debug_registers(vcpu);
    fake.hardware_dr[2] = 0x1234;
    fake.hardware_tsc_aux = 0x5678;
    fake.regs[VCPU_CR0] = CR0_PE;
    vcpu->nmi_pending = 1;
    inject_ud(vcpu);
    vcpu_reset(vcpu, false);
    CHECK(vcpu->rip == 0xfff0 && fake.segs[SEG_CS].base == 0xffff0000 &&
              fake.regs[VCPU_CR0] == (CR0_CD | CR0_NW | CR0_ET),
          "RESET starts at the reset vector");
    CHECK(!vcpu->exception.type && !vcpu->nmi_pending, "with no event pending");
    CHECK(fake.hardware_tsc_aux == 0, "TSC_AUX of the run before is gone");
    vcpu_use_debug_registers(vcpu);
    CHECK(fake.hardware_dr[2] == 0 && vcpu->dr[2] == 0, "and so are the debug registers");
}

static void test_kinds(void)
{
    bool handled = true, named = true;

    for (unsigned int kind = 0; kind < EXIT_KIND_COUNT; kind++) {
        handled &= exit_handlers[kind] != NULL;
        named &= strcmp(exit_kind_name(kind), "?") != 0;
    }
    CHECK(handled && named, "every kind of exit has a handler and a name");
}

static void all(void)
{
    test_kinds();
    test_double_fault();
    test_order();
    test_windows();
    test_nmi();
    test_wake();
    test_requeue();
    test_advance();
    test_lengths();
    test_hlt();
    test_reset();
}

int main(void)
{
    fake_on_cpu(all);
    return check_done();
}
