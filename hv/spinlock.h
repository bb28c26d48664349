/* SPDX-License-Identifier: MIT */
/*
 * A spin lock.  Root mode runs with interrupts off except at the points where it asks for them, and
 * no interrupt handler takes a lock that is held at such a point, so nothing needs to save the
 * flags.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct spinlock {
    uint8_t held;
};

static inline void spin_lock(struct spinlock *lock)
{
    while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED))
            __builtin_ia32_pause();
}

static inline void spin_unlock(struct spinlock *lock)
{
    __atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}
