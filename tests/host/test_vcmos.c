/* SPDX-License-Identifier: MIT */
/* CMOS and clock: the calendar against libc's, the formats, setting, interrupts, memory sizes. */
#include "hv/vdev/vcmos.h"

#include "hv/vdev/vcmos_date.h"
#include "hv/vdev/vticks.h"
#include "tests/host/check.h"
#include "tests/host/vdev_fakes.h"

#include <time.h>

#define SECOND VTICKS_NS_PER_S

static struct fake_time now = FAKE_TIME_INIT;
static struct fake_line line;
static struct vcmos cmos;
static struct pio_range io;

static void start_with(const struct vcmos_config *config)
{
    static const struct irq_line irq = FAKE_IRQ(&line, VCMOS_IRQ);
    static const struct vclock clock = FAKE_CLOCK(&now);
    static const struct vtimer timer = FAKE_TIMER(&now);

    now = (struct fake_time)FAKE_TIME_INIT;
    line = (struct fake_line){0};
    vcmos_init(&cmos, config, &irq, &clock, &timer);
    io = vcmos_ports(&cmos);
}

static void start(uint64_t unix_time)
{
    start_with(&(struct vcmos_config){.unix_time = unix_time, .ram_below_4g = 512ull << 20});
}

static uint8_t get(uint8_t index)
{
    io.write(io.dev, 0, 1, index);
    return (uint8_t)io.read(io.dev, 1, 1);
}

static void set(uint8_t index, uint8_t value)
{
    io.write(io.dev, 0, 1, index);
    io.write(io.dev, 1, 1, value);
}

/* Lets the alarms ring that are due within `ns`; says how many. */
static unsigned int run(uint64_t ns)
{
    uint64_t end = now.now_ns + ns;
    unsigned int alarms = 0;

    while (now.deadline_ns <= end && alarms < 1000000) {
        now.now_ns = now.deadline_ns;
        now.deadline_ns = VTIMER_OFF;
        vcmos_tick(&cmos, now.now_ns);
        alarms++;
    }
    now.now_ns = end;
    return alarms;
}

static bool reads(uint8_t century, uint8_t year, uint8_t month, uint8_t day, uint8_t hour,
                  uint8_t minute, uint8_t second)
{
    return get(0x32) == century && get(9) == year && get(8) == month && get(7) == day &&
           get(4) == hour && get(2) == minute && get(0) == second;
}

static void test_ram(void)
{
    start(0);
    set(0x0f, 0x5a);
    CHECK(get(0x0f) == 0x5a, "a byte written reads back");
    CHECK(get(0x8f) == 0x5a, "bit 7 of the index is not stored");
    CHECK(io.read(io.dev, 0, 1) == ~0u && io.read(io.dev, 1, 2) == ~0u &&
              io.read(io.dev, 1, 4) == ~0u && io.read(io.dev, 2, 1) == ~0u,
          "the index, other sizes and offsets float high");
    io.write(io.dev, 1, 2, 0x1111);
    io.write(io.dev, 5, 1, 0x1111);
    CHECK(get(0x0f) == 0x5a, "a wider write does nothing");

    bool kept = true;
    for (unsigned int i = 0; i < 256; i++)
        set((uint8_t)i, (uint8_t)i);
    for (unsigned int i = 0x40; i < 128; i++)
        kept &= get((uint8_t)i) == (i | 0x80);
    CHECK(kept, "every index stays within the array");
    CHECK(get(0x0d) == 0x80, "register D says valid, whatever was written");
}

