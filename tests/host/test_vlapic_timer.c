/* SPDX-License-Identifier: MIT */
/* The timer of the virtual local APIC, against a clock that the test moves. */
#include "tests/host/vlapic_world.h"

static void test_one_shot(void)
{
    struct vlapic apic = new_xapic(0);
    bool counts = true;

    put(&apic, APIC_TDCR, 0x0); /* by 2 */
    put(&apic, APIC_LVT_TIMER, 0x80);
    put(&apic, APIC_TMICT, 100);
    CHECK(world.alarm_ns == 1200 && get(&apic, APIC_TMICT) == 100, "the alarm is set for the end");
    for (uint64_t t = 0; t < 200; t++) {
        run_until(&apic, 1000 + t);
        counts = counts && get(&apic, APIC_TMCCT) == 100 - t / 2;
    }
    CHECK(counts && vlapic_pending(&apic) == -1, "the count falls by one every two nanoseconds");
    run_until(&apic, 1200);
    CHECK(take(&apic) == 0x80 && get(&apic, APIC_TMCCT) == 0, "it interrupts at zero");
    put(&apic, APIC_EOI, 0);
    run_until(&apic, 5000);
    CHECK(vlapic_pending(&apic) == -1 && world.alarm_ns == VTIMER_OFF, "and only once");
    put(&apic, APIC_TMICT, 100);
    put(&apic, APIC_TMICT, 0);
    CHECK(world.alarm_ns == VTIMER_OFF && get(&apic, APIC_TMCCT) == 0, "writing 0 stops it");
    put(&apic, APIC_TMICT, 100);
    run_until(&apic, 5100);
    put(&apic, APIC_TMICT, 1000);
    CHECK(get(&apic, APIC_TMCCT) == 1000 && world.alarm_ns == 7100, "a write starts it anew");
    put(&apic, APIC_TDCR, 0xb);
    CHECK(get(&apic, APIC_TMCCT) == 1000 && world.alarm_ns == 6100,
          "a running count goes on at a new rate");
    world.now_ns = 6100; /* due, not ticked yet */
    put(&apic, APIC_TMICT, 50);
    CHECK(take(&apic) == 0x80 && world.alarm_ns == 6150, "an interrupt that was due is not lost");
    world.now_ns = 6149;
    world.alarm_ns = VTIMER_OFF;
    vlapic_tick(&apic, 6149);
    CHECK(vlapic_pending(&apic) == -1 && get(&apic, APIC_TMCCT) == 1 && world.alarm_ns == 6150,
          "an early tick does nothing and keeps the alarm");
    put(&apic, APIC_EOI, 0);
    put(&apic, APIC_TMICT, ~0u);
    put(&apic, APIC_TDCR, 0xa);
    CHECK(get(&apic, APIC_TMCCT) == ~0u && world.alarm_ns == 6149 + (0xffffffffull << 7),
          "the longest time of all fits");
}

static void test_divide(void)
{
    static const unsigned int configs[] = {0xb, 0, 1, 2, 3, 8, 9, 0xa};
    bool ok = true;

    for (unsigned int i = 0; i < ARRAY_SIZE(configs); i++) {
        struct vlapic apic = new_xapic(0);

        put(&apic, APIC_LVT_TIMER, 0x80);
        put(&apic, APIC_TDCR, configs[i]);
        put(&apic, APIC_TMICT, 10);
        ok = ok && world.alarm_ns == 1000 + (10ull << i);
    }
    CHECK(ok, "the eight divisors are 1 to 128");

    struct vlapic apic = new_x2apic(0);
    vlapic_write_msr(&apic, X2APIC(APIC_LVT_TIMER), 0x80);
    vlapic_write_msr(&apic, X2APIC(APIC_TDCR), 3);
    CHECK(world.alarms_set == 0, "the divisor does not start a timer that has stopped");
    vlapic_write_msr(&apic, X2APIC(APIC_LVT_TIMER), 0x80 | APIC_LVT_TSC_DEADLINE);
    vlapic_write_msr(&apic, MSR_TSC_DEADLINE, 9000);
    vlapic_write_msr(&apic, X2APIC(APIC_TDCR), 0);
    CHECK(world.alarm_ns == 3000, "and moves no deadline");
}

