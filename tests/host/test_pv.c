/* SPDX-License-Identifier: MIT */
/*
 * The paravirtual interfaces over a fake backend: the frame of hypercalls, each call, steal time
 * and the flush of the TLB that waits, EOIs that are skipped against EOIs that are not, and every
 * number with random registers.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/regs.h"
#include "hv/emul.h"
#include "hv/guest_mem.h"
#include "hv/intr.h"
#include "hv/pv/pv.h"
#include "hv/util.h"
#include "hv/vdev/apic_regs.h"

#include <stdlib.h>
#include <string.h>

#define VCPUS 8
#define AREA  0x3000 /* of the guest, for what it shares */

static struct vcpu *const vcpu = &fake_vcpus[0];

static void start(void)
{
    fake_start(VCPUS);
    for (unsigned int i = 0; i < VCPUS; i++) {
        struct vlapic *lapic = &fake_vcpus[i].lapic;

        vlapic_reset(lapic);
        pv_reset(&fake_vcpus[i]);
        vlapic_write_msr(lapic, MSR_APIC_BASE, lapic->base | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
        vlapic_write_msr(lapic, MSR_X2APIC_FIRST + APIC_SVR, 0x1ff);
    }
    fake.regs[VCPU_RFLAGS] |= RFLAGS_IF;
}

static uint64_t call(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    uint64_t *r = vcpu->gprs.r;

    r[GPR_RAX] = number;
    r[GPR_RBX] = a0;
    r[GPR_RCX] = a1;
    r[GPR_RDX] = a2;
    r[GPR_RSI] = a3;
    emul_hypercall(vcpu, NULL);
    return r[GPR_RAX];
}

static bool wr(struct vcpu *on, uint32_t msr, uint64_t value)
{
    on->exception.type = EVENT_NONE;
    on->gprs.r[GPR_RCX] = msr;
    vcpu_set_edx_eax(on, value);
    return emul_wrmsr(on, NULL) == ACTION_ADVANCE;
}

static uint64_t rd(struct vcpu *on, uint32_t msr)
{
    on->gprs.r[GPR_RCX] = msr;
    vcpu_set_edx_eax(on, 0);
    emul_rdmsr(on, NULL);
    return vcpu_edx_eax(on);
}

static uint8_t byte_at(uint64_t gpa)
{
    return fake_ram[gpa];
}

/* ---- The frame ------------------------------------------------------------------------------ */

#define ERROR(n) ((uint64_t) - (int64_t)(n))

static bool is_known(uint64_t number)
{
    return number == KVM_HC_VAPIC_POLL_IRQ || number == KVM_HC_KICK_CPU ||
           number == KVM_HC_SEND_IPI || number == KVM_HC_SCHED_YIELD ||
           number - MICA_CALL_FIRST < MICA_CALL_COUNT;
}

static void test_frame(void)
{
    static const uint64_t bases[] = {0,       MICA_CALL_FIRST - 64, 0x7fffff80, 0xffffff80u,
                                     BIT(32), ~0ull - 127};
    bool right = true, refused = true;

    start();
    for (unsigned int i = 0; i < ARRAY_SIZE(bases); i++)
        for (uint64_t n = bases[i]; n - bases[i] < 128; n++)
            right &= (call(n, 0, 0, 0, 0) == ERROR(KVM_ENOSYS)) == !is_known(n);
    CHECK(right, "what is no call answers -KVM_ENOSYS, and nothing else does");
    fake_set_cpl(3);
    vcpu->vm->due = 0;
    for (unsigned int i = 0; i < ARRAY_SIZE(bases); i++)
        for (uint64_t n = bases[i]; n - bases[i] < 128; n++)
            refused &= call(n, 0, 1, 0, 0) == ERROR(KVM_EPERM);
    CHECK(refused && !vcpu->vm->due && !fake_vcpus[1].pv.kicked,
          "a user program gets -KVM_EPERM from each, and nothing is done");
    fake_set_cpl(0);
    fake_set_mode(32);
    CHECK(call(BIT(40) | 2, 0, 0, 0, 0) == (uint32_t)-KVM_ENOSYS, "32-bit code gets 32 bits");
    CHECK(call(BIT(40) | KVM_HC_KICK_CPU, 0, BIT(40) | 1, 0, 0) == 0 && fake_vcpus[1].pv.kicked,
          "and gives 32");
}

/* ---- KVM's calls ---------------------------------------------------------------------------- */

static void test_kick(void)
{
    start();
    fake.regs[VCPU_RFLAGS] &= ~(uint64_t)RFLAGS_IF;
    CHECK(!intr_wakes(&fake_vcpus[3]), "nothing wakes a vCPU that halts with interrupts off");
    CHECK(call(KVM_HC_KICK_CPU, 0, 3, 0, 0) == 0 && fake.wakes == 1 &&
              fake_vcpus[3].requests == VCPU_REQ_EVENT,
          "a kick reaches the vCPU with this APIC id");
    CHECK(!intr_wakes(&fake_vcpus[2]) && intr_wakes(&fake_vcpus[3]), "and wakes it alone");
    CHECK(!intr_wakes(&fake_vcpus[3]), "once");
    CHECK(call(KVM_HC_KICK_CPU, 0, VCPUS, 0, 0) == 0 && fake.wakes == 1, "nobody is kicked");
    call(KVM_HC_KICK_CPU, 0, 3, 0, 0);
    pv_reset(&fake_vcpus[3]);
    CHECK(!intr_wakes(&fake_vcpus[3]), "a reset forgets it");
}

static uint32_t who_has(uint8_t vector)
{
    uint32_t set = 0;

    for (unsigned int i = 0; i < VCPUS; i++)
        set |= (uint32_t)(vlapic_pending(&fake_vcpus[i].lapic) == vector) << i;
    return set;
}

static void test_send_ipi(void)
{
    start();
    CHECK(call(KVM_HC_SEND_IPI, 0x15, 0, 2, 0x41) == 3 && who_has(0x41) == 0x54,
          "bit 0 is the lowest APIC id, and the result how many there are");
    CHECK(call(KVM_HC_SEND_IPI, ~0ull, ~0ull, 0, 0x51) == VCPUS && who_has(0x51) == 0xff,
          "a full map reaches those that are there");
    CHECK(call(KVM_HC_SEND_IPI, ~0ull, ~0ull, VCPUS, 0x61) == 0 &&
              call(KVM_HC_SEND_IPI, ~0ull, ~0ull, UINT32_MAX, 0x61) == 0 &&
              call(KVM_HC_SEND_IPI, 0, 0xff, 0, 0x61) == 0 && who_has(0x61) == 0,
          "ids above reach nobody, the second word's are 64 higher");
    CHECK(call(KVM_HC_SEND_IPI, 0x6, 0, 0, 0x400) == 2 && fake_vcpus[1].nmi_pending == 1 &&
              fake_vcpus[2].nmi_pending == 1 && !fake_vcpus[0].nmi_pending,
          "NMIs are sent too");
    CHECK(call(KVM_HC_SEND_IPI, 1, 0, 0, 0x40071) == ERROR(KVM_EINVAL) &&
              call(KVM_HC_SEND_IPI, 1, 0, 0, 0x871) == ERROR(KVM_EINVAL) && who_has(0x71) == 0,
          "shorthands and logical destinations are refused");
    vlapic_write_msr(&fake_vcpus[1].lapic, MSR_APIC_BASE, 0xfee00000);
    CHECK(call(KVM_HC_SEND_IPI, 2, 0, 0, 0x400) == 0, "an APIC that is off counts as none");
}

static void test_yield(void)
{
    start();
    fake_vcpus[1].sched.state = SCHED_WAITING;
    fake_vcpus[2].sched.state = SCHED_RUNNING;
    CHECK(call(KVM_HC_SCHED_YIELD, 2, 0, 0, 0) == 0 && call(KVM_HC_SCHED_YIELD, 99, 0, 0, 0) == 0 &&
              fake.yields == 0,
          "nothing is given up for who runs, or is not there");
    CHECK(call(KVM_HC_SCHED_YIELD, 1, 0, 0, 0) == 0 && fake.yields == 1,
          "the CPU is given up for one that waits for it");
}

/* ---- Steal time ----------------------------------------------------------------------------- */

static struct kvm_steal_time steal_at(uint64_t gpa)
{
    struct kvm_steal_time steal;

    memcpy(&steal, fake_ram + gpa, sizeof(steal));
    return steal;
}

static void test_steal(void)
{
    uint32_t version;

    start();
    memset(fake_ram + AREA, 0xee, 192);
    memset(fake_ram + AREA + 64, 0, 64);
    vcpu->sched.stats.wait_ns = 5000;
    CHECK(wr(vcpu, MSR_KVM_STEAL_TIME, AREA + 64 + 1) && rd(vcpu, MSR_KVM_STEAL_TIME) == AREA + 65,
          "it can be switched on");
    version = steal_at(AREA + 64).version;
    CHECK(steal_at(AREA + 64).steal == 0 && version % 2 == 0 && version > 0,
          "and starts at 0, with an even version");
    kvm_steal_leave(vcpu);
    CHECK(steal_at(AREA + 64).preempted == KVM_VCPU_PREEMPTED, "off the CPU it is preempted");
    vcpu->sched.stats.wait_ns += 1234567;
    kvm_steal_enter(vcpu);
    CHECK(steal_at(AREA + 64).steal == 1234567 && steal_at(AREA + 64).preempted == 0,
          "back on it, it has waited so long");
    CHECK(steal_at(AREA + 64).version == version + 2, "the version went by two");
    kvm_steal_leave(vcpu);
    kvm_steal_enter(vcpu);
    CHECK(steal_at(AREA + 64).version == version + 2, "and stays when nothing is new");
    CHECK(byte_at(AREA + 63) == 0xee && byte_at(AREA + 128) == 0xee, "only the 64 bytes change");
    wr(vcpu, MSR_KVM_STEAL_TIME, 0);
    vcpu->sched.stats.wait_ns += 999;
    wr(vcpu, MSR_KVM_STEAL_TIME, AREA + 65);
    CHECK(steal_at(AREA + 64).steal == 1234567,
          "switched off and on it goes on from what is there");
    vcpu->sched.stats.wait_ns += 3;
    kvm_steal_enter(vcpu);
    CHECK(steal_at(AREA + 64).steal == 1234570, "and counts on");
    pv_reset(vcpu);
    memset(fake_ram + AREA, 0, 192);
    kvm_steal_leave(vcpu);
    kvm_steal_enter(vcpu);
    CHECK(steal_at(AREA + 64).version == 0 && steal_at(AREA + 64).preempted == 0,
          "after a reset nothing is written");
}

static void test_flush(void)
{
    start();
    wr(vcpu, MSR_KVM_STEAL_TIME, AREA + 1);
    kvm_steal_enter(vcpu);
    CHECK(fake.flushes == 0, "no flush without a request");
    kvm_steal_leave(vcpu);
    fake_ram[AREA + offsetof(struct kvm_steal_time, preempted)] |= KVM_VCPU_FLUSH_TLB;
    CHECK(fake.flushes == 0, "a flush of a preempted vCPU waits");
    kvm_steal_enter(vcpu);
    CHECK(fake.flushes == 1, "and is done before it runs again");
    kvm_steal_leave(vcpu);
    kvm_steal_enter(vcpu);
    CHECK(fake.flushes == 1, "once");
}

/* ---- MSRs ----------------------------------------------------------------------------------- */

static void test_msrs(void)
{
    static const struct {
        uint32_t msr;
        uint64_t value;
        bool ok;
    } rows[] = {
        {MSR_KVM_STEAL_TIME, AREA + 1, true},
        {MSR_KVM_STEAL_TIME, AREA + 3, false},
        {MSR_KVM_STEAL_TIME, AREA + 32 + 1, false},
        {MSR_KVM_STEAL_TIME, AREA, true},
        {MSR_KVM_STEAL_TIME, AREA + 2, false},
        {MSR_KVM_STEAL_TIME, FAKE_LOW_RAM - 64 + 1, true},
        {MSR_KVM_STEAL_TIME, FAKE_LOW_RAM + 1, false},
        {MSR_KVM_STEAL_TIME, 0xfee00001, false},
        {MSR_KVM_STEAL_TIME, ~63ull + 1, false},
        {MSR_KVM_STEAL_TIME, ~63ull, true},
        {MSR_KVM_STEAL_TIME, ~62ull, false},
        {MSR_KVM_PV_EOI_EN, AREA + 1, true},
        {MSR_KVM_PV_EOI_EN, AREA + 4 + 1, true},
        {MSR_KVM_PV_EOI_EN, AREA + 2 + 1, false},
        {MSR_KVM_PV_EOI_EN, AREA + 2, false},
        {MSR_KVM_PV_EOI_EN, FAKE_LOW_RAM + 1, false},
        {MSR_KVM_PV_EOI_EN, ~2ull, false},
        {MSR_KVM_PV_EOI_EN, 0, true},
        {MSR_KVM_POLL_CONTROL, 0, true},
        {MSR_KVM_POLL_CONTROL, 2, false},
        {MSR_KVM_POLL_CONTROL, BIT(63), false},
        {MSR_KVM_POLL_CONTROL, 1, true},
        {0x4b564d02, 0, false}, /* asynchronous page faults are not shown */
        {0x4b564d06, 0, false},
    };

    start();
    CHECK(rd(vcpu, MSR_KVM_POLL_CONTROL) == 1 && rd(vcpu, MSR_KVM_PV_EOI_EN) == 0 &&
              rd(vcpu, MSR_KVM_STEAL_TIME) == 0,
          "they have their values after RESET");
    for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t before = rd(vcpu, rows[i].msr);
        bool ok = wr(vcpu, rows[i].msr, rows[i].value);
        uint64_t expected = ok ? rows[i].value : before;
        char what[80];

        snprintf(what, sizeof(what), "msr %x = %llx is %s", rows[i].msr,
                 (unsigned long long)rows[i].value, rows[i].ok ? "taken" : "refused");
        CHECK(ok == rows[i].ok && rd(vcpu, rows[i].msr) == expected, what);
    }
    CHECK((kvm_features() & (BIT(4) | BIT(10) | BIT(14))) == 0, "no asynchronous page faults");
}

