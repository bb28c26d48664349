/* SPDX-License-Identifier: MIT */
/*
 * Port I/O.  A port that no device claims reads as ones, and writes to it are lost.  IN to AL and
 * AX keeps the rest of RAX, IN to EAX clears its upper half.  A program whose CPL is above IOPL may
 * use the ports that the TSS's bitmap allows; others raise #GP(0).
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define UNCLAIMED 0x1234
#define SCRATCH   0x3ff /* the UART's scratch register holds a byte */

SNIPPET(in_al, "in %dx, %al");
SNIPPET(in_ax, "in %dx, %ax");
SNIPPET(in_eax, "in %dx, %eax");
SNIPPET(in_al_imm, "in $0xe7, %al");
SNIPPET(out_al, "out %al, %dx");

static void check_in(const uint8_t *code, uint64_t expected, const char *what)
{
    struct frame frame = kernel_frame(code);

    frame.rax = 0x1122334455667788;
    frame.rdx = UNCLAIMED;
    run(&frame);
    check_equal(frame.rax, expected, "%s of an unclaimed port reads ones", what);
}

static void check_registers(void)
{
    check_in(in_al, 0x11223344556677ff, "IN AL, DX");
    check_in(in_ax, 0x112233445566ffff, "IN AX, DX");
    check_in(in_eax, 0x00000000ffffffff, "IN EAX, DX");
    check_in(in_al_imm, 0x11223344556677ff, "IN AL, E7h");
    outb(UNCLAIMED, 0);
    outw(UNCLAIMED, 0);
    outl(UNCLAIMED, 0);
    check_equal(inl(UNCLAIMED), UINT32_MAX, "a write to an unclaimed port is lost");
    outb(SCRATCH, 0xa5);
    check_equal(inb(SCRATCH), 0xa5, "a device's port holds a byte");
    outb(SCRATCH, 0x5a);
    check_equal(inb(SCRATCH), 0x5a, "and another one");
    check_equal(inl(0xffff), UINT32_MAX, "an access that ends behind the last port reads ones");
}

/* ---- Privilege --------------------------------------------------------------------------------
 */

USER_SNIPPET(user_in, "in %dx, %al");
USER_SNIPPET(user_out, "out %al, %dx");
USER_SNIPPET(user_insb, "insb");
USER_SNIPPET(user_in_ax, "in %dx, %ax");

static struct frame user_io(const uint8_t *code, uint64_t iopl)
{
    struct frame frame = user_frame(code);

    frame.rdx = SCRATCH;
    frame.rdi = frame.rsp - 16;
    frame.rflags |= iopl;
    run(&frame);
    return frame;
}

static bool refused(const uint8_t *code)
{
    return trap.vector == VEC_GP && trap.error == 0 && trap.rip == (uint64_t)code;
}

static void check_privilege(void)
{
    outb(SCRATCH, 0x77);
    user_io(user_in, 0);
    check(refused(user_in), "a user program may not execute IN: #GP");
    user_io(user_out, 0);
    check(refused(user_out), "nor OUT");
    user_io(user_insb, 0);
    check(refused(user_insb), "nor INS");
    check((user_io(user_in, RFLAGS_IOPL).rax & 0xff) == 0x77 && trap.vector == VEC_END,
          "with an IOPL of 3 it may");
    tss.iomap[SCRATCH / 8] &= (uint8_t) ~(1u << SCRATCH % 8);
    check((user_io(user_in, 0).rax & 0xff) == 0x77 && trap.vector == VEC_END,
          "and with the bitmap's permission");
    user_io(user_in_ax, 0);
    check(refused(user_in_ax), "which must be given for each port of an access");
    tss.iomap[SCRATCH / 8] = 0xff;
}

void exits_io(void)
{
    struct frame frame = kernel_frame(out_al);

    check_registers();
    check_privilege();
    frame.rax = 0xc3;
    frame.rdx = 0xffffffffffff0000 | SCRATCH;
    run(&frame);
    check_equal(inb(SCRATCH), 0xc3, "of RDX only DX counts");
}
