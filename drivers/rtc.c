/* SPDX-License-Identifier: MIT */
/* Reading the real-time clock; it is taken to run in UTC. */
#include "drivers/rtc.h"

#include "arch/x86/regs.h"
#include "hv/string.h"

#include <stdbool.h>

#define CMOS_INDEX 0x70u
#define CMOS_DATA  0x71u

#define CMOS_SECOND   0x00u
#define CMOS_MINUTE   0x02u
#define CMOS_HOUR     0x04u
#define CMOS_DAY      0x07u
#define CMOS_MONTH    0x08u
#define CMOS_YEAR     0x09u
#define CMOS_STATUS_A 0x0au
#define CMOS_STATUS_B 0x0bu

#define STATUS_A_UPDATING 0x80u
#define STATUS_B_24H      0x02u
#define STATUS_B_BINARY   0x04u
#define HOUR_PM           0x80u
#define UPDATE_POLLS      20000u /* an update takes less than 2 ms */
#define READ_ATTEMPTS     4u

static uint8_t century_index;

void rtc_init(uint8_t century)
{
    century_index = century;
}

static unsigned int decode(uint8_t value, bool binary)
{
    return binary ? value : (value & 15u) + 10u * (value >> 4);
}

static unsigned int decode_hour(uint8_t value, uint8_t status_b)
{
    unsigned int hour = decode(value & 0x7f, status_b & STATUS_B_BINARY);

    if (status_b & STATUS_B_24H)
        return decode(value, status_b & STATUS_B_BINARY);
    return hour % 12 + (value & HOUR_PM ? 12 : 0);
}

/* Days from 1970-01-01; the year is counted from March, so that the leap day is its last. */
static uint64_t days_since_1970(unsigned int year, unsigned int month, unsigned int day)
{
    unsigned int y = month <= 2 ? year - 1 : year;
    unsigned int m = month <= 2 ? month + 9 : month - 3;

    return 365ull * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

uint64_t rtc_to_unix(const struct rtc_registers *r)
{
    bool binary = r->status_b & STATUS_B_BINARY;
    unsigned int year = decode(r->year, binary), century = decode(r->century, binary);
    unsigned int month = decode(r->month, binary), day = decode(r->day, binary);
    unsigned int hour = decode_hour(r->hour, r->status_b);
    unsigned int minute = decode(r->minute, binary), second = decode(r->second, binary);

    if (century < 19 || century > 99)
        century = year < 70 ? 20 : 19;
    year += 100 * century;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
        second > 60)
        return 0;
    return ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
}

static uint8_t read(uint8_t index)
{
    outb(CMOS_INDEX, index);
    return inb(CMOS_DATA);
}

static struct rtc_registers read_all(void)
{
    for (unsigned int i = 0; i < UPDATE_POLLS && (read(CMOS_STATUS_A) & STATUS_A_UPDATING); i++)
        cpu_relax();
    return (struct rtc_registers){
        .second = read(CMOS_SECOND),
        .minute = read(CMOS_MINUTE),
        .hour = read(CMOS_HOUR),
        .day = read(CMOS_DAY),
        .month = read(CMOS_MONTH),
        .year = read(CMOS_YEAR),
        .century = century_index ? read(century_index) : 0,
        .status_b = read(CMOS_STATUS_B),
    };
}

/* Two readings that agree have no update between them. */
uint64_t rtc_now(void)
{
    struct rtc_registers last = read_all();

    for (unsigned int i = 0; i < READ_ATTEMPTS; i++) {
        struct rtc_registers again = read_all();
        if (memcmp(&last, &again, sizeof(last)) == 0)
            break;
        last = again;
    }
    return rtc_to_unix(&last);
}
