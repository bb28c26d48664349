/* SPDX-License-Identifier: MIT */
/*
 * AMD-V's pure part on a VMCB in memory: registers and segments, what is hidden in CR0 and EFER,
 * clean bits, events in and out, windows, the step over IRET, and the decoding of exits.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/svm/code.h"
#include "arch/svm/svm.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/regs.h"

#include <string.h>

static struct svm_vcpu svm;
static struct vmcb vmcb;
static struct vcpu *const vcpu = &svm.vcpu;

static void start(void)
{
    const struct svm_vm part = {.iopm = HPA(0x1000), .msrpm = HPA(0x4000)};
    const struct slat slat = {.root = 0x6000};

    fake_start(1);
    memset(&svm, 0, sizeof(svm));
    svm.vmcb = &vmcb;
    svm.vcpu.vm = &fake_vm;
    svm_vmcb_reset(&svm, &part, &slat);
    host_cpuid.has[FEATURE_SVM_NRIPS] = false;
    vmcb.rflags = RFLAGS_RESERVED1;
    vmcb.clean = VMCB_CLEAN_ALL;
}

static void test_registers(void)
{
    bool kept = true;

    start();
    for (enum vcpu_reg reg = 0; reg < VCPU_REG_COUNT; reg++) {
        if (reg == VCPU_CR0 || reg == VCPU_BLOCKING || reg == VCPU_EFER)
            continue;
        svm_set_reg(vcpu, reg, 0x1230 + reg);
        kept &= svm_get_reg(vcpu, reg) == 0x1230u + reg;
    }
    CHECK(kept, "registers read back as they were written");
    CHECK(fake.hardware_cr2 == 0x1230 + VCPU_CR2, "and CR2 is in the CPU's register as well");
    CHECK(!(vmcb.clean & (VMCB_CLEAN_CRX | VMCB_CLEAN_DRX | VMCB_CLEAN_CR2 | VMCB_CLEAN_NP)),
          "and their clean bits are off");
    svm_set_reg(vcpu, VCPU_CR0, CR0_PE | CR0_CD | CR0_NW);
    CHECK(svm_get_reg(vcpu, VCPU_CR0) == (CR0_PE | CR0_CD | CR0_NW) &&
              vmcb.cr0_ == (CR0_PE | CR0_NE) && (vmcb.intercept_cr_ & SVM_CR_READ(0)),
          "CD and NW never reach the hardware, and reads of CR0 are intercepted for it");
    svm_set_reg(vcpu, VCPU_CR0, CR0_PE | CR0_NE);
    CHECK(!(vmcb.intercept_cr_ & SVM_CR_READ(0)), "but not when nothing is hidden");
    svm_set_reg(vcpu, VCPU_EFER, EFER_LME);
    CHECK(svm_get_reg(vcpu, VCPU_EFER) == EFER_LME && vmcb.efer_ == EFER_SVME,
          "EFER.SVME is set and hidden; LME is kept from the hardware while paging is off");
    svm_set_reg(vcpu, VCPU_CR0, CR0_PE | CR0_PG | CR0_NE);
    CHECK(svm_get_reg(vcpu, VCPU_EFER) == EFER_LME && vmcb.efer_ == (EFER_LME | EFER_SVME),
          "and no longer");
}

static void test_segments(void)
{
    const struct segment code = {0x12345678, 0xfffff, 0xa09b, 0x33};
    struct segment out;

    start();
    svm_set_seg(vcpu, SEG_CS, &code);
    svm_get_seg(vcpu, SEG_CS, &out);
    CHECK(!memcmp(&out, &code, sizeof(out)) && vmcb.cs_.attributes == 0xa9b,
          "attributes cross between the two formats");
    CHECK(!(vmcb.clean & VMCB_CLEAN_SEG), "and the clean bit is off");
    svm_set_seg(vcpu, SEG_SS, &(struct segment){0, 0xffffffff, 0xc0f3, 0x2b});
    CHECK(vmcb.cpl_ == 3, "SS sets the CPL of the VMCB");
    vmcb.ss_.attributes = 0xc93; /* as SYSRET leaves it */
    svm_get_seg(vcpu, SEG_SS, &out);
    CHECK(SEG_ATTR_DPL(out.attributes) == 3, "SS.DPL reads as the CPL, whatever SYSRET left");
    svm_set_seg(vcpu, SEG_LDTR, &(struct segment){0, 0, SEG_ATTR_UNUSABLE, 0});
    svm_get_seg(vcpu, SEG_LDTR, &out);
    CHECK(out.attributes & SEG_ATTR_UNUSABLE, "an unusable segment stays one");
}

