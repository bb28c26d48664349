/* SPDX-License-Identifier: MIT */
/* The 8254: counting in every mode, its channel 0 interrupt over long times, what Linux does to it.
 */
#include "hv/vdev/vpit.h"

#include "hv/vdev/vticks.h"
#include "tests/host/check.h"
#include "tests/host/vdev_fakes.h"

static struct fake_time now = FAKE_TIME_INIT;
static struct fake_line line;
static struct vpit vpit;
static struct pio_range io[VPIT_PORT_RANGES];

static uint8_t in(uint16_t port)
{
    return (uint8_t)fake_in(io, VPIT_PORT_RANGES, port, 1);
}

static void out(uint16_t port, uint8_t value)
{
    fake_out(io, VPIT_PORT_RANGES, port, 1, value);
}

/* Starts at an odd time, exactly at a tick. */
static void start(void)
{
    static const struct irq_line irq = FAKE_IRQ(&line, 0);
    static const struct vclock clock = FAKE_CLOCK(&now);
    static const struct vtimer timer = FAKE_TIMER(&now);

    now = (struct fake_time)FAKE_TIME_INIT;
    now.now_ns = vticks_to_ns(123456789, VPIT_HZ);
    line = (struct fake_line){0};
    vpit_init(&vpit, &irq, &clock, &timer);
    vpit_ports(&vpit, io);
}

static void advance(uint64_t ticks)
{
    now.now_ns = vticks_to_ns(vticks_from_ns(now.now_ns, VPIT_HZ) + ticks, VPIT_HZ);
}

/* Lets the alarms ring that are due within `ns`, each on time; says how many. */
static unsigned int run(uint64_t ns)
{
    uint64_t end = now.now_ns + ns;
    unsigned int alarms = 0;

    while (now.deadline_ns <= end && alarms < 10000000) {
        now.now_ns = now.deadline_ns;
        now.deadline_ns = VTIMER_OFF;
        vpit_tick(&vpit, now.now_ns);
        alarms++;
    }
    now.now_ns = end;
    return alarms;
}

