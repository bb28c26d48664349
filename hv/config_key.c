/* SPDX-License-Identifier: MIT */
/*
 * The keys of mica.conf in one table, and how each kind of value is written.  Knows nothing of
 * lines, sections or other keys.
 */
#include "hv/config_key.h"

#include "hv/log.h"
#include "hv/printf.h"
#include "hv/vdev/vswitch.h"

#define WEIGHT_MAX  10000
#define TIME_MIN_US 10
#define TIME_MAX_US 10000000

static const char *const console_choices[] = {"none", "com1", NULL};
static const char *const log_choices[] = {"error", "warn", "info", "debug", NULL};
static const char *const mitigations_choices[] = {"off", "auto", NULL};
static const char *const when_done_choices[] = {"monitor", "poweroff", NULL};
static const char *const input_choices[] = {"uart", "virtio", NULL};
static const char *const action_choices[] = {"stop", "restart", NULL};

STATIC_ASSERT(LOG_ERROR == 0 && LOG_DEBUG == 3, "log_choices has the order of enum log_level");
STATIC_ASSERT(HOST_CONSOLE_COM1 == 1 && WHEN_DONE_POWEROFF == 1 && GUEST_RESTART == 1 &&
                  GUEST_INPUT_VIRTIO == 1,
              "the choices have the order of their enums");

#define HOST(field)  .section = CONFIG_HOST, .offset = offsetof(struct host_config, field)
#define GUEST(field) .section = CONFIG_GUEST, .offset = offsetof(struct guest_config, field)
#define CHOICE(list) .kind = CONFIG_CHOICE, .choices = list
#define RANGE(a, b)  .min = (a), .max = (b)
#define TIME         .kind = CONFIG_TIME, RANGE(TIME_MIN_US, TIME_MAX_US)

/* clang-format off */
const struct config_key config_keys[] = {
    {HOST(console), .name = "console", CHOICE(console_choices),
     .help = "where the monitor is; default com1"},
    {HOST(log), .name = "log", CHOICE(log_choices),
     .help = "the least serious kind of line that is logged; default info"},
    {HOST(framebuffer), .name = "framebuffer", .kind = CONFIG_FLAG,
     .help = "shows the console too, where firmware has one; default on"},
    {HOST(mitigations), .name = "mitigations", CHOICE(mitigations_choices),
     .help = "measures against speculation; default auto"},
    {HOST(when_done), .name = "when-done", CHOICE(when_done_choices),
     .help = "what follows when the last guest has ended; default monitor"},

    {GUEST(kernel), .name = "kernel", .kind = CONFIG_FILE_NAME, .max = CONFIG_FILE_SIZE,
     .help = "what it boots; required"},
    {GUEST(initrd), .name = "initrd", .kind = CONFIG_FILE_NAME, .max = CONFIG_FILE_SIZE,
     .help = "handed to the kernel; default none"},
    {GUEST(cmdline), .name = "cmdline", .kind = CONFIG_TEXT, .max = CONFIG_CMDLINE_SIZE,
     .help = "the kernel's command line; default empty"},
    {GUEST(disks), .name = "disk", .kind = CONFIG_DISK, .max = CONFIG_FILE_SIZE,
     .help = "an image as its disk, read-only or by default copied on writing; once for each; default none"},
    {GUEST(share), .name = "share", .kind = CONFIG_SHARE, RANGE(PAGE_SIZE, LAYOUT_SHARE_MAX),
     .help = "a guest that names this one too, and how much memory they share; default none"},
    {GUEST(net), .name = "net", .kind = CONFIG_NET,
     .help = "the switch that it has a port of, and a MAC address; default none"},
    {GUEST(vsock), .name = "vsock", .kind = CONFIG_CID, RANGE(CONFIG_CID_MIN, CONFIG_CID_MAX),
     .help = "its context id for sockets to other guests; on: 3 and its number from 0; default off"},
    {GUEST(memory), .name = "memory", .kind = CONFIG_SIZE, RANGE(LAYOUT_MEMORY_MIN, LAYOUT_MEMORY_MAX),
     .help = "its RAM; required"},
    {GUEST(vcpus), .name = "vcpus", .kind = CONFIG_NUMBER, RANGE(1, LAYOUT_MAX_VCPUS),
     .help = "virtual CPUs; default 1"},
    {GUEST(cpus), .name = "cpus", .kind = CONFIG_CPU_LIST, .max = CONFIG_MAX_CPUS - 1,
     .help = "physical CPUs that it may use; default all"},
    {GUEST(weight), .name = "weight", .kind = CONFIG_NUMBER, RANGE(1, WEIGHT_MAX),
     .help = "its share of a busy CPU; default 256"},
    {GUEST(cap), .name = "cap", .kind = CONFIG_PERCENT, RANGE(1, 100),
     .help = "the most of a CPU that each vCPU gets; default 100%"},
    {GUEST(period_us), .name = "period", TIME,
     .help = "makes it real-time: how often it gets its budget"},
    {GUEST(budget_us), .name = "budget", TIME,
     .help = "real-time: the CPU time that it gets each period"},
    {GUEST(console), .name = "console", .kind = CONFIG_FLAG,
     .help = "its console is shown at the start; default: the only guest's is"},
    {GUEST(input), .name = "input", CHOICE(input_choices),
     .help = "where what is typed arrives; virtio: it has such a console; default uart"},
    {GUEST(balloon), .name = "balloon", .kind = CONFIG_FLAG,
     .help = "it can be asked to use less memory; default off"},
    {GUEST(overcommit), .name = "overcommit", .kind = CONFIG_FLAG,
     .help = "what its balloon takes is the machine's; default off"},
    {GUEST(testdev), .name = "testdev", .kind = CONFIG_FLAG,
     .help = "devices for test programs: debug exit; default off"},
    {GUEST(fast), .name = "fast", .kind = CONFIG_FLAG,
     .help = "short paths for frequent exits; default on"},
    {GUEST(apicv), .name = "apicv", .kind = CONFIG_FLAG,
     .help = "the CPU virtualizes x2APICs where it can; default on"},
    {GUEST(on_crash), .name = "on-crash", CHOICE(action_choices),
     .help = "what follows a crash; default stop"},
    {GUEST(on_reboot), .name = "on-reboot", CHOICE(action_choices),
     .help = "what follows its reset; default restart"},
    {GUEST(autostart), .name = "autostart", .kind = CONFIG_FLAG,
     .help = "starts with the machine; default yes"},
};
/* clang-format on */

