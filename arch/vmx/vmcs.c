/* SPDX-License-Identifier: MIT */
/*
 * The VMCS: what it holds at reset, area by area, and the registers of the guest that live in it.
 * What is in the CPU instead while a vCPU is loaded (CR2, DR6, the system-call MSRs) is reached
 * through here too.
 */
#include "arch/vmx/vmx.h"

#include "arch/vmx/insn.h"
#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/paging.h"
#include "arch/x86/speculation.h"
#include "arch/x86/tsc.h"
#include "hv/panic.h"

/*
 * The bits that a guest changes without an exit.  PGE is the one of CR4 that kernels toggle, to
 * flush; every other bit is checked by hv against the CPUID that the guest is shown.
 */
#define CR0_GUEST_OWNED (CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM)
#define CR4_GUEST_OWNED CR4_PGE

#define LONGEST_RUN_NS 10000000ull

#define SEG_AR_DEFINED                                                                    \
    (SEG_AR_TYPE | SEG_AR_S | SEG_AR_DPL | SEG_AR_P | SEG_AR_AVL | SEG_AR_L | SEG_AR_DB | \
     SEG_AR_G | SEG_AR_UNUSABLE)

NORETURN void vmx_vmread_failed(uint64_t field)
{
    panic("VMREAD of field 0x%llx failed", (unsigned long long)field);
}

NORETURN void vmx_vmwrite_failed(uint64_t field, uint64_t value)
{
    panic("VMWRITE of 0x%llx to field 0x%llx failed", (unsigned long long)value,
          (unsigned long long)field);
}

/* ---- Areas ---------------------------------------------------------------------------------- */

