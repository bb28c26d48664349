/* SPDX-License-Identifier: MIT */
/*
 * The short path of AMD-V: instructions that exit often and whose handler wants to know little.  It
 * does what decode.c, svm.c and the run loop do for every exit, as far as these few need it, and
 * enters the guest again.  Whatever is unusual is left to them before anything has been done.
 *
 * It runs at GIF = 0, on the guest's FS, GS, TR and system-call MSRs, which the VMCB does not have.
 */
#include "arch/svm/svm.h"

#include "arch/svm/code.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/regs.h"
#include "hv/emul.h"

/*
 * Is there more to do there than to go on?  A shadow ends, a step is made, EIP wraps; or it is 0,
 * and not known.
 */
static inline bool is_special(const struct vmcb *vmcb, uint64_t next)
{
    return (vmcb->int_state & VMCB_INT_SHADOW) || (vmcb->rflags & RFLAGS_TF) ||
           (uint32_t)next < INSN_MAX_LENGTH;
}

/*
 * Is it time for the long path?  A physical interrupt that is pending ends the guest at once; but
 * not on Bochs 2.7 while the guest has IF = 0.  So when the timer was to be due at the last entry
 * from there, and now and then for all others, the long path is taken, which lets it in. (Without
 * short paths it is always time: look_at is 0.)
 */
static inline bool is_time_to_look(const struct vcpu *vcpu, const struct vmcb *vmcb, uint64_t now)
{
    uint64_t look_at = to_svm(vcpu)->look_at;

    return unlikely(now >= look_at) && (!(vmcb->rflags & RFLAGS_IF) || !look_at);
}

static inline enum fast_result go_on(struct vcpu *vcpu)
{
    to_svm(vcpu)->vmcb->rax = vcpu->gprs.r[GPR_RAX];
    return may_enter_again(vcpu) ? FAST_AGAIN : FAST_DONE;
}

/* A simple access to device memory by 64-bit code.  For these exits no CPU gives a length. */
static NOINLINE enum fast_result device_memory(struct vcpu *vcpu, struct vmcb *vmcb)
{
    struct exit_mem mem = svm_decode_npf(vmcb);
    uint64_t now = rdtsc();

    if (!svm_is_code64(vmcb) || (vmcb->exit_int_info & VMCB_EVENT_VALID) ||
        is_special(vmcb, vmcb->rip + INSN_MAX_LENGTH) || is_time_to_look(vcpu, vmcb, now))
        return FAST_NOT;
    vcpu->rip = vmcb->rip;
    vcpu->gprs.r[GPR_RAX] = vmcb->rax;
    if (!emul_mov(vcpu, vmcb->cr3_, &mem))
        return FAST_NOT;
    note_exit(vcpu, EXIT_MEM, now, vmcb->rip, vmcb->exit_code, vmcb->exit_info1);
    vmcb->rip += vcpu->insn_len;
    return go_on(vcpu);
}

/* A MOV to CR4 of what is there already. */
static NOINLINE enum fast_result same_cr4(struct vcpu *vcpu, struct vmcb *vmcb)
{
    uint64_t now = rdtsc();
    uint64_t next;

    vcpu->gprs.r[GPR_RAX] = vmcb->rax;
    next = svm_same_cr4_end(vcpu, vmcb);
    if (is_special(vmcb, next) || is_time_to_look(vcpu, vmcb, now))
        return FAST_NOT;
    note_exit(vcpu, EXIT_CR, now, vmcb->rip, vmcb->exit_code, vmcb->exit_info1);
    vmcb->rip = next;
    return go_on(vcpu);
}

/* ---- Instructions --------------------------------------------------------------------------- */

static enum exit_action call(struct vcpu *vcpu, const struct vm_exit *exit)
{
    const struct vmcb *vmcb = to_svm(vcpu)->vmcb;

    return likely(svm_is_code64(vmcb) && vmcb->cpl_ == 0) ? emul_kernel_call(vcpu, exit)
                                                          : emul_hypercall(vcpu, exit);
}

static exit_handler *const handlers[] = {
    [EXIT_CPUID] = emul_cpuid, [EXIT_HYPERCALL] = call, [EXIT_RDMSR] = emul_rdmsr,
    [EXIT_WRMSR] = emul_wrmsr, [EXIT_IO] = emul_io,     [EXIT_CACHE] = emul_cache,
};

