/* SPDX-License-Identifier: MIT */
/*
 * What mica.elf starts on: a stack, the first page tables and the page for the other CPUs' start.
 * All of it is made while firmware still gives memory; after that there is only the jump.
 */
#include "boot/loader.h"

#include "hv/addr.h"
#include "hv/util.h"

#define STACK_SIZE     KIB(16)
#define LOWEST_MIB_END 0xfffffull

/* handover.asm.  Hidden, so that its address needs no relocation. */
__attribute__((visibility("hidden"), noreturn)) void
handover_switch(uint64_t cr3, uint64_t entry, uint64_t stack_top, const struct boot_info *info);

static EFI_STATUS allocate_stack(struct loader *loader)
{
    uint64_t base = 0;
    EFI_STATUS status =
        loader_allocate(loader, STACK_SIZE, BOOT_MEM_LOADER, L"the boot stack", &base);

    loader->stack_top = base + STACK_SIZE;
    return status;
}

static EFI_STATUS allocate_trampoline(struct loader *loader)
{
    loader->info->trampoline = LOWEST_MIB_END;
    return loader_allocate(loader, PAGE_SIZE, BOOT_MEM_LOADER, L"the trampoline below 1 MiB",
                           &loader->info->trampoline);
}

/* RAM does not come or go any more: the map of now is good enough for the tables. */
static EFI_STATUS build_tables(struct loader *loader)
{
    struct boot_info *info = loader->info;
    struct tables *tables = &loader->tables;
    uint64_t pages = tables_pages(info->memory, info->memory_count, info->image_size);
    uint64_t pool = 0;
    EFI_STATUS status = loader_allocate(loader, pages * PAGE_SIZE, BOOT_MEM_LOADER,
                                        L"the first page tables", &pool);

    if (EFI_ERROR(status))
        return status;
    if (!tables_init(tables, pool, pages) ||
        !tables_map_identity(tables, info->memory, info->memory_count) ||
        !tables_map_image(tables, &loader->image, info->image_virt, info->image_phys) ||
        !tables_map_code(tables, align_down((uint64_t)handover_switch, PAGE_SIZE)))
        return loader_refuse(EFI_BUFFER_TOO_SMALL, L"too few pages for the first page tables");
    return EFI_SUCCESS;
}

EFI_STATUS handover_prepare(struct loader *loader)
{
    UINTN key;
    EFI_STATUS status = allocate_stack(loader);

    if (!EFI_ERROR(status))
        status = allocate_trampoline(loader);
    if (!EFI_ERROR(status))
        status = memmap_collect(loader, &key);
    return EFI_ERROR(status) ? status : build_tables(loader);
}

void handover_jump(const struct loader *loader)
{
    const struct boot_info *info = loader->info;
    uint64_t entry = loader->image.entry - loader->image.virt + info->image_virt;

    handover_switch(loader->tables.root, entry, loader->stack_top, info);
}
