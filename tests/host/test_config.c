/* SPDX-License-Identifier: MIT */
/* mica.conf: what each key gives, and that every error names its line and touches its own guest
 * only. */
#include "hv/config.h"
#include "hv/log.h"
#include "tests/host/check.h"

#include <stdlib.h>
#include <string.h>

static struct config config;
static char messages[64 * 1024];
static unsigned int reported;

static void collect(void *ctx, const char *message)
{
    size_t used = strlen(messages);

    reported++;
    snprintf(messages + used, sizeof(messages) - used, "%s\n", message);
}

static const struct config_sink sink = {NULL, collect};

/* Parses a copy of exactly that size, so that ASan sees a byte read past it. */
static unsigned int parse_bytes(const char *text, size_t size)
{
    char *copy = malloc(size);

    memset(&config, 0xaa, sizeof(config));
    messages[0] = '\0';
    reported = 0;
    if (size != 0)
        memcpy(copy, text, size);
    unsigned int errors = config_parse(copy, size, &config, &sink);
    free(copy);
    return errors;
}

static unsigned int parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static const char demo[] = "# the demo\n"
                           "[host]\n"
                           "console = none\n"
                           "framebuffer = off\n"
                           "log=debug\n"
                           "mitigations = off      # measures\n"
                           "when-done = poweroff\n"
                           "\n"
                           "[ guest   debian ]   # a guest\n"
                           "  kernel = vmlinuz\n"
                           "\tinitrd\t=\tinitrd.img\n"
                           "cmdline = console=ttyS0 root=/dev/vda1 a#b # comment\n"
                           "memory = 512M\n"
                           "vcpus = 32\n"
                           "cpus = 1-3, 5,255\n"
                           "weight = 10000\n"
                           "cap = 50%\n"
                           "period = 10ms\n"
                           "budget = 1500us\n"
                           "console = yes\n"
                           "balloon = on\n"
                           "overcommit = on\n"
                           "testdev = on\n"
                           "fast = off\n"
                           "apicv = off\n"
                           "on-crash = restart\n"
                           "on-reboot = stop\n"
                           "autostart = no\n"
                           "[guest b_0-x]\n"
                           "kernel = hello.bin\n"
                           "memory = 4M";

static void test_values(void)
{
    CHECK(parse(demo) == 0 && messages[0] == '\0', "a file with every key has no error");
    CHECK(config.host.console == HOST_CONSOLE_NONE && !config.host.framebuffer &&
              config.host.log == LOG_DEBUG && !config.host.mitigations &&
              config.host.when_done == WHEN_DONE_POWEROFF,
          "the keys of [host] are taken");

    const struct guest_config *guest = &config.guests[0];
    CHECK(config.guest_count == 2 && strcmp(guest->name, "debian") == 0 && guest->line == 9 &&
              !guest->bad,
          "a guest has its name and line");
    CHECK(strcmp(guest->kernel, "vmlinuz") == 0 && strcmp(guest->initrd, "initrd.img") == 0,
          "files are taken without the blanks around them");
    CHECK(strcmp(guest->cmdline, "console=ttyS0 root=/dev/vda1 a#b") == 0,
          "a command line keeps '=' and an inner '#', and loses the comment");
    CHECK(guest->memory == MIB(512) && guest->vcpus == 32 && guest->weight == 10000 &&
              guest->cap == 50 && guest->period_us == 10000 && guest->budget_us == 1500,
          "sizes, numbers, percentages and times are taken");
    CHECK(guest->cpus[0] == 0x2e && guest->cpus[1] == 0 && guest->cpus[3] == 1ull << 63,
          "a list of CPUs is a set");
    CHECK(config_may_use_cpu(guest, 5) && !config_may_use_cpu(guest, 4) &&
              config_may_use_cpu(guest, 255) && !config_may_use_cpu(guest, 256),
          "the set is asked within its bounds");
    CHECK(guest->console && guest->testdev && guest->balloon && guest->overcommit && !guest->fast &&
              !guest->apicv && !guest->autostart && guest->on_crash == GUEST_RESTART &&
              guest->on_reboot == GUEST_STOP,
          "flags and choices are taken");
}

