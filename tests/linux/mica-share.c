/* SPDX-License-Identifier: MIT */
/*
 * The memory that two Linux guests share, from user space: the files that sysfs has for the device.
 *
 *   mica-share                       which of the two this guest is, and how large the memory is
 *   mica-share write OFFSET TEXT     mica-share read OFFSET
 *   mica-share ring PEER VECTOR      mica-share wait VECTOR
 *
 * Without a driver nobody takes the device's interrupts: they are held back, and "wait" looks for
 * the bit that is pending.  A ring before the first call of all is lost.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEVICES      "/sys/bus/pci/devices"
#define VECTORS      4
#define WAIT_SECONDS 60

#define CONFIG_COMMAND      0x04
#define CONFIG_CAPABILITIES 0x34
#define COMMAND_ON          6 /* memory and bus master */
#define CAP_MSIX            0x11
#define MSIX_ON             0x8000
#define MSIX_MASK_ALL       0x4000

static char device[300];
static uint16_t msix; /* the place of its capability */
static volatile uint32_t *registers, *table;
static volatile uint64_t *pending;
static char *memory;
static size_t memory_size;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int open_file(const char *name, int flags)
{
    char path[400];
    int file;

    snprintf(path, sizeof(path), "%s/%s", device, name);
    file = open(path, flags);
    if (file < 0)
        fail(path);
    return file;
}

static unsigned long read_number(const char *name)
{
    char text[32] = "";
    int file = open_file(name, O_RDONLY);

    if (read(file, text, sizeof(text) - 1) < 0)
        fail(name);
    close(file);
    return strtoul(text, NULL, 16);
}

static bool find(void)
{
    DIR *folder = opendir(DEVICES);
    struct dirent *entry;

    while (folder && (entry = readdir(folder)) != NULL) {
        snprintf(device, sizeof(device), DEVICES "/%s", entry->d_name);
        if (entry->d_name[0] != '.' && read_number("vendor") == 0x1af4 &&
            read_number("device") == 0x1110)
            return true;
    }
    return false;
}

static uint16_t config_read(off_t at)
{
    uint16_t value = 0;
    int file = open_file("config", O_RDONLY);

    if (pread(file, &value, sizeof(value), at) != sizeof(value))
        fail("config");
    close(file);
    return value;
}

static void config_write(off_t at, uint16_t value)
{
    int file = open_file("config", O_WRONLY);

    if (pwrite(file, &value, sizeof(value), at) != sizeof(value))
        fail("config");
    close(file);
}

static void *map(const char *name, size_t *size)
{
    int file = open_file(name, O_RDWR);
    struct stat stat;
    void *address;

    if (fstat(file, &stat) != 0)
        fail(name);
    *size = (size_t)stat.st_size;
    address = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (address == MAP_FAILED)
        fail(name);
    close(file);
    return address;
}

/* The device is on, and what would be its interrupts becomes pending. */
static void set_up(void)
{
    int enable = open_file("enable", O_WRONLY);
    size_t size;

    if (write(enable, "1", 1) != 1)
        fail("enable");
    close(enable);
    config_write(CONFIG_COMMAND, COMMAND_ON);
    msix = config_read(CONFIG_CAPABILITIES) & 0xff;
    while (msix && (config_read(msix) & 0xff) != CAP_MSIX)
        msix = config_read(msix) >> 8;
    config_write(msix + 2, MSIX_ON | MSIX_MASK_ALL);
    registers = map("resource0", &size);
    table = map("resource1", &size);
    pending = (volatile uint64_t *)((volatile char *)table + 0x800);
    memory = map("resource2", &memory_size);
}

static size_t offset_of(const char *text, size_t size)
{
    size_t offset = strtoul(text, NULL, 0);

    if (offset >= memory_size || size > memory_size - offset) {
        fprintf(stderr, "the memory has %zu bytes\n", memory_size);
        exit(1);
    }
    return offset;
}

/* It is pending no more: sent to where nothing listens. */
static void take(unsigned int vector)
{
    table[4 * vector] = table[4 * vector + 1] = 0;
    table[4 * vector + 3] = 0;
    config_write(msix + 2, MSIX_ON);
    config_write(msix + 2, MSIX_ON | MSIX_MASK_ALL);
    table[4 * vector + 3] = 1;
}

static int wait_for(unsigned int vector)
{
    time_t until = time(NULL) + WAIT_SECONDS;

    while (!(*pending >> vector & 1)) {
        if (time(NULL) > until) {
            fprintf(stderr, "nobody has rung\n");
            return 1;
        }
        usleep(1000);
    }
    take(vector);
    printf("vector %u was rung\n", vector);
    return 0;
}

static int run(int count, char **words)
{
    const char *verb = count > 1 ? words[1] : "";

    if (count == 1) {
        printf("peer %u of 2, %zu KiB\n", registers[2], memory_size / 1024);
    } else if (count == 4 && strcmp(verb, "write") == 0) {
        memcpy(memory + offset_of(words[2], strlen(words[3]) + 1), words[3], strlen(words[3]) + 1);
    } else if (count == 3 && strcmp(verb, "read") == 0) {
        size_t offset = offset_of(words[2], 1);

        printf("%.*s\n", (int)(memory_size - offset), memory + offset);
    } else if (count == 4 && strcmp(verb, "ring") == 0) {
        registers[3] = (uint32_t)(strtoul(words[2], NULL, 0) << 16 | strtoul(words[3], NULL, 0));
    } else if (count == 3 && strcmp(verb, "wait") == 0) {
        return wait_for((unsigned int)strtoul(words[2], NULL, 0) % VECTORS);
    } else {
        fprintf(stderr,
                "mica-share [write OFFSET TEXT | read OFFSET | ring PEER VECTOR | wait VECTOR]\n");
        return 1;
    }
    return 0;
}

int main(int count, char **words)
{
    if (!find()) {
        fprintf(stderr, "this guest shares memory with no other\n");
        return 1;
    }
    set_up();
    return run(count, words);
}
