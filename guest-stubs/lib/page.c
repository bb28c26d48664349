/* SPDX-License-Identifier: MIT */
/* Changes to the page tables that start.asm has made. */
#include "guest-stubs/lib/page.h"

#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"

#define ADDRESS   0x000ffffffffff000ull
#define LEVEL(n)  (12 + 9 * (n))
#define POOL_SIZE 16

extern uint8_t user_begin[], user_end[];

static uint64_t pool[POOL_SIZE][512] __attribute__((aligned(4096)));
static unsigned int pool_used;

static uint64_t *take_table(void)
{
    if (pool_used == POOL_SIZE)
        fail_at_once("there are page tables enough");
    return pool[pool_used++];
}

static uint64_t *below(uint64_t entry)
{
    return (uint64_t *)(entry & ADDRESS);
}

/* The large page's entry becomes a table of 512 pages. */
static void split(uint64_t *entry)
{
    uint64_t *table = take_table();
    uint64_t first = *entry & ~PAGE_PS;

    for (unsigned int i = 0; i < 512; i++)
        table[i] = first + (uint64_t)i * PAGE_SIZE;
    *entry = (uint64_t)table | PAGE_P | PAGE_W | PAGE_U;
}

static uint64_t *find(uint64_t address)
{
    uint64_t *table = page_pml4;

    for (unsigned int level = 3; level > 0; level--) {
        uint64_t *entry = &table[address >> LEVEL(level) & 511];

        if (level == 1 && (*entry & PAGE_PS))
            split(entry);
        table = below(*entry);
    }
    return &table[address >> LEVEL(0) & 511];
}

void page_set(uint64_t address, uint64_t entry)
{
    *find(address) = entry;
    invlpg(address);
}

uint64_t page_get(uint64_t address)
{
    return *find(address);
}

void page_map_gib(uint64_t address)
{
    uint64_t *pdpt = below(page_pml4[0]);
    uint64_t *directory = take_table();

    for (uint64_t i = 0; i < 512; i++)
        directory[i] = (address + (i << LEVEL(1))) | PAGE_P | PAGE_W | PAGE_PS;
    pdpt[address >> LEVEL(2) & 511] = (uint64_t)directory | PAGE_P | PAGE_W | PAGE_U;
}

void page_allow_user(void)
{
    for (uint64_t page = (uint64_t)user_begin; page < (uint64_t)user_end; page += PAGE_SIZE)
        page_set(page, page | PAGE_P | PAGE_W | PAGE_U);
}
