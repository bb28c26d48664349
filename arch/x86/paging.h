/* SPDX-License-Identifier: MIT */
/*
 * The host's own page tables: the image by section, a direct map of RAM, device memory, and the
 * CPUs' stacks with their guard pages.  W^X, NX, nothing for user mode.  Not the guests' tables:
 * those are slat.c's.
 *
 *   0                   nothing, but the trampoline page while other CPUs start
 *   0xffff800000000000  direct map: RAM that is usable, or holds boot_info, modules or the image
 * (that read-only) 0xffffc00000000000  device memory and firmware's tables, mapped on demand
 *   0xffffe00000000000  the CPUs' blocks (cpu.h)
 *   0xffffffff80000000  the image
 */
#pragma once

#include "hv/addr.h"

#include <stdbool.h>
#include <stdint.h>

struct boot_info;

#define DIRECT_MAP_BASE 0xffff800000000000ull
#define MMIO_MAP_BASE   0xffffc00000000000ull

/* 0 under boot/'s identity map, DIRECT_MAP_BASE from paging_init() on. */
extern uint64_t direct_map_base;

/* RAM only.  A pointer from before paging_init() does not survive it. */
static inline void *phys_to_virt(hpa_t hpa)
{
    return (void *)(direct_map_base + hpa.value);
}

/* For addresses in the direct map and in the image; anything else is a panic. */
hpa_t virt_to_phys(const void *p);

/* After mem_init(), which it takes its tables from.  Switches to the new tables. */
void paging_init(const struct boot_info *info);

/*
 * Device memory: uncached, not executable; any base and size, the same range may be asked for
 * twice.  Never fails but for want of memory, which is a panic: use at start-up.
 */
void *paging_map_mmio(hpa_t base, uint64_t size);

/* Firmware's tables, wherever they are: cached, read-only. */
const void *paging_map_firmware(hpa_t base, uint64_t size);

/* As paging_map_mmio(), write-combining: the framebuffer. */
void *paging_map_framebuffer(hpa_t base, uint64_t size);

/* The stacks and the structure of CPU n: fresh pages, guard pages between.  False without memory.
 */
bool paging_map_cpu(unsigned int index);

/* The page below 1 MiB where other CPUs start: writable first, then executable, then gone. */
enum trampoline_map { TRAMPOLINE_NONE, TRAMPOLINE_WRITE, TRAMPOLINE_EXECUTE };
void paging_map_trampoline(hpa_t page, enum trampoline_map how);

/* CR3 of the hypervisor's tables. */
uint64_t paging_cr3(void);

/*
 * A table of its own for the firmware's runtime services: the boot memory map one to one,
 * executable, and the image besides.  Live only in the final shutdown.
 */
uint64_t paging_runtime_services_cr3(void);

/* What a walk of the live tables found, in pages of 4 KiB. */
struct paging_report {
    uint64_t mapped;
    uint64_t writable;
    uint64_t executable;
    uint64_t writable_executable; /* must be 0 */
    uint64_t user;                /* must be 0 */
    uint64_t first_violation;     /* virtual address of the first of those, 0: none */
    uint64_t tables;              /* pages that the tables themselves take */
};

/* Walks the tables from CR3. */
void paging_check_wx(struct paging_report *report);

/* What a virtual address is, for panic(): "guard page of cpu 0's main stack" or a null pointer. */
const char *paging_describe(uint64_t address, unsigned int *cpu);

/* The physical address and leaf entry that the live tables give an address; false: not mapped. */
bool paging_lookup(uint64_t address, hpa_t *hpa, uint64_t *entry);
