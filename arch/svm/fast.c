/* SPDX-License-Identifier: MIT */
/*
 * The short path of AMD-V: instructions that exit often and whose handler wants to know little.  It
 * does what decode.c, svm.c and the run loop do for every exit, as far as these few need it, and
 * enters the guest again.  Whatever is unusual is left to them before anything has been done.
 *
 * It runs at GIF = 0, on the guest's FS, GS, TR and system-call MSRs, which the VMCB does not have.
 */
#include "arch/svm/svm.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/regs.h"
#include "hv/emul.h"
#include "hv/guest_mem.h"

/* What comes here, by exit code, and the instruction's bytes where it has no prefixes. */
#define FIRST SVM_EXIT_CPUID
#define ROW(code, kind, length, bytes) \
    [SVM_EXIT_##code - FIRST] = {EXIT_##kind, length, (1u << 8 * (length)) - 1, bytes}

static const struct row {
    uint8_t kind; /* EXIT_HOST_EVENT, which is 0: does not come here */
    uint8_t length;
    uint32_t mask, bytes;
} rows[] = {
    ROW(CPUID, CPUID, 2, 0xa20f),
    ROW(INVD, CACHE, 2, 0x080f),
    ROW(IOIO, IO, 0, 0),
    ROW(MSR, RDMSR, 2, 0x320f),
    ROW(VMMCALL, HYPERCALL, 3, 0xd9010f),
    ROW(WBINVD, CACHE, 2, 0x090f),
};
#define WRMSR_BYTES 0x300fu

/*
 * Where the CPU does not say how long the instruction was: its bytes are those that are expected,
 * without prefixes, in 64-bit code.  Else 0.
 */
static uint64_t look_at_code(const struct vcpu *vcpu, const struct vmcb *vmcb,
                             const struct row *row)
{
    uint32_t bytes = row->kind == EXIT_RDMSR && vmcb->exit_info1 ? WRMSR_BYTES : row->bytes;
    const volatile uint32_t *code;

    if (!(vmcb->cs_.attributes & VMCB_SEG_L) || !(vmcb->efer_ & EFER_LMA))
        return 0;
    code = guest_mem_used(vcpu->vm, vmcb->cr3_, vmcb->rip, sizeof(*code));
    return code && (*code & row->mask) == bytes ? vmcb->rip + row->length : 0;
}

/* What is behind the instruction; 0: that is not so simple. */
static inline uint64_t next_rip(const struct vcpu *vcpu, const struct vmcb *vmcb,
                                const struct row *row)
{
    if (row->kind == EXIT_IO)
        return vmcb->exit_info2;
    return cpu_has(FEATURE_SVM_NRIPS) ? vmcb->next_rip : look_at_code(vcpu, vmcb, row);
}

/* Is there more to do there than to go on?  A shadow ends, a step is made, EIP wraps. */
static inline bool is_special(const struct vmcb *vmcb, uint64_t next)
{
    return (vmcb->int_state & VMCB_INT_SHADOW) || (vmcb->rflags & RFLAGS_TF) ||
           (vmcb->rip ^ next) >> 32;
}

/*
 * A physical interrupt that is pending ends the guest at once; but not on Bochs 2.7 while the guest
 * has IF = 0.  So when the timer is due, and now and then for the others, the long path is taken,
 * which lets it in.
 */
#define LONGEST_ROW 32

static inline enum fast_result go_on(struct vcpu *vcpu)
{
    struct svm_vcpu *svm = to_svm(vcpu);
    const struct cpu *cpu = this_cpu();
    const struct svm_cpu *part = cpu->backend;

    if (++svm->short_exits % LONGEST_ROW == 0 || rdtsc() >= cpu->timer_deadline ||
        !may_enter_again(vcpu, cpu) || svm->asid_generation != part->asid_generation)
        return FAST_DONE;
    return FAST_AGAIN;
}

/* A simple access to device memory.  For these exits no CPU gives a length. */
static NOINLINE enum fast_result device_memory(struct vcpu *vcpu, struct vmcb *vmcb)
{
    struct exit_mem mem = svm_decode_npf(vmcb);

    if ((vmcb->exit_int_info & VMCB_EVENT_VALID) || is_special(vmcb, vmcb->rip + INSN_MAX_LENGTH))
        return FAST_NOT;
    vcpu->rip = vmcb->rip;
    vcpu->gprs.r[GPR_RAX] = vmcb->rax;
    if (!emul_mov(vcpu, &mem))
        return FAST_NOT;
    note_exit(vcpu, this_cpu(), EXIT_MEM, vmcb->exit_code, vmcb->exit_info1);
    vmcb->rip += vcpu->insn_len;
    vmcb->rax = vcpu->gprs.r[GPR_RAX];
    return go_on(vcpu);
}

static NOINLINE enum fast_result instruction(struct vcpu *vcpu, struct vm_exit *exit,
                                             const struct row *row)
{
    struct vmcb *vmcb = to_svm(vcpu)->vmcb;
    uint64_t next = next_rip(vcpu, vmcb, row);

    if (!next || is_special(vmcb, next))
        return FAST_NOT;
    exit->kind = row->kind;
    if (row->kind == EXIT_IO) {
        exit->io = svm_decode_io(vmcb->exit_info1);
        if (exit->io.string)
            return FAST_NOT;
    } else if (row->kind == EXIT_RDMSR && vmcb->exit_info1) {
        exit->kind = EXIT_WRMSR;
    }
    vcpu->rip = vmcb->rip;
    vcpu->gprs.r[GPR_RAX] = vmcb->rax;
    vmcb->rip = next;
    note_exit(vcpu, this_cpu(), exit->kind, vmcb->exit_code, vmcb->exit_info1);
    if (exit_handlers[exit->kind](vcpu, exit) != ACTION_ADVANCE)
        vmcb->rip = vcpu->rip;
    vmcb->rax = vcpu->gprs.r[GPR_RAX];
    return go_on(vcpu);
}

/* After every exit; called by enter.asm. */
enum fast_result svm_fast_exit(struct vcpu *vcpu, struct vm_exit *exit)
{
    struct vmcb *vmcb = to_svm(vcpu)->vmcb;
    uint64_t index = vmcb->exit_code - FIRST;

    vmcb->event_inj = 0;
    vmcb->tlb_control = VMCB_TLB_NONE;
    vmcb->clean = VMCB_CLEAN_ALL;
    if (!vcpu->fast)
        return FAST_NOT;
    if (index < ARRAY_SIZE(rows) && rows[index].kind)
        return instruction(vcpu, exit, &rows[index]);
    return vmcb->exit_code == SVM_EXIT_NPF ? device_memory(vcpu, vmcb) : FAST_NOT;
}
