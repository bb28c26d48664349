/* SPDX-License-Identifier: MIT */
/*
 * Control registers.  CR0: NW without CD, PG without PE and a set bit of the upper half raise #GP,
 * and so does clearing PG in 64-bit code; reserved bits of the lower half are ignored, ET is always
 * set.  CR4: a reserved bit raises #GP, and a bit of a feature is reserved where CPUID does not
 * show the feature; PAE cannot be cleared in long mode; PCIDE can be set only while CR3[11:0] is 0.
 * CR8 is the upper half of the APIC's TPR.  LMSW writes the low four bits of CR0 and cannot clear
 * PE; CLTS clears TS.
 */
#include "guest-stubs/exits/exits.h"
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define TRY_WRITE(name, value) TRY("mov %0, %%" #name, : : "r"((uint64_t)(value)) : "memory")

/* ---- CR0 --------------------------------------------------------------------------------------
 */

static void check_cr0_refuses(uint64_t value, const char *what)
{
    uint64_t old = read_cr0();

    TRY_WRITE(cr0, value);
    check_fault(VEC_GP, 0, "CR0: %s raises #GP", what);
    check_equal(read_cr0(), old, "and changes nothing");
}

static void check_cr0_holds(uint64_t value, const char *what)
{
    uint64_t old = read_cr0();

    write_cr0(value);
    check_equal(read_cr0(), value, "CR0: %s reads back", what);
    write_cr0(old);
    check_equal(read_cr0(), old, "and so does the old value");
}

static void check_cr0(void)
{
    uint64_t cr0 = read_cr0();

    check(cr0 & CR0_ET, "CR0.ET is set");
    check_cr0_holds(cr0 ^ CR0_NE, "NE the other way");
    check_cr0_holds(cr0 | CR0_CD, "CD");
    check_cr0_holds(cr0 | CR0_CD | CR0_NW, "CD with NW");
    check_cr0_holds(cr0 ^ CR0_AM, "AM");
    check_cr0_holds(cr0 | CR0_MP | CR0_TS, "MP with TS");
    check_cr0_refuses(cr0 | CR0_NW, "NW without CD");
    check_cr0_refuses(cr0 & ~CR0_PE, "PG without PE");
    check_cr0_refuses(cr0 & ~CR0_PG, "clearing PG in 64-bit code");
    check_cr0_refuses(cr0 | BIT(32), "bit 32");
    check_cr0_refuses(cr0 | BIT(63), "bit 63");
    TRY_WRITE(cr0, cr0 & ~CR0_ET);
    check(trap.vector == VEC_NONE && read_cr0() == cr0, "CR0: clearing ET is ignored");
    TRY_WRITE(cr0, cr0 | BIT(15) | BIT(28));
    check(trap.vector == VEC_NONE && read_cr0() == cr0, "CR0: bits 15 and 28 are ignored");
}

/* What hangs on the bits. */
static void check_cr0_effects(void)
{
    static uint64_t page[512] __attribute__((aligned(4096)));
    uint64_t cr0 = read_cr0();

    page_set((uint64_t)page, (uint64_t)page | PAGE_P);
    TRY("movq $1, %0", : "=m"(page[0]));
    check_fault(VEC_PF, PF_P | PF_W, "CR0.WP protects a read-only page from the kernel");
    check_equal(trap.cr2, (uint64_t)page, "and CR2 says which");
    write_cr0(cr0 & ~CR0_WP);
    TRY("movq $1, %0", : "=m"(page[0]));
    check_no_fault("without WP the kernel may write to it");
    write_cr0(cr0);
    page_set((uint64_t)page, (uint64_t)page | PAGE_P | PAGE_W);
    write_cr0(cr0 | CR0_TS);
    TRY("fninit", :);
    check_fault(VEC_NM, 0, "CR0.TS makes the FPU raise #NM");
    __asm__ volatile("clts");
    check_equal(read_cr0(), cr0 & ~CR0_TS, "CLTS clears TS and nothing else");
    TRY("fninit", :);
    check_no_fault("and the FPU can be used");
    write_cr0(cr0);
}

static void check_lmsw(void)
{
    uint64_t cr0 = read_cr0(), wide;
    uint16_t word = (uint16_t)(cr0 | CR0_MP | CR0_TS);

    __asm__ volatile("lmsw %0" : : "r"(word));
    check_equal(read_cr0(), cr0 | CR0_MP | CR0_TS, "LMSW sets MP and TS");
    word = 0;
    __asm__ volatile("lmsw %0" : : "m"(word));
    check_equal(read_cr0(), (cr0 & ~(CR0_MP | CR0_EM | CR0_TS)),
                "LMSW from memory clears MP, EM and TS, and not PE");
    word = 0xfff1;
    __asm__ volatile("lmsw %0" : : "r"(word));
    check_equal(read_cr0(), cr0 & ~(CR0_MP | CR0_EM | CR0_TS), "LMSW does not reach above bit 3");
    write_cr0(cr0);
    __asm__ volatile("smsw %0" : "=r"(wide));
    check_equal(wide & 0xffff, cr0 & 0xffff, "SMSW gives the low word");
}

/* ---- CR4 --------------------------------------------------------------------------------------
 */

static void check_cr4_refuses(uint64_t value, const char *what)
{
    uint64_t old = read_cr4();

    TRY_WRITE(cr4, value);
    check_fault(VEC_GP, 0, "CR4: %s raises #GP", what);
    check_equal(read_cr4(), old, "and changes nothing");
    write_cr4(old);
}

static void check_cr4_feature(uint64_t bit, bool shown, const char *name)
{
    uint64_t cr4 = read_cr4();

    if (!shown) {
        check_cr4_refuses(cr4 | bit, name);
        return;
    }
    TRY_WRITE(cr4, cr4 | bit);
    check_no_fault("CR4: %s is shown and can be set", name);
    check_equal(read_cr4(), cr4 | bit, "and reads back");
    write_cr4(cr4);
}

static void check_cr4(void)
{
    uint64_t cr4 = read_cr4();

    check_cr4_refuses(cr4 & ~CR4_PAE, "clearing PAE in long mode");
    check_cr4_refuses(cr4 | CR4_VMXE, "VMXE");
    check_cr4_refuses(cr4 | CR4_SMXE, "SMXE");
    check_cr4_refuses(cr4 | BIT(15), "bit 15");
    check_cr4_refuses(cr4 | BIT(31), "bit 31");
    check_cr4_refuses(cr4 | BIT(63), "bit 63");
    check_cr4_feature(CR4_UMIP, HAS(7, 0, ecx, 2), "UMIP");
    check_cr4_feature(CR4_FSGSBASE, HAS(7, 0, ebx, 0), "FSGSBASE");
    check_cr4_feature(CR4_PCIDE, HAS(1, 0, ecx, 17), "PCIDE");
    check_cr4_feature(CR4_OSXSAVE, HAS(1, 0, ecx, 26), "OSXSAVE");
    check_cr4_feature(CR4_SMEP, HAS(7, 0, ebx, 7), "SMEP");
    check_cr4_feature(CR4_SMAP, HAS(7, 0, ebx, 20), "SMAP");
    check_cr4_feature(CR4_PKE, HAS(7, 0, ecx, 3), "PKE");
    check_cr4_feature(CR4_CET, HAS(7, 0, ecx, 7) || HAS(7, 0, edx, 20), "CET");
    check_cr4_feature(CR4_PKS, HAS(7, 0, ecx, 31), "PKS");
    if (!HAS(7, 0, ecx, 16)) /* in long mode it cannot be set in any case */
        check_cr4_refuses(cr4 | CR4_LA57, "LA57");
    if (HAS(1, 0, ecx, 17)) {
        write_cr3(read_cr3() | 1);
        check_cr4_refuses(cr4 | CR4_PCIDE, "PCIDE with a PCID in CR3");
        write_cr3(read_cr3() & ~1ull);
    }
}

/* SMEP and SMAP keep the kernel from users' pages at once, whatever the TLB held. */
USER_SNIPPET(user_nothing, "nop");

static void check_smep(void)
{
    struct frame frame = kernel_frame(user_nothing);

    if (!HAS(7, 0, ebx, 7)) {
        skip("CR4.SMEP", "the CPU has no SMEP");
        return;
    }
    run(&frame);
    check_equal(trap.vector, VEC_END, "without SMEP the kernel may execute a user's page");
    write_cr4(read_cr4() | CR4_SMEP);
    frame = kernel_frame(user_nothing);
    run(&frame);
    check(trap.vector == VEC_PF && trap.error == (PF_P | PF_I) &&
              trap.cr2 == (uint64_t)user_nothing,
          "with SMEP it may not");
    write_cr4(read_cr4() & ~CR4_SMEP);
}

static void check_smap(void)
{
    uint8_t byte;

    if (!HAS(7, 0, ebx, 20)) {
        skip("CR4.SMAP", "the CPU has no SMAP");
        return;
    }
    write_cr4(read_cr4() | CR4_SMAP);
    TRY("movb %1, %0", : "=q"(byte) : "m"(user_nothing[0]));
    check_fault(VEC_PF, PF_P, "with SMAP the kernel may not read a user's page");
    __asm__ volatile("stac");
    TRY("movb %1, %0", : "=q"(byte) : "m"(user_nothing[0]));
    check_no_fault("but with RFLAGS.AC it may");
    __asm__ volatile("clac");
    write_cr4(read_cr4() & ~CR4_SMAP);
}

/* ---- The others -------------------------------------------------------------------------------
 */

static void check_cr8(void)
{
    write_cr8(9);
    check(read_cr8() == 9 && lapic_read(LAPIC_TPR) == 0x90, "CR8 is the upper half of TPR");
    lapic_write(LAPIC_TPR, 0x35);
    check_equal(read_cr8(), 3, "and TPR is read through CR8");
    TRY_WRITE(cr8, 16);
    check_fault(VEC_GP, 0, "CR8: 16 raises #GP");
    check_equal(lapic_read(LAPIC_TPR), 0x35, "and changes nothing");
    write_cr8(0);
    check_equal(lapic_read(LAPIC_TPR), 0, "a write of CR8 clears the lower half");
}

SNIPPET(cr_registers, "mov %cr4, %rsp; mov %rsp, %cr4; mov %cr0, %r15; mov %r15, %cr0");

static void check_other_registers(void)
{
    struct frame frame = kernel_frame(cr_registers);

    run(&frame);
    check(frame.rsp == read_cr4() && frame.r15 == read_cr0(), "MOV CR uses any register, RSP too");
    write_cr2(0xffff800000123456);
    check_equal(read_cr2(), 0xffff800000123456, "CR2 holds what is written");
    TRY(".byte 0x0f, 0x20, 0xc8", : : : "rax"); /* MOV RAX, CR1 */
    check_fault(VEC_UD, 0, "there is no CR1");
    TRY(".byte 0x0f, 0x22, 0xe8", : : : "rax"); /* MOV CR5, RAX */
    check_fault(VEC_UD, 0, "there is no CR5");
}

USER_SNIPPET(user_mov_cr0, "mov %cr0, %rax");
USER_SNIPPET(user_write_cr4, "mov %rax, %cr4");
USER_SNIPPET(user_clts, "clts");
USER_SNIPPET(user_lmsw, "lmsw %ax");

static void check_user_may_not(const uint8_t *code, const char *what)
{
    struct frame frame = user_frame(code);

    run(&frame);
    check(trap.vector == VEC_GP && trap.error == 0 && trap.rip == (uint64_t)code,
          "a user program may not %s", what);
}

void exits_control(void)
{
    check_cr0();
    check_cr0_effects();
    check_lmsw();
    check_cr4();
    check_smep();
    check_smap();
    check_cr8();
    check_other_registers();
    check_user_may_not(user_mov_cr0, "read CR0");
    check_user_may_not(user_write_cr4, "write CR4");
    check_user_may_not(user_clts, "execute CLTS");
    check_user_may_not(user_lmsw, "execute LMSW");
}