/* What the guest does not see of itself; its registers are set by hv. */
static void reset_guest_area(void)
{
    vmwrite64(VMCS_LINK_POINTER, ~0ull);
    vmwrite32(VMCS_GUEST_ACTIVITY, VMX_ACTIVITY_ACTIVE);
    vmwrite32(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
}

static void reset_maps(const struct vm *vm)
{
    const struct vmx_vm *part = vmx_vm_part(vm);

    vmwrite64(VMCS_IO_BITMAP_A, virt_to_phys(part->io_bitmap[0]).value);
    vmwrite64(VMCS_IO_BITMAP_B, virt_to_phys(part->io_bitmap[1]).value);
    vmwrite64(VMCS_MSR_BITMAP, virt_to_phys(part->msr_bitmap).value);
    vmwrite64(VMCS_EPTP, vmx_eptp(vm));
}

/*
 * Every entry starts the VMX-preemption timer from here, for exits do not save it: a guest that
 * does not exit by itself does so after this time.  Bochs 2.7 lets no physical interrupt end a
 * guest that was entered with RFLAGS.IF = 0 before that guest changes IF.
 */
static uint32_t timer_value(void)
{
    return (uint32_t)MAX(1, MIN(ns_to_tsc(LONGEST_RUN_NS) >> vmx_caps.timer_shift, UINT32_MAX));
}

static void reset_execution_controls(struct vmx_vcpu *vmx)
{
    vmx->cpu_ctls = vmx_caps.cpu | (vmx->vcpu.debug_used ? 0 : (uint32_t)VMX_CPU_MOV_DR);
    vmwrite32(VMCS_PIN_CTLS, vmx_caps.pin);
    vmwrite32(VMCS_CPU_CTLS, vmx->cpu_ctls);
    vmwrite32(VMCS_CPU_CTLS2, vmx_caps.cpu2);
    vmwrite32(VMCS_EXCEPTION_BITMAP, VMX_EXCEPTIONS);
    vmwrite32(VMCS_PF_ERROR_MASK, 0);
    vmwrite32(VMCS_PF_ERROR_MATCH, 0);
    reset_maps(vmx->vcpu.vm);
    vmwrite64(VMCS_TSC_OFFSET, vmx->vcpu.tsc_offset);
    vmwrite(VMCS_CR0_MASK, ~CR0_GUEST_OWNED);
    vmwrite(VMCS_CR4_MASK, ~CR4_GUEST_OWNED);
    vmwrite32(VMCS_CR3_TARGET_COUNT, 0);
    if (vmx_caps.vpid)
        vmwrite16(VMCS_VPID, vmx->vpid);
    if (vmx_caps.pin & VMX_PIN_PREEMPTION_TIMER)
        vmwrite32(VMCS_PREEMPTION_TIMER, timer_value());
    if (vmx_caps.cpu2 & VMX_CPU2_XSAVES)
        vmwrite64(VMCS_XSS_EXITING, ~0ull);
    if (vmx_caps.cpu2 & VMX_CPU2_ENCLS)
        vmwrite64(VMCS_ENCLS_EXITING, ~0ull);
}

static void reset_exit_and_entry_controls(struct vmx_vcpu *vmx)
{
    vmwrite32(VMCS_EXIT_CTLS, vmx_caps.exit);
    vmwrite32(VMCS_EXIT_MSR_STORE_COUNT, 0);
    vmwrite32(VMCS_EXIT_MSR_LOAD_COUNT, 0);
    vmwrite32(VMCS_ENTRY_CTLS, vmx_caps.entry);
    vmwrite32(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    vmwrite32(VMCS_ENTRY_INTR_INFO, 0);
    vmx->event_queued = false;
}

void vmx_vmcs_reset(struct vmx_vcpu *vmx)
{
    reset_guest_area();
    reset_execution_controls(vmx);
    reset_exit_and_entry_controls(vmx);
}

/* The state that an exit loads.  FS, GS and SYSENTER are unused by the host, so they are 0. */
void vmx_vmcs_set_host(struct cpu *cpu)
{
    vmwrite16(VMCS_HOST_ES_SEL, SELECTOR_DATA);
    vmwrite16(VMCS_HOST_CS_SEL, SELECTOR_CODE);
    vmwrite16(VMCS_HOST_SS_SEL, SELECTOR_DATA);
    vmwrite16(VMCS_HOST_DS_SEL, SELECTOR_DATA);
    vmwrite16(VMCS_HOST_FS_SEL, 0);
    vmwrite16(VMCS_HOST_GS_SEL, 0);
    vmwrite16(VMCS_HOST_TR_SEL, SELECTOR_TSS);
    vmwrite64(VMCS_HOST_PAT, rdmsr(MSR_PAT));
    vmwrite64(VMCS_HOST_EFER, rdmsr(MSR_EFER));
    vmwrite32(VMCS_HOST_SYSENTER_CS, 0);
    vmwrite(VMCS_HOST_CR0, read_cr0());
    vmwrite(VMCS_HOST_CR3, paging_cr3());
    vmwrite(VMCS_HOST_CR4, read_cr4());
    vmwrite(VMCS_HOST_FS_BASE, 0);
    vmwrite(VMCS_HOST_GS_BASE, 0);
    vmwrite(VMCS_HOST_TR_BASE, (uint64_t)&cpu->tss);
    vmwrite(VMCS_HOST_GDTR_BASE, (uint64_t)cpu->gdt);
    vmwrite(VMCS_HOST_IDTR_BASE, sidt().base);
    vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
    vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
    vmwrite(VMCS_HOST_RIP,
            speculation_measures ? (uint64_t)vmx_exit_landing_guarded : (uint64_t)vmx_exit_landing);
    /* HOST_RSP: enter.asm */
}

uint64_t vmx_eptp(const struct vm *vm)
{
    return vm->slat.root | VMX_EPTP_WALK_4 | VMX_EPTP_WB;
}

void vmx_set_cpu_ctl(struct vmx_vcpu *vmx, uint64_t bit, bool on)
{
    uint32_t controls = on ? vmx->cpu_ctls | (uint32_t)bit : vmx->cpu_ctls & ~(uint32_t)bit;

    if (controls == vmx->cpu_ctls)
        return;
    vmx->cpu_ctls = controls;
    vmwrite32(VMCS_CPU_CTLS, controls);
}

/*
 * The CPU refuses an entry under blocking by STI or MOV SS unless a single step that is under way
 * is noted as a pending debug exception; once the blocking has ended, hv has raised that exception
 * itself.
 */
void vmx_set_blocking(uint64_t blocking)
{
    uint64_t pending = vmread(VMCS_GUEST_PENDING_DEBUG) & ~VMX_PENDING_DEBUG_BS;

    if ((blocking & (BLOCKING_STI | BLOCKING_MOV_SS)) && (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_TF) &&
        !(vmread64(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF))
        pending |= VMX_PENDING_DEBUG_BS;
    vmwrite(VMCS_GUEST_PENDING_DEBUG, pending);
    vmwrite32(VMCS_GUEST_INTERRUPTIBILITY, (uint32_t)blocking & VMX_BLOCKING);
}

/* ---- Control registers ---------------------------------------------------------------------- */

/* Caching is the host's business: CD and NW never reach the hardware.  VMX wants NE. */
static void set_cr0(uint64_t value)
{
    vmwrite(VMCS_CR0_SHADOW, value);
    vmwrite(VMCS_GUEST_CR0, (value & ~(CR0_CD | CR0_NW)) | CR0_NE | CR0_ET);
}

/* MCE is the host's: a machine check without it would shut the machine down.  VMX wants VMXE. */
static void set_cr4(uint64_t value)
{
    vmwrite(VMCS_CR4_SHADOW, value);
    vmwrite(VMCS_GUEST_CR4, (value & ~CR4_MCE) | (read_cr4() & CR4_MCE) | CR4_VMXE);
}

static uint64_t merge(enum vmcs_natural field, enum vmcs_natural shadow, uint64_t guest_owned)
{
    return (vmread(field) & guest_owned) | (vmread(shadow) & ~guest_owned);
}

static void set_efer(uint64_t value)
{
    uint32_t controls = vmread32(VMCS_ENTRY_CTLS) & ~(uint32_t)VMX_ENTRY_IA32E_GUEST;

    vmwrite32(VMCS_ENTRY_CTLS,
              value & EFER_LMA ? controls | (uint32_t)VMX_ENTRY_IA32E_GUEST : controls);
    vmwrite64(VMCS_GUEST_EFER, value);
}

/* ---- Registers ------------------------------------------------------------------------------ */

uint64_t vmx_get_reg(const struct vcpu *vcpu, enum vcpu_reg reg)
{
    switch (reg) {
    case VCPU_RSP:
        return vmread(VMCS_GUEST_RSP);
    case VCPU_RFLAGS:
        return vmread(VMCS_GUEST_RFLAGS);
    case VCPU_CR0:
        return merge(VMCS_GUEST_CR0, VMCS_CR0_SHADOW, CR0_GUEST_OWNED);
    case VCPU_CR2:
        return read_cr2();
    case VCPU_CR3:
        return vmread(VMCS_GUEST_CR3);
    case VCPU_CR4:
        return merge(VMCS_GUEST_CR4, VMCS_CR4_SHADOW, CR4_GUEST_OWNED);
    case VCPU_EFER:
        return vmread64(VMCS_GUEST_EFER);
    case VCPU_PAT:
        return vmread64(VMCS_GUEST_PAT);
    case VCPU_DR6:
        return read_dr6();
    case VCPU_DR7:
        return vmread(VMCS_GUEST_DR7);
    case VCPU_SYSENTER_CS:
        return vmread32(VMCS_GUEST_SYSENTER_CS);
    case VCPU_SYSENTER_ESP:
        return vmread(VMCS_GUEST_SYSENTER_ESP);
    case VCPU_SYSENTER_EIP:
        return vmread(VMCS_GUEST_SYSENTER_EIP);
    case VCPU_STAR:
        return rdmsr(MSR_STAR);
    case VCPU_LSTAR:
        return rdmsr(MSR_LSTAR);
    case VCPU_CSTAR:
        return rdmsr(MSR_CSTAR);
    case VCPU_SFMASK:
        return rdmsr(MSR_SFMASK);
    case VCPU_KERNEL_GS_BASE:
        return rdmsr(MSR_KERNEL_GS_BASE);
    case VCPU_DEBUGCTL:
        return vmread64(VMCS_GUEST_DEBUGCTL);
    case VCPU_BLOCKING:
        return vmx_blocking(to_vmx(vcpu)) & VMX_BLOCKING;
    case VCPU_REG_COUNT:
        break;
    }
    panic("there is no register %u", reg);
}

void vmx_set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value)
{
    switch (reg) {
    case VCPU_RSP:
        vmwrite(VMCS_GUEST_RSP, value);
        return;
    case VCPU_RFLAGS:
        vmwrite(VMCS_GUEST_RFLAGS, (value & RFLAGS_DEFINED) | RFLAGS_RESERVED1);
        return;
    case VCPU_CR0:
        set_cr0(value);
        return;
    case VCPU_CR2:
        write_cr2(value);
        return;
    case VCPU_CR3:
        vmwrite(VMCS_GUEST_CR3, value);
        return;
    case VCPU_CR4:
        set_cr4(value);
        return;
    case VCPU_EFER:
        set_efer(value);
        return;
    case VCPU_PAT:
        vmwrite64(VMCS_GUEST_PAT, value);
        return;
    case VCPU_DR6:
        write_dr6((value & DR6_WRITABLE) | DR6_INIT);
        return;
    case VCPU_DR7:
        vmwrite(VMCS_GUEST_DR7, (value & DR7_WRITABLE) | DR7_FIXED1);
        return;
    case VCPU_SYSENTER_CS:
        vmwrite32(VMCS_GUEST_SYSENTER_CS, (uint32_t)value);
        return;
    case VCPU_SYSENTER_ESP:
        vmwrite(VMCS_GUEST_SYSENTER_ESP, value);
        return;
    case VCPU_SYSENTER_EIP:
        vmwrite(VMCS_GUEST_SYSENTER_EIP, value);
        return;
    case VCPU_STAR:
        wrmsr(MSR_STAR, value);
        return;
    case VCPU_LSTAR:
        wrmsr(MSR_LSTAR, value);
        return;
    case VCPU_CSTAR:
        wrmsr(MSR_CSTAR, value);
        return;
    case VCPU_SFMASK:
        wrmsr(MSR_SFMASK, value);
        return;
    case VCPU_KERNEL_GS_BASE:
        wrmsr(MSR_KERNEL_GS_BASE, value);
        return;
    case VCPU_DEBUGCTL:
        vmwrite64(VMCS_GUEST_DEBUGCTL, value);
        return;
    case VCPU_BLOCKING:
        vmx_set_blocking(value);
        to_vmx(vcpu)->nmi_seen |= (value & BLOCKING_NMI) != 0;
        return;
    case VCPU_REG_COUNT:
        break;
    }
    panic("there is no register %u", reg);
}

/* While the guest is in long mode, and not else, CS.L means 64-bit code. */
unsigned int vmx_mode(const struct vcpu *vcpu)
{
    uint32_t cs = vmread32(VMCS_GUEST_CS_AR);
    unsigned int mode = SEG_ATTR_DPL(vmread_sure(VMCS_GUEST_SS_AR));

    if (vmread_sure(VMCS_GUEST_EFER) & EFER_LMA)
        mode |= cs & SEG_ATTR_L ? MODE_LONG | MODE_CODE64 : MODE_LONG;
    if ((cs & SEG_ATTR_DB) && !(mode & MODE_CODE64))
        mode |= MODE_CODE32;
    return mode;
}

/* ---- Segments ------------------------------------------------------------------------------- */

/* The fields of the segment registers lie in the order of enum vcpu_seg; GDTR and IDTR have base
 * and limit only. */
STATIC_ASSERT(VMCS_GUEST_TR_SEL == VMCS_GUEST_ES_SEL + 2 * SEG_TR, "the selectors are in order");
STATIC_ASSERT(VMCS_GUEST_TR_AR == VMCS_GUEST_ES_AR + 2 * SEG_TR, "the access rights are in order");
STATIC_ASSERT(VMCS_GUEST_IDTR_LIMIT == VMCS_GUEST_ES_LIMIT + 2 * SEG_IDTR,
              "the limits are in order");
STATIC_ASSERT(VMCS_GUEST_IDTR_BASE == VMCS_GUEST_ES_BASE + 2 * SEG_IDTR, "the bases are in order");

#define SEL(seg)   ((enum vmcs16)(VMCS_GUEST_ES_SEL + 2 * (seg)))
#define AR(seg)    ((enum vmcs32)(VMCS_GUEST_ES_AR + 2 * (seg)))
#define LIMIT(seg) ((enum vmcs32)(VMCS_GUEST_ES_LIMIT + 2 * (seg)))
#define BASE(seg)  ((enum vmcs_natural)(VMCS_GUEST_ES_BASE + 2 * (seg)))

void vmx_get_seg(const struct vcpu *vcpu, enum vcpu_seg seg, struct segment *out)
{
    *out = (struct segment){.base = vmread(BASE(seg)), .limit = vmread32(LIMIT(seg))};
    if (seg <= SEG_TR) {
        out->selector = vmread16(SEL(seg));
        out->attributes = vmread32(AR(seg));
    }
}

void vmx_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct segment *in)
{
    vmwrite(BASE(seg), in->base);
    vmwrite32(LIMIT(seg), in->limit);
    if (seg <= SEG_TR) {
        vmwrite16(SEL(seg), in->selector);
        vmwrite32(AR(seg), in->attributes & SEG_AR_DEFINED);
    }
}