static void test_defaults(void)
{
    CHECK(parse("[guest a]\nkernel=k\nmemory=4M\n") == 0, "kernel and memory are enough");

    const struct guest_config *guest = &config.guests[0];
    CHECK(config.host.console == HOST_CONSOLE_COM1 && config.host.framebuffer &&
              config.host.log == LOG_INFO && config.host.mitigations &&
              config.host.when_done == WHEN_DONE_MONITOR,
          "[host] has defaults");
    CHECK(guest->vcpus == 1 && guest->weight == 256 && guest->cap == 100 && guest->period_us == 0 &&
              guest->budget_us == 0 && !guest->console && !guest->testdev && !guest->balloon &&
              !guest->overcommit && guest->fast && guest->apicv && guest->autostart &&
              guest->on_crash == GUEST_STOP && guest->on_reboot == GUEST_RESTART &&
              guest->initrd[0] == '\0' && guest->cmdline[0] == '\0',
          "[guest] has defaults");
    CHECK((guest->cpus[0] & guest->cpus[1] & guest->cpus[2] & guest->cpus[3]) == UINT64_MAX,
          "a guest may use all CPUs by default");
    CHECK(parse("") == 0 && config.guest_count == 0, "an empty file is no error");
    CHECK(parse("[guest a]\nkernel=k\nmemory=4M\ncmdline=\n") == 0 &&
              config.guests[0].cmdline[0] == '\0',
          "a command line may be empty");
}

static void test_line_ends(void)
{
    CHECK(parse("\xef\xbb\xbf[guest a]\r\nkernel = k\r\n\r\nmemory = 4M\r\n") == 0 &&
              strcmp(config.guests[0].kernel, "k") == 0,
          "a byte order mark and CRLF are accepted");
    CHECK(parse("[guest a]\nkernel=k\nmemory=4M\ncmdline = x\r") == 0 &&
              strcmp(config.guests[0].cmdline, "x") == 0,
          "the last line may lack its end");
    CHECK(parse("\xef\xbb") == 1 && parse("\xef\xbb\xbf") == 0,
          "half of a byte order mark is text");
    CHECK(parse("[guest a]\nkernel=k\nmemory=4M\ncmdline = caf\xc3\xa9\n") == 0 &&
              strcmp(config.guests[0].cmdline, "caf\xc3\xa9") == 0,
          "a command line may hold bytes above 0x7f");
}

#define GUEST(lines) "[guest a]\nkernel = k\nmemory = 4M\n" lines

/* Texts with exactly one error each. */
#define EXPECTED_CID "mica.conf:4: vsock: expected a number from 3 to 4294967294, on or off; found "
#define EXPECTED_DISK                                                                          \
    "mica.conf:4: disk: expected the name of a file beside mica.conf, at most 63 characters, " \
    "then "                                                                                    \
    "perhaps \", ro\" or \", cow\"; found "

#define EXPECTED_SHARE                                                                             \
    "mica.conf:4: share: expected another guest and a size from 4K to 256M, a power of two, such " \
    "as two, 4M; found "

#define EXPECTED_NET                                                                   \
    "mica.conf:4: net: expected a switch's name of a-z, 0-9, _ and -, then perhaps a " \
    "station's MAC address, such as lan0, 02:00:00:00:00:01; found "