static void test_memory_sizes(void)
{
    start_with(&(struct vcmos_config){.ram_below_4g = 512ull << 20});
    CHECK(get(0x15) == 0x80 && get(0x16) == 0x02, "640 KiB of base memory");
    CHECK(get(0x17) == 0xff && get(0x18) == 0xff && get(0x30) == 0xff && get(0x31) == 0xff,
          "above 1 MiB: no more than fits");
    CHECK(get(0x34) == 0x00 && get(0x35) == 0x1f, "496 MiB above 16 MiB");
    CHECK(get(0x5b) == 0 && get(0x5c) == 0 && get(0x5d) == 0, "nothing above 4 GiB");
    start_with(&(struct vcmos_config){.ram_below_4g = 3ull << 30, .ram_above_4g = 0x2345670000});
    CHECK(get(0x34) == 0x00 && get(0x35) == 0xbf, "3 GiB below 4 GiB");
    CHECK(get(0x5b) == 0x67 && get(0x5c) == 0x45 && get(0x5d) == 0x23, "141 GiB above it");
    start_with(&(struct vcmos_config){.ram_below_4g = 8ull << 20, .ram_above_4g = ~0ull});
    CHECK(get(0x17) == 0x00 && get(0x18) == 0x1c && get(0x34) == 0 && get(0x35) == 0,
          "7 MiB above 1 MiB, nothing above 16 MiB");
    CHECK(get(0x5b) == 0xff && get(0x5d) == 0xff, "more than fits");
}

static void test_calendar(void)
{
    bool forth = true, back = true;

    /* every 7919 hours and some from 1600 to 3700 */
    for (int64_t seconds = -11676096000; seconds < 54600000000; seconds += 28508461) {
        time_t t = (time_t)seconds;
        struct tm tm;
        gmtime_r(&t, &tm);
        struct date date = date_from_seconds(seconds);
        forth &= date.year == tm.tm_year + 1900 && date.month == tm.tm_mon + 1 &&
                 date.day == tm.tm_mday && date.hour == tm.tm_hour && date.minute == tm.tm_min &&
                 date.second == tm.tm_sec && date.weekday == tm.tm_wday + 1;
        back &= date_to_seconds(&date) == seconds;
    }
    CHECK(forth, "the calendar agrees with libc's over 2,100 years");
    CHECK(back, "and the way back as well");
    CHECK(date_to_seconds(&(struct date){.year = 2023, .month = 2, .day = 31}) ==
              date_to_seconds(&(struct date){.year = 2023, .month = 3, .day = 3}),
          "31 February is 3 March");
}

static void test_reading(void)
{
    start(1709210096); /* Thursday, 29 February 2024, 12:34:56 UTC */
    CHECK(reads(0x20, 0x24, 0x02, 0x29, 0x12, 0x34, 0x56) && get(6) == 5, "BCD, 24 hours");
    set(0x0b, 0x06);
    CHECK(reads(20, 24, 2, 29, 12, 34, 56), "binary, 24 hours");
    set(0x0b, 0x00);
    CHECK(get(4) == 0x92, "BCD, 12 hours: 12 noon is 12 PM");
    now.now_ns = 12 * 3600 * SECOND;
    CHECK(get(4) == 0x12 && get(7) == 0x01 && get(8) == 0x03, "midnight is 12 AM, of 1 March");
    now.now_ns += 13 * 3600 * SECOND;
    CHECK(get(4) == 0x81, "13 is 1 PM");
    set(0x0b, 0x02);
    now.now_ns = 365ull * 86400 * 100 * SECOND;
    CHECK(get(0x32) == 0x21 && get(9) == 0x24, "the century changes");

    start(1000);
    now.now_ns = SECOND - 244001;
    CHECK(!(get(0x0a) & 0x80) && get(0) == 0x40, "244 us before the second: not yet updating");
    now.now_ns += 1;
    CHECK((get(0x0a) & 0x80) && get(0) == 0x40, "then UIP, still the old second");
    now.now_ns = SECOND;
    CHECK(get(0x0a) == 0x26 && get(0) == 0x41, "then the new one");
}

