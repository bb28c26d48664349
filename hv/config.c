/* SPDX-License-Identifier: MIT */
/*
 * Reads mica.conf: splits it into lines, finds each key in one table, and lets the key's kind
 * convert the value. Knows text only: whether this machine has the CPUs, the memory and the files
 * is asked afterwards, in config_check().
 */
#include "hv/config.h"

#include "hv/config_key.h"
#include "hv/log.h"
#include "hv/printf.h"
#include "hv/string.h"
#include "hv/vdev/vswitch.h"

#include <stdarg.h>

#define MESSAGE_SIZE 256
#define FOUND_SIZE   40 /* of a wrong value, as it is quoted */

#define WEIGHT_DEFAULT 256

enum place { PLACE_NOWHERE, PLACE_HOST, PLACE_GUEST, PLACE_SKIPPED };

struct parser {
    struct config *config;
    const struct config_sink *sink;
    uint32_t line;
    enum place place;           /* the section that the line is in */
    struct guest_config *guest; /* the guest concerned by an error; NULL outside of PLACE_GUEST */
    unsigned int errors;
    uint32_t host_line; /* of "[host]"; 0: not met */
};

static uint32_t guest_key_line(const struct guest_config *guest, const char *name)
{
    const struct config_key *key = config_find_key(CONFIG_GUEST, (struct text){name, strlen(name)});

    return key == NULL ? 0 : guest->lines[key - config_keys];
}

/* ---- Errors ---------------------------------------------------------------------------------- */

/* What the file says, fit to be quoted: short, and without anything that a terminal would obey. */
static const char *quote(struct text text, char found[FOUND_SIZE])
{
    size_t size = MIN(text.size, (size_t)FOUND_SIZE - 1);

    for (size_t i = 0; i < size; i++)
        found[i] = text.at[i] >= ' ' && text.at[i] <= '~' ? text.at[i] : '?';
    found[size] = '\0';
    return found;
}

static void report(const struct config_sink *sink, uint32_t line, const char *key,
                   const char *format, va_list arguments)
{
    char message[MESSAGE_SIZE];
    size_t used = str_format(message, sizeof(message), CONFIG_FILE ":%u: %s: ", line, key);

    if (used < sizeof(message))
        str_vformat(message + used, sizeof(message) - used, format, arguments);
    sink->error(sink->ctx, message);
}

/* An error in the present line, of the guest whose section it is in. */
static void PRINTF(3, 4) fail(struct parser *parser, const char *key, const char *format, ...)
{
    va_list arguments;

    if (parser->guest != NULL)
        parser->guest->bad = true;
    if (parser->errors++ > CONFIG_MAX_ERRORS)
        return;
    if (parser->errors > CONFIG_MAX_ERRORS)
        format = "too many errors; the rest is not shown";
    va_start(arguments, format);
    report(parser->sink, parser->line, key, format, arguments);
    va_end(arguments);
}

static void refuse(struct guest_config *guest, uint32_t line, const char *key,
                   const struct config_sink *sink, const char *format, va_list arguments)
{
    guest->bad = true;
    report(sink, line != 0 ? line : guest->line, key, format, arguments);
}

/* An error of a line whose key may have others. */
static void PRINTF(5, 6) refuse_line(struct guest_config *guest, uint32_t line, const char *key,
                                     const struct config_sink *sink, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    refuse(guest, line, key, sink, format, arguments);
    va_end(arguments);
}

void config_refuse(struct guest_config *guest, const char *key, const struct config_sink *sink,
                   const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    refuse(guest, guest_key_line(guest, key), key, sink, format, arguments);
    va_end(arguments);
}

/* ---- Sections -------------------------------------------------------------------------------- */

static struct guest_config *find_guest(struct config *config, struct text name)
{
    for (uint32_t i = 0; i < config->guest_count; i++)
        if (text_is(name, config->guests[i].name))
            return &config->guests[i];
    return NULL;
}