static const struct {
    const char *text, *message;
} wrong[] = {
    {"kernel = k\n", "mica.conf:1: kernel: expected a section before it, [host] or [guest NAME]"},
    {"hello\n", "mica.conf:1: hello: expected a section before it, [host] or [guest NAME]"},
    {"[network]\nx = y\n",
     "mica.conf:1: section: expected [host] or [guest NAME]; found \"[network]\""},
    {"[guest a\n", "mica.conf:1: section: expected [host] or [guest NAME]; found \"[guest a\""},
    {"[\n", "mica.conf:1: section: expected [host] or [guest NAME]; found \"[\""},
    {"[]\n", "mica.conf:1: section: expected [host] or [guest NAME]; found \"[]\""},
    {"[guest]\n", "mica.conf:1: section: expected [host] or [guest NAME]; found \"[guest]\""},
    {"[guesta]\n", "mica.conf:1: section: expected [host] or [guest NAME]; found \"[guesta]\""},
    {"[host]\n[host]\n", "mica.conf:2: [host]: expected once; it was at line 1 already"},
    {"[host]\nlog = loud\n",
     "mica.conf:2: log: expected error or warn or info or debug; found \"loud\""},
    {"[host]\nkernel = k\n", "mica.conf:2: kernel: expected a key of [host]; this one is unknown"},
    {"[guest A]\nkernel = k\n",
     "mica.conf:1: [guest]: expected a name of a-z, 0-9, _ and -, at most "
     "31 characters; found \"A\""},
    {"[guest a b]\n", "mica.conf:1: [guest]: expected a name of a-z, 0-9, _ and -, at most "
                      "31 characters; found \"a b\""},
    {"[guest abcdefghijklmnopqrstuvwxyz012345]\n",
     "mica.conf:1: [guest]: expected a name of a-z, 0-9, _ and -, at most 31 characters; "
     "found \"abcdefghijklmnopqrstuvwxyz012345\""},
    {"[guest \x1b[2J\xff]\n", "mica.conf:1: line: expected text; found a byte 0x1b"},
    {GUEST("[guest a]\nkernel = k\n"),
     "mica.conf:4: [guest]: expected a new name; there is a \"a\" at line 1"},
    {"[guest a]\nmemory = 4M\n", "mica.conf:1: kernel: expected in [guest a], and missing"},
    {"[guest a]\nkernel = k\n", "mica.conf:1: memory: expected in [guest a], and missing"},
    {GUEST("disks = d\n"), "mica.conf:4: disks: expected a key of [guest]; this one is unknown"},
    {GUEST("input = ps2\n"), "mica.conf:4: input: expected uart or virtio; found \"ps2\""},
    {GUEST("vsock = 2\n"), EXPECTED_CID "\"2\""},
    {GUEST("vsock = 4294967295\n"), EXPECTED_CID "\"4294967295\""},
    {GUEST("vsock = maybe\n"), EXPECTED_CID "\"maybe\""},
    {GUEST("disk = d, rw\n"), EXPECTED_DISK "\"d, rw\""},
    {GUEST("disk = , ro\n"), EXPECTED_DISK "\", ro\""},
    {GUEST("disk = d, ro, cow\n"), EXPECTED_DISK "\"d, ro, cow\""},
    {GUEST("disk =\n"), EXPECTED_DISK "\"\""},
    {GUEST("share = b\n"), EXPECTED_SHARE "\"b\""},
    {GUEST("share = , 4K\n"), EXPECTED_SHARE "\", 4K\""},
    {GUEST("share = b, 12K\n"), EXPECTED_SHARE "\"b, 12K\""},
    {GUEST("share = b, 2K\n"), EXPECTED_SHARE "\"b, 2K\""},
    {GUEST("share = b, 512M\n"), EXPECTED_SHARE "\"b, 512M\""},
    {GUEST("share = b, 4K, 4K\n"), EXPECTED_SHARE "\"b, 4K, 4K\""},
    {GUEST("share = abcdefghijklmnopqrstuvwxyz012345, 4K\n"),
     EXPECTED_SHARE "\"abcdefghijklmnopqrstuvwxyz012345, 4K\""},
    {GUEST("net =\n"), EXPECTED_NET "\"\""},
    {GUEST("net = Lan\n"), EXPECTED_NET "\"Lan\""},
    {GUEST("net = , 02:00:00:00:00:01\n"), EXPECTED_NET "\", 02:00:00:00:00:01\""},
    {GUEST("net = abcdefghijklmnopqrstuvwxyz012345\n"),
     EXPECTED_NET "\"abcdefghijklmnopqrstuvwxyz012345\""},
    {GUEST("net = lan,\n"), EXPECTED_NET "\"lan,\""},
    {GUEST("net = lan, 00:00:00:00:00:00\n"), EXPECTED_NET "\"lan, 00:00:00:00:00:00\""},
    {GUEST("net = lan, 03:00:00:00:00:01\n"), EXPECTED_NET "\"lan, 03:00:00:00:00:01\""},
    {GUEST("net = lan, 02:00:00:00:00:0\n"), EXPECTED_NET "\"lan, 02:00:00:00:00:0\""},
    {GUEST("net = lan, 02:00:00:00:00:0g\n"), EXPECTED_NET "\"lan, 02:00:00:00:00:0g\""},
    {GUEST("net = lan, 02-00-00-00-00-01\n"), EXPECTED_NET "\"lan, 02-00-00-00-00-01\""},
    {GUEST("net = lan, 02:00:00:00:00:01 a\n"), EXPECTED_NET "\"lan, 02:00:00:00:00:01 a\""},
    {GUEST("net = lan, 02:00:00:00:00:01, a\n"), EXPECTED_NET "\"lan, 02:00:00:00:00:01, a\""},
    {GUEST("= d\n"), "mica.conf:4: : expected a key of [guest]; this one is unknown"},
    {GUEST("Vcpus = 1\n"), "mica.conf:4: Vcpus: expected a key of [guest]; this one is unknown"},
    {GUEST("vcpus\n"), "mica.conf:4: vcpus: expected \"key = value\""},
    {GUEST("vcpus = 1\nvcpus = 2\n"),
     "mica.conf:5: vcpus: expected once; it was at line 4 already"},
    {GUEST("disk = a\ndisk = b\ndisk = c\ndisk = d\ndisk = e\n"),
     "mica.conf:8: disk: expected at most 4; the last of these was at line 7"},
    {GUEST("vcpus = 0\n"), "mica.conf:4: vcpus: expected a number from 1 to 32; found \"0\""},
    {GUEST("vcpus = 33\n"), "mica.conf:4: vcpus: expected a number from 1 to 32; found \"33\""},
    {GUEST("vcpus = -1\n"), "mica.conf:4: vcpus: expected a number from 1 to 32; found \"-1\""},
    {GUEST("vcpus = 1 2\n"), "mica.conf:4: vcpus: expected a number from 1 to 32; found \"1 2\""},
    {GUEST("vcpus =\n"), "mica.conf:4: vcpus: expected a number from 1 to 32; found \"\""},
    {GUEST("vcpus = 4294967297\n"),
     "mica.conf:4: vcpus: expected a number from 1 to 32; found \"4294967297\""},
    {GUEST("vcpus = 18446744073709551617\n"),
     "mica.conf:4: vcpus: expected a number from 1 to 32; found \"18446744073709551617\""},
    {GUEST("weight = 0\n"), "mica.conf:4: weight: expected a number from 1 to 10000; found \"0\""},
    {GUEST("cap = 101%\n"),
     "mica.conf:4: cap: expected a percentage from 1% to 100%; found \"101%\""},
    {GUEST("cap = %\n"), "mica.conf:4: cap: expected a percentage from 1% to 100%; found \"%\""},
    {GUEST("cpus = 256\n"),
     "mica.conf:4: cpus: expected CPU numbers up to 255, such as 0,2-3; found \"256\""},
    {GUEST("cpus = 3-1\n"),
     "mica.conf:4: cpus: expected CPU numbers up to 255, such as 0,2-3; found \"3-1\""},
    {GUEST("cpus = 1,\n"),
     "mica.conf:4: cpus: expected CPU numbers up to 255, such as 0,2-3; found \"1,\""},
    {GUEST("cpus = 1-\n"),
     "mica.conf:4: cpus: expected CPU numbers up to 255, such as 0,2-3; found \"1-\""},
    {GUEST("cpus = 1 2\n"),
     "mica.conf:4: cpus: expected CPU numbers up to 255, such as 0,2-3; found \"1 2\""},
    {GUEST("cpus = 0-9223372036854775808\n"),
     "mica.conf:4: cpus: expected CPU numbers up to 255, such as 0,2-3; found "
     "\"0-9223372036854775808\""},
    {GUEST("period = 10ms\n"), "mica.conf:1: budget: expected in [guest a], and missing"},
    {GUEST("budget = 10ms\n"), "mica.conf:1: period: expected in [guest a], and missing"},
    {GUEST("budget = 2ms\nperiod = 1999us\n"),
     "mica.conf:4: budget: expected at most the period, 1999us; found 2000us"},
    {GUEST("period = 10\nbudget = 1ms\n"),
     "mica.conf:4: period: expected a time from 10us to 10000ms, such as 10ms; found \"10\""},
    {GUEST("period = 10001ms\nbudget = 1ms\n"),
     "mica.conf:4: period: expected a time from 10us to 10000ms, such as 10ms; found \"10001ms\""},
    {GUEST("console = maybe\n"),
     "mica.conf:4: console: expected yes or no, on or off; found \"maybe\""},
    {GUEST("on-crash = explode\n"),
     "mica.conf:4: on-crash: expected stop or restart; found \"explode\""},
    {GUEST("initrd = ../x\n"),
     "mica.conf:4: initrd: expected the name of a file beside mica.conf, at "
     "most 63 characters; found \"../x\""},
    {GUEST("initrd =\n"),
     "mica.conf:4: initrd: expected the name of a file beside mica.conf, at most "
     "63 characters; found \"\""},
    {GUEST("cmdline = a\tb\x01\n"), "mica.conf:4: line: expected text; found a byte 0x01"},
    {GUEST("initrd = \xc3\xa9\n"),
     "mica.conf:4: initrd: expected the name of a file beside mica.conf, "
     "at most 63 characters; found \"??\""},
    {GUEST("cmdline = a\rb\n"), "mica.conf:4: line: expected text; found a byte 0x0d"},
};

