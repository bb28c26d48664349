/* SPDX-License-Identifier: MIT */
/*
 * Measures against speculation: what is decided for CPUs of many kinds, and that what has been
 * decided is done: at the change of a guest, and by the code next to an entry and an exit.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/regs.h"
#include "arch/x86/speculation.h"
#include "hv/util.h"

#include <string.h>

extern uint32_t speculation_spec_ctrl;

/* ---- What is decided ------------------------------------------------------------------------ */

#define FEATURES 8

static const struct kind {
    const char *name;
    enum cpu_vendor vendor;
    uint32_t family;
    enum cpu_feature features[FEATURES]; /* ends at the first 0, which is SSE3 */
    uint64_t capabilities;
    uint32_t measures;
    uint64_t spec_ctrl;
} kinds[] = {
    {"an Intel CPU of before 2018: what needs no help of the CPU",
     VENDOR_INTEL,
     6,
     {0},
     0,
     SPECULATION_REGISTERS | SPECULATION_RSB,
     0},
    {"one with the microcode of 2019: IBRS at each exit, IBPB, flushes",
     VENDOR_INTEL,
     6,
     {FEATURE_SPEC_CTRL, FEATURE_STIBP, FEATURE_L1D_FLUSH, FEATURE_MD_CLEAR, FEATURE_RTM,
      FEATURE_HTT},
     0,
     SPECULATION_REGISTERS | SPECULATION_IBRS_EXIT | SPECULATION_IBPB_GUESTS | SPECULATION_RSB |
         SPECULATION_L1D | SPECULATION_VERW,
     SPEC_CTRL_IBRS},
    {"one whose cache does not leak, while its buffers do",
     VENDOR_INTEL,
     6,
     {FEATURE_SPEC_CTRL, FEATURE_L1D_FLUSH, FEATURE_MD_CLEAR, FEATURE_ARCH_CAPABILITIES},
     ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL,
     SPECULATION_REGISTERS | SPECULATION_IBRS | SPECULATION_IBPB_GUESTS | SPECULATION_RSB |
         SPECULATION_VERW,
     SPEC_CTRL_IBRS},
    {"one that says that flushing is left to the hypervisor above it",
     VENDOR_INTEL,
     6,
     {FEATURE_SPEC_CTRL, FEATURE_L1D_FLUSH, FEATURE_ARCH_CAPABILITIES},
     ARCH_CAP_SKIP_L1DFL | ARCH_CAP_MDS_NO,
     SPECULATION_REGISTERS | SPECULATION_IBRS_EXIT | SPECULATION_IBPB_GUESTS | SPECULATION_RSB,
     SPEC_CTRL_IBRS},
    {"MDS_NO without TAA_NO, with TSX",
     VENDOR_INTEL,
     6,
     {FEATURE_MD_CLEAR, FEATURE_RTM},
     ARCH_CAP_RDCL_NO | ARCH_CAP_MDS_NO,
     SPECULATION_REGISTERS | SPECULATION_RSB | SPECULATION_VERW,
     0},
    {"MDS_NO without TAA_NO, without TSX",
     VENDOR_INTEL,
     6,
     {FEATURE_MD_CLEAR},
     ARCH_CAP_RDCL_NO | ARCH_CAP_MDS_NO,
     SPECULATION_REGISTERS | SPECULATION_RSB,
     0},
    {"register files that VERW clears",
     VENDOR_INTEL,
     6,
     {FEATURE_MD_CLEAR},
     ARCH_CAP_RDCL_NO | ARCH_CAP_MDS_NO | ARCH_CAP_RFDS_CLEAR,
     SPECULATION_REGISTERS | SPECULATION_RSB | SPECULATION_VERW,
     0},
    {"a new one: modes that are set once",
     VENDOR_INTEL,
     6,
     {FEATURE_SPEC_CTRL, FEATURE_L1D_FLUSH, FEATURE_MD_CLEAR, FEATURE_BHI_CTRL},
     ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_MDS_NO | ARCH_CAP_TAA_NO | ARCH_CAP_PBRSB_NO,
     SPECULATION_REGISTERS | SPECULATION_IBRS | SPECULATION_BHI_DIS | SPECULATION_IBPB_GUESTS,
     SPEC_CTRL_IBRS | SPEC_CTRL_BHI_DIS},
    {"and one that needs no care of its branch history",
     VENDOR_INTEL,
     6,
     {FEATURE_SPEC_CTRL, FEATURE_BHI_CTRL},
     ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_MDS_NO | ARCH_CAP_PBRSB_NO | ARCH_CAP_BHI_NO,
     SPECULATION_REGISTERS | SPECULATION_IBRS | SPECULATION_IBPB_GUESTS,
     SPEC_CTRL_IBRS},
    {"an AMD CPU without microcode: what needs no help of the CPU",
     VENDOR_AMD,
     0x17,
     {0},
     0,
     SPECULATION_REGISTERS | SPECULATION_RSB,
     0},
    {"Zen 2: IBPB and the RSB at each exit, STIBP",
     VENDOR_AMD,
     0x17,
     {FEATURE_AMD_IBPB, FEATURE_AMD_IBRS, FEATURE_AMD_STIBP, FEATURE_HTT},
     0,
     SPECULATION_REGISTERS | SPECULATION_IBPB_EXIT | SPECULATION_RSB | SPECULATION_STIBP,
     SPEC_CTRL_STIBP},
    {"Zen 3: VERW besides",
     VENDOR_AMD,
     0x19,
     {FEATURE_AMD_IBPB, FEATURE_VERW_CLEAR},
     0,
     SPECULATION_REGISTERS | SPECULATION_IBPB_EXIT | SPECULATION_RSB | SPECULATION_VERW,
     0},
    {"Zen 4: IBPB at each exit for its returns, automatic IBRS empties the RSB",
     VENDOR_AMD,
     0x19,
     {FEATURE_AMD_IBPB, FEATURE_AUTO_IBRS, FEATURE_TSA_SQ_NO, FEATURE_TSA_L1_NO,
      FEATURE_VERW_CLEAR},
     0,
     SPECULATION_REGISTERS | SPECULATION_AUTO_IBRS | SPECULATION_IBPB_EXIT,
     0},
    {"an IBPB that takes the RSB along",
     VENDOR_AMD,
     0x1a,
     {FEATURE_AMD_IBPB, FEATURE_IBPB_RET},
     0,
     SPECULATION_REGISTERS | SPECULATION_IBPB_EXIT,
     0},
    {"one whose returns are safe: automatic IBRS, IBPB between guests",
     VENDOR_AMD,
     0x1a,
     {FEATURE_AMD_IBPB, FEATURE_AUTO_IBRS, FEATURE_SRSO_NO},
     0,
     SPECULATION_REGISTERS | SPECULATION_AUTO_IBRS | SPECULATION_IBPB_GUESTS,
     0},
    {"Intel's bits say nothing about an AMD CPU",
     VENDOR_AMD,
     0x17,
     {FEATURE_SPEC_CTRL, FEATURE_L1D_FLUSH, FEATURE_MD_CLEAR},
     0,
     SPECULATION_REGISTERS | SPECULATION_RSB,
     0},
};

