/* SPDX-License-Identifier: MIT */
/* A VM exit as a struct vm_exit: reads the VMCS and decides nothing. */
#include "arch/vmx/vmx.h"

#include "arch/vmx/insn.h"
#include "arch/x86/regs.h"

static enum event_type soft_type(uint32_t info)
{
    switch (VMX_INTR_TYPE(info)) {
    case VMX_INTR_SOFT_INTR:
        return EVENT_SOFT_INTR;
    case VMX_INTR_PRIV_EXCEPTION:
        return EVENT_PRIV_EXCEPTION;
    case VMX_INTR_SOFT_EXCEPTION:
        return EVENT_SOFT_EXCEPTION;
    default:
        return EVENT_NONE;
    }
}

/* Exceptions and NMIs share a reason. */
static void decode_exception(uint64_t qualification, struct vm_exit *exit)
{
    uint32_t info = vmread32(VMCS_EXIT_INTR_INFO);
    uint8_t vector = VMX_INTR_VECTOR(info);

    exit->raw.info2 = info;
    if (VMX_INTR_TYPE(info) == VMX_INTR_NMI) {
        exit->kind = EXIT_HOST_NMI;
        return;
    }
    exit->kind = EXIT_EXCEPTION;
    exit->exception = (struct exit_exception){
        .vector = vector,
        .has_error = info & VMX_INTR_HAS_ERROR,
        .error = info & VMX_INTR_HAS_ERROR ? vmread32(VMCS_EXIT_ERROR_CODE) : 0,
        .info = vector == VEC_DB ? qualification & DR6_WRITABLE : qualification,
        /* Undefined when an event was being delivered, or for a double fault. */
        .iret_unblocked_nmi =
            (info & VMX_INTR_NMI_UNBLOCKED) && vector != VEC_DF && !exit->vectoring.type,
        .soft = soft_type(info) != EVENT_NONE,
        .soft_type = (uint8_t)soft_type(info),
    };
}

static void decode_cr(uint64_t qualification, struct vm_exit *exit)
{
    static const uint8_t accesses[] = {CR_WRITE, CR_READ, CR_CLTS, CR_LMSW};

    exit->kind = EXIT_CR;
    exit->cr = (struct exit_cr){
        .decoded = true,
        .cr = (uint8_t)BITS(qualification, 3, 0),
        .access = accesses[BITS(qualification, 5, 4)],
        .gpr = (uint8_t)BITS(qualification, 11, 8),
        .lmsw = (uint16_t)BITS(qualification, 31, 16),
    };
}

static void decode_dr(uint64_t qualification, struct vm_exit *exit)
{
    exit->kind = EXIT_DR;
    exit->dr = (struct exit_dr){
        .decoded = true,
        .dr = (uint8_t)BITS(qualification, 2, 0),
        .write = !BITS(qualification, 4, 4),
        .gpr = (uint8_t)BITS(qualification, 11, 8),
    };
}

/* Without a linear address it was the load of the PAE page-directory pointers. */
static void decode_ept_violation(uint64_t qualification, struct vm_exit *exit)
{
    bool linear = qualification & VMX_EPT_LINEAR_VALID;

    exit->kind = EXIT_MEM;
    exit->insn_len = 0; /* undefined for these exits */
    exit->mem = (struct exit_mem){
        .gpa = GPA(vmread64(VMCS_GUEST_PHYSICAL_ADDRESS)),
        .gva = linear ? vmread(VMCS_GUEST_LINEAR_ADDRESS) : 0,
        .gva_valid = linear,
        .read = qualification & VMX_EPT_READ,
        .write = qualification & VMX_EPT_WRITE,
        .fetch = qualification & VMX_EPT_FETCH,
        .in_page_walk = !linear || !(qualification & VMX_EPT_LINEAR_FINAL),
    };
}

