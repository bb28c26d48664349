/* SPDX-License-Identifier: MIT */
/* Commands that say which guests there are, and that start and end them. */
#include "hv/monitor/command.h"

#include "hv/board.h"
#include "hv/config_key.h"
#include "hv/console.h"
#include "hv/intr.h"
#include "hv/layout.h"
#include "hv/mem.h"
#include "hv/monitor/json.h"
#include "hv/printf.h"
#include "hv/string.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

static uint64_t exits_of(const struct vm *vm)
{
    uint64_t sum = 0;

    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        for (unsigned int kind = 0; kind < EXIT_KIND_COUNT; kind++)
            sum += vm->vcpus[i]->exits[kind];
    return sum;
}

/* What there is to say of its state in a few words. */
static const char *remark(const struct vm *vm)
{
    if (vm->state == VM_OFF)
        return vm->ended;
    return vm->waits_for_memory ? "waits for memory" : "";
}

static void json_list(void)
{
    for (unsigned int i = 0; i < vm_count(); i++) {
        const struct vm *vm = vm_by_index(i);

        json_begin("guest");
        json_string("name", vm_name(vm));
        json_string("state", vm_state_name(vm));
        json_number("vcpus", vm->vcpu_count);
        json_number("memory", vm->config->memory);
        json_number("exits", exits_of(vm));
        json_string("ended", vm->state == VM_OFF ? vm->ended : "");
        json_bool("waits_for_memory", vm->waits_for_memory);
        json_end();
    }
}

static void list(const struct command_args *args)
{
    if (json_is_on) {
        json_list();
        return;
    }
    console_print("%-16s %-8s %5s %10s %12s  %s\n", "GUEST", "STATE", "VCPUS", "MEMORY", "EXITS",
                  "");
    for (unsigned int i = 0; i < vm_count(); i++) {
        const struct vm *vm = vm_by_index(i);
        console_print("%-16s %-8s %5u %6lu MiB %12lu  %s\n", vm_name(vm), vm_state_name(vm),
                      vm->vcpu_count, vm->config->memory >> 20, exits_of(vm), remark(vm));
    }
    if (!vm_count())
        console_print("no guests\n");
}

static void console_row(struct vm *vm)
{
    const char *is = console_attached() == &vm->console        ? "attached"
                     : console_last_attached() == &vm->console ? "Ctrl-] leads back"
                                                               : "";
    struct guest_console_view view;

    guest_console_view(&vm->console, &view);
    if (!json_is_on) {
        console_print("%-16s %6u B %6u B  %s\n", vm_name(vm), view.kept, view.unshown, is);
        return;
    }
    json_begin("console");
    json_string("guest", vm_name(vm));
    json_number("kept", view.kept);
    json_number("unshown", view.unshown);
    json_end();
}

static void list_consoles(void)
{
    if (!json_is_on)
        console_print("%-16s %8s %8s\n", "GUEST", "KEPT", "NEW");
    for (unsigned int i = 0; i < vm_count(); i++)
        if (vm_by_index(i)->state != VM_FREEING)
            console_row(vm_by_index(i));
    if (!json_is_on)
        console_print("console GUEST shows what is new, and talks to it; console all shows every "
                      "guest's lines%s\n",
                      console_shows_all() ? " (as now)" : "");
}

static void console(const struct command_args *args)
{
    struct vm *vm;

    if (!args->count) {
        list_consoles();
    } else if (strcmp(args->words[0], "all") == 0) {
        console_show_all();
    } else {
        vm = command_find_vm(args->words[0]);
        if (vm)
            console_attach(&vm->console);
    }
}

static const char *const console_words[] = {"all", NULL};

static void change(struct vm *vm, int (*function)(struct vm *, const char **), const char *done)
{
    const char *why = "it could not be done";

    if (function(vm, &why))
        command_error("%s: %s", vm_name(vm), why);
    else
        console_print("%s: %s\n", vm_name(vm), vm->state == VM_STARTING ? "starting" : done);
}

static void start(const struct command_args *args)
{
    change(args->vm, vm_start, "started");
}

static void pause_vm(const struct command_args *args)
{
    change(args->vm, vm_pause, "paused");
}

static void resume(const struct command_args *args)
{
    change(args->vm, vm_resume, "running");
}

static void reset(const struct command_args *args)
{
    change(args->vm, vm_reset, "reset");
}

static void stop(const struct command_args *args)
{
    change(args->vm, vm_stop_command, "stopped");
}

static void shut_down(const struct command_args *args)
{
    if (!vm_is_on(args->vm)) {
        command_error("%s: it does not run", vm_name(args->vm));
        return;
    }
    board_power_button(args->vm);
    console_print("%s: its power button was pressed\n", vm_name(args->vm));
}

static void create(const struct command_args *args)
{
    const char *why;

    if (vm_create(args->words[0], &why))
        command_error("%s: %s", args->words[0], why);
    else
        console_print("%s: created\n", args->words[0]);
}