static void pretend(const struct kind *kind)
{
    memset(&host_cpuid, 0, sizeof(host_cpuid));
    host_cpuid.vendor = kind->vendor;
    host_cpuid.family = kind->family;
    for (unsigned int i = 0; i < FEATURES && kind->features[i]; i++)
        host_cpuid.has[kind->features[i]] = true;
}

/* How many rows `info host` shows of the measures that are done. */
static unsigned int rows_done(void)
{
    struct speculation_row row;
    unsigned int count = 0;

    for (unsigned int i = 0; speculation_row(i, &row); i++)
        count += !row.needless && !row.missing;
    return count;
}

static void test_decisions(void)
{
    bool none = true, shown = true;

    for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
        pretend(&kinds[i]);
        speculation_decide(false, kinds[i].capabilities);
        none &= !speculation_measures && !speculation_spec_ctrl;
        speculation_decide(true, kinds[i].capabilities);
        shown &= rows_done() == (unsigned int)__builtin_popcount(speculation_measures);
        CHECK(speculation_measures == kinds[i].measures &&
                  speculation_spec_ctrl == kinds[i].spec_ctrl,
              kinds[i].name);
    }
    CHECK(none, "mitigations = off: nothing, on every one of them");
    CHECK(shown, "info host says of just what is done that it is");
}

