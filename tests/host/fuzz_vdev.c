/* SPDX-License-Identifier: MIT */
/*
 * The simple devices together, wired to a PIC as in a guest: port accesses of any size, bytes from
 * outside, a backend that refuses now and then, acknowledges, and time in steps from a nanosecond
 * to days, with alarms that ring on time or late.  What must hold is checked after every step.
 */
#include "hv/vdev/vcmos.h"
#include "hv/vdev/vfwcfg.h"
#include "hv/vdev/vi8042.h"
#include "hv/vdev/vpic.h"
#include "hv/vdev/vpit.h"
#include "hv/vdev/vpm.h"
#include "hv/vdev/vtestdev.h"
#include "hv/vdev/vuart.h"

#include "hv/vdev/vticks.h"
#include "tests/host/vdev_fakes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PM_BASE 0x600
/* A channel of the 8254 that asks for more than some 10,000 alarms a second is held to that. */
#define MIN_ALARM_NS 99000

#define REQUIRE(condition)                                                  \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ALARM_PIT, ALARM_CMOS, ALARM_PM, ALARM_COUNT };

static struct vuart uart;
static struct vpic pic;
static struct vpit pit;
static struct vcmos cmos;
static struct vpm pm;
static struct vi8042 i8042;
static struct vtestdev testdev;
static struct vfwcfg fwcfg;
static uint8_t test_memory[VTESTDEV_MEMORY_SIZE];

static struct fake_time times[ALARM_COUNT]; /* one clock, three alarms */
static struct pio_range ranges[1 + VPIC_PORT_RANGES + VPIT_PORT_RANGES + 1 + VPM_PORT_RANGES +
                               VI8042_PORT_RANGES + VTESTDEV_PORT_RANGES + 1];
static bool levels[VPIC_IRQS], intr, line_open;
static unsigned int outside; /* bytes that wait to be typed */
static bool accessed;        /* since the 8254's last alarm */

static void set_irq(void *ctx, unsigned int gsi, bool level)
{
    REQUIRE(gsi < VPIC_IRQS && levels[gsi] != level);
    levels[gsi] = level;
    vpic_set_irq(&pic, gsi, level);
}

static void set_intr(void *ctx, bool level)
{
    REQUIRE(intr != level);
    intr = level;
}

static bool put(void *ctx, uint8_t byte)
{
    return line_open;
}

static void feed(void *ctx)
{
    uint8_t bytes[64];
    unsigned int count = MIN(outside, (unsigned int)sizeof(bytes));

    memset(bytes, 'x', sizeof(bytes));
    unsigned int room = vuart_rx_room(&uart);
    unsigned int taken = vuart_rx(&uart, bytes, count);
    REQUIRE(taken == MIN(room, count));
    outside -= taken;
}

static void note(void *ctx)
{
}

static void note_value(void *ctx, uint32_t value)
{
}

static void note_byte(void *ctx, uint8_t byte)
{
}

static void note_line(void *ctx, unsigned int irq, bool level)
{
    REQUIRE(irq < GSI_COUNT);
}

static const struct irq_line irqs[VPIC_IRQS] = {
    [0] = {.gsi = 0, .set = set_irq},
    [4] = {.gsi = 4, .set = set_irq},
    [8] = {.gsi = 8, .set = set_irq},
    [9] = {.gsi = 9, .set = set_irq},
};
static const struct vclock clock_of[ALARM_COUNT] = {FAKE_CLOCK(&times[0]), FAKE_CLOCK(&times[1]),
                                                    FAKE_CLOCK(&times[2])};
static const struct vtimer timer_of[ALARM_COUNT] = {FAKE_TIMER(&times[0]), FAKE_TIMER(&times[1]),
                                                    FAKE_TIMER(&times[2])};

