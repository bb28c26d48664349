/* SPDX-License-Identifier: MIT */
/* Linux's 64-bit boot protocol: what a kernel finds, and every image that is refused. */
#include "tests/host/guest_buffer.h"
#include "tests/host/linux_image.h"

#define SETUP_SIZE   LINUX_SETUP_SIZE
#define PAYLOAD_SIZE LINUX_PAYLOAD_SIZE
#define IMAGE_SIZE   LINUX_IMAGE_SIZE
#define PARAMS       0x10000

static uint8_t image[IMAGE_SIZE];

static void put(uint32_t offset, uint64_t value, unsigned int size)
{
    linux_put(image, offset, value, size);
}

static void make_image(void)
{
    linux_make_image(image);
}

static void start(struct guest_buffer *guest, uint64_t memory_size)
{
    make_image();
    guest_init(guest, memory_size, 1);
    guest->image.kernel = (struct load_file){"vmlinuz", image, sizeof(image)};
}

static void test_entry(void)
{
    struct guest_buffer guest;

    start(&guest, MIB(64));
    CHECK(guest_load(&guest) == 0 && guest.entry.mode == LOAD_LONG &&
              guest.entry.rip == 0x1000200 && guest.entry.rsi == PARAMS,
          "the kernel starts at its 64-bit entry with RSI at boot_params");
    CHECK(memcmp(guest.bytes + 0x1000000, image + SETUP_SIZE, PAYLOAD_SIZE) == 0 &&
              guest.bytes[0x1000000 + PAYLOAD_SIZE] == 0xcc,
          "its protected-mode part lies at the preferred address");
    CHECK(guest.entry.cs == 0x10 && guest.entry.ds == 0x18 && guest.entry.gdt_limit == 31 &&
              guest_get(&guest, guest.entry.gdt_base + 0x10, 8) == 0x00af9b000000ffff &&
              guest_get(&guest, guest.entry.gdt_base + 0x18, 8) == 0x00cf93000000ffff,
          "the GDT has 64-bit code at 10h and data at 18h");
    guest_free(&guest);
}

static void test_page_tables(void)
{
    struct guest_buffer guest;
    bool ok = true;

    start(&guest, MIB(64));
    guest_load(&guest);
    for (uint64_t gva = 0; gva < GIB(4); gva += MIB(2)) {
        uint64_t pml4e = guest_get(&guest, guest.entry.cr3 + gva / GIB(512) * 8, 8);
        uint64_t pdpte = guest_get(&guest, (pml4e & ~0xfffull) + gva / GIB(1) * 8, 8);
        uint64_t pde = guest_get(&guest, (pdpte & ~0xfffull) + gva / MIB(2) % 512 * 8, 8);

        ok &= (pml4e & 0xfff) == 3 && (pdpte & 0xfff) == 3 && pde == (gva | 0x83);
    }
    CHECK(ok, "the first 4 GiB are mapped to themselves in 2 MiB pages");
    for (uint64_t i = 1; i < 512; i++)
        ok &= guest_get(&guest, guest.entry.cr3 + i * 8, 8) == 0;
    for (uint64_t i = 4; i < 512; i++)
        ok &= guest_get(&guest, guest.entry.cr3 + 4096 + i * 8, 8) == 0;
    CHECK(ok, "and nothing else is");
    guest_free(&guest);
}

