/* SPDX-License-Identifier: MIT */
/*
 * The physical pages of the machine: runs of 4 KiB pages, handed out zeroed.  Called at boot and
 * when VMs come and go, never on an exit path.  Page 0 and memory below 1 MiB are never handed out,
 * so HPA(0) means "none".
 */
#pragma once

#include "hv/addr.h"

#include <stdbool.h>
#include <stdint.h>

struct boot_info;

/* Takes what the memory map calls usable.  Before paging_init(): memory is still reached one to
 * one. */
void mem_init(const struct boot_info *info);

/*
 * pages contiguous zeroed pages whose address is a multiple of alignment (a power of two of at
 * least PAGE_SIZE), or HPA(0). Zeroing a long run lets interrupts in now and then: do not call it
 * with a lock held that a handler takes.
 */
hpa_t mem_alloc(uint64_t pages, uint64_t alignment);

/* Zeroes and gives back; any part of a run may be freed by itself, and HPA(0) is nothing to free.
 * Freeing a page that is free is a panic. */
void mem_free(hpa_t hpa, uint64_t pages);

uint64_t mem_total_pages(void);
uint64_t mem_free_pages(void);

/* Called after every 2 MiB that are zeroed; a null pointer (the default) for none. */
void mem_set_pause_hook(void (*hook)(void));

static inline uint64_t mem_pages(uint64_t bytes)
{
    return (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
}