const unsigned int config_key_count = ARRAY_SIZE(config_keys);
STATIC_ASSERT(ARRAY_SIZE(config_keys) <= CONFIG_MAX_KEYS, "lines[] has a place for each key");

const struct config_key *config_find_key(enum config_section section, struct text name)
{
    for (unsigned int i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (key->section == section && strlen(key->name) == name.size &&
            memcmp(key->name, name.at, name.size) == 0)
            return key;
    }
    return NULL;
}

/* Takes the decimal number off the front; false without a digit, or above 2^63. */
static bool take_number(struct text *text, uint64_t *number)
{
    const char *start = text->at;

    *number = 0;
    while (text->size > 0 && text->at[0] >= '0' && text->at[0] <= '9') {
        if (*number > INT64_MAX / 10 - 1)
            return false;
        *number = *number * 10 + (uint64_t)(text->at[0] - '0');
        text->at++;
        text->size--;
    }
    return text->at != start;
}

static bool in_range(const struct config_key *key, uint64_t number)
{
    return number >= key->min && number <= key->max;
}

static bool parse_number(const struct config_key *key, struct text value, uint32_t *field)
{
    uint64_t number;

    if (!take_number(&value, &number) || value.size != 0 || !in_range(key, number))
        return false;
    *field = (uint32_t)number;
    return true;
}

static bool parse_percent(const struct config_key *key, struct text value, uint32_t *field)
{
    if (value.size > 0 && value.at[value.size - 1] == '%')
        value.size--;
    return parse_number(key, value, field);
}

static bool parse_size(const struct config_key *key, struct text value, uint64_t *field)
{
    static const char suffixes[] = "KMGkmg";
    uint64_t number;
    unsigned int shift = 0;

    if (!take_number(&value, &number) || value.size > 1)
        return false;
    if (value.size == 1) {
        const char *suffix = value.at[0] == '\0' ? NULL : strchr(suffixes, value.at[0]);

        if (suffix == NULL)
            return false;
        shift = ((unsigned int)(suffix - suffixes) % 3 + 1) * 10;
    }
    if (number > key->max >> shift)
        return false;
    number <<= shift;
    if (!in_range(key, number) || !is_aligned(number, PAGE_SIZE))
        return false;
    *field = number;
    return true;
}

