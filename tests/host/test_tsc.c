/* SPDX-License-Identifier: MIT */
/* The conversions between ticks and nanoseconds, over frequencies and years of uptime. */
#include "tests/host/check.h"

#include "arch/x86/tsc.h"
#include "hv/util.h"

#include <stdlib.h>

struct tsc_info tsc_info;

static const uint64_t frequencies[] = {50000000,   999999999,  1000000000, 1000000001,
                                       2099998765, 2894561234, 3700000001, 5123456789};

static void use(uint64_t hz)
{
    tsc_info.ns_per_tick = (uint64_t)(((unsigned __int128)1000000000 << 32) / hz);
    tsc_info.ticks_per_ns = (uint64_t)(((unsigned __int128)hz << 32) / 1000000000);
}

int main(void)
{
    bool never_early = true, soon = true;

    srand(1);
    for (unsigned int i = 0; i < ARRAY_SIZE(frequencies); i++) {
        use(frequencies[i]);
        for (unsigned int n = 0; n < 100000; n++) {
            uint64_t ns = (((uint64_t)rand() << 31) ^ (uint64_t)rand()) >> (6 + rand() % 56);
            uint64_t ticks = ns_to_tsc_after(ns);

            never_early &= tsc_to_ns(ticks) >= ns;
            soon &= ticks < 40 || tsc_to_ns(ticks - 40) < ns + 2 || frequencies[i] < 1000000000;
        }
    }
    CHECK(never_early, "a time has come at the ticks reckoned for it, over two years of uptime");
    CHECK(soon, "and has not come long before");
    return check_done();
}
