/* SPDX-License-Identifier: MIT */
/* The parts of the stub "boot": the two protocols that its ELF file may be entered by, and what
 * they have in common. */
#pragma once

#include <stdint.h>

#define MULTIBOOT_MAGIC 0x2badb002 /* in EAX */

/* What it is to be started with: the options, and its own flat image as the module. */
#define BOOT_OPTIONS "one two=2"
#define BOOT_MODULE  "boot.bin"

void boot_multiboot(uint64_t info);
void boot_pvh(uint64_t info);

/* The next range that the protocol's memory map gives must be that of the machine's own. */
void map_begin(void);
void map_range(uint64_t base, uint64_t size, uint32_t type);
void map_end(void);

/* The stub's own image, from its first byte to where the file ends. */
void check_module(uint64_t begin, uint64_t end);
void check_text(uint64_t address, const char *expected, const char *what);