static void test_errors(void)
{
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        unsigned int errors = parse(wrong[i].text);
        size_t length = strlen(wrong[i].message);
        bool ok = errors == 1 && reported == 1 &&
                  strncmp(messages, wrong[i].message, length) == 0 && messages[length] == '\n';

        if (!CHECK(ok, wrong[i].message))
            printf("# %u errors: %s", errors, messages);
    }
}

static void test_sizes(void)
{
    static const struct {
        const char *text;
        uint64_t size; /* 0: refused */
    } sizes[] = {
        {"4M", MIB(4)},
        {"4096K", MIB(4)},
        {"4194304", MIB(4)},
        {"5m", MIB(5)},
        {"1g", GIB(1)},
        {"4100K", KIB(4100)},
        {"512G", GIB(512)},
        {"3M", 0},
        {"1K", 0},
        {"0", 0},
        {"4194305", 0},
        {"4098K", 0},
        {"513G", 0},
        {"17179869184G", 0},
        {"18014398509482016K", 0},
        {"9223372036854775807", 0},
        {"99999999999999999999", 0},
        {"0x1000000", 0},
        {"4MB", 0},
        {"4 M", 0},
        {"M", 0},
        {"4T", 0},
        {"-4M", 0},
        {"4.5M", 0},
    };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char text[128], what[64];

        snprintf(text, sizeof(text), "[guest a]\nkernel=k\nmemory=%s\n", sizes[i].text);
        snprintf(what, sizeof(what), "memory = %s is %s", sizes[i].text,
                 sizes[i].size ? "taken" : "refused");
        unsigned int errors = parse(text);
        CHECK(errors == (sizes[i].size == 0) && config.guests[0].bad == (sizes[i].size == 0) &&
                  config.guests[0].memory == sizes[i].size,
              what);
    }
}