/* Every byte of boot_params that is not accounted for is 0. */
static void test_boot_params(void)
{
    struct guest_buffer guest;
    uint8_t expected[4096] = {0};

    start(&guest, MIB(64));
    guest.image.cmdline = "console=ttyS0";
    CHECK(guest_load(&guest) == 0, "a kernel with a command line is loaded");
    memcpy(expected + 0x1f1, image + 0x1f1, 0x202 + 0x6a - 0x1f1);
    const struct {
        uint32_t offset, size;
        uint64_t value;
    } set[] = {
        {0x070, 8, 0xe0000}, {0x1e8, 1, 6},          {0x1fa, 2, 0xffff},
        {0x210, 1, 0xff},    {0x211, 1, 0x01},       {0x214, 4, 0x1000000},
        {0x218, 4, 0},       {0x21c, 4, 0},          {0x228, 4, 0x20000},
        {0x250, 8, 0},       {0x2d0, 8, 0},          {0x2d8, 8, 0xa0000},
        {0x2e0, 4, 1},       {0x2e4, 8, 0xc0000},    {0x2ec, 8, 0x40000},
        {0x2f4, 4, 2},       {0x2f8, 8, 0x100000},   {0x300, 8, MIB(63)},
        {0x308, 4, 1},       {0x30c, 8, 0xe0000000}, {0x314, 8, 0x10000000},
        {0x31c, 4, 2},       {0x320, 8, 0xfec00000}, {0x328, 8, 0x1000},
        {0x330, 4, 2},       {0x334, 8, 0xfee00000}, {0x33c, 8, 0x1000},
        {0x344, 4, 2},
    };
    for (size_t i = 0; i < ARRAY_SIZE(set); i++)
        memcpy(expected + set[i].offset, &set[i].value, set[i].size);
    CHECK(memcmp(guest.bytes + PARAMS, expected, sizeof(expected)) == 0,
          "boot_params is the header, the loader's fields and the memory map, and 0 elsewhere");
    CHECK(strcmp((char *)guest.bytes + 0x20000, "console=ttyS0") == 0, "the command line is there");
    guest_free(&guest);

    start(&guest, GIB(5));
    CHECK(guest_load(&guest) == 0 && guest.bytes[PARAMS + 0x1e8] == 7 &&
              guest_get(&guest, PARAMS + 0x2d0 + 2 * 20 + 8, 8) == 0xc0000000 - 0x100000 &&
              guest_get(&guest, PARAMS + 0x2d0 + 6 * 20, 8) == GIB(4) &&
              guest_get(&guest, PARAMS + 0x2d0 + 6 * 20 + 8, 8) == GIB(2) &&
              guest_get(&guest, PARAMS + 0x2d0 + 6 * 20 + 16, 4) == 1,
          "E820 has the RAM above 4 GiB");
    guest_free(&guest);
}

static void test_initrd(void)
{
    struct guest_buffer guest;
    static uint8_t initrd[5000] = {1, 2, 3};
    uint8_t *large = malloc(MIB(64));

    memset(large, 0x5a, MIB(64));
    start(&guest, MIB(64));
    guest.image.initrd = (struct load_file){"initrd.img", initrd, sizeof(initrd)};
    CHECK(guest_load(&guest) == 0 && guest_get(&guest, PARAMS + 0x218, 4) == MIB(64) - 8192 &&
              guest_get(&guest, PARAMS + 0x21c, 4) == sizeof(initrd) &&
              memcmp(guest.bytes + MIB(64) - 8192, initrd, sizeof(initrd)) == 0,
          "the initrd lies at the top of memory, on a page");

    put(0x22c, 0x1ffffff, 4);
    CHECK(guest_load(&guest) == 0 && guest_get(&guest, PARAMS + 0x218, 4) == MIB(32) - 8192,
          "and no higher than initrd_addr_max");
    put(0x22c, 0x7fffffff, 4);

    guest.image.initrd = (struct load_file){"initrd.img", large, MIB(45)};
    CHECK(guest_load(&guest) == 0 && guest_get(&guest, PARAMS + 0x218, 4) == MIB(19),
          "it may begin where the kernel's init_size ends");
    guest.image.initrd.size = MIB(45) + 1;
    CHECK(guest_refused(&guest, guest_load(&guest), ENOSPC,
                        "vmlinuz: no room for initrd.img (46081 KiB) between the kernel's end at "
                        "0x1300000 and 0x4000000"),
          "one that would overlap the kernel is refused");
    guest.image.initrd.size = MIB(64);
    CHECK(guest_load(&guest) == -ENOSPC, "one as large as the memory is refused");
    guest.image.initrd.size = UINT64_MAX;
    CHECK(guest_load(&guest) == -ENOSPC, "one larger than all memory is refused");
    guest_free(&guest);

    start(&guest, GIB(5));
    guest.image.initrd = (struct load_file){"initrd.img", initrd, sizeof(initrd)};
    put(0x22c, 0xffffffff, 4);
    CHECK(guest_load(&guest) == 0 && guest_get(&guest, PARAMS + 0x218, 4) == 0xc0000000 - 8192,
          "an initrd lies below the hole of a guest that has memory above 4 GiB");
    guest_free(&guest);
    free(large);
}