/* ---- EOI ------------------------------------------------------------------------------------ */

static int inject_now(struct vcpu *on)
{
    fake.injected.type = EVENT_NONE;
    on->requests = 0;
    intr_deliver(on);
    return fake.injected.type == EVENT_INTR ? fake.injected.vector : -1;
}

/* The guest's end of interrupt.  True: it took an exit. */
static bool guest_eoi(struct vcpu *on)
{
    if ((on->pv.eoi & 1) && (fake_ram[AREA] & 1)) {
        fake_ram[AREA] &= 0xfe;
        return false;
    }
    wr(on, MSR_X2APIC_FIRST + APIC_EOI, 0);
    return true;
}

static void test_eoi(void)
{
    start();
    wr(vcpu, MSR_KVM_PV_EOI_EN, AREA + 1);
    vlapic_post(&vcpu->lapic, 0x41, false);
    CHECK(inject_now(vcpu) == 0x41 && fake_ram[AREA] == 1, "an EOI may be skipped");
    CHECK(!guest_eoi(vcpu) && rd(vcpu, MSR_X2APIC_FIRST + APIC_ISR0 + 2) == 0 &&
              !vcpu->pv.eoi_offered,
          "one that was is seen when the guest looks");
    vlapic_post(&vcpu->lapic, 0x41, false);
    inject_now(vcpu);
    CHECK(rd(vcpu, MSR_X2APIC_FIRST + APIC_ISR0 + 2) == 2 && fake_ram[AREA] == 0,
          "one that was not is not, and cannot be skipped any more");
    guest_eoi(vcpu);
    vlapic_post(&vcpu->lapic, 0x42, true);
    CHECK(inject_now(vcpu) == 0x42 && fake_ram[AREA] == 0, "of a level it may not be skipped");
    CHECK(guest_eoi(vcpu), "so it exits");
    vlapic_post(&vcpu->lapic, 0x43, false);
    vlapic_post(&vcpu->lapic, 0x44, false);
    CHECK(inject_now(vcpu) == 0x44 && fake_ram[AREA] == 0, "nor while another interrupt waits");
    guest_eoi(vcpu);
    inject_now(vcpu);
    guest_eoi(vcpu);
    vlapic_post(&vcpu->lapic, 0x43, false);
    CHECK(intr_wakes(vcpu), "an interrupt after an EOI that was skipped ends HLT");
    inject_now(vcpu);
    pv_reset(vcpu);
    CHECK(!vcpu->pv.eoi_offered && rd(vcpu, MSR_KVM_PV_EOI_EN) == 0, "a reset switches it off");
}

