/* SPDX-License-Identifier: MIT */
/*
 * Reading mica.elf: an ELF64 executable whose file may be damaged in any way.  Pure: no firmware,
 * so that it runs on the host as well.  Places nothing in memory itself but the relocations.
 */
#pragma once

#include <stdint.h>

#define ELF_MAX_SEGMENTS   8
#define ELF_MAX_IMAGE_SIZE 0x4000000ull /* 64 MiB; linker.ld asserts it too */

/* As in p_flags. */
#define ELF_EXECUTE 1u
#define ELF_WRITE   2u
#define ELF_READ    4u

struct elf_segment {
    uint64_t offset; /* in the image, whole pages */
    uint64_t size;   /* in memory; what the file does not fill is zero */
    uint64_t file_offset;
    uint64_t file_size;
    uint32_t flags; /* never both ELF_WRITE and ELF_EXECUTE */
};

struct elf_image {
    uint64_t virt;  /* link address of the first page */
    uint64_t size;  /* whole pages, from the first segment's begin to the last one's end */
    uint64_t entry; /* link address */
    uint32_t segment_count;
    struct elf_segment segments[ELF_MAX_SEGMENTS]; /* ascending, no page shared */
};

/* NULL, or what is wrong with the file, as the end of a sentence "mica.elf: ...". */
const char *elf_parse(const void *file, uint64_t size, struct elf_image *image);

/*
 * Moves the image, already in memory, by slide bytes (whole pages) from its link address, with the
 * relocations that the linker kept.  NULL, or what is wrong.
 */
const char *elf_relocate(const void *file, uint64_t size, const struct elf_image *image,
                         void *memory, uint64_t slide);
