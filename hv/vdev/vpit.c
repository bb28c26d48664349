/* SPDX-License-Identifier: MIT */
/*
 * The 8254 (see vpit.h).  A periodic channel 0 that nobody serves costs one alarm a period, and a
 * late one gives one edge and continues in phase; a one-shot that has fired, mode 0 without a count
 * (how Linux silences it) and an unprogrammed channel arm no alarm at all.
 */
#include "hv/vdev/vpit.h"

#include "hv/util.h"
#include "hv/vdev/vticks.h"

#define PORT_COUNTERS 0x40
#define PORT_B        0x61

#define REG_CONTROL 3

#define CONTROL_BCD     0x01
#define CONTROL_MODE(v) (((v) >> 1) & 7)
#define CONTROL_RW(v)   (((v) >> 4) & 3)
#define CONTROL_SC(v)   ((v) >> 6)
#define SC_READ_BACK    3
#define RW_LATCH        0
#define RW_LOW          1
#define RW_HIGH         2
#define RW_BOTH         3

#define READ_BACK_NO_STATUS 0x10
#define READ_BACK_NO_COUNT  0x20

#define STATUS_OUTPUT     0x80
#define STATUS_NULL_COUNT 0x40

#define PORT_B_GATE     0x01
#define PORT_B_WRITABLE 0x0f
#define PORT_B_REFRESH  0x10
#define PORT_B_OUTPUT   0x20
#define REFRESH_TICKS   18 /* one memory refresh each 15 us toggles the bit */

#define NEVER UINT64_MAX

/*
 * A guest that asks for a faster interrupt than every 100 us gets one each 100 us: alarms are the
 * one thing here that runs on the host's time without an exit of the guest's.
 */
#define MIN_PERIOD_TICKS 119

static uint64_t now_ticks(const struct vpit *vpit)
{
    return vticks_from_ns(vclock_now(&vpit->clock), VPIT_HZ);
}

static bool is_periodic(const struct vpit_channel *ch)
{
    return ch->mode == 2 || ch->mode == 3;
}

/* Modes 1 and 5 are started by a rising gate; in the others a low gate stops the counting. */
static bool is_triggered(const struct vpit_channel *ch)
{
    return ch->mode == 1 || ch->mode == 5;
}

static uint32_t modulus(const struct vpit_channel *ch)
{
    return ch->bcd ? 10000 : 65536;
}

static uint32_t from_bcd(uint32_t v)
{
    return (v >> 12) * 1000 + (v >> 8 & 0xf) * 100 + (v >> 4 & 0xf) * 10 + (v & 0xf);
}

