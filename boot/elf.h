/* SPDX-License-Identifier: MIT */
/*
 * Reading mica.elf: an ELF64 executable whose file may be damaged in any way.  Pure: no firmware,
 * so that it runs on the host as well.  Places nothing in memory itself but the relocations.
 *
 * Beside its segments tools/pack-elf puts two pieces into it that have program headers of our own:
 *   moves    32 bits for each place in the image to which a slide is added: its offset there, and
 *            ELF_MOVE_64 where it has 64 bits instead of 32
 *   symbols  for each function: 32 bits of its offset in the image, and its name with a NUL
 */
#pragma once

#include <stdint.h>

#define ELF_MAX_SEGMENTS   8
#define ELF_MAX_IMAGE_SIZE 0x4000000ull /* 64 MiB; linker.ld asserts it too */

#define ELF_PT_MOVES   0x6d696301u
#define ELF_PT_SYMBOLS 0x6d696302u
#define ELF_MOVE_64    0x80000000u

struct elf_segment {
    uint64_t offset; /* in the image, whole pages */
    uint64_t size;   /* in memory; what the file does not fill is zero */
    uint64_t file_offset;
    uint64_t file_size;
    uint32_t flags; /* ELF_PF_*, never both W and X */
};

/* A part of the file, which lies in it wholly. */
struct elf_piece {
    uint64_t offset, size;
};

struct elf_image {
    uint64_t virt;  /* link address of the first page */
    uint64_t size;  /* whole pages, from the first segment's begin to the last one's end */
    uint64_t entry; /* link address */
    uint32_t segment_count;
    struct elf_segment segments[ELF_MAX_SEGMENTS]; /* ascending, no page shared */
    struct elf_piece moves, symbols;               /* of size 0: not there */
};

/* NULL, or what is wrong with the file, as the end of a sentence "mica.elf: ...". */
const char *elf_parse(const void *file, uint64_t size, struct elf_image *image);

/* Moves the image, already in memory, by slide bytes (whole pages) from its link address.  NULL, or
 * what is wrong. */
const char *elf_relocate(const void *file, const struct elf_image *image, void *memory,
                         uint64_t slide);
