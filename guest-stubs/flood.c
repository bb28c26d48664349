/* SPDX-License-Identifier: MIT */
/*
 * Flood: writes lines as fast as its console takes them, for a time of ms=, and says how many they
 * were.
 */
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/stub.h"

void stub_main(void)
{
    const uint64_t end = rdtsc() + option("ms", 1000) * kvm_tsc_per_ms();
    uint64_t lines = 0;

    while (rdtsc() < end)
        print("# line %lu of a guest that never stops writing\n", lines++);
    check(lines > 0, "it wrote %lu lines", lines);
}
