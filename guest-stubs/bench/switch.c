/* SPDX-License-Identifier: MIT */
/*
 * From one vCPU to the next on one physical CPU, where each runs until its time is over.  All note
 * the time in one place when they run, so who comes next sees when the one before was there last.
 */
#include "guest-stubs/bench/bench.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"

#define SWITCHES 50u
#define TOO_LONG 50000u /* ticks: another guest had a turn in between */

static struct samples samples;
static volatile uint64_t last; /* the time, and below it who was there: one word, stored at once */

static void run_for_a_moment(void)
{
    const uint64_t self =
        (uint64_t)__builtin_frame_address(0) >> 12 & 0xff; /* the page of its stack */
    const uint64_t before = last, now = rdtsc();

    last = now << 8 | self;
    if ((before & 0xff) != self && now - (before >> 8) < TOO_LONG)
        samples_add(&samples, now - (before >> 8));
}

/* With this vCPU there are so many. */
static bool start_up_to(unsigned int vcpus)
{
    static uint32_t started = 1;

    while (started < vcpus && start_cpu(started, run_for_a_moment))
        started++;
    return started == vcpus;
}

void measure_switch(void)
{
    static const struct {
        const char *name;
        unsigned int vcpus;
    } steps[] = {{"switch-2", 2}, {"switch-16", 16}, {"switch-32", 32}};

    for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
        if (!start_up_to(steps[i].vcpus)) {
            print_skipped(steps[i].name, "too few vCPUs");
            continue;
        }
        samples = (struct samples){0};
        while (samples.count < SWITCHES)
            run_for_a_moment();
        samples_print(steps[i].name, &samples);
    }
}
