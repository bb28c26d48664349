/* SPDX-License-Identifier: MIT */
/* The headers of mica.elf checked, and its relocations applied.  Every number is checked before
 * use. */
#include "boot/elf.h"

#include "hv/addr.h"
#include "hv/util.h"

#include <stdbool.h>

#define IMAGE_LOWEST 0xffffffff80000000ull /* -mcmodel=kernel: the top 2 GiB */

#define EI_CLASS    4
#define EI_DATA     5
#define EI_VERSION  6
#define CLASS_64    2
#define DATA_LITTLE 1
#define ET_EXEC     2
#define EM_X86_64   62
#define PT_LOAD     1
#define PT_DYNAMIC  2
#define PT_INTERP   3
#define SHT_RELA    4
#define SHF_ALLOC   2u
#define SHN_UNDEF   0
#define SHN_ABS     0xfff1

#define R_X86_64_NONE  0
#define R_X86_64_64    1
#define R_X86_64_PC32  2
#define R_X86_64_PLT32 4
#define R_X86_64_32S   11
#define R_X86_64_PC64  24

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, program_offset, section_offset;
    uint32_t flags;
    uint16_t header_size;
    uint16_t program_size, program_count;
    uint16_t section_size, section_count, section_names;
};

struct elf_program {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, file_size, memory_size, alignment;
};

struct elf_section {
    uint32_t name, type;
    uint64_t flags, address, offset, size;
    uint32_t link, info;
    uint64_t alignment, entry_size;
};

struct elf_symbol {
    uint32_t name;
    uint8_t info, other;
    uint16_t section;
    uint64_t value, size;
};

struct elf_rela {
    uint64_t offset, info;
    int64_t addend;
};

STATIC_ASSERT(sizeof(struct elf_header) == 64, "ELF64 header");
STATIC_ASSERT(sizeof(struct elf_program) == 56, "ELF64 program header");
STATIC_ASSERT(sizeof(struct elf_section) == 64, "ELF64 section header");
STATIC_ASSERT(sizeof(struct elf_symbol) == 24, "ELF64 symbol");
STATIC_ASSERT(sizeof(struct elf_rela) == 24, "ELF64 relocation with addend");

struct file {
    const uint8_t *data;
    uint64_t size;
};

static bool file_holds(const struct file *file, uint64_t offset, uint64_t size)
{
    return offset <= file->size && size <= file->size - offset;
}

/* Element `index` of a table in the file, copied because the table may lie at any address. */
static bool read_entry(const struct file *file, uint64_t table, uint64_t index, void *to,
                       uint64_t size)
{
    if (index > file->size / size || !file_holds(file, table, (index + 1) * size))
        return false;
    __builtin_memcpy(to, file->data + table + index * size, size);
    return true;
}

static const char *check_header(const struct file *file, struct elf_header *header)
{
    static const uint8_t magic[] = {0x7f, 'E', 'L', 'F'};

    if (!read_entry(file, 0, 0, header, sizeof(*header)))
        return "shorter than an ELF header";
    for (uint32_t i = 0; i < ARRAY_SIZE(magic); i++)
        if (header->ident[i] != magic[i])
            return "not an ELF file";
    if (header->ident[EI_CLASS] != CLASS_64 || header->ident[EI_DATA] != DATA_LITTLE ||
        header->machine != EM_X86_64)
        return "not for x86-64";
    if (header->ident[EI_VERSION] != 1 || header->version != 1)
        return "of an unknown ELF version";
    if (header->type != ET_EXEC)
        return "not an executable linked to a fixed address";
    if (header->header_size != sizeof(*header) ||
        header->program_size != sizeof(struct elf_program))
        return "header sizes are wrong";
    if (!file_holds(file, header->program_offset,
                    (uint64_t)header->program_count * sizeof(struct elf_program)))
        return "truncated: the program headers are missing";
    return NULL;
}

static const char *check_segment(const struct file *file, const struct elf_program *program)
{
    if (!file_holds(file, program->offset, program->file_size))
        return "truncated: a segment reaches beyond the end of the file";
    if (program->file_size > program->memory_size)
        return "a segment is larger in the file than in memory";
    if (!is_aligned(program->vaddr, PAGE_SIZE) || program->alignment < PAGE_SIZE ||
        (program->alignment & (program->alignment - 1)) != 0)
        return "a segment is not aligned to pages";
    if (program->vaddr < IMAGE_LOWEST)
        return "a segment lies below the top 2 GiB of the address space";
    if (program->memory_size > ELF_MAX_IMAGE_SIZE ||
        program->memory_size > -PAGE_SIZE - program->vaddr)
        return "a segment is too large";
    if ((program->flags & ELF_WRITE) && (program->flags & ELF_EXECUTE))
        return "a segment is both writable and executable";
    if (!(program->flags & ELF_READ))
        return "a segment is not readable";
    return NULL;
}

/* Segments come in ascending order, as the ELF standard demands; so overlap shows at the last one.
 */
static const char *add_segment(struct elf_image *image, const struct elf_program *program)
{
    if (image->segment_count == ELF_MAX_SEGMENTS)
        return "too many segments";
    if (image->segment_count == 0)
        image->virt = program->vaddr;
    if (program->vaddr < image->virt + image->size)
        return "segments overlap or are not in order";

    uint64_t offset = program->vaddr - image->virt;

    image->size = offset + align_up(program->memory_size, PAGE_SIZE);
    if (image->size > ELF_MAX_IMAGE_SIZE)
        return "larger than 64 MiB in memory";
    image->segments[image->segment_count++] = (struct elf_segment){
        .offset = offset,
        .size = program->memory_size,
        .file_offset = program->offset,
        .file_size = program->file_size,
        .flags = program->flags & (ELF_READ | ELF_WRITE | ELF_EXECUTE),
    };
    return NULL;
}

