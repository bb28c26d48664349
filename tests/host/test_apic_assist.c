/* SPDX-License-Identifier: MIT */
/* Lending local APICs to a fake CPU that virtualizes them: when, and what becomes of events then.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/x86/msr.h"
#include "arch/x86/regs.h"
#include "hv/apic_assist.h"
#include "hv/emul.h"
#include "hv/intr.h"
#include "hv/layout.h"
#include "hv/vdev/apic_regs.h"

#define X2APIC_ON (LAYOUT_LAPIC_BASE | APIC_BASE_BSP | APIC_BASE_ENABLE | APIC_BASE_X2APIC)

static struct vcpu *const vcpu = &fake_vcpus[0];

static void write_msr(uint32_t msr, uint64_t value)
{
    vcpu->gprs.r[GPR_RCX] = msr;
    vcpu_set_edx_eax(vcpu, value);
    emul_wrmsr(vcpu, NULL);
}

static void start(bool available)
{
    fake_start(1);
    fake_apic.available = available;
    fake.regs[VCPU_RFLAGS] |= RFLAGS_IF;
    apic_assist_vm_create(&fake_vm);
    apic_assist_create(vcpu);
    write_msr(MSR_APIC_BASE, X2APIC_ON);
    write_msr(MSR_X2APIC_FIRST + APIC_SVR, 0x1ff);
}

static void stop(void)
{
    apic_assist_destroy(vcpu);
}

static void post(uint8_t vector, bool level)
{
    const struct apic_message message = {.vector = vector, .x2apic = true, .level = level};

    intr_route(&fake_vm, &message);
}

static void test_when(void)
{
    start(false);
    CHECK(!fake.lent && !vcpu->lapic.page && fake.passed == 0, "no help, no lending");
    stop();
    start(true);
    CHECK(fake.lent && vcpu->check_events, "in x2APIC mode the APIC is lent");
    CHECK(fake.passed == 40 + 3, "reads of 40 registers and writes of 3 take no exit");
    vcpu_reset(vcpu, true);
    CHECK(fake.lent && vcpu->lapic.lent, "after INIT it is lent anew");
    write_msr(MSR_APIC_BASE, X2APIC_ON & ~(uint64_t)(APIC_BASE_ENABLE | APIC_BASE_X2APIC));
    CHECK(!fake.lent, "disabled it is not");
    write_msr(MSR_APIC_BASE, X2APIC_ON & ~(uint64_t)APIC_BASE_X2APIC);
    write_msr(MSR_APIC_BASE, X2APIC_ON);
    CHECK(fake.lent, "in x2APIC mode it is again");
    vcpu_reset(vcpu, false);
    CHECK(!fake.lent && !vcpu->lapic.lent, "after RESET it is not");
    stop();
}

static void test_delivery(void)
{
    start(true);
    intr_deliver(vcpu);
    post(0x61, false);
    post(0x35, true);
    CHECK(intr_pending(vcpu) && fake.wakes, "what is posted is pending, and wakes");
    inject_gp(vcpu, 0);
    intr_deliver(vcpu);
    CHECK(fake.injected.vector == VEC_GP && fake.apic_status.requested == 0x61,
          "beside an exception that is injected the CPU gets to know it");
    CHECK(fake.eoi_exits[0] == 1ull << 0x35, "and the level-triggered ones");
    CHECK(!vcpu->check_events && !fake.windows[WINDOW_INTR],
          "no interrupt is injected, and no window asked for");
    stop();
}

static void test_pic(void)
{
    start(true);
    write_msr(MSR_X2APIC_FIRST + APIC_LVT_LINT0, APIC_DELIVER_EXTINT << 8);
    intr_deliver(vcpu);
    post(0x61, false);
    fake_vm.pic_intr = true;
    fake.regs[VCPU_RFLAGS] &= ~(uint64_t)RFLAGS_IF;
    intr_deliver(vcpu);
    CHECK(fake.windows[WINDOW_INTR] && !fake.injected.type, "the 8259's still takes a window");
    fake.regs[VCPU_RFLAGS] |= RFLAGS_IF;
    intr_deliver(vcpu);
    CHECK(fake.injected.type == EVENT_INTR && fake.apic_status.requested == 0x61,
          "and is injected, the local APIC's are not");
    stop();
}

static void test_wakes(void)
{
    start(true);
    CHECK(!intr_wakes(vcpu), "nothing ends a HLT");
    vcpu->lapic.page[APIC_PPR * 4] = 0x60;
    post(0x61, false);
    CHECK(!intr_wakes(vcpu), "nor does what PPR holds back");
    post(0x71, false);
    CHECK(intr_wakes(vcpu), "what it lets through does");
    fake.regs[VCPU_RFLAGS] &= ~(uint64_t)RFLAGS_IF;
    CHECK(!intr_wakes(vcpu), "unless interrupts are off");
    stop();
}

static void test_exits(void)
{
    struct vm_exit exit = {.kind = EXIT_APIC_WRITE, .apic.offset = APIC_SELF_IPI * 16};

    start(true);
    vcpu->check_events = false;
    vcpu->lapic.page[APIC_SELF_IPI * 4] = 3;
    CHECK(exit_handlers[exit.kind](vcpu, &exit) == ACTION_RESUME && vcpu->lapic.esr_latch != 0,
          "SELF IPI with an illegal vector is an error; RIP is behind it already");
    exit = (struct vm_exit){.kind = EXIT_APIC_EOI, .apic.vector = 0x35};
    CHECK(exit_handlers[exit.kind](vcpu, &exit) == ACTION_RESUME, "and so it is at an EOI");
    stop();
}

static void run(void)
{
    test_when();
    test_delivery();
    test_pic();
    test_wakes();
    test_exits();
}

int main(void)
{
    fake_on_cpu(run);
    return check_done();
}
