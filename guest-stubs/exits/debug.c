/* SPDX-License-Identifier: MIT */
/*
 * Debug registers and breakpoints.  DR6 and DR7 have fixed bits; a set bit of the upper half raises
 * #GP. With CR4.DE, DR4 and DR5 do not exist.  With DR7.GD any MOV DR raises #DB, which clears GD.
 * A breakpoint on execution is a fault, before the instruction, which RFLAGS.RF lets pass; one on
 * data is a trap behind it.  Each sets its bit in DR6.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define DR6_INIT 0xffff0ff0ull
#define DR6_BD   BIT(13)
#define DR7_INIT 0x400ull
#define DR7_GD   BIT(13)
#define DR7_L(n) BIT(2 * (n))
/* The condition and length of breakpoint n: 0 execution, 1 writing, 3 reading or writing. */
#define DR7_RW(n, condition, length) ((uint64_t)((condition) | ((length)-1) << 2) << (16 + 4 * (n)))

static void check_registers(void)
{
    write_dr0(0x1111);
    write_dr1(0x2222);
    write_dr2(0xffff800000003333);
    write_dr3(0x4444);
    check(read_dr0() == 0x1111 && read_dr1() == 0x2222 && read_dr2() == 0xffff800000003333 &&
              read_dr3() == 0x4444,
          "DR0 to DR3 hold what is written");
    check_equal(read_dr6(), DR6_INIT, "DR6 has its value after a reset");
    check_equal(read_dr7(), DR7_INIT, "and so has DR7");
    write_dr6(0xe00f);
    check_equal(read_dr6(), DR6_INIT | 0xe00f, "DR6 keeps its fixed bits");
    write_dr6(0);
    check_equal(read_dr6() | DR6_INIT, DR6_INIT, "and its others are clear when cleared");
    write_dr6(DR6_INIT);
    write_dr7(DR7_RW(0, 1, 4));
    check_equal(read_dr7(), DR7_RW(0, 1, 4) | DR7_INIT, "DR7 keeps its fixed bit");
    write_dr7(DR7_INIT);
    TRY("mov %0, %%dr7", : : "r"(BIT(32)));
    check_fault(VEC_GP, 0, "DR7: bit 32 raises #GP");
    TRY("mov %0, %%dr6", : : "r"(BIT(32)));
    check_fault(VEC_GP, 0, "DR6: bit 32 raises #GP");
}

static void check_aliases(void)
{
    uint64_t value;

    write_cr4(read_cr4() & ~CR4_DE);
    TRY(".byte 0x0f, 0x21, 0xe0", : "=a"(value)); /* MOV RAX, DR4 */
    check(trap.vector == VEC_NONE && value == read_dr6(), "without CR4.DE, DR4 is DR6");
    write_cr4(read_cr4() | CR4_DE);
    TRY(".byte 0x0f, 0x21, 0xe0", : "=a"(value));
    check_fault(VEC_UD, 0, "with it, there is no DR4");
    write_cr4(read_cr4() & ~CR4_DE);
}

SNIPPET(detected, "mov %dr0, %rax");

static void check_general_detect(void)
{
    struct frame frame = kernel_frame(detected);

    if (on_qemu_tcg()) {
        skip("DR7.GD", "QEMU's emulated CPU has no general detect");
        return;
    }
    write_dr7(DR7_INIT | DR7_GD);
    run(&frame);
    check(trap.vector == VEC_DB && trap.rip == (uint64_t)detected && dr6_has(DR6_BD),
          "DR7.GD: a MOV DR raises #DB before it is executed");
    check_equal(read_dr7(), DR7_INIT, "and GD is clear");
    write_dr7(DR7_INIT);
}

SNIPPET(broken, "nop; cpuid; nop");

/* The instruction at `offset` of the code above. */
static void check_execution(unsigned int offset, const char *what)
{
    struct frame frame = kernel_frame(broken);

    write_dr1((uint64_t)broken + offset);
    write_dr7(DR7_INIT | DR7_L(1) | DR7_RW(1, 0, 1));
    run(&frame);
    check(trap.vector == VEC_DB && trap.rip == (uint64_t)broken + offset && dr6_has(BIT(1)) &&
              !(trap.dr6 & 0xd),
          "a breakpoint on %s stops before it", what);
    frame.rflags |= RFLAGS_RF;
    run(&frame);
    check_equal(trap.vector, VEC_END, "and RFLAGS.RF lets it pass once");
    write_dr7(DR7_INIT);
}

SNIPPET(watch_write, "movl $1, watched_here(%rip); nop");
SNIPPET(watch_read, "movl watched_here(%rip), %eax; nop");
__asm__(".pushsection .data; .balign 8; watched_here: .long 0, 0; .popsection");
extern uint32_t watched_here[2];

static void check_data(const uint8_t *code, unsigned int condition, bool expected, const char *what)
{
    struct frame frame = kernel_frame(code);

    write_dr2((uint64_t)watched_here);
    write_dr7(DR7_INIT | DR7_L(2) | DR7_RW(2, condition, 4));
    run(&frame);
    if (expected)
        check(trap.vector == VEC_DB && trap.rip > (uint64_t)code && dr6_has(BIT(2)) &&
                  !(trap.dr6 & 0xb),
              "%s is reported behind the instruction", what);
    else
        check_equal(trap.vector, VEC_END, "%s is not reported", what);
    write_dr7(DR7_INIT);
}

SNIPPET(icebp, ".byte 0xf1");
SNIPPET(int1, ".byte 0xcd, 0x01");
SNIPPET(int3, "int3");

static void check_traps(void)
{
    struct frame frame = kernel_frame(icebp);

    if (on_qemu_tcg()) {
        skip("INT1", "QEMU's emulated CPU raises #UD for it");
    } else {
        run(&frame);
        check(trap.vector == VEC_DB && trap.rip == (uint64_t)icebp_end && !(trap.dr6 & 0xe00f),
              "INT1 raises #DB behind itself, and sets no bit of DR6");
    }
    frame = kernel_frame(int1);
    run(&frame);
    check(trap.vector == VEC_DB && trap.rip == (uint64_t)int1_end, "INT 1 reaches vector 1");
    frame = kernel_frame(int3);
    run(&frame);
    check(trap.vector == VEC_BP && trap.rip == (uint64_t)int3_end, "INT3 raises #BP behind itself");
}

void exits_debug(void)
{
    if (on_bochs() && is_amd())
        skip("the bits of DR6", "Bochs's AMD-V exits for #DB before it has set them");
    check_registers();
    check_aliases();
    check_general_detect();
    check_execution(0, "NOP");
    check_execution(1, "CPUID, which exits,");
    check_data(watch_write, 1, true, "a write to watched data");
    check_data(watch_read, 1, false, "a read of data that is watched for writes");
    check_data(watch_read, 3, true, "a read of watched data");
    check_traps();
}
