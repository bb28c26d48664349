/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: reading and writing over slots and holes, and walks in every paging mode with their
 * permissions, accessed and dirty bits, and error codes.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/x86/regs.h"
#include "hv/errno.h"
#include "hv/guest_mem.h"
#include "hv/util.h"

#include <string.h>

static struct vcpu *const vcpu = &fake_vcpus[0];

/* ---- Guest-physical ------------------------------------------------------------------------- */

static uint8_t second[0x2000], third[0x1000];

static void test_slots(void)
{
    uint8_t bytes[64];
    uint64_t end = FAKE_LOW_RAM;

    fake_start(1);
    fake_add_slot(end, second, sizeof(second)); /* next to the first in the guest only */
    fake_add_slot(end + 0x4000, third, sizeof(third));
    memset(fake_ram + end - 16, 1, 16);
    memset(second, 2, sizeof(second));
    CHECK(guest_mem_read(&fake_vm, GPA(end - 16), bytes, 32) == 0 && bytes[15] == 1 &&
              bytes[16] == 2 && bytes[31] == 2,
          "a read goes over from one slot to the next");
    memset(bytes, 7, sizeof(bytes));
    CHECK(guest_mem_write(&fake_vm, GPA(end - 16), bytes, 32) == 0 && fake_ram[end - 1] == 7 &&
              second[15] == 7 && second[16] == 2,
          "and so does a write");
    CHECK(guest_mem_write(&fake_vm, GPA(end + 0x2000 - 16), bytes, 32) == -EFAULT &&
              second[0x2000 - 16] == 2,
          "what reaches into a hole is refused before a byte is written");
    CHECK(guest_mem_read(&fake_vm, GPA(end + 0x2000 - 16), bytes, 32) == -EFAULT, "or read");
    CHECK(guest_mem_zero(&fake_vm, GPA(end + 0x2000), 1) == -EFAULT, "in a hole nothing is zeroed");
    CHECK(guest_mem_zero(&fake_vm, GPA(end - 16), 0x1000) == 0 && !fake_ram[end - 1] &&
              !second[0xfef] && second[0xff0] == 2,
          "zeroing goes over slots too");
    CHECK(guest_mem_read(&fake_vm, GPA(~0ull - 7), bytes, 16) == -EFAULT &&
              guest_mem_read(&fake_vm, GPA(~0ull), bytes, 1) == -EFAULT &&
              guest_mem_read(&fake_vm, GPA(16), bytes, ~0ull) == -EFAULT &&
              guest_mem_read(&fake_vm, GPA(16), bytes, ~0ull - 16) == -EFAULT,
          "no sum wraps");
    CHECK(guest_mem_is_ram(&fake_vm, GPA(end + 0x1fff)) &&
              !guest_mem_is_ram(&fake_vm, GPA(end + 0x2000)) &&
              !guest_mem_is_ram(&fake_vm, GPA(end + 0x3fff)) &&
              guest_mem_is_ram(&fake_vm, GPA(end + 0x4fff)) &&
              !guest_mem_is_ram(&fake_vm, GPA(end + 0x5000)),
          "RAM begins and ends where its slots do");
}

/* ---- Walks ---------------------------------------------------------------------------------- */

static struct guest_walk walk(uint64_t gva, uint32_t access)
{
    struct guest_walk out;

    guest_walk(vcpu, gva, access, &out);
    return out;
}

static void poke32(uint64_t gpa, uint32_t value)
{
    guest_mem_write(&fake_vm, GPA(gpa), &value, 4);
}

static uint32_t peek32(uint64_t gpa)
{
    uint32_t value = 0;

    guest_mem_read(&fake_vm, GPA(gpa), &value, 4);
    return value;
}

static void set_paging(uint64_t cr4, uint64_t efer, uint64_t cr3)
{
    fake.regs[VCPU_CR0] |= CR0_PE | CR0_PG;
    fake.regs[VCPU_CR4] = cr4;
    fake.regs[VCPU_EFER] = efer;
    fake.regs[VCPU_CR3] = cr3;
}

static void test_no_paging(void)
{
    fake_start(1);
    fake_set_mode(32);
    CHECK(walk(0x12345678, ACCESS_WRITE | ACCESS_USER).gpa.value == 0x12345678,
          "without paging an address is physical");
    CHECK(walk(0x1fffffff0, 0).gpa.value == 0xfffffff0, "and has 32 bits");
}

