/* SPDX-License-Identifier: MIT */
/*
 * The log: each line gets the time since boot in front, goes to the console if its level asks for
 * it, and into a ring of bytes in which the newest lines displace the oldest.
 */
#include "hv/log.h"

#include "arch/x86/tsc.h"
#include "hv/console.h"
#include "hv/printf.h"
#include "hv/spinlock.h"
#include "hv/string.h"

#include <stdarg.h>
#include <stdint.h>

#define LOG_RING  65536u
#define LINE_SIZE 320u

/* A line in the ring: its level, its length in two bytes, its text. */
#define RECORD_HEADER 3u

static struct {
    struct spinlock lock;
    uint32_t head, tail; /* of whole records; they run free */
    uint8_t bytes[LOG_RING];
} ring;

static enum log_level shown = LOG_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static uint8_t at(uint32_t place)
{
    return ring.bytes[place % LOG_RING];
}

static uint32_t record_size(uint32_t place)
{
    return RECORD_HEADER + at(place + 1) + ((uint32_t)at(place + 2) << 8);
}

static void put(uint8_t byte)
{
    ring.bytes[ring.tail++ % LOG_RING] = byte;
}

static void keep(enum log_level level, const char *text, size_t size)
{
    spin_lock(&ring.lock);
    while (LOG_RING - (ring.tail - ring.head) < RECORD_HEADER + size)
        ring.head += record_size(ring.head);
    put((uint8_t)level);
    put((uint8_t)size);
    put((uint8_t)(size >> 8));
    for (size_t i = 0; i < size; i++)
        put((uint8_t)text[i]);
    spin_unlock(&ring.lock);
}

/* A line may quote what a guest or a file chose: nothing in it moves the cursor. */
static void make_printable(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((uint8_t)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
}

void log_line(enum log_level level, const char *format, ...)
{
    char text[LINE_SIZE];
    uint64_t us = time_ns() / 1000;
    va_list arguments;

    size_t size = str_format(text, sizeof(text), "[%5lu.%06lu] ", us / 1000000, us % 1000000);
    va_start(arguments, format);
    size += str_vformat(text + size, sizeof(text) - size, format, arguments);
    va_end(arguments);
    size = MIN(size, sizeof(text) - 1);
    make_printable(text, size);
    keep(level, text, size);
    if (level <= shown)
        console_line(text, size);
}

enum log_level log_set_level(enum log_level level)
{
    enum log_level old = shown;

    shown = level;
    return old;
}

/* The line at a place, copied so that it can be printed without the lock; returns the next place.
 */
static uint32_t copy_record(uint32_t place, enum log_level *level, char *text, uint32_t *size)
{
    spin_lock(&ring.lock);
    if (ring.head - place <= LOG_RING) /* displaced meanwhile */
        place = ring.head;
    *size = record_size(place) - RECORD_HEADER;
    *level = (enum log_level)at(place);
    for (uint32_t i = 0; i < *size; i++)
        text[i] = (char)at(place + RECORD_HEADER + i);
    spin_unlock(&ring.lock);
    return place + RECORD_HEADER + *size;
}

void log_replay(enum log_level level, void (*line)(void *, const char *, size_t), void *ctx)
{
    uint32_t place = ring.head, end = ring.tail, size;
    char text[LINE_SIZE];
    enum log_level its;

    while (end - place <= LOG_RING && place != end) {
        place = copy_record(place, &its, text, &size);
        if (its <= level)
            line(ctx, text, size);
    }
}

bool log_level_by_name(const char *name, enum log_level *level)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}
