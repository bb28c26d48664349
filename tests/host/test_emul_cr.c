/* SPDX-License-Identifier: MIT */
/*
 * Control registers, EFER and XCR0: which writes are legal, by the SDM's and the APM's words, what
 * hangs on them, and the instructions where the CPU gives no register.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/regs.h"
#include "hv/emul.h"
#include "hv/util.h"

#include <string.h>

static struct vcpu *const vcpu = &fake_vcpus[0];

#define REAL      (CR0_ET | CR0_NE)
#define PROTECTED (REAL | CR0_PE)
#define PAGED     (PROTECTED | CR0_PG)

static void start(unsigned int bits)
{
    fake_start(1);
    fake_set_mode(bits);
}

/* ---- CR0 ------------------------------------------------------------------------------------ */

static void test_cr0(void)
{
    static const struct {
        const char *what;
        uint64_t from, to, cr4, efer, cs;
        bool legal;
    } cases[] = {
        {"PE is set", REAL, PROTECTED, 0, 0, 0, true},
        {"PG without PE", REAL, REAL | CR0_PG, 0, 0, 0, false},
        {"PG is set", PROTECTED, PAGED, 0, 0, 0, true},
        {"NW without CD", PROTECTED, PROTECTED | CR0_NW, 0, 0, 0, false},
        {"NW with CD", PROTECTED, PROTECTED | CR0_NW | CR0_CD, 0, 0, 0, true},
        {"a bit above 31", PROTECTED, PROTECTED | BIT(32), 0, 0, 0, false},
        {"PE is cleared under PG", PAGED, REAL | CR0_PG, 0, 0, 0, false},
        {"PG under LME without PAE", PROTECTED, PAGED, 0, EFER_LME, 0, false},
        {"PG under LME with PAE", PROTECTED, PAGED, CR4_PAE, EFER_LME, 0, true},
        {"PG under LME with CS.L", PROTECTED, PAGED, CR4_PAE, EFER_LME, SEG_ATTR_L, false},
        {"PG is cleared in 64-bit code", PAGED, PROTECTED, CR4_PAE, EFER_LME | EFER_LMA, SEG_ATTR_L,
         false},
        {"PG is cleared in compatibility mode", PAGED, PROTECTED, CR4_PAE, EFER_LME | EFER_LMA, 0,
         true},
        {"PG is cleared under PCIDE", PAGED, PROTECTED, CR4_PAE | CR4_PCIDE, EFER_LME | EFER_LMA, 0,
         false},
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
        bool legal;

        start(32);
        fake.regs[VCPU_CR0] = cases[i].from;
        fake.regs[VCPU_CR4] = cases[i].cr4;
        fake.regs[VCPU_EFER] = cases[i].efer;
        fake.segs[SEG_CS].attributes |= cases[i].cs;
        legal = emul_write_cr0(vcpu, cases[i].to);
        CHECK(legal == cases[i].legal &&
                  fake.regs[VCPU_CR0] == (legal ? cases[i].to : cases[i].from),
              cases[i].what);
    }
}

static void test_long_mode(void)
{
    start(32);
    fake.regs[VCPU_CR4] = CR4_PAE;
    fake.regs[VCPU_EFER] = EFER_LME;
    emul_write_cr0(vcpu, PAGED);
    CHECK(fake.regs[VCPU_EFER] == (EFER_LME | EFER_LMA) && fake.flushes && !fake.pdpte_loads,
          "PG under LME sets LMA and flushes");
    emul_write_cr0(vcpu, PROTECTED);
    CHECK(fake.regs[VCPU_EFER] == EFER_LME, "clearing PG clears LMA");
    fake.segs[SEG_TR].attributes = 0x83;
    CHECK(!emul_write_cr0(vcpu, PAGED), "a 16-bit TSS keeps out of long mode");
    start(32);
    fake.flushes = 0;
    emul_write_cr0(vcpu, PROTECTED | CR0_WP);
    CHECK(fake.flushes, "WP flushes");
    emul_write_cr0(vcpu, BIT(6) | BIT(28) | PROTECTED);
    CHECK(fake.regs[VCPU_CR0] == PROTECTED, "reserved bits of the low half are ignored");
    emul_write_cr0(vcpu, CR0_PE);
    CHECK(fake.regs[VCPU_CR0] == (CR0_PE | CR0_ET), "ET is always set");
}

