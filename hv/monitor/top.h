/* SPDX-License-Identifier: MIT */
/* The monitor's `top`: a table that is painted anew each second, until top_end(). */
#pragma once

#include <stdbool.h>

void top_begin(void);
bool top_is_on(void);
/* Nothing to be done when it is not on. */
void top_end(void);
