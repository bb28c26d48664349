/* SPDX-License-Identifier: MIT */
/* The console on the firmware's framebuffer.  A mirror: nothing is typed there. */
#pragma once

struct boot_info;

/* After paging_init(): from here on whatever the console says is seen there too, and what it has
 * said so far. */
void console_mirror_init(const struct boot_info *info);
