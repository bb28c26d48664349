/* SPDX-License-Identifier: MIT */
/*
 * CMOS RAM and clock (see vcmos.h).  Register C's flags are computed when somebody could notice: at
 * a read of C, at a change of A, B, the alarm or the date, and at an alarm of the timer, which is
 * armed only while an interrupt is enabled and none is pending.
 */
#include "hv/vdev/vcmos.h"

#include "hv/util.h"
#include "hv/vdev/vcmos_date.h"
#include "hv/vdev/vticks.h"

#define PORT_CMOS  0x70
#define PORT_INDEX 0
#define PORT_DATA  1

enum rtc_register {
    RTC_SECONDS = 0x00,
    RTC_SECONDS_ALARM = 0x01,
    RTC_MINUTES = 0x02,
    RTC_MINUTES_ALARM = 0x03,
    RTC_HOURS = 0x04,
    RTC_HOURS_ALARM = 0x05,
    RTC_WEEKDAY = 0x06,
    RTC_DAY = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_A = 0x0a,
    RTC_B = 0x0b,
    RTC_C = 0x0c,
    RTC_D = 0x0d,
    CMOS_EQUIPMENT = 0x14,
    CMOS_BASE_KIB = 0x15,
    CMOS_EXT_KIB = 0x17,
    CMOS_EXT_KIB_2 = 0x30,
    RTC_CENTURY = 0x32,
    CMOS_ABOVE_16M = 0x34,
    CMOS_ABOVE_4G = 0x5b,
};

#define A_UIP     0x80
#define A_RS      0x0f
#define A_DEFAULT 0x26 /* a 32,768 Hz crystal, 1,024 Hz periodic */

#define B_SET  0x80
#define B_PIE  0x40
#define B_AIE  0x20
#define B_UIE  0x10
#define B_DM   0x04 /* binary */
#define B_24H  0x02
#define B_IRQS (B_PIE | B_AIE | B_UIE)

#define C_IRQF 0x80
#define C_PF   0x40 /* PF, AF and UF stand where B has PIE, AIE and UIE */
#define C_AF   0x20
#define C_UF   0x10

#define D_VRT 0x80

#define HOUR_PM       0x80
#define ALARM_ANY     0xc0
#define EQUIPMENT_FPU 0x02
#define CRYSTAL_HZ    32768u
#define UIP_NS        244000u /* UIP rises this long before the update */
#define NEVER         UINT64_MAX

/* --- the registers' formats: BCD or binary, 24 or 12 hours --- */

static uint8_t encode(const struct vcmos *cmos, unsigned int value)
{
    return (uint8_t)(cmos->ram[RTC_B] & B_DM ? value : value / 10 << 4 | value % 10);
}

static uint8_t decode(const struct vcmos *cmos, uint8_t raw)
{
    return (uint8_t)(cmos->ram[RTC_B] & B_DM ? raw : (raw >> 4) * 10 + (raw & 0xf));
}

static uint8_t encode_hour(const struct vcmos *cmos, unsigned int hour)
{
    if (cmos->ram[RTC_B] & B_24H)
        return encode(cmos, hour);
    return (uint8_t)(encode(cmos, (hour + 11) % 12 + 1) | (hour >= 12 ? HOUR_PM : 0));
}

static uint8_t decode_hour(const struct vcmos *cmos, uint8_t raw)
{
    if (cmos->ram[RTC_B] & B_24H)
        return decode(cmos, raw);
    return (uint8_t)(decode(cmos, raw & 0x7f) % 12 + (raw & HOUR_PM ? 12 : 0));
}

static uint8_t clamp(uint8_t value, uint8_t low, uint8_t high)
{
    return MIN(MAX(value, low), high);
}

static bool is_date(uint8_t index)
{
    return index == RTC_SECONDS || index == RTC_MINUTES || index == RTC_HOURS ||
           (index >= RTC_WEEKDAY && index <= RTC_YEAR) || index == RTC_CENTURY;
}

static bool is_alarm(uint8_t index)
{
    return index == RTC_SECONDS_ALARM || index == RTC_MINUTES_ALARM || index == RTC_HOURS_ALARM;
}

static int64_t date_seconds(const struct vcmos *cmos, uint64_t now_ns)
{
    return cmos->base_s + (int64_t)(now_ns / VTICKS_NS_PER_S);
}

