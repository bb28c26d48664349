/* SPDX-License-Identifier: MIT */
/* The machine's real-time clock in the CMOS RAM. */
#pragma once

#include <stdint.h>

/* The registers as they were read, in the chip's own format. */
struct rtc_registers {
    uint8_t second, minute, hour, day, month, year;
    uint8_t century;  /* 0: the chip has none */
    uint8_t status_b; /* says BCD or binary, 12 or 24 hours */
};

/* Seconds since 1970-01-01 00:00:00, or 0 when the date makes no sense.  Pure. */
uint64_t rtc_to_unix(const struct rtc_registers *registers);

/* Index of the century in the CMOS RAM (from the FADT), 0: none.  Before the first rtc_now(). */
void rtc_init(uint8_t century);

/* The present time, read from the chip: a matter of microseconds, of up to 2 ms at worst. */
uint64_t rtc_now(void);
