/* SPDX-License-Identifier: MIT */
/* Flat binaries, and the choice of a protocol. */
#include "tests/host/guest_buffer.h"

static const uint8_t stub[] = {0xfa, 0xf4, 0xeb, 0xfd, 0x55};

static void set_kernel(struct guest_buffer *guest, const char *name, const void *data,
                       uint64_t size)
{
    guest->image.kernel = (struct load_file){name, data, size};
}

static void test_entry(void)
{
    struct guest_buffer guest;

    guest_init(&guest, MIB(5), 1);
    set_kernel(&guest, "hello.bin", stub, sizeof(stub));
    guest.image.cmdline = "a b";
    CHECK(guest_load(&guest) == 0 && guest.entry.mode == LOAD_PROTECTED &&
              guest.entry.rip == 0x100000,
          "a flat binary starts at 1 MiB in protected mode");
    CHECK(memcmp(guest.bytes + 0x100000, stub, sizeof(stub)) == 0, "and lies there");
    CHECK(guest.entry.rax == 0x4d494341 && guest.entry.rbx == 0xe0000 &&
              guest.entry.rcx == 5 * 1024 && guest.entry.rsp == 0x1a000 && guest.entry.cr3 == 0,
          "its registers say who starts it, where the RSDP is and how much memory there is");
    CHECK(strcmp((char *)guest.bytes + guest.entry.rsi, "a b") == 0, "ESI is the command line");
    CHECK(guest.entry.cs == 0x10 && guest.entry.ds == 0x18 && guest.entry.gdt_limit == 31 &&
              guest_get(&guest, guest.entry.gdt_base, 8) == 0 &&
              guest_get(&guest, guest.entry.gdt_base + 0x10, 8) == 0x00cf9b000000ffff &&
              guest_get(&guest, guest.entry.gdt_base + 0x18, 8) == 0x00cf93000000ffff,
          "the GDT has flat 32-bit code and data");
    CHECK(memcmp(guest.bytes + 0xe0000, "RSD PTR ", 8) == 0, "the ACPI tables are there");
    guest_free(&guest);

    guest_init(&guest, GIB(5), 1);
    set_kernel(&guest, "hello.bin", stub, sizeof(stub));
    CHECK(guest_load(&guest) == 0 && guest.entry.rcx == 3 * 1024 * 1024,
          "ECX counts memory below 4 GiB only");
    guest_free(&guest);
}

static void test_refusals(void)
{
    struct guest_buffer guest;
    char *large = calloc(1, MIB(4));

    guest_init(&guest, MIB(4), 1);
    set_kernel(&guest, "hello.bin", large, MIB(3));
    CHECK(guest_load(&guest) == 0, "a flat binary may fill all of the memory");
    set_kernel(&guest, "hello.bin", large, MIB(3) + 1);
    CHECK(guest_refused(&guest, guest_load(&guest), ENOSPC,
                        "hello.bin: does not fit: 3073 KiB from 1 MiB on, in a guest of 4096 KiB"),
          "one byte more is refused");
    set_kernel(&guest, "hello.bin", large, 0);
    CHECK(guest_refused(&guest, guest_load(&guest), ENOEXEC, "hello.bin: is empty"),
          "an empty file is refused");
    set_kernel(&guest, "hello.bin", stub, sizeof(stub));
    guest.image.initrd = (struct load_file){"initrd", stub, sizeof(stub)};
    CHECK(guest_refused(&guest, guest_load(&guest), EINVAL,
                        "hello.bin: a flat binary takes no initrd"),
          "an initrd for a flat binary is refused");
    guest.image.initrd.size = 0;

    memset(large, 'x', 70000);
    large[65536] = '\0';
    guest.image.cmdline = large;
    CHECK(guest_refused(&guest, guest_load(&guest), E2BIG,
                        "hello.bin: takes a command line of at most 65535 characters, not 65536"),
          "a command line that is too long is refused");
    guest.image.cmdline = "";

    static const char *const names[] = {"hello", ".bin", "bin", "hello.bin.gz", "", "hello.BIN"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        set_kernel(&guest, names[i], stub, sizeof(stub));
        int result = guest_load(&guest);
        CHECK(result == -ENOEXEC && strncmp(guest.error.reason, names[i], strlen(names[i])) == 0 &&
                  strstr(guest.error.reason, "its name does not end in .bin") != NULL,
              "a file of no known kind is refused by its name");
    }
    guest_free(&guest);
    free(large);
}

static void test_target(void)
{
    struct guest_buffer guest;
    static const struct {
        uint64_t memory_size;
        unsigned int vcpus;
    } bad[] = {{MIB(4), 0}, {MIB(4), 33},         {MIB(3), 1},    {MIB(4) + 1, 1},
               {0, 1},      {GIB(512) + 4096, 1}, {UINT64_MAX, 1}};
    bool ok = true;

    guest_init(&guest, MIB(4), 1);
    set_kernel(&guest, "hello.bin", stub, sizeof(stub));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        guest.target.memory_size = bad[i].memory_size;
        guest.target.vcpus = bad[i].vcpus;
        ok &= guest_load(&guest) == -EINVAL;
    }
    CHECK(ok, "impossible machines are refused");

    guest.target.memory_size = MIB(16); /* more than its memory has */
    guest.target.vcpus = 1;
    char *large = calloc(1, MIB(8));
    set_kernel(&guest, "hello.bin", large, MIB(8));
    CHECK(guest_refused(&guest, guest_load(&guest), EFAULT,
                        "hello.bin: guest memory could not be written (error 14)"),
          "a failing write is an error");
    free(large);
    guest_free(&guest);
}

int main(void)
{
    test_entry();
    test_refusals();
    test_target();
    return check_done();
}
