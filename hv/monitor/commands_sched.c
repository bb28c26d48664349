/* SPDX-License-Identifier: MIT */
/* Commands that show how the CPUs are shared.  Who runs when, sched.c decides. */
#include "hv/monitor/command.h"

#include "arch/x86/cpu.h"
#include "hv/config.h"
#include "hv/console.h"
#include "hv/loop.h"
#include "hv/monitor/json.h"
#include "hv/monitor/top.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/* ---- sched ---------------------------------------------------------------------------------- */

static const char *const state_names[] = {
    [SCHED_SLEEPING] = "sleeps",
    [SCHED_WAITING] = "waits",
    [SCHED_THROTTLED] = "throttled",
    [SCHED_RUNNING] = "runs",
};

/* The vCPUs of all guests, in order; a null pointer behind the last. */
static struct vcpu *next_vcpu(unsigned int *guest, unsigned int *id)
{
    struct vm *vm;

    for (; (vm = vm_by_index(*guest)) != NULL; ++*guest, *id = 0)
        if (*id < vm->vcpu_count)
            return vm->vcpus[(*id)++];
    return NULL;
}

/* The names of those at home on a CPU that are in one state. */
static void print_those(unsigned int cpu, enum sched_state state)
{
    unsigned int guest = 0, id = 0, found = 0;
    struct loop_vcpu_view view;
    struct vcpu *vcpu;

    while ((vcpu = next_vcpu(&guest, &id)) != NULL) {
        loop_view_vcpu(vcpu, &view);
        if (view.cpu == cpu && view.state == state)
            console_print("%s%s/%u", found++ ? " " : "", vm_name(vcpu->vm), vcpu->id);
    }
    if (!found)
        console_print("nobody");
}

static void json_cpu(unsigned int cpu, const struct loop_cpu_view *view)
{
    json_begin("cpu");
    json_number("cpu", cpu);
    json_bool("busy", view->busy);
    json_number("load", view->load);
    json_number("reserved_ppm", view->reserved_ppm);
    json_end();
}

static void print_cpu(unsigned int cpu)
{
    struct loop_cpu_view view;

    loop_view_cpu(cpu, &view);
    if (json_is_on) {
        json_cpu(cpu, &view);
        return;
    }
    console_print("cpu %u: %s, load %lu, real-time %u.%u%%; runs: ", cpu,
                  view.busy ? "busy" : "idle", view.load, view.reserved_ppm / 10000,
                  view.reserved_ppm / 1000 % 10);
    print_those(cpu, SCHED_RUNNING);
    console_print("; waits: ");
    print_those(cpu, SCHED_WAITING);
    console_print("; throttled: ");
    print_those(cpu, SCHED_THROTTLED);
    console_print("\n");
}

static void json_vcpu(const struct vcpu *vcpu, const struct loop_vcpu_view *view)
{
    const struct guest_config *config = vcpu->vm->config;

    json_begin("vcpu");
    json_string("guest", vm_name(vcpu->vm));
    json_number("vcpu", vcpu->id);
    json_number("cpu", view->cpu);
    json_string("state", state_names[view->state]);
    json_number("weight", config->weight);
    json_number("cap", config->cap);
    json_number("period_us", config->period_us);
    json_number("budget_us", config->budget_us);
    json_number("run_ns", view->stats.run_ns);
    json_number("wait_ns", view->stats.wait_ns);
    json_number("latency_max_ns", view->stats.latency_max_ns);
    json_number("turns", view->stats.turns);
    json_end();
}

static void print_vcpu(struct vcpu *vcpu)
{
    const struct guest_config *config = vcpu->vm->config;
    struct loop_vcpu_view view;

    loop_view_vcpu(vcpu, &view);
    if (json_is_on) {
        json_vcpu(vcpu, &view);
        return;
    }
    console_print("%-16s %4u %3u %-9s ", vm_name(vcpu->vm), vcpu->id, view.cpu,
                  state_names[view.state]);
    if (config->period_us)
        console_print("real-time %u/%u us", config->budget_us, config->period_us);
    else
        console_print("weight %u, cap %u%%", config->weight, config->cap);
    console_print("; ran %lu ms, waited %lu ms, latency max %lu us, %lu turns\n",
                  view.stats.run_ns / 1000000, view.stats.wait_ns / 1000000,
                  view.stats.latency_max_ns / 1000, view.stats.turns);
}

static void sched(const struct command_args *args)
{
    unsigned int guest = 0, id = 0;
    struct vcpu *vcpu;

    for (unsigned int cpu = 0; cpu < cpu_count; cpu++)
        print_cpu(cpu);
    if (!json_is_on)
        console_print("%-16s %4s %3s %s\n", "GUEST", "VCPU", "CPU", "STATE");
    while ((vcpu = next_vcpu(&guest, &id)) != NULL)
        print_vcpu(vcpu);
}

static void top(const struct command_args *args)
{
    top_begin();
}

const struct command sched_commands[] = {
    {"sched", "", "who runs and who waits on each cpu, and what each vcpu has had", sched,
     .max = 0},
    {"top", "", "what each vcpu had of the last second, until a key is pressed", top, .max = 0},
    {0},
};
