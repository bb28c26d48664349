/* SPDX-License-Identifier: MIT */
/*
 * mica.conf as plain structs.  Every error is reported as "mica.conf:LINE: KEY: what was expected";
 * a guest with an error is marked bad and must not start, the others are unaffected.
 *
 * The file: sections "[host]" and "[guest NAME]", lines "key = value", comments from a '#' at the
 * start of a line or after white space (so a command line may contain '#' inside a word only).
 * Lines end in LF or CRLF.
 */
#pragma once

#include "hv/layout.h"
#include "hv/util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_FILE         "mica.conf"
#define CONFIG_MAX_GUESTS   64
#define CONFIG_MAX_CPUS     256
#define CONFIG_MAX_KEYS     32
#define CONFIG_MAX_ERRORS   100 /* reported of one file */
#define CONFIG_LINE_SIZE    4096
#define CONFIG_NAME_SIZE    32
#define CONFIG_FILE_SIZE    64
#define CONFIG_CMDLINE_SIZE 2048
#define CONFIG_MAX_DISKS    4   /* of a guest */
#define CONFIG_SECTOR_SIZE  512 /* of disks */
#define CONFIG_CID_MIN      3   /* those below have a meaning */
#define CONFIG_CID_MAX      0xfffffffe
#define CONFIG_CID_ANY      0xffffffff /* to be numbered by config_check() */

enum host_console { HOST_CONSOLE_NONE, HOST_CONSOLE_COM1 };
enum when_done { WHEN_DONE_MONITOR, WHEN_DONE_POWEROFF };
enum guest_action { GUEST_STOP, GUEST_RESTART };
enum guest_input { GUEST_INPUT_UART, GUEST_INPUT_VIRTIO };

struct host_config {
    uint8_t console;                 /* enum host_console */
    bool framebuffer;                /* mirrors it */
    uint8_t log;                     /* enum log_level */
    bool mitigations;                /* true: what this CPU needs */
    uint8_t when_done;               /* enum when_done */
    uint32_t lines[CONFIG_MAX_KEYS]; /* where each key was given, by its place in config_keys[]; 0:
                                        not given */
};

struct config_disk {
    uint32_t line; /* where it was given; 0: this and those behind it were not */
    char file[CONFIG_FILE_SIZE];
    bool read_only; /* else what is written is kept while the guest exists */
};

/* What it has in common with another guest, whose section must say the same of this one. */
struct config_share {
    char name[CONFIG_NAME_SIZE]; /* "": with nobody */
    uint64_t size;               /* of the shared memory: a power of two */
};

struct config_net {
    char name[CONFIG_NAME_SIZE]; /* the switch's; "": none */
    uint64_t mac; /* as hv/vdev/vswitch.h has it; made from the names where none is given */
};

struct guest_config {
    char name[CONFIG_NAME_SIZE];
    char kernel[CONFIG_FILE_SIZE];
    char initrd[CONFIG_FILE_SIZE]; /* "": none */
    char cmdline[CONFIG_CMDLINE_SIZE];
    struct config_disk disks[CONFIG_MAX_DISKS];
    struct config_share share;
    struct config_net net;
    uint32_t vsock;  /* its context id; 0: it has no such sockets */
    uint64_t memory; /* bytes, whole pages */
    uint32_t vcpus;
    uint64_t cpus[CONFIG_MAX_CPUS / 64]; /* a bit for each physical CPU that it may use */
    uint32_t weight;
    uint32_t cap;       /* percent; 100: none */
    uint32_t period_us; /* 0: not of the real-time class */
    uint32_t budget_us;
    bool console;
    uint8_t input; /* enum guest_input */
    bool testdev;
    bool balloon;
    bool overcommit; /* and a balloon */
    bool fast;
    bool apicv;
    bool autostart;
    uint8_t on_crash;  /* enum guest_action */
    uint8_t on_reboot; /* enum guest_action */

    bool bad;                        /* an error was reported: does not start */
    uint32_t line;                   /* of "[guest NAME]" */
    uint32_t lines[CONFIG_MAX_KEYS]; /* as in host_config */
};

struct config {
    struct host_config host;
    uint32_t guest_count;
    struct guest_config guests[CONFIG_MAX_GUESTS];
};

/* Who hears of errors; message is one line without a newline, printable, and gone after the call.
 */
struct config_sink {
    void *ctx;
    void (*error)(void *ctx, const char *message);
};

/* What the machine has, for the errors that the text alone does not show. */
struct config_machine {
    uint32_t cpu_count;
    uint64_t memory; /* bytes that one guest could have at most */
    void *ctx;
    bool (*has_file)(void *ctx, const char *name);
    uint64_t (*file_size)(void *ctx, const char *name); /* of one that is there */
};

enum config_section { CONFIG_HOST, CONFIG_GUEST };

/* How a value is written. */
enum config_kind {
    CONFIG_NUMBER,
    CONFIG_PERCENT,
    CONFIG_SIZE,
    CONFIG_TIME,
    CONFIG_FLAG,
    CONFIG_CHOICE,
    CONFIG_FILE_NAME,
    CONFIG_TEXT,
    CONFIG_CPU_LIST,
    CONFIG_DISK,
    CONFIG_SHARE,
    CONFIG_NET,
    CONFIG_CID,
};

struct config_key {
    enum config_section section;
    const char *name;
    enum config_kind kind;
    uint32_t offset;            /* of the field in host_config or guest_config */
    uint64_t min, max;          /* of numbers, sizes and times; max: the buffer's size of text */
    const char *const *choices; /* ends in NULL; the value is the index */
    const char *help;
};

extern const struct config_key config_keys[];
extern const unsigned int config_key_count;

/* Parses all of text[0..size); returns the number of errors. */
unsigned int config_parse(const char *text, size_t size, struct config *config,
                          const struct config_sink *sink);

/* Marks the guests bad that this machine cannot run; returns the number of errors. */
unsigned int config_check(struct config *config, const struct config_machine *machine,
                          const struct config_sink *sink);

/* Reports an error of one key of a guest, with its line, and marks the guest bad. */
void config_refuse(struct guest_config *guest, const char *key, const struct config_sink *sink,
                   const char *format, ...) PRINTF(4, 5);

/* What a value of this key looks like: "a number from 1 to 32". */
void config_describe(const struct config_key *key, char *buffer, size_t size);

/* Whose console the physical one shows at first: the first with "console = yes", else the only
 * guest, else NULL. */
const struct guest_config *config_console_guest(const struct config *config);

static inline bool config_may_use_cpu(const struct guest_config *guest, unsigned int cpu)
{
    return cpu < CONFIG_MAX_CPUS && (guest->cpus[cpu / 64] >> (cpu % 64) & 1) != 0;
}