static struct guest_config *add_guest(struct config *config, struct text name, uint32_t line)
{
    struct guest_config *guest = &config->guests[config->guest_count++];

    memset(guest, 0, sizeof(*guest));
    guest->line = line;
    guest->vcpus = 1;
    guest->weight = WEIGHT_DEFAULT;
    guest->cap = 100;
    guest->fast = true;
    guest->apicv = true;
    guest->autostart = true;
    guest->on_crash = GUEST_STOP;
    guest->on_reboot = GUEST_RESTART;
    memset(guest->cpus, 0xff, sizeof(guest->cpus));
    memcpy(guest->name, name.at, name.size);
    return guest;
}

static void begin_host(struct parser *parser)
{
    parser->place = PLACE_HOST;
    if (parser->host_line != 0)
        fail(parser, "[host]", "expected once; it was at line %u already", parser->host_line);
    else
        parser->host_line = parser->line;
}

/* Which of two guests of one name is meant nobody knows: neither starts. */
static void begin_guest(struct parser *parser, struct text name)
{
    char found[FOUND_SIZE];
    struct guest_config *same = find_guest(parser->config, name);

    parser->place = PLACE_SKIPPED;
    if (!text_is_name(name)) {
        fail(parser, "[guest]",
             "expected a name of a-z, 0-9, _ and -, at most %u characters; found \"%s\"",
             CONFIG_NAME_SIZE - 1, quote(name, found));
    } else if (same != NULL) {
        parser->guest = same;
        fail(parser, "[guest]", "expected a new name; there is a \"%s\" at line %u", same->name,
             same->line);
        parser->guest = NULL;
    } else if (parser->config->guest_count == CONFIG_MAX_GUESTS) {
        fail(parser, "[guest]", "expected at most %u guests", CONFIG_MAX_GUESTS);
    } else {
        parser->guest = add_guest(parser->config, name, parser->line);
        parser->place = PLACE_GUEST;
    }
}

