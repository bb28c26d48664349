/* SPDX-License-Identifier: MIT */
/* The Gregorian calendar for the real-time clock: seconds since 1970, UTC, to a date and back. */
#pragma once

#include <stdint.h>

#define DATE_DAY_S  86400
#define DATE_HOUR_S 3600

struct date {
    int64_t year;
    uint8_t month, day; /* from 1 */
    uint8_t hour, minute, second;
    uint8_t weekday; /* 1 is Sunday */
};

struct date date_from_seconds(int64_t seconds);
/* A day past the month's end counts on into the next month. */
int64_t date_to_seconds(const struct date *date);

/* What remains when `a` is divided downwards: never negative. */
static inline int64_t date_modulo(int64_t a, int64_t b)
{
    return (a % b + b) % b;
}
