/* SPDX-License-Identifier: MIT */
/*
 * Hog: takes all of the CPU that it is given, and says how much that was.
 *
 * A loop looks at the TSC every few microseconds; where more has passed it did not run.  What it
 * had is counted from the time after= of its start on, for a time of ms=; before and after that it
 * only keeps the CPU busy for others, who begin and end a little later.  With share=, in parts of a
 * million, it checks that it was that much, within 1%, or as many percent as within= says.
 */
#include "guest-stubs/lib/options.h"

#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"

#define GAP_US 100 /* an exit takes less, a turn of another guest more */

static void spin(void)
{
    unsigned long rounds = 1000;

    __asm__ volatile("1: dec %0; jnz 1b" : "+r"(rounds));
}

/* The ticks of the TSC that it ran for until then. */
static uint64_t run_until(uint64_t end, uint64_t gap)
{
    uint64_t last = rdtsc(), had = 0;

    while (last < end) {
        uint64_t now;

        spin();
        now = rdtsc();
        if (now - last < gap)
            had += now - last;
        last = now;
    }
    return had;
}

void stub_main(void)
{
    const uint64_t tick = kvm_tsc_per_ms(), gap = tick * GAP_US / 1000;
    const uint64_t begin = option("after", 0), time = option("ms", 1000);
    const uint64_t share = option("share", 0), within = option("within", 1);
    uint64_t had;

    run_until(begin * tick, gap);
    had = run_until((begin + time) * tick, gap) * 1000 / (time * tick / 1000);
    run_until((2 * begin + time) * tick, gap);
    print("# %lu parts of a million in %lu ms\n", had, time);
    check(had > 0, "it ran");
    if (share)
        check(had * 100 >= share * (100 - within) && had * 100 <= share * (100 + within),
              "it had %lu parts of a million, of %lu within %lu%%", had, share, within);
}
