/* SPDX-License-Identifier: MIT */
/* The TSC's frequency, measured by polling a counter whose frequency is known. */
#include "arch/x86/tsc.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/lapic.h"
#include "hv/util.h"

#define PIT_HZ      1193182u
#define PM_TIMER_HZ 3579545u

#define PIT_CHANNEL_2  0x42
#define PIT_COMMAND    0x43
#define PIT_MODE_0_CH2 0xb0 /* low then high byte, binary */
#define PIT_LATCH_CH2  0x80
#define PORT_B         0x61
#define PORT_B_GATE2   BIT(0)
#define PORT_B_SPEAKER BIT(1)

#define WINDOWS   3u   /* each measures once; the two that agree best count */
#define WINDOW_HZ 500u /* the inverse of a window's length: 2 ms */
#define TICKS     8u   /* readings at a tick for a sample, of which the quickest counts */

/* A counter that counts up modulo mask + 1. */
struct reference {
    const char *name;
    uint32_t (*read)(uint16_t port);
    uint16_t port;
    uint32_t hz, mask;
};

struct sample {
    uint64_t tsc;
    uint32_t count; /* of the reference */
    uint32_t lapic; /* of the local APIC's timer, which counts down */
};

struct window {
    uint64_t ticks, count, lapic;
};

struct tsc_info tsc_info;

static uint32_t read_pit(uint16_t port)
{
    outb(PIT_COMMAND, PIT_LATCH_CH2);
    uint32_t low = inb(port);
    uint32_t high = inb(port);

    return ~(high << 8 | low) & 0xffff; /* it counts down */
}

static uint32_t read_pm_timer(uint16_t port)
{
    return inl(port) & 0xffffff;
}

static void start_pit(void)
{
    uint8_t port_b = inb(PORT_B);

    outb(PORT_B, (uint8_t)((port_b & ~PORT_B_SPEAKER) | PORT_B_GATE2));
    outb(PIT_COMMAND, PIT_MODE_0_CH2);
    outb(PIT_CHANNEL_2, 0xff);
    outb(PIT_CHANNEL_2, 0xff);
}

/* Whether it counts at all: chipsets can switch the PIT's clock off. */
static bool is_alive(const struct reference *ref)
{
    uint32_t first = ref->read(ref->port);
    uint64_t start = rdtsc();

    while (rdtsc() - start < 1000000)
        if (ref->read(ref->port) != first)
            return true;
    return false;
}

/*
 * A reading that differs from the one before was taken at a tick of the reference, as closely as it
 * can be read.  One that took long (an SMI, a busy emulator) says little of when it was.
 */
static struct sample take_sample(const struct reference *ref)
{
    struct sample best = {0};
    uint64_t best_time = UINT64_MAX;
    uint32_t last = ref->read(ref->port);

    for (unsigned int ticks = 0; ticks < TICKS;) {
        uint64_t before = rdtsc_ordered();
        uint32_t count = ref->read(ref->port);
        uint64_t after = rdtsc_ordered();

        ticks += count != last;
        if (count != last && after - before < best_time) {
            best_time = after - before;
            best = (struct sample){before + best_time / 2, count, lapic_timer_count()};
        }
        last = count;
    }
    return best;
}

static void wait_window(const struct reference *ref, uint32_t start)
{
    while (((ref->read(ref->port) - start) & ref->mask) < ref->hz / WINDOW_HZ)
        cpu_relax();
}

static uint64_t window_hz(const struct window *w, uint32_t hz)
{
    return w->ticks * hz / w->count;
}

static uint64_t difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* The sum of the two windows whose frequencies are closest. */
static struct window best_pair(const struct window windows[WINDOWS], uint32_t hz)
{
    uint64_t least = UINT64_MAX;
    struct window best = {0};

    for (unsigned int i = 0; i < WINDOWS; i++) {
        for (unsigned int j = i + 1; j < WINDOWS; j++) {
            const struct window *a = &windows[i], *b = &windows[j];
            uint64_t distance = difference(window_hz(a, hz), window_hz(b, hz));

            if (distance < least) {
                least = distance;
                best =
                    (struct window){a->ticks + b->ticks, a->count + b->count, a->lapic + b->lapic};
            }
        }
    }
    return best;
}

static struct window measure(const struct reference *ref)
{
    struct window windows[WINDOWS];

    lapic_timer_measure_start();
    struct sample from = take_sample(ref);
    for (unsigned int i = 0; i < WINDOWS; i++) {
        wait_window(ref, from.count);
        struct sample to = take_sample(ref);
        windows[i] = (struct window){to.tsc - from.tsc, (to.count - from.count) & ref->mask,
                                     from.lapic - to.lapic};
        from = to;
    }
    lapic_timer_measure_stop();
    return best_pair(windows, ref->hz);
}

/* What CPUID claims. Emulators and hypervisors pass the real part's values on, whatever their TSC
 * does. */
static uint64_t cpuid_claim(void)
{
    if (host_cpuid.max_leaf >= 0x15) {
        struct cpuid_regs r = cpuid(0x15, 0);
        if (r.eax && r.ebx && r.ecx)
            return (uint64_t)r.ecx * r.ebx / r.eax;
    }
    if (host_cpuid.max_leaf >= 0x16)
        return (cpuid(0x16, 0).eax & 0xffff) * 1000000ull;
    return 0;
}

uint64_t fixed_ratio(uint64_t numerator, uint64_t denominator)
{
    uint64_t quotient = numerator / denominator;
    uint64_t rest = numerator % denominator;

    for (unsigned int i = 0; i < 32; i++) {
        quotient <<= 1;
        rest <<= 1;
        if (rest >= denominator) {
            rest -= denominator;
            quotient |= 1;
        }
    }
    return quotient;
}

static void use_measurement(const struct window *w, const struct reference *ref)
{
    uint64_t hz = window_hz(w, ref->hz);
    uint64_t claim = cpuid_claim();

    tsc_info.hz = hz;
    tsc_info.cpuid_hz = claim;
    tsc_info.cpuid_agrees = claim && difference(claim, hz) <= hz / 100;
    tsc_info.ns_per_tick = fixed_ratio(1000000000, hz);
    tsc_info.ticks_per_ns = fixed_ratio(hz, 1000000000);
    tsc_info.lapic_per_tsc = fixed_ratio(w->lapic, w->ticks);
    tsc_info.lapic_hz = fixed_multiply(hz, tsc_info.lapic_per_tsc);
    tsc_info.source = ref->name;
    tsc_info.invariant = cpu_has(FEATURE_INVARIANT_TSC);
}

bool tsc_calibrate(uint16_t pm_timer_port)
{
    const struct reference references[] = {
        {"ACPI PM timer", read_pm_timer, pm_timer_port, PM_TIMER_HZ, 0xffffff},
        {"PIT", read_pit, PIT_CHANNEL_2, PIT_HZ, 0xffff},
    };

    tsc_info.boot = rdtsc();
    start_pit();
    for (size_t i = 0; i < ARRAY_SIZE(references); i++) {
        const struct reference *ref = &references[i];
        if (!ref->port || !is_alive(ref))
            continue;
        struct window w = measure(ref);
        use_measurement(&w, ref);
        return true;
    }
    return false;
}

void delay_us(uint64_t us)
{
    uint64_t start = rdtsc(), ticks = ns_to_tsc(us * 1000);

    while (rdtsc() - start < ticks)
        cpu_relax();
}
