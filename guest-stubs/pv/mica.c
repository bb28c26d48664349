/* SPDX-License-Identifier: MIT */
/* Mica's own leaves and calls. */
#include "guest-stubs/lib/page.h"
#include "guest-stubs/pv/pv.h"

static char text[2 * PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

static void check_leaves(void)
{
    struct cpuid leaf = cpuid(MICA_CPUID_SIGNATURE, 0);

    check(leaf.ebx == MICA_SIGNATURE && leaf.ecx == MICA_SIGNATURE && leaf.edx == MICA_SIGNATURE &&
              leaf.eax == MICA_CPUID_CALLS,
          "CPUID has Mica's signature");
    leaf = cpuid(MICA_CPUID_CALLS, 0);
    check(leaf.eax == MICA_ABI_VERSION && leaf.ebx == MICA_CALL_FIRST &&
              leaf.ecx >= MICA_CALL_COUNT && (leaf.edx >> MICA_CALL_COUNT) == 0 &&
              leaf.edx == BIT(MICA_CALL_COUNT) - 1,
          "and says which calls there are");
    check(mica_call(amd, MICA_CALL_VERSION, 0, 0) == leaf.eax &&
              mica_call(amd, MICA_CALL_FEATURES, 0, 0) == leaf.edx,
          "as the calls do");
}

/* All of it, however little is taken at a time. */
static bool write_all(const char *from, uint64_t size)
{
    while (size) {
        int64_t taken = mica_call(amd, MICA_CALL_CONSOLE_WRITE, (uint64_t)from, size);

        if (taken < 0 || (uint64_t)taken > size || taken > (int64_t)MICA_CONSOLE_MAX)
            return false;
        from += taken;
        size -= (uint64_t)taken;
    }
    return true;
}

static void check_console(void)
{
    static const char line[] = "# written by a call, across the end of a page\n";
    char *at = text + PAGE_SIZE - 10;

    memcpy(at, line, sizeof(line));
    check(write_all(at, sizeof(line) - 1), "the console takes text");
    check_equal((uint64_t)mica_call(amd, MICA_CALL_CONSOLE_WRITE, 0, 0), 0, "or none");
}

static void check_addresses(void)
{
    const uint64_t end = START_MAGIC == START_FLAT ? (uint64_t)START_RAM_KIB << 10 : 0;
    const uint64_t bad[][2] = {{end, 1},       {end - 4, 5},   {LAPIC_BASE, 4}, {~0ull, 1},
                               {~0ull - 3, 8}, {BIT(63), 256}, {end, ~0ull}};

    for (unsigned int i = 0; end && i < sizeof(bad) / sizeof(bad[0]); i++)
        check_equal((uint64_t)mica_call(amd, MICA_CALL_CONSOLE_WRITE, bad[i][0], bad[i][1]),
                    (uint64_t)-MICA_EFAULT, "%lu bytes at 0x%lx are refused", bad[i][1], bad[i][0]);
}

static volatile int64_t ids[MAX_CPUS];

static void ask_id(void)
{
    ids[this_cpu()] = mica_call(amd, MICA_CALL_ID, 0, 0);
}

static void check_ids(void)
{
    unsigned int right = 0;

    check(run_everywhere(ask_id), "each CPU asks who it is");
    for (unsigned int cpu = 0; cpu < cpu_count; cpu++)
        right += ids[cpu] == (ids[0] | cpu);
    check(right == cpu_count && (ids[0] & 0xffff) == 0,
          "and is told its guest's number and its own");
}

void pv_mica(void)
{
    check_leaves();
    check_console();
    check_addresses();
    check_ids();
    check_equal((uint64_t)mica_call(amd, MICA_CALL_MARK, 0x6d61726b, 42), 0, "a mark is made");
    check_equal((uint64_t)mica_call(amd, MICA_CALL_YIELD, 0, 0), 0, "it yields");
    check_equal((uint64_t)mica_call(amd, MICA_CALL_SHUTDOWN, BIT(32), 0), (uint64_t)-MICA_EINVAL,
                "a code of more than 32 bits does not end it");
}
