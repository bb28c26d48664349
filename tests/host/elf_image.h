/* SPDX-License-Identifier: MIT */
/* Synthetic kernels for the tests of the loaders: an ELF file with two segments, a PVH note and a
 * Multiboot header. */
#pragma once

#include <stdint.h>
#include <string.h>

#define ELF_IMAGE_SIZE  0x600
#define ELF_IMAGE_CODE  0x200 /* offset in the file, 0x300 bytes, loaded at 2 MiB */
#define ELF_IMAGE_DATA  0x500 /* 0x100 bytes, loaded at 4 MiB with 0x1000 in memory */
#define ELF_IMAGE_NOTE  0x180 /* two notes, 0x40 bytes */
#define ELF_IMAGE_MB    0x240 /* the Multiboot header, within the code */
#define ELF_IMAGE_ENTRY 0x200010

struct elf_image {
    uint8_t bytes[ELF_IMAGE_SIZE];
};

static inline void elf_put(struct elf_image *image, uint32_t offset, uint64_t value,
                           unsigned int size)
{
    memcpy(image->bytes + offset, &value, size);
}

static inline void elf_put_segment_64(struct elf_image *image, unsigned int index, uint32_t type,
                                      uint64_t offset, uint64_t paddr, uint64_t file_size,
                                      uint64_t memory_size)
{
    uint32_t at = 64 + index * 56;

    elf_put(image, at, type, 4);
    elf_put(image, at + 8, offset, 8);
    elf_put(image, at + 16, paddr + 0xffffffff80000000, 8);
    elf_put(image, at + 24, paddr, 8);
    elf_put(image, at + 32, file_size, 8);
    elf_put(image, at + 40, memory_size, 8);
}

static inline void elf_put_segment_32(struct elf_image *image, unsigned int index, uint32_t type,
                                      uint32_t offset, uint32_t paddr, uint32_t file_size,
                                      uint32_t memory_size)
{
    uint32_t at = 52 + index * 32;

    elf_put(image, at, type, 4);
    elf_put(image, at + 4, offset, 4);
    elf_put(image, at + 8, paddr, 4);
    elf_put(image, at + 12, paddr, 4);
    elf_put(image, at + 16, file_size, 4);
    elf_put(image, at + 20, memory_size, 4);
}

static inline void elf_put_multiboot(struct elf_image *image, uint32_t flags)
{
    elf_put(image, ELF_IMAGE_MB, 0x1badb002, 4);
    elf_put(image, ELF_IMAGE_MB + 4, flags, 4);
    elf_put(image, ELF_IMAGE_MB + 8, 0u - 0x1badb002u - flags, 4);
}

static inline void elf_put_notes(struct elf_image *image)
{
    elf_put(image, ELF_IMAGE_NOTE, 4, 4); /* a note of another kind first */
    elf_put(image, ELF_IMAGE_NOTE + 4, 9, 4);
    elf_put(image, ELF_IMAGE_NOTE + 8, 6, 4);
    memcpy(image->bytes + ELF_IMAGE_NOTE + 12, "Xen", 4);
    elf_put(image, ELF_IMAGE_NOTE + 28, 4, 4);
    elf_put(image, ELF_IMAGE_NOTE + 32, 8, 4);
    elf_put(image, ELF_IMAGE_NOTE + 36, 18, 4);
    memcpy(image->bytes + ELF_IMAGE_NOTE + 40, "Xen", 4);
    elf_put(image, ELF_IMAGE_NOTE + 44, ELF_IMAGE_ENTRY, 8);
}

static inline void elf_make_common(struct elf_image *image, uint8_t class, uint16_t machine)
{
    memset(image, 0, sizeof(*image));
    for (uint32_t i = ELF_IMAGE_CODE; i < ELF_IMAGE_SIZE; i++)
        image->bytes[i] = (uint8_t)(i * 5 + 1);
    memcpy(image->bytes,
           "\x7f"
           "ELF",
           4);
    elf_put(image, 4, class, 1);
    elf_put(image, 5, 1, 1);
    elf_put(image, 16, 2, 2);
    elf_put(image, 18, machine, 2);
}

static inline void elf_make_64(struct elf_image *image)
{
    elf_make_common(image, 2, 62);
    elf_put(image, 24, 0xffffffff80000000 + ELF_IMAGE_ENTRY, 8);
    elf_put(image, 32, 64, 8);
    elf_put(image, 54, 56, 2);
    elf_put(image, 56, 3, 2);
    elf_put_segment_64(image, 0, 1, ELF_IMAGE_CODE, 0x200000, 0x300, 0x300);
    elf_put_segment_64(image, 1, 1, ELF_IMAGE_DATA, 0x400000, 0x100, 0x1000);
}

static inline void elf_make_32(struct elf_image *image)
{
    elf_make_common(image, 1, 3);
    elf_put(image, 24, ELF_IMAGE_ENTRY, 4);
    elf_put(image, 28, 52, 4);
    elf_put(image, 42, 32, 2);
    elf_put(image, 44, 3, 2);
    elf_put_segment_32(image, 0, 1, ELF_IMAGE_CODE, 0x200000, 0x300, 0x300);
    elf_put_segment_32(image, 1, 1, ELF_IMAGE_DATA, 0x400000, 0x100, 0x1000);
}