static void test_pdptes(void)
{
    start(32);
    fake.regs[VCPU_CR4] = CR4_PAE;
    fake.regs[VCPU_CR3] = 0x3020;
    fake_poke64(0x3020, 0x5001);
    fake_poke64(0x3038, 0x6009);
    CHECK(emul_write_cr0(vcpu, PAGED) && fake.pdptes[0] == 0x5001 && fake.pdptes[3] == 0x6009,
          "PAE paging loads the PDPTEs");
    fake_poke64(0x3028, 0x7003);
    CHECK(!emul_write_cr4(vcpu, CR4_PAE | CR4_PGE) && fake.regs[VCPU_CR4] == CR4_PAE,
          "a reserved bit in one is #GP");
    fake_poke64(0x3028, 0x7002);
    CHECK(emul_write_cr4(vcpu, CR4_PAE | CR4_PGE), "but not when it is not present");
    fake_poke64(0x3028, BIT(52) | 1);
    CHECK(!emul_write_cr4(vcpu, CR4_PAE), "nor may an address have too many bits");
    fake.regs[VCPU_CR3] = 0xfffff000;
    CHECK(!emul_write_cr4(vcpu, CR4_PAE), "PDPTEs outside memory are #GP");
}

/* ---- CR4 and EFER --------------------------------------------------------------------------- */

static void test_cr4(void)
{
    uint64_t allowed;
    bool agree = true;

    start(64);
    allowed = emul_cr4_allowed(vcpu);
    for (unsigned int bit = 0; bit < 64; bit++) {
        uint64_t value = CR4_PAE | BIT(bit);

        fake.regs[VCPU_CR4] = CR4_PAE;
        agree &= emul_write_cr4(vcpu, value) == ((allowed & BIT(bit)) != 0);
    }
    CHECK(agree, "CR4's bits are writable as CPUID shows their features");
    CHECK(!(allowed & (CR4_VMXE | CR4_SMXE | CR4_LA57 | CR4_CET | CR4_PKS | CR4_UINTR | CR4_KL)),
          "what is hidden is not");
    fake.regs[VCPU_CR4] = CR4_PAE;
    CHECK(!emul_write_cr4(vcpu, 0), "PAE stays in long mode");
    fake.flushes = 0;
    emul_write_cr4(vcpu, CR4_PAE | CR4_PGE);
    CHECK(fake.flushes == 1, "PGE flushes");
    emul_write_cr4(vcpu, CR4_PAE | CR4_PGE | CR4_OSFXSR);
    CHECK(fake.flushes == 1, "OSFXSR does not");
    if (allowed & CR4_PCIDE) {
        fake.regs[VCPU_CR3] |= 1;
        CHECK(!emul_write_cr4(vcpu, CR4_PAE | CR4_PCIDE), "PCIDE wants PCID 0");
    }
    start(32);
    CHECK(!emul_write_cr4(vcpu, CR4_PCIDE), "and long mode");
}

static void test_efer(void)
{
    start(32);
    CHECK(emul_write_efer(vcpu, EFER_SCE | EFER_LME | EFER_NXE), "SCE, LME and NXE are writable");
    CHECK(fake.flushes, "NXE flushes");
    CHECK(!emul_write_efer(vcpu, EFER_SVME), "SVME is hidden");
    CHECK(!emul_write_efer(vcpu, BIT(1)) && !emul_write_efer(vcpu, BIT(63)) &&
              !emul_write_efer(vcpu, EFER_LMSLE),
          "reserved bits are #GP");
    CHECK(emul_write_efer(vcpu, EFER_LMA) && fake.regs[VCPU_EFER] == 0, "LMA is read-only");
    start(64);
    CHECK(!emul_write_efer(vcpu, EFER_NXE), "LME stays while paging is on");
    CHECK(emul_write_efer(vcpu, EFER_LME) && fake.regs[VCPU_EFER] == (EFER_LME | EFER_LMA),
          "and LMA too");
}

