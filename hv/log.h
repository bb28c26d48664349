/* SPDX-License-Identifier: MIT */
/*
 * The log: one line a call, prefixed by its subject ("vmx: ..."), lower case, without a trailing
 * dot or newline.  Lines go to the physical console and into a ring that the monitor's `log`
 * prints.
 */
#pragma once

#include "hv/util.h"

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_line(enum log_level level, const char *format, ...) PRINTF(2, 3);

/* What reaches the console from here on (at first LOG_INFO); the ring keeps every level.  Returns
 * what it was. */
enum log_level log_set_level(enum log_level level);

/* The lines that are kept, oldest first, up to a level. */
void log_replay(enum log_level level, void (*line)(void *ctx, const char *text, size_t size),
                void *ctx);

/* Names as in mica.conf; false for any other. */
bool log_level_by_name(const char *name, enum log_level *level);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
