/* SPDX-License-Identifier: MIT */
/* ELF kernels by their PVH note or their Multiboot header, and every file that is refused. */
#include "tests/host/elf_image.h"
#include "tests/host/guest_buffer.h"

static struct elf_image image;
static const uint8_t initrd[5000] = {9, 8, 7};

static void start(struct guest_buffer *guest, uint64_t memory_size)
{
    guest_init(guest, memory_size, 1);
    guest->image.kernel = (struct load_file){"kernel", &image, sizeof(image)};
}

static void make_pvh_64(void)
{
    elf_make_64(&image);
    elf_put_notes(&image);
    elf_put_segment_64(&image, 2, 4, ELF_IMAGE_NOTE, 0, 0x40, 0x40);
}

static void make_pvh_32(void)
{
    elf_make_32(&image);
    elf_put_notes(&image);
    elf_put_segment_32(&image, 2, 4, ELF_IMAGE_NOTE, 0, 0x40, 0x40);
}

static bool segments_are_loaded(const struct guest_buffer *guest)
{
    bool ok = memcmp(guest->bytes + 0x200000, image.bytes + ELF_IMAGE_CODE, 0x300) == 0 &&
              memcmp(guest->bytes + 0x400000, image.bytes + ELF_IMAGE_DATA, 0x100) == 0;

    for (uint32_t i = 0x100; i < 0x1000; i++)
        ok &= guest->bytes[0x400000 + i] == 0;
    return ok && guest->bytes[0x401000] == 0xcc;
}

static void test_pvh(const char *class)
{
    struct guest_buffer guest;
    char what[96];

    start(&guest, MIB(8));
    guest.image.cmdline = "console=ttyS0";
    snprintf(what, sizeof(what),
             "a %s ELF file with a PVH note starts at its entry in protected mode", class);
    CHECK(guest_load(&guest) == 0 && guest.entry.mode == LOAD_PROTECTED &&
              guest.entry.rip == ELF_IMAGE_ENTRY && guest.entry.rbx == 0x10000 &&
              guest.entry.rax == 0 && strcmp(guest.entry.protocol, "ELF, PVH") == 0,
          what);
    CHECK(segments_are_loaded(&guest),
          "its segments lie at their physical addresses, the rest cleared");

    const uint64_t info = guest.entry.rbx, memmap = guest_get(&guest, info + 40, 8);
    CHECK(guest_get(&guest, info, 8) == 0x1336ec578 && guest_get(&guest, info + 8, 8) == 0 &&
              guest_get(&guest, info + 16, 8) == 0 && guest_get(&guest, info + 32, 8) == 0xe0000 &&
              guest_get(&guest, info + 48, 8) == 6,
          "hvm_start_info is of version 1 and names the RSDP and six ranges");
    CHECK(strcmp((char *)guest.bytes + guest_get(&guest, info + 24, 8), "console=ttyS0") == 0,
          "and the command line");
    CHECK(guest_get(&guest, memmap + 2 * 24, 8) == 0x100000 &&
              guest_get(&guest, memmap + 2 * 24 + 8, 8) == MIB(7) &&
              guest_get(&guest, memmap + 2 * 24 + 16, 8) == 1 &&
              guest_get(&guest, memmap + 24, 8) == 0xc0000 &&
              guest_get(&guest, memmap + 24 + 16, 8) == 2,
          "and the memory map");

    guest.image.initrd = (struct load_file){"initrd.img", initrd, sizeof(initrd)};
    CHECK(guest_load(&guest) == 0 && guest_get(&guest, info + 12, 4) == 1, "an initrd is a module");
    const uint64_t module = guest_get(&guest, info + 16, 8), base = guest_get(&guest, module, 8);
    CHECK(base == MIB(8) - 8192 && guest_get(&guest, module + 8, 8) == sizeof(initrd) &&
              memcmp(guest.bytes + base, initrd, sizeof(initrd)) == 0,
          "and lies at the top of memory");
    guest_free(&guest);
}

