/* SPDX-License-Identifier: MIT */
/*
 * Linux's bzImage by the 64-bit boot protocol (Documentation/x86/boot.rst, "64-bit Boot Protocol"):
 * the setup code is not run, its header is copied into a boot_params that describes the machine,
 * and the kernel is entered at 200h after its load address.  Images without that entry are refused.
 */
#include "hv/errno.h"
#include "hv/load/loader.h"
#include "hv/string.h"

/* The setup header, at the same offsets in the file and in boot_params. */
#define HDR_SETUP_SECTS        0x1f1 /* 8 bits */
#define HDR_SYSSIZE            0x1f4 /* 32 bits, units of 16 bytes */
#define HDR_VID_MODE           0x1fa /* 16 bits */
#define HDR_BOOT_FLAG          0x1fe /* 16 bits */
#define HDR_LENGTH             0x201 /* 8 bits: the header ends this far after 202h */
#define HDR_MAGIC              0x202 /* "HdrS" */
#define HDR_VERSION            0x206 /* 16 bits */
#define HDR_TYPE_OF_LOADER     0x210 /* 8 bits */
#define HDR_LOADFLAGS          0x211 /* 8 bits */
#define HDR_CODE32_START       0x214 /* 32 bits */
#define HDR_RAMDISK_IMAGE      0x218 /* 32 bits */
#define HDR_RAMDISK_SIZE       0x21c /* 32 bits */
#define HDR_CMD_LINE_PTR       0x228 /* 32 bits */
#define HDR_INITRD_ADDR_MAX    0x22c /* 32 bits: the last byte that the initrd may have */
#define HDR_KERNEL_ALIGNMENT   0x230 /* 32 bits */
#define HDR_RELOCATABLE_KERNEL 0x234 /* 8 bits */
#define HDR_XLOADFLAGS         0x236 /* 16 bits */
#define HDR_CMDLINE_SIZE       0x238 /* 32 bits, without the NUL */
#define HDR_SETUP_DATA         0x250 /* 64 bits */
#define HDR_PREF_ADDRESS       0x258 /* 64 bits */
#define HDR_INIT_SIZE          0x260 /* 32 bits */
#define HDR_END_MIN            0x264 /* what protocol 2.12 has up to init_size */
#define HDR_END_MAX            0x290 /* where boot_params goes on */

#define BOOT_FLAG              0xaa55
#define VERSION_64BIT          0x020c /* the first with xloadflags */
#define LOADFLAGS_LOADED_HIGH  0x01
#define LOADFLAGS_CAN_USE_HEAP 0x80
#define XLF_KERNEL_64          0x01
#define VID_MODE_NORMAL        0xffff
#define TYPE_OF_LOADER_UNKNOWN 0xff

/* boot_params, outside of the header. */
#define PARAMS_ACPI_RSDP_ADDR 0x070 /* 64 bits */
#define PARAMS_E820_ENTRIES   0x1e8 /* 8 bits */
#define PARAMS_E820_TABLE     0x2d0
#define E820_ENTRY_SIZE       20
#define PARAMS_SIZE           4096

#define SECTOR        512u
#define ENTRY_64      0x200 /* from the load address */
#define SETUP_SECTS_0 4     /* what a zero in setup_sects stands for */

/* What the header says, checked by parse(). */
struct bzimage {
    uint32_t header_end; /* in the file and in boot_params */
    uint64_t payload;    /* offset of the protected-mode code in the file */
    uint64_t payload_size;
    uint64_t load_address;
    uint64_t init_size; /* bytes of RAM that it needs from load_address on */
    uint64_t initrd_limit;
    uint64_t cmdline_max;
};

bool linux_recognise(const struct load_file *file)
{
    return load_has(file, 0, HDR_VERSION + 2) && load_get16(file, HDR_BOOT_FLAG) == BOOT_FLAG &&
           memcmp((const char *)file->data + HDR_MAGIC, "HdrS", 4) == 0;
}

static uint8_t get8(const struct load_file *file, uint64_t offset)
{
    return ((const uint8_t *)file->data)[offset];
}