/* next is what is behind the instruction, or 0. */
static ALWAYS_INLINE enum fast_result handle(struct vcpu *vcpu, struct vmcb *vmcb, uint64_t now,
                                             uint64_t kind, uint64_t next)
{
    uint64_t rip = vmcb->rip;

    if (is_special(vmcb, next) || is_time_to_look(vcpu, vmcb, now))
        return FAST_NOT;
    vcpu->rip = rip;
    vcpu->gprs.r[GPR_RAX] = vmcb->rax;
    vmcb->rip = next;
    note_exit(vcpu, kind, now, rip, vmcb->exit_code, vmcb->exit_info1);
    if (unlikely(handlers[kind](vcpu, &vcpu->exit) != ACTION_ADVANCE)) {
        to_svm(vcpu)->vmcb->rip = vcpu->rip;
        return deliver_fault(vcpu, go_on(vcpu));
    }
    return go_on(vcpu);
}

/* On a CPU that says only for IN and OUT how long the instruction was. */
static NOINLINE enum fast_result unknown_length(struct vcpu *vcpu, struct vmcb *vmcb, uint64_t kind)
{
    return handle(vcpu, vmcb, rdtsc(), kind, svm_plain_end(vcpu, vmcb));
}

static enum fast_result instruction(struct vcpu *vcpu, struct vmcb *vmcb, uint64_t kind)
{
    return cpu_has(FEATURE_SVM_NRIPS) ? handle(vcpu, vmcb, rdtsc(), kind, vmcb->next_rip)
                                      : unknown_length(vcpu, vmcb, kind);
}

static enum fast_result msr(struct vcpu *vcpu, struct vmcb *vmcb, uint64_t kind)
{
    return instruction(vcpu, vmcb, vmcb->exit_info1 ? EXIT_WRMSR : EXIT_RDMSR);
}

static enum fast_result port(struct vcpu *vcpu, struct vmcb *vmcb, uint64_t kind)
{
    vcpu->exit.io = svm_decode_io(vmcb->exit_info1);
    return vcpu->exit.io.string ? FAST_NOT : handle(vcpu, vmcb, rdtsc(), EXIT_IO, vmcb->exit_info2);
}

static enum fast_result leave(struct vcpu *vcpu, struct vmcb *vmcb, uint64_t kind)
{
    return FAST_NOT;
}

/* ---- After every exit ----------------------------------------------------------------------- */

/* What takes a short path, by exit code; EXIT_HOST_EVENT, which is 0: does not. */
#define FIRST      SVM_EXIT_CPUID
#define KIND(exit) [SVM_EXIT_##exit - FIRST]

static const uint8_t kinds[] = {
    KIND(CPUID) = EXIT_CPUID, KIND(INVD) = EXIT_CACHE,        KIND(IOIO) = EXIT_IO,
    KIND(MSR) = EXIT_RDMSR,   KIND(VMMCALL) = EXIT_HYPERCALL, KIND(WBINVD) = EXIT_CACHE,
};

static enum fast_result (*const paths[])(struct vcpu *, struct vmcb *, uint64_t) = {
    [EXIT_HOST_EVENT] = leave,      [EXIT_CPUID] = instruction, [EXIT_CACHE] = instruction,
    [EXIT_HYPERCALL] = instruction, [EXIT_IO] = port,           [EXIT_RDMSR] = msr,
};

/* Called by enter.asm. */
enum fast_result svm_fast_exit(struct vcpu *vcpu)
{
    struct vmcb *vmcb = to_svm(vcpu)->vmcb;
    uint64_t index = vmcb->exit_code - FIRST;

    vmcb->event_inj = 0;
    vmcb->tlb_control = VMCB_TLB_NONE;
    vmcb->clean = VMCB_CLEAN_ALL;
    if (index < ARRAY_SIZE(kinds))
        return paths[kinds[index]](vcpu, vmcb, kinds[index]);
    if (vmcb->exit_code == SVM_EXIT_NPF)
        return device_memory(vcpu, vmcb);
    return vmcb->exit_code == SVM_EXIT_CR_WRITE(4) ? same_cr4(vcpu, vmcb) : FAST_NOT;
}
