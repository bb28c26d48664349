/* SPDX-License-Identifier: MIT */
/*
 * Hog: takes all of the CPU that it is given, and says how much that was.
 *
 * A loop looks at the TSC every few microseconds; where more has passed it did not run.  What it
 * had is counted from the time after= of its start on, for a time of ms=; before and after that it
 * only keeps the CPU busy for others, who begin and end a little later.  With share=, in parts of a
 * million, it checks that it was that much, within 1%, or as many percent as within= says.
 *
 * With pause= it runs until an NMI comes, and checks that it never stood still for more ticks of
 * the TSC; with sleep=1 it only halts.
 */
#include "guest-stubs/lib/options.h"

#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

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

static volatile bool ended;

static void end(struct frame *frame)
{
    ended = true;
}

static void check_pauses(uint64_t most)
{
    uint64_t last = rdtsc(), longest = 0;

    trap_handlers[VEC_NMI] = end;
    while (!ended) {
        uint64_t now = rdtsc();

        if (now - last > longest)
            longest = now - last;
        last = now;
    }
    check(longest <= most, "it stood still for %lu ticks, at most %lu", longest, most);
}

void stub_main(void)
{
    const uint64_t tick = kvm_tsc_per_ms(), gap = tick * GAP_US / 1000;
    const uint64_t begin = option("after", 0), time = option("ms", 1000);
    const uint64_t share = option("share", 0), within = option("within", 1);
    const uint64_t pause = option("pause", 0);
    uint64_t had;

    while (option("sleep", 0))
        __asm__ volatile("cli; hlt");
    if (pause) {
        check_pauses(pause);
        return;
    }
    run_until(begin * tick, gap);
    had = run_until((begin + time) * tick, gap) * 1000 / (time * tick / 1000);
    run_until((2 * begin + time) * tick, gap);
    print("# %lu parts of a million in %lu ms\n", had, time);
    check(had > 0, "it ran");
    if (share)
        check(had * 100 >= share * (100 - within) && had * 100 <= share * (100 + within),
              "it had %lu parts of a million, of %lu within %lu%%", had, share, within);
}
