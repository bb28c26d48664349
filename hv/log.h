/* SPDX-License-Identifier: MIT */
/*
 * The log: one line a call, prefixed by its subject ("vmx: ..."), lower case, without a trailing dot
 * or newline.  Lines go to the physical console and into a ring that the monitor's `log` prints.
 */
#pragma once

#include "hv/util.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_line(enum log_level level, const char *format, ...) PRINTF(2, 3);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