static void test_mask(void)
{
    struct vlapic apic = new_xapic(0);

    put(&apic, APIC_TDCR, 0xb);
    put(&apic, APIC_LVT_TIMER, 0x80 | APIC_LVT_MASKED);
    put(&apic, APIC_TMICT, 1000);
    CHECK(world.alarms_set == 0, "a masked timer needs no alarm");
    run_until(&apic, 1500);
    CHECK(get(&apic, APIC_TMCCT) == 500, "but counts");
    put(&apic, APIC_LVT_TIMER, 0x80);
    CHECK(world.alarm_ns == 2000, "unmasked in time it rings");
    put(&apic, APIC_LVT_TIMER, 0x80 | APIC_LVT_MASKED);
    run_until(&apic, 3000);
    put(&apic, APIC_LVT_TIMER, 0x80);
    CHECK(world.alarm_ns == VTIMER_OFF && vlapic_pending(&apic) == -1 &&
              get(&apic, APIC_TMCCT) == 0,
          "what expired masked is lost");
    put(&apic, APIC_TMICT, 100);
    world.now_ns = 3100;
    put(&apic, APIC_LVT_TIMER, 0x80 | APIC_LVT_MASKED);
    CHECK(vlapic_pending(&apic) == 0x80, "what expired before the mask is not");
}

static void test_periodic(void)
{
    struct vlapic apic = new_xapic(0);
    unsigned int count = 0;

    put(&apic, APIC_TDCR, 0xb);
    put(&apic, APIC_LVT_TIMER, 0x80 | APIC_LVT_PERIODIC);
    put(&apic, APIC_TMICT, 200000);
    for (uint64_t t = 1; t <= 20; t++) {
        run_until(&apic, 1000 + t * 100000);
        count += take(&apic) == 0x80;
        put(&apic, APIC_EOI, 0);
    }
    CHECK(count == 10 && world.alarm_ns == 1000 + 11 * 200000, "ten periods, ten interrupts");
    CHECK(get(&apic, APIC_TMCCT) == 200000, "the count starts again");
    world.now_ns = 1000 + 15 * 200000 + 50000;
    CHECK(get(&apic, APIC_TMCCT) == 150000, "a count read behind time is in phase");
    vlapic_tick(&apic, world.now_ns);
    CHECK(take(&apic) == 0x80 && vlapic_pending(&apic) == -1 &&
              world.alarm_ns == 1000 + 16 * 200000,
          "missed periods make one interrupt, and the phase is kept");
    put(&apic, APIC_EOI, 0);
    world.now_ns = 1000 + 17 * 200000 - 10;
    vlapic_tick(&apic, world.now_ns);
    CHECK(world.alarm_ns == 1000 + 17 * 200000, "after a late tick the next alarm is in time");
    take(&apic);
    put(&apic, APIC_EOI, 0);
    put(&apic, APIC_LVT_TIMER, 0x80 | APIC_LVT_PERIODIC | APIC_LVT_MASKED);
    run_until(&apic, 1000 + 99 * 200000 + 1);
    put(&apic, APIC_LVT_TIMER, 0x80 | APIC_LVT_PERIODIC);
    CHECK(world.alarm_ns == 1000 + 100 * 200000 && vlapic_pending(&apic) == -1,
          "a masked timer keeps its phase too");
    put(&apic, APIC_LVT_TIMER, 0x80);
    run_until(&apic, 1000 + 200 * 200000);
    CHECK(take(&apic) == 0x80 && world.alarm_ns == VTIMER_OFF,
          "made one-shot it ends with the period");
    put(&apic, APIC_EOI, 0);

    put(&apic, APIC_LVT_TIMER, 0x80 | APIC_LVT_PERIODIC);
    put(&apic, APIC_TMICT, 1);
    world.alarms_set = 0;
    run_until(&apic, world.now_ns + 10000000);
    CHECK(world.alarms_set <= 101 && vlapic_pending(&apic) == 0x80,
          "a period of a nanosecond costs a hundred alarms in 10 ms");
    put(&apic, APIC_TMICT, 50);
    uint64_t due = world.alarm_ns;
    vlapic_tick(&apic, due - 1);
    CHECK(world.alarm_ns == due, "an early tick does not put it off");
    put(&apic, APIC_LVT_TIMER, 0x80 | APIC_LVT_TIMER_MODE);
    put(&apic, APIC_TMICT, 10);
    run_until(&apic, world.now_ns + 100);
    CHECK(world.alarm_ns == VTIMER_OFF, "the reserved mode is one-shot");
}

