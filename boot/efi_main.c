/* SPDX-License-Identifier: MIT */
/*
 * The order of boot: from the firmware's call to the jump into mica.elf.  A step that fails has
 * said why in one line; then everything is given back and the firmware goes on with its next
 * choice.
 */
#include "boot/loader.h"

#include "hv/addr.h"
#include "hv/util.h"

#define MICA_VERSION L"0.1"

EFI_STATUS efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *table);

EFI_STATUS loader_refuse(EFI_STATUS status, const CHAR16 *format, ...)
{
    va_list arguments;

    Print(L"mica: ");
    va_start(arguments, format);
    VPrint(format, arguments);
    va_end(arguments);
    Print(L"\n");
    return status;
}

EFI_STATUS loader_allocate(struct loader *loader, uint64_t size, enum boot_mem_type type,
                           const CHAR16 *what, uint64_t *base)
{
    EFI_ALLOCATE_TYPE how = *base ? AllocateMaxAddress : AllocateAnyPages;
    EFI_PHYSICAL_ADDRESS address = *base;
    uint64_t pages = MAX(align_up(size, PAGE_SIZE) / PAGE_SIZE, 1);

    if (loader->claim_count == LOADER_CLAIMS)
        return loader_refuse(EFI_OUT_OF_RESOURCES, L"too many pieces of memory");
    if (EFI_ERROR(BS->AllocatePages(how, EfiLoaderData, pages, &address)))
        return loader_refuse(EFI_OUT_OF_RESOURCES, L"out of memory: %ld KiB for %s",
                             pages * PAGE_SIZE / 1024, what);
    loader->claims[loader->claim_count++] = (struct claim){address, pages, type};
    *base = address;
    return EFI_SUCCESS;
}

void loader_release(struct loader *loader)
{
    while (loader->claim_count > 0) {
        struct claim *claim = &loader->claims[--loader->claim_count];
        BS->FreePages(claim->base, claim->pages);
    }
}

static uint64_t read_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static EFI_STATUS create_info(struct loader *loader, uint64_t banner_tsc)
{
    uint64_t base = 0;
    EFI_STATUS status =
        loader_allocate(loader, sizeof(struct boot_info), BOOT_MEM_LOADER, L"boot_info", &base);

    if (EFI_ERROR(status))
        return status;
    loader->info = (struct boot_info *)base;
    BS->SetMem(loader->info, sizeof(*loader->info), 0);
    loader->info->magic = BOOT_INFO_MAGIC;
    loader->info->version = BOOT_INFO_VERSION;
    loader->info->size = sizeof(*loader->info);
    loader->info->banner_tsc = banner_tsc;
    return EFI_SUCCESS;
}

EFI_STATUS efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *table)
{
    static EFI_STATUS (*const steps[])(struct loader *) = {
        cpu_check,        /* VT-x or AMD-V, with all that Mica needs */
        modules_read,     /* the files of \mica\ */
        image_load,       /* mica.elf in its place */
        machine_describe, /* what only firmware knows */
        handover_prepare, /* stack, trampoline page, first page tables */
        memmap_exit,      /* the memory map, and no firmware from here on */
    };
    static struct loader loader;
    uint64_t banner_tsc = read_tsc();

    InitializeLib(handle, table);
    Print(L"Mica " MICA_VERSION L", a hypervisor for x86-64\n");
    loader.handle = handle;

    EFI_STATUS status = create_info(&loader, banner_tsc);
    for (uint32_t i = 0; !EFI_ERROR(status) && i < ARRAY_SIZE(steps); i++)
        status = steps[i](&loader);
    if (!EFI_ERROR(status))
        handover_jump(&loader);
    loader_release(&loader);
    return status;
}