static void init_devices(uint64_t unix_time)
{
    vpic_init(&pic, &(struct vpic_intr){.set = set_intr});
    vuart_init(&uart, &irqs[4], &(struct vuart_backend){.put = put, .rx_drained = feed});
    vpit_init(&pit, &irqs[0], &clock_of[ALARM_PIT], &timer_of[ALARM_PIT]);
    vcmos_init(&cmos, &(struct vcmos_config){.unix_time = unix_time}, &irqs[8],
               &clock_of[ALARM_CMOS], &timer_of[ALARM_CMOS]);
    vpm_init(&pm, &(struct vpm_ops){.power_off = note, .reset = note}, &irqs[9],
             &clock_of[ALARM_PM], &timer_of[ALARM_PM]);
    vi8042_init(&i8042, &(struct vi8042_ops){.reset = note});
    vtestdev_init(
        &testdev,
        &(struct vtestdev_ops){.exit = note_value, .put = note_byte, .set_irq = note_line},
        test_memory);
    vfwcfg_init(&fwcfg, (unix_time % GIB(8) & ~0xfffull) + LAYOUT_MEMORY_MIN, 1);
}

static void start(uint64_t unix_time)
{
    struct pio_range *next = ranges;

    for (unsigned int i = 0; i < ALARM_COUNT; i++)
        times[i] = (struct fake_time)FAKE_TIME_INIT;
    memset(levels, 0, sizeof(levels));
    intr = false;
    line_open = true;
    outside = 0;
    accessed = false;
    init_devices(unix_time);

    *next++ = vuart_ports(&uart, VUART_COM1_BASE);
    vpic_ports(&pic, next);
    next += VPIC_PORT_RANGES;
    vpit_ports(&pit, next);
    next += VPIT_PORT_RANGES;
    *next++ = vcmos_ports(&cmos);
    vpm_ports(&pm, PM_BASE, next);
    next += VPM_PORT_RANGES;
    vi8042_ports(&i8042, next);
    next += VI8042_PORT_RANGES;
    vtestdev_ports(&testdev, next);
    next += VTESTDEV_PORT_RANGES;
    *next++ = vfwcfg_ports(&fwcfg);
    REQUIRE(next == ranges + ARRAY_SIZE(ranges));
}

static void ring(unsigned int alarm)
{
    uint64_t now_ns = times[alarm].now_ns;
    bool steady = now_ns == times[alarm].deadline_ns && !accessed;

    times[alarm].deadline_ns = VTIMER_OFF;
    if (alarm == ALARM_PIT)
        vpit_tick(&pit, now_ns);
    else if (alarm == ALARM_CMOS)
        vcmos_tick(&cmos, now_ns);
    else
        vpm_tick(&pm, now_ns);
    if (alarm == ALARM_PIT) {
        REQUIRE(!steady || times[alarm].deadline_ns >= now_ns + MIN_ALARM_NS);
        accessed = false;
    }
    REQUIRE(times[alarm].deadline_ns > now_ns);
}

static void set_time(uint64_t now_ns)
{
    for (unsigned int i = 0; i < ALARM_COUNT; i++)
        times[i].now_ns = now_ns;
}

/* The first few alarms ring on time; then time jumps and what is due rings late, once. */
static void pass(uint64_t ns)
{
    uint64_t end = times[0].now_ns + ns;

    for (unsigned int rung = 0; rung < 4; rung++) {
        unsigned int first = 0;
        for (unsigned int i = 1; i < ALARM_COUNT; i++)
            if (times[i].deadline_ns < times[first].deadline_ns)
                first = i;
        if (times[first].deadline_ns > end)
            break;
        set_time(MAX(times[first].deadline_ns, times[0].now_ns));
        ring(first);
    }
    set_time(end);
    for (unsigned int i = 0; i < ALARM_COUNT; i++)
        if (times[i].deadline_ns <= end)
            ring(i);
}

