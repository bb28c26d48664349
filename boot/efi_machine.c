/* SPDX-License-Identifier: MIT */
/*
 * What only firmware knows of the machine: tables, framebuffer, CPUs, randomness.  None of it is
 * required, so nothing here refuses.
 */
#include "boot/loader.h"

#include "arch/x86/cpuid.h"
#include "hv/util.h"

/* The platform initialization specification's MP Services; gnu-efi does not have them. */
#define MP_SERVICES_GUID                                   \
    {                                                      \
        0x3fdda605, 0xa76e, 0x4f46,                        \
        {                                                  \
            0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 \
        }                                                  \
    }

#define MP_CPU_IS_BOOT BIT(0)
#define MP_CPU_ENABLED BIT(1)
#define MP_CPU_HEALTHY BIT(2)

struct mp_cpu {
    UINT64 apic_id;
    UINT32 status;
    UINT32 location[3 + 6]; /* the last six only in later editions */
};

struct mp_services {
    EFI_STATUS(EFIAPI *count)(struct mp_services *self, UINTN *cpus, UINTN *enabled);
    EFI_STATUS(EFIAPI *get)(struct mp_services *self, UINTN number, struct mp_cpu *cpu);
};

static uint64_t find_table(EFI_GUID guid)
{
    for (UINTN i = 0; i < ST->NumberOfTableEntries; i++)
        if (CompareGuid(&ST->ConfigurationTable[i].VendorGuid, &guid) == 0)
            return (uint64_t)ST->ConfigurationTable[i].VendorTable;
    return 0;
}

static void find_tables(struct boot_info *info)
{
    info->system_table = (uint64_t)ST;
    info->rsdp = find_table((EFI_GUID)ACPI_20_TABLE_GUID);
    if (info->rsdp == 0)
        info->rsdp = find_table((EFI_GUID)ACPI_TABLE_GUID);
    info->smbios = find_table((EFI_GUID)SMBIOS3_TABLE_GUID);
    if (info->smbios == 0)
        info->smbios = find_table((EFI_GUID)SMBIOS_TABLE_GUID);
}

/* False for one that is no good, but better than none to speak of. */
static bool use_framebuffer(struct boot_framebuffer *fb, EFI_GRAPHICS_OUTPUT_PROTOCOL *gop)
{
    const EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE *mode = gop->Mode;

    if (!mode || !mode->Info || mode->FrameBufferBase == 0)
        return false;
    *fb = (struct boot_framebuffer){
        .base = mode->FrameBufferBase,
        .size = mode->FrameBufferSize,
        .width = mode->Info->HorizontalResolution,
        .height = mode->Info->VerticalResolution,
        .stride = mode->Info->PixelsPerScanLine,
        .format = mode->Info->PixelFormat,
    };
    return fb->format == PixelRedGreenBlueReserved8BitPerColor ||
           fb->format == PixelBlueGreenRedReserved8BitPerColor;
}

static void find_framebuffer(struct boot_info *info)
{
    EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
    EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;
    EFI_HANDLE *handles;
    UINTN count;

    if (EFI_ERROR(BS->LocateHandleBuffer(ByProtocol, &guid, NULL, &count, &handles)))
        return;
    for (UINTN i = 0; i < count; i++)
        if (!EFI_ERROR(BS->HandleProtocol(handles[i], &guid, (void **)&gop)) &&
            use_framebuffer(&info->framebuffer, gop))
            break;
    BS->FreePool(handles);
}

static uint32_t own_apic_id(void)
{
    if (cpuid(0, 0).eax >= 0xb && cpuid(0xb, 0).ebx != 0)
        return cpuid(0xb, 0).edx;
    return cpuid(1, 0).ebx >> 24;
}

static void add_cpu(struct boot_info *info, const struct mp_cpu *cpu)
{
    if (info->cpu_count == BOOT_MAX_CPUS)
        return;
    info->cpus[info->cpu_count++] = (struct boot_cpu){
        .apic_id = (uint32_t)cpu->apic_id,
        .enabled = (cpu->status & MP_CPU_ENABLED) && (cpu->status & MP_CPU_HEALTHY),
    };
}

/* This code runs on the boot CPU. */
static void find_cpus(struct boot_info *info)
{
    EFI_GUID guid = MP_SERVICES_GUID;
    struct mp_services *services;
    struct mp_cpu cpu = {0};
    UINTN count, enabled;

    info->cpus[0] = (struct boot_cpu){.apic_id = own_apic_id(), .enabled = 1};
    info->cpu_count = 1;
    if (EFI_ERROR(BS->LocateProtocol(&guid, NULL, (void **)&services)) ||
        EFI_ERROR(services->count(services, &count, &enabled)))
        return;
    for (UINTN i = 0; i < count; i++)
        if (!EFI_ERROR(services->get(services, i, &cpu)) && !(cpu.status & MP_CPU_IS_BOOT))
            add_cpu(info, &cpu);
    if (count > BOOT_MAX_CPUS)
        Print(L"mica: %ld CPUs, of which %d are used\n", count, BOOT_MAX_CPUS);
}

static void find_seed(struct boot_info *info)
{
    EFI_GUID guid = EFI_RNG_PROTOCOL_GUID;
    EFI_RNG_PROTOCOL *rng;

    if (!EFI_ERROR(BS->LocateProtocol(&guid, NULL, (void **)&rng)) &&
        !EFI_ERROR(rng->GetRNG(rng, NULL, sizeof(info->seed), info->seed)))
        info->seed_size = sizeof(info->seed);
}

EFI_STATUS machine_describe(struct loader *loader)
{
    find_tables(loader->info);
    find_framebuffer(loader->info);
    find_cpus(loader->info);
    find_seed(loader->info);
    return EFI_SUCCESS;
}