static void test_refusals(void)
{
    static const struct {
        uint32_t offset, size;
        uint64_t value;
        int number;
        const char *reason;
    } bad[] = {
        {4, 1, 3, ENOEXEC, "kernel: is an ELF file of an unknown class"},
        {5, 1, 2, ENOEXEC, "kernel: is an ELF file of an unknown class"},
        {16, 2, 1, ENOEXEC, "kernel: is no x86 program (ELF type 1, machine 62)"},
        {18, 2, 183, ENOEXEC, "kernel: is no x86 program (ELF type 2, machine 183)"},
        {54, 2, 55, ENOEXEC, "kernel: bad ELF program headers of 55 bytes"},
        {56, 2, 0, ENOEXEC, "kernel: has 0 ELF program headers (1 to 64 are taken)"},
        {56, 2, 65, ENOEXEC, "kernel: has 65 ELF program headers (1 to 64 are taken)"},
        {56, 2, 60, ENOEXEC, "kernel: truncated: the file ends before its ELF program headers do"},
        {32, 8, UINT64_MAX, ENOEXEC,
         "kernel: truncated: the file ends before its ELF program headers do"},
        {64 + 32, 8, 0x301, ENOEXEC, "kernel: bad ELF segment 0: more in the file than in memory"},
        {64 + 8, 8, 0x301, ENOEXEC,
         "kernel: truncated: the file ends before its ELF segment 0 does"},
        {64 + 8, 8, UINT64_MAX, ENOEXEC,
         "kernel: truncated: the file ends before its ELF segment 0 does"},
        {64 + 56 + 24, 8, 0x2002ff, ENOEXEC, "kernel: bad ELF segments: 0 and 1 overlap"},
        {64 + 56 + 24, 8, 0x1ff001, ENOEXEC, "kernel: bad ELF segments: 0 and 1 overlap"},
        {64 + 56 + 24, 8, 0x7ff001, ENOSPC,
         "kernel: wants 0x1000 bytes at 0x7ff001, where the guest of 8 MiB has no RAM"},
        {64 + 56 + 24, 8, 0x9f800, ENOSPC,
         "kernel: wants 0x1000 bytes at 0x9f800, where the guest of 8 MiB has no RAM"},
        {64 + 56 + 24, 8, UINT64_MAX, ENOSPC,
         "kernel: wants 0x1000 bytes at 0xffffffffffffffff, where the guest of 8 MiB has no RAM"},
        {64 + 56 + 40, 8, UINT64_MAX, ENOSPC,
         "kernel: wants 0xffffffffffffffff bytes at 0x400000, where the guest of 8 MiB has no RAM"},
        {64 + 56 + 24, 8, 0x10c00, ENOSPC,
         "kernel: wants 0x1000 bytes at 0x10c00, which the boot information needs"},
        {64 + 56 + 24, 8, 0xf800, ENOSPC,
         "kernel: wants 0x1000 bytes at 0xf800, which the boot information needs"},
        {ELF_IMAGE_NOTE + 44, 4, 0x200300, ENOEXEC,
         "kernel: bad PVH entry 0x200300: in no segment"},
        {ELF_IMAGE_NOTE + 36, 4, 17, ENOEXEC,
         "kernel: is an ELF file with neither a PVH note nor a Multiboot header"},
        {ELF_IMAGE_NOTE + 40, 1, 'Y', ENOEXEC,
         "kernel: is an ELF file with neither a PVH note nor a Multiboot header"},
        {ELF_IMAGE_NOTE + 32, 4, 2, ENOEXEC,
         "kernel: is an ELF file with neither a PVH note nor a Multiboot header"},
        {ELF_IMAGE_NOTE + 32, 4, 0xffffffff, ENOEXEC,
         "kernel: is an ELF file with neither a PVH note nor a Multiboot header"},
        {ELF_IMAGE_NOTE, 4, 0xffffffff, ENOEXEC,
         "kernel: is an ELF file with neither a PVH note nor a Multiboot header"},
        {64 + 112 + 32, 8, UINT64_MAX, ENOEXEC,
         "kernel: is an ELF file with neither a PVH note nor a Multiboot header"},
    };
    struct guest_buffer guest;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        start(&guest, MIB(8));
        make_pvh_64();
        elf_put(&image, bad[i].offset, bad[i].value, bad[i].size);
        CHECK(guest_refused(&guest, guest_load(&guest), bad[i].number, bad[i].reason),
              bad[i].reason);
        guest_free(&guest);
    }
    start(&guest, MIB(8));
    make_pvh_64();
    guest.image.initrd = (struct load_file){"initrd.img", initrd, MIB(4)};
    CHECK(guest_refused(&guest, guest_load(&guest), ENOSPC,
                        "kernel: no room for initrd.img (4096 KiB) between the kernel's end at "
                        "0x401000 and 0x800000"),
          "an initrd that would overlap the kernel is refused");
    guest_free(&guest);
}

