/* SPDX-License-Identifier: MIT */
/*
 * The bytes of instructions that exit.  An instruction has at most 15 bytes, prefixes included; a
 * longer one raises #GP, LOCK before one that cannot take it #UD.  It may cross a page boundary,
 * and if the second page is not there, #PF names that page's first byte.  In compatibility mode the
 * code is of 32 or 16 bits, and EIP wraps at 4 GiB.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

static uint8_t area[2 * PAGE_SIZE] __attribute__((aligned(4096)));

static const uint8_t end_bytes[] = {0xcd, 0x80};

/* Puts code where it is wanted, with INT 80h behind it. */
static struct frame place(uint8_t *at, const uint8_t *code, unsigned int size)
{
    memcpy(at, code, size);
    memcpy(at + size, end_bytes, sizeof(end_bytes));
    return kernel_frame(at);
}

/* ---- Prefixes ---------------------------------------------------------------------------------
 */

static const struct {
    uint8_t bytes[16];
    uint8_t size;
    const char *name;
} prefixed[] = {
    {{0x66, 0x0f, 0xa2}, 3, "66 CPUID"},
    {{0xf3, 0x0f, 0xa2}, 3, "F3 CPUID"},
    {{0x66, 0xf3, 0x48, 0x0f, 0xa2}, 5, "66 F3 REX.W CPUID"},
    {{0x2e, 0x0f, 0xa2}, 3, "CS: CPUID"},
    {{0x67, 0x0f, 0xa2}, 3, "67 CPUID"},
    {{0x64, 0x41, 0x0f, 0xa2}, 4, "FS: REX.B CPUID"},
    {{0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x0f, 0xa2},
     15,
     "CPUID of 15 bytes"},
    {{0x48, 0x0f, 0x32}, 3, "REX.W RDMSR"},
    {{0x3e, 0x66, 0x0f, 0x32}, 4, "DS: 66 RDMSR"},
    {{0x66, 0x48, 0x0f, 0x30}, 4, "66 REX.W WRMSR"},
    {{0x66, 0x0f, 0x09}, 3, "66 WBINVD"},
    {{0x66, 0x0f, 0x31}, 3, "66 RDTSC"},
    {{0x67, 0xec}, 2, "67 IN AL, DX"},
    {{0x48, 0xed}, 2, "REX.W IN EAX, DX"},
    {{0x66, 0x0f, 0x22, 0xc0}, 4, "66 MOV CR0, RAX"},
    {{0x48, 0x0f, 0x20, 0xc0}, 4, "REX.W MOV RAX, CR0"},
    {{0x44, 0x0f, 0x22, 0xc0}, 4, "MOV CR8, RAX"},
    {{0x0f, 0x22, 0xe0}, 3, "MOV CR4, RAX"},
    {{0x0f, 0x22, 0x20}, 3, "MOV CR4, RAX with another MOD"},
    {{0x41, 0x0f, 0x22, 0xe0}, 4, "MOV CR4, R8"},
    {{0x48, 0x0f, 0x22, 0xe0}, 4, "REX.W MOV CR4, RAX"},
    {{0x66, 0x41, 0x0f, 0x22, 0xe0}, 5, "66 MOV CR4, R8"},
};

static void check_prefixes(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(prefixed); i++) {
        struct frame frame = place(area, prefixed[i].bytes, prefixed[i].size);
        uint8_t opcode = prefixed[i].bytes[prefixed[i].size - 1];

        frame.rcx = opcode == 0x30 ? MSR_TSC_ADJUST : MSR_PAT;
        frame.rdx = opcode == 0x30 ? 0 : 0x3ff;
        frame.rax = opcode != 0xc0 || prefixed[i].bytes[0] == 0x44 ? 0 : read_cr0();
        if ((opcode | 0xc0) == 0xe0)
            frame.rax = frame.r8 = read_cr4();
        run(&frame);
        check(trap.vector == VEC_END && trap.rip == (uint64_t)area + prefixed[i].size + 2,
              "%s is one instruction of %u bytes", prefixed[i].name, prefixed[i].size);
    }
}

static void check_too_long(void)
{
    uint8_t bytes[16];
    struct frame frame;

    memset(bytes, 0x66, sizeof(bytes));
    memcpy(bytes + 14, "\x0f\xa2", 2);
    frame = place(area, bytes, sizeof(bytes));
    run(&frame);
    check(trap.vector == VEC_GP && trap.rip == (uint64_t)area, "CPUID of 16 bytes raises #GP");
    if (on_qemu_tcg()) {
        skip("LOCK CPUID", "QEMU's emulated CPU ignores LOCK before it");
        return;
    }
    frame = place(area, (const uint8_t *)"\xf0\x0f\xa2", 3);
    run(&frame);
    check(trap.vector == VEC_UD && trap.rip == (uint64_t)area, "LOCK CPUID raises #UD");
}

/* ---- Across pages -----------------------------------------------------------------------------
 */

