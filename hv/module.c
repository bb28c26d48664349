/* SPDX-License-Identifier: MIT */
/* Finding modules by their names. */
#include "hv/module.h"

#include "boot/boot_info.h"
#include "hv/string.h"

#include <stddef.h>

static const struct boot_info *boot;

void module_init(const struct boot_info *info)
{
    boot = info;
}

const struct boot_module *module_find(const char *name)
{
    for (unsigned int i = 0; i < boot->module_count; i++)
        if (strcmp(boot->modules[i].name, name) == 0)
            return &boot->modules[i];
    return NULL;
}
