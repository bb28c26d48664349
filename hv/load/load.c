/* SPDX-License-Identifier: MIT */
/*
 * Chooses the boot protocol by the file's content, and holds what all protocols do alike.
 * What a protocol demands is in its own file.
 */
#include "hv/load/load.h"

#include "hv/errno.h"
#include "hv/load/loader.h"
#include "hv/printf.h"
#include "hv/string.h"

#include <stdarg.h>

#define PTE_PRESENT  BIT(0)
#define PTE_WRITABLE BIT(1)
#define PTE_LARGE    BIT(7)
#define TABLE_SIZE   512u

/* Flat segments, accessed: code of 32 and 64 bits, data. */
#define DESCRIPTOR_CODE32 0x00cf9b000000ffffull
#define DESCRIPTOR_CODE64 0x00af9b000000ffffull
#define DESCRIPTOR_DATA   0x00cf93000000ffffull

/* The order matters: a flat file is whatever is nothing else. */
static const struct {
    bool (*recognise)(const struct load_file *file);
    int (*load)(struct loader *loader);
} protocols[] = {
    {linux_recognise, linux_load},
    {elf_recognise, elf_load},
    {multiboot_recognise, multiboot_load},
    {flat_recognise, flat_load},
};

int load_fail(struct loader *loader, int number, const char *format, ...)
{
    char *reason = loader->error->reason;
    const size_t size = sizeof(loader->error->reason);
    size_t used = str_format(reason, size, "%s: ", loader->image->kernel.name);
    va_list arguments;

    if (used >= size)
        return -number;
    va_start(arguments, format);
    str_vformat(reason + used, size - used, format, arguments);
    va_end(arguments);
    return -number;
}

void load_write(struct loader *loader, uint64_t gpa, const void *from, uint64_t size)
{
    if (loader->status == 0)
        loader->status = loader->target->write(loader->target->ctx, gpa, from, size);
}

void load_zero(struct loader *loader, uint64_t gpa, uint64_t size)
{
    if (loader->status == 0)
        loader->status = loader->target->zero(loader->target->ctx, gpa, size);
}

void load_put32(struct loader *loader, uint64_t gpa, uint32_t value)
{
    load_write(loader, gpa, &value, sizeof(value));
}

void load_put64(struct loader *loader, uint64_t gpa, uint64_t value)
{
    load_write(loader, gpa, &value, sizeof(value));
}

bool load_has(const struct load_file *file, uint64_t offset, uint64_t size)
{
    return offset <= file->size && size <= file->size - offset;
}

uint16_t load_get16(const struct load_file *file, uint64_t offset)
{
    uint16_t value;

    memcpy(&value, (const char *)file->data + offset, sizeof(value));
    return value;
}

uint32_t load_get32(const struct load_file *file, uint64_t offset)
{
    uint32_t value;

    memcpy(&value, (const char *)file->data + offset, sizeof(value));
    return value;
}

uint64_t load_get64(const struct load_file *file, uint64_t offset)
{
    uint64_t value;

    memcpy(&value, (const char *)file->data + offset, sizeof(value));
    return value;
}

/* Writes `count` entries that map one table of the level below or one large page each, from `first`
 * on. */
static void put_entries(struct loader *loader, uint64_t table, unsigned int count, uint64_t first,
                        uint64_t step)
{
    uint64_t entries[64];

    for (unsigned int done = 0; done < count;) {
        unsigned int now = MIN(count - done, (unsigned int)ARRAY_SIZE(entries));

        for (unsigned int i = 0; i < now; i++)
            entries[i] = first + (done + i) * step;
        load_write(loader, table + done * sizeof(uint64_t), entries, now * sizeof(uint64_t));
        done += now;
    }
}

/* The first 4 GiB, each address to itself, in 2 MiB pages. */
static void put_identity_map(struct loader *loader)
{
    const uint64_t pml4 = LOAD_PAGE_TABLES, pdpt = pml4 + PAGE_SIZE, directories = pdpt + PAGE_SIZE;
    const uint64_t table_flags = PTE_PRESENT | PTE_WRITABLE;

    load_zero(loader, pml4, 2 * PAGE_SIZE);
    put_entries(loader, pml4, 1, pdpt | table_flags, 0);
    put_entries(loader, pdpt, 4, directories | table_flags, PAGE_SIZE);
    put_entries(loader, directories, 4 * TABLE_SIZE, table_flags | PTE_LARGE, SIZE_2M);
}

