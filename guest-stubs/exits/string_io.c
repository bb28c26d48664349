/* SPDX-License-Identifier: MIT */
/*
 * INS and OUTS.  RDI or RSI moves by the size, down when RFLAGS.DF is set; REP counts RCX down, and
 * with 0 nothing happens.  An address size of 32 bits uses EDI and ECX and clears the upper halves.
 * A page fault in the middle leaves the registers as they are before the element that faulted; the
 * elements before it are done.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define UNCLAIMED 0x1234
#define SCRATCH   0x3ff

static uint8_t buffer[2 * PAGE_SIZE] __attribute__((aligned(4096)));

SNIPPET(insb, "insb");
SNIPPET(insw, "insw");
SNIPPET(insl, "insl");
SNIPPET(outsb, "outsb");
SNIPPET(rep_insb, "rep insb");
SNIPPET(rep_insw, "rep insw");
SNIPPET(rep_insl, "rep insl");
SNIPPET(rep_outsb, "rep outsb");
SNIPPET(rep_insb32, "addr32 rep insb");
SNIPPET(outsb_fs, ".byte 0x64, 0x6e");

static struct frame string_frame(const uint8_t *code, uint16_t port, uint64_t index, uint64_t count)
{
    struct frame frame = kernel_frame(code);

    frame.rdx = port;
    frame.rdi = frame.rsi = index;
    frame.rcx = count;
    return frame;
}

/* How many bytes of the buffer have been read into, all of which must be ones and begin at `from`.
 */
static bool filled(unsigned int from, unsigned int size)
{
    for (unsigned int i = 0; i < sizeof(buffer); i++)
        if (buffer[i] != (i - from < size ? 0xff : 0x11))
            return false;
    return true;
}

static void check_single(const uint8_t *code, unsigned int size, const char *name)
{
    struct frame frame = string_frame(code, UNCLAIMED, (uint64_t)buffer + 64, 5);

    memset(buffer, 0x11, sizeof(buffer));
    run(&frame);
    check(filled(64, size) && frame.rdi == (uint64_t)buffer + 64 + size && frame.rcx == 5,
          "%s reads one element and moves RDI up", name);
    frame = string_frame(code, UNCLAIMED, (uint64_t)buffer + 64, 5);
    frame.rflags |= RFLAGS_DF;
    memset(buffer, 0x11, sizeof(buffer));
    run(&frame);
    check(filled(64, size) && frame.rdi == (uint64_t)buffer + 64 - size, "with DF set, down");
}

static void check_repeated(const uint8_t *code, unsigned int size, const char *name)
{
    struct frame frame = string_frame(code, UNCLAIMED, (uint64_t)buffer + 8, 1000);

    memset(buffer, 0x11, sizeof(buffer));
    run(&frame);
    check(filled(8, 1000 * size) && frame.rdi == (uint64_t)buffer + 8 + 1000ull * size &&
              frame.rcx == 0,
          "%s reads 1000 elements", name);
    frame = string_frame(code, UNCLAIMED, (uint64_t)buffer + 4096, 200);
    frame.rflags |= RFLAGS_DF;
    memset(buffer, 0x11, sizeof(buffer));
    run(&frame);
    check(filled(4096 - 199 * size, 200 * size) &&
              frame.rdi == (uint64_t)buffer + 4096 - 200ull * size && frame.rcx == 0,
          "and 200 downwards");
}

static void check_nothing(void)
{
    struct frame frame = string_frame(rep_insb, UNCLAIMED, 0xdeadbeef00000000, 0);

    run(&frame);
    check(trap.vector == VEC_END && frame.rdi == 0xdeadbeef00000000 && frame.rcx == 0,
          "REP INSB with RCX = 0 does nothing, wherever RDI points");
}

static void check_address_size(void)
{
    struct frame frame = string_frame(rep_insb32, UNCLAIMED, 0xffffffff00000000 | (uint64_t)buffer,
                                      0xffffffff00000003);

    memset(buffer, 0x11, sizeof(buffer));
    run(&frame);
    check(trap.vector == VEC_END && filled(0, 3) && frame.rdi == (uint64_t)buffer + 3 &&
              frame.rcx == 0,
          "with an address size of 32 bits EDI and ECX count, and their upper halves are cleared");
}