static void test_multiboot_elf(void)
{
    struct guest_buffer guest;

    start(&guest, MIB(8));
    elf_make_32(&image);
    elf_put_multiboot(&image, 3);
    guest.image.cmdline = "a=b c";
    CHECK(guest_load(&guest) == 0 && guest.entry.mode == LOAD_PROTECTED &&
              guest.entry.rip == ELF_IMAGE_ENTRY && guest.entry.rax == 0x2badb002 &&
              strcmp(guest.entry.protocol, "Multiboot") == 0 && segments_are_loaded(&guest),
          "an ELF file with a Multiboot header is loaded and entered");

    const uint64_t info = guest.entry.rbx;
    CHECK(guest_get(&guest, info, 4) == 0x24d && guest_get(&guest, info + 4, 4) == 640 &&
              guest_get(&guest, info + 8, 4) == 7 * 1024 && guest_get(&guest, info + 20, 4) == 0,
          "its information has the memory sizes");
    CHECK(strcmp((char *)guest.bytes + guest_get(&guest, info + 16, 4), "kernel a=b c") == 0,
          "and the command line after the file's name");
    CHECK(strcmp((char *)guest.bytes + guest_get(&guest, info + 64, 4), "Mica") == 0,
          "and the loader's name");
    const uint64_t mmap = guest_get(&guest, info + 48, 4);
    CHECK(guest_get(&guest, info + 44, 4) == 6 * 24 && guest_get(&guest, mmap + 2 * 24, 4) == 20 &&
              guest_get(&guest, mmap + 2 * 24 + 4, 8) == 0x100000 &&
              guest_get(&guest, mmap + 2 * 24 + 12, 8) == MIB(7) &&
              guest_get(&guest, mmap + 2 * 24 + 20, 4) == 1,
          "and the memory map");

    guest.image.initrd = (struct load_file){"initrd.img", initrd, sizeof(initrd)};
    CHECK(guest_load(&guest) == 0 && guest_get(&guest, info + 20, 4) == 1 &&
              guest_get(&guest, guest_get(&guest, info + 24, 4), 4) == MIB(8) - 8192 &&
              guest_get(&guest, guest_get(&guest, info + 24, 4) + 4, 4) ==
                  MIB(8) - 8192 + sizeof(initrd),
          "an initrd is a module");
    CHECK(strcmp((char *)guest.bytes + guest_get(&guest, guest_get(&guest, info + 24, 4) + 8, 4),
                 "initrd.img") == 0,
          "with its file's name as its string");
    guest.image.initrd.size = 0;

    elf_make_64(&image);
    elf_put_multiboot(&image, 0);
    CHECK(guest_load(&guest) == 0 && guest.entry.rip == ELF_IMAGE_ENTRY,
          "a virtual entry becomes a physical one");
    elf_put(&image, 24, 0x300000, 8);
    CHECK(guest_refused(&guest, guest_load(&guest), ENOEXEC,
                        "kernel: bad entry 0x300000: in no segment"),
          "an entry outside of the segments is refused");
    elf_put_multiboot(&image, 4);
    CHECK(guest_refused(&guest, guest_load(&guest), ENOEXEC,
                        "kernel: requires what is not offered (Multiboot flags 0x4, a video mode)"),
          "a video mode is refused");
    elf_put_multiboot(&image, 0x8000);
    CHECK(guest_load(&guest) == -ENOEXEC, "an unknown requirement is refused");
    guest_free(&guest);
}

/* A Multiboot header with addresses, in a file that is nothing else. */
static void make_addresses(uint32_t load, uint32_t load_end, uint32_t bss_end, uint32_t entry)
{
    elf_make_32(&image);
    image.bytes[0] = 0;
    elf_put_multiboot(&image, 0x10000);
    elf_put(&image, ELF_IMAGE_MB + 12, 0x200040, 4);
    elf_put(&image, ELF_IMAGE_MB + 16, load, 4);
    elf_put(&image, ELF_IMAGE_MB + 20, load_end, 4);
    elf_put(&image, ELF_IMAGE_MB + 24, bss_end, 4);
    elf_put(&image, ELF_IMAGE_MB + 28, entry, 4);
}

