/* SPDX-License-Identifier: MIT */
/* Commands about the machine itself, the log, and help. */
#include "hv/monitor/command.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/lapic.h"
#include "arch/x86/paging.h"
#include "arch/x86/speculation.h"
#include "arch/x86/tsc.h"
#include "hv/backend.h"
#include "hv/console.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/main.h"
#include "hv/mem.h"
#include "hv/monitor/info_guest.h"
#include "hv/monitor/json.h"
#include "hv/string.h"
#include "hv/vm.h"
#include "hv/vm_memory.h"

/* ---- info host ------------------------------------------------------------------------------ */

static const char *yes_no(bool yes)
{
    return yes ? "yes" : "no";
}

static void print_cpu(void)
{
    console_print("cpu: %s, family 0x%x model 0x%x stepping %u, %u-bit physical\n",
                  host_cpuid.brand, host_cpuid.family, host_cpuid.model, host_cpuid.stepping,
                  host_cpuid.physical_bits);
    console_print("cpus: %u online; local apic in %s mode, timer by %s\n", cpu_count,
                  lapic_is_x2apic() ? "x2apic" : "xapic",
                  lapic_has_deadline() ? "tsc deadline" : "count-down");
    console_print("tsc: %lu.%03lu MHz, measured against %s, %s\n", tsc_info.hz / 1000000,
                  tsc_info.hz / 1000 % 1000, tsc_info.source,
                  tsc_info.invariant ? "invariant" : "not said to be invariant");
    if (tsc_info.cpuid_hz)
        console_print("tsc: cpuid says %lu.%03lu MHz, which is %s\n", tsc_info.cpuid_hz / 1000000,
                      tsc_info.cpuid_hz / 1000 % 1000, tsc_info.cpuid_agrees ? "right" : "wrong");
}

static const char *host_apic(void)
{
    return backend->apic->available ? "the CPU in x2apic mode" : "software";
}

static void print_features(void)
{
    const struct backend_feature *feature;

    console_print("virtualization: %s\n", backend->name);
    for (unsigned int i = 0; (feature = backend->feature(i)) != NULL; i++)
        console_print("  %-44s %-3s%s\n", feature->name, yes_no(feature->present),
                      feature->required ? "  required" : "");
    console_print("local apics of guests: virtualized by %s\n", host_apic());
}

static void print_measures(void)
{
    struct speculation_row row;

    console_print("mitigations: %s\n", speculation_measures ? "auto" : "off");
    for (unsigned int i = 0; speculation_measures && speculation_row(i, &row); i++) {
        if (row.needless)
            console_print("  %s: not needed: %s\n", row.name, row.needless);
        else if (row.missing)
            console_print("  %s: not possible: no %s\n", row.name, row.missing);
        else
            console_print("  %s: %s\n", row.name, row.when);
    }
}

static uint64_t guest_ram(void)
{
    uint64_t sum = 0;

    for (unsigned int i = 0; i < vm_count(); i++) {
        const struct vm *vm = vm_by_index(i);

        if (vm->state == VM_FREEING) {
            sum += vm_memory_size(vm);
            continue;
        }
        for (unsigned int slot = 0; slot < vm->slot_count + vm->paged_count; slot++)
            sum += vm->slots[slot].size;
        sum -= vm->absent_pages << PAGE_SHIFT;
    }
    return sum;
}

/* Mica's own: what the allocator has given out but for guest RAM, and what boot/ had laid down
 * before. */
static void print_memory(void)
{
    uint64_t total = mem_total_pages() * 4, available = mem_free_pages() * 4,
             guests = guest_ram() >> 10;
    uint64_t own = total - available - guests + (host_summary.image_bytes >> 10);
    uint64_t all = total + ((host_summary.image_bytes + host_summary.module_bytes) >> 10);
    uint64_t share = all ? own * 10000 / all : 0;

    console_print("memory: %lu KiB, of which %lu KiB free, %lu KiB guest RAM, %lu KiB modules\n",
                  all, available, guests, host_summary.module_bytes >> 10);
    console_print("memory of Mica besides modules and guest RAM: %lu KiB (%lu.%02lu%%)\n", own,
                  share / 100, share % 100);
}

