/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1 (Multiboot Specification 0.6.96): kernels with its header in their first 8 KiB, as
 * ELF files or with load addresses in the header, entered in 32-bit protected mode with EBX at the
 * boot information. There is no video mode, no symbol table, no drive and no APM in it.
 */
#include "hv/errno.h"
#include "hv/load/elf.h"
#include "hv/string.h"

#define HEADER_MAGIC  0x1badb002
#define HEADER_SEARCH 8192
#define HEADER_SIZE   12
#define BOOT_MAGIC    0x2badb002

#define HEADER_PAGE_ALIGN 0x00001 /* of modules: always done */
#define HEADER_MEMORY     0x00002 /* information: always given */
#define HEADER_REQUIRED   0x0ffff /* what a loader must do or refuse */
#define HEADER_ADDRESSES  0x10000

#define INFO_MEMORY  0x001
#define INFO_CMDLINE 0x004
#define INFO_MODULES 0x008
#define INFO_MMAP    0x040
#define INFO_LOADER  0x200

struct mb_info {
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

STATIC_ASSERT(offsetof(struct mb_info, mmap_length) == 44, "Multiboot information");
STATIC_ASSERT(offsetof(struct mb_info, boot_loader_name) == 64, "Multiboot information");

struct mb_module {
    uint32_t start, end;
    uint32_t string;
    uint32_t reserved;
};

struct mb_mmap {
    uint32_t size; /* of what follows */
    uint64_t base;
    uint64_t length;
    uint32_t type; /* as E820's */
} PACKED;

STATIC_ASSERT(sizeof(struct mb_mmap) == 24, "Multiboot memory map entry");

#define MODULE_BASE (LOAD_INFO + 0x80)
#define NAME_BASE   (LOAD_INFO + 0xa0)
#define MMAP_BASE   (LOAD_INFO + 0x100)

static const char loader_name[] = "Mica";

static bool find_header(const struct load_file *file, uint64_t *header)
{
    for (uint64_t at = 0; at < HEADER_SEARCH && load_has(file, at, HEADER_SIZE); at += 4) {
        if (load_get32(file, at) == HEADER_MAGIC &&
            load_get32(file, at) + load_get32(file, at + 4) + load_get32(file, at + 8) == 0) {
            *header = at;
            return true;
        }
    }
    return false;
}

bool multiboot_recognise(const struct load_file *file)
{
    uint64_t header;

    return find_header(file, &header);
}

/* Where an ELF kernel starts: e_entry is virtual if its segment says so. */
static uint64_t elf_entry(const struct elf *elf)
{
    for (unsigned int i = 0; i < elf->count; i++) {
        const struct elf_segment segment = elf_segment(elf, i);

        if (segment.type == ELF_PT_LOAD && elf->entry >= segment.vaddr &&
            elf->entry - segment.vaddr < segment.memory_size)
            return elf->entry - segment.vaddr + segment.paddr;
    }
    return elf->entry;
}

static int load_elf(struct loader *loader, uint64_t *entry, uint64_t *end)
{
    struct elf elf = {0};
    int result;

    if (!elf_recognise(&loader->image->kernel))
        return load_fail(loader, ENOEXEC,
                         "has a Multiboot header without addresses, and is no ELF file");
    result = elf_open(loader, &elf);
    if (result != 0)
        return result;
    *entry = elf_entry(&elf);
    if (*entry > UINT32_MAX || !elf_holds(&elf, *entry))
        return load_fail(loader, ENOEXEC, "bad entry %#llx: in no segment",
                         (unsigned long long)*entry);
    return elf_load_segments(loader, &elf, end);
}

/* The header's own addresses: where it lies itself tells which byte of the file is the first. */
static int load_addresses(struct loader *loader, uint64_t header, uint64_t *entry, uint64_t *end)
{
    const struct load_file *file = &loader->image->kernel;
    int result;

    if (!load_has(file, header, 32))
        return load_fail(loader, ENOEXEC, "truncated: the file ends within its Multiboot header");
    const uint64_t header_addr = load_get32(file, header + 12),
                   load_addr = load_get32(file, header + 16);
    uint64_t load_end = load_get32(file, header + 20), bss_end = load_get32(file, header + 24);

    *entry = load_get32(file, header + 28);
    if (load_addr > header_addr || header_addr - load_addr > header)
        return load_fail(loader, ENOEXEC, "bad Multiboot header: load_addr %#llx",
                         (unsigned long long)load_addr);
    const uint64_t offset = header - (header_addr - load_addr);
    if (load_end == 0)
        load_end = load_addr + (file->size - offset);
    if (bss_end == 0)
        bss_end = load_end;
    if (load_end <= load_addr || bss_end < load_end || *entry < load_addr || *entry >= load_end)
        return load_fail(loader, ENOEXEC, "bad Multiboot header: its addresses are in no order");
    if (!load_has(file, offset, load_end - load_addr))
        return load_fail(loader, ENOEXEC,
                         "truncated: the file ends before what its Multiboot header announces");
    result = load_check_place(loader, load_addr, bss_end - load_addr);
    if (result != 0)
        return result;
    load_write(loader, load_addr, (const char *)file->data + offset, load_end - load_addr);
    load_zero(loader, load_end, bss_end - load_end);
    *end = bss_end;
    return 0;
}

/* The file's name stands first, as programs expect of argv. */
static int put_cmdline(struct loader *loader)
{
    const char *name = loader->image->kernel.name;
    const uint64_t length = strlen(name);

    if (length + 1 > LOAD_CMDLINE_MAX)
        return load_fail(loader, E2BIG, "the file's name is too long");
    load_write(loader, LOAD_CMDLINE, name, length);
    load_write(loader, LOAD_CMDLINE + length, " ", 1);
    return load_cmdline(loader, length + 1, LOAD_CMDLINE_MAX - length - 1);
}

static void put_info(struct loader *loader, uint64_t initrd)
{
    const uint64_t initrd_end = initrd + loader->image->initrd.size;
    const struct mb_module module = {
        .start = (uint32_t)initrd, .end = (uint32_t)initrd_end, .string = LOAD_INITRD_NAME};
    const uint64_t low_size = layout_low_size(loader->target->memory_size);
    const struct mb_info info = {
        .flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER,
        .mem_lower = LAYOUT_BASE_MEMORY_END / 1024,
        .mem_upper = (uint32_t)((low_size - LAYOUT_EXTENDED_BASE) / 1024),
        .cmdline = (uint32_t)LOAD_CMDLINE,
        .mods_count = initrd != 0,
        .mods_addr = (uint32_t)MODULE_BASE,
        .mmap_length = loader->map.count * (uint32_t)sizeof(struct mb_mmap),
        .mmap_addr = (uint32_t)MMAP_BASE,
        .boot_loader_name = (uint32_t)NAME_BASE,
    };

    load_write(loader, LOAD_INFO, &info, sizeof(info));
    load_write(loader, MODULE_BASE, &module, sizeof(module));
    load_write(loader, NAME_BASE, loader_name, sizeof(loader_name));
    for (unsigned int i = 0; i < loader->map.count; i++) {
        const struct layout_range *range = &loader->map.ranges[i];
        const struct mb_mmap entry = {.size = sizeof(entry) - sizeof(entry.size),
                                      .base = range->base,
                                      .length = range->size,
                                      .type = layout_e820_type(range->type)};

        load_write(loader, MMAP_BASE + i * sizeof(entry), &entry, sizeof(entry));
    }
}

static int load_program(struct loader *loader, uint64_t *entry, uint64_t *end)
{
    uint64_t header = 0;

    if (!find_header(&loader->image->kernel, &header))
        return load_fail(loader, ENOEXEC, "has no Multiboot header");
    const uint32_t flags = load_get32(&loader->image->kernel, header + 4);
    const uint32_t unknown =
        flags & HEADER_REQUIRED & ~(uint32_t)(HEADER_PAGE_ALIGN | HEADER_MEMORY);

    if (unknown != 0)
        return load_fail(loader, ENOEXEC, "requires what is not offered (Multiboot flags %#x%s)",
                         unknown, (unknown & 4) != 0 ? ", a video mode" : "");
    if ((flags & HEADER_ADDRESSES) != 0)
        return load_addresses(loader, header, entry, end);
    return load_elf(loader, entry, end);
}

int multiboot_load(struct loader *loader)
{
    uint64_t entry = 0, end = 0, initrd = 0;
    int result = load_program(loader, &entry, &end);

    if (result == 0)
        result = put_cmdline(loader);
    if (result == 0)
        result = load_initrd(loader, end, UINT32_MAX, &initrd);
    if (result != 0)
        return result;
    load_cpu_state(loader, LOAD_PROTECTED, "Multiboot");
    put_info(loader, initrd);
    loader->entry.rip = entry;
    loader->entry.rax = BOOT_MAGIC;
    loader->entry.rbx = LOAD_INFO;
    return 0;
}