static void test_setting(void)
{
    start(0);
    now.now_ns = 5 * SECOND;
    set(0x0b, 0x82);
    now.now_ns += 10 * SECOND;
    CHECK(get(0) == 0x05 && !(get(0x0a) & 0x80), "SET stops the clock");
    set(0x00, 0x58);
    set(0x02, 0x59);
    set(0x04, 0x23);
    set(0x07, 0x28);
    set(0x08, 0x02);
    set(0x09, 0x99);
    set(0x32, 0x19);
    set(0x0b, 0x02);
    CHECK(reads(0x19, 0x99, 0x02, 0x28, 0x23, 0x59, 0x58), "it shows what was set");
    now.now_ns += 2 * SECOND;
    CHECK(reads(0x19, 0x99, 0x03, 0x01, 0x00, 0x00, 0x00) && get(6) == 2,
          "and goes on from there: 1999 had no leap day, 1 March was a Monday");
    set(0x00, 0x30);
    CHECK(reads(0x19, 0x99, 0x03, 0x01, 0x00, 0x00, 0x30), "a register set without SET counts too");
    now.now_ns += 31 * SECOND;
    CHECK(get(0) == 0x01 && get(2) == 0x01, "and goes on");
    set(0x09, 0x98);
    set(0x06, 0x07);
    CHECK(reads(0x19, 0x98, 0x03, 0x01, 0x00, 0x01, 0x01) && get(6) == 1,
          "the year too; the day of the week follows: a Sunday");
    set(0x09, 0x99);

    set(0x0b, 0x80); /* 12 hours */
    set(0x04, 0x91);
    set(0x0b, 0x00);
    set(0x0b, 0x02);
    CHECK(get(4) == 0x23, "11 PM");

    set(0x0b, 0x86);
    for (uint8_t i = 0; i < 10; i++)
        set(i, 0xff);
    set(0x32, 0xff);
    set(0x0b, 0x06);
    CHECK(reads(99, 99, 12, 31, 23, 59, 59), "nonsense becomes the latest that a clock can show");
    now.now_ns += SECOND;
    CHECK(reads(0, 0, 1, 1, 0, 0, 0), "and the year 10000 is the year 0");
    set(0x0b, 0x86);
    for (uint8_t i = 0; i < 10; i++)
        set(i, 0);
    set(0x32, 0);
    set(0x0b, 0x06);
    CHECK(reads(0, 0, 1, 1, 0, 0, 0), "zeroes become 1 January");
}

static void test_periodic(void)
{
    static const unsigned int hz[] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
                                      256, 128, 64,  32,   16,   8,    4,    2};
    bool right = true, silent = true;

    for (unsigned int rs = 0; rs < 16; rs++) {
        start(0);
        set(0x0a, (uint8_t)(0x20 | rs));
        silent &= now.deadline_ns == VTIMER_OFF;
        set(0x0b, 0x42);
        unsigned int count = 0;
        while (now.deadline_ns <= 2 * SECOND && count < 20000) {
            run(now.deadline_ns - now.now_ns);
            right &= line.level && get(0x0c) >> 6 == 3;
            count++;
        }
        right &= count == 2 * hz[rs];
    }
    CHECK(silent, "no alarm while the periodic interrupt is off");
    CHECK(right, "the periodic interrupt at each rate, exact over two seconds");
    CHECK(line.gsi == 8 && line.repeats == 0, "on IRQ 8, told only of changes");

    start(0);
    set(0x0b, 0x42);
    CHECK(run(10 * SECOND) == 1 && line.level, "an interrupt that is not served costs one alarm");
    CHECK(get(0x0c) == 0xd0 && !line.level && get(0x0c) == 0, "reading C clears it");
    CHECK(now.deadline_ns != VTIMER_OFF, "and sets the next alarm");
    set(0x0b, 0x02);
    CHECK(now.deadline_ns == VTIMER_OFF, "which goes with the enable bit");
}

static void test_update(void)
{
    start(0);
    now.now_ns = 5 * SECOND + 1;
    vcmos_init(&cmos, &(struct vcmos_config){0}, &cmos.irq, &cmos.clock, &cmos.timer);
    CHECK(get(0x0c) == 0, "what happened before the reset does not count");
    now.now_ns = 0;
    vcmos_init(&cmos, &(struct vcmos_config){0}, &cmos.irq, &cmos.clock, &cmos.timer);
    now.now_ns = SECOND / 2;
    CHECK(get(0x0c) == 0x40, "flags are there without interrupts: PF");
    now.now_ns = SECOND;
    CHECK(get(0x0c) == 0x50, "and UF at the second");
    set(0x0b, 0x12);
    unsigned int rises = 0;
    for (unsigned int i = 0; i < 10; i++) {
        run(SECOND);
        rises += line.level && (get(0x0c) & 0x90) == 0x90;
    }
    CHECK(rises == 10 && line.rises == 10, "an update interrupt a second");
    set(0x0b, 0x92);
    CHECK(get(0x0b) == 0x82 && now.deadline_ns == VTIMER_OFF, "SET clears UIE");
    run(2 * SECOND);
    CHECK(!(get(0x0c) & 0x30), "and while it is set there is no update");
    set(0x0b, 0x02);
    run(SECOND);
    set(0x0b, 0x12);
    CHECK(line.level, "a flag that is there interrupts when it is enabled");
}

