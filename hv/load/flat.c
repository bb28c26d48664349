/* SPDX-License-Identifier: MIT */
/*
 * Flat binaries: test programs and other stubs.  The file, whose name ends in ".bin", is copied to
 * 1 MiB and entered at its first byte in 32-bit protected mode with flat segments, paging off,
 * interrupts off and
 *
 *   EAX  0x4d494341 ("MICA")
 *   EBX  where the ACPI RSDP lies
 *   ECX  the size of RAM below 4 GiB in KiB, from address 0 and with the hole below 1 MiB
 *   ESI  where the command line lies, which ends in NUL
 *   ESP  the top of a stack of 4 KiB below 128 KiB
 *
 * The memory after the file is not cleared after a reset, so a stub clears its own BSS.  There is
 * no initrd.
 */
#include "hv/errno.h"
#include "hv/load/loader.h"
#include "hv/string.h"

#define FLAT_BASE  ((uint64_t)LAYOUT_EXTENDED_BASE)
#define FLAT_MAGIC 0x4d494341

bool flat_recognise(const struct load_file *file)
{
    static const char suffix[] = ".bin";
    const size_t length = strlen(file->name), suffix_length = sizeof(suffix) - 1;

    return length > suffix_length && strcmp(file->name + length - suffix_length, suffix) == 0;
}

int flat_load(struct loader *loader)
{
    const struct load_file *kernel = &loader->image->kernel;
    const uint64_t low_size = layout_low_size(loader->target->memory_size);
    int result;

    if (kernel->size == 0)
        return load_fail(loader, ENOEXEC, "is empty");
    if (loader->image->initrd.size != 0)
        return load_fail(loader, EINVAL, "a flat binary takes no initrd");
    if (!layout_is_ram(&loader->map, FLAT_BASE, kernel->size))
        return load_fail(loader, ENOSPC,
                         "does not fit: %llu KiB from 1 MiB on, in a guest of %llu KiB",
                         (unsigned long long)(kernel->size + 1023) / 1024,
                         (unsigned long long)(loader->target->memory_size / 1024));
    result = load_cmdline(loader, 0, LOAD_CMDLINE_MAX);
    if (result != 0)
        return result;
    load_cpu_state(loader, LOAD_PROTECTED, "flat binary");
    load_write(loader, FLAT_BASE, kernel->data, kernel->size);
    loader->entry.rip = FLAT_BASE;
    loader->entry.rax = FLAT_MAGIC;
    loader->entry.rbx = ACPI_RSDP;
    loader->entry.rcx = low_size / KIB(1);
    loader->entry.rsi = LOAD_CMDLINE;
    return 0;
}