static void print_pages(void)
{
    struct paging_report report;

    paging_check_wx(&report);
    console_print("page tables: %lu pages mapped, %lu writable and executable, %lu user\n",
                  report.mapped, report.writable_executable, report.user);
    if (report.first_violation)
        console_print("page tables: the first of those is at %016lx\n", report.first_violation);
}

static void print_stacks(void)
{
    for (unsigned int i = 0; i < cpu_count; i++)
        console_print("stack of cpu %u: %lu of %llu bytes at the deepest\n", i,
                      cpu_stack_used(cpu_by_index(i)), CPU_STACK_SIZE);
}

static void json_host(void)
{
    struct paging_report report;

    paging_check_wx(&report);
    json_begin("host");
    json_string("cpu", host_cpuid.brand);
    json_number("cpus", cpu_count);
    json_number("tsc_hz", tsc_info.hz);
    json_bool("tsc_invariant", tsc_info.invariant);
    json_string("virtualization", backend->name);
    json_bool("apicv", backend->apic->available);
    json_number("memory", mem_total_pages() << PAGE_SHIFT);
    json_number("memory_free", mem_free_pages() << PAGE_SHIFT);
    json_number("memory_guests", guest_ram());
    json_number("pages_mapped", report.mapped);
    json_number("pages_writable_executable", report.writable_executable);
    json_end();
}

static void info_host(void)
{
    if (json_is_on) {
        json_host();
        return;
    }
    print_cpu();
    print_features();
    if (host_summary.acpi)
        console_print("acpi: %u tables\n", host_summary.acpi_tables);
    else
        console_print("acpi: no tables\n");
    console_print("i/o apic: %u pins; pci: %u functions, bus mastering off\n",
                  host_summary.ioapic_pins, host_summary.pci_functions);
    print_measures();
    print_memory();
    print_stacks();
    print_pages();
}

/* ---- info ----------------------------------------------------------------------------------- */

static void info(const struct command_args *args)
{
    if (strcmp(args->words[0], "host") == 0) {
        info_host();
        return;
    }
    struct vm *vm = command_find_vm(args->words[0]);
    if (vm)
        info_guest(vm);
}

/* ---- log, pages, the end -------------------------------------------------------------------- */

static void print_log_line(void *ctx, const char *text, size_t size)
{
    console_write(text, size);
    console_write("\n", 1);
}

static void log(const struct command_args *args)
{
    enum log_level level = LOG_DEBUG;

    if (args->count && !log_level_by_name(args->words[0], &level)) {
        command_error("%s: expected error, warn, info or debug", args->words[0]);
        return;
    }
    log_replay(level, print_log_line, NULL);
}

static void pages(const struct command_args *args)
{
    print_pages();
}

static void json(const struct command_args *args)
{
    command_switch(args->words[0], &json_is_on);
}

static void poweroff(const struct command_args *args)
{
    hv_power_off();
}

static void reboot(const struct command_args *args)
{
    hv_reboot();
}

/* ---- help ----------------------------------------------------------------------------------- */

static void help(const struct command_args *args)
{
    const struct command *c;

    if (args->count) {
        c = command_find(args->words[0]);
        if (c)
            console_print("%s %s\n    %s\n", c->name, c->arguments, c->help);
        return;
    }
    for (unsigned int n = 0; (c = command_by_index(n)) != NULL; n++)
        console_print("  %-9s %-28s %s\n", c->name, c->arguments, c->help);
    console_print(
        "Names may be shortened; TAB completes; Ctrl-] goes back to the last guest's console.\n");
}

static const char *const info_words[] = {"host", NULL};
static const char *const switch_words[] = {"on", "off", NULL};
static const char *const log_words[] = {"error", "warn", "info", "debug", NULL};

const struct command host_commands[] = {
    {"help", "[COMMAND]", "this list, or one command", help, .max = 1},
    {"info", "host|GUEST", "what the machine, or a guest, is made of; a guest's traffic", info,
     info_words, .guest = GUEST_OR_WORD, .min = 1, .max = 1},
    {"log", "[LEVEL]", "the last lines of the log, up to a level", log, log_words, .max = 1},
    {"pages", "", "check Mica's own page tables", pages, .max = 0},
    {"json", "on|off", "answers for programs: list, info, balloon, stat, sched, errors", json,
     switch_words, .min = 1, .max = 1},
    {"poweroff", "", "turn the machine off", poweroff, .max = 0},
    {"reboot", "", "start the machine anew", reboot, .max = 0},
    {0},
};
