/* SPDX-License-Identifier: MIT */
/*
 * Device memory.  Every instruction that can reach RAM may be aimed at a device; where no device
 * is, reads give ones and writes are lost.  The local APIC's initial count serves as a device
 * register that holds all of its 32 bits (its timer is masked); the I/O APIC has an index and a
 * window.  Flags, registers and RIP come out as with RAM.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define UNCLAIMED 0xd0000000ull
#define WORD      (LAPIC_BASE + LAPIC_TMICT) /* 32 bits that hold what is written */
#define FLAGS     (RFLAGS_CF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* One instruction on [RDI], with RAX and RCX as operands. */
struct mmio_case {
    const uint8_t *code;
    const char *name;
    uint32_t before; /* in the device's register */
    uint64_t rax, rcx;
    uint32_t after;
    uint64_t rax_after;
    uint64_t flags; /* of FLAGS; IGNORED: not looked at */
};
#define IGNORED ~0ull

SNIPPET(load8, "movb (%rdi), %al");
SNIPPET(load8h, "movb (%rdi), %ah");
SNIPPET(load16, "movw (%rdi), %ax");
SNIPPET(load32, "movl (%rdi), %eax");
SNIPPET(load64, "movq (%rdi), %rax");
SNIPPET(movzx8, "movzbl (%rdi), %eax");
SNIPPET(movzx16, "movzwl (%rdi), %eax");
SNIPPET(movsx8, "movsbq (%rdi), %rax");
SNIPPET(movsx16, "movswl (%rdi), %eax");
SNIPPET(movsxd, "movslq (%rdi), %rax");

static void check_load(const uint8_t *code, uint64_t address, uint64_t expected, const char *what)
{
    struct frame frame = kernel_frame(code);

    frame.rdi = address;
    frame.rax = 0x1122334455667788;
    run(&frame);
    check_equal(frame.rax, expected, "%s", what);
}

static void check_loads(void)
{
    check_load(load8, UNCLAIMED, 0x11223344556677ff, "MOV AL reads ones where nothing is");
    check_load(load8h, UNCLAIMED, 0x112233445566ff88, "and so does MOV AH");
    check_load(load16, UNCLAIMED, 0x112233445566ffff, "MOV AX");
    check_load(load32, UNCLAIMED, 0xffffffff, "MOV EAX");
    check_load(load64, UNCLAIMED, ~0ull, "MOV RAX");
    check_load(load32, UNCLAIMED + PAGE_SIZE - 2, 0xffffffff, "MOV EAX across a page boundary");
    lapic_write(LAPIC_TMICT, 0x84838281);
    check_load(load32, WORD, 0x84838281, "MOV EAX reads a device's register");
    check_load(movzx8, WORD, 0x81, "MOVZX of a byte");
    check_load(movzx16, WORD, 0x8281, "MOVZX of a word");
    check_load(movsx8, WORD, 0xffffffffffffff81, "MOVSX of a byte to 64 bits");
    check_load(movsx16, WORD, 0xffff8281, "MOVSX of a word to 32 bits");
    check_load(movsxd, WORD, 0xffffffff84838281, "MOVSXD");
    lapic_write(LAPIC_TMICT, 0);
}

SNIPPET(op_store, "movl %eax, (%rdi)");
SNIPPET(op_store_imm, "movl $0x12345678, (%rdi)");
SNIPPET(op_store64_imm, "movq $-2, (%rdi)");
SNIPPET(op_add, "addl %eax, (%rdi)");
SNIPPET(op_add_to_reg, "addl (%rdi), %eax");
SNIPPET(op_or_imm8, "orl $-0x80, (%rdi)");
SNIPPET(op_and, "andl %eax, (%rdi)");
SNIPPET(op_xor, "xorl %eax, (%rdi)");
SNIPPET(op_sub, "subl %eax, (%rdi)");
SNIPPET(op_cmp, "cmpl %eax, (%rdi)");
SNIPPET(op_test, "testl %eax, (%rdi)");
SNIPPET(op_test_imm, "testl $0x80000000, (%rdi)");
SNIPPET(op_bt, "btl $7, (%rdi)");
SNIPPET(op_bt_reg, "btl %eax, (%rdi)");
SNIPPET(op_bts, "lock btsl $7, (%rdi)");
SNIPPET(op_btr, "btrl $31, (%rdi)");
SNIPPET(op_xchg, "xchgl %eax, (%rdi)");
SNIPPET(op_cmpxchg, "lock cmpxchgl %ecx, (%rdi)");

#define CASE(name) op_##name, #name