/* The header's extent and what makes the image one with a 64-bit entry. */
static int check_header(struct loader *loader, struct bzimage *image)
{
    const struct load_file *file = &loader->image->kernel;
    const unsigned int version = load_get16(file, HDR_VERSION);

    image->header_end = HDR_MAGIC + get8(file, HDR_LENGTH);
    if (version < VERSION_64BIT)
        return load_fail(loader, ENOEXEC,
                         "boot protocol %u.%02u has no 64-bit entry (2.12 is needed)", version >> 8,
                         version & 0xff);
    if (image->header_end < HDR_END_MIN || image->header_end > HDR_END_MAX)
        return load_fail(loader, ENOEXEC, "bad setup header: it ends at %#x", image->header_end);
    if (!load_has(file, 0, image->header_end))
        return load_fail(loader, ENOEXEC, "truncated: the file ends within its setup header");
    if ((load_get16(file, HDR_XLOADFLAGS) & XLF_KERNEL_64) == 0)
        return load_fail(loader, ENOEXEC, "has no 64-bit entry (XLF_KERNEL_64 is clear)");
    if ((get8(file, HDR_LOADFLAGS) & LOADFLAGS_LOADED_HIGH) == 0)
        return load_fail(loader, ENOEXEC, "is a zImage (LOADED_HIGH is clear)");
    return 0;
}

static int check_payload(struct loader *loader, struct bzimage *image)
{
    const struct load_file *file = &loader->image->kernel;
    const unsigned int sectors = get8(file, HDR_SETUP_SECTS);

    image->payload = (uint64_t)((sectors == 0 ? SETUP_SECTS_0 : sectors) + 1) * SECTOR;
    image->payload_size = (uint64_t)load_get32(file, HDR_SYSSIZE) * 16;
    if (image->payload < image->header_end)
        return load_fail(loader, ENOEXEC,
                         "bad setup_sects %u: the kernel would begin within the setup header",
                         sectors);
    if (image->payload_size <= ENTRY_64)
        return load_fail(loader, ENOEXEC, "bad syssize: %llu bytes hold no 64-bit entry",
                         (unsigned long long)image->payload_size);
    if (!load_has(file, image->payload, image->payload_size))
        return load_fail(loader, ENOEXEC,
                         "truncated: %llu bytes, of which the header announces %llu",
                         (unsigned long long)file->size,
                         (unsigned long long)(image->payload + image->payload_size));
    return 0;
}

/*
 * A relocatable kernel moves itself up to pref_address when it is loaded below, so that is where
 * its memory must be in any case.
 */
static int choose_address(struct loader *loader, struct bzimage *image)
{
    const struct load_file *file = &loader->image->kernel;
    const uint64_t alignment = load_get32(file, HDR_KERNEL_ALIGNMENT);
    uint64_t address = load_get64(file, HDR_PREF_ADDRESS);

    image->init_size = load_get32(file, HDR_INIT_SIZE);
    if (image->init_size < image->payload_size)
        return load_fail(loader, ENOEXEC, "bad init_size: %llu bytes for a kernel of %llu",
                         (unsigned long long)image->init_size,
                         (unsigned long long)image->payload_size);
    if (get8(file, HDR_RELOCATABLE_KERNEL) != 0) {
        if (alignment == 0 || (alignment & (alignment - 1)) != 0)
            return load_fail(loader, ENOEXEC, "bad kernel_alignment %#llx",
                             (unsigned long long)alignment);
        address = MAX(address, (uint64_t)LAYOUT_EXTENDED_BASE);
        if (address < LAYOUT_LOW_RAM_END)
            address = align_up(address, alignment);
    }
    if (address < LAYOUT_EXTENDED_BASE || address >= LAYOUT_LOW_RAM_END)
        return load_fail(loader, ENOEXEC, "bad pref_address %#llx", (unsigned long long)address);
    if (!layout_is_ram(&loader->map, address, image->init_size))
        return load_fail(loader, ENOSPC, "needs %llu MiB of memory; the guest has %llu MiB",
                         (unsigned long long)((address + image->init_size + MIB(1) - 1) / MIB(1)),
                         (unsigned long long)(loader->target->memory_size / MIB(1)));
    image->load_address = address;
    return 0;
}

