/* SPDX-License-Identifier: MIT */
/*
 * From one vCPU to the next on one physical CPU, where each runs until its time is over.  All note
 * the time in one place when they run, so who comes next sees when the one before was there last.
 * Then two that pass a turn to each other, and spin with PAUSE until they have it, as kernels do at
 * a lock: who waits for the other gives the CPU up.
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

/* Of two: this one is 0. */
static volatile bool passing;
static volatile unsigned int turn;

static void wait_for_turn(unsigned int self)
{
    while (passing && turn != self)
        __asm__ volatile("pause");
}

static void run_or_pass(void)
{
    if (!passing) {
        run_for_a_moment();
        return;
    }
    wait_for_turn(1);
    turn = 0;
}

static void measure_passing(void)
{
    samples = (struct samples){0};
    passing = true;
    while (samples.count < SWITCHES) {
        const uint64_t before = rdtsc();

        turn = 1;
        wait_for_turn(0);
        samples_add(&samples, (rdtsc() - before) / 2);
    }
    passing = false;
    samples_print("pass-2", &samples);
}

/* With this vCPU there are so many. */
static bool start_up_to(unsigned int vcpus)
{
    static uint32_t started = 1;

    while (started < vcpus && start_cpu(started, run_or_pass))
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
        if (steps[i].vcpus == 2)
            measure_passing();
    }
}