static uint64_t injected(uint8_t type, uint8_t vector, bool has_error)
{
    const struct vm_event event = {
        .type = type, .vector = vector, .has_error = has_error, .error = 0x55};

    vmcb.event_inj = 0;
    svm_inject(vcpu, &event);
    return vmcb.event_inj;
}

static void test_events(void)
{
    struct vm_event event;

    start();
    vmcb.cr0_ |= CR0_PE;
    CHECK(injected(EVENT_INTR, 0x31, false) == 0x80000031, "an interrupt has type 0");
    CHECK(injected(EVENT_EXCEPTION, VEC_GP, true) == 0x5580000b0d,
          "an exception type 3, its error");
    vmcb.cr0_ &= ~CR0_PE;
    CHECK(injected(EVENT_EXCEPTION, VEC_GP, true) == 0x8000030d, "in real mode there is no error");
    svm_decode_event(0x5580000b0d, &event);
    CHECK(event.type == EVENT_EXCEPTION && event.vector == VEC_GP && event.error == 0x55,
          "an interrupted delivery is read back");
    svm_decode_event(0x80000331, &event);
    CHECK(event.type == EVENT_INTR && event.vector == 0x31,
          "type 3 with a high vector is an interrupt");
    svm_decode_event(0x80000303, &event);
    CHECK(event.type == EVENT_NONE, "INT3 is executed again");
    svm_decode_event(0x00000331, &event);
    CHECK(event.type == EVENT_NONE, "what is not valid is nothing");
}

static bool window_is_open(void)
{
    return (vmcb.intercept3_ & SVM_VINTR) && (vmcb.v_intr_ & VMCB_V_IRQ);
}

static void request(bool nmi, bool intr)
{
    svm_request_window(vcpu, WINDOW_NMI, nmi);
    svm_request_window(vcpu, WINDOW_INTR, intr);
}

/* As on QEMU. */
static void test_virtual_interrupts(void)
{
    struct vm_exit exit = {0};

    start();
    svm_inject_init(true);
    vmcb.rflags |= RFLAGS_IF;
    svm_request_window(vcpu, WINDOW_INTR, true);
    injected(EVENT_INTR, 0x31, false);
    CHECK((vmcb.v_intr_ & VMCB_V_IRQ) && vmcb.v_intr_ >> 32 == 0x31 && !vmcb.event_inj &&
              !window_is_open(),
          "an interrupt is injected as a virtual one, without its intercept");
    svm_request_window(vcpu, WINDOW_INTR, true);
    CHECK(!window_is_open() && !svm_can_inject(vcpu, WINDOW_INTR) &&
              !svm_can_inject(vcpu, WINDOW_NMI),
          "while it is pending there is no window, and nothing else is injected");
    vmcb.exit_code = SVM_EXIT_INTR;
    svm_decode_exit(&svm, &exit);
    CHECK(exit.vectoring.type == EVENT_INTR && exit.vectoring.vector == 0x31 &&
              !(vmcb.v_intr_ & VMCB_V_IRQ),
          "what has not come before an exit is taken back");
    injected(EVENT_INTR, 0x31, false);
    vmcb.v_intr_ &= ~(uint64_t)VMCB_V_IRQ; /* the CPU has taken it */
    svm_decode_exit(&svm, &exit);
    CHECK(exit.vectoring.type == EVENT_NONE && svm_can_inject(vcpu, WINDOW_INTR),
          "and what has come is not");
    injected(EVENT_INTR, 0x31, false);
    vmcb.exit_code = SVM_EXIT_CPUID;
    svm_decode_exit(&svm, &exit);
    CHECK(exit.vectoring.type == EVENT_NONE && svm_can_inject(vcpu, WINDOW_INTR),
          "nor is one whose delivery has faulted");
    svm_request_window(vcpu, WINDOW_INTR, true);
    svm_decode_exit(&svm, &exit);
    CHECK(window_is_open() && exit.vectoring.type == EVENT_NONE, "a window is no interrupt");
    svm_inject_init(false);
}