static void parse_section(struct parser *parser, struct text line)
{
    static const char guest_word[] = "guest";
    const size_t guest_size = sizeof(guest_word) - 1;
    char found[FOUND_SIZE];
    struct text inner = line;

    parser->guest = NULL;
    parser->place = PLACE_SKIPPED;
    if (line.size >= 2 && line.at[line.size - 1] == ']')
        inner = trim((struct text){line.at + 1, line.size - 2});
    if (text_is(inner, "host"))
        begin_host(parser);
    else if (inner.size > guest_size && memcmp(inner.at, guest_word, guest_size) == 0 &&
             is_blank(inner.at[guest_size]))
        begin_guest(parser, trim((struct text){inner.at + guest_size, inner.size - guest_size}));
    else
        fail(parser, "section", "expected [host] or [guest NAME]; found \"%s\"",
             quote(line, found));
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* The place of a key that is given once; a null pointer, and an error: it was given before. */
static void *only_place(struct parser *parser, const struct config_key *key, void *section,
                        uint32_t *lines)
{
    uint32_t *line = &lines[key - config_keys];

    if (*line != 0) {
        fail(parser, key->name, "expected once; it was at line %u already", *line);
        return NULL;
    }
    *line = parser->line;
    return (char *)section + key->offset;
}

/* The place of one more disk; likewise. */
static struct config_disk *next_disk(struct parser *parser, const struct config_key *key)
{
    struct config_disk *disk = parser->guest->disks, *end = disk + CONFIG_MAX_DISKS;

    while (disk < end && disk->line != 0)
        disk++;
    if (disk == end) {
        fail(parser, key->name, "expected at most %u; the last of these was at line %u",
             CONFIG_MAX_DISKS, disk[-1].line);
        return NULL;
    }
    disk->line = parser->line;
    return disk;
}

static void *place_of(struct parser *parser, const struct config_key *key)
{
    struct host_config *host = &parser->config->host;
    struct guest_config *guest = parser->guest;

    if (key->section == CONFIG_HOST)
        return only_place(parser, key, host, host->lines);
    if (key->kind == CONFIG_DISK)
        return next_disk(parser, key);
    return only_place(parser, key, guest, guest->lines);
}

static void assign(struct parser *parser, const struct config_key *key, struct text value)
{
    void *place = place_of(parser, key);
    char expected[MESSAGE_SIZE / 2], found[FOUND_SIZE];

    if (place && !config_parse_value(key, value, place)) {
        config_describe(key, expected, sizeof(expected));
        fail(parser, key->name, "expected %s; found \"%s\"", expected, quote(value, found));
    }
}

static void parse_assignment(struct parser *parser, struct text line)
{
    size_t equals = 0;
    char found[FOUND_SIZE];

    while (equals < line.size && line.at[equals] != '=')
        equals++;
    if (parser->place == PLACE_NOWHERE) {
        fail(parser, quote(trim((struct text){line.at, equals}), found),
             "expected a section before it, [host] or [guest NAME]");
    } else if (equals == line.size) {
        fail(parser, quote(line, found), "expected \"key = value\"");
    } else {
        struct text name = trim((struct text){line.at, equals});
        struct text value = trim((struct text){line.at + equals + 1, line.size - equals - 1});
        bool host = parser->place == PLACE_HOST;
        const struct config_key *key = config_find_key(host ? CONFIG_HOST : CONFIG_GUEST, name);

        if (key == NULL)
            fail(parser, quote(name, found), "expected a key of [%s]; this one is unknown",
                 host ? "host" : "guest");
        else
            assign(parser, key, value);
    }
}

static struct text without_comment(struct text line)
{
    for (size_t i = 0; i < line.size; i++)
        if (line.at[i] == '#' && (i == 0 || is_blank(line.at[i - 1])))
            line.size = i;
    return line;
}

/* Whether the line is text of a sane length; reports it when not. */
static bool is_text(struct parser *parser, struct text line)
{
    if (line.size >= CONFIG_LINE_SIZE) {
        fail(parser, "line", "expected at most %u characters", CONFIG_LINE_SIZE - 1);
        return false;
    }
    for (size_t i = 0; i < line.size; i++) {
        unsigned char c = (unsigned char)line.at[i];

        if ((c < ' ' && c != '\t') || c == 0x7f) {
            fail(parser, "line", "expected text; found a byte 0x%02x", c);
            return false;
        }
    }
    return true;
}

static void parse_line(struct parser *parser, struct text line)
{
    if (line.size > 0 && line.at[line.size - 1] == '\r')
        line.size--;
    if (!is_text(parser, line))
        return;
    line = trim(without_comment(line));
    if (line.size == 0)
        return;
    if (line.at[0] == '[')
        parse_section(parser, line);
    else if (parser->place != PLACE_SKIPPED)
        parse_assignment(parser, line);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void require(struct parser *parser, const char *name, bool present)
{
    struct guest_config *guest = parser->guest;

    if (!present && guest_key_line(guest, name) == 0)
        fail(parser, name, "expected in [guest %s], and missing", guest->name);
}

static void check_real_time(struct parser *parser)
{
    struct guest_config *guest = parser->guest;
    bool period = guest_key_line(guest, "period") != 0,
         budget = guest_key_line(guest, "budget") != 0;

    if (period)
        require(parser, "budget", budget);
    if (budget)
        require(parser, "period", period);
    if (guest->period_us != 0 && guest->budget_us > guest->period_us) {
        parser->line = guest_key_line(guest, "budget");
        fail(parser, "budget", "expected at most the period, %uus; found %uus", guest->period_us,
             guest->budget_us);
    }
}

/* FNV-1a. */
static uint64_t hash(uint64_t state, const char *text)
{
    do
        state = (state ^ (uint8_t)*text) * 0x100000001b3ull;
    while (*text++);
    return state;
}

/* The same at every boot, and of no manufacturer. */
static uint64_t make_mac(const struct guest_config *guest)
{
    uint64_t mac = hash(hash(0xcbf29ce484222325ull, guest->net.name), guest->name);

    return (BITS(mac ^ mac >> 16, 47, 0) & ~MAC_MULTICAST) | MAC_LOCAL;
}

static void check_net(struct parser *parser, struct guest_config *guest)
{
    if (guest->net.name[0] == '\0')
        return;
    if (guest->net.mac == 0)
        guest->net.mac = make_mac(guest);
    for (const struct guest_config *other = parser->config->guests; other != guest; other++) {
        if (other->net.mac != guest->net.mac || strcmp(other->net.name, guest->net.name) != 0)
            continue;
        parser->line = guest_key_line(guest, "net");
        fail(parser, "net", "expected another MAC address on %s than that of %s at line %u",
             guest->net.name, other->name, guest_key_line(other, "net"));
        return;
    }
}

static void check_guest(struct parser *parser, struct guest_config *guest)
{
    parser->guest = guest;
    parser->line = guest->line;
    require(parser, "kernel", guest->kernel[0] != '\0');
    require(parser, "memory", guest->memory != 0);
    check_real_time(parser);
    check_net(parser, guest);
}

static void set_host_defaults(struct host_config *host)
{
    *host = (struct host_config){.console = HOST_CONSOLE_COM1,
                                 .framebuffer = true,
                                 .log = LOG_INFO,
                                 .mitigations = true,
                                 .when_done = WHEN_DONE_MONITOR};
}

static void skip_byte_order_mark(struct text *text)
{
    if (text->size >= 3 && memcmp(text->at, "\xef\xbb\xbf", 3) == 0) {
        text->at += 3;
        text->size -= 3;
    }
}

unsigned int config_parse(const char *text, size_t size, struct config *config,
                          const struct config_sink *sink)
{
    struct parser parser = {.config = config, .sink = sink, .place = PLACE_NOWHERE};
    struct text rest = {text, size};

    set_host_defaults(&config->host);
    config->guest_count = 0;
    skip_byte_order_mark(&rest);
    while (rest.size > 0) {
        struct text line = {rest.at, 0};

        while (line.size < rest.size && line.at[line.size] != '\n')
            line.size++;
        parser.line++;
        parse_line(&parser, line);
        size_t used = MIN(line.size + 1, rest.size); /* the last line may lack its end */
        rest.at += used;
        rest.size -= used;
    }
    for (uint32_t i = 0; i < config->guest_count; i++)
        check_guest(&parser, &config->guests[i]);
    return parser.errors;
}

/* ---- The machine ----------------------------------------------------------------------------- */

static unsigned int check_cpus(struct guest_config *guest, const struct config_machine *machine,
                               const struct config_sink *sink)
{
    if (guest_key_line(guest, "cpus") == 0 || guest->bad) /* a wrong list has been named */
        return 0;
    for (unsigned int cpu = machine->cpu_count; cpu < CONFIG_MAX_CPUS; cpu++) {
        if (config_may_use_cpu(guest, cpu)) {
            config_refuse(guest, "cpus", sink, "expected CPUs of this machine, 0 to %u; found %u",
                          machine->cpu_count - 1, cpu);
            return 1;
        }
    }
    return 0;
}

static unsigned int check_file(struct guest_config *guest, uint32_t line, const char *key,
                               const char *name, const struct config_machine *machine,
                               const struct config_sink *sink)
{
    if (name[0] == '\0' || machine->has_file(machine->ctx, name))
        return 0;
    refuse_line(guest, line, key, sink,
                "expected a file beside " CONFIG_FILE "; there is no \"%s\"", name);
    return 1;
}

static unsigned int check_disk(struct guest_config *guest, const struct config_disk *disk,
                               const struct config_machine *machine, const struct config_sink *sink)
{
    uint64_t size;

    if (check_file(guest, disk->line, "disk", disk->file, machine, sink) != 0)
        return 1;
    size = machine->file_size(machine->ctx, disk->file);
    if (size != 0 && size % CONFIG_SECTOR_SIZE == 0)
        return 0;
    refuse_line(guest, disk->line, "disk", sink,
                "expected an image of whole sectors, %u bytes each; \"%s\" has %llu bytes",
                CONFIG_SECTOR_SIZE, disk->file, (unsigned long long)size);
    return 1;
}

static unsigned int check_files(struct guest_config *guest, const struct config_machine *machine,
                                const struct config_sink *sink)
{
    unsigned int errors = 0;

    errors +=
        check_file(guest, guest_key_line(guest, "kernel"), "kernel", guest->kernel, machine, sink);
    errors +=
        check_file(guest, guest_key_line(guest, "initrd"), "initrd", guest->initrd, machine, sink);
    for (unsigned int i = 0; i < CONFIG_MAX_DISKS; i++)
        if (guest->disks[i].file[0])
            errors += check_disk(guest, &guest->disks[i], machine, sink);
    return errors;
}

/* A pair is one when each names the other, and the same size. */
static unsigned int check_share(struct config *config, struct guest_config *guest,
                                const struct config_sink *sink)
{
    const struct text name = {guest->share.name, strlen(guest->share.name)};
    const struct guest_config *other = find_guest(config, name);
    char found[FOUND_SIZE];

    if (name.size == 0)
        return 0;
    if (other == NULL)
        config_refuse(guest, "share", sink, "expected a guest of this file; there is no [guest %s]",
                      quote(name, found));
    else if (other == guest)
        config_refuse(guest, "share", sink, "expected another guest than [guest %s] itself",
                      guest->name);
    else if (strcmp(other->share.name, guest->name) != 0)
        config_refuse(guest, "share", sink,
                      "expected that [guest %s] at line %u names this one too, share = %s, %lluK",
                      other->name, other->line, guest->name,
                      (unsigned long long)(guest->share.size / KIB(1)));
    else if (other->share.size != guest->share.size)
        config_refuse(guest, "share", sink, "expected %lluK, as at line %u; found %lluK",
                      (unsigned long long)(other->share.size / KIB(1)),
                      guest_key_line(other, "share"),
                      (unsigned long long)(guest->share.size / KIB(1)));
    else
        return 0;
    return 1;
}

static void number_sockets(struct config *config)
{
    for (uint32_t i = 0; i < config->guest_count; i++)
        if (config->guests[i].vsock == CONFIG_CID_ANY)
            config->guests[i].vsock = CONFIG_CID_MIN + i;
}

/* Of two with one number the first has it. */
static unsigned int check_vsock(const struct config *config, struct guest_config *guest,
                                const struct config_sink *sink)
{
    const struct guest_config *other = config->guests;

    while (other != guest && (other->vsock != guest->vsock || other->bad))
        other++;
    if (guest->vsock == 0 || other == guest)
        return 0;
    config_refuse(guest, "vsock", sink, "expected a context id of its own; %u is that of \"%s\"",
                  guest->vsock, other->name);
    return 1;
}

unsigned int config_check(struct config *config, const struct config_machine *machine,
                          const struct config_sink *sink)
{
    unsigned int errors = 0;

    number_sockets(config);
    for (uint32_t i = 0; i < config->guest_count; i++) {
        struct guest_config *guest = &config->guests[i];

        errors += check_cpus(guest, machine, sink);
        errors += check_files(guest, machine, sink);
        errors += check_share(config, guest, sink);
        errors += check_vsock(config, guest, sink);
        if (guest->memory > machine->memory) {
            config_refuse(guest, "memory", sink,
                          "expected at most the %lluM that this machine has free",
                          (unsigned long long)(machine->memory / MIB(1)));
            errors++;
        }
    }
    return errors;
}

const struct guest_config *config_console_guest(const struct config *config)
{
    for (uint32_t i = 0; i < config->guest_count; i++)
        if (config->guests[i].console)
            return &config->guests[i];
    if (config->guest_count == 1 && guest_key_line(&config->guests[0], "console") == 0)
        return &config->guests[0];
    return NULL;
}
