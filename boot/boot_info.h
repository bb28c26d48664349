/* SPDX-License-Identifier: MIT */
/*
 * What boot/ hands to hv_main(): plain, versioned, without EFI types.  All
 * addresses are physical; all memory that the structure points at is marked
 * BOOT_MEM_LOADER, BOOT_MEM_IMAGE or BOOT_MEM_MODULE in its own memory map, so
 * that it is never given away.
 */
#pragma once

#include <stdint.h>

#define BOOT_INFO_MAGIC   0x544f4f424143494dull /* "MICABOOT" */
#define BOOT_INFO_VERSION 2u

#define BOOT_MAX_MEMORY  512
#define BOOT_MAX_MODULES 64
#define BOOT_MAX_CPUS    256
#define BOOT_NAME_SIZE   64

enum boot_mem_type {
    BOOT_MEM_USABLE =
        1,           /* Conventional, BootServices and Loader memory that nothing below claims */
    BOOT_MEM_LOADER, /* boot_info, first page tables, boot stack, trampoline */
    BOOT_MEM_IMAGE,  /* mica.elf: its segments, and the file itself (symbols) */
    BOOT_MEM_MODULE, /* the files of \mica\ */
    BOOT_MEM_ACPI,   /* ACPI tables, reclaimable */
    BOOT_MEM_NVS,    /* ACPI NVS */
    BOOT_MEM_RUNTIME_CODE, /* EFI runtime services: needed for the final shutdown only */
    BOOT_MEM_RUNTIME_DATA,
    BOOT_MEM_MMIO,
    BOOT_MEM_RESERVED, /* reserved, unusable, persistent and unknown types */
};

/* Sorted by base, page-aligned, without overlaps; neighbours of one type are merged. */
struct boot_mem {
    uint64_t base;
    uint64_t size;
    uint32_t type; /* enum boot_mem_type */
    uint32_t reserved;
};

struct boot_module {
    uint64_t base; /* page-aligned */
    uint64_t size; /* bytes */
    char name[BOOT_NAME_SIZE];
};

struct boot_framebuffer {
    uint64_t base; /* 0: none */
    uint64_t size;
    uint32_t width, height; /* pixels */
    uint32_t stride;        /* pixels a line */
    uint32_t format;        /* 0: RGBX, 1: BGRX, 8 bits each; else: another */
};

struct boot_cpu {
    uint32_t apic_id;
    uint32_t enabled; /* 1: may be started */
};

struct boot_info {
    uint64_t magic;
    uint32_t version;
    uint32_t size; /* sizeof(struct boot_info) */

    uint64_t banner_tsc; /* TSC when the banner was printed */
    uint64_t image_phys; /* where the image's first page lies; contiguous */
    uint64_t image_virt; /* the virtual address of that page (link address plus slide) */
    uint64_t image_size; /* bytes, whole pages */
    uint64_t elf_file; /* mica.elf as it was read, with what its program headers say of the image */
    uint64_t elf_size;
    uint64_t symbols; /* the part of it that names functions for the stack trace; see elf.h */
    uint64_t symbols_size;
    uint64_t trampoline;   /* one page below 1 MiB for the start of the other CPUs */
    uint64_t rsdp;         /* 0: firmware has no ACPI tables */
    uint64_t smbios;       /* SMBIOS 3 entry point, else SMBIOS 2, else 0 */
    uint64_t system_table; /* EFI_SYSTEM_TABLE, for ResetSystem at the very end */
    struct boot_framebuffer framebuffer;
    uint8_t seed[64];   /* from EFI_RNG_PROTOCOL */
    uint32_t seed_size; /* bytes of it that are random; 0: no RNG protocol */

    uint32_t cpu_count; /* from EFI MP Services; 1 with the boot CPU alone where there is none */
    uint32_t module_count;
    uint32_t memory_count;
    struct boot_cpu cpus[BOOT_MAX_CPUS]; /* the boot CPU first */
    struct boot_module modules[BOOT_MAX_MODULES];
    struct boot_mem memory[BOOT_MAX_MEMORY];
};
