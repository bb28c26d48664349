/* SPDX-License-Identifier: MIT */
/* The monitor: the prompt on the physical console.  What it is given comes from console_work(). */
#pragma once

#include <stdint.h>

void monitor_init(void);
void monitor_input(const uint8_t *bytes, unsigned int count);
/* Show the prompt, with what was typed before the console went to a guest. */
void monitor_prompt(void);
