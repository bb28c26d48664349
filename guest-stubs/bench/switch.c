/* SPDX-License-Identifier: MIT */
/*
 * From one vCPU to the next on one physical CPU, where each runs until its time is over.  All note
 * the time in one place when they run, so who comes next sees when the one before was there last.
 */
#include "guest-stubs/bench/bench.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"

#define SWITCHES 100u
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

void measure_switch(unsigned int vcpus)
{
    for (uint32_t id = 1; id < vcpus; id++) {
        if (!start_cpu(id, run_for_a_moment)) {
            print_skipped("switch", "too few vCPUs");
            return;
        }
    }
    samples = (struct samples){0};
    while (samples.count < SWITCHES)
        run_for_a_moment();
    samples_print("switch", &samples);
}
