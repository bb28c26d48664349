/* SPDX-License-Identifier: MIT */
/*
 * Instructions that a hypervisor takes over for reasons of their own.  XSETBV wants CR4.OSXSAVE
 * (else #UD), ECX 0, x87 always on, AVX only with SSE, no bit that CPUID does not offer (else #GP).
 * RDPMC of a counter that does not exist raises #GP.  Instructions of features that CPUID hides
 * raise #UD at every privilege level; so does the other vendor's hypercall.  A hypercall with a
 * number that nobody knows answers -1000 in RAX, to user programs -1, and changes nothing else.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

/* ---- XSETBV -----------------------------------------------------------------------------------
 */

static void try_xsetbv(uint32_t index, uint64_t value)
{
    TRY("xsetbv", : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static uint64_t xgetbv(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static void check_xsetbv_refuses(uint32_t index, uint64_t value, const char *what)
{
    uint64_t old = xgetbv();

    try_xsetbv(index, value);
    check_fault(VEC_GP, 0, "XSETBV: %s raises #GP", what);
    check_equal(xgetbv(), old, "and changes nothing");
}

USER_SNIPPET(user_xsetbv, "xsetbv");

static void check_xsetbv(void)
{
    struct frame frame = user_frame(user_xsetbv);

    if (!HAS(1, 0, ecx, 26)) {
        skip("XSETBV", "the CPU has no XSAVE");
        return;
    }
    try_xsetbv(0, 1);
    check_fault(VEC_UD, 0, "XSETBV without CR4.OSXSAVE raises #UD");
    write_cr4(read_cr4() | CR4_OSXSAVE);
    check_equal(xgetbv(), 1, "XCR0 is 1 after a reset");
    try_xsetbv(0, 3);
    check(trap.vector == VEC_NONE && xgetbv() == 3, "XSETBV sets x87 and SSE");
    if (cpuid(0xd, 0).eax & 4) {
        try_xsetbv(0, 7);
        check(trap.vector == VEC_NONE && xgetbv() == 7, "and AVX");
    }
    check_xsetbv_refuses(0, 0, "x87 off");
    check_xsetbv_refuses(0, 5, "AVX without SSE");
    check_xsetbv_refuses(0, 3 | BIT(62), "a component that does not exist");
    check_xsetbv_refuses(1, 3, "ECX = 1");
    frame.rax = 1;
    run(&frame);
    check(trap.vector == VEC_GP && trap.rip == (uint64_t)user_xsetbv,
          "a user program may not execute XSETBV");
    try_xsetbv(0, 1);
    check(trap.vector == VEC_NONE && xgetbv() == 1, "and back to x87 alone");
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

/* ---- Hidden instructions ----------------------------------------------------------------------
 */

#define HIDDEN(name, bytes)                                \
    do {                                                   \
        TRY(bytes, : : "a"(0), "c"(0), "d"(0) : "memory"); \
        check_fault(VEC_UD, 0, name " raises #UD");        \
    } while (0)

static void check_hidden(void)
{
    HIDDEN("MONITOR", ".byte 0x0f, 0x01, 0xc8");
    HIDDEN("MWAIT", ".byte 0x0f, 0x01, 0xc9");
    HIDDEN("MONITORX", ".byte 0x0f, 0x01, 0xfa");
    HIDDEN("MWAITX", ".byte 0x0f, 0x01, 0xfb");
    HIDDEN("VMRUN", ".byte 0x0f, 0x01, 0xd8");
    HIDDEN("VMLOAD", ".byte 0x0f, 0x01, 0xda");
    HIDDEN("VMSAVE", ".byte 0x0f, 0x01, 0xdb");
    HIDDEN("STGI", ".byte 0x0f, 0x01, 0xdc");
    HIDDEN("CLGI", ".byte 0x0f, 0x01, 0xdd");
    HIDDEN("INVLPGA", ".byte 0x0f, 0x01, 0xdf");
    HIDDEN("VMXON", ".byte 0xf3, 0x0f, 0xc7, 0x30");
    HIDDEN("VMXOFF", ".byte 0x0f, 0x01, 0xc4");
    HIDDEN("VMLAUNCH", ".byte 0x0f, 0x01, 0xc2");
    HIDDEN("VMPTRLD", ".byte 0x0f, 0xc7, 0x30");
    HIDDEN("VMREAD", ".byte 0x0f, 0x78, 0xc0");
    HIDDEN("VMWRITE", ".byte 0x0f, 0x79, 0xc0");
    HIDDEN("INVEPT", ".byte 0x66, 0x0f, 0x38, 0x80, 0x00");
    HIDDEN("INVVPID", ".byte 0x66, 0x0f, 0x38, 0x81, 0x00");
}

/* ---- Hypercalls -------------------------------------------------------------------------------
 */

#define UNKNOWN_CALL 0x12345678
#define ENOSYS_RAX   ((uint64_t)-1000)

SNIPPET(kernel_vmcall, "vmcall");
SNIPPET(kernel_vmmcall, "vmmcall");
USER_SNIPPET(user_vmcall, "vmcall");
USER_SNIPPET(user_vmmcall, "vmmcall");

static struct frame call(struct frame frame)
{
    frame.rax = UNKNOWN_CALL;
    frame.rbx = 0xbbbb;
    frame.rcx = 0xcccc;
    frame.rdx = 0xdddd;
    frame.rsi = 0x5555;
    frame.rdi = 0x7777;
    run(&frame);
    return frame;
}

static void check_hypercalls(void)
{
    struct frame frame = call(kernel_frame(is_amd() ? kernel_vmmcall : kernel_vmcall));

    check(trap.vector == VEC_END && frame.rax == ENOSYS_RAX, "an unknown hypercall answers -1000");
    check(frame.rbx == 0xbbbb && frame.rcx == 0xcccc && frame.rdx == 0xdddd &&
              frame.rsi == 0x5555 && frame.rdi == 0x7777,
          "and leaves the other registers alone");
    frame = call(user_frame(is_amd() ? user_vmmcall : user_vmcall));
    check(trap.vector == VEC_END && frame.rax == (uint64_t)-1,
          "a hypercall of a user program answers -1");
    frame = call(kernel_frame(is_amd() ? kernel_vmcall : kernel_vmmcall));
    check(trap.vector == VEC_UD && frame.rax == UNKNOWN_CALL, "the other vendor's raises #UD");
}

/* ---- The rest ---------------------------------------------------------------------------------
 */

USER_SNIPPET(user_hlt, "hlt");
USER_SNIPPET(user_wbinvd, "wbinvd");
USER_SNIPPET(user_invd, "invd");
USER_SNIPPET(user_rdmsr, "rdmsr");
USER_SNIPPET(user_cpuid, "cpuid");

static void check_user(const uint8_t *code, unsigned int vector, const char *what)
{
    struct frame frame = user_frame(code);

    run(&frame);
    check(trap.vector == vector && (vector == VEC_END || trap.rip == (uint64_t)code), "%s", what);
}

void exits_insn(void)
{
    check_xsetbv();
    check_hidden();
    check_hypercalls();
    TRY("wbinvd", : : : "memory");
    check_no_fault("WBINVD is executed");
    TRY("invd", : : : "memory");
    check_no_fault("INVD is executed, and memory is as it was");
    TRY("rdpmc", : : "c"(0) : "rax", "rdx");
    check_fault(VEC_GP, 0, "RDPMC raises #GP: there is no counter");
    TRY("pause", :);
    check_no_fault("PAUSE is executed");
    check_user(user_hlt, VEC_GP, "a user program may not execute HLT");
    check_user(user_wbinvd, VEC_GP, "nor WBINVD");
    check_user(user_invd, VEC_GP, "nor INVD");
    check_user(user_rdmsr, VEC_GP, "nor RDMSR");
    check_user(user_cpuid, VEC_END, "but CPUID");
}