static void test_windows(void)
{
    start();
    request(false, true);
    CHECK(window_is_open(), "an interrupt that waits opens its window");
    request(false, false);
    CHECK(!window_is_open(), "and closes it");
    vmcb.int_state = VMCB_INT_SHADOW;
    request(true, false);
    CHECK(window_is_open(), "an NMI in a shadow opens it too, with no interrupt pending");
    vmcb.int_state = 0;
    injected(EVENT_NMI, VEC_NMI, false);
    CHECK(vmcb.event_inj == 0x80000202 && (vmcb.intercept3_ & SVM_IRET), "an NMI watches for IRET");
    vmcb.event_inj = 0;
    request(true, false);
    CHECK(!svm_can_inject(vcpu, WINDOW_NMI) && !window_is_open(),
          "which is the window of the next");
}

static struct vm_exit exit_with(uint64_t code, uint64_t info1, uint64_t info2)
{
    struct vm_exit exit = {0};

    vmcb.exit_code = code;
    vmcb.exit_info1 = info1;
    vmcb.exit_info2 = info2;
    svm_decode_exit(&svm, &exit);
    return exit;
}

static void test_iret(void)
{
    start();
    injected(EVENT_NMI, VEC_NMI, false);
    CHECK(exit_with(SVM_EXIT_IRET, 0, 0).kind == EXIT_NMI_WINDOW && (vmcb.rflags & RFLAGS_TF) &&
              !(vmcb.intercept3_ & SVM_IRET) && svm.nmi_blocked,
          "IRET is stepped over");
    vmcb.dr6_ = DR6_INIT | DR6_BS;
    CHECK(exit_with(SVM_EXIT_EXCP(VEC_DB), 0, 0).kind == EXIT_NMI_WINDOW && !svm.nmi_blocked &&
              vmcb.dr6_ == DR6_INIT,
          "and the trap behind it unblocks NMIs, unseen by the guest");
    CHECK(exit_with(SVM_EXIT_EXCP(VEC_DB), 0, 0).kind == EXIT_EXCEPTION, "the next is its own");
}

static void test_exits(void)
{
    struct vm_exit exit;

    start();
    vmcb.rip = 0xffffffff;
    exit =
        exit_with(SVM_EXIT_IOIO, 0x03f80000 | SVM_IO_IN | SVM_IO_SZ16 | SVM_IO_REP | SVM_IO_STR, 1);
    CHECK(exit.kind == EXIT_IO && exit.io.port == 0x3f8 && exit.io.size == 2 && exit.io.in &&
              exit.io.string && exit.insn_len == 2,
          "port I/O, its length across the end of 32 bits too");
    exit = exit_with(SVM_EXIT_NPF, SVM_NPF_WRITE | SVM_NPF_USER, 0xfee000b0);
    CHECK(exit.kind == EXIT_MEM && exit.mem.gpa.value == 0xfee000b0 && exit.mem.write &&
              !exit.mem.fetch && !exit.insn_len,
          "a nested page fault");
    CHECK(exit_with(SVM_EXIT_CR_WRITE(8), 0, 0).cr.cr == 8, "MOV CR8");
    CHECK(exit_with(SVM_EXIT_MSR, 1, 0).kind == EXIT_WRMSR, "WRMSR");
    CHECK(exit_with(0xffffffff, 0, 0).kind == EXIT_ENTRY_FAILED,
          "an invalid state, as QEMU has it");
    CHECK(exit_with(~0ull, 0, 0).kind == EXIT_ENTRY_FAILED, "and as the manual has it");
    CHECK(exit_with(SVM_EXIT_EXCP(VEC_MC), 0, 0).kind == EXIT_HOST_EVENT, "#MC is the host's");
    CHECK(exit_with(SVM_EXIT_VMRUN, 0, 0).kind == EXIT_HIDDEN, "VMRUN does not exist for a guest");
    CHECK(exit_with(0x3ff, 0, 0).kind == EXIT_UNKNOWN, "what is not known says so");
    host_cpuid.has[FEATURE_SVM_NRIPS] = true;
    vmcb.next_rip = vmcb.rip + 2;
    CHECK(exit_with(SVM_EXIT_CPUID, 0, 0).insn_len == 2, "the next RIP gives the length");
    vmcb.next_rip = 0;
    vmcb.rip = 0x1000;
    CHECK(exit_with(SVM_EXIT_CPUID, 0, 0).insn_len == 0, "when it is one");
}

/* ---- Where instructions end ----------------------------------------------------------------- */

static void place(uint64_t gpa, const char *bytes, unsigned int count)
{
    fake_start(1);
    svm.vcpu.vm = &fake_vm;
    vmcb.cr3_ = fake.regs[VCPU_CR3];
    vmcb.efer_ = EFER_LME | EFER_LMA;
    vmcb.cs_.attributes = VMCB_SEG_L;
    fake_code(gpa, bytes, count);
    vmcb.rip = gpa;
}