/* One vCPU skips EOIs and one does not: the same interrupts reach both, in the same order. */
static void test_eoi_against_none(void)
{
    struct vcpu *plain = &fake_vcpus[1];
    unsigned int exits = 0, eois = 0;
    bool same = true;

    start();
    srand(1);
    wr(vcpu, MSR_KVM_PV_EOI_EN, AREA + 1);
    for (unsigned int i = 0; i < 200000 && same; i++) {
        uint8_t vector = (uint8_t)(0x30 + rand() % 0x60);
        bool level = rand() % 8 == 0;

        switch (rand() % 6) {
        case 0: /* a level stays as it is until the next interrupt of this vector */
            if (vlapic_post(&vcpu->lapic, vector, level))
                vcpu->requests = VCPU_REQ_EVENT;
            vlapic_post(&plain->lapic, vector, level);
            break;
        case 1:
            same &= rd(vcpu, MSR_X2APIC_FIRST + APIC_PPR) == rd(plain, MSR_X2APIC_FIRST + APIC_PPR);
            break;
        case 2:
            same &= intr_wakes(vcpu) == intr_wakes(plain);
            break;
        default:
            if (plain->lapic.depth == 0)
                break;
            eois++;
            exits += guest_eoi(vcpu);
            guest_eoi(plain);
            break;
        }
        same &= (vcpu->requests || vcpu->check_events ? inject_now(vcpu) : -1) == inject_now(plain);
    }
    CHECK(same, "200,000 steps with EOIs that are skipped are as those with none");
    CHECK(exits < eois * 2 / 3, "and of those under this load a third takes no exit");
}