/* ---- XCR0 ----------------------------------------------------------------------------------- */

static bool xsetbv_at(uint64_t cr4, unsigned int cpl, uint64_t rcx, uint64_t value)
{
    start(64);
    fake.fpu_mask = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_MPX;
    fake.regs[VCPU_CR4] |= cr4;
    fake_set_cpl(cpl);
    vcpu->gprs.r[GPR_RCX] = rcx;
    vcpu_set_edx_eax(vcpu, value);
    return emul_xsetbv(vcpu, NULL) == ACTION_ADVANCE && fake.xcr0_written == value &&
           vcpu->fpu.xcr0 == value;
}

static void test_xcr0(void)
{
    static const uint64_t legal[] = {XCR0_X87, XCR0_X87 | XCR0_SSE, 7, XCR0_X87 | XCR0_MPX,
                                     7 | XCR0_AVX512};
    static const uint64_t illegal[] = {0,
                                       XCR0_SSE,
                                       XCR0_X87 | XCR0_AVX,
                                       XCR0_X87 | XCR0_BNDREGS,
                                       7 | XCR0_OPMASK,
                                       3 | XCR0_AVX512,
                                       7 | XCR0_PKRU,
                                       7 | BIT(63)};
    bool right = true;

    for (unsigned int i = 0; i < ARRAY_SIZE(legal); i++)
        right &= xsetbv_at(CR4_OSXSAVE, 0, 0, legal[i]);
    CHECK(right, "every legal set of components is taken");
    for (unsigned int i = 0; i < ARRAY_SIZE(illegal); i++)
        right &= !xsetbv_at(CR4_OSXSAVE, 0, 0, illegal[i]) && vcpu->exception.vector == VEC_GP;
    CHECK(right, "every other is #GP");
    CHECK(!xsetbv_at(CR4_OSXSAVE, 3, 0, 7) && vcpu->exception.vector == VEC_GP, "so is CPL 3");
    CHECK(!xsetbv_at(CR4_OSXSAVE, 0, 1, 7) && vcpu->exception.vector == VEC_GP, "and XCR1");
    CHECK(!xsetbv_at(0, 0, 0, 7) && vcpu->exception.vector == VEC_UD, "without OSXSAVE it is #UD");
    CHECK(xsetbv_at(CR4_OSXSAVE, 0, 0xffffffff00000000ull, 7), "of RCX 32 bits count");
}

/* ---- The instructions ----------------------------------------------------------------------- */

static enum exit_action cr_exit(uint8_t cr, uint8_t access, const void *bytes, unsigned int count)
{
    const struct vm_exit exit = {.kind = EXIT_CR, .cr = {.cr = cr, .access = access}};

    fake_code(0x3000, bytes, count);
    vcpu->insn_len = 0;
    return emul_cr(vcpu, &exit);
}

