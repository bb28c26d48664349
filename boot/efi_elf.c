/* SPDX-License-Identifier: MIT */
/* mica.elf put in its place.  What its headers may say is elf.c's to judge. */
#include "boot/loader.h"

#include "hv/util.h"

/* Added to the link address.  The image can be slid anywhere in the top 2 GiB; nothing asks for it.
 */
#define IMAGE_SLIDE 0ull

static void copy_segments(const struct elf_image *image, uint64_t file, uint64_t memory)
{
    BS->SetMem((void *)memory, image->size, 0);
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];

        BS->CopyMem((void *)(memory + segment->offset), (void *)(file + segment->file_offset),
                    segment->file_size);
    }
}

EFI_STATUS image_load(struct loader *loader)
{
    struct boot_info *info = loader->info;
    struct elf_image *image = &loader->image;
    const void *file = (const void *)info->elf_file;
    const char *wrong = elf_parse(file, info->elf_size, image);

    if (wrong)
        return loader_refuse(EFI_LOAD_ERROR, L"mica.elf: %a", wrong);

    EFI_STATUS status =
        loader_allocate(loader, image->size, BOOT_MEM_IMAGE, L"mica.elf", &info->image_phys);
    if (EFI_ERROR(status))
        return status;
    copy_segments(image, info->elf_file, info->image_phys);
    if (IMAGE_SLIDE != 0)
        wrong = elf_relocate(file, image, (void *)info->image_phys, IMAGE_SLIDE);
    if (wrong)
        return loader_refuse(EFI_LOAD_ERROR, L"mica.elf: %a", wrong);
    info->image_virt = image->virt + IMAGE_SLIDE;
    info->image_size = image->size;
    info->symbols = info->elf_file + image->symbols.offset;
    info->symbols_size = image->symbols.size;
    return EFI_SUCCESS;
}