static void check_crossing(const char *bytes, unsigned int size, uint64_t rax, const char *name)
{
    uint8_t *second = area + PAGE_SIZE, *begin = second - size + 1;
    struct frame frame = place(begin, (const uint8_t *)bytes, size);
    uint64_t entry = page_get((uint64_t)second);

    page_set((uint64_t)second, 0);
    frame.rcx = MSR_PAT;
    frame.rax = 0x1234;
    run(&frame);
    check(trap.vector == VEC_PF && trap.cr2 == (uint64_t)second && trap.rip == (uint64_t)begin &&
              frame.rax == 0x1234,
          "%s whose last byte is on a page that is not there raises #PF, and nothing is done",
          name);
    page_set((uint64_t)second, entry);
    frame.rdx = 0x3ff;
    frame.rax = rax;
    run(&frame);
    check(trap.vector == VEC_END && trap.rip == (uint64_t)second + 3,
          "with the page mapped it is executed");
}

/* The same address with another page behind it, and then with other bytes on that page. */
static void check_replaced(void)
{
    uint8_t *second = area + PAGE_SIZE;
    uint64_t entry = page_get((uint64_t)area);
    struct frame frame;

    place(second, (const uint8_t *)"\x66\x0f\xa2", 3);
    frame = place(area, (const uint8_t *)"\x0f\xa2", 2);
    run(&frame);
    check(trap.vector == VEC_END && trap.rip == (uint64_t)area + 4, "CPUID has 2 bytes");
    page_set((uint64_t)area, (uint64_t)second | PAGE_P | PAGE_W);
    frame = kernel_frame(area);
    run(&frame);
    check(trap.vector == VEC_END && trap.rip == (uint64_t)area + 5,
          "on another page at the same address it has 3");
    place(second, (const uint8_t *)"\x66\x66\x0f\xa2", 4);
    frame = kernel_frame(area);
    run(&frame);
    check(trap.vector == VEC_END && trap.rip == (uint64_t)area + 6, "and rewritten there 4");
    page_set((uint64_t)area, entry);
}

/* ---- Compatibility mode ------------------------------------------------------------------------
 */

#define CODE16 0x00009b000000ffffull /* base 0, 64 KiB */

static uint64_t code16_at(uint64_t base)
{
    return CODE16 | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
}

static void check_compatibility(void)
{
    static const uint8_t cpuid32[] = {0x66, 0x0f, 0xa2, 0x0f, 0xa2};
    static const uint8_t in32[] = {0x66, 0xed, 0xed};
    struct frame frame = place(area, cpuid32, sizeof(cpuid32));

    frame.cs = SEL_CODE32;
    run(&frame);
    check(trap.vector == VEC_END && trap.rip == (uint64_t)area + 7, "CPUID in code of 32 bits");
    gdt[SEL_SPARE0 / 8] = code16_at((uint64_t)area);
    frame.cs = SEL_SPARE0;
    frame.rip = 0;
    frame.rax = 0;
    run(&frame);
    check(trap.vector == VEC_END && trap.rip == 7, "and in code of 16 bits");
    frame = place(area, in32, sizeof(in32));
    frame.cs = SEL_SPARE0;
    frame.rip = 0;
    frame.rdx = 0x1234;
    frame.rax = 0;
    run(&frame);
    check(trap.vector == VEC_END && frame.rax == 0xffffffff && trap.rip == 5,
          "IN of 32 and of 16 bits in code of 16 bits");
    frame.cs = SEL_CODE32;
    frame.rip = (uint64_t)area;
    frame.rax = 0;
    memcpy(area, "\x66\xed\xcd\x80", 4);
    run(&frame);
    check(trap.vector == VEC_END && frame.rax == 0xffff, "IN of 16 bits in code of 32 bits");
}

static void check_hypercall_32(void)
{
    struct frame frame =
        place(area, (const uint8_t *)(is_amd() ? "\x0f\x01\xd9" : "\x0f\x01\xc1"), 3);

    frame.cs = SEL_CODE32;
    frame.rax = 0x12345678;
    run(&frame);
    check(trap.vector == VEC_END && (uint32_t)frame.rax == (uint32_t)-1000,
          "a hypercall from code of 32 bits answers in EAX");
}

/* The last two bytes below 4 GiB, of which the page is memory here, and the first ones of all. */
static void check_wrap(void)
{
    const uint64_t last_page = 0xfffff000;
    uint64_t entry = page_get(last_page);
    struct frame frame = kernel_frame((const void *)0xfffffffe);
    uint8_t *first = 0;

    __asm__("" : "+r"(first)); /* the compiler takes 0 for no address */
    page_set(last_page, (uint64_t)area | PAGE_P | PAGE_W);
    memcpy(area + PAGE_SIZE - 2, "\x0f\xa2", 2);
    memcpy(first, end_bytes, sizeof(end_bytes));
    frame.cs = SEL_CODE32;
    run(&frame);
    check(trap.vector == VEC_END && trap.rip == 2,
          "behind CPUID at the end of 4 GiB, EIP wraps to 0");
    page_set(last_page, entry);
}

void exits_fetch(void)
{
    check_prefixes();
    check_too_long();
    check_crossing("\x0f\xa2", 2, 0, "CPUID");
    check_crossing("\x0f\x32", 2, 0, "RDMSR");
    check_crossing("\x66\xed", 2, 0, "IN AX, DX");
    check_crossing("\x0f\x22\xc0", 3, read_cr0(), "MOV CR0, RAX");
    check_crossing("\x0f\x22\xe0", 3, read_cr4(), "MOV CR4, RAX");
    check_replaced();
    check_compatibility();
    check_hypercall_32();
    check_wrap();
}
