/* SPDX-License-Identifier: MIT */
/*
 * Answers for programs: one flat JSON object a line, of ASCII only.  A line reaches the console in
 * one piece, so nothing comes in between; what does not begin with a brace is not an answer.
 *
 *     json_begin("guest");
 *     json_string("name", vm_name(vm));
 *     json_number("vcpus", vm->vcpu_count);
 *     json_end();
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define JSON_LINE 8192u /* a longer object is replaced by one that says so */

/* Does the monitor answer so?  At first it does not. */
extern bool json_is_on;

void json_begin(const char *type);
void json_string(const char *key, const char *value);
void json_number(const char *key, uint64_t value);
void json_bool(const char *key, bool value);
void json_end(void);
