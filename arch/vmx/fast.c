/* SPDX-License-Identifier: MIT */
/*
 * The short path of VT-x: instructions that exit often and whose handler wants to know little.  It
 * does what decode.c, vmx.c and the run loop do for every exit, as far as these few need it, and
 * enters the guest again.  Whatever is unusual is left to them before anything has been done.
 */
#include "arch/vmx/vmx.h"

#include "arch/vmx/insn.h"
#include "arch/x86/regs.h"
#include "hv/emul.h"

/* Is there more to do there than to go on?  A shadow ends, a step is made, EIP wraps. */
static inline bool is_special(uint64_t next)
{
    return (vmread_sure(VMCS_GUEST_INTERRUPTIBILITY) & (VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS)) ||
           (vmread_sure(VMCS_GUEST_RFLAGS) & RFLAGS_TF) || (uint32_t)next < INSN_MAX_LENGTH;
}

static inline enum fast_result go_on(struct vcpu *vcpu)
{
    cpu_take_interrupts();
    return may_enter_again(vcpu) ? FAST_AGAIN : FAST_DONE;
}

#define DATA_ACCESS (VMX_EPT_LINEAR_VALID | VMX_EPT_LINEAR_FINAL)
#define ACCESS      (DATA_ACCESS | VMX_EPT_FETCH)

static inline bool is_code64(void)
{
    return (vmread_sure(VMCS_GUEST_CS_AR) & SEG_ATTR_L) &&
           (vmread_sure(VMCS_GUEST_EFER) & EFER_LMA);
}

/* A simple access to device memory by 64-bit code.  For these exits the CPU gives no length. */
static enum fast_result device_memory(struct vcpu *vcpu, uint64_t reason, uint64_t kind)
{
    struct exit_mem *mem = &vcpu->exit.mem;
    uint64_t info = vmread_sure(VMCS_EXIT_QUALIFICATION);

    vcpu->rip = vmread_sure(VMCS_GUEST_RIP);
    if (is_special(vcpu->rip + INSN_MAX_LENGTH) || !is_code64() || (info & ACCESS) != DATA_ACCESS ||
        (vmread_sure(VMCS_IDT_VECTORING_INFO) & VMX_INTR_VALID))
        return FAST_NOT;
    *mem = (struct exit_mem){
        .gpa = GPA(vmread_sure(VMCS_GUEST_PHYSICAL_ADDRESS)),
        .gva = vmread_sure(VMCS_GUEST_LINEAR_ADDRESS),
        .gva_valid = true,
        .write = info & VMX_EPT_WRITE,
    };
    if (!emul_mov(vcpu, vmread_sure(VMCS_GUEST_CR3), mem))
        return FAST_NOT;
    note_exit(vcpu, EXIT_MEM, rdtsc(), vcpu->rip, reason, info);
    vmwrite_sure(VMCS_GUEST_RIP, vcpu->rip + vcpu->insn_len);
    return go_on(vcpu);
}

/* ---- Instructions --------------------------------------------------------------------------- */

static enum exit_action call(struct vcpu *vcpu, const struct vm_exit *exit)
{
    return likely(is_code64() && SEG_ATTR_DPL(vmread_sure(VMCS_GUEST_SS_AR)) == 0)
               ? emul_kernel_call(vcpu, exit)
               : emul_hypercall(vcpu, exit);
}

static exit_handler *const handlers[] = {
    [EXIT_CPUID] = emul_cpuid, [EXIT_HYPERCALL] = call, [EXIT_RDMSR] = emul_rdmsr,
    [EXIT_WRMSR] = emul_wrmsr, [EXIT_IO] = emul_io,     [EXIT_CACHE] = emul_cache,
};

/* info is the exit qualification, for the trace. */
static ALWAYS_INLINE enum fast_result handle(struct vcpu *vcpu, uint64_t reason, uint64_t kind,
                                             uint64_t info)
{
    uint64_t rip = vmread_sure(VMCS_GUEST_RIP);
    uint64_t next = rip + vmread_sure(VMCS_EXIT_INSN_LEN);

    if (is_special(next))
        return FAST_NOT;
    vcpu->rip = rip;
    vmwrite_sure(VMCS_GUEST_RIP, next);
    note_exit(vcpu, kind, rdtsc(), rip, reason, info);
    if (unlikely(handlers[kind](vcpu, &vcpu->exit) != ACTION_ADVANCE)) {
        vmwrite_sure(VMCS_GUEST_RIP, vcpu->rip);
        return deliver_fault(vcpu, go_on(vcpu));
    }
    return go_on(vcpu);
}

static enum fast_result instruction(struct vcpu *vcpu, uint64_t reason, uint64_t kind)
{
    return handle(vcpu, reason, kind, 0);
}

static enum fast_result port(struct vcpu *vcpu, uint64_t reason, uint64_t kind)
{
    uint64_t info = vmread_sure(VMCS_EXIT_QUALIFICATION);

    vcpu->exit.io = vmx_decode_io(info);
    return vcpu->exit.io.string ? FAST_NOT : handle(vcpu, reason, EXIT_IO, info);
}

static enum fast_result leave(struct vcpu *vcpu, uint64_t reason, uint64_t kind)
{
    return FAST_NOT;
}

/* ---- After every exit ----------------------------------------------------------------------- */

/* What takes a short path, by exit reason; EXIT_HOST_EVENT, which is 0: does not. */
static const uint8_t kinds[VMX_SHORT_PATHS] = {
    [VMX_REASON_CPUID] = EXIT_CPUID,  [VMX_REASON_INVD] = EXIT_CACHE,
    [VMX_REASON_IO] = EXIT_IO,        [VMX_REASON_VMCALL] = EXIT_HYPERCALL,
    [VMX_REASON_RDMSR] = EXIT_RDMSR,  [VMX_REASON_WRMSR] = EXIT_WRMSR,
    [VMX_REASON_WBINVD] = EXIT_CACHE, [VMX_REASON_EPT_VIOLATION] = EXIT_MEM,
};

static enum fast_result (*const paths[])(struct vcpu *, uint64_t, uint64_t) = {
    [EXIT_HOST_EVENT] = leave,  [EXIT_CPUID] = instruction,
    [EXIT_CACHE] = instruction, [EXIT_HYPERCALL] = instruction,
    [EXIT_RDMSR] = instruction, [EXIT_WRMSR] = instruction,
    [EXIT_IO] = port,           [EXIT_MEM] = device_memory,
};

/* With interrupts off; called by enter.asm. */
enum fast_result vmx_fast_exit(struct vcpu *vcpu)
{
    uint64_t reason = vmread_sure(VMCS_EXIT_REASON);

    to_vmx(vcpu)->event_queued = false;
    return reason < to_vmx(vcpu)->short_paths ? paths[kinds[reason]](vcpu, reason, kinds[reason])
                                              : FAST_NOT;
}
