/* SPDX-License-Identifier: MIT */
/* ACPI power management: the timer, power-off, reset, the power button and the SCI. */
#include "hv/vdev/vpm.h"

#include "hv/vdev/vticks.h"
#include "tests/host/check.h"
#include "tests/host/vdev_fakes.h"

#define BASE   0x600
#define STS    (BASE + 0)
#define EN     (BASE + 2)
#define CNT    (BASE + 4)
#define TMR    (BASE + 8)
#define RESET  (BASE + 12)
#define CF9    0xcf9
#define TOGGLE (1ull << 31) /* ticks between two changes of the timer's top bit */

static struct fake_time now = FAKE_TIME_INIT;
static struct fake_line line;
static struct vpm pm;
static struct pio_range io[VPM_PORT_RANGES];
static unsigned int power_offs, resets;

static void power_off(void *ctx)
{
    power_offs++;
}

static void reset(void *ctx)
{
    resets++;
}

static void start_now(void)
{
    static const struct vpm_ops ops = {.power_off = power_off, .reset = reset};
    static const struct irq_line irq = FAKE_IRQ(&line, VPM_SCI);
    static const struct vclock clock = FAKE_CLOCK(&now);
    static const struct vtimer timer = FAKE_TIMER(&now);

    line = (struct fake_line){0};
    power_offs = resets = 0;
    vpm_init(&pm, &ops, &irq, &clock, &timer);
    vpm_ports(&pm, BASE, io);
}

static void start(void)
{
    now = (struct fake_time)FAKE_TIME_INIT;
    start_now();
}

static uint32_t in(uint16_t port, uint8_t size)
{
    return fake_in(io, VPM_PORT_RANGES, port, size);
}

static void out(uint16_t port, uint8_t size, uint32_t value)
{
    fake_out(io, VPM_PORT_RANGES, port, size, value);
}

static void test_timer(void)
{
    start();
    CHECK(in(TMR, 4) == 0, "the timer starts at 0");
    now.now_ns = VTICKS_NS_PER_S;
    CHECK(in(TMR, 4) == 3579545, "3.579545 MHz");
    now.now_ns = 1000000 * VTICKS_NS_PER_S;
    CHECK(in(TMR, 4) == (uint32_t)3579545000000, "for long, without drift");
    CHECK(in(TMR, 1) == (3579545000000 & 0xff) && in(TMR + 2, 2) == (3579545000000 >> 16 & 0xffff),
          "in parts as well");
    out(TMR, 4, 0);
    CHECK(in(TMR, 4) == (uint32_t)3579545000000, "it is read-only");
}

static void test_floating(void)
{
    start();
    CHECK(in(STS + 1, 4) == ~0u && in(STS + 3, 2) == ~0u && in(TMR + 2, 4) == ~0u,
          "reads that cross a word float high");
    CHECK(in(CNT + 2, 2) == 0xffff && in(RESET, 4) == 0xffffff00, "so do bytes that are not there");
    CHECK(in(CF9, 2) == ~0u && in(CF9, 4) == ~0u && io[1].read(&pm, 1, 1) == ~0u,
          "and other sizes at CF9h");
    out(STS + 3, 4, 0xffffffff);
    out(CNT + 2, 4, 0xffffffff);
    out(CF9, 2, 0x0606);
    CHECK(in(EN, 2) == 0 && power_offs == 0 && resets == 0, "writes of that kind do nothing");
}

static void test_power_off(void)
{
    start();
    CHECK(in(CNT, 2) == 1, "SCI_EN is set");
    out(CNT, 2, 0);
    CHECK(in(CNT, 2) == 1, "and stays");
    for (unsigned int type = 0; type < 8; type++)
        if (type != VPM_SLP_TYP_S5)
            out(CNT, 2, type << 10 | 0x2001);
    CHECK(power_offs == 0, "no other sleeping state");
    out(CNT, 2, 5 << 10 | 0x0001);
    CHECK(power_offs == 0 && in(CNT, 2) == (5 << 10 | 1),
          "SLP_TYP alone does nothing and reads back");
    out(CNT, 2, 5 << 10 | 0x2001);
    CHECK(power_offs == 1 && in(CNT, 2) == (5 << 10 | 1),
          "SLP_EN with S5 is power-off and reads 0");
    out(CNT + 1, 1, 0x34);
    CHECK(power_offs == 2, "by a byte as well");
    out(CNT, 1, 0xff);
    CHECK(power_offs == 2 && in(CNT, 1) == 3, "the low byte does not");
}

