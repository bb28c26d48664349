/* SPDX-License-Identifier: MIT */
/*
 * Every file of \mica\ on the volume that boot/ came from, read once into pages of its own.
 * mica.elf is kept apart; the others become modules, in the order of the directory.  Looks into
 * none of them.
 */
#include "boot/loader.h"

#include "hv/addr.h"
#include "hv/util.h"

/* Firmware exists that cannot read more at a time. */
#define READ_CHUNK MIB(1)

union file_info {
    EFI_FILE_INFO info;
    uint8_t room[sizeof(EFI_FILE_INFO) + 256 * sizeof(CHAR16)]; /* FAT's longest name */
};

static EFI_STATUS open_directory(struct loader *loader, EFI_FILE_HANDLE *directory)
{
    EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID;
    EFI_GUID file_system = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
    EFI_LOADED_IMAGE *image;
    EFI_FILE_IO_INTERFACE *volume;
    EFI_FILE_HANDLE root;

    if (EFI_ERROR(BS->HandleProtocol(loader->handle, &loaded_image, (void **)&image)) ||
        EFI_ERROR(BS->HandleProtocol(image->DeviceHandle, &file_system, (void **)&volume)) ||
        EFI_ERROR(volume->OpenVolume(volume, &root)))
        return loader_refuse(EFI_NOT_FOUND, L"the volume that this program came from has no files");

    EFI_STATUS status = root->Open(root, directory, (CHAR16 *)L"\\mica", EFI_FILE_MODE_READ, 0);
    root->Close(root);
    if (EFI_ERROR(status))
        return loader_refuse(EFI_NOT_FOUND, L"no folder \\mica\\ on the volume (%r)", status);
    return EFI_SUCCESS;
}

static EFI_STATUS read_chunks(EFI_FILE_HANDLE file, uint64_t base, uint64_t size)
{
    uint64_t done = 0;

    while (done < size) {
        UINTN chunk = MIN(size - done, READ_CHUNK);
        EFI_STATUS status = file->Read(file, &chunk, (void *)(base + done));

        if (EFI_ERROR(status))
            return status;
        if (chunk == 0)
            return EFI_END_OF_FILE;
        done += chunk;
    }
    return EFI_SUCCESS;
}

static EFI_STATUS read_file(struct loader *loader, EFI_FILE_HANDLE directory, EFI_FILE_INFO *info,
                            enum boot_mem_type type, uint64_t *base)
{
    uint64_t size = info->FileSize;
    EFI_FILE_HANDLE file;

    *base = 0;
    EFI_STATUS status = loader_allocate(loader, size, type, info->FileName, base);
    if (EFI_ERROR(status))
        return status;

    status = directory->Open(directory, &file, info->FileName, EFI_FILE_MODE_READ, 0);
    if (!EFI_ERROR(status)) {
        status = read_chunks(file, *base, size);
        file->Close(file);
    }
    if (EFI_ERROR(status))
        return loader_refuse(status, L"cannot read \\mica\\%s: %r", info->FileName, status);

    uint64_t tail = MAX(align_up(size, PAGE_SIZE), PAGE_SIZE) - size;
    BS->SetMem((void *)(*base + size), tail, 0);
    Print(L"mica: %s, %ld bytes\n", info->FileName, size);
    return EFI_SUCCESS;
}

/* FAT does not tell capitals from small letters. */
static bool is_image(const CHAR16 *name)
{
    static const char image[] = "mica.elf";
    uint32_t i = 0;

    for (; image[i] != '\0'; i++) {
        CHAR16 c = name[i];
        if (c != (CHAR16)image[i] && (c < 'A' || c > 'Z' || c + ('a' - 'A') != image[i]))
            return false;
    }
    return name[i] == 0;
}

static EFI_STATUS copy_name(char *to, const CHAR16 *name)
{
    uint32_t i = 0;

    for (; name[i] != 0; i++) {
        if (i == BOOT_NAME_SIZE - 1)
            return loader_refuse(EFI_INVALID_PARAMETER,
                                 L"\\mica\\%s: file name too long (more than %d characters)", name,
                                 BOOT_NAME_SIZE - 1);
        if (name[i] < ' ' || name[i] > '~')
            return loader_refuse(EFI_INVALID_PARAMETER, L"\\mica\\%s: file name is not plain ASCII",
                                 name);
        to[i] = (char)name[i];
    }
    to[i] = '\0';
    return EFI_SUCCESS;
}

static EFI_STATUS read_module(struct loader *loader, EFI_FILE_HANDLE directory, EFI_FILE_INFO *info)
{
    struct boot_info *boot = loader->info;
    struct boot_module *module = &boot->modules[boot->module_count];

    if (boot->module_count == BOOT_MAX_MODULES)
        return loader_refuse(EFI_OUT_OF_RESOURCES, L"too many modules (more than %d)",
                             BOOT_MAX_MODULES);

    EFI_STATUS status = copy_name(module->name, info->FileName);
    if (!EFI_ERROR(status))
        status = read_file(loader, directory, info, BOOT_MEM_MODULE, &module->base);
    if (EFI_ERROR(status))
        return status;
    module->size = info->FileSize;
    boot->module_count++;
    return EFI_SUCCESS;
}

static EFI_STATUS read_image(struct loader *loader, EFI_FILE_HANDLE directory, EFI_FILE_INFO *info)
{
    loader->info->elf_size = info->FileSize;
    return read_file(loader, directory, info, BOOT_MEM_IMAGE, &loader->info->elf_file);
}

static EFI_STATUS read_directory(struct loader *loader, EFI_FILE_HANDLE directory)
{
    static union file_info entry;

    for (;;) {
        UINTN size = sizeof(entry);
        EFI_STATUS status = directory->Read(directory, &size, &entry);

        if (EFI_ERROR(status))
            return loader_refuse(status, L"cannot read the folder \\mica\\: %r", status);
        if (size == 0)
            return EFI_SUCCESS;
        if (entry.info.Attribute & EFI_FILE_DIRECTORY)
            continue;
        status = is_image(entry.info.FileName) ? read_image(loader, directory, &entry.info)
                                               : read_module(loader, directory, &entry.info);
        if (EFI_ERROR(status))
            return status;
    }
}

EFI_STATUS modules_read(struct loader *loader)
{
    EFI_FILE_HANDLE directory;
    EFI_STATUS status = open_directory(loader, &directory);

    if (EFI_ERROR(status))
        return status;
    status = read_directory(loader, directory);
    directory->Close(directory);
    if (!EFI_ERROR(status) && loader->info->elf_file == 0)
        return loader_refuse(EFI_NOT_FOUND, L"no file \\mica\\mica.elf");
    return status;
}
