/* SPDX-License-Identifier: MIT */
/*
 * The state of boot/ while it runs, and its steps in their order.  For boot/efi_*.c and handover.c
 * only: everything here is gone when hv_main() runs, but what boot_info points at.
 */
#pragma once

#include "boot/boot_info.h"
#include "boot/elf.h"
#include "boot/tables.h"

#include <efi.h>
#include <efilib.h>
#include <stdint.h>

/* Memory that must survive the hand-over, or be given back if it does not come to that. */
struct claim {
    uint64_t base;
    uint64_t pages;
    enum boot_mem_type type;
};

#define LOADER_CLAIMS (BOOT_MAX_MODULES + 8)

struct loader {
    EFI_HANDLE handle; /* this application */
    struct boot_info *info;
    struct elf_image image;
    struct tables tables;
    uint64_t stack_top;
    uint64_t map_buffer, map_capacity; /* for firmware's memory map */
    uint32_t claim_count;
    struct claim claims[LOADER_CLAIMS];
};

/* Prints "mica: " and one line, and returns status: the end of a boot that is refused. */
EFI_STATUS loader_refuse(EFI_STATUS status, const CHAR16 *format, ...);

/*
 * Whole pages that are carved out of the usable memory as `type`.  *base may hold the highest
 * address allowed, or be 0.  Says by itself that there is no memory, naming `what` it was for.
 */
EFI_STATUS loader_allocate(struct loader *loader, uint64_t size, enum boot_mem_type type,
                           const CHAR16 *what, uint64_t *base);
void loader_release(struct loader *loader);

/* The steps.  Each prints its own line when it refuses. */
EFI_STATUS cpu_check(struct loader *loader);
EFI_STATUS modules_read(struct loader *loader);
EFI_STATUS image_load(struct loader *loader);
EFI_STATUS machine_describe(struct loader *loader);
EFI_STATUS handover_prepare(struct loader *loader);
EFI_STATUS memmap_collect(struct loader *loader, UINTN *key);
EFI_STATUS memmap_exit(struct loader *loader);
void handover_jump(const struct loader *loader) __attribute__((noreturn));