/* Only what the file holds counts: zeros are not code. */
static bool entry_is_code(const struct elf_image *image)
{
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        uint64_t start = image->virt + segment->offset;

        if ((segment->flags & ELF_EXECUTE) && image->entry >= start &&
            image->entry - start < segment->file_size)
            return true;
    }
    return false;
}

const char *elf_parse(const void *data, uint64_t size, struct elf_image *image)
{
    struct file file = {data, size};
    struct elf_header header = {0};
    const char *wrong = check_header(&file, &header);

    *image = (struct elf_image){.entry = header.entry};
    for (uint32_t i = 0; !wrong && i < header.program_count; i++) {
        struct elf_program program;

        if (!read_entry(&file, header.program_offset, i, &program, sizeof(program)))
            return "truncated: the program headers are missing";
        if (program.type == PT_INTERP || program.type == PT_DYNAMIC)
            return "linked for a dynamic linker";
        if (program.type != PT_LOAD || program.memory_size == 0)
            continue;
        wrong = check_segment(&file, &program);
        if (!wrong)
            wrong = add_segment(image, &program);
    }
    if (!wrong && image->segment_count == 0)
        return "nothing in it to load";
    if (!wrong && !entry_is_code(image))
        return "the entry point is not in an executable segment";
    return wrong;
}

struct relocation {
    const struct file *file;
    const struct elf_image *image;
    uint8_t *memory;
    uint64_t slide;
    uint64_t symbols; /* file offset of the symbol table */
};

static const char *slide_64(uint8_t *at, uint64_t slide)
{
    uint64_t value;

    __builtin_memcpy(&value, at, sizeof(value));
    value += slide;
    __builtin_memcpy(at, &value, sizeof(value));
    return NULL;
}

static const char *slide_32s(uint8_t *at, uint64_t slide)
{
    int32_t value;

    __builtin_memcpy(&value, at, sizeof(value));
    uint64_t moved = (uint64_t)(int64_t)value + slide;
    if (moved != (uint64_t)(int64_t)(int32_t)moved)
        return "a relocation overflows";
    value = (int32_t)moved;
    __builtin_memcpy(at, &value, sizeof(value));
    return NULL;
}

/*
 * The linker has applied every relocation for the link address; a slide changes only addresses held
 * in full, and distances to symbols that do not move, which do not occur.
 */
static const char *relocate_one(const struct relocation *r, const struct elf_rela *rela)
{
    uint32_t type = (uint32_t)rela->info;
    uint64_t width = type == R_X86_64_64 || type == R_X86_64_PC64 ? 8 : 4;
    uint64_t offset = rela->offset - r->image->virt;
    struct elf_symbol symbol;

    if (type == R_X86_64_NONE)
        return NULL;
    if (offset >= r->image->size || width > r->image->size - offset)
        return "a relocation lies outside the image";
    if (!read_entry(r->file, r->symbols, rela->info >> 32, &symbol, sizeof(symbol)))
        return "a relocation names no symbol";

    bool fixed = symbol.section == SHN_ABS || symbol.section == SHN_UNDEF;

    switch (type) {
    case R_X86_64_64:
        return fixed ? NULL : slide_64(r->memory + offset, r->slide);
    case R_X86_64_32S:
        return fixed ? NULL : slide_32s(r->memory + offset, r->slide);
    case R_X86_64_PC32:
    case R_X86_64_PLT32:
    case R_X86_64_PC64:
        return fixed ? "a relocation is relative to a fixed address" : NULL;
    default:
        return "a relocation is of an unknown type";
    }
}

static const char *relocate_section(struct relocation *r, const struct elf_section *section)
{
    for (uint64_t i = 0; i < section->size / sizeof(struct elf_rela); i++) {
        struct elf_rela rela;

        if (!read_entry(r->file, section->offset, i, &rela, sizeof(rela)))
            return "truncated: relocations are missing";
        const char *wrong = relocate_one(r, &rela);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static bool read_section(const struct file *file, const struct elf_header *header, uint32_t index,
                         struct elf_section *section)
{
    return index < header->section_count && header->section_size == sizeof(*section) &&
           read_entry(file, header->section_offset, index, section, sizeof(*section));
}

const char *elf_relocate(const void *data, uint64_t size, const struct elf_image *image,
                         void *memory, uint64_t slide)
{
    struct file file = {data, size};
    struct relocation r = {.file = &file, .image = image, .memory = memory, .slide = slide};
    struct elf_header header = {0};
    const char *wrong = check_header(&file, &header);
    uint32_t sections = 0;

    if (!is_aligned(slide, PAGE_SIZE) || image->virt + slide < IMAGE_LOWEST ||
        image->size > -PAGE_SIZE - (image->virt + slide))
        return "the slide leaves the top 2 GiB of the address space";
    for (uint32_t i = 0; !wrong && i < header.section_count; i++) {
        struct elf_section section, target, symbols;

        if (!read_section(&file, &header, i, &section))
            return "truncated: the section headers are missing";
        if (section.type != SHT_RELA || !read_section(&file, &header, section.info, &target) ||
            !(target.flags & SHF_ALLOC))
            continue;
        if (!read_section(&file, &header, section.link, &symbols))
            return "relocations without symbols";
        r.symbols = symbols.offset;
        wrong = relocate_section(&r, &section);
        sections++;
    }
    return wrong || sections ? wrong : "no relocations: it must be linked with --emit-relocs";
}
