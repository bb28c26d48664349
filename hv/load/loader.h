/* SPDX-License-Identifier: MIT */
/* What the boot protocols share; for the files of this folder only. */
#pragma once

#include "hv/layout.h"
#include "hv/load/load.h"

#include <stdbool.h>

/*
 * Where the loader puts what is not the kernel's own: low memory, which a kernel may take for
 * itself once it has read them.  No part of a kernel may be loaded there; below is what real-mode
 * programs are made for.
 */
#define LOAD_AREA        0x10000ull
#define LOAD_INFO        0x10000ull /* the protocol's information: boot_params, hvm_start_info, ... */
#define LOAD_INITRD_NAME 0x11000ull /* its file's name, for protocols that tell it */
#define LOAD_GDT         0x12000ull
#define LOAD_PAGE_TABLES 0x13000ull /* PML4, PDPT, four page directories */
#define LOAD_STACK       0x19000ull
#define LOAD_STACK_TOP   0x1a000ull
#define LOAD_CMDLINE     0x20000ull
#define LOAD_AREA_END    0x30000ull
#define LOAD_CMDLINE_MAX (LOAD_AREA_END - LOAD_CMDLINE - 1)

#define LOAD_SEL_CODE 0x10 /* the selectors that Linux's protocol prescribes; used by all */
#define LOAD_SEL_DATA 0x18

struct loader {
    const struct load_target *target;
    const struct load_image *image;
    struct load_entry entry;
    struct load_error *error;
    struct layout_map map;
    int status; /* the first error of a write; later writes do nothing */
};

/* Sets the reason, "FILE: ..." of the kernel's file, and returns -number. */
int load_fail(struct loader *loader, int number, const char *format, ...) PRINTF(3, 4);

/* Writes to guest memory.  A failure is kept in loader->status. */
void load_write(struct loader *loader, uint64_t gpa, const void *from, uint64_t size);
void load_zero(struct loader *loader, uint64_t gpa, uint64_t size);
void load_put32(struct loader *loader, uint64_t gpa, uint32_t value);
void load_put64(struct loader *loader, uint64_t gpa, uint64_t value);

/* Writes the GDT and fills all of loader->entry but rip and the general registers. */
void load_cpu_state(struct loader *loader, enum load_mode mode, const char *protocol);

/* Writes the command line to LOAD_CMDLINE + at; refuses one of more than `limit` characters. */
int load_cmdline(struct loader *loader, uint64_t at, uint64_t limit);

/* Refuses a place for a part of the kernel that is not RAM or in the loader's area. */
int load_check_place(struct loader *loader, uint64_t base, uint64_t size);

/*
 * Puts the initrd, if there is one, as high as it can lie below `limit`, and not below
 * `kernel_end`, and its name at LOAD_INITRD_NAME.  *base is 0 when there is none.
 */
int load_initrd(struct loader *loader, uint64_t kernel_end, uint64_t limit, uint64_t *base);

/* Little-endian fields of a file at any alignment; the caller has checked that they are in it. */
uint16_t load_get16(const struct load_file *file, uint64_t offset);
uint32_t load_get32(const struct load_file *file, uint64_t offset);
uint64_t load_get64(const struct load_file *file, uint64_t offset);
/* Whether [offset, offset + size) is in the file. */
bool load_has(const struct load_file *file, uint64_t offset, uint64_t size);

/* The protocols: whether the file asks for it, and how it is loaded. */
bool linux_recognise(const struct load_file *file);
int linux_load(struct loader *loader);
bool elf_recognise(const struct load_file *file); /* PVH, or Multiboot */
int elf_load(struct loader *loader);
bool multiboot_recognise(const struct load_file *file);
int multiboot_load(struct loader *loader);
bool flat_recognise(const struct load_file *file);
int flat_load(struct loader *loader);

/* Writes all ACPI tables; the RSDP lies at ACPI_RSDP. */
#define ACPI_RSDP ((uint64_t)LAYOUT_ACPI_BASE)
void acpi_install(struct loader *loader);