static void store_date(struct vcmos *cmos, uint64_t now_ns)
{
    struct date date = date_from_seconds(date_seconds(cmos, now_ns));
    unsigned int year = (unsigned int)(date_modulo(date.year, 10000));

    cmos->ram[RTC_SECONDS] = encode(cmos, date.second);
    cmos->ram[RTC_MINUTES] = encode(cmos, date.minute);
    cmos->ram[RTC_HOURS] = encode_hour(cmos, date.hour);
    cmos->ram[RTC_WEEKDAY] = encode(cmos, date.weekday);
    cmos->ram[RTC_DAY] = encode(cmos, date.day);
    cmos->ram[RTC_MONTH] = encode(cmos, date.month);
    cmos->ram[RTC_YEAR] = encode(cmos, year % 100);
    cmos->ram[RTC_CENTURY] = encode(cmos, year / 100);
}

/* Makes what the registers say the time; what no clock can show becomes the nearest that it can. */
static void take_date(struct vcmos *cmos, uint64_t now_ns)
{
    const uint8_t *ram = cmos->ram;
    struct date date = {
        .year = clamp(decode(cmos, ram[RTC_CENTURY]), 0, 99) * 100 +
                clamp(decode(cmos, ram[RTC_YEAR]), 0, 99),
        .month = clamp(decode(cmos, ram[RTC_MONTH]), 1, 12),
        .day = clamp(decode(cmos, ram[RTC_DAY]), 1, 31),
        .hour = clamp(decode_hour(cmos, ram[RTC_HOURS]), 0, 23),
        .minute = clamp(decode(cmos, ram[RTC_MINUTES]), 0, 59),
        .second = clamp(decode(cmos, ram[RTC_SECONDS]), 0, 59),
    };

    cmos->base_s = date_to_seconds(&date) - (int64_t)(now_ns / VTICKS_NS_PER_S);
}

/* --- when things happen --- */

static uint64_t periodic_ticks(const struct vcmos *cmos)
{
    unsigned int rs = cmos->ram[RTC_A] & A_RS;

    if (rs == 0)
        return 0;
    return 1ull << (rs <= 2 ? rs + 6 : rs - 1); /* 1 and 2 give 256 and 128 Hz, as 8 and 9 do */
}

static uint64_t next_periodic_ns(const struct vcmos *cmos, uint64_t after_ns)
{
    uint64_t period = periodic_ticks(cmos);

    if (period == 0)
        return NEVER;
    return vticks_to_ns((vticks_from_ns(after_ns, CRYSTAL_HZ) / period + 1) * period, CRYSTAL_HZ);
}

static uint64_t next_update_ns(const struct vcmos *cmos, uint64_t after_ns)
{
    if (cmos->ram[RTC_B] & B_SET)
        return NEVER;
    return (after_ns / VTICKS_NS_PER_S + 1) * VTICKS_NS_PER_S;
}

/* What the alarm waits for; -1 matches always. */
struct alarm {
    int hour, minute, second;
};

static struct alarm get_alarm(const struct vcmos *cmos)
{
    uint8_t hour = cmos->ram[RTC_HOURS_ALARM];
    uint8_t minute = cmos->ram[RTC_MINUTES_ALARM];
    uint8_t second = cmos->ram[RTC_SECONDS_ALARM];

    return (struct alarm){
        .hour = hour >= ALARM_ANY ? -1 : decode_hour(cmos, hour),
        .minute = minute >= ALARM_ANY ? -1 : decode(cmos, minute),
        .second = second >= ALARM_ANY ? -1 : decode(cmos, second),
    };
}

/*
 * Steps from second to second, but over the rest of an hour or a minute that does not match: fewer
 * than 300 steps reach any time of the day that there is.  The others are refused first.
 */
