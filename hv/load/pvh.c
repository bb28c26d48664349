/* SPDX-License-Identifier: MIT */
/*
 * ELF kernels with the Xen PVH note (Xen, docs/misc/pvh.pandoc, "x86/HVM direct boot ABI"): entered
 * in 32-bit protected mode, paging off, with EBX at an hvm_start_info.  An uncompressed Linux
 * (vmlinux) starts so.
 */
#include "hv/errno.h"
#include "hv/load/elf.h"
#include "hv/string.h"

#define NOTE_HEADER_SIZE         12
#define XEN_ELFNOTE_PHYS32_ENTRY 18

#define START_MAGIC   0x336ec578
#define START_VERSION 1

struct hvm_start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t nr_modules;
    uint64_t modlist_paddr;
    uint64_t cmdline_paddr;
    uint64_t rsdp_paddr;
    uint64_t memmap_paddr;
    uint32_t memmap_entries;
    uint32_t reserved;
};

struct hvm_modlist_entry {
    uint64_t paddr;
    uint64_t size;
    uint64_t cmdline_paddr;
    uint64_t reserved;
};

struct hvm_memmap_entry {
    uint64_t addr;
    uint64_t size;
    uint32_t type; /* as E820's */
    uint32_t reserved;
};

STATIC_ASSERT(sizeof(struct hvm_start_info) == 56, "hvm_start_info, version 1");
STATIC_ASSERT(sizeof(struct hvm_modlist_entry) == 32, "hvm_modlist_entry");
STATIC_ASSERT(sizeof(struct hvm_memmap_entry) == 24, "hvm_memmap_table_entry");

#define MODLIST_BASE (LOAD_INFO + 0x40)
#define MEMMAP_BASE  (LOAD_INFO + 0x80)

/* Searches the notes in [at, end) of the file, which has them. */
static bool find_in_notes(const struct load_file *file, uint64_t at, uint64_t end, uint64_t *entry)
{
    while (end - at >= NOTE_HEADER_SIZE) {
        const uint64_t name_size = load_get32(file, at), desc_size = load_get32(file, at + 4);
        const uint64_t name = at + NOTE_HEADER_SIZE, desc = name + align_up(name_size, 4);
        const uint64_t next = desc + align_up(desc_size, 4);

        if (desc > end || desc_size > end - desc)
            return false;
        if (load_get32(file, at + 8) == XEN_ELFNOTE_PHYS32_ENTRY && name_size == 4 &&
            memcmp((const char *)file->data + name, "Xen", 4) == 0 && desc_size >= 4) {
            *entry = load_get32(file, desc);
            return true;
        }
        if (next > end)
            return false;
        at = next;
    }
    return false;
}

bool pvh_find_entry(const struct elf *elf, uint64_t *entry)
{
    for (unsigned int i = 0; i < elf->count; i++) {
        const struct elf_segment segment = elf_segment(elf, i);

        if (segment.type == ELF_PT_NOTE && load_has(elf->file, segment.offset, segment.file_size) &&
            find_in_notes(elf->file, segment.offset, segment.offset + segment.file_size, entry))
            return true;
    }
    return false;
}

static void put_memmap(struct loader *loader)
{
    for (unsigned int i = 0; i < loader->map.count; i++) {
        const struct layout_range *range = &loader->map.ranges[i];
        const struct hvm_memmap_entry entry = {
            .addr = range->base, .size = range->size, .type = layout_e820_type(range->type)};

        load_write(loader, MEMMAP_BASE + i * sizeof(entry), &entry, sizeof(entry));
    }
}

static void put_start_info(struct loader *loader, uint64_t initrd)
{
    const struct hvm_modlist_entry module = {
        .paddr = initrd, .size = loader->image->initrd.size, .cmdline_paddr = LOAD_INITRD_NAME};
    const struct hvm_start_info info = {
        .magic = START_MAGIC,
        .version = START_VERSION,
        .nr_modules = initrd != 0,
        .modlist_paddr = initrd != 0 ? MODLIST_BASE : 0,
        .cmdline_paddr = LOAD_CMDLINE,
        .rsdp_paddr = ACPI_RSDP,
        .memmap_paddr = MEMMAP_BASE,
        .memmap_entries = loader->map.count,
    };

    load_write(loader, LOAD_INFO, &info, sizeof(info));
    load_write(loader, MODLIST_BASE, &module, sizeof(module));
    put_memmap(loader);
}

int pvh_load(struct loader *loader, const struct elf *elf, uint64_t entry)
{
    uint64_t end = 0, initrd = 0;
    int result;

    if (!elf_holds(elf, entry))
        return load_fail(loader, ENOEXEC, "bad PVH entry %#llx: in no segment",
                         (unsigned long long)entry);
    result = elf_load_segments(loader, elf, &end);
    if (result == 0)
        result = load_cmdline(loader, 0, LOAD_CMDLINE_MAX);
    if (result == 0)
        result = load_initrd(loader, end, UINT32_MAX, &initrd);
    if (result != 0)
        return result;
    load_cpu_state(loader, LOAD_PROTECTED, "ELF, PVH");
    put_start_info(loader, initrd);
    loader->entry.rip = entry;
    loader->entry.rbx = LOAD_INFO;
    return 0;
}