static const struct mmio_case cases[] = {
    {CASE(store), 0, 0x89abcdef, 0, 0x89abcdef, 0x89abcdef, IGNORED},
    {CASE(store_imm), 0, 0, 0, 0x12345678, 0, IGNORED},
    {CASE(add), 0xfffffff0, 0x10, 0, 0, 0x10, RFLAGS_CF | RFLAGS_ZF},
    {CASE(add_to_reg), 0x7fffffff, 1, 0, 0x7fffffff, 0x80000000, RFLAGS_SF | RFLAGS_OF},
    {CASE(or_imm8), 0x0000000f, 0, 0, 0xffffff8f, 0, RFLAGS_SF},
    {CASE(and), 0xf0f0f0f0, 0x0f0f0f0f, 0, 0, 0x0f0f0f0f, RFLAGS_ZF},
    {CASE(xor), 0xffff0000, 0xf0f0f0f0, 0, 0x0f0ff0f0, 0xf0f0f0f0, 0},
    {CASE(sub), 1, 2, 0, 0xffffffff, 2, RFLAGS_CF | RFLAGS_SF},
    {CASE(cmp), 5, 5, 0, 5, 5, RFLAGS_ZF},
    {CASE(test), 0x80000001, 0x80000000, 0, 0x80000001, 0x80000000, RFLAGS_SF},
    {CASE(test_imm), 0x7fffffff, 0, 0, 0x7fffffff, 0, RFLAGS_ZF},
    {CASE(bts), 0x00000001, 0, 0, 0x00000081, 0, IGNORED},
    {CASE(btr), 0x80000001, 0, 0, 0x00000001, 0, IGNORED},
    {CASE(xchg), 0x11111111, 0x22222222, 0, 0x22222222, 0x11111111, IGNORED},
    {CASE(cmpxchg), 0x1000, 0x1000, 0x2000, 0x2000, 0x1000, RFLAGS_ZF},
    {CASE(cmpxchg), 0x1000, 0x1001, 0x2000, 0x1000, 0x1000, 0},
};

static void check_case(const struct mmio_case *c)
{
    struct frame frame = kernel_frame(c->code);
    uint32_t after;

    lapic_write(LAPIC_TMICT, c->before);
    frame.rdi = WORD;
    frame.rax = c->rax;
    frame.rcx = c->rcx;
    run(&frame);
    after = lapic_read(LAPIC_TMICT);
    if (!check(trap.vector == VEC_END && after == c->after && frame.rax == c->rax_after &&
                   (c->flags == IGNORED || (frame.rflags & FLAGS) == c->flags),
               "%s on a device's register 0x%x", c->name, c->before))
        print("# it holds 0x%x, rax is 0x%lx, rflags 0x%lx\n", after, frame.rax, frame.rflags);
}

static void check_bit(const uint8_t *code, uint64_t rdi, uint64_t rax, bool expected,
                      const char *what)
{
    struct frame frame = kernel_frame(code);

    frame.rdi = rdi;
    frame.rax = rax;
    run(&frame);
    check(trap.vector == VEC_END && (frame.rflags & RFLAGS_CF) == expected, "%s", what);
}

static void check_bits(void)
{
    lapic_write(LAPIC_TMICT, 0x80);
    check_bit(op_bt, WORD, 0, true, "BT finds a bit set");
    check_bit(op_bt_reg, WORD, 6, false, "and another clear");
    check_bit(op_bt_reg, WORD - 0x10, 0x87, true, "BT with a register reaches beyond the operand");
    check_bit(op_bt_reg, WORD + 0x10, (uint64_t)-0x79, true, "and before it");
}

/* ---- Addressing -------------------------------------------------------------------------------
 */

SNIPPET(rsp_base, "movl 8(%rsp), %eax; movl %esp, 8(%rsp)");
SNIPPET(sib, "movl 0x10(%rdi,%rcx,4), %eax");
SNIPPET(rip_relative, "movl $0x5555, 0x40000000(%rip); movl 0x40000000(%rip), %eax");
SNIPPET(fs_relative, "movl %fs:0x380, %eax");
SNIPPET(address32, "movl (%edi), %eax");
SNIPPET(moffs, ".byte 0xa1; .quad 0xfee00380");