static void test_placement(void)
{
    struct guest_buffer guest;

    start(&guest, MIB(19));
    CHECK(guest_load(&guest) == 0, "the least memory is what ends with init_size");
    put(0x260, 0x300001, 4);
    CHECK(guest_refused(&guest, guest_load(&guest), ENOSPC,
                        "vmlinuz: needs 20 MiB of memory; the guest has 19 MiB"),
          "a kernel too big for the memory is refused");
    put(0x260, 0xffffffff, 4);
    CHECK(guest_load(&guest) == -ENOSPC, "whatever init_size says");
    put(0x260, 0x200000, 4);
    put(0x258, 0, 8);
    CHECK(guest_load(&guest) == 0 && guest.entry.rip == 0x200200,
          "a relocatable kernel without a preference lies at its alignment above 1 MiB");
    put(0x258, 0x300000, 8);
    CHECK(guest_load(&guest) == 0 && guest.entry.rip == 0x400200,
          "its preferred address is aligned");
    put(0x234, 0, 1);
    put(0x230, 3, 4);
    CHECK(guest_load(&guest) == 0 && guest.entry.rip == 0x300200,
          "that of a kernel that cannot be moved is kept");
    put(0x258, 0xff000, 8);
    CHECK(guest_refused(&guest, guest_load(&guest), ENOEXEC, "vmlinuz: bad pref_address 0xff000"),
          "it must not lie below 1 MiB");
    put(0x258, 0xffffffffffffffff, 8);
    CHECK(guest_load(&guest) == -ENOEXEC, "nor where RAM never is");
    put(0x234, 1, 1);
    CHECK(guest_refused(&guest, guest_load(&guest), ENOEXEC, "vmlinuz: bad kernel_alignment 0x3"),
          "an alignment must be a power of two");
    put(0x230, 0x80000000, 4);
    CHECK(guest_load(&guest) == -ENOEXEC, "an address near the top is not rounded past it");
    guest_free(&guest);
}