static bool plain(uint64_t code, uint64_t info, const char *bytes, unsigned int length)
{
    place(0x3000, bytes, 4);
    vmcb.exit_code = code;
    vmcb.exit_info1 = info;
    return svm_plain_end(vcpu, &vmcb) == (length ? 0x3000 + length : 0);
}

static void test_plain_ends(void)
{
    start();
    CHECK(plain(SVM_EXIT_CPUID, 0, "\x0f\xa2\x90\x90", 2) &&
              plain(SVM_EXIT_MSR, 0, "\x0f\x32\x90\x90", 2) &&
              plain(SVM_EXIT_MSR, 1, "\x0f\x30\x90\x90", 2) &&
              plain(SVM_EXIT_VMMCALL, 0, "\x0f\x01\xd9\x90", 3) &&
              plain(SVM_EXIT_WBINVD, 0, "\x0f\x09\x90\x90", 2) &&
              plain(SVM_EXIT_INVD, 0, "\x0f\x08\x90\x90", 2),
          "plain instructions end where they do");
    CHECK(plain(SVM_EXIT_CPUID, 0, "\x66\x0f\xa2\x90", 0) &&
              plain(SVM_EXIT_MSR, 0, "\x0f\x30\x90\x90", 0) &&
              plain(SVM_EXIT_MSR, 1, "\x0f\x32\x90\x90", 0) &&
              plain(SVM_EXIT_VMMCALL, 0, "\x0f\x01\xc1\x90", 0),
          "prefixes and other instructions are left alone");
    place(0x3000, "\x0f\xa2\x90\x90", 4);
    vmcb.exit_code = SVM_EXIT_CPUID;
    vmcb.cs_.attributes = VMCB_SEG_DB;
    CHECK(!svm_plain_end(vcpu, &vmcb), "and code of 32 bits");
    vmcb.cs_.attributes = VMCB_SEG_L;
    vmcb.efer_ = EFER_LME;
    CHECK(!svm_plain_end(vcpu, &vmcb), "also where CS.L means nothing");
    place(0x3ffe, "\x0f\xa2", 2);
    CHECK(!svm_plain_end(vcpu, &vmcb), "and what ends with its page");
}

static uint64_t same_cr4_length(const char *bytes)
{
    place(0x3000, bytes, 4);
    return svm_same_cr4_end(vcpu, &vmcb) ? svm_same_cr4_end(vcpu, &vmcb) - 0x3000 : 0;
}

static void test_same_cr4(void)
{
    bool others = false;

    start();
    svm_set_reg(vcpu, VCPU_CR4, CR4_PAE | CR4_PGE);
    for (unsigned int i = 0; i < GPR_COUNT; i++)
        vcpu->gprs.r[i] = CR4_PAE;
    vcpu->gprs.r[GPR_RBX] = vcpu->gprs.r[GPR_R8 + 3] = CR4_PAE | CR4_PGE;
    CHECK(same_cr4_length("\x0f\x22\xe3\x90") == 3, "MOV of the same to CR4");
    CHECK(same_cr4_length("\x41\x0f\x22\xe3") == 4, "and from R11");
    for (unsigned int gpr = 0; gpr < 8; gpr++) {
        const char low[] = {0x0f, 0x22, (char)(0xe0 | gpr), 0}, high[] = {0x41, 0x0f, 0x22, low[2]};

        others |= gpr != GPR_RBX && (same_cr4_length(low) || same_cr4_length(high));
    }
    CHECK(!others, "another register's value is another");
    vcpu->gprs.r[GPR_RSP] = CR4_PAE | CR4_PGE;
    CHECK(!same_cr4_length("\x0f\x22\xe4\x90"), "RSP is not among the registers");
    CHECK(!same_cr4_length("\x0f\x22\xc3\x90") && !same_cr4_length("\x0f\x22\xdb\x90") &&
              !same_cr4_length("\x0f\x20\xe3\x90") && !same_cr4_length("\x44\x0f\x22\xe3") &&
              !same_cr4_length("\x66\x0f\x22\xe3") && !same_cr4_length("\x48\x0f\x22\xe3"),
          "and MOV to CR0, CR3, CR12, from CR4 or with a prefix are left alone");
}

static void test_all(void)
{
    test_plain_ends();
    test_same_cr4();
    test_registers();
    test_segments();
    test_events();
    test_windows();
    test_virtual_interrupts();
    test_iret();
    test_exits();
}

int main(void)
{
    fake_on_cpu(test_all);
    return check_done();
}
