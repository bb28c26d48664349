/* SPDX-License-Identifier: MIT */
/* The prompt: takes what is typed to pieces, finds the command, completes words. */
#include "hv/monitor/monitor.h"

#include "hv/backend.h"
#include "hv/console.h"
#include "hv/loop.h"
#include "hv/monitor/command.h"
#include "hv/monitor/json.h"
#include "hv/monitor/line.h"
#include "hv/monitor/top.h"
#include "hv/printf.h"
#include "hv/string.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#include <stdarg.h>

#define ESC 0x1b

static struct line line;
static bool failed;       /* command_error() was called for this line */
static struct vcpu *held; /* by the command that runs, or a null pointer */

static const struct command *const groups[] = {vm_commands, inspect_commands, sched_commands,
                                               host_commands};

/* ---- What commands share -------------------------------------------------------------------- */

void command_error(const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    str_vformat(text, sizeof(text), format, arguments);
    va_end(arguments);
    failed = true;
    if (json_is_on) {
        json_begin("error");
        json_string("error", text);
        json_end();
    } else {
        console_print("%s\n", text);
    }
}

const struct command *command_by_index(unsigned int n)
{
    for (unsigned int g = 0; g < ARRAY_SIZE(groups); g++)
        for (const struct command *c = groups[g]; c->name; c++)
            if (n-- == 0)
                return c;
    return NULL;
}

static const char *command_name(unsigned int n)
{
    const struct command *c = command_by_index(n);

    return c ? c->name : NULL;
}

static const char *guest_name(unsigned int n)
{
    return n < vm_count() ? vm_name(vm_by_index(n)) : NULL;
}

#define NOT_FOUND (-1)
#define AMBIGUOUS (-2)

/* The place of a name among those that name_of() gives: itself, or the only one that begins so. */
static int match_name(const char *text, const char *(*name_of)(unsigned int))
{
    size_t size = strlen(text);
    int found = NOT_FOUND;
    const char *name;

    for (unsigned int n = 0; (name = name_of(n)) != NULL; n++) {
        if (strcmp(name, text) == 0)
            return (int)n;
        if (strncmp(name, text, size) == 0)
            found = found == NOT_FOUND ? (int)n : AMBIGUOUS;
    }
    return found;
}

const struct command *command_find(const char *name)
{
    int n = match_name(name, command_name);

    if (n == AMBIGUOUS)
        command_error("%s: several commands begin so", name);
    else if (n == NOT_FOUND)
        command_error("%s: no such command (try help)", name);
    return n < 0 ? NULL : command_by_index((unsigned int)n);
}

struct vm *command_find_vm(const char *name)
{
    int n = match_name(name, guest_name);

    if (n == AMBIGUOUS)
        command_error("%s: several guests begin so", name);
    else if (n == NOT_FOUND)
        command_error("%s: no such guest (try list)", name);
    if (n >= 0 && vm_by_index((unsigned int)n)->state == VM_FREEING) {
        command_error("%s: it is being destroyed", name);
        return NULL;
    }
    return n < 0 ? NULL : vm_by_index((unsigned int)n);
}

struct vcpu *command_vcpu(struct vm *vm, const char *text)
{
    uint64_t n = 0;