static void test_multiboot_addresses(void)
{
    struct guest_buffer guest;

    start(&guest, MIB(8));
    make_addresses(0x200000, 0x200100, 0x200200, 0x200010);
    CHECK(guest_load(&guest) == 0 && guest.entry.rip == 0x200010 &&
              memcmp(guest.bytes + 0x200000, image.bytes + ELF_IMAGE_CODE, 0x100) == 0 &&
              guest_get(&guest, 0x200100, 8) == 0 && guest.bytes[0x200200] == 0xcc,
          "the header's own addresses are followed");
    make_addresses(0x200000, 0, 0, 0x200010);
    CHECK(guest_load(&guest) == 0 && memcmp(guest.bytes + 0x200000, image.bytes + ELF_IMAGE_CODE,
                                            ELF_IMAGE_SIZE - ELF_IMAGE_CODE) == 0,
          "without ends the rest of the file is loaded");

    static const struct {
        uint32_t load, load_end, bss_end, entry;
        const char *reason;
    } bad[] = {
        {0x200041, 0, 0, 0x200041, "kernel: bad Multiboot header: load_addr 0x200041"},
        {0x1ff000, 0, 0, 0x200010, "kernel: bad Multiboot header: load_addr 0x1ff000"},
        {0x200000, 0x1fffff, 0, 0x200010,
         "kernel: bad Multiboot header: its addresses are in no order"},
        {0x200000, 0x200100, 0x2000ff, 0x200010,
         "kernel: bad Multiboot header: its addresses are in no order"},
        {0x200000, 0x200100, 0x200100, 0x200100,
         "kernel: bad Multiboot header: its addresses are in no order"},
        {0x200000, 0x200401, 0, 0x200010,
         "kernel: truncated: the file ends before what its Multiboot header announces"},
        {0x200000, 0x200100, 0xfffff000, 0x200010,
         "kernel: wants 0xffdff000 bytes at 0x200000, where the guest of 8 MiB has no RAM"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        make_addresses(bad[i].load, bad[i].load_end, bad[i].bss_end, bad[i].entry);
        int result = guest_load(&guest);
        if (!CHECK(result < 0 && strcmp(guest.error.reason, bad[i].reason) == 0, bad[i].reason))
            printf("# %s\n", guest.error.reason);
    }
    elf_make_32(&image);
    image.bytes[0] = 0;
    elf_put_multiboot(&image, 0);
    CHECK(guest_refused(&guest, guest_load(&guest), ENOEXEC,
                        "kernel: has a Multiboot header without addresses, and is no ELF file"),
          "a header without addresses in no ELF file is refused");
    guest_free(&guest);
}

/* A block of exactly the cut size, so that ASan sees the first byte read past it. */
static bool every_cut_is_refused(void)
{
    struct guest_buffer guest;
    bool ok = true;

    start(&guest, MIB(8));
    for (size_t size = 0; size < sizeof(image); size++) {
        uint8_t *copy = malloc(size);

        memcpy(copy, &image, size);
        guest.image.kernel = (struct load_file){"kernel", copy, size};
        ok &= guest_load(&guest) < 0 && guest.error.reason[0] != '\0';
        free(copy);
    }
    guest_free(&guest);
    return ok;
}

static void test_every_length(void)
{
    make_pvh_64();
    CHECK(every_cut_is_refused(), "a 64-bit PVH kernel cut at any length is refused");
    make_pvh_32();
    CHECK(every_cut_is_refused(), "a 32-bit PVH kernel cut at any length is refused");
    elf_make_32(&image);
    elf_put_multiboot(&image, 3);
    CHECK(every_cut_is_refused(), "a Multiboot kernel cut at any length is refused");
    make_addresses(0x200000, 0x200400, 0x200800, 0x200010);
    CHECK(every_cut_is_refused(), "one with addresses in its header, too");
}

int main(void)
{
    make_pvh_64();
    test_pvh("64-bit");
    make_pvh_32();
    test_pvh("32-bit");
    test_refusals();
    test_multiboot_elf();
    test_multiboot_addresses();
    test_every_length();
    return check_done();
}
