/* SPDX-License-Identifier: MIT */
/* mica.conf of any bytes: within bounds, errors counted, and nothing but legal values in guests
 * that may start. */
#include "hv/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned int reported;

static void count(void *ctx, const char *message)
{
    reported++;
    for (const char *c = message; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            abort();
}

static void check_guest(const struct guest_config *guest)
{
    if (guest->bad)
        return;
    if (guest->memory < LAYOUT_MEMORY_MIN || guest->memory > LAYOUT_MEMORY_MAX ||
        guest->memory % PAGE_SIZE != 0 || guest->vcpus < 1 || guest->vcpus > LAYOUT_MAX_VCPUS)
        abort();
    if (guest->kernel[0] == '\0' || strlen(guest->kernel) >= CONFIG_FILE_SIZE ||
        strlen(guest->cmdline) >= CONFIG_CMDLINE_SIZE || strlen(guest->name) >= CONFIG_NAME_SIZE)
        abort();
    if (guest->cap < 1 || guest->cap > 100 || guest->weight < 1 ||
        guest->budget_us > guest->period_us || guest->on_crash > GUEST_RESTART)
        abort();
}

static bool has_every_file(void *ctx, const char *name)
{
    return true;
}

static uint64_t size_of_file(void *ctx, const char *name)
{
    return 512;
}

/* Who may start with another shares with it what that one shares with it. */
static void check_share(const struct config *config, const struct guest_config *guest)
{
    const struct config_share *share = &guest->share;

    if (guest->bad || share->name[0] == '\0')
        return;
    if (share->size < PAGE_SIZE || share->size > LAYOUT_SHARE_MAX ||
        share->size & (share->size - 1))
        abort();
    for (uint32_t i = 0; i < config->guest_count; i++) {
        const struct guest_config *other = &config->guests[i];

        if (strcmp(other->name, share->name) == 0 && other != guest &&
            strcmp(other->share.name, guest->name) == 0 && other->share.size == share->size)
            return;
    }
    abort();
}

static void parse(const char *text, size_t size)
{
    static struct config config;
    const struct config_sink sink = {NULL, count};
    const struct config_machine machine = {
        .cpu_count = 2, .memory = GIB(1), .has_file = has_every_file, .file_size = size_of_file};

    reported = 0;
    unsigned int errors = config_parse(text, size, &config, &sink);
    if (reported != (errors > CONFIG_MAX_ERRORS ? CONFIG_MAX_ERRORS + 1 : errors))
        abort();
    for (uint32_t i = 0; i < config.guest_count; i++)
        check_guest(&config.guests[i]);
    config_check(&config, &machine, &sink);
    for (uint32_t i = 0; i < config.guest_count; i++)
        check_share(&config, &config.guests[i]);
}

/* Lines that random bytes would hardly ever be; a byte chooses one. */
static const char *const words[] = {
    "[host]",       "[guest a]",  "[guest b]",  "kernel = ",   "initrd = ", "cmdline = ",
    "memory = ",    "vcpus",      "cpus = 1-3", "weight = 1",  "cap = 5",   "period = 1",
    "budget = 1",   "ms",         "us",         "\n",          "\r\n",      " # ",
    "4M",           "5G",         "99999",      "console",     " = yes",    "log = debug",
    "on-crash",     " = restart", "fast = off", ",",           "-",         "%",
    "\xef\xbb\xbf", "memory=4M",  "kernel=k\n", "\nmemory=8M", "k\n",       "share = a",
    "share = b",    ",4K",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[16 * 1024];
    size_t used = 0;

    parse((const char *)data, size);
    for (size_t i = 0; i < size && used + 32 < sizeof(text); i++) {
        if (data[i] % 4 == 3) {
            text[used++] = (char)data[i];
        } else {
            const char *word = words[data[i] % (sizeof(words) / sizeof(words[0]))];

            memcpy(text + used, word, strlen(word));
            used += strlen(word);
        }
    }
    parse(text, used);
    return 0;
}
