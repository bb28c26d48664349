/* SPDX-License-Identifier: MIT */
/* The Xen PVH boot protocol (Xen, docs/misc/pvh.pandoc): the hvm_start_info at EBX. */
#include "guest-stubs/boot/boot.h"

#include "guest-stubs/lib/stub.h"

#define START_INFO_MAGIC 0x336ec578

struct start_info {
    uint32_t magic, version;
    uint32_t flags;
    uint32_t nr_modules;
    uint64_t modlist_paddr;
    uint64_t cmdline_paddr;
    uint64_t rsdp_paddr;
    uint64_t memmap_paddr;
    uint32_t memmap_entries;
    uint32_t reserved;
};

struct module {
    uint64_t paddr, size;
    uint64_t cmdline_paddr;
    uint64_t reserved;
};

struct memmap_entry {
    uint64_t addr, size;
    uint32_t type, reserved;
};

static void check_map(const struct start_info *info)
{
    const struct memmap_entry *entries = (const void *)info->memmap_paddr;

    map_begin();
    for (uint32_t i = 0; i < info->memmap_entries; i++)
        map_range(entries[i].addr, entries[i].size, entries[i].type);
    map_end();
}

void boot_pvh(uint64_t address)
{
    const struct start_info *info = (const void *)address;
    const struct module *module = (const void *)info->modlist_paddr;

    if (!check_equal(info->magic, START_INFO_MAGIC, "EBX leads to an hvm_start_info"))
        return;
    check(info->version >= 1, "of a version that has a memory map");
    check_text(info->cmdline_paddr, BOOT_OPTIONS, "the command line is the options");
    check(memcmp((const void *)info->rsdp_paddr, "RSD PTR ", 8) == 0, "it has the ACPI RSDP");
    check_map(info);
    if (!check_equal(info->nr_modules, 1, "there is one module"))
        return;
    check_module(module->paddr, module->paddr + module->size);
    check_text(module->cmdline_paddr, BOOT_MODULE, "its command line is its file's name");
}