static bool parse_time(const struct config_key *key, struct text value, uint32_t *field)
{
    uint64_t number;

    if (!take_number(&value, &number) || number > key->max)
        return false;
    if (text_is(value, "ms"))
        number *= 1000;
    else if (!text_is(value, "us"))
        return false;
    if (!in_range(key, number))
        return false;
    *field = (uint32_t)number;
    return true;
}

static bool parse_flag(struct text value, bool *field)
{
    bool yes = text_is(value, "yes") || text_is(value, "on");

    if (!yes && !text_is(value, "no") && !text_is(value, "off"))
        return false;
    *field = yes;
    return true;
}

static bool parse_cid(const struct config_key *key, struct text value, uint32_t *field)
{
    bool on;

    if (!parse_flag(value, &on))
        return parse_number(key, value, field);
    *field = on ? CONFIG_CID_ANY : 0;
    return true;
}

static bool parse_choice(const struct config_key *key, struct text value, uint8_t *field)
{
    for (uint8_t i = 0; key->choices[i] != NULL; i++) {
        if (text_is(value, key->choices[i])) {
            *field = i;
            return true;
        }
    }
    return false;
}

static bool parse_text(const struct config_key *key, struct text value, char *field)
{
    if (value.size >= key->max)
        return false;
    memcpy(field, value.at, value.size);
    field[value.size] = '\0';
    return true;
}

static bool parse_file_name(const struct config_key *key, struct text value, char *field)
{
    if (value.size == 0)
        return false;
    for (size_t i = 0; i < value.size; i++)
        if (value.at[i] == '/' || value.at[i] == '\\' || value.at[i] <= ' ' || value.at[i] > '~')
            return false;
    return parse_text(key, value, field);
}

/* Splits "FIRST, SECOND" at the comma; false: there is none, and all is the first. */
static bool split(struct text value, struct text *first, struct text *second)
{
    *first = value;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] == ',') {
            *first = trim((struct text){value.at, i});
            *second = trim((struct text){value.at + i + 1, value.size - i - 1});
            return true;
        }
    }
    return false;
}

/* "FILE", or "FILE, ro", or "FILE, cow". */
static bool parse_disk(const struct config_key *key, struct text value, struct config_disk *field)
{
    struct text file, mode = {"cow", 3};

    split(value, &file, &mode);
    if (!text_is(mode, "ro") && !text_is(mode, "cow"))
        return false;
    if (!parse_file_name(key, file, field->file))
        return false;
    field->read_only = text_is(mode, "ro");
    return true;
}

/* "NAME, SIZE". */
static bool parse_share(const struct config_key *key, struct text value, struct config_share *field)
{
    struct text name, rest;
    uint64_t size;

    if (!split(value, &name, &rest) || name.size == 0 || name.size >= CONFIG_NAME_SIZE)
        return false;
    if (!parse_size(key, rest, &size) || (size & (size - 1)) != 0)
        return false;
    memcpy(field->name, name.at, name.size);
    field->size = size;
    return true;
}

