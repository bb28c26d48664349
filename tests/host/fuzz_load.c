/* SPDX-License-Identifier: MIT */
/*
 * Kernels of any bytes: nothing outside of the file is read, nothing outside of the guest is
 * written, and what is accepted starts in RAM.  The input edits a synthetic kernel of one of the
 * kinds, or is the file itself.
 */
#include "hv/errno.h"
#include "hv/load/load.h"
#include "hv/load/loader.h"
#include "tests/host/elf_image.h"
#include "tests/host/linux_image.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EDIT_SIZE 11 /* offset, width, value */

static struct layout_map map;
static volatile uint8_t sink;

static bool has(uint64_t gpa, uint64_t size)
{
    return layout_is_ram(&map, gpa, size) ||
           (gpa >= LAYOUT_ACPI_BASE && gpa <= LAYOUT_EXTENDED_BASE &&
            size <= LAYOUT_EXTENDED_BASE - gpa);
}

/* The loaders check before they write, so the first byte of a write that fails is a bug. */
static int check_write(void *ctx, uint64_t gpa, const void *from, uint64_t size)
{
    const uint8_t *bytes = from;

    if (!has(gpa, size))
        abort();
    for (uint64_t i = 0; i < size; i += 16)
        sink = bytes[i];
    if (size != 0)
        sink = bytes[size - 1];
    return 0;
}

static int check_zero(void *ctx, uint64_t gpa, uint64_t size)
{
    if (!has(gpa, size))
        abort();
    return 0;
}

static void load(const char *name, const uint8_t *data, size_t size, uint8_t choice)
{
    static const uint64_t sizes[] = {MIB(4), MIB(5), MIB(20), GIB(5)};
    static const uint8_t initrd[5000];
    const struct load_target target = {.memory_size = sizes[choice % 4],
                                       .vcpus = choice % 32 + 1u,
                                       .write = check_write,
                                       .zero = check_zero};
    const struct load_image image = {.kernel = {name, data, size},
                                     .initrd = {"initrd", initrd, choice & 64 ? sizeof(initrd) : 0},
                                     .cmdline = "a"};
    struct load_entry entry;
    struct load_error error;

    layout_make(target.memory_size, &map);
    int result = load_kernel(&target, &image, &entry, &error);
    if (result > 0 || (result < 0) != (error.reason[0] != '\0'))
        abort();
    if (result == 0 && (!layout_is_ram(&map, entry.rip, 1) ||
                        (entry.rip >= LOAD_AREA && entry.rip < LOAD_AREA_END)))
        abort();
}

static size_t make_kernel(uint8_t kind, uint8_t *kernel)
{
    struct elf_image *elf = (struct elf_image *)kernel;

    switch (kind % 4) {
    case 0:
        linux_make_image(kernel);
        return LINUX_IMAGE_SIZE;
    case 1:
        elf_make_64(elf);
        elf_put_notes(elf);
        elf_put_segment_64(elf, 2, 4, ELF_IMAGE_NOTE, 0, 0x40, 0x40);
        break;
    case 2:
        elf_make_32(elf);
        elf_put_multiboot(elf, 3);
        break;
    default:
        elf_make_32(elf);
        elf_put(elf, 0, 0, 1);
        elf_put_multiboot(elf, 0x10000);
        elf_put(elf, ELF_IMAGE_MB + 12, 0x200040, 4);
        elf_put(elf, ELF_IMAGE_MB + 16, 0x200000, 4);
        elf_put(elf, ELF_IMAGE_MB + 20, 0x200100, 4);
        elf_put(elf, ELF_IMAGE_MB + 24, 0x200200, 4);
        elf_put(elf, ELF_IMAGE_MB + 28, 0x200010, 4);
        break;
    }
    return ELF_IMAGE_SIZE;
}

/* Where the fields are that the loaders read; the rest is seldom worth an edit. */
static uint32_t edit_offset(uint8_t kind, uint16_t raw, size_t size)
{
    static const uint16_t starts[] = {0x1f1, 0, 0, ELF_IMAGE_MB};
    static const uint16_t spans[] = {0x77, 0x1c0, 0x260, 0x20};

    return raw < 0x1000 ? (uint32_t)(raw % (size - 8)) : starts[kind % 4] + raw % spans[kind % 4];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t kernel[LINUX_IMAGE_SIZE];

    load(size > 0 && data[0] % 2 ? "k.bin" : "k", data, size, size > 1 ? data[1] : 0);
    if (size < 2)
        return 0;
    size_t kernel_size = make_kernel(data[0], kernel);
    for (size_t at = 2; at + EDIT_SIZE <= size; at += EDIT_SIZE) {
        uint16_t raw = (uint16_t)(data[at] | data[at + 1] << 8);

        memcpy(kernel + edit_offset(data[0], raw, kernel_size), data + at + 3, data[at + 2] % 9);
    }
    if (data[0] & 0x80)
        kernel_size -= data[0];
    uint8_t *copy =
        malloc(kernel_size); /* of that size, so that ASan sees the first byte past it */
    memcpy(copy, kernel, kernel_size);
    load("k", copy, kernel_size, data[1]);
    free(copy);
    return 0;
}
