/* SPDX-License-Identifier: MIT */
/*
 * Kernels that are ELF files: opens them, loads their segments, and leaves the rest to the protocol
 * that the file asks for.  Sections, symbols and relocations are not looked at.
 */
#include "hv/load/elf.h"

#include "hv/errno.h"
#include "hv/string.h"

#define ELF_CLASS   4
#define ELF_DATA    5
#define ELF_TYPE    16
#define ELF_MACHINE 18

#define CLASS_32       1
#define CLASS_64       2
#define DATA_LITTLE    1
#define TYPE_EXEC      2
#define TYPE_DYN       3
#define MACHINE_386    3
#define MACHINE_X86_64 62

#define HEADER_SIZE_32  52u
#define HEADER_SIZE_64  64u
#define SEGMENT_SIZE_32 32u
#define SEGMENT_SIZE_64 56u

bool elf_recognise(const struct load_file *file)
{
    return load_has(file, 0, 4) && memcmp(file->data,
                                          "\x7f"
                                          "ELF",
                                          4) == 0;
}

int elf_open(struct loader *loader, struct elf *elf)
{
    const struct load_file *file = &loader->image->kernel;
    const uint8_t *bytes = file->data;

    if (!load_has(file, 0, HEADER_SIZE_32) ||
        (bytes[ELF_CLASS] == CLASS_64 && !load_has(file, 0, HEADER_SIZE_64)))
        return load_fail(loader, ENOEXEC, "truncated: the file ends within its ELF header");
    if ((bytes[ELF_CLASS] != CLASS_32 && bytes[ELF_CLASS] != CLASS_64) ||
        bytes[ELF_DATA] != DATA_LITTLE)
        return load_fail(loader, ENOEXEC, "is an ELF file of an unknown class");
    elf->file = file;
    elf->is_64 = bytes[ELF_CLASS] == CLASS_64;

    const uint16_t type = load_get16(file, ELF_TYPE), machine = load_get16(file, ELF_MACHINE);
    if ((type != TYPE_EXEC && type != TYPE_DYN) ||
        (machine != MACHINE_386 && machine != MACHINE_X86_64))
        return load_fail(loader, ENOEXEC, "is no x86 program (ELF type %u, machine %u)", type,
                         machine);

    elf->entry = elf->is_64 ? load_get64(file, 24) : load_get32(file, 24);
    elf->table = elf->is_64 ? load_get64(file, 32) : load_get32(file, 28);
    const uint16_t entry_size = load_get16(file, elf->is_64 ? 54 : 42);
    elf->count = load_get16(file, elf->is_64 ? 56 : 44);
    if (entry_size != (elf->is_64 ? SEGMENT_SIZE_64 : SEGMENT_SIZE_32))
        return load_fail(loader, ENOEXEC, "bad ELF program headers of %u bytes", entry_size);
    if (elf->count == 0 || elf->count > ELF_MAX_SEGMENTS)
        return load_fail(loader, ENOEXEC, "has %u ELF program headers (1 to %u are taken)",
                         elf->count, ELF_MAX_SEGMENTS);
    if (!load_has(file, elf->table, (uint64_t)elf->count * entry_size))
        return load_fail(loader, ENOEXEC,
                         "truncated: the file ends before its ELF program headers do");
    return 0;
}

struct elf_segment elf_segment(const struct elf *elf, unsigned int index)
{
    const struct load_file *file = elf->file;

    if (elf->is_64) {
        const uint64_t at = elf->table + index * SEGMENT_SIZE_64;

        return (struct elf_segment){.type = load_get32(file, at),
                                    .offset = load_get64(file, at + 8),
                                    .vaddr = load_get64(file, at + 16),
                                    .paddr = load_get64(file, at + 24),
                                    .file_size = load_get64(file, at + 32),
                                    .memory_size = load_get64(file, at + 40)};
    }
    const uint64_t at = elf->table + index * SEGMENT_SIZE_32;

    return (struct elf_segment){.type = load_get32(file, at),
                                .offset = load_get32(file, at + 4),
                                .vaddr = load_get32(file, at + 8),
                                .paddr = load_get32(file, at + 12),
                                .file_size = load_get32(file, at + 16),
                                .memory_size = load_get32(file, at + 20)};
}

static bool is_loaded(const struct elf_segment *segment)
{
    return segment->type == ELF_PT_LOAD && segment->memory_size != 0;
}

/* Both lie in RAM, so neither sum overflows. */
static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

static int check_segment(struct loader *loader, const struct elf *elf, unsigned int index)
{
    const struct elf_segment segment = elf_segment(elf, index);
    int result;

    if (segment.file_size > segment.memory_size)
        return load_fail(loader, ENOEXEC, "bad ELF segment %u: more in the file than in memory",
                         index);
    if (!load_has(elf->file, segment.offset, segment.file_size))
        return load_fail(loader, ENOEXEC, "truncated: the file ends before its ELF segment %u does",
                         index);
    result = load_check_place(loader, segment.paddr, segment.memory_size);
    if (result != 0)
        return result;
    for (unsigned int i = 0; i < index; i++) {
        const struct elf_segment other = elf_segment(elf, i);

        if (is_loaded(&other) &&
            overlap(segment.paddr, segment.memory_size, other.paddr, other.memory_size))
            return load_fail(loader, ENOEXEC, "bad ELF segments: %u and %u overlap", i, index);
    }
    return 0;
}

int elf_load_segments(struct loader *loader, const struct elf *elf, uint64_t *end)
{
    *end = 0;
    for (unsigned int i = 0; i < elf->count; i++) {
        const struct elf_segment segment = elf_segment(elf, i);
        int result;

        if (!is_loaded(&segment))
            continue;
        result = check_segment(loader, elf, i);
        if (result != 0)
            return result;
        load_write(loader, segment.paddr, (const char *)elf->file->data + segment.offset,
                   segment.file_size);
        load_zero(loader, segment.paddr + segment.file_size,
                  segment.memory_size - segment.file_size);
        *end = MAX(*end, segment.paddr + segment.memory_size);
    }
    if (*end == 0)
        return load_fail(loader, ENOEXEC, "has no ELF segment to load");
    return 0;
}

bool elf_holds(const struct elf *elf, uint64_t paddr)
{
    for (unsigned int i = 0; i < elf->count; i++) {
        const struct elf_segment segment = elf_segment(elf, i);

        if (is_loaded(&segment) && paddr >= segment.paddr &&
            paddr - segment.paddr < segment.memory_size)
            return true;
    }
    return false;
}

int elf_load(struct loader *loader)
{
    struct elf elf = {0};
    uint64_t entry;
    int result = elf_open(loader, &elf);

    if (result != 0)
        return result;
    if (pvh_find_entry(&elf, &entry))
        return pvh_load(loader, &elf, entry);
    if (multiboot_recognise(&loader->image->kernel))
        return multiboot_load(loader);
    return load_fail(loader, ENOEXEC,
                     "is an ELF file with neither a PVH note nor a Multiboot header");
}