static void test_32bit(void)
{
    fake_start(1);
    fake_set_mode(32);
    set_paging(0, 0, 0x1000);
    poke32(0x1000 + 4 * 0x48, 0x2000 | 7);
    poke32(0x2000 + 4 * 0x345, 0x55000 | 7);
    CHECK(walk(0x12345678, ACCESS_WRITE).gpa.value == 0x55678, "32-bit paging walks two levels");
    CHECK((peek32(0x1000 + 4 * 0x48) & 0x60) == 0x20 && (peek32(0x2000 + 4 * 0x345) & 0x60) == 0x60,
          "a write marks the directory accessed, the page accessed and dirty");
    CHECK(walk(0x112345678, 0).gpa.value == 0x55678, "of an address 32 bits count");
    poke32(0x1000 + 4 * 0x49, 0x00c00087 | 0x1f << 13);
    CHECK(walk(0x12445678, 0).error == 0 && !walk(0x12445678, 0).ok,
          "without PSE bit 7 of a directory entry means nothing");
    fake.regs[VCPU_CR4] = CR4_PSE;
    CHECK(walk(0x12445678, 0).gpa.value == 0x1f00c45678 && walk(0x12445678, 0).page_size == MIB(4),
          "with it the page has 4 MiB, its address 40 bits");
    fake.regs[VCPU_EFER] = EFER_NXE;
    CHECK(walk(0x22222222, ACCESS_FETCH).error == 0, "NX is not of this mode: no fetch bit");
}

static void test_pae(void)
{
    fake_start(1);
    fake_set_mode(32);
    set_paging(CR4_PAE, EFER_NXE, 0x1fe0);
    fake_poke64(0x1fe0 + 8 * 2, 0x3000 | 1);
    fake_poke64(0x3000 + 8 * 5, 0x4000 | 7);
    fake_poke64(0x4000 + 8 * 6, 0x77000 | 7);
    fake_poke64(0x3000 + 8 * 6, 0x200000 | 0x87 | BIT(63));
    CHECK(walk(0x80a06123, ACCESS_WRITE | ACCESS_USER).gpa.value == 0x77123,
          "PAE paging begins with four pointers anywhere at 32 bytes");
    CHECK(fake_peek64(0x1fe0 + 16) == 0x3001, "which have no accessed bit");
    CHECK(walk(0x80c12345, 0).gpa.value == 0x212345 && walk(0x80c12345, 0).page_size == MIB(2),
          "2 MiB pages");
    CHECK(walk(0x80c12345, ACCESS_FETCH).error == (PF_PRESENT | PF_FETCH), "NX refuses a fetch");
    CHECK(!walk(0x00a06123, 0).ok && walk(0x00a06123, 0).error == 0, "an absent pointer faults");
}

static void test_long(void)
{
    fake_start(1);
    fake_poke64(0x1000 + 8 * 511, 0x8000 | 7);
    fake_poke64(0x8000 + 8 * 510, 0x9000 | 7);
    fake_poke64(0x9000 + 8 * 3, 0xa000 | 7);
    fake_poke64(0xa000 + 8 * 9, 0x123000 | 7);
    fake_poke64(0x8000 + 8 * 511, GIB(1) | 0x1087); /* with the PAT bit */
    CHECK(walk(0xffffffff80609123, 0).gpa.value == 0x123123, "four levels");
    CHECK(walk(0xffffffffc1234567, 0).gpa.value == GIB(1) + 0x1234567 &&
              walk(0xffffffffc1234567, 0).page_size == GIB(1),
          "1 GiB pages");
    CHECK(!walk(0x0000ffff80609123, 0).ok && !walk(0x8000000000000000, 0).ok,
          "an address that is not canonical leads nowhere");
    CHECK(walk(0xffffffff80609123, 0).step_count == 4, "every step is kept for the monitor");
    fake_poke64(0xb000 + 8 * 511, 0x1000 | 7);
    fake.regs[VCPU_CR4] |= CR4_LA57;
    fake.regs[VCPU_CR3] = 0xb000;
    CHECK(walk(0xffffffff80609123, 0).gpa.value == 0x123123 &&
              walk(0xffffffff80609123, 0).step_count == 5,
          "five levels");
    CHECK(!walk(0x0100000000000000, 0).ok, "with 57 bits");
    fake.regs[VCPU_CR3] = GIB(100);
    CHECK(!walk(0, 0).ok && walk(0, ACCESS_WRITE).error == PF_WRITE, "tables outside memory fault");
}

/* ---- Permissions, against the manual's rules for every combination -------------------------- */

struct rights {
    bool user, writable, no_execute;
};

