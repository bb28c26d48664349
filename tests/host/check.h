/* SPDX-License-Identifier: MIT */
/* Checks for host tests, reported as TAP: "ok 3 - what was expected", then the plan "1..n". */
#pragma once

#include <stdio.h>
#include <stdbool.h>

static int check_count, check_failures;

static inline bool check_report(bool ok, const char *file, int line, const char *what)
{
    check_count++;
    if (!ok) {
        check_failures++;
        printf("not ok %d - %s\n# at %s:%d\n", check_count, what, file, line);
    } else {
        printf("ok %d - %s\n", check_count, what);
    }
    fflush(stdout);
    return ok;
}

#define CHECK(condition, what) check_report((condition), __FILE__, __LINE__, (what))

static inline int check_done(void)
{
    printf("1..%d\n", check_count);
    return check_failures != 0;
}
