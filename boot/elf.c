/* SPDX-License-Identifier: MIT */
/* The headers of mica.elf checked, and its relocations applied.  Every number is checked before
 * use. */
#include "boot/elf.h"

#include "hv/addr.h"
#include "hv/elf64.h"
#include "hv/util.h"

#include <stdbool.h>

#define IMAGE_LOWEST 0xffffffff80000000ull /* -mcmodel=kernel: the top 2 GiB */

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

static const char *check_header(const struct file *file, struct elf64_header *header)
{
    if (!read_entry(file, 0, 0, header, sizeof(*header)))
        return "shorter than an ELF header";
    if (header->magic != ELF_MAGIC)
        return "not an ELF file";
    if (header->elf_class != ELF_CLASS_64 || header->data != ELF_DATA_LITTLE ||
        header->machine != ELF_MACHINE_X86_64)
        return "not for x86-64";
    if (header->ident_version != ELF_VERSION || header->version != ELF_VERSION)
        return "of an unknown ELF version";
    if (header->type != ELF_TYPE_EXEC)
        return "not an executable linked to a fixed address";
    if (header->ehsize != sizeof(*header) || header->phentsize != sizeof(struct elf64_program))
        return "header sizes are wrong";
    if (!file_holds(file, header->phoff, (uint64_t)header->phnum * sizeof(struct elf64_program)))
        return "truncated: the program headers are missing";
    return NULL;
}

static const char *check_segment(const struct file *file, const struct elf64_program *program)
{
    if (!file_holds(file, program->offset, program->filesz))
        return "truncated: a segment reaches beyond the end of the file";
    if (program->filesz > program->memsz)
        return "a segment is larger in the file than in memory";
    if (!is_aligned(program->vaddr, PAGE_SIZE) || program->align < PAGE_SIZE ||
        (program->align & (program->align - 1)) != 0)
        return "a segment is not aligned to pages";
    if (program->vaddr < IMAGE_LOWEST)
        return "a segment lies below the top 2 GiB of the address space";
    if (program->memsz > ELF_MAX_IMAGE_SIZE || program->memsz > -PAGE_SIZE - program->vaddr)
        return "a segment is too large";
    if ((program->flags & ELF_PF_W) && (program->flags & ELF_PF_X))
        return "a segment is both writable and executable";
    if (!(program->flags & ELF_PF_R))
        return "a segment is not readable";
    return NULL;
}

/* Segments come in ascending order, as the ELF standard demands; so overlap shows at the last one.
 */
static const char *add_segment(struct elf_image *image, const struct elf64_program *program)
{
    if (image->segment_count == ELF_MAX_SEGMENTS)
        return "too many segments";
    if (image->segment_count == 0)
        image->virt = program->vaddr;
    if (program->vaddr < image->virt + image->size)
        return "segments overlap or are not in order";

    uint64_t offset = program->vaddr - image->virt;

    image->size = offset + align_up(program->memsz, PAGE_SIZE);
    if (image->size > ELF_MAX_IMAGE_SIZE)
        return "larger than 64 MiB in memory";
    image->segments[image->segment_count++] = (struct elf_segment){
        .offset = offset,
        .size = program->memsz,
        .file_offset = program->offset,
        .file_size = program->filesz,
        .flags = program->flags & (ELF_PF_R | ELF_PF_W | ELF_PF_X),
    };
    return NULL;
}

/* Only what the file holds counts: zeros are not code. */
static bool entry_is_code(const struct elf_image *image)
{
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        uint64_t start = image->virt + segment->offset;

        if ((segment->flags & ELF_PF_X) && image->entry >= start &&
            image->entry - start < segment->file_size)
            return true;
    }
    return false;
}

/* What is in the file and not loaded; its content is checked where it is used. */
static const char *add_piece(const struct file *file, const struct elf64_program *program,
                             struct elf_piece *piece)
{
    if (!file_holds(file, program->offset, program->filesz))
        return "truncated: relocations or symbols are missing";
    *piece = (struct elf_piece){program->offset, program->filesz};
    return NULL;
}

static const char *add_program(const struct file *file, const struct elf64_program *program,
                               struct elf_image *image)
{
    const char *wrong;

    switch (program->type) {
    case ELF_PT_INTERP:
    case ELF_PT_DYNAMIC:
        return "linked for a dynamic linker";
    case ELF_PT_MOVES:
        return add_piece(file, program, &image->moves);
    case ELF_PT_SYMBOLS:
        return add_piece(file, program, &image->symbols);
    case ELF_PT_LOAD:
        if (program->memsz == 0)
            return NULL;
        wrong = check_segment(file, program);
        return wrong ? wrong : add_segment(image, program);
    default:
        return NULL;
    }
}

const char *elf_parse(const void *data, uint64_t size, struct elf_image *image)
{
    struct file file = {data, size};
    struct elf64_header header = {0};
    const char *wrong = check_header(&file, &header);

    *image = (struct elf_image){.entry = header.entry};
    for (uint32_t i = 0; !wrong && i < header.phnum; i++) {
        struct elf64_program program;

        if (!read_entry(&file, header.phoff, i, &program, sizeof(program)))
            return "truncated: the program headers are missing";
        wrong = add_program(&file, &program, image);
    }
    if (!wrong && image->segment_count == 0)
        return "nothing in it to load";
    if (!wrong && !entry_is_code(image))
        return "the entry point is not in an executable segment";
    return wrong;
}

static const char *slide_64(uint8_t *at, uint64_t slide)
{
    uint64_t value;

    __builtin_memcpy(&value, at, sizeof(value));
    value += slide;
    __builtin_memcpy(at, &value, sizeof(value));
    return NULL;
}

static const char *slide_32(uint8_t *at, uint64_t slide)
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

static const char *move_one(const struct elf_image *image, uint8_t *memory, uint32_t move,
                            uint64_t slide)
{
    uint64_t offset = move & ~ELF_MOVE_64, width = move & ELF_MOVE_64 ? 8 : 4;

    if (offset >= image->size || width > image->size - offset)
        return "a relocation lies outside the image";
    return width == 8 ? slide_64(memory + offset, slide) : slide_32(memory + offset, slide);
}

const char *elf_relocate(const void *file, const struct elf_image *image, void *memory,
                         uint64_t slide)
{
    const uint8_t *moves = (const uint8_t *)file + image->moves.offset;
    const char *wrong = NULL;

    if (!is_aligned(slide, PAGE_SIZE) || image->virt + slide < IMAGE_LOWEST ||
        image->size > -PAGE_SIZE - (image->virt + slide))
        return "the slide leaves the top 2 GiB of the address space";
    if (image->moves.size < sizeof(uint32_t))
        return "no relocations";
    for (uint64_t i = 0; !wrong && i < image->moves.size / sizeof(uint32_t); i++) {
        uint32_t move;

        __builtin_memcpy(&move, moves + i * sizeof(move), sizeof(move));
        wrong = move_one(image, memory, move, slide);
    }
    return wrong;
}