static bool may(struct rights page, uint32_t access, uint64_t cr0, uint64_t cr4, bool ac)
{
    bool user = access & ACCESS_USER;

    if (access & ACCESS_FETCH)
        return !page.no_execute && (user ? page.user : !(page.user && (cr4 & CR4_SMEP)));
    if (user)
        return page.user && (!(access & ACCESS_WRITE) || page.writable);
    if (page.user && (cr4 & CR4_SMAP) && !ac)
        return false;
    return !(access & ACCESS_WRITE) || page.writable || !(cr0 & CR0_WP);
}

static bool combination_is_right(unsigned int n)
{
    static const uint32_t accesses[] = {ACCESS_READ,
                                        ACCESS_WRITE,
                                        ACCESS_FETCH,
                                        ACCESS_USER,
                                        ACCESS_USER | ACCESS_WRITE,
                                        ACCESS_USER | ACCESS_FETCH};
    uint64_t directory = 0xa001 | (n & 1 ? 2 : 0) | (n & 2 ? 4 : 0) | (n & 4 ? BIT(63) : 0);
    uint64_t page = 0x123001 | (n & 8 ? 2 : 0) | (n & 16 ? 4 : 0) | (n & 32 ? BIT(63) : 0);
    uint64_t cr0 = CR0_PE | CR0_PG | (n & 64 ? CR0_WP : 0);
    uint64_t cr4 = CR4_PAE | (n & 128 ? CR4_SMEP : 0) | (n & 256 ? CR4_SMAP : 0);
    struct rights rights = {(directory & page & 4) != 0, (directory & page & 2) != 0,
                            ((directory | page) & BIT(63)) != 0};
    bool right = true;

    fake.regs[VCPU_CR0] = cr0;
    fake.regs[VCPU_CR4] = cr4;
    fake.regs[VCPU_RFLAGS] = n & 512 ? RFLAGS_AC : 0;
    for (unsigned int i = 0; i < ARRAY_SIZE(accesses); i++) {
        uint32_t access = accesses[i];
        uint32_t code = PF_PRESENT | (access & ACCESS_WRITE ? PF_WRITE : 0) |
                        (access & ACCESS_USER ? PF_USER : 0) |
                        (access & ACCESS_FETCH ? PF_FETCH : 0);
        struct guest_walk out;

        fake_poke64(0x9000 + 8 * 3, directory);
        fake_poke64(0xa000 + 8 * 9, page);
        out = walk(0x609123, access);
        right &= out.ok == may(rights, access, cr0, cr4, n & 512) &&
                 (out.ok ? out.gpa.value == 0x123123 : out.error == code);
        right &= !(fake_peek64(0xa000 + 8 * 9) & 0x40) == !(out.ok && (access & ACCESS_WRITE));
        right &= !(fake_peek64(0xa000 + 8 * 9) & 0x20) == !out.ok;
    }
    return right;
}

static void test_permissions(void)
{
    bool right = true;

    fake_start(1);
    fake_poke64(0x2000, 0x9000 | 7);
    for (unsigned int n = 0; n < 1024; n++)
        right &= combination_is_right(n);
    CHECK(right,
          "U/S, R/W, NX, WP, SMEP, SMAP and AC decide as the manual says, in 6144 cases, with "
          "accessed, dirty and error codes");
    fake_poke64(0xa000 + 8 * 9, 0x123001);
    walk(0x609123, ACCESS_QUIET);
    CHECK(fake_peek64(0xa000 + 8 * 9) == 0x123001, "a quiet walk marks nothing");
}

/* ---- Code ----------------------------------------------------------------------------------- */

static void test_fetch(void)
{
    uint8_t bytes[15];

    fake_start(1);
    memset(fake_ram + 0x3000, 0x90, 0x1000);
    vcpu->rip = 0x3ff8;
    fake_poke64(0x2000, 0x9000 | 7);
    fake_poke64(0x9000, 0xa000 | 7);
    fake_poke64(0xa000 + 8 * 3, 0x3000 | 7);
    CHECK(guest_fetch(vcpu, bytes, 15) == 8 && bytes[7] == 0x90,
          "code is read as far as it is mapped");
    fake_poke64(0xa000 + 8 * 4, 0x3000 | 7);
    CHECK(guest_fetch(vcpu, bytes, 15) == 15, "and over the end of a page");
    fake_set_mode(16);
    fake.segs[SEG_CS].base = 0x3000;
    vcpu->rip = 0x10;
    CHECK(guest_fetch(vcpu, bytes, 15) == 15 && bytes[0] == 0x90, "CS counts outside 64-bit code");
}

int main(void)
{
    test_slots();
    test_no_paging();
    test_32bit();
    test_pae();
    test_long();
    test_permissions();
    test_fetch();
    return check_done();
}