static void test_rows(void)
{
    struct speculation_row row = {0};
    unsigned int i = 0;

    pretend(&kinds[3]);
    speculation_decide(true, kinds[3].capabilities);
    while (speculation_row(i, &row) && strcmp(row.name, "l1d flush"))
        i++;
    CHECK(row.needless && !strcmp(row.needless, "SKIP_L1DFL_VMENTRY"),
          "a measure that is not needed has the bit's name as its reason");
    pretend(&kinds[0]);
    speculation_decide(true, 0);
    speculation_row(i, &row);
    CHECK(!row.needless && row.missing && !strcmp(row.missing, "flush_l1d"),
          "one that is not possible the feature's");
    CHECK(!speculation_row(99, &row), "and the table ends");
}

/* ---- At the change of a guest --------------------------------------------------------------- */

static void test_change(void)
{
    struct cpu *cpu = this_cpu();

    fake_start(1);
    speculation_measures = SPECULATION_IBPB_GUESTS | SPECULATION_AUTO_IBRS;
    speculation_spec_ctrl = SPEC_CTRL_IBRS;
    cpu->guest = 0;
    speculation_change_guest(cpu, 1);
    CHECK(fake.hardware_spec_ctrl == SPEC_CTRL_IBRS && (fake.hardware_efer & EFER_AIBRSE) &&
              fake.ibpbs == 0,
          "before its first guest a CPU's modes are set");
    speculation_change_guest(cpu, 2);
    CHECK(fake.ibpbs == 1 && cpu->guest == 2, "IBPB when another guest comes");
    speculation_measures = SPECULATION_REGISTERS;
    speculation_change_guest(cpu, 1);
    CHECK(fake.ibpbs == 1, "and none where it is not one of the measures");
}

static void test_load(void)
{
    static struct vm other;

    fake_start(2);
    speculation_measures = SPECULATION_IBPB_GUESTS;
    this_cpu()->guest = fake_vm.number = 7;
    other.number = 8;
    vcpu_load(&fake_vcpus[0]);
    vcpu_load(&fake_vcpus[1]);
    CHECK(fake.ibpbs == 0, "one vCPU after the other of one guest: no IBPB");
    fake_vcpus[0].vm = &other;
    vcpu_load(&fake_vcpus[0]);
    vcpu_load(&fake_vcpus[1]);
    CHECK(fake.ibpbs == 2, "from guest to guest and back: two");
    vcpu_unload(&fake_vcpus[1]);
}

/* ---- Next to an entry and an exit ----------------------------------------------------------- */

/* Calls the function with marks in all registers, on a stack that ends at top; puts what they are
 * then into regs, in the order of their encoding, with RFLAGS in the place of RSP. */
void call_marked(void (*function)(void), uint64_t regs[16], uint64_t *top);
void speculation_before_entry(void);
void speculation_after_exit(void);

#define MARK         0x1234567800000000ull
#define FRAME        5 /* words of call_marked()'s own on that stack */
#define STACK_WORDS  8192
#define RETURN_STACK 32

static uint64_t stack[STACK_WORDS];

