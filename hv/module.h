/* SPDX-License-Identifier: MIT */
/* The files that lay beside mica.elf, as boot/ read them: configuration, kernels, disks. */
#pragma once

struct boot_info;
struct boot_module;

void module_init(const struct boot_info *info);
/* The file of that name, or a null pointer. */
const struct boot_module *module_find(const char *name);
