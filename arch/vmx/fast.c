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

/* What comes here, by exit reason; EXIT_HOST_EVENT, which is 0: does not. */
static const uint8_t kinds[] = {
    [VMX_REASON_CPUID] = EXIT_CPUID,      [VMX_REASON_INVD] = EXIT_CACHE,
    [VMX_REASON_VMCALL] = EXIT_HYPERCALL, [VMX_REASON_IO] = EXIT_IO,
    [VMX_REASON_RDMSR] = EXIT_RDMSR,      [VMX_REASON_WRMSR] = EXIT_WRMSR,
    [VMX_REASON_WBINVD] = EXIT_CACHE,
};

/*
 * Is there more to do behind the instruction than to go on at next?  A shadow ends, a step is made,
 * EIP wraps.
 */
static inline bool is_special(uint64_t rip, uint64_t next)
{
    return (vmread32(VMCS_GUEST_INTERRUPTIBILITY) & (VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS)) ||
           (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_TF) || (rip ^ next) >> 32;
}

static inline enum fast_result go_on(struct vcpu *vcpu)
{
    cpu_take_interrupts();
    return may_enter_again(vcpu, this_cpu()) && !to_vmx(vcpu)->flush_vpid ? FAST_AGAIN : FAST_DONE;
}

/* A simple access to device memory.  For these exits the CPU gives no length. */
static NOINLINE enum fast_result device_memory(struct vcpu *vcpu, struct vm_exit *exit)
{
    vcpu->rip = vmread(VMCS_GUEST_RIP);
    if (is_special(vcpu->rip, vcpu->rip + INSN_MAX_LENGTH))
        return FAST_NOT;
    vmx_decode_exit(exit);
    if (exit->vectoring.type || !emul_mov(vcpu, &exit->mem))
        return FAST_NOT;
    note_exit(vcpu, this_cpu(), EXIT_MEM, exit->raw.reason, exit->raw.info1);
    vmwrite(VMCS_GUEST_RIP, vcpu->rip + vcpu->insn_len);
    return go_on(vcpu);
}

static NOINLINE enum fast_result instruction(struct vcpu *vcpu, struct vm_exit *exit,
                                             uint32_t reason)
{
    uint64_t rip = vmread(VMCS_GUEST_RIP);
    uint64_t next = rip + vmread32(VMCS_EXIT_INSN_LEN);
    uint64_t info = 0;

    if (is_special(rip, next))
        return FAST_NOT;
    if (reason == VMX_REASON_IO) {
        info = vmread(VMCS_EXIT_QUALIFICATION);
        exit->io = vmx_decode_io(info);
        if (exit->io.string)
            return FAST_NOT;
    }
    exit->kind = kinds[reason];
    vcpu->rip = rip;
    vmwrite(VMCS_GUEST_RIP, next);
    note_exit(vcpu, this_cpu(), kinds[reason], reason, info);
    if (exit_handlers[exit->kind](vcpu, exit) != ACTION_ADVANCE)
        vmwrite(VMCS_GUEST_RIP, vcpu->rip);
    return go_on(vcpu);
}

/* After every exit, with interrupts off; called by enter.asm. */
enum fast_result vmx_fast_exit(struct vcpu *vcpu, struct vm_exit *exit)
{
    uint32_t reason = vmread32(VMCS_EXIT_REASON);

    to_vmx(vcpu)->event_queued = false;
    if (!vcpu->fast)
        return FAST_NOT;
    if (reason < ARRAY_SIZE(kinds) && kinds[reason])
        return instruction(vcpu, exit, reason);
    return reason == VMX_REASON_EPT_VIOLATION ? device_memory(vcpu, exit) : FAST_NOT;
}
