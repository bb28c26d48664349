/* SPDX-License-Identifier: MIT */
/* The ring of exits, and their times: what is read is what was written last. */
#include "hv/trace.h"

#include "tests/host/check.h"

#include <stddef.h>

static void test_ring(void)
{
    static struct trace_ring ring;
    bool in_order = true;

    CHECK(trace_back(&ring, 0) == NULL, "a new ring is empty");
    trace_exit(&ring, 7, TRACE_VCPU(3, 2), 1, 0x1000, 8, 9);
    CHECK(trace_back(&ring, 0)->tsc == 7 && trace_back(&ring, 0)->vcpu == 0x30002 &&
              trace_back(&ring, 0)->info[1] == 9,
          "an entry is read as it was written");
    CHECK(trace_back(&ring, 1) == NULL, "nothing is before the first");
    for (uint64_t tsc = 8; tsc < 1000; tsc++)
        trace_exit(&ring, tsc, 0, 0, 0, 0, 0);
    for (unsigned int n = 0; n < TRACE_ENTRIES; n++)
        in_order &= trace_back(&ring, n)->tsc == 999 - n;
    CHECK(in_order, "a full ring holds the last ones");
    CHECK(trace_back(&ring, TRACE_ENTRIES) == NULL, "and no more");
}

static bool is(const struct exit_time *time, uint64_t count, uint64_t sum, uint64_t min,
               uint64_t max)
{
    return time->count == count && time->sum == sum && time->min == min && time->max == max;
}

static void test_times(void)
{
    struct exit_time one = {0}, other = {0}, none = {0}, sum = {0};

    CHECK(trace_is_on && !exit_times_are_on, "exits are recorded at first, and not timed");
    exit_time_add(&one, 5);
    CHECK(is(&one, 1, 5, 5, 5), "the first time is the shortest and the longest");
    exit_time_add(&one, 9);
    exit_time_add(&one, 4);
    CHECK(is(&one, 3, 18, 4, 9), "shorter and longer ones are noticed");
    exit_time_add(&other, 6);
    exit_time_merge(&sum, &none);
    CHECK(is(&sum, 0, 0, 0, 0), "nothing and nothing is nothing");
    exit_time_merge(&sum, &other);
    exit_time_merge(&sum, &none);
    CHECK(is(&sum, 1, 6, 6, 6), "one that has none does not count as 0");
    exit_time_merge(&sum, &one);
    CHECK(is(&sum, 4, 24, 4, 9), "two vcpus' times together");
}

int main(void)
{
    test_ring();
    test_times();
    return check_done();
}