static bool alarm_at(uint8_t hour, uint8_t minute, uint8_t second, uint64_t expected_s)
{
    set(5, hour);
    set(3, minute);
    set(1, second);
    get(0x0c);
    set(0x0b, (uint8_t)(get(0x0b) | 0x20));
    bool right = now.deadline_ns == expected_s * SECOND;
    set(0x0b, (uint8_t)(get(0x0b) & ~0x20));
    return right;
}

static void test_alarm(void)
{
    start(1709210096); /* 12:34:56 */
    CHECK(alarm_at(0x12, 0x34, 0x57, 1), "alarm: in a second");
    CHECK(alarm_at(0x12, 0x34, 0x56, 86400), "alarm: in a day");
    CHECK(alarm_at(0x00, 0x00, 0x00, 41104), "alarm: at midnight");
    CHECK(alarm_at(0xff, 0xc0, 0xff, 1) && alarm_at(0xc0, 0xff, 0xc0, 1), "alarm: each second");
    CHECK(alarm_at(0x23, 0x59, 0x59, 41103), "alarm: at the day's last second");
    CHECK(alarm_at(0xff, 0xff, 0x30, 34), "alarm: each minute at 30 s");
    CHECK(alarm_at(0xff, 0x10, 0x00, 2104), "alarm: each hour at 10 min");
    CHECK(alarm_at(0x13, 0xff, 0xff, 1504), "alarm: each second from 13 h");
    CHECK(alarm_at(0x11, 0x33, 0x55, 86400 - 3661), "alarm: just missed");
    now.deadline_ns = VTIMER_OFF;
    set(5, 0x24);
    set(3, 0xff);
    set(1, 0x99);
    set(0x0b, 0x22);
    CHECK(now.deadline_ns == VTIMER_OFF, "alarm: at a time that never comes");
    set(0x0b, 0x00);
    CHECK(alarm_at(0x81, 0x00, 0x00, 1504), "alarm: 1 PM");
    set(0x0b, 0x06);
    CHECK(alarm_at(13, 0, 0, 1504), "alarm: binary");

    set(0x0b, 0x26);
    run(1503 * SECOND);
    CHECK(!line.level, "alarm: not before");
    run(SECOND);
    CHECK(line.level && (get(0x0c) & 0xa0) == 0xa0, "alarm: at the second");
    CHECK(run(86399 * SECOND) == 0 && run(SECOND) == 1 && line.level, "alarm: the next day again");
    get(0x0c);
    set(5, 14);
    CHECK(now.deadline_ns == now.now_ns + 3600 * SECOND, "alarm: follows a change of the alarm");
    set(3, 1);
    CHECK(now.deadline_ns == now.now_ns + 3660 * SECOND, "alarm: of each register");
    set(3, 0);
    set(5, 13);
    set(0x04, 12);
    CHECK(now.deadline_ns == now.now_ns + 3600 * SECOND, "alarm: follows a change of the time");
    now.now_ns += 40ull * 86400 * SECOND;
    CHECK(get(0x0c) == 0xf0, "flags account for a long time at once");
    uint64_t deadline = now.deadline_ns;
    vcmos_tick(&cmos, now.now_ns);
    CHECK(!line.level && now.deadline_ns == deadline, "a tick too early changes nothing");
}

int main(void)
{
    test_ram();
    test_memory_sizes();
    test_calendar();
    test_reading();
    test_setting();
    test_periodic();
    test_update();
    test_alarm();
    return check_done();
}
