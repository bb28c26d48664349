/* SPDX-License-Identifier: MIT */
/*
 * Boot: an ELF file that is entered by the Xen PVH note or by Multiboot 1, whichever of both it
 * has, and looks at all that the protocol promises: the state of the CPU, the command line, the
 * memory map, and the module, for which it is given its own flat image.
 */
#include "guest-stubs/boot/boot.h"

#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/fwcfg.h"
#include "guest-stubs/lib/stub.h"

extern uint32_t entry_cr0, entry_cr4, entry_eflags, entry_limits[6];
extern const uint8_t start[], file_end[];

#define CODE_SIZE 128 /* of stub_main() and what follows it */

/* ---- The CPU's state ------------------------------------------------------------------------- */

static void check_state(void)
{
    bool flat = true;

    check((entry_cr0 & (CR0_PE | CR0_PG)) == CR0_PE && entry_cr4 == 0,
          "it is entered in protected mode, paging off");
    check((entry_eflags & (RFLAGS_IF | RFLAGS_TF | BIT(17))) == 0, "with interrupts off");
    for (unsigned int i = 0; i < ARRAY_SIZE(entry_limits); i++)
        flat &= entry_limits[i] == UINT32_MAX;
    check(flat, "all segments reach to 4 GiB");
}

/* ---- The memory map -------------------------------------------------------------------------- */

static unsigned int ranges, ranges_alike;
static uint32_t map_size;

void map_begin(void)
{
    map_size = fwcfg_open("etc/e820");
}

void map_range(uint64_t base, uint64_t size, uint32_t type)
{
    struct e820 own;

    fwcfg_read(&own, sizeof(own));
    ranges++;
    ranges_alike += own.base == base && own.size == size && own.type == type;
}

void map_end(void)
{
    check(ranges > 0 && ranges == ranges_alike && ranges * sizeof(struct e820) == map_size,
          "the memory map is the machine's: %u ranges", ranges);
}

/* ---- The module ------------------------------------------------------------------------------ */

void check_module(uint64_t begin, uint64_t end)
{
    const uint8_t *code = (const uint8_t *)stub_main;
    uint64_t size = (uint64_t)(file_end - start);

    check_equal(end - begin, size, "the module has %lu bytes", size);
    check(begin % 4096 == 0 && begin >= (uint64_t)file_end, "it lies on a page, behind the kernel");
    check(memcmp((const uint8_t *)begin + (code - start), code, CODE_SIZE) == 0,
          "it has the stub's code");
}

void check_text(uint64_t address, const char *expected, const char *what)
{
    const char *text = (const char *)address;

    if (!check(address && memcmp(text, expected, string_length(expected) + 1) == 0, "%s", what))
        print("# it is \"%s\", not \"%s\"\n", address ? text : "", expected);
}

void stub_main(void)
{
    if (START_MAGIC == MULTIBOOT_MAGIC)
        boot_multiboot(START_RSDP); /* EBX */
    else
        boot_pvh(START_RSDP);
    check_state();
}