static void test_isolation(void)
{
    unsigned int errors = parse("[host]\nlog = loud\nwhen-done = poweroff\n"
                                "[guest a]\nkernel = k\nmemory = 4M\nvcpus = x\n"
                                "[guest b]\nkernel = k\nmemory = 4M\n"
                                "[nonsense]\nmemory = x\n\x01\n"
                                "[guest c]\nkernel = k\nmemory = 4M\n"
                                "[guest a]\nkernel = k\nmemory = 5M\n");

    CHECK(errors == 5 && reported == 5,
          "each error is reported once, what an unknown section holds not");
    CHECK(config.guest_count == 3 && config.guests[0].bad, "the guest with an error is bad");
    CHECK(!config.guests[1].bad && !config.guests[2].bad && config.guests[2].memory == MIB(4),
          "the guests before and after an error are not");
    CHECK(config.host.log == LOG_INFO && config.host.when_done == WHEN_DONE_POWEROFF,
          "an error in [host] leaves that key at its default");
    CHECK(parse(GUEST("[guest b]\nkernel=k\nmemory=4M\n[guest a]\nmemory = 8M\n")) == 1 &&
              config.guests[0].bad && config.guests[0].memory == MIB(4) && !config.guests[1].bad,
          "of two guests of one name neither starts");
}

static void test_limits(void)
{
    static char text[1 << 20];
    size_t used = (size_t)sprintf(text, GUEST("cmdline = "));

    memset(text + used, 'x', CONFIG_CMDLINE_SIZE - 1);
    CHECK(parse_bytes(text, used + CONFIG_CMDLINE_SIZE - 1) == 0 &&
              strlen(config.guests[0].cmdline) == CONFIG_CMDLINE_SIZE - 1,
          "the longest command line fits");
    memset(text + used, 'x', CONFIG_LINE_SIZE);
    CHECK(parse_bytes(text, used + CONFIG_CMDLINE_SIZE) == 1 && config.guests[0].bad &&
              strstr(messages, ":4: cmdline: expected at most 2047 characters; found \"xxxx") !=
                  NULL,
          "a longer one is refused");
    CHECK(parse_bytes(text, used + CONFIG_LINE_SIZE) == 1 && config.guests[0].bad &&
              strstr(messages, "mica.conf:4: line: expected at most 4095 characters") != NULL,
          "a line that is too long is refused");
    CHECK(parse_bytes("[guest a]\nkernel=k\nmemory=4M\nvcpus=1\0\n", 38) == 1 &&
              strstr(messages, "mica.conf:4: line: expected text; found a byte 0x00") != NULL,
          "a NUL byte is refused");

    used = 0;
    for (int i = 0; i < 65; i++)
        used += (size_t)sprintf(text + used, "[guest g%d]\nkernel=k\nmemory=4M\n", i);
    CHECK(parse(text) == 1 && config.guest_count == 64 && !config.guests[63].bad &&
              strcmp(messages, "mica.conf:193: [guest]: expected at most 64 guests\n") == 0,
          "there are 64 guests; the next is refused");

    for (int i = 0; i < 5000; i++)
        text[i] = i % 2 ? '\n' : 'x';
    CHECK(parse_bytes(text, 5000) == 2500 && reported == CONFIG_MAX_ERRORS + 1 &&
              strstr(messages, "mica.conf:101: x: too many errors; the rest is not shown\n") !=
                  NULL,
          "the errors of a file that is none are counted and not all shown");
}

