/* SPDX-License-Identifier: MIT */
/*
 * The time-stamp counter.  It never runs backwards.  A write of IA32_TSC moves IA32_TSC_ADJUST by
 * the same amount, and the other way about.  CR4.TSD keeps RDTSC from user programs.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define FAR BIT(44)
#define NEARLY \
    BIT(38) /* the time that a few instructions may take, with all that may come between */

static bool is_near(uint64_t value, uint64_t expected)
{
    return value - expected + NEARLY < 2 * NEARLY;
}

static void check_monotonic(void)
{
    uint64_t last = rdtsc();
    unsigned int wrong = 0;

    for (unsigned int i = 0; i < 1000; i++) {
        uint64_t now;

        cpuid(0, 0); /* an exit */
        now = rdtsc();
        wrong += now <= last;
        last = now;
    }
    check_equal(wrong, 0, "the TSC grows over each of 1000 exits");
}

static void check_adjust(void)
{
    uint64_t adjust = rdmsr(MSR_TSC_ADJUST), begin = rdtsc();

    wrmsr(MSR_TSC, begin + FAR);
    check(is_near(rdtsc(), begin + FAR), "a write of IA32_TSC moves RDTSC");
    check(is_near(rdmsr(MSR_TSC), begin + FAR), "and RDMSR of it");
    check(is_near(rdmsr(MSR_TSC_ADJUST), adjust + FAR), "and moves TSC_ADJUST by the same amount");
    wrmsr(MSR_TSC_ADJUST, adjust);
    check_equal(rdmsr(MSR_TSC_ADJUST), adjust, "TSC_ADJUST holds what is written");
    check(is_near(rdtsc(), begin), "and a write of it moves the TSC back");
}

USER_SNIPPET(user_rdtsc, "rdtsc");

static void check_tsd(void)
{
    struct frame frame = user_frame(user_rdtsc);

    run(&frame);
    check_equal(trap.vector, VEC_END, "a user program may execute RDTSC");
    write_cr4(read_cr4() | CR4_TSD);
    frame = user_frame(user_rdtsc);
    run(&frame);
    check(trap.vector == VEC_GP && trap.error == 0 && trap.rip == (uint64_t)user_rdtsc,
          "not when CR4.TSD is set: #GP");
    write_cr4(read_cr4() & ~CR4_TSD);
}

void exits_tsc(void)
{
    check_monotonic();
    check_adjust();
    check_tsd();
}