/* ---- Mica's calls --------------------------------------------------------------------------- */

#define MICA(name) (MICA_CALL_FIRST + MICA_CALL_##name)

static uint64_t print_call(uint64_t gpa, uint64_t size)
{
    return call(MICA(CONSOLE_WRITE), gpa, size, 0, 0);
}

static void test_console(void)
{
    start();
    memcpy(fake_ram + 4090, "across a page", 13);
    CHECK(print_call(4090, 13) == 13 && fake.console_count == 13 &&
              memcmp(fake.console, "across a page", 13) == 0,
          "text goes to the console, across a page's end too");
    CHECK(print_call(0, 0) == 0 && fake.console_count == 13, "or none");
    CHECK(print_call(AREA, ~0ull) == MICA_CONSOLE_MAX, "at most 256 bytes at a time");
    CHECK(print_call(AREA, 100) == sizeof(fake.console) - 13 - MICA_CONSOLE_MAX,
          "as many as there is room for");
    start();
    CHECK(print_call(FAKE_LOW_RAM - 10, 10) == 10 &&
              print_call(FAKE_LOW_RAM - 10, 11) == ERROR(MICA_EFAULT) &&
              print_call(FAKE_LOW_RAM, 1) == ERROR(MICA_EFAULT) &&
              print_call(0xfee00000, 4) == ERROR(MICA_EFAULT) &&
              print_call(~0ull - 3, 8) == ERROR(MICA_EFAULT) &&
              print_call(~0ull, ~0ull) == ERROR(MICA_EFAULT) && fake.console_count == 10,
          "outside of RAM it is an error and writes nothing");
}