/* Images named after their size, but for "k". */
static bool has_image(void *ctx, const char *name)
{
    return name[0] != 'm';
}

static uint64_t size_of_image(void *ctx, const char *name)
{
    return strtoull(name, NULL, 10);
}

static void test_disks(void)
{
    static const struct config_machine machine = {
        .cpu_count = 2, .memory = MIB(100), .has_file = has_image, .file_size = size_of_image};

    CHECK(parse(GUEST("disk = 512 , ro\n")) == 0 && config_check(&config, &machine, &sink) == 0 &&
              strcmp(config.guests[0].disks[0].file, "512") == 0 &&
              config.guests[0].disks[0].read_only,
          "a read-only disk");
    CHECK(parse(GUEST("disk = 1048576\n")) == 0 && config_check(&config, &machine, &sink) == 0 &&
              !config.guests[0].disks[0].read_only && parse(GUEST("disk = 512,cow\n")) == 0 &&
              !config.guests[0].disks[0].read_only,
          "a disk is copied on writing where nothing else is said");
    CHECK(parse(GUEST("disk = missing\n")) == 0 && config_check(&config, &machine, &sink) == 1 &&
              strcmp(messages, "mica.conf:4: disk: expected a file beside mica.conf; there is no "
                               "\"missing\"\n") == 0,
          "a disk that is missing is refused");
    CHECK(parse(GUEST("disk = 513\n")) == 0 && config_check(&config, &machine, &sink) == 1 &&
              config.guests[0].bad &&
              strcmp(messages, "mica.conf:4: disk: expected an image of whole sectors, 512 bytes "
                               "each; \"513\" has 513 bytes\n") == 0,
          "so is one of an odd size");
    CHECK(parse(GUEST("disk = 0, ro\n")) == 0 && config_check(&config, &machine, &sink) == 1 &&
              config.guests[0].bad && reported == 1,
          "and an empty one");
}

static void test_many_disks(void)
{
    static const struct config_machine machine = {
        .cpu_count = 2, .memory = MIB(100), .has_file = has_image, .file_size = size_of_image};
    const struct config_disk *disks = config.guests[0].disks;

    CHECK(parse(GUEST("disk = 512\nvcpus = 2\ndisk = 1024, ro\n")) == 0 &&
              config_check(&config, &machine, &sink) == 0 && strcmp(disks[0].file, "512") == 0 &&
              !disks[0].read_only && strcmp(disks[1].file, "1024") == 0 && disks[1].read_only &&
              disks[2].line == 0 && disks[2].file[0] == '\0',
          "two disks, in their order");
    CHECK(parse(GUEST("disk = 512\ndisk = 512\ndisk = 512\ndisk = 512\n")) == 0 &&
              config_check(&config, &machine, &sink) == 0 && disks[3].line == 7,
          "four, of one image");
    CHECK(parse(GUEST("disk = 512\ndisk = 513\ndisk = missing\n")) == 0 &&
              config_check(&config, &machine, &sink) == 2 &&
              strcmp(messages, "mica.conf:5: disk: expected an image of whole sectors, 512 bytes "
                               "each; \"513\" has 513 bytes\n"
                               "mica.conf:6: disk: expected a file beside mica.conf; there is no "
                               "\"missing\"\n") == 0,
          "what is wrong with one is said at its line");
    CHECK(parse(GUEST("disk = 512\n") "[guest b]\nkernel = k\nmemory = 4M\ndisk = 1024\n") == 0 &&
              strcmp(config.guests[1].disks[0].file, "1024") == 0 && disks[1].line == 0,
          "each guest has its own");
}

