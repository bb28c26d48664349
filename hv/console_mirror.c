/* SPDX-License-Identifier: MIT */
/*
 * The console on the framebuffer: takes what the serial line has, keeps a screen of it, draws.  All
 * of that is the boot CPU's, which does a little at a time, so that a guest that is due there waits
 * for no more than that; no lock is held meanwhile that a guest could want.
 */
#include "hv/console_mirror.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
#include "boot/boot_info.h"
#include "drivers/framebuffer.h"
#include "hv/console.h"
#include "hv/log.h"
#include "hv/loop.h"
#include "hv/util.h"

#define PIECE_NS    500000ull
#define PIECE_BYTES 32u /* more than the serial line has in that time */
#define PIECE_CELLS 12u
#define WAIT_ROUNDS 1000000u

static struct {
    uint8_t busy; /* whoever draws before there is a main loop, and at the end */
    struct text_screen screen;
    struct framebuffer fb;
    struct timer timer;
} mirror;

/* Returns whether there may be more. */
static bool take(void)
{
    uint8_t bytes[PIECE_BYTES];
    uint32_t count = console_mirror_take(bytes, sizeof(bytes));

    for (uint32_t i = 0; i < count; i++)
        text_screen_put(&mirror.screen, bytes[i]);
    return count != 0;
}

static void piece_due(struct timer *timer)
{
    bool more = take();

    more |= framebuffer_draw(&mirror.fb, &mirror.screen, PIECE_CELLS);
    if (more)
        loop_timer_arm(timer, rdtsc() + ns_to_tsc(PIECE_NS));
}

/* Everything at once.  Who is busy may have been stopped by a panic. */
static void show_now(void)
{
    for (unsigned int i = 0;
         i < WAIT_ROUNDS && __atomic_exchange_n(&mirror.busy, 1, __ATOMIC_ACQUIRE); i++)
        cpu_relax();
    while (take())
        ;
    framebuffer_draw(&mirror.fb, &mirror.screen, UINT32_MAX);
    __atomic_store_n(&mirror.busy, 0, __ATOMIC_RELEASE);
}

static void wake(bool now)
{
    if (now)
        show_now();
    else
        loop_timer_arm(&mirror.timer, rdtsc() + ns_to_tsc(PIECE_NS));
}

static bool is_addressable(uint64_t base, uint64_t size)
{
    uint64_t end = 1ull << host_cpuid.physical_bits;

    return base < end && size <= end - base;
}

void console_mirror_init(const struct boot_info *info)
{
    const struct boot_framebuffer *given = &info->framebuffer;
    const struct framebuffer_mode mode = {.size = given->size,
                                          .width = given->width,
                                          .height = given->height,
                                          .stride = given->stride,
                                          .has_32_bits = given->format <= 1};
    const char *why_not = given->base ? framebuffer_check(&mode) : "firmware has none";

    if (!why_not && !is_addressable(given->base, mode.size))
        why_not = "it lies outside of the address space";
    if (why_not) {
        log_info("framebuffer: not used: %s", why_not);
        return;
    }
    timer_init(&mirror.timer, piece_due);
    framebuffer_init(&mirror.fb, &mode,
                     paging_map_framebuffer(HPA(given->base), framebuffer_bytes(&mode)),
                     &mirror.screen);
    log_info("framebuffer: %u x %u pixels, %u x %u characters", given->width, given->height,
             mirror.screen.columns, mirror.screen.rows);
    console_set_mirror(wake);
}