static uint64_t next_alarm_ns(const struct vcmos *cmos, uint64_t after_ns)
{
    struct alarm alarm = get_alarm(cmos);
    int64_t at = date_seconds(cmos, after_ns) + 1;
    int64_t end = at + DATE_DAY_S;

    if ((cmos->ram[RTC_B] & B_SET) || alarm.hour > 23 || alarm.minute > 59 || alarm.second > 59)
        return NEVER;
    while (at < end) {
        int64_t of_day = date_modulo(at, DATE_DAY_S);
        if (alarm.hour >= 0 && of_day / DATE_HOUR_S != alarm.hour)
            at += DATE_HOUR_S - of_day % DATE_HOUR_S;
        else if (alarm.minute >= 0 && of_day / 60 % 60 != alarm.minute)
            at += 60 - of_day % 60;
        else if (alarm.second >= 0 && of_day % 60 != alarm.second)
            at++;
        else
            return (uint64_t)(at - cmos->base_s) * VTICKS_NS_PER_S;
    }
    return NEVER;
}

/* --- interrupts --- */

static void set_line(struct vcmos *cmos, bool level)
{
    if (cmos->line == level)
        return;
    cmos->line = level;
    irq_line_set(&cmos->irq, level);
}

/* Sets the flags of what happened since the last look. */
static void account(struct vcmos *cmos, uint64_t now_ns)
{
    uint64_t seen_ns = cmos->seen_ns;

    if (now_ns <= seen_ns)
        return;
    if (next_periodic_ns(cmos, seen_ns) <= now_ns)
        cmos->ram[RTC_C] |= C_PF;
    if (next_update_ns(cmos, seen_ns) <= now_ns)
        cmos->ram[RTC_C] |= C_UF;
    if (!(cmos->ram[RTC_C] & C_AF) && next_alarm_ns(cmos, seen_ns) <= now_ns)
        cmos->ram[RTC_C] |= C_AF;
    cmos->seen_ns = now_ns;
}

static uint64_t next_interrupt_ns(const struct vcmos *cmos)
{
    uint8_t enabled = cmos->ram[RTC_B];
    uint64_t next = NEVER;

    if (enabled & B_PIE)
        next = next_periodic_ns(cmos, cmos->seen_ns);
    if (enabled & B_UIE)
        next = MIN(next, next_update_ns(cmos, cmos->seen_ns));
    if (enabled & B_AIE)
        next = MIN(next, next_alarm_ns(cmos, cmos->seen_ns));
    return next;
}

/* While an interrupt is pending no other can be noticed, so a guest that ignores it costs nothing.
 */
static void update_irq(struct vcmos *cmos)
{
    bool pending = cmos->ram[RTC_C] & cmos->ram[RTC_B] & B_IRQS;
    uint64_t deadline_ns = pending ? VTIMER_OFF : next_interrupt_ns(cmos);

    set_line(cmos, pending);
    if (deadline_ns == cmos->deadline_ns)
        return;
    cmos->deadline_ns = deadline_ns;
    vtimer_set(&cmos->timer, deadline_ns);
}

void vcmos_tick(struct vcmos *cmos, uint64_t now_ns)
{
    account(cmos, now_ns);
    cmos->deadline_ns = VTIMER_OFF; /* it has fired; an early call sets it again */
    update_irq(cmos);
}

/* --- the ports --- */

static uint8_t read_a(const struct vcmos *cmos, uint64_t now_ns)
{
    bool updating = now_ns % VTICKS_NS_PER_S >= VTICKS_NS_PER_S - UIP_NS;

    if (updating && !(cmos->ram[RTC_B] & B_SET))
        return cmos->ram[RTC_A] | A_UIP;
    return cmos->ram[RTC_A];
}

static uint8_t read_c(struct vcmos *cmos, uint64_t now_ns)
{
    account(cmos, now_ns);

    uint8_t flags = cmos->ram[RTC_C];
    if (flags & cmos->ram[RTC_B] & B_IRQS)
        flags |= C_IRQF;
    cmos->ram[RTC_C] = 0;
    update_irq(cmos);
    return flags;
}

static void write_b(struct vcmos *cmos, uint8_t value, uint64_t now_ns)
{
    bool was_set = cmos->ram[RTC_B] & B_SET;

    if (value & B_SET)
        value &= (uint8_t)~B_UIE;
    if ((value & B_SET) && !was_set)
        store_date(cmos, now_ns);
    cmos->ram[RTC_B] = value;
    if (was_set && !(value & B_SET))
        take_date(cmos, now_ns);
}

static void write_date(struct vcmos *cmos, uint8_t value, uint64_t now_ns)
{
    bool set = cmos->ram[RTC_B] & B_SET;

    if (!set)
        store_date(cmos, now_ns);
    cmos->ram[cmos->index] = value;
    if (!set)
        take_date(cmos, now_ns);
}