static void test_deadline(void)
{
    struct vlapic apic = new_x2apic(0);

    CHECK(vlapic_write_msr(&apic, MSR_TSC_DEADLINE, 9000) && msr(&apic, MSR_TSC_DEADLINE) == 0 &&
              world.alarms_set == 0,
          "IA32_TSC_DEADLINE is dead in the other modes");
    vlapic_write_msr(&apic, X2APIC(APIC_LVT_TIMER), 0x80 | APIC_LVT_TSC_DEADLINE);
    vlapic_write_msr(&apic, MSR_TSC_DEADLINE, 6001);
    CHECK(world.alarm_ns == 2001 && msr(&apic, MSR_TSC_DEADLINE) == 6001,
          "a deadline is rounded up to the alarm");
    run_until(&apic, 2000);
    CHECK(vlapic_pending(&apic) == -1, "it is never early");
    run_until(&apic, 2001);
    CHECK(take(&apic) == 0x80 && msr(&apic, MSR_TSC_DEADLINE) == 0, "once fired it reads 0");
    vlapic_eoi(&apic);
    vlapic_write_msr(&apic, MSR_TSC_DEADLINE, 9000);
    vlapic_write_msr(&apic, X2APIC(APIC_TMICT), 77);
    CHECK(msr(&apic, X2APIC(APIC_TMICT)) == 0 && msr(&apic, X2APIC(APIC_TMCCT)) == 0 &&
              world.alarm_ns == 3000,
          "the counts are dead in this mode");
    vlapic_write_msr(&apic, MSR_TSC_DEADLINE, 0);
    CHECK(world.alarm_ns == VTIMER_OFF, "writing 0 disarms");
    vlapic_write_msr(&apic, MSR_TSC_DEADLINE, 1);
    run_until(&apic, 2001);
    CHECK(vlapic_pending(&apic) == 0x80, "a deadline in the past is due at once");
    take(&apic);
    vlapic_eoi(&apic);
    vlapic_write_msr(&apic, MSR_TSC_DEADLINE, 9000);
    vlapic_write_msr(&apic, X2APIC(APIC_LVT_TIMER), 0x80);
    CHECK(world.alarm_ns == VTIMER_OFF, "leaving the mode disarms");
    vlapic_write_msr(&apic, X2APIC(APIC_TMICT), 50);
    vlapic_write_msr(&apic, X2APIC(APIC_LVT_TIMER), 0x80 | APIC_LVT_TSC_DEADLINE);
    CHECK(world.alarm_ns == VTIMER_OFF && msr(&apic, MSR_TSC_DEADLINE) == 0,
          "and so does entering");
    vlapic_write_msr(&apic, X2APIC(APIC_LVT_TIMER), 0x10080 | APIC_LVT_TSC_DEADLINE);
    vlapic_write_msr(&apic, MSR_TSC_DEADLINE, 9000);
    CHECK(msr(&apic, MSR_TSC_DEADLINE) == 9000 && world.alarm_ns == VTIMER_OFF,
          "a masked deadline is kept without an alarm");
    vlapic_tsc_changed(&apic);
    world.now_ns = 3000;
    CHECK(msr(&apic, MSR_TSC_DEADLINE) == 0, "and reads 0 when it has passed");
    vlapic_write_msr(&apic, MSR_TSC_DEADLINE, UINT64_MAX);
    vlapic_write_msr(&apic, X2APIC(APIC_LVT_TIMER), 0x80 | APIC_LVT_TSC_DEADLINE);
    CHECK(world.alarm_ns == UINT64_MAX / 3, "the farthest deadline fits");
    world.alarms_set = 0;
    vlapic_tsc_changed(&apic);
    CHECK(world.alarms_set == 0, "a TSC that has not moved moves no alarm");
}

int main(void)
{
    test_one_shot();
    test_divide();
    test_mask();
    test_periodic();
    test_deadline();
    return check_done();
}
