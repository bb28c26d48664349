/* SPDX-License-Identifier: MIT */
/* The page tables: the first 4 GiB are mapped to themselves, for the kernel alone. */
#pragma once

#include <stdint.h>

#define PAGE_SIZE 4096u
#define PAGE_P    0x001ull
#define PAGE_W    0x002ull
#define PAGE_U    0x004ull
#define PAGE_PS   0x080ull
#define PAGE_NX   (1ull << 63)

/* The entry of one page of 4 KiB; a large page around it is split.  TLB included. */
void page_set(uint64_t address, uint64_t entry);
uint64_t page_get(uint64_t address);
/* Maps the 1 GiB from a multiple of it to itself, below 512 GiB. */
void page_map_gib(uint64_t address);

/* The pages between user_begin and user_end are for users too. */
void page_allow_user(void);

extern uint64_t page_pml4[512];