static void test_mica(void)
{
    struct cpuid_regs leaf;

    start();
    emul_cpuid_get(vcpu, MICA_CPUID_SIGNATURE, 0, &leaf);
    CHECK(leaf.eax == MICA_CPUID_CALLS && memcmp(&leaf.ebx, "MicaMicaMica", 12) == 0,
          "the signature leaf");
    emul_cpuid_get(vcpu, MICA_CPUID_CALLS, 0, &leaf);
    CHECK(leaf.eax == call(MICA(VERSION), 0, 0, 0, 0) &&
              leaf.edx == call(MICA(FEATURES), 0, 0, 0, 0) && leaf.ebx == MICA_CALL_FIRST &&
              leaf.ecx == MICA_CALL_COUNT,
          "version and features are the same by leaf and by call");
    fake_vm.id = 5;
    vcpu->id = 3;
    CHECK(call(MICA(ID), 0, 0, 0, 0) == (5 << 16 | 3), "who calls");
    vcpu->id = 0;
    CHECK(call(MICA(YIELD), 0, 0, 0, 0) == 0 && fake.yields == 1, "it yields");
    CHECK(call(MICA(SHUTDOWN), BIT(32), 0, 0, 0) == ERROR(MICA_EINVAL) && !fake_vm.due,
          "a code of more than 32 bits is refused");
    CHECK(call(MICA(SHUTDOWN), 77, 0, 0, 0) == 0 && fake_vm.due == DUE_EXIT &&
              fake_vm.exit_value == 77,
          "the guest ends with its code");
}

