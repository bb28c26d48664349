/* SPDX-License-Identifier: MIT */
/*
 * The calendar by eras of 400 years, which repeat.  Years begin in March inside, so that the leap
 * day is a year's last and the lengths of the months before it follow one formula.
 */
#include "hv/vdev/vcmos_date.h"

#define DAYS_AN_ERA  146097
#define DAYS_TO_1970 719468 /* from 1 March of year 0 */

static int64_t floor_div(int64_t a, int64_t b)
{
    return (a - date_modulo(a, b)) / b;
}

static int64_t days_from_date(int64_t year, unsigned int month, unsigned int day)
{
    year -= month <= 2;
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = date_modulo(year, 400);
    int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

    return era * DAYS_AN_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
           day_of_year - DAYS_TO_1970;
}

static void date_from_days(int64_t days, struct date *date)
{
    days += DAYS_TO_1970;
    int64_t era = floor_div(days, DAYS_AN_ERA);
    int64_t day_of_era = date_modulo(days, DAYS_AN_ERA);
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* from March */

    date->day = (uint8_t)(day_of_year - (153 * month + 2) / 5 + 1);
    date->month = (uint8_t)(month < 10 ? month + 3 : month - 9);
    date->year = year_of_era + era * 400 + (date->month <= 2);
}

struct date date_from_seconds(int64_t seconds)
{
    int64_t days = floor_div(seconds, DATE_DAY_S);
    int64_t rest = date_modulo(seconds, DATE_DAY_S);
    struct date date = {
        .hour = (uint8_t)(rest / DATE_HOUR_S),
        .minute = (uint8_t)(rest / 60 % 60),
        .second = (uint8_t)(rest % 60),
        .weekday = (uint8_t)(date_modulo(days + 4, 7) + 1), /* 1970 began on a Thursday */
    };

    date_from_days(days, &date);
    return date;
}

int64_t date_to_seconds(const struct date *date)
{
    return days_from_date(date->year, date->month, date->day) * DATE_DAY_S +
           date->hour * DATE_HOUR_S + date->minute * 60 + date->second;
}