static uint16_t to_bcd(uint32_t v)
{
    return (uint16_t)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

static uint64_t elapsed(const struct vpit_channel *ch, uint64_t now)
{
    if (!ch->gate && !is_triggered(ch))
        return ch->held;
    return now > ch->start ? now - ch->start : 0;
}

/* Mode 3 counts down twice a period by two; the high half of an odd count is a tick longer. */
static uint32_t square_counter(uint32_t count, uint32_t phase)
{
    uint32_t high = (count + 1) / 2;

    return (count & ~1u) - 2 * (phase < high ? phase : phase - high);
}

/* The counter as the guest reads it. */
static uint16_t counter(const struct vpit_channel *ch, uint64_t now)
{
    uint32_t value = ch->counting ? ch->count : ch->reload;

    if (ch->counting) {
        uint64_t ticks = elapsed(ch, now);
        uint32_t phase = (uint32_t)(ticks % ch->count);
        if (ch->mode == 2)
            value -= phase;
        else if (ch->mode == 3)
            value = square_counter(value, phase);
        else
            value += modulus(ch) - (uint32_t)(ticks % modulus(ch));
    }
    return ch->bcd ? to_bcd(value) : (uint16_t)value;
}

static bool output(const struct vpit_channel *ch, uint64_t now)
{
    if (!ch->counting)
        return ch->mode != 0;

    uint64_t ticks = elapsed(ch, now);
    switch (ch->mode) {
    case 0:
    case 1:
        return ticks >= ch->count;
    case 2:
        return !ch->gate || ticks % ch->count != ch->count - 1;
    case 3:
        return !ch->gate || ticks % ch->count < (ch->count + 1) / 2;
    default: /* 4 and 5: a strobe of one tick */
        return ticks != ch->count;
    }
}

/* The first tick after `now` at which the output of a channel with an open gate rises. */
static uint64_t next_rise(const struct vpit_channel *ch, uint64_t now)
{
    if (!ch->counting)
        return NEVER;

    uint64_t ticks = elapsed(ch, now);
    switch (ch->mode) {
    case 0:
    case 1:
        return ticks < ch->count ? ch->start + ch->count : NEVER;
    case 2:
    case 3:
        return ch->start + (ticks / ch->count + 1) * ch->count;
    default:
        return ticks <= ch->count ? ch->start + ch->count + 1 : NEVER;
    }
}

static void start(struct vpit_channel *ch, uint64_t now)
{
    ch->count = ch->reload;
    ch->start = now;
    ch->held = 0;
    ch->counting = true;
    ch->null_count = false;
}

/* Performs the change of count that became due since the channel was last looked at. */
static void settle(struct vpit_channel *ch, uint64_t now)
{
    if (is_periodic(ch) && ch->counting && ch->null_count && ch->gate && now >= ch->switch_at)
        start(ch, ch->switch_at);
}

static void load(struct vpit_channel *ch, uint16_t raw, uint64_t now)
{
    uint32_t value = ch->bcd ? from_bcd(raw) : raw;

    ch->reload = value ? value : modulus(ch);
    if (is_triggered(ch)) {
        ch->null_count = true;
    } else if (is_periodic(ch) && ch->counting) {
        ch->null_count = true;
        ch->switch_at = next_rise(ch, now);
    } else {
        start(ch, now);
    }
}

static void set_gate(struct vpit_channel *ch, bool gate, uint64_t now)
{
    if (ch->gate == gate)
        return;
    settle(ch, now);
    if (!gate)
        ch->held = elapsed(ch, now);
    ch->gate = gate;
    if (!gate || ch->reload == 0)
        return;
    if (is_triggered(ch) || is_periodic(ch))
        start(ch, now);
    else
        ch->start = now - ch->held;
}

/* --- channel 0's interrupt --- */

static void set_line(struct vpit *vpit, bool level)
{
    if (vpit->line == level)
        return;
    vpit->line = level;
    irq_line_set(&vpit->irq, level);
}

static void arm(struct vpit *vpit, uint64_t now)
{
    const struct vpit_channel *ch = &vpit->channel[0];
    bool too_fast = is_periodic(ch) && ch->count < MIN_PERIOD_TICKS;
    uint64_t rise = next_rise(ch, too_fast ? now + MIN_PERIOD_TICKS : now);
    uint64_t deadline_ns = rise == NEVER ? VTIMER_OFF : vticks_to_ns(rise, VPIT_HZ);

    if (deadline_ns == VTIMER_OFF && vpit->deadline_ns == VTIMER_OFF)
        return;
    vpit->deadline_ns = deadline_ns;
    vtimer_set(&vpit->timer, deadline_ns);
}

/* The guest has written to a channel. */
static void changed(struct vpit *vpit, const struct vpit_channel *ch, uint64_t now)
{
    if (ch != &vpit->channel[0])
        return;
    set_line(vpit, ch->mode != 0 || output(ch, now));
    arm(vpit, now);
}

void vpit_tick(struct vpit *vpit, uint64_t now_ns)
{
    uint64_t now = vticks_from_ns(now_ns, VPIT_HZ);

    if (vpit->deadline_ns == VTIMER_OFF)
        return;
    if (now_ns >= vpit->deadline_ns) {
        settle(&vpit->channel[0], now);
        set_line(vpit, false);
        set_line(vpit, true);
    }
    arm(vpit, now);
}

/* --- the ports --- */

static void latch_count(struct vpit_channel *ch, uint64_t now)
{
    if (ch->latched)
        return; /* until it is read, as the datasheet has it */
    ch->latch = counter(ch, now);
    ch->latched = ch->access == RW_BOTH ? 2 : 1;
}

static void latch_status(struct vpit_channel *ch, uint64_t now)
{
    if (ch->status_latched)
        return;
    ch->status =
        (uint8_t)((output(ch, now) ? STATUS_OUTPUT : 0) | (ch->null_count ? STATUS_NULL_COUNT : 0) |
                  ch->access << 4 | ch->mode << 1 | (ch->bcd ? CONTROL_BCD : 0));
    ch->status_latched = true;
}

static void read_back(struct vpit *vpit, uint8_t command, uint64_t now)
{
    for (unsigned int i = 0; i < VPIT_CHANNELS; i++) {
        struct vpit_channel *ch = &vpit->channel[i];
        if (!(command & BIT(i + 1)))
            continue;
        settle(ch, now);
        if (!(command & READ_BACK_NO_COUNT))
            latch_count(ch, now);
        if (!(command & READ_BACK_NO_STATUS))
            latch_status(ch, now);
    }
}

static void program(struct vpit_channel *ch, uint8_t control)
{
    uint8_t mode = CONTROL_MODE(control);

    *ch = (struct vpit_channel){
        .mode = mode > 5 ? mode - 4 : mode, /* bit 2 means nothing in modes 2 and 3 */
        .access = CONTROL_RW(control),
        .bcd = control & CONTROL_BCD,
        .gate = ch->gate,
        .null_count = true,
    };
}

static void write_control(struct vpit *vpit, uint8_t value)
{
    uint64_t now = now_ticks(vpit);

    if (CONTROL_SC(value) == SC_READ_BACK) {
        read_back(vpit, value, now);
        return;
    }

    struct vpit_channel *ch = &vpit->channel[CONTROL_SC(value)];
    if (CONTROL_RW(value) == RW_LATCH) {
        settle(ch, now);
        latch_count(ch, now);
        return;
    }
    program(ch, value);
    changed(vpit, ch, now);
}

static void write_counter(struct vpit *vpit, struct vpit_channel *ch, uint8_t value)
{
    uint64_t now = now_ticks(vpit);

    settle(ch, now);
    if (ch->access == RW_BOTH && !ch->write_high) {
        ch->write_low = value;
        ch->write_high = true;
        if (ch->mode == 0)
            ch->counting = false; /* the first byte of two stops mode 0 */
    } else if (ch->access == RW_BOTH) {
        ch->write_high = false;
        load(ch, (uint16_t)(value << 8 | ch->write_low), now);
    } else {
        load(ch, (uint16_t)(ch->access == RW_HIGH ? value << 8 : value), now);
    }
    changed(vpit, ch, now);
}

/* The half of a count that is due to be read. */
static uint8_t next_half(struct vpit_channel *ch, uint16_t count)
{
    bool high = ch->access == RW_BOTH ? ch->read_high : ch->access == RW_HIGH;

    if (ch->access == RW_BOTH)
        ch->read_high = !ch->read_high;
    return (uint8_t)(high ? count >> 8 : count);
}

static uint8_t read_counter(struct vpit *vpit, struct vpit_channel *ch)
{
    if (ch->status_latched) {
        ch->status_latched = false;
        return ch->status;
    }
    if (ch->latched) {
        ch->latched--;
        return next_half(ch, ch->latch);
    }

    uint64_t now = now_ticks(vpit);
    settle(ch, now);
    return next_half(ch, counter(ch, now));
}

static uint32_t counters_read(void *dev, uint16_t offset, uint8_t size)
{
    struct vpit *vpit = dev;

    if (size != 1 || offset >= VPIT_CHANNELS)
        return ~0u;
    return read_counter(vpit, &vpit->channel[offset]);
}

static void counters_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vpit *vpit = dev;

    if (size != 1)
        return;
    if (offset == REG_CONTROL)
        write_control(vpit, (uint8_t)value);
    else if (offset < VPIT_CHANNELS)
        write_counter(vpit, &vpit->channel[offset], (uint8_t)value);
}