static void destroy(const struct command_args *args)
{
    char name[CONFIG_NAME_SIZE];

    str_format(name, sizeof(name), "%s", vm_name(args->vm));
    console_print("%s: its memory is being given back\n", name);
    vm_destroy(args->vm);
}

static void show_balloon(const struct vm *vm)
{
    const struct virtio_balloon *balloon = &vm->pci.balloon;
    uint64_t inside =
        MIN((uint64_t)virtio_balloon_actual(balloon) << PAGE_SHIFT, vm->config->memory);
    uint64_t target =
        vm->config->memory - ((uint64_t)vm->pci.balloon_config.num_pages << PAGE_SHIFT);
    uint64_t actual = vm->config->memory - inside, given = vm->absent_pages << PAGE_SHIFT;

    if (!json_is_on) {
        console_print("%s: target %lu of %lu KiB, the guest says %lu; given back %lu KiB%s\n",
                      vm_name(vm), target >> 10, vm->config->memory >> 10, actual >> 10,
                      given >> 10, vm->waits_for_memory ? "; waits for memory" : "");
        return;
    }
    json_begin("balloon");
    json_string("guest", vm_name(vm));
    json_number("memory", vm->config->memory);
    json_number("target", target);
    json_number("actual", actual);
    json_number("given_back", given);
    json_bool("waits_for_memory", vm->waits_for_memory);
    json_end();
}

/* A size as the configuration writes it, up to what the guest has. */
static bool parse_target(const struct vm *vm, const char *text, uint64_t *target)
{
    const struct config_key key = {
        .kind = CONFIG_SIZE, .min = LAYOUT_MEMORY_MIN, .max = vm->config->memory};

    if (config_parse_value(&key, (struct text){text, strlen(text)}, target))
        return true;
    command_error("%s: expected a size from %luK to %luK", text, key.min >> 10, key.max >> 10);
    return false;
}

static void balloon(const struct command_args *args)
{
    struct vm *vm = args->vm;
    uint64_t target;

    if (!vm->pci.balloon.inside) {
        command_error("%s: it has no balloon (balloon = on in mica.conf)", vm_name(vm));
        return;
    }
    if (args->count) {
        if (!parse_target(vm, args->words[0], &target))
            return;
        board_ask_balloon(vm, (uint32_t)((vm->config->memory - target) >> PAGE_SHIFT));
    }
    show_balloon(vm);
}

static void inject_irq(const struct command_args *args)
{
    uint64_t gsi;

    if (args->count != 2)
        command_error("usage: inject GUEST irq N");
    else if (command_number(args->words[1], 10, GSI_COUNT - 1, &gsi))
        board_pulse(args->vm, (unsigned int)gsi);
}

static void inject(const struct command_args *args)
{
    const char *what = args->words[0];
    bool irq = strcmp(what, "irq") == 0;

    if (!irq && (strcmp(what, "nmi") != 0 || args->count != 1))
        command_error("usage: inject GUEST nmi|irq N");
    else if (!vm_is_on(args->vm))
        command_error("%s: it does not run", vm_name(args->vm));
    else if (irq)
        inject_irq(args);
    else
        intr_post_nmi(args->vm->vcpus[0]);
}

const struct command vm_commands[] = {
    {"list", "", "the guests and what they are doing", list, .max = 0},
    {"console", "[GUEST|all]", "talk to a guest, or see all; Ctrl-] returns; alone: what is new",
     console, console_words, .guest = GUEST_OR_WORD, .max = 1},
    {"start", "GUEST", "start a guest from the beginning", start, .guest = GUEST_REQUIRED},
    {"pause", "GUEST", "stop its vcpus and its clock for a while", pause_vm,
     .guest = GUEST_REQUIRED},
    {"resume", "GUEST", "go on after a pause", resume, .guest = GUEST_REQUIRED},
    {"reset", "GUEST", "press its reset button", reset, .guest = GUEST_REQUIRED},
    {"shutdown", "GUEST", "press its power button, at which it may end by itself", shut_down,
     .guest = GUEST_REQUIRED},
    {"stop", "GUEST", "pull its plug", stop, .guest = GUEST_REQUIRED},
    {"destroy", "GUEST", "stop it and give its memory back", destroy, .guest = GUEST_REQUIRED},
    {"create", "GUEST", "make a guest of mica.conf that is not there, switched off", create,
     .guest = GUEST_ABSENT, .min = 1, .max = 1},
    {"balloon", "GUEST [SIZE]", "how much memory it has, or shall use", balloon,
     .guest = GUEST_REQUIRED, .max = 1},
    {"inject", "GUEST nmi|irq N", "an NMI for vcpu 0, or an edge on an interrupt line", inject,
     .guest = GUEST_REQUIRED, .min = 1, .max = 2},
    {0},
};