static uint8_t read_register(struct vcmos *cmos)
{
    uint8_t index = cmos->index;

    if (index == RTC_A)
        return read_a(cmos, vclock_now(&cmos->clock));
    if (index == RTC_C)
        return read_c(cmos, vclock_now(&cmos->clock));
    if (is_date(index) && !(cmos->ram[RTC_B] & B_SET))
        store_date(cmos, vclock_now(&cmos->clock));
    return cmos->ram[index];
}

static void write_clock(struct vcmos *cmos, uint8_t value)
{
    uint64_t now_ns = vclock_now(&cmos->clock);

    account(cmos, now_ns); /* by the rules that held so far */
    if (cmos->index == RTC_A)
        cmos->ram[RTC_A] = value & (uint8_t)~A_UIP;
    else if (cmos->index == RTC_B)
        write_b(cmos, value, now_ns);
    else if (is_alarm(cmos->index))
        cmos->ram[cmos->index] = value;
    else
        write_date(cmos, value, now_ns);
    update_irq(cmos);
}

static void write_register(struct vcmos *cmos, uint8_t value)
{
    uint8_t index = cmos->index;

    if (index == RTC_A || index == RTC_B || is_alarm(index) || is_date(index))
        write_clock(cmos, value);
    else if (index != RTC_C && index != RTC_D)
        cmos->ram[index] = value;
}

static uint32_t vcmos_read(void *dev, uint16_t offset, uint8_t size)
{
    if (size != 1 || offset != PORT_DATA)
        return ~0u;
    return read_register(dev);
}

static void vcmos_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vcmos *cmos = dev;

    if (size != 1)
        return;
    if (offset == PORT_INDEX)
        cmos->index = value % VCMOS_SIZE;
    else if (offset == PORT_DATA)
        write_register(cmos, (uint8_t)value);
}

/* --- set-up --- */

static void put16(struct vcmos *cmos, unsigned int index, uint64_t value)
{
    value = MIN(value, 0xffff);
    cmos->ram[index] = (uint8_t)value;
    cmos->ram[index + 1] = (uint8_t)(value >> 8);
}

static uint64_t units_above(uint64_t ram, uint64_t start, uint64_t unit)
{
    return ram > start ? (ram - start) / unit : 0;
}

/* The sizes where the PC's firmware has left them since the AT, and QEMU and Bochs since. */
static void store_memory_sizes(struct vcmos *cmos, const struct vcmos_config *config)
{
    uint64_t low = config->ram_below_4g;
    uint64_t above_4g = MIN(config->ram_above_4g >> 16, 0xffffff);

    put16(cmos, CMOS_BASE_KIB, MIN(low >> 10, 640));
    put16(cmos, CMOS_EXT_KIB, units_above(low, 1ull << 20, 1024));
    put16(cmos, CMOS_EXT_KIB_2, units_above(low, 1ull << 20, 1024));
    put16(cmos, CMOS_ABOVE_16M, units_above(low, 16ull << 20, 65536));
    put16(cmos, CMOS_ABOVE_4G, above_4g & 0xffff);
    cmos->ram[CMOS_ABOVE_4G + 2] = (uint8_t)(above_4g >> 16);
}

void vcmos_init(struct vcmos *cmos, const struct vcmos_config *config, const struct irq_line *irq,
                const struct vclock *clock, const struct vtimer *timer)
{
    *cmos = (struct vcmos){
        .base_s = (int64_t)config->unix_time,
        .deadline_ns = VTIMER_OFF,
        .irq = *irq,
        .clock = *clock,
        .timer = *timer,
    };
    cmos->ram[RTC_A] = A_DEFAULT;
    cmos->ram[RTC_B] = B_24H;
    cmos->ram[RTC_D] = D_VRT;
    cmos->ram[CMOS_EQUIPMENT] = EQUIPMENT_FPU;
    cmos->seen_ns = vclock_now(clock);
    store_memory_sizes(cmos, config);
}

struct pio_range vcmos_ports(struct vcmos *cmos)
{
    return (struct pio_range){
        .base = PORT_CMOS, .count = 2, .dev = cmos, .read = vcmos_read, .write = vcmos_write};
}
