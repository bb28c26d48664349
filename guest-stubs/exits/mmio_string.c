/* SPDX-License-Identifier: MIT */
/*
 * String instructions between memory and devices: STOS, LODS, MOVS, with and without REP, up and
 * down, and with a page fault on the side of memory, which leaves the registers at the element that
 * faulted.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define UNCLAIMED 0xd0000000ull
#define WORD      (LAPIC_BASE + LAPIC_TMICT)

static uint8_t buffer[2 * PAGE_SIZE] __attribute__((aligned(4096)));

SNIPPET(stosl, "stosl");
SNIPPET(lodsl, "lodsl");
SNIPPET(lodsb, "lodsb");
SNIPPET(movsl, "movsl");
SNIPPET(rep_movsb, "rep movsb");
SNIPPET(rep_movsl, "rep movsl");
SNIPPET(rep_stosb, "rep stosb");
SNIPPET(rep_stosq, "rep stosq");

static struct frame string_frame(const uint8_t *code, uint64_t from, uint64_t to, uint64_t count)
{
    struct frame frame = kernel_frame(code);

    frame.rsi = from;
    frame.rdi = to;
    frame.rcx = count;
    return frame;
}

static void check_single(void)
{
    struct frame frame = string_frame(stosl, 0, WORD, 3);
    uint32_t word = 0x13572468;

    frame.rax = 0x87654321;
    run(&frame);
    check(lapic_read(LAPIC_TMICT) == 0x87654321 && frame.rdi == WORD + 4 && frame.rcx == 3,
          "STOSD writes to a device");
    frame = string_frame(lodsl, WORD, 0, 3);
    frame.rax = ~0ull;
    run(&frame);
    check(frame.rax == 0x87654321 && frame.rsi == WORD + 4, "LODSD reads from one");
    frame = string_frame(lodsb, UNCLAIMED, 0, 3);
    frame.rax = 0x1100;
    frame.rflags |= RFLAGS_DF;
    run(&frame);
    check(frame.rax == 0x11ff && frame.rsi == UNCLAIMED - 1, "LODSB, downwards");
    frame = string_frame(movsl, (uint64_t)&word, WORD, 3);
    run(&frame);
    check(lapic_read(LAPIC_TMICT) == word && frame.rsi == (uint64_t)&word + 4 &&
              frame.rdi == WORD + 4,
          "MOVSD from memory to a device");
    word = 0;
    frame = string_frame(movsl, WORD, (uint64_t)&word, 3);
    run(&frame);
    check_equal(word, 0x13572468, "MOVSD from a device to memory");
    frame = string_frame(movsl, WORD, UNCLAIMED, 3);
    run(&frame);
    check(trap.vector == VEC_END && frame.rdi == UNCLAIMED + 4, "MOVSD from a device to nothing");
    lapic_write(LAPIC_TMICT, 0);
}

static unsigned int count_ones(void)
{
    unsigned int count = 0;

    for (unsigned int i = 0; i < sizeof(buffer); i++)
        count += buffer[i] == 0xff;
    return count;
}

static void check_repeated(void)
{
    struct frame frame = string_frame(rep_movsb, UNCLAIMED, (uint64_t)buffer + 1, 333);

    memset(buffer, 0, sizeof(buffer));
    run(&frame);
    check(count_ones() == 333 && frame.rsi == UNCLAIMED + 333 &&
              frame.rdi == (uint64_t)buffer + 334 && frame.rcx == 0,
          "REP MOVSB reads 333 bytes of nothing");
    frame = string_frame(rep_movsl, UNCLAIMED + 400, (uint64_t)buffer + 400, 100);
    frame.rflags |= RFLAGS_DF;
    memset(buffer, 0, sizeof(buffer));
    run(&frame);
    check(count_ones() == 400 && buffer[3] == 0 && buffer[4] == 0xff && buffer[403] == 0xff &&
              frame.rdi == (uint64_t)buffer && frame.rcx == 0,
          "REP MOVSD downwards");
    frame = string_frame(rep_stosq, 0, UNCLAIMED, 100);
    run(&frame);
    check(frame.rdi == UNCLAIMED + 800 && frame.rcx == 0, "REP STOSQ to nothing");
    frame = string_frame(rep_stosb, 0, UNCLAIMED + PAGE_SIZE - 100, 200);
    run(&frame);
    check(frame.rdi == UNCLAIMED + PAGE_SIZE + 100 && frame.rcx == 0,
          "REP STOSB across a page boundary");
    frame = string_frame(rep_stosb, 0, UNCLAIMED, 0);
    run(&frame);
    check(frame.rdi == UNCLAIMED && frame.rcx == 0, "REP STOSB with RCX = 0 does nothing");
}

static void check_faults(void)
{
    const uint64_t second = (uint64_t)buffer + PAGE_SIZE;
    uint64_t entry = page_get(second);
    struct frame frame = string_frame(rep_movsb, UNCLAIMED, second - 5, 50);

    page_set(second, 0);
    memset(buffer, 0, PAGE_SIZE);
    run(&frame);
    check(trap.vector == VEC_PF && trap.error == PF_W && trap.cr2 == second &&
              trap.rip == (uint64_t)rep_movsb,
          "REP MOVSB from nothing to a page that is not there raises #PF");
    check(frame.rcx == 45 && frame.rdi == second && frame.rsi == UNCLAIMED + 5,
          "with the registers at the element that faulted");
    page_set(second, second | PAGE_P);
    frame = string_frame(movsl, UNCLAIMED, second, 1);
    run(&frame);
    check(trap.vector == VEC_PF && trap.error == (PF_P | PF_W) && frame.rsi == UNCLAIMED &&
              frame.rdi == second,
          "MOVSD to a read-only page moves nothing");
    page_set(second, 0);
    frame = string_frame(movsl, second - 2, UNCLAIMED, 1);
    run(&frame);
    check(trap.vector == VEC_PF && trap.error == 0 && trap.cr2 == second && frame.rsi == second - 2,
          "MOVSD from the end of a page, across into one that is not there");
    page_set(second, entry);
}

void exits_mmio_string(void)
{
    check_single();
    check_repeated();
    check_faults();
}