static void check_out(void)
{
    struct frame frame = string_frame(outsb, SCRATCH, (uint64_t)buffer, 1);

    for (unsigned int i = 0; i < 256; i++)
        buffer[i] = (uint8_t)(i ^ 0x5a);
    run(&frame);
    check(inb(SCRATCH) == 0x5a && frame.rsi == (uint64_t)buffer + 1, "OUTSB writes a byte");
    frame = string_frame(rep_outsb, SCRATCH, (uint64_t)buffer, 200);
    run(&frame);
    check(inb(SCRATCH) == (199 ^ 0x5a) && frame.rsi == (uint64_t)buffer + 200 && frame.rcx == 0,
          "REP OUTSB writes 200 bytes, in order");
    frame = string_frame(outsb_fs, SCRATCH, 3, 1);
    wrmsr(MSR_FS_BASE, (uint64_t)buffer);
    run(&frame);
    wrmsr(MSR_FS_BASE, 0);
    check_equal(inb(SCRATCH), 3 ^ 0x5a, "OUTSB takes a segment override");
}

/* ---- Faults -----------------------------------------------------------------------------------
 */

static void check_missing_page(void)
{
    const uint64_t second = (uint64_t)buffer + PAGE_SIZE;
    struct frame frame = string_frame(rep_insw, UNCLAIMED, second - 20, 100);
    uint64_t entry = page_get(second);

    memset(buffer, 0x11, sizeof(buffer));
    page_set(second, 0);
    run(&frame);
    check(trap.vector == VEC_PF && trap.error == PF_W && trap.cr2 == second &&
              trap.rip == (uint64_t)rep_insw,
          "REP INSW to a page that is not there raises #PF for a write to its first byte");
    check(frame.rdi == second && frame.rcx == 90, "RDI and RCX stand at the element that faulted");
    page_set(second, entry);
    check(filled(PAGE_SIZE - 20, 20), "and the elements before it are done");
    run(&frame);
    check(trap.vector == VEC_END && filled(PAGE_SIZE - 20, 200) && frame.rcx == 0,
          "with the page mapped it goes on");

    frame = string_frame(insl, UNCLAIMED, second - 2, 1);
    page_set(second, second | PAGE_P);
    memset(buffer, 0x11, PAGE_SIZE);
    run(&frame);
    check(trap.vector == VEC_PF && trap.error == (PF_P | PF_W) && trap.cr2 == second &&
              frame.rdi == second - 2 && buffer[PAGE_SIZE - 1] == 0x11,
          "INSD across the end of a page, into a read-only one, writes nothing");
    page_set(second, 0);
    frame = string_frame(rep_outsb, SCRATCH, second - 3, 10);
    memcpy(buffer + PAGE_SIZE - 3, "abc", 3);
    run(&frame);
    check(trap.vector == VEC_PF && trap.error == 0 && trap.cr2 == second && frame.rsi == second &&
              frame.rcx == 7 && inb(SCRATCH) == 'c',
          "REP OUTSB from a page that is not there raises #PF for a read");
    page_set(second, entry);
}

static void check_not_canonical(void)
{
    struct frame frame = string_frame(insb, UNCLAIMED, 0x8000000000000000, 1);

    run(&frame);
    check(trap.vector == VEC_GP && trap.error == 0 && trap.rip == (uint64_t)insb,
          "INSB to an address that is not canonical raises #GP");
    frame = string_frame(outsb, SCRATCH, 0x8000000000000000, 1);
    run(&frame);
    check(trap.vector == VEC_GP && trap.error == 0, "and so does OUTSB from one");
}

USER_SNIPPET(user_insb_kernel, "insb");

static void check_user_page(void)
{
    struct frame frame = user_frame(user_insb_kernel);

    frame.rdx = UNCLAIMED;
    frame.rdi = (uint64_t)buffer;
    frame.rflags |= RFLAGS_IOPL;
    memset(buffer, 0x11, sizeof(buffer));
    run(&frame);
    check(trap.vector == VEC_PF && trap.error == (PF_P | PF_W | PF_U) &&
              trap.cr2 == (uint64_t)buffer && filled(0, 0),
          "a user's INSB cannot write to the kernel's memory");
}

void exits_string_io(void)
{
    check_single(insb, 1, "INSB");
    check_single(insw, 2, "INSW");
    check_single(insl, 4, "INSD");
    check_repeated(rep_insb, 1, "REP INSB");
    check_repeated(rep_insw, 2, "REP INSW");
    check_repeated(rep_insl, 4, "REP INSD");
    check_nothing();
    check_address_size();
    check_out();
    check_missing_page();
    check_not_canonical();
    check_user_page();
}
