/* SPDX-License-Identifier: MIT */
/* The physical clock's registers in all their formats, against libc's calendar. */
#include "drivers/rtc.h"

#include "check.h"

#include <stdlib.h>
#include <time.h>

static uint8_t encode(int value, bool binary)
{
    return (uint8_t)(binary ? value : value / 10 * 16 + value % 10);
}

static struct rtc_registers registers(const struct tm *tm, bool binary, bool h24, bool century)
{
    int hour12 = tm->tm_hour % 12 ? tm->tm_hour % 12 : 12;

    return (struct rtc_registers){
        .second = encode(tm->tm_sec, binary),
        .minute = encode(tm->tm_min, binary),
        .hour = h24 ? encode(tm->tm_hour, binary)
                    : (uint8_t)(encode(hour12, binary) | (tm->tm_hour >= 12 ? 0x80 : 0)),
        .day = encode(tm->tm_mday, binary),
        .month = encode(tm->tm_mon + 1, binary),
        .year = encode(tm->tm_year % 100, binary),
        .century = century ? encode(tm->tm_year / 100 + 19, binary) : 0,
        .status_b = (uint8_t)((h24 ? 2 : 0) | (binary ? 4 : 0)),
    };
}

static bool agrees(time_t t, bool century)
{
    struct tm tm = *gmtime(&t);
    bool ok = true;

    for (int form = 0; form < 4; form++) {
        struct rtc_registers r = registers(&tm, form & 1, form & 2, century);
        ok = ok && rtc_to_unix(&r) == (uint64_t)t;
    }
    return ok;
}

int main(void)
{
    bool ok = true, without = true;

    srand(1);
    for (int i = 0; i < 20000; i++) {
        ok = ok && agrees((time_t)((unsigned long)rand() * 7 % 253402300800ul), true);
        without = without && agrees((time_t)(rand() % 2147483647u), false);
    }
    CHECK(ok, "20000 dates up to the year 9999, BCD and binary, 12 and 24 hours");
    CHECK(without, "without a century register 70 to 99 are of the last one");
    CHECK(agrees(951782400, true) && agrees(4107542400, true), "29 February 2000, 1 March 2100");
    struct rtc_registers damaged = {.second = 0xff,
                                    .minute = 0xff,
                                    .hour = 0xff,
                                    .day = 0xff,
                                    .month = 0xff,
                                    .year = 0xff,
                                    .century = 0xff,
                                    .status_b = 0xff};
    CHECK(rtc_to_unix(&damaged) == 0, "a chip that is not there has no time");
    return check_done();
}
