/* SPDX-License-Identifier: MIT */
/*
 * Finding the function of a code address in an ELF symbol table.  Every offset of the file is
 * checked against its size once, in symbols_init(); the names again at each use.
 */
#include "hv/symbols.h"

#include "hv/elf64.h"
#include "hv/string.h"

struct elf_file {
    const uint8_t *data;
    uint64_t size;
};

static bool in_file(const struct elf_file *file, uint64_t offset, uint64_t size)
{
    return offset <= file->size && size <= file->size - offset;
}

static bool read_header(const struct elf_file *file, struct elf64_header *header)
{
    if (file->size < sizeof(*header))
        return false;
    memcpy(header, file->data, sizeof(*header));
    return header->magic == ELF_MAGIC && header->elf_class == ELF_CLASS_64 &&
           header->data == ELF_DATA_LITTLE && header->shentsize == sizeof(struct elf64_section) &&
           in_file(file, header->shoff, (uint64_t)header->shnum * header->shentsize);
}

static struct elf64_section read_section(const struct elf_file *file,
                                         const struct elf64_header *header, uint32_t index)
{
    struct elf64_section section;

    memcpy(&section, file->data + header->shoff + (uint64_t)index * sizeof(section),
           sizeof(section));
    return section;
}

static bool use_table(struct symbols *symbols, const struct elf_file *file,
                      const struct elf64_section *table, const struct elf64_section *names)
{
    if (table->entsize != sizeof(struct elf64_symbol) || names->type != ELF_SHT_STRTAB ||
        !names->size || !in_file(file, table->offset, table->size) ||
        !in_file(file, names->offset, names->size) || file->data[names->offset + names->size - 1])
        return false;
    symbols->table = file->data + table->offset;
    symbols->count = table->size / sizeof(struct elf64_symbol);
    symbols->names = (const char *)file->data + names->offset;
    symbols->names_size = names->size;
    return true;
}

bool symbols_init(struct symbols *symbols, const void *elf, uint64_t size, uint64_t slide)
{
    struct elf_file file = {elf, size};
    struct elf64_header header;

    *symbols = (struct symbols){.slide = slide};
    if (!read_header(&file, &header))
        return false;
    for (uint32_t i = 0; i < header.shnum; i++) {
        struct elf64_section table = read_section(&file, &header, i);
        if (table.type != ELF_SHT_SYMTAB || table.link >= header.shnum)
            continue;
        struct elf64_section names = read_section(&file, &header, table.link);
        if (use_table(symbols, &file, &table, &names))
            return true;
    }
    return false;
}

/* Functions, and labels of assembly, which have no type and often no size. */
static bool is_candidate(const struct symbols *symbols, const struct elf64_symbol *s,
                         uint64_t address)
{
    uint32_t type = s->info & 0xfu;

    return (type == ELF_STT_FUNC || type == ELF_STT_NOTYPE) && s->section != ELF_SHN_UNDEF &&
           s->section < ELF_SHN_LORESERVE && s->name < symbols->names_size &&
           symbols->names[s->name] && s->value <= address &&
           (!s->size || address - s->value < s->size);
}

const char *symbols_find(const struct symbols *symbols, uint64_t address, uint64_t *offset)
{
    struct elf64_symbol best = {0}, s;
    bool found = false;

    address -= symbols->slide;
    for (uint64_t i = 0; i < symbols->count; i++) {
        memcpy(&s, symbols->table + i * sizeof(s), sizeof(s));
        if (!is_candidate(symbols, &s, address))
            continue;
        if (!found || s.value > best.value || (s.value == best.value && s.size > best.size))
            best = s;
        found = true;
    }
    if (!found)
        return NULL;
    *offset = address - best.value;
    return symbols->names + best.name;
}