    if (!vm->ran) {
        command_error("%s: it has not been started yet", vm_name(vm));
        return NULL;
    }
    if (text && !command_number(text, 10, UINT32_MAX, &n))
        return NULL;
    if (n >= vm->vcpu_count) {
        command_error("%s: it has %u vcpus, from 0", vm_name(vm), vm->vcpu_count);
        return NULL;
    }
    held = vm->vcpus[n];
    loop_hold(held); /* until the command is done */
    vcpu_load(held);
    return held;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool command_number(const char *text, unsigned int base, uint64_t max, uint64_t *value)
{
    const char *at = text;
    uint64_t sum = 0;
    bool ok;

    if (at[0] == '0' && (at[1] | 0x20) == 'x') {
        base = 16;
        at += 2;
    }
    for (ok = *at != '\0'; ok && *at; at++) {
        int d = digit(*at);
        ok = d >= 0 && (unsigned int)d < base && sum <= (max - (unsigned int)d) / base &&
             (unsigned int)d <= max;
        sum = sum * base + (unsigned int)d;
    }
    if (!ok)
        command_error("%s: expected a %snumber up to 0x%lx", text, base == 16 ? "hexadecimal " : "",
                      max);
    else
        *value = sum;
    return ok;
}

bool command_switch(const char *text, bool *on)
{
    bool is_on = strcmp(text, "on") == 0;

    if (!is_on && strcmp(text, "off") != 0) {
        command_error("%s: expected on or off", text);
        return false;
    }
    *on = is_on;
    return true;
}

/* ---- Running a line ------------------------------------------------------------------------- */

/* Cut at white space, in place; returns how many words there are, of which at most max are kept. */
static unsigned int split(char *text, char **words, unsigned int max)
{
    unsigned int count = 0;

    for (;;) {
        while (*text == ' ' || *text == '\t')
            *text++ = '\0';
        if (!*text)
            return count;
        if (count < max)
            words[count] = text;
        count++;
        while (*text && *text != ' ' && *text != '\t')
            text++;
    }
}

static void run(const struct command *command, char **words, unsigned int count)
{
    struct command_args args = {.vm = NULL};
    bool named =
        (command->guest == GUEST_OPTIONAL || command->guest == GUEST_REQUIRED) && count > 0;

    if (command->guest == GUEST_REQUIRED && !count) {
        command_error("usage: %s %s", command->name, command->arguments);
        return;
    }
    if (named) {
        args.vm = command_find_vm(words[0]);
        if (!args.vm)
            return;
        words++;
        count--;
    }
    if (count < command->min || count > command->max) {
        command_error("usage: %s %s", command->name, command->arguments);
        return;
    }
    args.count = count;
    memcpy(args.words, words, count * sizeof(words[0]));
    command->run(&args);
    if (held)
        loop_release(held);
    held = NULL;
}

static void execute_words(char **words, unsigned int count)
{
    const struct command *command = command_find(words[0]);

    if (command)
        run(command, words + 1, count - 1);
    if (json_is_on) {
        json_begin("done");
        json_string("command", command ? command->name : words[0]);
        json_bool("ok", !failed);
        json_end();
    }
}

static void execute(void *ctx, char *text)
{
    char *words[COMMAND_MAX_ARGS];
    unsigned int count = split(text, words, COMMAND_MAX_ARGS);

    console_set_prompt("", 0);
    failed = false;
    if (count > COMMAND_MAX_ARGS)
        command_error("more words than any command takes");
    else if (count)
        execute_words(words, count);
    if (!console_attached() && !top_is_on())
        line_show(&line);
}

/* ---- Completion ----------------------------------------------------------------------------- */

/* What may stand behind a command: its own words, then guests. */
static const char *argument_candidate(const struct command *command, unsigned int n)
{
    unsigned int own = 0;

    while (command->words && command->words[own]) {
        if (own == n)
            return command->words[own];
        own++;
    }
    if (command->guest == GUEST_ABSENT)
        return vm_absent_name(n - own);
    return command->guest == GUEST_NONE ? NULL : guest_name(n - own);
}

static const char *candidate(void *ctx, const char *before, size_t size, unsigned int n)
{
    char copy[LINE_SIZE + 1], *words[2];

    memcpy(copy, before, size);
    copy[size] = '\0';
    unsigned int count = split(copy, words, ARRAY_SIZE(words));
    if (count == 0)
        return command_name(n);
    int found = count == 1 ? match_name(words[0], command_name) : NOT_FOUND;
    if (found < 0)
        return NULL;
    const struct command *command = command_by_index((unsigned int)found);
    return strcmp(command->name, "help") == 0 ? command_name(n) : argument_candidate(command, n);
}

/* ---- The console's side --------------------------------------------------------------------- */

static void write(void *ctx, const char *text, size_t size)
{
    console_write(text, size);
}

static void publish_prompt(void)
{
    char view[LINE_VIEW];

    if (!console_attached() && !top_is_on())
        console_set_prompt(view, line_view(&line, view));
}

void monitor_init(void)
{
    const struct line_ops ops = {.write = write, .execute = execute, .candidate = candidate};

    line_init(&line, "mica> ", &ops);
}

/*
 * A key while top is on.  An ESC goes to the editor as well, so that the rest of its sequence is
 * not taken for text; an LF behind the CR that began it is no key.
 */
static void end_top(uint8_t byte)
{
    if (byte == '\n' && line.after_cr) {
        line_input(&line, byte);
        return;
    }
    top_end();
    line_show(&line);
    if (byte == ESC)
        line_input(&line, byte);
}

void monitor_input(const uint8_t *bytes, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        if (top_is_on())
            end_top(bytes[i]);
        else
            line_input(&line, bytes[i]);
    }
    publish_prompt();
}

void monitor_prompt(void)
{
    top_end();
    line_show(&line);
    publish_prompt();
}