static void test_mark(void)
{
    const struct trace_entry *entry;

    start();
    vcpu->rip = 0x1234;
    CHECK(call(MICA(MARK), 0x1111, 0x2222, 0, 0) == 0, "a mark is made");
    entry = trace_back(&this_cpu()->trace, 0);
    CHECK(entry && entry->kind == TRACE_MARK && entry->info[0] == 0x1111 &&
              entry->info[1] == 0x2222 && entry->rip == 0x1234 &&
              strcmp(exit_kind_name(entry->kind), "mark") == 0,
          "and is in the trace");
}

/* ---- Anything ------------------------------------------------------------------------------- */

static uint64_t random64(void)
{
    static const uint64_t special[] = {
        0,          1,     AREA,    AREA + 1, 4095, FAKE_LOW_RAM, FAKE_LOW_RAM - 1,
        0xfee00000, ~0ull, BIT(63), 0x400,    7};

    if (rand() % 2)
        return special[(unsigned int)rand() % ARRAY_SIZE(special)];
    return (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
}

/* Calls and MSRs with random values: only RAX changes, nothing stops, ASan sees no stray access. */
static void test_anything(void)
{
    bool kept = true;

    start();
    srand(2);
    for (unsigned int i = 0; i < 300000; i++) {
        struct gprs before;
        uint64_t number = (uint64_t)(rand() % 24) + (rand() % 2 ? MICA_CALL_FIRST : 0);

        vcpu->gprs.r[GPR_RBP] = random64();
        call(number, random64(), random64(), random64(), random64());
        before = vcpu->gprs;
        call(number, before.r[GPR_RBX], before.r[GPR_RCX], before.r[GPR_RDX], before.r[GPR_RSI]);
        before.r[GPR_RAX] = vcpu->gprs.r[GPR_RAX];
        kept &= memcmp(&before, &vcpu->gprs, sizeof(before)) == 0;
        wr(vcpu, MSR_KVM_STEAL_TIME + (uint32_t)rand() % 3, random64());
        vcpu->sched.stats.wait_ns += 1;
        kvm_steal_enter(vcpu);
        vcpu->requests = 0;
        vcpu->exception.type = EVENT_NONE;
        intr_deliver(vcpu);
        kvm_steal_leave(vcpu);
        fake.console_count = 0;
    }
    CHECK(kept, "calls with random registers change RAX alone");
    CHECK(fake.stops == 0, "and stop nobody");
}

static void all(void)
{
    test_frame();
    test_kick();
    test_send_ipi();
    test_yield();
    test_steal();
    test_flush();
    test_msrs();
    test_eoi();
    test_eoi_against_none();
    test_console();
    test_mica();
    test_mark();
    test_anything();
}

int main(void)
{
    fake_on_cpu(all);
    return check_done();
}