__asm__(".text\n"
        ".globl call_marked\n"
        "call_marked:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, -24(%rdx); mov %rsi, -32(%rdx); mov %rdi, -40(%rdx)\n"
        "    lea -40(%rdx), %rsp\n"
        "    movabs $0x1234567800000000, %rax\n"
        "    .irp reg, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15\n"
        "    mov %rax, %\\reg\n"
        "    .endr\n"
        "    stc\n"
        "    call *(%rsp)\n"
        "    mov %rdi, 24(%rsp); mov %rax, 32(%rsp)\n"
        "    mov 8(%rsp), %rdi\n"
        "    pushf; pop 32(%rdi)\n"
        "    mov 32(%rsp), %rax; mov %rax, (%rdi)\n"
        "    mov 24(%rsp), %rax; mov %rax, 56(%rdi)\n"
        "    mov %rcx, 8(%rdi); mov %rdx, 16(%rdi); mov %rbx, 24(%rdi); mov %rbp, 40(%rdi)\n"
        "    mov %rsi, 48(%rdi); mov %r8, 64(%rdi); mov %r9, 72(%rdi); mov %r10, 80(%rdi)\n"
        "    mov %r11, 88(%rdi); mov %r12, 96(%rdi); mov %r13, 104(%rdi)\n"
        "    mov %r14, 112(%rdi); mov %r15, 120(%rdi)\n"
        "    mov 16(%rsp), %rsp\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n");

static void after_exit(uint32_t measures, uint64_t regs[16])
{
    fake_start(1);
    speculation_measures = measures;
    speculation_spec_ctrl = SPEC_CTRL_IBRS | SPEC_CTRL_STIBP;
    memset(stack, 0, sizeof(stack));
    call_marked(speculation_after_exit, regs, stack + STACK_WORDS);
}

static void test_after_exit(void)
{
    uint64_t regs[16];
    uint64_t rest = 0;

    after_exit(SPECULATION_REGISTERS, regs);
    for (unsigned int i = GPR_RCX; i < GPR_COUNT; i++)
        rest |= i == GPR_RSP ? 0 : regs[i];
    CHECK(regs[GPR_RAX] == MARK && rest == 0, "all registers are cleared, but RAX is kept");
    CHECK(fake.ibpbs == 0 && fake.hardware_spec_ctrl == 0, "and that is all");
    after_exit(SPECULATION_IBPB_EXIT, regs);
    CHECK(fake.ibpbs == 1 && fake.hardware_spec_ctrl == 0 && regs[GPR_RAX] == MARK, "IBPB");
    after_exit(SPECULATION_IBRS_EXIT, regs);
    CHECK(fake.hardware_spec_ctrl == (SPEC_CTRL_IBRS | SPEC_CTRL_STIBP) && fake.ibpbs == 0,
          "SPEC_CTRL is written");
}

/* CALLs that had no RET leave their return addresses below the function's own. */
static unsigned int calls_left(void)
{
    const uint64_t *own = stack + STACK_WORDS - FRAME - 1;
    unsigned int count = 0;

    while (own[-1 - (int)count] - (uint64_t)speculation_after_exit < 256)
        count++;
    return count;
}

static void test_rsb(void)
{
    uint64_t regs[16];

    after_exit(SPECULATION_REGISTERS, regs);
    CHECK(calls_left() == 0, "no calls where the RSB is not filled");
    after_exit(SPECULATION_RSB, regs);
    CHECK(calls_left() == RETURN_STACK, "where it is: one for each of its entries");
    CHECK(regs[GPR_RAX] == MARK && regs[GPR_RCX] == 0 && regs[GPR_RBX] == 0,
          "and nothing is left behind in registers");
}

static void test_before_entry(void)
{
    uint64_t regs[16];

    fake_start(1);
    speculation_measures = SPECULATION_REGISTERS;
    call_marked(speculation_before_entry, regs, stack + STACK_WORDS);
    CHECK(fake.l1d_flushes == 0, "no flush of the L1 cache before an entry that needs none");
    speculation_measures = SPECULATION_L1D | SPECULATION_VERW;
    call_marked(speculation_before_entry, regs, stack + STACK_WORDS);
    CHECK(fake.l1d_flushes == 1, "and one that does");
    CHECK(regs[GPR_RDI] == MARK && regs[GPR_RSI] == MARK && (regs[GPR_RSP] & RFLAGS_CF),
          "RDI, RSI and the flags are kept");
}

static void on_cpu(void)
{
    test_change();
    test_load();
    test_after_exit();
    test_rsb();
    test_before_entry();
}

int main(void)
{
    test_decisions();
    test_rows();
    fake_on_cpu(on_cpu);
    return check_done();
}