static void test_refusals(void)
{
    static const struct {
        uint32_t offset, size;
        uint64_t value;
        const char *reason;
    } bad[] = {
        {0x1fe, 2, 0, "vmlinuz: is no Linux bzImage"},
        {0x202, 1, 'X', "vmlinuz: is no Linux bzImage"},
        {0x206, 2, 0x020b, "vmlinuz: boot protocol 2.11 has no 64-bit entry (2.12 is needed)"},
        {0x206, 2, 0x0105, "vmlinuz: boot protocol 1.05 has no 64-bit entry (2.12 is needed)"},
        {0x236, 2, 0x3e, "vmlinuz: has no 64-bit entry (XLF_KERNEL_64 is clear)"},
        {0x211, 1, 0x80, "vmlinuz: is a zImage (LOADED_HIGH is clear)"},
        {0x201, 1, 0x61, "vmlinuz: bad setup header: it ends at 0x263"},
        {0x201, 1, 0x8f, "vmlinuz: bad setup header: it ends at 0x291"},
        {0x201, 1, 0xff, "vmlinuz: bad setup header: it ends at 0x301"},
        {0x1f1, 1, 255, "vmlinuz: truncated: 5120 bytes, of which the header announces 135168"},
        {0x1f1, 1, 0, "vmlinuz: truncated: 5120 bytes, of which the header announces 6656"},
        {0x1f4, 4, 0, "vmlinuz: bad syssize: 0 bytes hold no 64-bit entry"},
        {0x1f4, 4, 32, "vmlinuz: bad syssize: 512 bytes hold no 64-bit entry"},
        {0x1f4, 4, 257, "vmlinuz: truncated: 5120 bytes, of which the header announces 5136"},
        {0x1f4, 4, 0xffffffff,
         "vmlinuz: truncated: 5120 bytes, of which the header announces 68719477744"},
        {0x260, 4, 4095, "vmlinuz: bad init_size: 4095 bytes for a kernel of 4096"},
        {0x230, 4, 0, "vmlinuz: bad kernel_alignment 0"},
    };
    struct guest_buffer guest;

    start(&guest, MIB(32));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        make_image();
        put(bad[i].offset, bad[i].value, bad[i].size);
        int result = guest_load(&guest);
        if (!CHECK(result < 0 &&
                       strncmp(guest.error.reason, bad[i].reason, strlen(bad[i].reason)) == 0,
                   bad[i].reason))
            printf("# %d: %s\n", result, guest.error.reason);
    }
    make_image();
    put(0x1f1, 0, 1);
    put(0x1f4, 64, 4);
    put(0x260, 0x300000, 4);
    CHECK(guest_load(&guest) == 0 && memcmp(guest.bytes + 0x1000000, image + 5 * 512, 1024) == 0,
          "no setup_sects means four");
    guest_free(&guest);
}

static void test_cmdline(void)
{
    static char text[4096];
    struct guest_buffer guest;

    start(&guest, MIB(32));
    memset(text, 'x', 2047);
    guest.image.cmdline = text;
    CHECK(guest_load(&guest) == 0 && strlen((char *)guest.bytes + 0x20000) == 2047,
          "a command line of cmdline_size characters is taken");
    text[2047] = 'x';
    CHECK(guest_refused(&guest, guest_load(&guest), E2BIG,
                        "vmlinuz: takes a command line of at most 2047 characters, not 2048"),
          "a longer one is refused");
    guest_free(&guest);
}

/* A block of exactly the cut size, so that ASan sees the first byte read past it. */
static void test_every_length(void)
{
    struct guest_buffer guest;
    bool ok = true;

    start(&guest, MIB(32));
    for (size_t size = 0; size < IMAGE_SIZE; size++) {
        uint8_t *copy = malloc(size);

        memcpy(copy, image, size);
        guest.image.kernel = (struct load_file){"vmlinuz", copy, size};
        guest.entry.rip = 1;
        ok &=
            guest_load(&guest) == -ENOEXEC && guest.error.reason[0] != '\0' && guest.entry.rip == 1;
        free(copy);
    }
    CHECK(ok, "an image cut at any length is refused, and nothing is read past its end");
    guest_free(&guest);
}

static void test_debian(void)
{
    static const char path[] = "build/guests/debian/vmlinuz";
    struct guest_buffer guest;
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        printf("ok %d # skip %s is not built\n", ++check_count, path);
        return;
    }
    uint8_t *bytes = malloc(MIB(64));
    size_t size = fread(bytes, 1, MIB(64), file);
    fclose(file);
    guest_init(&guest, MIB(512), 2);
    guest.image.kernel = (struct load_file){"vmlinuz", bytes, size};
    guest.image.cmdline = "console=ttyS0";
    int result = guest_load(&guest);
    if (!CHECK(result == 0 && guest.entry.rip == 0x1000200, "Debian's kernel is loaded"))
        printf("# %s\n", guest.error.reason);
    guest_free(&guest);
    free(bytes);
}

int main(void)
{
    test_entry();
    test_page_tables();
    test_boot_params();
    test_initrd();
    test_placement();
    test_refusals();
    test_cmdline();
    test_every_length();
    test_debian();
    return check_done();
}