static int parse(struct loader *loader, struct bzimage *image)
{
    const struct load_file *file = &loader->image->kernel;
    int result = check_header(loader, image);

    if (result == 0)
        result = check_payload(loader, image);
    if (result == 0)
        result = choose_address(loader, image);
    if (result != 0)
        return result;
    image->initrd_limit = (uint64_t)load_get32(file, HDR_INITRD_ADDR_MAX) + 1;
    image->cmdline_max = load_get32(file, HDR_CMDLINE_SIZE);
    return 0;
}

static void put8(struct loader *loader, uint64_t gpa, uint8_t value)
{
    load_write(loader, gpa, &value, sizeof(value));
}

static void put16(struct loader *loader, uint64_t gpa, uint16_t value)
{
    load_write(loader, gpa, &value, sizeof(value));
}

static void put_e820(struct loader *loader)
{
    const struct layout_map *map = &loader->map;

    put8(loader, LOAD_INFO + PARAMS_E820_ENTRIES, (uint8_t)map->count);
    for (unsigned int i = 0; i < map->count; i++) {
        uint64_t entry = LOAD_INFO + PARAMS_E820_TABLE + i * E820_ENTRY_SIZE;

        load_put64(loader, entry, map->ranges[i].base);
        load_put64(loader, entry + 8, map->ranges[i].size);
        load_put32(loader, entry + 16, layout_e820_type(map->ranges[i].type));
    }
}

/* The image's header with what a loader fills in, in a page that is zero otherwise. */
static void put_boot_params(struct loader *loader, const struct bzimage *image, uint64_t initrd)
{
    const struct load_file *file = &loader->image->kernel;
    const uint8_t loadflags = get8(file, HDR_LOADFLAGS);

    load_zero(loader, LOAD_INFO, PARAMS_SIZE);
    load_write(loader, LOAD_INFO + HDR_SETUP_SECTS, (const char *)file->data + HDR_SETUP_SECTS,
               image->header_end - HDR_SETUP_SECTS);
    put16(loader, LOAD_INFO + HDR_VID_MODE, VID_MODE_NORMAL);
    put8(loader, LOAD_INFO + HDR_TYPE_OF_LOADER, TYPE_OF_LOADER_UNKNOWN);
    put8(loader, LOAD_INFO + HDR_LOADFLAGS, loadflags & (uint8_t)~LOADFLAGS_CAN_USE_HEAP);
    load_put32(loader, LOAD_INFO + HDR_CODE32_START, (uint32_t)image->load_address);
    load_put32(loader, LOAD_INFO + HDR_RAMDISK_IMAGE, (uint32_t)initrd);
    load_put32(loader, LOAD_INFO + HDR_RAMDISK_SIZE, (uint32_t)loader->image->initrd.size);
    load_put32(loader, LOAD_INFO + HDR_CMD_LINE_PTR, (uint32_t)LOAD_CMDLINE);
    load_put64(loader, LOAD_INFO + HDR_SETUP_DATA, 0);
    load_put64(loader, LOAD_INFO + PARAMS_ACPI_RSDP_ADDR, ACPI_RSDP);
    put_e820(loader);
}

int linux_load(struct loader *loader)
{
    struct bzimage image = {0};
    uint64_t initrd = 0;
    int result = parse(loader, &image);

    if (result == 0)
        result = load_cmdline(loader, 0, image.cmdline_max);
    if (result == 0)
        result =
            load_initrd(loader, image.load_address + image.init_size, image.initrd_limit, &initrd);
    if (result != 0)
        return result;
    load_cpu_state(loader, LOAD_LONG, "Linux bzImage");
    put_boot_params(loader, &image, initrd);
    load_write(loader, image.load_address, (const char *)loader->image->kernel.data + image.payload,
               image.payload_size);
    loader->entry.rip = image.load_address + ENTRY_64;
    loader->entry.rsi = LOAD_INFO;
    return 0;
}
