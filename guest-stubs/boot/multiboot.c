/* SPDX-License-Identifier: MIT */
/* Multiboot 1 (Multiboot Specification 0.6.96): the information at EBX. */
#include "guest-stubs/boot/boot.h"

#include "guest-stubs/lib/stub.h"

#define INFO_MEMORY  0x001u
#define INFO_CMDLINE 0x004u
#define INFO_MODULES 0x008u
#define INFO_MMAP    0x040u
#define INFO_LOADER  0x200u
#define INFO_ALL     (INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER)

struct info {
    uint32_t flags;
    uint32_t mem_lower, mem_upper; /* KiB */
    uint32_t boot_device;
    uint32_t cmdline;
    uint32_t mods_count, mods_addr;
    uint32_t syms[4];
    uint32_t mmap_length, mmap_addr;
    uint32_t drives_length, drives_addr;
    uint32_t config_table;
    uint32_t boot_loader_name;
};

struct module {
    uint32_t start, end;
    uint32_t string, reserved;
};

struct __attribute__((packed)) mmap_entry {
    uint32_t size; /* of what follows */
    uint64_t base, length;
    uint32_t type;
};

static void check_map(const struct info *info)
{
    uint64_t end = (uint64_t)info->mmap_addr + info->mmap_length;
    uint64_t upper_end = 0;

    map_begin();
    for (uint64_t at = info->mmap_addr; at < end;) {
        const struct mmap_entry *entry = (const void *)at;

        map_range(entry->base, entry->length, entry->type);
        if (entry->base == 0x100000)
            upper_end = entry->length / 1024;
        at += sizeof(entry->size) + entry->size;
    }
    map_end();
    check(info->mem_lower == 640 && info->mem_upper == upper_end,
          "there are 640 KiB of lower memory, and %lu KiB of upper memory, as in the map",
          upper_end);
}

void boot_multiboot(uint64_t address)
{
    const struct info *info = (const void *)address;
    const struct module *module = (const void *)(uint64_t)info->mods_addr;

    if (!check((info->flags & INFO_ALL) == INFO_ALL,
               "there is memory, a command line, modules, a memory map, the loader's name"))
        return;
    check_text(info->cmdline, "boot32.elf " BOOT_OPTIONS,
               "the command line is the file's name and the options");
    check_text(info->boot_loader_name, "Mica", "the loader has a name");
    check_map(info);
    if (!check_equal(info->mods_count, 1, "there is one module"))
        return;
    check_module(module->start, module->end);
    check_text(module->string, BOOT_MODULE, "its string is its file's name");
}
