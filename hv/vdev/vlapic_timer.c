/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer: one-shot, periodic and TSC-deadline.  All state is the time of the next
 * expiry; the count is computed when it is read.  A masked timer runs on without an alarm, since
 * nobody can hear it, so that an idle guest costs nothing.
 *
 * The reserved timer mode (11b) acts as one-shot.
 */
#include "hv/vdev/vlapic_internal.h"

#include "hv/util.h"
#include "hv/vdev/apic_regs.h"

#include <stddef.h>

static uint32_t lvt(const struct vlapic *vlapic)
{
    return vlapic->lvt[0];
}

static bool is_periodic(uint32_t entry)
{
    return (entry & APIC_LVT_TIMER_MODE) == APIC_LVT_PERIODIC;
}

static bool is_deadline(uint32_t entry)
{
    return (entry & APIC_LVT_TIMER_MODE) == APIC_LVT_TSC_DEADLINE;
}

/* log2 of the divisor: 000b is 2, 110b is 128, 111b is 1. */
static unsigned int divide_shift(const struct vlapic *vlapic)
{
    uint32_t config = vlapic->divide_config;

    return ((config & 3) + (config >> 1 & 4) + 1) & 7;
}

static uint64_t period_ns(const struct vlapic *vlapic)
{
    return (uint64_t)vlapic->initial_count << divide_shift(vlapic);
}

/* Let the timer expire if it is due.  Of periods that were missed one interrupt remains. */
static bool expire(struct vlapic *vlapic, uint64_t now_ns)
{
    if (now_ns < vlapic->deadline_ns || vlapic->deadline_ns == VTIMER_OFF)
        return false;
    if (is_periodic(lvt(vlapic))) {
        uint64_t period = period_ns(vlapic);

        vlapic->deadline_ns += ((now_ns - vlapic->deadline_ns) / period + 1) * period;
    } else {
        vlapic->deadline_ns = VTIMER_OFF;
        vlapic->tsc_deadline = 0;
    }
    if (lvt(vlapic) & APIC_LVT_MASKED)
        return false;
    return vlapic_post(vlapic, (uint8_t)lvt(vlapic), false);
}

/* Last in every function that moves the expiry: the owner may call back. */
static void set_alarm(struct vlapic *vlapic, uint64_t not_before_ns)
{
    uint64_t alarm_ns = MAX(vlapic->deadline_ns, not_before_ns);

    if (lvt(vlapic) & APIC_LVT_MASKED)
        alarm_ns = VTIMER_OFF;
    if (alarm_ns == vlapic->alarm_ns)
        return;
    vlapic->alarm_ns = alarm_ns;
    vtimer_set(&vlapic->ops.timer, alarm_ns);
}

static void disarm(struct vlapic *vlapic)
{
    vlapic->initial_count = 0;
    vlapic->tsc_deadline = 0;
    vlapic->deadline_ns = VTIMER_OFF;
}

static uint32_t current_count(const struct vlapic *vlapic, uint64_t now_ns)
{
    unsigned int shift = divide_shift(vlapic);
    uint64_t left_ns = 0;

    if (vlapic->deadline_ns == VTIMER_OFF || is_deadline(lvt(vlapic)))
        return 0;
    if (now_ns < vlapic->deadline_ns)
        left_ns = vlapic->deadline_ns - now_ns;
    else if (is_periodic(lvt(vlapic)))
        left_ns = period_ns(vlapic) - (now_ns - vlapic->deadline_ns) % period_ns(vlapic);
    return (uint32_t)((left_ns + BIT(shift) - 1) >> shift);
}

void vlapic_timer_reset(struct vlapic *vlapic)
{
    disarm(vlapic);
    vlapic->divide_config = 0;
    set_alarm(vlapic, 0);
}

/* Going to TSC-deadline mode or from it stops the timer; the other changes let it run on. */
void vlapic_timer_write_lvt(struct vlapic *vlapic, uint32_t value)
{
    uint32_t old = lvt(vlapic);

    expire(vlapic, vclock_now(&vlapic->ops.clock));
    vlapic->lvt[0] = value;
    if (is_deadline(old) != is_deadline(value))
        disarm(vlapic);
    set_alarm(vlapic, 0);
}

void vlapic_timer_write_initial(struct vlapic *vlapic, uint32_t count)
{
    if (is_deadline(lvt(vlapic)))
        return;
    uint64_t now_ns = vclock_now(&vlapic->ops.clock);
    expire(vlapic, now_ns);
    vlapic->initial_count = count;
    vlapic->deadline_ns = count == 0 ? VTIMER_OFF : now_ns + period_ns(vlapic);
    set_alarm(vlapic, 0);
}

/* A running count goes on at the new rate. */
void vlapic_timer_write_divide(struct vlapic *vlapic, uint32_t config)
{
    uint64_t now_ns = vclock_now(&vlapic->ops.clock);

    expire(vlapic, now_ns);
    uint64_t count = current_count(vlapic, now_ns);
    vlapic->divide_config = config;
    if (count != 0)
        vlapic->deadline_ns = now_ns + (count << divide_shift(vlapic));
    set_alarm(vlapic, 0);
}

/*
 * The most frequent timer write, so it does not ask for the time: a deadline in the past is due at
 * the owner's next look at its timers, and an older one that is due but not seen yet is replaced.
 */
void vlapic_timer_write_deadline(struct vlapic *vlapic, uint64_t guest_tsc)
{
    if (!is_deadline(lvt(vlapic)))
        return;
    vlapic->tsc_deadline = guest_tsc;
    vlapic->deadline_ns =
        guest_tsc == 0 ? VTIMER_OFF : vlapic->ops.tsc_to_ns(vlapic->ops.ctx, guest_tsc);
    set_alarm(vlapic, 0);
}

uint32_t vlapic_timer_current(const struct vlapic *vlapic)
{
    return current_count(vlapic, vclock_now(&vlapic->ops.clock));
}

/* A masked timer is not ticked, so that an expiry may not have been seen. */
uint64_t vlapic_timer_read_deadline(const struct vlapic *vlapic)
{
    if (vlapic->tsc_deadline == 0 || vclock_now(&vlapic->ops.clock) >= vlapic->deadline_ns)
        return 0;
    return vlapic->tsc_deadline;
}

bool vlapic_tick(struct vlapic *vlapic, uint64_t now_ns)
{
    bool due = now_ns >= vlapic->deadline_ns;
    bool storm = due && is_periodic(lvt(vlapic)) && period_ns(vlapic) < VLAPIC_MIN_PERIOD_NS;
    bool kick = expire(vlapic, now_ns);

    vlapic->alarm_ns = VTIMER_OFF;
    set_alarm(vlapic, storm ? now_ns + VLAPIC_MIN_PERIOD_NS : 0);
    return kick;
}

void vlapic_tsc_changed(struct vlapic *vlapic)
{
    if (vlapic->tsc_deadline != 0)
        vlapic_timer_write_deadline(vlapic, vlapic->tsc_deadline);
}
