/* SPDX-License-Identifier: MIT */
/*
 * What each vCPU had of the last second.  A timer of the main loop paints it; which key ends it,
 * monitor.c knows.  It shows the busiest vCPUs only: a slow line must take a table in less than a
 * second.
 */
#include "hv/monitor/top.h"

#include "arch/x86/tsc.h"
#include "hv/console.h"
#include "hv/loop.h"
#include "hv/timer.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define TOP_ROWS   20u
#define TOP_PERIOD 1000000000ull /* ns */

/* For the terminal. */
#define CLEAR      "\x1b[2J"
#define HOME       "\x1b[H"
#define LINE_END   "\x1b[K\n"
#define CLEAR_REST "\x1b[J"

struct sample {
    uint64_t run_ns, wait_ns, exits;
};

struct row {
    const struct vcpu *vcpu;
    unsigned int cpu;
    struct sample had;
};

static struct {
    bool on;
    uint64_t at_ns; /* when the samples were taken */
    struct timer timer;
    struct sample last[VM_MAX][VM_MAX_VCPUS];
} top;

static uint64_t exits_of(const struct vcpu *vcpu)
{
    uint64_t sum = 0;

    for (unsigned int kind = 0; kind < EXIT_KIND_COUNT; kind++)
        sum += vcpu->exits[kind];
    return sum;
}

/* A counter may have begun anew. */
static uint64_t since(uint64_t before, uint64_t now)
{
    return now >= before ? now - before : now;
}

/* What the vCPU had since it was asked last. */
static struct row measure(struct vcpu *vcpu)
{
    struct sample *last = &top.last[vcpu->vm->id][vcpu->id];
    struct loop_vcpu_view view;
    struct sample now;
    struct row row;

    loop_view_vcpu(vcpu, &view);
    now = (struct sample){view.stats.run_ns, view.stats.wait_ns, exits_of(vcpu)};
    row = (struct row){vcpu,
                       view.cpu,
                       {since(last->run_ns, now.run_ns), since(last->wait_ns, now.wait_ns),
                        since(last->exits, now.exits)}};
    *last = now;
    return row;
}

/* Into its place, the busiest first; the last falls out when there is no room. */
static void insert(struct row *rows, unsigned int *count, const struct row *row)
{
    unsigned int at = *count < TOP_ROWS ? (*count)++ : TOP_ROWS;

    while (at > 0 && rows[at - 1].had.run_ns < row->had.run_ns) {
        if (at < TOP_ROWS)
            rows[at] = rows[at - 1];
        at--;
    }
    if (at < TOP_ROWS)
        rows[at] = *row;
}

/* Returns how many vCPUs there are; *count of them are in the rows. */
static unsigned int measure_all(struct row *rows, unsigned int *count)
{
    unsigned int all = 0;

    *count = 0;
    for (unsigned int i = 0; i < vm_count(); i++) {
        const struct vm *vm = vm_by_index(i);

        for (unsigned int id = 0; id < vm->vcpu_count; id++) {
            struct row row = measure(vm->vcpus[id]);

            if (!vm_is_on(vm))
                continue;
            insert(rows, count, &row);
            all++;
        }
    }
    return all;
}

static void print_row(const struct row *row, uint64_t elapsed_us)
{
    uint64_t share = row->had.run_ns / elapsed_us; /* of 1000 */
    uint64_t wait = row->had.wait_ns / elapsed_us;

    console_print("%-16s %4u %3u %5lu.%lu%% %5lu.%lu%% %10lu" LINE_END, vm_name(row->vcpu->vm),
                  row->vcpu->id, row->cpu, share / 10, share % 10, wait / 10, wait % 10,
                  row->had.exits * 1000000 / elapsed_us);
}

static void paint(void)
{
    struct row rows[TOP_ROWS];
    uint64_t now = time_ns();
    uint64_t elapsed_us = MAX((now - top.at_ns) / 1000, 1ull);
    unsigned int count, all;

    top.at_ns = now;
    all = measure_all(rows, &count);
    console_print(
        HOME "%u vcpus of running and paused guests, the busiest %u; any key ends this" LINE_END,
        all, count);
    console_print("%-16s %4s %3s %7s %7s %10s" LINE_END, "GUEST", "VCPU", "CPU", "SHARE", "WAIT",
                  "EXITS/S");
    for (unsigned int i = 0; i < count; i++)
        print_row(&rows[i], elapsed_us);
    console_print(CLEAR_REST);
}

/* In the main loop of the boot CPU, as the monitor. */
static void second_over(struct timer *timer)
{
    if (console_attached()) { /* Ctrl-] has given the console away */
        top.on = false;
        return;
    }
    paint();
    loop_timer_arm(&top.timer, rdtsc() + ns_to_tsc(TOP_PERIOD));
}

void top_begin(void)
{
    struct row rows[TOP_ROWS];
    unsigned int count;

    timer_init(&top.timer, second_over);
    top.on = true;
    top.at_ns = time_ns();
    measure_all(rows, &count);
    console_print(CLEAR HOME "figures follow each second; any key ends this\n");
    loop_timer_arm(&top.timer, rdtsc() + ns_to_tsc(TOP_PERIOD));
}

bool top_is_on(void)
{
    return top.on;
}

void top_end(void)
{
    if (!top.on)
        return;
    loop_timer_cancel(&top.timer);
    top.on = false;
    console_print("\n");
}