/* Lines 1 to 4 and 5 to 8, each with a line of its own. */
static unsigned int parse_pair(const char *a, const char *b)
{
    static const struct config_machine machine = {
        .cpu_count = 2, .memory = MIB(100), .has_file = has_image, .file_size = size_of_image};
    char text[400];

    snprintf(text, sizeof(text), GUEST("%s\n") "[guest b]\nkernel = k\nmemory = 4M\n%s\n", a, b);
    if (parse(text) != 0)
        return ~0u;
    return config_check(&config, &machine, &sink);
}

static void test_shares(void)
{
    CHECK(parse_pair("share = b, 64K", "share=a,65536") == 0 &&
              strcmp(config.guests[0].share.name, "b") == 0 &&
              config.guests[0].share.size == KIB(64) && !config.guests[0].bad &&
              !config.guests[1].bad,
          "two guests share what both name");
    CHECK(parse_pair("share = b, 64K", "vcpus = 1") == 1 && config.guests[0].bad &&
              !config.guests[1].bad &&
              strcmp(messages, "mica.conf:4: share: expected that [guest b] at line 5 names this "
                               "one too, share = a, 64K\n") == 0,
          "one that is not named back is refused, and the other is not");
    CHECK(parse_pair("share = b, 64K", "share = c, 64K") == 2 && config.guests[1].bad &&
              strstr(messages, "mica.conf:8: share: expected a guest of this file; there is no "
                               "[guest c]\n") != NULL,
          "so is one that names nobody");
    CHECK(parse_pair("share = a, 4K", "") == 1 &&
              strcmp(messages, "mica.conf:4: share: expected another guest than [guest a] itself"
                               "\n") == 0,
          "or itself");
    CHECK(parse_pair("share = b, 4K", "share = a, 8K") == 2 && config.guests[0].bad &&
              config.guests[1].bad &&
              strcmp(messages, "mica.conf:4: share: expected 8K, as at line 8; found 4K\n"
                               "mica.conf:8: share: expected 4K, as at line 4; found 8K\n") == 0,
          "two sizes are refused at both");
    CHECK(parse_pair("share = \xff, 4K", "") == 1 &&
              strstr(messages, "there is no [guest ?]\n") != NULL,
          "what is no name is quoted as it may be shown");
}

#define TWO(a, b)                                     \
    "[guest a]\nkernel=k\nmemory=100M\nnet = " a "\n" \
    "[guest b]\nkernel=k\nmemory=100M\nnet = " b "\n"

static void test_net(void)
{
    uint64_t made[2];

    CHECK(parse(GUEST("net = lan_0-x , 00:1B:2c:3D:4e:5F\n")) == 0 &&
              strcmp(config.guests[0].net.name, "lan_0-x") == 0 &&
              config.guests[0].net.mac == 0x001b2c3d4e5f,
          "a switch and a MAC address");
    CHECK(parse(GUEST("\n")) == 0 && !config.guests[0].net.name[0] && !config.guests[0].net.mac,
          "no network where none is named");
    CHECK(parse(TWO("lan", "lan")) == 0, "addresses are made");
    made[0] = config.guests[0].net.mac;
    made[1] = config.guests[1].net.mac;
    CHECK((made[0] >> 40 & 3) == 2 && (made[1] >> 40 & 3) == 2 && made[0] != made[1],
          "of single stations, of no manufacturer");
    CHECK(parse(TWO("lan", "wan")) == 0 && config.guests[0].net.mac == made[0] &&
              config.guests[1].net.mac != made[1],
          "from the names of guest and switch alone");
    CHECK(parse(TWO("lan, 02:00:00:00:00:01", "lan, 02:00:00:00:00:01")) == 1 &&
              strcmp(messages, "mica.conf:8: net: expected another MAC address on lan than that of "
                               "a at line 4\n") == 0 &&
              !config.guests[0].bad && config.guests[1].bad,
          "the same twice on one switch is refused");
    CHECK(parse(TWO("lan, 02:00:00:00:00:01", "wan, 02:00:00:00:00:01")) == 0, "on two it is not");
}

static bool has_k(void *ctx, const char *name)
{
    return strcmp(name, "k") == 0;
}