#define CR_EXIT(cr, access, ...) \
    cr_exit(cr, access, (uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

static void test_instructions(void)
{
    start(64);
    vcpu->gprs.r[GPR_R8 + 1] = fake.regs[VCPU_CR0] | CR0_TS;
    CHECK(CR_EXIT(0, CR_WRITE, 0x41, 0x0f, 0x22, 0xc1) == ACTION_ADVANCE &&
              (fake.regs[VCPU_CR0] & CR0_TS) && vcpu->insn_len == 4,
          "MOV CR0, R9, and its length is known");
    CHECK(CR_EXIT(0, CR_READ, 0x0f, 0x20, 0xc4) == ACTION_ADVANCE &&
              fake.regs[VCPU_RSP] == fake.regs[VCPU_CR0],
          "MOV RSP, CR0");
    CHECK(CR_EXIT(0, CR_WRITE, 0x0f, 0x06) == ACTION_ADVANCE && !(fake.regs[VCPU_CR0] & CR0_TS),
          "CLTS");
    vcpu->gprs.r[GPR_RBX] = 7;
    CHECK(CR_EXIT(8, CR_WRITE, 0x44, 0x0f, 0x22, 0xc3) == ACTION_ADVANCE &&
              vlapic_get_tpr(&vcpu->lapic) == 0x70 && vcpu->check_events,
          "MOV CR8, RBX");
    vcpu->gprs.r[GPR_RBX] = 16;
    CHECK(CR_EXIT(8, CR_WRITE, 0x44, 0x0f, 0x22, 0xc3) == ACTION_RESUME &&
              vcpu->exception.vector == VEC_GP,
          "CR8 has four bits");
    start(64);
    vcpu->gprs.r[GPR_RAX] = 0xfff0 | CR0_TS;
    CHECK(CR_EXIT(0, CR_WRITE, 0x0f, 0x01, 0xf0) == ACTION_ADVANCE &&
              (fake.regs[VCPU_CR0] & (CR0_PE | CR0_TS)) == (CR0_PE | CR0_TS),
          "LMSW AX sets TS and does not clear PE");
    fake.regs[VCPU_RSP] = 0x8000;
    fake_poke64(0x8010, CR0_EM);
    CHECK(CR_EXIT(0, CR_WRITE, 0x0f, 0x01, 0x74, 0x24, 0x10) == ACTION_ADVANCE &&
              (fake.regs[VCPU_CR0] & (CR0_EM | CR0_TS)) == CR0_EM,
          "LMSW [RSP + 16]");
    vcpu->gprs.r[GPR_RAX] = ~0ull;
    CHECK(CR_EXIT(0, CR_READ, 0x66, 0x0f, 0x01, 0xe0) == ACTION_ADVANCE &&
              vcpu->gprs.r[GPR_RAX] == (~0xffffull | (fake.regs[VCPU_CR0] & 0xffff)),
          "SMSW AX");
    CHECK(CR_EXIT(0, CR_READ, 0x0f, 0x01, 0xe0) == ACTION_ADVANCE &&
              vcpu->gprs.r[GPR_RAX] == fake.regs[VCPU_CR0],
          "SMSW EAX");
    fake_poke64(0x8010, ~0ull);
    CHECK(CR_EXIT(0, CR_READ, 0x0f, 0x01, 0x64, 0x24, 0x10) == ACTION_ADVANCE &&
              fake_peek64(0x8010) == (~0xffffull | (fake.regs[VCPU_CR0] & 0xffff)),
          "SMSW [RSP + 16]");
    fake.regs[VCPU_RSP] = GIB(2);
    CHECK(CR_EXIT(0, CR_READ, 0x0f, 0x01, 0x64, 0x24, 0x10) == ACTION_RESUME &&
              vcpu->exception.vector == VEC_PF && fake.regs[VCPU_CR2] == GIB(2) + 16,
          "which faults where nothing is mapped");
}

static void test_changed_code(void)
{
    uint64_t before;

    start(64);
    before = fake.regs[VCPU_CR0];
    vcpu->gprs.r[GPR_RAX] = 0x1234;
    CHECK(CR_EXIT(0, CR_WRITE, 0x90) == ACTION_RESUME && !vcpu->exception.type,
          "code that changed under the exit is executed again");
    CHECK(CR_EXIT(0, CR_READ, 0x0f, 0x20, 0xd0) == ACTION_RESUME && vcpu->gprs.r[GPR_RAX] == 0x1234,
          "also when it names another register");
    CHECK(CR_EXIT(0, CR_WRITE, 0x0f, 0x20, 0xc0) == ACTION_RESUME &&
              fake.regs[VCPU_CR0] == before && vcpu->gprs.r[GPR_RAX] == 0x1234,
          "or the other direction");
}

static void all(void)
{
    test_cr0();
    test_long_mode();
    test_pdptes();
    test_cr4();
    test_efer();
    test_xcr0();
    test_instructions();
    test_changed_code();
}

int main(void)
{
    fake_on_cpu(all);
    return check_done();
}
