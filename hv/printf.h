/* SPDX-License-Identifier: MIT */
/*
 * Formatting into a buffer: %d %i %u %x %X %c %s %p %% with flags 0 - + and space, a field width or
 * *, a precision (also .*) and the lengths hh h l ll z.  No floating point.  Returns the length
 * that the whole text has, like snprintf(); the buffer always ends in NUL when size > 0.
 */
#pragma once

#include "hv/util.h"

#include <stdarg.h>
#include <stddef.h>

size_t str_format(char *buffer, size_t size, const char *format, ...) PRINTF(3, 4);
size_t str_vformat(char *buffer, size_t size, const char *format, va_list arguments) PRINTF(3, 0);