static void program(unsigned int channel, uint8_t control, uint16_t count)
{
    out(0x43, (uint8_t)(channel << 6 | control));
    out((uint16_t)(0x40 + channel), (uint8_t)count);
    out((uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static uint16_t count_of(unsigned int channel)
{
    uint16_t port = (uint16_t)(0x40 + channel);

    out(0x43, (uint8_t)(channel << 6));
    uint8_t low = in(port);
    return (uint16_t)(low | in(port) << 8);
}

static uint8_t status_of(unsigned int channel)
{
    out(0x43, (uint8_t)(0xe0 | 2 << channel));
    return in((uint16_t)(0x40 + channel));
}

static bool out2(void)
{
    return in(0x61) & 0x20;
}

static void test_ticks(void)
{
    static const uint32_t hz[] = {VPIT_HZ, 3579545, 32768, 1, 999999937};
    bool exact = true;
    uint64_t random = 1;

    for (unsigned int i = 0; i < 100000; i++) {
        uint32_t f = hz[i % ARRAY_SIZE(hz)];
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t ns = random >> (8 + i % 40);
        uint64_t ticks = (uint64_t)((unsigned __int128)ns * f / 1000000000);
        uint64_t first = vticks_to_ns(ticks, f);
        exact &= vticks_from_ns(ns, f) == ticks && first <= ns &&
                 vticks_from_ns(first, f) == ticks &&
                 (first == 0 || vticks_from_ns(first - 1, f) == ticks - 1 || f > 999999000);
    }
    CHECK(exact, "ticks and nanoseconds convert exactly, there and back");
}

static void test_access(void)
{
    start();
    bool floats = true;
    for (uint16_t port = 0x40; port < 0x44; port++)
        floats &= fake_in(io, 2, port, 2) == ~0u && fake_in(io, 2, port, 4) == ~0u;
    CHECK(floats && fake_in(io, 2, 0x43, 1) == ~0u && fake_in(io, 2, 0x61, 2) == ~0u &&
              io[0].read(&vpit, 99, 1) == ~0u && io[1].read(&vpit, 1, 1) == ~0u,
          "43h, other sizes and offsets float high");
    fake_out(io, 2, 0x43, 2, 0x34);
    CHECK(status_of(0) == 0x70, "a wider write does nothing");

    program(0, 0x34, 0x1234);
    CHECK(count_of(0) == 0x1234, "low and high byte");
    CHECK(in(0x40) == 0x34 && in(0x40) == 0x12 && in(0x40) == 0x34, "unlatched as well, in turn");
    in(0x40);
    out(0x43, 0x14);
    out(0x40, 0x56);
    CHECK(in(0x40) == 0x56 && in(0x40) == 0x56, "low byte only");
    out(0x43, 0x24);
    out(0x40, 0x78);
    CHECK(in(0x40) == 0x78, "high byte only");
    out(0x43, 0x00);
    CHECK(in(0x40) == 0x78, "latched as well");

    program(0, 0x34, 0x4000);
    out(0x43, 0x00);
    advance(0x1000);
    out(0x43, 0x00);
    uint8_t low = in(0x40), high = in(0x40);
    CHECK(low == 0 && high == 0x40, "a latch holds until it is read");
    CHECK(count_of(0) == 0x3000, "and the counter goes on under it");
    CHECK(status_of(0) == 0xb4, "status: output, access, mode");
    out(0x43, 0xc2); /* count and status of channel 0 */
    advance(5);
    CHECK(in(0x40) == 0xb4 && in(0x40) == 0x00 && in(0x40) == 0x30 && in(0x40) == 0xfb,
          "read-back: the status, the latched count, then the counter again");
    in(0x40);
    program(1, 0x34, 0x2000);
    program(2, 0x30, 0x3000);
    out(0x43, 0xdc); /* counts of channels 1 and 2 */
    advance(100);
    CHECK(in(0x41) == 0 && in(0x41) == 0x20 && in(0x42) == 0 && in(0x42) == 0x30,
          "read-back of several at one moment");
    out(0x43, 0x3e);
    CHECK(status_of(0) == 0xf6, "mode 7 is mode 3; nothing is loaded after a control word");
}

static void test_mode0(void)
{
    start();
    out(0x61, 0x01);
    program(2, 0x30, 1000);
    CHECK(!out2() && count_of(2) == 1000, "mode 0: output low, counting");
    advance(999);
    CHECK(!out2() && count_of(2) == 1, "mode 0: low up to the last tick");
    advance(1);
    CHECK(out2() && count_of(2) == 0, "mode 0: terminal count");
    advance(1);
    CHECK(out2() && count_of(2) == 0xffff, "mode 0: the output stays, the counter wraps");
    advance(65535 + 65536 * 1000ull);
    CHECK(out2() && count_of(2) == 0, "mode 0: for long");
    out(0x42, 100);
    CHECK(!out2(), "mode 0: the first byte of two stops it");
    out(0x42, 0);
    out(0x61, 0x00);
    advance(5000);
    CHECK(!out2() && count_of(2) == 100, "mode 0: a low gate stops the counting");
    out(0x61, 0x01);
    advance(40);
    out(0x61, 0x00);
    advance(5000);
    out(0x61, 0x01);
    advance(59);
    CHECK(!out2() && count_of(2) == 1, "mode 0: which goes on where it was");
    advance(1);
    CHECK(out2(), "mode 0: to its end");
}

static void test_triggered(void)
{
    start();
    program(2, 0x32, 50);
    advance(1000);
    CHECK(out2() && (status_of(2) & 0x40), "mode 1: high until triggered");
    out(0x61, 0x01);
    CHECK(!out2() && !(status_of(2) & 0x40), "mode 1: low after the trigger");
    advance(20);
    out(0x61, 0x00);
    advance(29);
    CHECK(!out2() && count_of(2) == 1, "mode 1: the gate's fall does nothing");
    advance(1);
    CHECK(out2(), "mode 1: high after the count");
    out(0x61, 0x01);
    out(0x42, 10);
    out(0x42, 0);
    advance(49);
    CHECK(!out2(), "mode 1: a new count waits for the next trigger");
    out(0x61, 0x00);
    out(0x61, 0x01);
    advance(9);
    CHECK(!out2(), "mode 1: triggered again");
    advance(1);
    CHECK(out2(), "mode 1: with the new count");

    out(0x61, 0x00);
    program(2, 0x3a, 7);
    CHECK(out2(), "mode 5: high until triggered");
    out(0x61, 0x01);
    advance(6);
    CHECK(out2(), "mode 5: and while counting");
    advance(1);
    CHECK(!out2(), "mode 5: the strobe");
    advance(1);
    CHECK(out2(), "mode 5: for one tick");
}

static void test_strobe(void)
{
    start();
    out(0x61, 0x01);
    program(2, 0x38, 7);
    CHECK(out2(), "mode 4: high while counting");
    advance(7);
    CHECK(!out2(), "mode 4: the strobe");
    advance(1);
    CHECK(out2(), "mode 4: for one tick");
    advance(65536 * 3 + 100);
    CHECK(out2(), "mode 4: once");
}

static void test_rate(void)
{
    bool counts = true, outputs = true;

    start();
    out(0x61, 0x01);
    program(2, 0x34, 5);
    for (unsigned int i = 0; i < 50; i++, advance(1)) {
        counts &= count_of(2) == 5 - i % 5;
        outputs &= out2() == (i % 5 != 4);
    }
    CHECK(counts, "mode 2: counts from N to 1 and again");
    CHECK(outputs, "mode 2: low while the count is 1");
    advance(2);
    out(0x42, 3);
    out(0x42, 0);
    CHECK((status_of(2) & 0x40) && count_of(2) == 3, "mode 2: a new count waits");
    advance(3);
    CHECK(count_of(2) == 3 && !(status_of(2) & 0x40), "mode 2: until the period is over");
    advance(3 * 7 + 1);
    CHECK(count_of(2) == 2, "mode 2: and then repeats");
    out(0x61, 0x00);
    advance(100);
    CHECK(out2() && count_of(2) == 2, "mode 2: a low gate stops it, output high");
    out(0x61, 0x01);
    CHECK(count_of(2) == 3, "mode 2: a rising gate starts over");
}

static void test_square(void)
{
    static const uint16_t even[] = {6, 4, 2}, odd[] = {6, 4, 2, 0, 6, 4, 2};
    bool evens = true, odds = true;

    start();
    out(0x61, 0x01);
    program(2, 0x36, 6);
    for (unsigned int i = 0; i < 30; i++, advance(1))
        evens &= count_of(2) == even[i % 3] && out2() == (i % 6 < 3);
    CHECK(evens, "mode 3: an even count, two halves by two");
    program(2, 0x36, 7);
    for (unsigned int i = 0; i < 35; i++, advance(1))
        odds &= count_of(2) == odd[i % 7] && out2() == (i % 7 < 4);
    CHECK(odds, "mode 3: the high half of an odd count is longer");
    program(2, 0x36, 0);
    CHECK(count_of(2) == 0, "0 stands for 65,536");
    advance(1);
    CHECK(count_of(2) == 65534, "from which it counts down");
}

static void test_bcd(void)
{
    start();
    out(0x61, 0x01);
    program(2, 0x31, 0x1000);
    advance(1);
    CHECK(count_of(2) == 0x0999 && (status_of(2) & 1), "BCD counts in tens");
    advance(999);
    CHECK(out2() && count_of(2) == 0, "for as long as the decimal number says");
    advance(1);
    CHECK(count_of(2) == 0x9999, "and wraps to 9999");
    program(2, 0x35, 0);
    advance(1);
    CHECK(count_of(2) == 0x9999, "0 stands for 10,000");
    program(2, 0x35, 0xffff);
    advance(12345);
    CHECK(count_of(2) == 0x4320, "digits above 9 count for what they are");
}

static void test_port_b(void)
{
    start();
    out(0x61, 0xff);
    CHECK((in(0x61) & 0xcf) == 0x0f, "port B: the lower half reads back");
    unsigned int toggles = 0;
    uint8_t last = in(0x61) & 0x10;
    for (unsigned int i = 0; i < 1800; i++) {
        advance(1);
        toggles += (in(0x61) & 0x10) != last;
        last = in(0x61) & 0x10;
    }
    CHECK(toggles == 100, "port B: the refresh bit toggles each 18 ticks");
}

/* An interrupt each millisecond or so, for an hour: not one too many or too few, never late. */
static void test_periodic(void)
{
    start();
    program(0, 0x34, 1193);
    CHECK(line.level && line.rises == 1, "the control word raises the output");
    uint64_t first = vticks_from_ns(now.now_ns, VPIT_HZ);
    run(3600 * VTICKS_NS_PER_S);
    uint64_t periods = (vticks_from_ns(now.now_ns, VPIT_HZ) - first) / 1193;
    CHECK(line.rises == 1 + periods, "mode 2: an hour of ticks without drift");
    CHECK(line.repeats == 0, "the line is only told of changes");

    unsigned int rises = line.rises;
    now.now_ns += 10 * VTICKS_NS_PER_S + 12345;
    now.deadline_ns = VTIMER_OFF;
    vpit_tick(&vpit, now.now_ns);
    CHECK(line.rises == rises + 1, "ten seconds late: one edge");
    CHECK(now.deadline_ns > now.now_ns && now.deadline_ns <= now.now_ns + 1000000,
          "the next one is due within a period");
    CHECK((vticks_from_ns(now.deadline_ns, VPIT_HZ) - first) % 1193 == 0, "in the old phase");
    vpit_tick(&vpit, now.deadline_ns - 1);
    CHECK(line.rises == rises + 1 && now.deadline_ns != VTIMER_OFF,
          "a tick too early changes nothing");

    program(0, 0x36, 0);
    rises = line.rises;
    CHECK(run(VTICKS_NS_PER_S) == 18 && line.rises == rises + 18, "mode 3: 18.2 times a second");
    program(0, 0x34, 2);
    CHECK(run(VTICKS_NS_PER_S) <= 10000, "a guest cannot ask for more than 10,000 a second");
    out(0x40, 0xa9);
    out(0x40, 0x04);
    run(1000000);
    rises = line.rises;
    run(VTICKS_NS_PER_S);
    CHECK(line.rises - rises == 1000 || line.rises - rises == 1001, "a new count takes over");
}

static void test_one_shot(void)
{
    start();
    CHECK(now.sets == 0 && run(VTICKS_NS_PER_S) == 0, "unprogrammed: no alarm");
    program(0, 0x30, 5000);
    CHECK(!line.level, "mode 0: the line is low");
    uint64_t due = vticks_to_ns(vticks_from_ns(now.now_ns, VPIT_HZ) + 5000, VPIT_HZ);
    CHECK(now.deadline_ns == due, "mode 0: the alarm is set to the nanosecond");
    CHECK(run(100 * VTICKS_NS_PER_S) == 1 && line.rises == 1 && line.level, "mode 0: once");
    unsigned int sets = now.sets;
    count_of(0);
    status_of(0);
    CHECK(now.sets == sets && now.deadline_ns == VTIMER_OFF, "mode 0: expired, no alarm");
    program(0, 0x38, 5000);
    due = vticks_to_ns(vticks_from_ns(now.now_ns, VPIT_HZ) + 5001, VPIT_HZ);
    CHECK(now.deadline_ns == due, "mode 4: the strobe ends a tick after the count");
    CHECK(line.level && run(100 * VTICKS_NS_PER_S) == 1 && line.rises == 2,
          "mode 4: an edge at the end of the strobe, once");
    program(0, 0x32, 5000);
    CHECK(run(100 * VTICKS_NS_PER_S) == 0, "mode 1: channel 0's gate never rises");
}

/* pit_set_periodic(), pit_shutdown() and pit_next_event() of Linux's i8253.c. */
static void test_linux_clockevent(void)
{
    start();
    program(0, 0x34, 4772);
    run(VTICKS_NS_PER_S);
    CHECK(line.rises == 251, "linux: 250 Hz");
    out(0x43, 0x30);
    CHECK(now.deadline_ns == VTIMER_OFF && !line.level, "linux: shut down, no alarm");
    out(0x40, 0);
    out(0x40, 0);
    CHECK(run(100 * VTICKS_NS_PER_S) == 1, "linux: clearing the count costs one alarm in all");
    out(0x43, 0x38);
    unsigned int rises = line.rises;
    for (unsigned int i = 0; i < 10; i++) {
        out(0x40, 0x10);
        out(0x40, 0x27);
        run(20 * 1000000);
    }
    CHECK(line.rises == rises + 10, "linux: one shot after another");
}

/* pit_hpet_ptimer_calibrate_cpu() and quick_pit_calibrate() of Linux's tsc.c. */
static void test_linux_calibration(void)
{
    start();
    out(0x61, (uint8_t)((in(0x61) & ~0x02) | 0x01));
    program(2, 0x30, 11931);
    uint64_t began = now.now_ns;
    while (!out2())
        now.now_ns += 500;
    CHECK(now.now_ns - began >= 9999000 && now.now_ns - began <= 10001000, "linux: 10 ms by OUT2");

    out(0x61, (uint8_t)((in(0x61) & ~0x02) | 0x01));
    program(2, 0x30, 0xffff);
    bool falls = true;
    for (unsigned int msb = 0xff; msb > 0xe0; msb--) {
        unsigned int reads = 0;
        while (in(0x42), in(0x42) == msb) {
            now.now_ns += 2000;
            reads++;
        }
        falls &= reads >= 100 && reads <= 109;
    }
    CHECK(falls, "linux: the high byte falls each 256 ticks");
}

int main(void)
{
    test_ticks();
    test_access();
    test_mode0();
    test_triggered();
    test_strobe();
    test_rate();
    test_square();
    test_bcd();
    test_port_b();
    test_periodic();
    test_one_shot();
    test_linux_clockevent();
    test_linux_calibration();
    return check_done();
}