static uint32_t port_b_read(void *dev, uint16_t offset, uint8_t size)
{
    struct vpit *vpit = dev;

    if (size != 1 || offset != 0)
        return ~0u;

    uint64_t now = now_ticks(vpit);
    settle(&vpit->channel[2], now);
    return vpit->port_b | (now / REFRESH_TICKS % 2 ? PORT_B_REFRESH : 0u) |
           (output(&vpit->channel[2], now) ? PORT_B_OUTPUT : 0u);
}

static void port_b_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vpit *vpit = dev;

    if (size != 1 || offset != 0)
        return;
    vpit->port_b = value & PORT_B_WRITABLE;
    set_gate(&vpit->channel[2], value & PORT_B_GATE, now_ticks(vpit));
}

void vpit_init(struct vpit *vpit, const struct irq_line *irq, const struct vclock *clock,
               const struct vtimer *timer)
{
    *vpit = (struct vpit){
        .deadline_ns = VTIMER_OFF,
        .irq = *irq,
        .clock = *clock,
        .timer = *timer,
    };
    for (unsigned int i = 0; i < VPIT_CHANNELS; i++)
        vpit->channel[i] =
            (struct vpit_channel){.access = RW_BOTH, .null_count = true, .gate = i != 2};
}

void vpit_ports(struct vpit *vpit, struct pio_range ranges[VPIT_PORT_RANGES])
{
    ranges[0] = (struct pio_range){.base = PORT_COUNTERS,
                                   .count = 4,
                                   .dev = vpit,
                                   .read = counters_read,
                                   .write = counters_write};
    ranges[1] = (struct pio_range){
        .base = PORT_B, .count = 1, .dev = vpit, .read = port_b_read, .write = port_b_write};
}
