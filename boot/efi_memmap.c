/* SPDX-License-Identifier: MIT */
/*
 * Firmware's memory map in our terms, less what boot/ keeps, and the exit from boot services, which
 * firmware refuses when the map has changed since it was read.
 */
#include "boot/loader.h"
#include "boot/memmap.h"

#include "hv/addr.h"
#include "hv/util.h"

#define EXIT_TRIES 8
/* The map grows by its own buffer's allocation, and by whatever runs on the firmware's timer. */
#define MAP_ROOM KIB(8)

/* Types of later editions of the UEFI specification are unknown here, and reserved. */
static enum boot_mem_type translate(const EFI_MEMORY_DESCRIPTOR *descriptor)
{
    switch (descriptor->Type) {
    case EfiLoaderCode:
    case EfiLoaderData:
    case EfiBootServicesCode:
    case EfiBootServicesData:
    case EfiConventionalMemory:
        return BOOT_MEM_USABLE;
    case EfiACPIReclaimMemory:
        return BOOT_MEM_ACPI;
    case EfiACPIMemoryNVS:
        return BOOT_MEM_NVS;
    case EfiRuntimeServicesCode:
        return BOOT_MEM_RUNTIME_CODE;
    case EfiRuntimeServicesData:
        return BOOT_MEM_RUNTIME_DATA;
    case EfiMemoryMappedIO:
    case EfiMemoryMappedIOPortSpace:
        return BOOT_MEM_MMIO;
    default:
        return BOOT_MEM_RESERVED;
    }
}

static bool add_descriptors(struct memmap *map, uint64_t buffer, UINTN size, UINTN step)
{
    for (UINTN at = 0; at + sizeof(EFI_MEMORY_DESCRIPTOR) <= size; at += step) {
        const EFI_MEMORY_DESCRIPTOR *d = (const EFI_MEMORY_DESCRIPTOR *)(buffer + at);
        uint64_t pages = MIN(d->NumberOfPages, BIT(52) / PAGE_SIZE);

        if (!memmap_add(map, d->PhysicalStart, pages * PAGE_SIZE, translate(d)))
            return false;
    }
    return true;
}

static bool carve_claims(struct memmap *map, const struct loader *loader)
{
    for (uint32_t i = 0; i < loader->claim_count; i++) {
        const struct claim *c = &loader->claims[i];

        if (!memmap_add(map, c->base, c->pages * PAGE_SIZE, c->type))
            return false;
    }
    return true;
}

/* A claim that firmware's own map calls something else was not firmware's to give. */
static bool claims_are_whole(const struct memmap *map, const struct loader *loader)
{
    for (uint32_t i = 0; i < loader->claim_count; i++) {
        const struct claim *c = &loader->claims[i];

        if (!memmap_covers(map, c->base, c->pages * PAGE_SIZE, c->type))
            return false;
    }
    return true;
}

static EFI_STATUS allocate_buffer(struct loader *loader)
{
    UINTN size = 0, key, step;
    UINT32 version;

    BS->GetMemoryMap(&size, NULL, &key, &step,
                     &version); /* says the size, and that it is too small */
    loader->map_capacity = align_up(size + MAP_ROOM, PAGE_SIZE);
    return loader_allocate(loader, loader->map_capacity, BOOT_MEM_LOADER, L"the memory map",
                           &loader->map_buffer);
}

EFI_STATUS memmap_collect(struct loader *loader, UINTN *key)
{
    struct memmap map = {.entries = loader->info->memory, .capacity = BOOT_MAX_MEMORY};
    EFI_STATUS status = loader->map_buffer ? EFI_SUCCESS : allocate_buffer(loader);
    UINTN size = loader->map_capacity, step;
    UINT32 version;

    if (EFI_ERROR(status))
        return status;
    status =
        BS->GetMemoryMap(&size, (EFI_MEMORY_DESCRIPTOR *)loader->map_buffer, key, &step, &version);
    if (EFI_ERROR(status))
        return loader_refuse(status, L"no memory map from the firmware: %r", status);
    if (!add_descriptors(&map, loader->map_buffer, size, step) || !carve_claims(&map, loader))
        return loader_refuse(EFI_OUT_OF_RESOURCES, L"firmware's memory map has more than %d parts",
                             BOOT_MAX_MEMORY);
    if (!claims_are_whole(&map, loader))
        return loader_refuse(EFI_COMPROMISED_DATA, L"firmware's memory map contradicts itself");
    loader->info->memory_count = map.count;
    return EFI_SUCCESS;
}

/* Once the first try has failed firmware may be half gone: only the map may be read again. */
EFI_STATUS memmap_exit(struct loader *loader)
{
    EFI_STATUS status = EFI_INVALID_PARAMETER;

    for (uint32_t i = 0; status == EFI_INVALID_PARAMETER && i < EXIT_TRIES; i++) {
        UINTN key;

        status = memmap_collect(loader, &key);
        if (EFI_ERROR(status))
            return status;
        status = BS->ExitBootServices(loader->handle, key);
    }
    if (EFI_ERROR(status))
        return loader_refuse(status, L"firmware does not let go: ExitBootServices: %r", status);
    return EFI_SUCCESS;
}
