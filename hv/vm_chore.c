/* SPDX-License-Identifier: MIT */
/* Who is next with the work on its memory, and when. */
#include "hv/vm_chore.h"

#include "arch/x86/cpu.h"
#include "hv/cpu_work.h"
#include "hv/loop.h"
#include "hv/timer.h"
#include "hv/vm.h"

/* Between two, when somebody wants the CPU: that one has three quarters of it. */
#define PAUSE_SLICES 3

static void slice_due(struct timer *timer)
{
    loop_post(this_cpu(), WORK_CHORE);
}

static struct vm *first; /* of those that wait, in the order in which they came */
static struct timer timer = {.fire = slice_due};

void vm_chore_remove(struct vm *vm)
{
    struct vm **link = &first;

    while (*link && *link != vm)
        link = &(*link)->next_chore;
    if (*link)
        *link = vm->next_chore;
}

void vm_chore_add(struct vm *vm)
{
    struct vm **link = &first;

    while (*link)
        link = &(*link)->next_chore;
    vm->next_chore = NULL;
    *link = vm;
    if (first == vm)
        vm_chore_work();
}

void vm_chore_work(void)
{
    uint64_t began = rdtsc(), now;

    if (!first)
        return;
    if (first->state == VM_STARTING)
        vm_start_slice(first);
    else
        vm_free_slice(first);
    if (!first)
        return;
    now = rdtsc();
    if (loop_is_wanted())
        loop_timer_arm(&timer, now + PAUSE_SLICES * (now - began));
    else
        loop_post(this_cpu(), WORK_CHORE);
}
