/* SPDX-License-Identifier: MIT */
/* kvmclock's scale: the guest's 32-bit arithmetic against the true time, over the frequencies that
 * CPUs have. */
#include "hv/pv/kvm_clock.h"

#include "arch/x86/tsc.h"
#include "hv/board.h"
#include "hv/guest_mem.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "tests/host/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- What kvm_clock.c calls ----------------------------------------------------------------- */

struct tsc_info tsc_info = {.invariant = true};
static uint64_t fake_ns;
static uint8_t memory[4096];

uint64_t fixed_ratio(uint64_t numerator, uint64_t denominator)
{
    return (uint64_t)(((unsigned __int128)numerator << 32) / denominator);
}

uint64_t vm_now_ns(const struct vm *vm)
{
    return fake_ns;
}

uint64_t board_date_ns(void)
{
    return 1700000000ull * 1000000000 + fake_ns;
}

bool guest_mem_is_ram(struct vm *vm, gpa_t gpa)
{
    return gpa.value < sizeof(memory);
}

int guest_mem_write(struct vm *vm, gpa_t gpa, const void *from, uint64_t size)
{
    if (gpa.value > sizeof(memory) || size > sizeof(memory) - gpa.value)
        return -14;
    memcpy(memory + gpa.value, from, size);
    return 0;
}

/* ---- The guest's side ----------------------------------------------------------------------- */

static uint64_t guest_clock(uint64_t tsc)
{
    struct pvclock_time_info info;
    uint64_t ticks;

    memcpy(&info, memory, sizeof(info));
    ticks = tsc - info.tsc_timestamp;
    ticks = info.tsc_shift < 0 ? ticks >> -info.tsc_shift : ticks << info.tsc_shift;
    return info.system_time + (uint64_t)(((unsigned __int128)ticks * info.tsc_to_system_mul) >> 32);
}

static bool scale_is_exact(uint64_t hz)
{
    uint32_t mul;
    int8_t shift;

    kvm_clock_scale(hz, &mul, &shift);
    return fabs(ldexp(mul, shift - 32) * (double)hz / 1e9 - 1) < 1e-9;
}

static void test_scale(void)
{
    static const uint64_t special[] = {1000000,    50000000,   999999999,  1000000000, 1000000001,
                                       2000000000, 2000000001, 3500000000, 6000000000};
    bool ok = true;

    for (unsigned int i = 0; i < ARRAY_SIZE(special); i++)
        ok = ok && scale_is_exact(special[i]);
    for (uint64_t hz = 10000000; hz < 8000000000ull; hz += 7654321)
        ok = ok && scale_is_exact(hz);
    CHECK(ok, "the scale is good to a billionth from 1 MHz to 8 GHz");
}

/* Updates at random moments, on vCPUs with TSCs of their own, beside the host's exact clock. */
static void test_monotonic(struct vm *vm, struct vcpu *vcpu)
{
    uint64_t last = 0, start = 123456789;
    bool monotonic = true, close = true;

    srand(1);
    tsc_info.hz = 2596146000;
    vm->clock_tsc = start;
    CHECK(kvm_clock_write(vcpu, MSR_KVM_SYSTEM_TIME_NEW, 0 | KVM_SYSTEM_TIME_ENABLE),
          "the page is accepted");
    for (uint64_t host_tsc = start; host_tsc < start + 2596146000ull * 1000;) {
        double exact = (double)(host_tsc - start) / 2.596146;
        uint64_t now;

        if (rand() % 10 == 0) {
            vcpu->tsc_offset = (uint64_t)rand() << rand() % 34;
            kvm_clock_update(vcpu);
        }
        now = guest_clock(host_tsc + vcpu->tsc_offset);
        monotonic = monotonic && now >= last;
        close = close && fabs((double)now - exact) < 2 + exact * 1e-9;
        last = now;
        host_tsc += rand() % 2 ? (uint64_t)rand() % 3 : (uint64_t)rand() % 100000000;
    }
    CHECK(monotonic, "the clock never goes backwards, whichever vCPU reads it");
    CHECK(close, "and is the host's to a billionth");
}

static void test_refusals(struct vcpu *vcpu)
{

    CHECK(!kvm_clock_write(vcpu, MSR_KVM_SYSTEM_TIME_NEW, 4096 - 16 + 1),
          "a page that crosses the end of RAM is refused");
    CHECK(!kvm_clock_write(vcpu, MSR_KVM_SYSTEM_TIME_NEW, ~0ull << 2 | 1), "and one that wraps");
    CHECK(!kvm_clock_write(vcpu, MSR_KVM_SYSTEM_TIME_NEW, 3), "and one that is not aligned");
    CHECK(kvm_clock_read(vcpu, MSR_KVM_SYSTEM_TIME_NEW) == 1, "a refused write changes nothing");
    CHECK(!kvm_clock_write(vcpu, MSR_KVM_WALL_CLOCK_NEW, 4090),
          "a wall clock past the end of RAM is refused");
    CHECK(kvm_clock_write(vcpu, MSR_KVM_SYSTEM_TIME_NEW, 0), "it can be switched off");
}

static void test_wall_clock(struct vcpu *vcpu)
{
    struct pvclock_wall_clock clock;

    fake_ns = 12345;
    CHECK(kvm_clock_write(vcpu, MSR_KVM_WALL_CLOCK_NEW, 64), "the wall clock is written");
    memcpy(&clock, memory + 64, sizeof(clock));
    CHECK(clock.version == 2 && clock.sec == 1700000000 && clock.nsec == 0,
          "it says when the system time was 0");
}

int main(void)
{
    static struct vm vm = {.state = VM_RUNNING};
    static struct vcpu vcpu = {.vm = &vm};

    test_scale();
    test_monotonic(&vm, &vcpu);
    test_refusals(&vcpu);
    test_wall_clock(&vcpu);
    return check_done();
}
