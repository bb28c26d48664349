/* SPDX-License-Identifier: MIT */
/*
 * A command of the monitor, and what commands share.  A command that is given something wrong
 * prints one line by command_error() and changes nothing.
 */
#pragma once

#include "hv/util.h"

#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct vm;

#define COMMAND_MAX_ARGS 8u

struct command_args {
    struct vm *vm; /* the guest named first, where the command takes one; else a null pointer */
    unsigned int count; /* of the words behind the command and the guest */
    char *words[COMMAND_MAX_ARGS];
};

enum command_guest {
    GUEST_NONE,
    GUEST_OPTIONAL, /* the first word, if there is one */
    GUEST_REQUIRED,
    GUEST_OR_WORD, /* the command itself finds out */
    GUEST_ABSENT,  /* a name of the configuration that no guest has */
};

struct command {
    const char *name;
    const char *arguments; /* as `help` shows them */
    const char *help;
    void (*run)(const struct command_args *args);
    const char *const
        *words;    /* that complete the first word, ends in a null pointer; may be a null pointer */
    uint8_t guest; /* enum command_guest */
    uint8_t min, max; /* number of words behind it */
};

/* One list per file of commands; each ends in an entry without a name. */
extern const struct command vm_commands[];      /* commands_vm.c */
extern const struct command inspect_commands[]; /* commands_inspect.c */
extern const struct command sched_commands[];   /* commands_sched.c */
extern const struct command host_commands[];    /* commands_host.c */

/* The n-th of all commands, or a null pointer. */
const struct command *command_by_index(unsigned int n);

/* The command of that name, or the only one that begins so; a null pointer, and an error, when
 * there is none. */
const struct command *command_find(const char *name);

/* The guest of that name, or the only one that begins so; likewise. */
struct vm *command_find_vm(const char *name);

/* The vCPU of a number, loaded on this CPU so that it can be looked at; likewise.  A null pointer
 * as text is vCPU 0. */
struct vcpu *command_vcpu(struct vm *vm, const char *text);

/* A whole number up to max, in base 10 or with 0x in 16; base 16 takes both as hexadecimal.
 * Likewise false. */
bool command_number(const char *text, unsigned int base, uint64_t max, uint64_t *value);

/* The position of a switch, "on" or "off"; likewise false, and nothing changed. */
bool command_switch(const char *text, bool *on);

void command_error(const char *format, ...) PRINTF(1, 2);