/* Exits that are nothing but a kind. */
static enum exit_kind plain_kind(uint32_t reason)
{
    switch (reason) {
    case VMX_REASON_EXT_INTR:
        return EXIT_HOST_EVENT;
    case VMX_REASON_TRIPLE_FAULT:
        return EXIT_TRIPLE_FAULT;
    case VMX_REASON_INIT:
    case VMX_REASON_SIPI:
        return EXIT_INIT;
    case VMX_REASON_INTR_WINDOW:
        return EXIT_INTR_WINDOW;
    case VMX_REASON_NMI_WINDOW:
        return EXIT_NMI_WINDOW;
    case VMX_REASON_TASK_SWITCH:
        return EXIT_TASK_SWITCH;
    case VMX_REASON_CPUID:
        return EXIT_CPUID;
    case VMX_REASON_HLT:
        return EXIT_HLT;
    case VMX_REASON_INVD:
    case VMX_REASON_WBINVD:
        return EXIT_CACHE;
    case VMX_REASON_RDPMC:
        return EXIT_RDPMC;
    case VMX_REASON_VMCALL:
        return EXIT_HYPERCALL;
    case VMX_REASON_RDMSR:
        return EXIT_RDMSR;
    case VMX_REASON_WRMSR:
        return EXIT_WRMSR;
    case VMX_REASON_PAUSE:
        return EXIT_PAUSE;
    case VMX_REASON_PREEMPTION_TIMER:
        return EXIT_TIMER;
    case VMX_REASON_XSETBV:
        return EXIT_XSETBV;
    case VMX_REASON_GETSEC:
    case VMX_REASON_VMCLEAR:
    case VMX_REASON_VMLAUNCH:
    case VMX_REASON_VMPTRLD:
    case VMX_REASON_VMPTRST:
    case VMX_REASON_VMREAD:
    case VMX_REASON_VMRESUME:
    case VMX_REASON_VMWRITE:
    case VMX_REASON_VMXOFF:
    case VMX_REASON_VMXON:
    case VMX_REASON_MWAIT:
    case VMX_REASON_MONITOR:
    case VMX_REASON_INVEPT:
    case VMX_REASON_INVVPID:
    case VMX_REASON_VMFUNC:
    case VMX_REASON_ENCLS:
    case VMX_REASON_ENCLV:
    case VMX_REASON_PCONFIG:
    case VMX_REASON_UMWAIT:
    case VMX_REASON_TPAUSE:
    case VMX_REASON_LOADIWKEY:
    case VMX_REASON_SEAMCALL:
    case VMX_REASON_TDCALL:
        return EXIT_HIDDEN;
    default:
        return EXIT_UNKNOWN;
    }
}

static void decode_kind(uint32_t reason, uint64_t qualification, struct vm_exit *exit)
{
    switch (reason) {
    case VMX_REASON_EXCEPTION:
        decode_exception(qualification, exit);
        break;
    case VMX_REASON_CR:
        decode_cr(qualification, exit);
        break;
    case VMX_REASON_DR:
        decode_dr(qualification, exit);
        break;
    case VMX_REASON_IO:
        exit->kind = EXIT_IO;
        exit->io = vmx_decode_io(qualification);
        break;
    case VMX_REASON_APIC_WRITE:
        exit->kind = EXIT_APIC_WRITE;
        exit->apic.offset = (uint16_t)BITS(qualification, 11, 0);
        break;
    case VMX_REASON_VIRTUAL_EOI:
        exit->kind = EXIT_APIC_EOI;
        exit->apic.vector = (uint8_t)BITS(qualification, 7, 0);
        break;
    case VMX_REASON_EPT_VIOLATION:
        decode_ept_violation(qualification, exit);
        break;
    default:
        exit->kind = (uint8_t)plain_kind(reason);
        break;
    }
}

void vmx_decode_exit(struct vm_exit *exit)
{
    uint32_t reason = vmread32(VMCS_EXIT_REASON);
    uint64_t qualification = vmread(VMCS_EXIT_QUALIFICATION);

    exit->raw.reason = reason;
    exit->raw.info1 = qualification;
    exit->raw.info2 = 0;
    exit->insn_len = (uint8_t)vmread32(VMCS_EXIT_INSN_LEN); /* where there is an instruction */
    vmx_decode_vectoring(&exit->vectoring);
    if (unlikely(reason & VMX_REASON_ENTRY_FAILED))
        exit->kind = EXIT_ENTRY_FAILED;
    else
        decode_kind(VMX_REASON_BASIC(reason), qualification, exit);
}