static void access_port(const uint8_t *op)
{
    const struct pio_range *range = &ranges[op[1] % ARRAY_SIZE(ranges)];
    uint16_t offset = op[1] & 0x80 ? op[2] : op[2] % range->count; /* now and then past the end */
    uint8_t width = (uint8_t)(1u << (op[3] & 0x30 ? 0 : op[3] % 3));
    uint32_t value = (uint32_t)op[4] << 24 | (uint32_t)op[5] << 16 | (uint32_t)op[6] << 8 | op[7];

    accessed = true;
    if (op[0] & 1) {
        range->write(range->dev, offset, width, value);
        return;
    }
    uint32_t got = range->read(range->dev, offset, width);
    REQUIRE(got == ~0u || got <= (uint32_t)BITS(~0ull, width * 8 - 1, 0));
}

/* The sanitizers are the check, of any offset and at the end. */
static void access_memory(const uint8_t *op)
{
    const struct mmio_range range = vtestdev_memory(&testdev);
    uint64_t offset = (uint64_t)op[1] << 8 | op[2];
    uint8_t width = (uint8_t)(1u << op[3] % 4);
    uint64_t value;

    memcpy(&value, op, sizeof(value));
    range.write(range.dev, offset, width, value);
    REQUIRE(offset + width > VTESTDEV_MEMORY_SIZE ||
            ((range.read(range.dev, offset, width) ^ value) & BITS(~0ull, width * 8 - 1, 0)) == 0);
}

static void acknowledge(void)
{
    bool pending = vpic_pending(&pic);
    bool spurious = !pending;
    uint8_t vector = vpic_ack(&pic);

    if (spurious)
        REQUIRE(vector == (pic.chip[0].base | 7));
    else
        REQUIRE((vector & 0xf8) == pic.chip[0].base || (vector & 0xf8) == pic.chip[1].base);
}

static void check_uart(void)
{
    REQUIRE(uart.rx.count <= VUART_FIFO_SIZE && uart.tx.count <= VUART_FIFO_SIZE);
    REQUIRE((uart.tx.count == 0) == ((uart.lsr & 0x60) == 0x60));
    REQUIRE((uart.rx.count != 0) == (uart.lsr & 1));
    REQUIRE(uart.rx.count != 0 || outside == 0 || vuart_rx_room(&uart) == 0);
}

static void check_pit(void)
{
    for (unsigned int i = 0; i < VPIT_CHANNELS; i++) {
        const struct vpit_channel *ch = &pit.channel[i];
        REQUIRE(ch->mode <= 5 && ch->latched <= 2);
        REQUIRE(!ch->counting || (ch->count >= 1 && ch->count <= 65536));
    }
}

static void check_all(void)
{
    check_uart();
    check_pit();
    REQUIRE(intr == vpic_pending(&pic));
    REQUIRE(levels[0] == pit.line && levels[4] == uart.line && levels[8] == cmos.line &&
            levels[9] == pm.line);
    REQUIRE(times[ALARM_PIT].deadline_ns == pit.deadline_ns);
    REQUIRE(times[ALARM_CMOS].deadline_ns == cmos.deadline_ns);
    REQUIRE(times[ALARM_PM].deadline_ns == pm.deadline_ns);
    REQUIRE(!cmos.line || cmos.deadline_ns == VTIMER_OFF);
    REQUIRE(fwcfg.next <= sizeof(fwcfg.items));
}

static void step(const uint8_t *op)
{
    switch (op[0] % 16) {
    case 0:
        pass(((uint64_t)op[1] << 8 | op[2]) << op[3] % 32);
        break;
    case 2:
        outside += op[1];
        feed(NULL);
        break;
    case 4:
        line_open = op[1] & 1;
        if (line_open)
            vuart_tx_ready(&uart);
        break;
    case 6:
        acknowledge();
        break;
    case 8:
        vpm_power_button(&pm);
        break;
    case 10:
        access_memory(op);
        break;
    default:
        access_port(op);
        break;
    }
    check_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t unix_time = 0;

    if (size < 8)
        return 0;
    memcpy(&unix_time, data, 5); /* up to the year 36812 */
    start(unix_time);
    for (size_t at = 8; at + 8 <= size; at += 8)
        step(data + at);
    return 0;
}