void load_cpu_state(struct loader *loader, enum load_mode mode, const char *protocol)
{
    const uint64_t gdt[] = {
        [LOAD_SEL_CODE / 8] = mode == LOAD_LONG ? DESCRIPTOR_CODE64 : DESCRIPTOR_CODE32,
        [LOAD_SEL_DATA / 8] = DESCRIPTOR_DATA,
    };

    load_write(loader, LOAD_GDT, gdt, sizeof(gdt));
    if (mode == LOAD_LONG)
        put_identity_map(loader);
    loader->entry = (struct load_entry){.mode = mode,
                                        .protocol = protocol,
                                        .rsp = LOAD_STACK_TOP,
                                        .cr3 = mode == LOAD_LONG ? LOAD_PAGE_TABLES : 0,
                                        .gdt_base = LOAD_GDT,
                                        .gdt_limit = sizeof(gdt) - 1,
                                        .cs = LOAD_SEL_CODE,
                                        .ds = LOAD_SEL_DATA};
}

int load_cmdline(struct loader *loader, uint64_t at, uint64_t limit)
{
    const char *cmdline = loader->image->cmdline;
    uint64_t length = strlen(cmdline);

    limit = MIN(limit, LOAD_CMDLINE_MAX - at);
    if (length > limit)
        return load_fail(loader, E2BIG, "takes a command line of at most %llu characters, not %llu",
                         (unsigned long long)limit, (unsigned long long)length);
    load_write(loader, LOAD_CMDLINE + at, cmdline, length + 1);
    return 0;
}

int load_check_place(struct loader *loader, uint64_t base, uint64_t size)
{
    if (!layout_is_ram(&loader->map, base, size))
        return load_fail(loader, ENOSPC,
                         "wants %#llx bytes at %#llx, where the guest of %llu MiB has no RAM",
                         (unsigned long long)size, (unsigned long long)base,
                         (unsigned long long)(loader->target->memory_size / MIB(1)));
    if (base < LOAD_AREA_END && base + size > LOAD_AREA)
        return load_fail(loader, ENOSPC,
                         "wants %#llx bytes at %#llx, which the boot information needs",
                         (unsigned long long)size, (unsigned long long)base);
    return 0;
}

int load_initrd(struct loader *loader, uint64_t kernel_end, uint64_t limit, uint64_t *base)
{
    const struct load_file *initrd = &loader->image->initrd;

    *base = 0;
    if (initrd->size == 0)
        return 0;
    limit = MIN(limit, layout_low_size(loader->target->memory_size));
    if (initrd->size <= limit)
        *base = align_down(limit - initrd->size, PAGE_SIZE);
    if (initrd->size > limit || *base < kernel_end)
        return load_fail(loader, ENOSPC,
                         "no room for %s (%llu KiB) between the kernel's end at %#llx and %#llx",
                         initrd->name, (unsigned long long)(initrd->size + 1023) / 1024,
                         (unsigned long long)kernel_end, (unsigned long long)limit);
    load_write(loader, *base, initrd->data, initrd->size);
    load_write(loader, LOAD_INITRD_NAME, initrd->name, strlen(initrd->name) + 1);
    return 0;
}

static int load_by_protocol(struct loader *loader)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(protocols); i++)
        if (protocols[i].recognise(&loader->image->kernel))
            return protocols[i].load(loader);
    return load_fail(
        loader, ENOEXEC,
        "is no Linux bzImage, no ELF file, no Multiboot kernel, and its name does not end in .bin");
}

int load_kernel(const struct load_target *target, const struct load_image *image,
                struct load_entry *entry, struct load_error *error)
{
    struct loader loader = {.target = target, .image = image, .error = error};
    int result;

    error->reason[0] = '\0';
    if (target->memory_size < LAYOUT_MEMORY_MIN || target->memory_size > LAYOUT_MEMORY_MAX ||
        !is_aligned(target->memory_size, PAGE_SIZE))
        return load_fail(&loader, EINVAL, "a guest of %llu bytes of memory is not possible",
                         (unsigned long long)target->memory_size);
    if (target->vcpus == 0 || target->vcpus > LAYOUT_MAX_VCPUS)
        return load_fail(&loader, EINVAL, "a guest of %u CPUs is not possible", target->vcpus);
    layout_make(target->memory_size, &loader.map);
    result = load_by_protocol(&loader);
    if (result != 0)
        return result;
    acpi_install(&loader);
    if (loader.status != 0)
        return load_fail(&loader, -loader.status, "guest memory could not be written (error %d)",
                         -loader.status);
    *entry = loader.entry;
    return 0;
}