bool text_is_name(struct text text)
{
    if (text.size == 0 || text.size >= CONFIG_NAME_SIZE)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return true;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* "02:00:00:00:00:01": that of one station. */
static bool parse_mac(struct text value, uint64_t *mac)
{
    *mac = 0;
    if (value.size != 17)
        return false;
    for (size_t i = 0; i < value.size; i++) {
        int digit = hex_digit(value.at[i]);

        if (i % 3 == 2 ? value.at[i] != ':' : digit < 0)
            return false;
        if (i % 3 != 2)
            *mac = *mac << 4 | (unsigned int)digit;
    }
    return *mac != 0 && !(*mac & MAC_MULTICAST);
}

/* "SWITCH", or "SWITCH, MAC". */
static bool parse_net(struct text value, struct config_net *field)
{
    struct text name, mac;
    uint64_t number = 0;

    if (split(value, &name, &mac) && !parse_mac(mac, &number))
        return false;
    if (!text_is_name(name))
        return false;
    memcpy(field->name, name.at, name.size);
    field->name[name.size] = '\0';
    field->mac = number;
    return true;
}

/* Takes "N" or "N-M" off the front. */
static bool take_cpu_range(const struct config_key *key, struct text *text, uint64_t *cpus)
{
    uint64_t first, last;

    if (!take_number(text, &first))
        return false;
    last = first;
    if (text->size > 0 && text->at[0] == '-') {
        text->at++;
        text->size--;
        if (!take_number(text, &last))
            return false;
    }
    if (last < first || last > key->max)
        return false;
    for (uint64_t cpu = first; cpu <= last; cpu++)
        cpus[cpu / 64] |= BIT(cpu % 64);
    return true;
}

static bool parse_cpu_list(const struct config_key *key, struct text value, uint64_t *field)
{
    uint64_t cpus[CONFIG_MAX_CPUS / 64] = {0};

    for (;;) {
        if (!take_cpu_range(key, &value, cpus))
            return false;
        value = trim(value);
        if (value.size == 0)
            break;
        if (value.at[0] != ',')
            return false;
        value = trim((struct text){value.at + 1, value.size - 1});
    }
    memcpy(field, cpus, sizeof(cpus));
    return true;
}

bool config_parse_value(const struct config_key *key, struct text value, void *field)
{
    switch (key->kind) {
    case CONFIG_NUMBER:
        return parse_number(key, value, field);
    case CONFIG_PERCENT:
        return parse_percent(key, value, field);
    case CONFIG_SIZE:
        return parse_size(key, value, field);
    case CONFIG_TIME:
        return parse_time(key, value, field);
    case CONFIG_FLAG:
        return parse_flag(value, field);
    case CONFIG_CHOICE:
        return parse_choice(key, value, field);
    case CONFIG_FILE_NAME:
        return parse_file_name(key, value, field);
    case CONFIG_TEXT:
        return parse_text(key, value, field);
    case CONFIG_CPU_LIST:
        return parse_cpu_list(key, value, field);
    case CONFIG_DISK:
        return parse_disk(key, value, field);
    case CONFIG_SHARE:
        return parse_share(key, value, field);
    case CONFIG_NET:
        return parse_net(value, field);
    case CONFIG_CID:
        return parse_cid(key, value, field);
    }
    return false;
}

static size_t describe_choices(const struct config_key *key, char *buffer, size_t size)
{
    size_t used = 0;

    for (unsigned int i = 0; key->choices[i] != NULL && used < size; i++)
        used +=
            str_format(buffer + used, size - used, "%s%s", i == 0 ? "" : " or ", key->choices[i]);
    return used;
}

void config_describe(const struct config_key *key, char *buffer, size_t size)
{
    unsigned long long min = key->min, max = key->max;

    switch (key->kind) {
    case CONFIG_NUMBER:
        str_format(buffer, size, "a number from %llu to %llu", min, max);
        break;
    case CONFIG_PERCENT:
        str_format(buffer, size, "a percentage from %llu%% to %llu%%", min, max);
        break;
    case CONFIG_SIZE:
        str_format(buffer, size, "a size from %lluM to %lluG in steps of 4K, such as 512M",
                   min / MIB(1), max / GIB(1));
        break;
    case CONFIG_TIME:
        str_format(buffer, size, "a time from %lluus to %llums, such as 10ms", min, max / 1000);
        break;
    case CONFIG_FLAG:
        str_format(buffer, size, "yes or no, on or off");
        break;
    case CONFIG_CHOICE:
        describe_choices(key, buffer, size);
        break;
    case CONFIG_FILE_NAME:
        str_format(buffer, size,
                   "the name of a file beside " CONFIG_FILE ", at most %llu characters", max - 1);
        break;
    case CONFIG_TEXT:
        str_format(buffer, size, "at most %llu characters", max - 1);
        break;
    case CONFIG_CPU_LIST:
        str_format(buffer, size, "CPU numbers up to %llu, such as 0,2-3", max);
        break;
    case CONFIG_DISK:
        str_format(buffer, size,
                   "the name of a file beside " CONFIG_FILE
                   ", at most %llu characters, then perhaps \", ro\" or \", cow\"",
                   max - 1);
        break;
    case CONFIG_SHARE:
        str_format(buffer, size,
                   "another guest and a size from %lluK to %lluM, a power of two, such as two, 4M",
                   min / KIB(1), max / MIB(1));
        break;
    case CONFIG_NET:
        str_format(buffer, size,
                   "a switch's name of a-z, 0-9, _ and -, then perhaps a station's MAC address, "
                   "such as lan0, 02:00:00:00:00:01");
        break;
    case CONFIG_CID:
        str_format(buffer, size, "a number from %llu to %llu, on or off", min, max);
        break;
    }
}
