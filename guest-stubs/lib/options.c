/* SPDX-License-Identifier: MIT */
/* Where the command line lies, by each boot protocol; numbers from it; and the speed of the TSC as
 * KVM's clock gives it. */
#include "guest-stubs/lib/options.h"

#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"

#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01

#define MULTIBOOT_BOOT_MAGIC 0x2badb002u
#define PVH_MAGIC            0x336ec578u

static const char no_cmdline[1];

void options_find(void)
{
    const uint32_t *info = (const uint32_t *)(uint64_t)start_values[1];
    uint32_t cmdline = 0;

    if (START_MAGIC == START_FLAT)
        return;
    if (START_MAGIC == MULTIBOOT_BOOT_MAGIC)
        cmdline = info[0] & 4 ? info[4] : 0;
    else if (info[0] == PVH_MAGIC)
        cmdline = info[6];
    START_CMDLINE = cmdline ? cmdline : (uint32_t)(uint64_t)no_cmdline;
}

static const char *after(const char *text, const char *name)
{
    while (*name && *text == *name) {
        text++;
        name++;
    }
    return *name || *text != '=' ? 0 : text + 1;
}

uint64_t option(const char *name, uint64_t otherwise)
{
    const char *text = (const char *)(uint64_t)START_CMDLINE;
    const char *digits = after(text, name);
    uint64_t value = 0;

    for (; *text && !digits; text++)
        if (*text == ' ')
            digits = after(text + 1, name);
    if (!digits)
        return otherwise;
    for (; *digits >= '0' && *digits <= '9'; digits++)
        value = value * 10 + (uint64_t)(*digits - '0');
    return value;
}

/* The nanoseconds of a tick are mul / 2^32 * 2^shift. */
uint64_t kvm_tsc_per_ms(void)
{
    static volatile struct {
        uint32_t version, reserved;
        uint64_t tsc_timestamp, system_time;
        uint32_t mul;
        int8_t shift;
        uint8_t flags, padding[2];
    } clock __attribute__((aligned(32)));
    uint64_t ticks;

    wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)&clock | 1);
    while (clock.version == 0 || clock.version % 2)
        __asm__ volatile("pause");
    ticks = (1000000ull << 32) / clock.mul;
    return clock.shift < 0 ? ticks << -clock.shift : ticks >> clock.shift;
}