static void test_reset(void)
{
    start();
    out(CF9, 1, 0x02);
    CHECK(resets == 0 && in(CF9, 1) == 0x02, "SYS_RST alone does nothing and reads back");
    out(CF9, 1, 0x06);
    out(CF9, 1, 0x0e);
    CHECK(resets == 2, "06h and 0Eh reset");
    out(RESET, 1, VPM_RESET_VALUE);
    out(RESET, 4, VPM_RESET_VALUE);
    out(RESET + 1, 1, 0xff);
    CHECK(resets == 4 && power_offs == 0, "so does the port in the block");
}

static void test_power_button(void)
{
    start();
    vpm_power_button(&pm);
    CHECK(in(STS, 2) == 0x0100 && !line.level, "PWRBTN_STS; no SCI as long as it is not enabled");
    out(EN, 2, 0x0100);
    CHECK(now.sets == 0, "which needs no alarm");
    CHECK(line.level && line.gsi == 9, "the enable raises the SCI, IRQ 9");
    out(STS, 1, 0xffffffff);
    out(EN + 1, 1, 0x01);
    CHECK(line.level && in(STS, 4) == 0x01000100, "bytes touch their lanes only");
    out(STS, 2, 0x0100);
    CHECK(!line.level && in(STS, 2) == 0, "writing 1 clears it and lowers the SCI");
    vpm_power_button(&pm);
    CHECK(line.level && line.rises == 2, "the next one raises it again");
    out(STS, 4, 0x01000100);
    CHECK(!line.level && in(EN, 2) == 0x0100, "both registers in one access");
    out(EN, 2, 0xffff);
    CHECK(in(EN, 2) == 0x0721, "only the bits that exist can be enabled");
    CHECK(line.repeats == 0, "the line is only told of changes");
}

static void test_timer_status(void)
{
    start();
    now.now_ns = vticks_to_ns(TOGGLE, VPM_TIMER_HZ) - 1;
    CHECK(in(STS, 2) == 0, "TMR_STS: not before the top bit changes");
    now.now_ns++;
    CHECK(in(STS, 2) == 1 && !line.level, "TMR_STS: when it does");
    CHECK(now.deadline_ns == VTIMER_OFF && now.sets == 0, "no alarm while nobody wants it");
    out(STS, 2, 1);
    out(EN, 2, 1);
    CHECK(now.deadline_ns == vticks_to_ns(2 * TOGGLE, VPM_TIMER_HZ), "TMR_EN sets the alarm");
    vpm_tick(&pm, now.deadline_ns - 1);
    CHECK(!line.level && now.deadline_ns == vticks_to_ns(2 * TOGGLE, VPM_TIMER_HZ), "early: again");
    now.now_ns = now.deadline_ns;
    vpm_tick(&pm, now.now_ns);
    CHECK(line.level && in(STS, 2) == 1, "on time: SCI");
    CHECK(pm.deadline_ns == VTIMER_OFF, "and no further alarm until it is served");
    out(STS, 2, 1);
    CHECK(!line.level && now.deadline_ns == vticks_to_ns(3 * TOGGLE, VPM_TIMER_HZ),
          "served: the next");
    unsigned int sets = now.sets;
    out(EN, 2, 1);
    CHECK(now.sets == sets, "the alarm is set only when it changes");

    now.now_ns = vticks_to_ns(9 * TOGGLE, VPM_TIMER_HZ);
    start_now();
    CHECK(in(STS, 2) == 0, "what happened before the reset does not count");
    now.now_ns = vticks_to_ns(10 * TOGGLE, VPM_TIMER_HZ);
    out(STS, 2, 1);
    CHECK(in(STS, 2) == 0, "a write clears what it finds, seen or not");
}

int main(void)
{
    test_timer();
    test_floating();
    test_power_off();
    test_reset();
    test_power_button();
    test_timer_status();
    return check_done();
}