static void check_addressing(void)
{
    struct frame frame = kernel_frame(rsp_base);

    lapic_write(LAPIC_TMICT, 0x600df00d);
    frame.rsp = WORD - 8;
    run(&frame);
    check(frame.rax == 0x600df00d && lapic_read(LAPIC_TMICT) == (uint32_t)(WORD - 8),
          "RSP is base and operand");
    lapic_write(LAPIC_TMICT, 0x600df00d);
    frame = kernel_frame(sib);
    frame.rdi = LAPIC_BASE;
    frame.rcx = (LAPIC_TMICT - 0x10) / 4;
    run(&frame);
    check_equal(frame.rax, 0x600df00d, "base, scaled index and displacement");
    frame = kernel_frame(rip_relative);
    run(&frame);
    check(trap.vector == VEC_END && frame.rax == 0xffffffff,
          "RIP-relative, with an immediate behind");
    wrmsr(MSR_FS_BASE, LAPIC_BASE);
    frame = kernel_frame(fs_relative);
    run(&frame);
    wrmsr(MSR_FS_BASE, 0);
    check_equal(frame.rax, 0x600df00d, "relative to FS");
    frame = kernel_frame(address32);
    frame.rdi = 0xffffffff00000000 | WORD;
    run(&frame);
    check_equal(frame.rax, 0x600df00d, "an address size of 32 bits");
    frame = kernel_frame(moffs);
    run(&frame);
    check_equal(frame.rax, 0x600df00d, "MOV EAX, [moffs]");
}

static uint8_t code_area[64] __attribute__((aligned(64)));

static void check_modes(void)
{
    struct frame frame = kernel_frame(code_area);

    memcpy(code_area, "\x8b\x07\xcd\x80", 4); /* MOV EAX, [EDI] */
    frame.cs = SEL_CODE32;
    frame.rdi = WORD;
    frame.rax = 0;
    run(&frame);
    check_equal(frame.rax, 0x600df00d, "code of 32 bits");
    memcpy(code_area, "\x67\x66\x8b\x07\xcd\x80", 6); /* MOV EAX, [EDI] */
    gdt[SEL_SPARE0 / 8] = 0x00009b000000ffffull | (uint64_t)code_area << 16;
    frame = kernel_frame(0);
    frame.cs = SEL_SPARE0;
    frame.rdi = WORD;
    run(&frame);
    check_equal(frame.rax, 0x600df00d, "code of 16 bits");
}

USER_SNIPPET(user_load, "movl (%rdi), %eax");

static void check_user(void)
{
    struct frame frame = user_frame(user_load);

    frame.rdi = WORD;
    run(&frame);
    check(trap.vector == VEC_PF && trap.error == (PF_P | PF_U),
          "a user program does not reach a device in the kernel's page");
    page_set(LAPIC_BASE, LAPIC_BASE | PAGE_P | PAGE_W | PAGE_U);
    frame = user_frame(user_load);
    frame.rdi = WORD;
    run(&frame);
    check_equal(frame.rax, 0x600df00d, "but it does in a page of its own");
    page_set(LAPIC_BASE, LAPIC_BASE | PAGE_P | PAGE_W);
}

/* ---- Where memory ends ------------------------------------------------------------------------
 */

static void check_end_of_memory(void)
{
    const uint64_t end = START_RAM_KIB * 1024ull;

    *(volatile uint16_t *)(end - 2) = 0x1234;
    check_load(load32, end - 2, 0xffff1234, "an access may begin in memory and end in nothing");
    *(volatile uint32_t *)(end - 2) = 0xabcd5678;
    check_equal(*(volatile uint16_t *)(end - 2), 0x5678, "and so may a write");
    *(volatile uint64_t *)UNCLAIMED = 0;
    check_load(load64, UNCLAIMED, ~0ull, "a write to nothing is lost");
}

static void check_ioapic(void)
{
    uint32_t old = ioapic_read(IOAPIC_PIN(5));

    check_equal(ioapic_read(IOAPIC_VERSION) >> 16 & 0xff, 23, "the I/O APIC has 24 pins");
    ioapic_write(IOAPIC_PIN(5), PIN_MASKED | PIN_LEVEL | 0x45);
    check_equal(ioapic_read(IOAPIC_PIN(5)), PIN_MASKED | PIN_LEVEL | 0x45,
                "and holds a redirection entry");
    ioapic_write(IOAPIC_PIN(5), old);
}

SNIPPET(lock_mov, ".byte 0xf0; movl %eax, (%rdi)");

void exits_mmio(void)
{
    struct frame frame = kernel_frame(lock_mov);

    check_loads();
    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
        check_case(&cases[i]);
    check_bits();
    check_addressing();
    check_modes();
    check_user();
    check_end_of_memory();
    check_ioapic();
    frame.rdi = WORD;
    run(&frame);
    check(trap.vector == VEC_UD && trap.rip == (uint64_t)lock_mov, "LOCK MOV raises #UD");
    lapic_write(LAPIC_TMICT, 0);
}