static void test_machine(void)
{
    static const struct config_machine machine = {
        .cpu_count = 2, .memory = MIB(100), .has_file = has_k};

    CHECK(parse(GUEST("cpus = 0-1\ninitrd = k\n")) == 0 &&
              config_check(&config, &machine, &sink) == 0 && !config.guests[0].bad,
          "what the machine has is no error");
    CHECK(parse(GUEST("\n#\ncpus = 1,3,7\n")) == 0 && config_check(&config, &machine, &sink) == 1 &&
              config.guests[0].bad &&
              strcmp(messages,
                     "mica.conf:6: cpus: expected CPUs of this machine, 0 to 1; found 3\n") == 0,
          "a CPU that is not there is refused with its line");
    CHECK(
        parse("[guest a]\nkernel=k\nmemory=101M\n[guest b]\nkernel=k\nmemory=100M\n") == 0 &&
            config_check(&config, &machine, &sink) == 1 && config.guests[0].bad &&
            !config.guests[1].bad &&
            strcmp(messages,
                   "mica.conf:3: memory: expected at most the 100M that this machine has free\n") ==
                0,
        "memory beyond the machine is refused with its line");
    CHECK(
        parse("[guest a]\nkernel=missing\nmemory=4M\ninitrd = none\n") == 0 &&
            config_check(&config, &machine, &sink) == 2 &&
            strcmp(
                messages,
                "mica.conf:2: kernel: expected a file beside mica.conf; there is no \"missing\"\n"
                "mica.conf:4: initrd: expected a file beside mica.conf; there is no \"none\"\n") ==
                0,
        "missing files are refused with their lines");
}

#define MORE(name) "[guest " name "]\nkernel=k\nmemory=4M\n"

static void test_vsock(void)
{
    static const struct config_machine machine = {
        .cpu_count = 2, .memory = MIB(100), .has_file = has_image, .file_size = size_of_image};

    CHECK(parse(GUEST("vsock = off\n") MORE("b")
                    MORE("c") "vsock = on\n" MORE("d") "vsock = 4294967294\n") == 0 &&
              config_check(&config, &machine, &sink) == 0 && config.guests[0].vsock == 0 &&
              config.guests[1].vsock == 0 && config.guests[2].vsock == 5 &&
              config.guests[3].vsock == 0xfffffffe,
          "context ids: none, by the guest's number, as it is said");
    CHECK(parse(GUEST("vsock = 5\n") MORE("b") "vsock = 7\n" MORE("c") "vsock = on\n") == 0 &&
              config_check(&config, &machine, &sink) == 1 && !config.guests[0].bad &&
              !config.guests[1].bad && config.guests[2].bad &&
              strcmp(messages, "mica.conf:12: vsock: expected a context id of its own; 5 is that "
                               "of \"a\"\n") == 0,
          "two of one context id: the second is refused");
}

static void test_console(void)
{
    parse(GUEST(""));
    CHECK(config_console_guest(&config) == &config.guests[0], "the only guest has the console");
    parse(GUEST("console = no\n"));
    CHECK(config_console_guest(&config) == NULL, "unless it says no");
    parse(GUEST("[guest b]\nkernel=k\nmemory=4M\n"));
    CHECK(config_console_guest(&config) == NULL, "of two that do not ask none has it");
    parse(GUEST("[guest b]\nkernel=k\nmemory=4M\nconsole=yes\n[guest "
                "c]\nkernel=k\nmemory=4M\nconsole=yes\n"));
    CHECK(config_console_guest(&config) == &config.guests[1], "the first that asks has it");
}

static void test_help(void)
{
    char text[128];
    bool ok = true;

    for (unsigned int i = 0; i < config_key_count; i++) {
        config_describe(&config_keys[i], text, sizeof(text));
        ok &=
            strlen(text) > 4 && strlen(text) < sizeof(text) - 1 && strlen(config_keys[i].help) > 4;
    }
    CHECK(ok, "every key has a description and help");
    config_describe(&config_keys[1], text, 12);
    CHECK(strcmp(text, "error or wa") == 0, "a description is cut to its buffer");
}

/* However the file is cut, nothing is read past its end and every error is counted. */
static void test_every_length(void)
{
    bool ok = true;

    for (size_t size = 0; size < sizeof(demo); size++) {
        unsigned int errors = parse_bytes(demo, size);

        ok &= errors == reported && config.guest_count <= 2;
    }
    CHECK(ok, "a file cut at any length is judged within its bounds");
}

int main(void)
{
    test_values();
    test_defaults();
    test_line_ends();
    test_errors();
    test_sizes();
    test_isolation();
    test_limits();
    test_machine();
    test_disks();
    test_many_disks();
    test_shares();
    test_net();
    test_vsock();
    test_console();
    test_help();
    test_every_length();
    return check_done();
}
