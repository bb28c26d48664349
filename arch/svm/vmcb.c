/* SPDX-License-Identifier: MIT */
/* Building a VMCB, reading and writing the guest's control state in it, and printing it. */
#include "arch/svm/svm.h"

#include "arch/x86/msr.h"
#include "arch/x86/regs.h"
#include "hv/log.h"
#include "hv/panic.h"
#include "hv/string.h"

/* Mica's in the hardware; what the guest has written stands in cr0_hidden. */
#define CR0_HOST_OWNED (CR0_CD | CR0_NW | CR0_NE)

/* ---- The control area ----------------------------------------------------------------------- */

#define INTERCEPTS3                                                                         \
    (SVM_INTR | SVM_NMI | SVM_SMI | SVM_INIT | SVM_RDPMC | SVM_CPUID | SVM_INVD | SVM_HLT | \
     SVM_INVLPGA | SVM_IOIO_PROT | SVM_MSR_PROT | SVM_TASK_SWITCH | SVM_FERR_FREEZE |       \
     SVM_SHUTDOWN)
#define INTERCEPTS4                                                                         \
    (SVM_VMRUN | SVM_VMMCALL | SVM_VMLOAD | SVM_VMSAVE | SVM_STGI | SVM_CLGI | SVM_SKINIT | \
     SVM_WBINVD | SVM_MONITOR | SVM_MWAIT | SVM_MWAIT_ARMED | SVM_XSETBV | SVM_RDPRU)
#define EXCEPTIONS_ALWAYS (1u << VEC_DB | 1u << VEC_AC | 1u << VEC_MC)

/* A CR0 that the guest reads is the hardware's only while nothing is hidden from it. */
static void update_cr_intercepts(struct svm_vcpu *svm)
{
    uint32_t reads = svm->cr0_hidden == CR0_NE ? 0 : SVM_CR_READ(0);

    vmcb_set_intercept_cr(svm->vmcb, reads | SVM_CR_WRITE(0) | SVM_CR_WRITE(4) | SVM_CR_READ(8) |
                                         SVM_CR_WRITE(8));
}

void svm_vmcb_reset(struct svm_vcpu *svm, const struct svm_vm *vm, const struct slat *slat)
{
    struct vmcb *vmcb = svm->vmcb;

    memset(vmcb, 0, sizeof(*vmcb));
    vmcb_set_intercept_dr(vmcb, svm->vcpu.debug_used ? 0 : SVM_DR_ALL);
    vmcb_set_intercept_exc(vmcb, EXCEPTIONS_ALWAYS | svm->exceptions);
    vmcb_set_intercept3(vmcb, (uint32_t)INTERCEPTS3);
    vmcb_set_intercept4(vmcb, (uint32_t)INTERCEPTS4);
    vmcb_set_iopm(vmcb, vm->iopm.value);
    vmcb_set_msrpm(vmcb, vm->msrpm.value);
    vmcb_set_tsc_offset(vmcb, svm->vcpu.tsc_offset);
    vmcb_set_v_intr(vmcb, VMCB_V_MASKING);
    vmcb_set_np_control(vmcb, VMCB_NP_ENABLE);
    vmcb_set_n_cr3(vmcb, slat->root);
    vmcb_set_pat(vmcb, PAT_RESET);
    vmcb_set_efer(vmcb, EFER_SVME);
    svm->vcpu.flush_tlb = true;
    svm->nmi_blocked = svm->stepping_iret = svm->intr_window = svm->nmi_window = false;
    svm->efer_hidden = 0;
    update_cr_intercepts(svm);
}

/* ---- Registers ------------------------------------------------------------------------------ */

/* Those that are nothing but a field: where, and whether a clean bit covers it. */
struct plain_reg {
    uint16_t offset; /* 0: not plain */
    uint16_t clean;
};

#define PLAIN(field, clean_bit)                             \
    {                                                       \
        offsetof(struct vmcb, field), (uint16_t)(clean_bit) \
    }

static const struct plain_reg plain_regs[VCPU_REG_COUNT] = {
    [VCPU_RSP] = PLAIN(rsp, 0),
    [VCPU_RFLAGS] = PLAIN(rflags, 0),
    [VCPU_CR2] = PLAIN(cr2_, VMCB_CLEAN_CR2),
    [VCPU_CR3] = PLAIN(cr3_, VMCB_CLEAN_CRX),
    [VCPU_CR4] = PLAIN(cr4_, VMCB_CLEAN_CRX),
    [VCPU_PAT] = PLAIN(pat_, VMCB_CLEAN_NP),
    [VCPU_DR6] = PLAIN(dr6_, VMCB_CLEAN_DRX),
    [VCPU_DR7] = PLAIN(dr7_, VMCB_CLEAN_DRX),
    [VCPU_SYSENTER_CS] = PLAIN(sysenter_cs, 0),
    [VCPU_SYSENTER_ESP] = PLAIN(sysenter_esp, 0),
    [VCPU_SYSENTER_EIP] = PLAIN(sysenter_eip, 0),
    [VCPU_STAR] = PLAIN(star, 0),
    [VCPU_LSTAR] = PLAIN(lstar, 0),
    [VCPU_CSTAR] = PLAIN(cstar, 0),
    [VCPU_SFMASK] = PLAIN(sfmask, 0),
    [VCPU_KERNEL_GS_BASE] = PLAIN(kernel_gs_base, 0),
    [VCPU_DEBUGCTL] = PLAIN(debugctl_, VMCB_CLEAN_LBR),
};

static uint64_t get_blocking(const struct svm_vcpu *svm)
{
    return (svm->vmcb->int_state & VMCB_INT_SHADOW ? BLOCKING_STI : 0) |
           (svm->nmi_blocked ? BLOCKING_NMI : 0);
}

/* AMD-V has one shadow for STI and MOV SS. */
static void set_blocking(struct svm_vcpu *svm, uint64_t value)
{
    bool shadow = value & (BLOCKING_STI | BLOCKING_MOV_SS);

    svm->vmcb->int_state =
        (svm->vmcb->int_state & ~(uint64_t)VMCB_INT_SHADOW) | (shadow ? VMCB_INT_SHADOW : 0);
    svm->nmi_blocked = value & BLOCKING_NMI;
    if (!svm->nmi_blocked)
        vmcb_set_intercept3(svm->vmcb, svm->vmcb->intercept3_ & ~(uint32_t)SVM_IRET);
}

uint64_t svm_get_reg(const struct vcpu *vcpu, enum vcpu_reg reg)
{
    const struct svm_vcpu *svm = to_svm(vcpu);
    const struct vmcb *vmcb = svm->vmcb;

    switch (reg) {
    case VCPU_CR0:
        return (vmcb->cr0_ & ~(uint64_t)CR0_HOST_OWNED) | svm->cr0_hidden;
    case VCPU_EFER:
        return (vmcb->efer_ & ~(uint64_t)EFER_SVME) | svm->efer_hidden;
    case VCPU_BLOCKING:
        return get_blocking(svm);
    default:
        return *(const uint64_t *)((const char *)vmcb + plain_regs[reg].offset);
    }
}

/*
 * LME means nothing while paging is off, and is kept from the hardware then: at a #VMEXIT QEMU 7.2
 * loads the host's CR0 while EFER and CR4 are the guest's still, and leaves paging off if it finds
 * LME without PAE.
 */
static void set_efer(struct svm_vcpu *svm, uint64_t value)
{
    svm->efer_hidden = svm->vmcb->cr0_ & CR0_PG ? 0 : value & EFER_LME;
    vmcb_set_efer(svm->vmcb, (value & ~svm->efer_hidden) | EFER_SVME);
}

void svm_set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value)
{
    struct svm_vcpu *svm = to_svm(vcpu);
    struct vmcb *vmcb = svm->vmcb;
    uint64_t efer;

    switch (reg) {
    case VCPU_CR0:
        efer = svm_get_reg(vcpu, VCPU_EFER);
        svm->cr0_hidden = value & CR0_HOST_OWNED;
        vmcb_set_cr0(vmcb, (value & ~(uint64_t)CR0_HOST_OWNED) | CR0_NE);
        update_cr_intercepts(svm);
        set_efer(svm, efer);
        break;
    case VCPU_EFER:
        set_efer(svm, value);
        break;
    case VCPU_BLOCKING:
        set_blocking(svm, value);
        break;
    default:
        ASSERT(plain_regs[reg].offset);
        *(uint64_t *)((char *)vmcb + plain_regs[reg].offset) = value;
        vmcb->clean &= ~(uint32_t)plain_regs[reg].clean;
        if (reg == VCPU_CR2)
            svm_load_cr2(vmcb);
        break;
    }
}

unsigned int svm_mode(const struct vcpu *vcpu)
{
    const struct vmcb *vmcb = to_svm(vcpu)->vmcb;
    unsigned int mode = vmcb->cpl_ & MODE_CPL;

    if (vmcb->efer_ & EFER_LMA)
        mode |= vmcb->cs_.attributes & VMCB_SEG_L ? MODE_LONG | MODE_CODE64 : MODE_LONG;
    if ((vmcb->cs_.attributes & VMCB_SEG_DB) && !(mode & MODE_CODE64))
        mode |= MODE_CODE32;
    return mode;
}

/* ---- Segments ------------------------------------------------------------------------------- */

static const struct plain_reg segments[SEG_COUNT] = {
    [SEG_ES] = PLAIN(es_, VMCB_CLEAN_SEG),
    [SEG_CS] = PLAIN(cs_, VMCB_CLEAN_SEG),
    [SEG_SS] = PLAIN(ss_, VMCB_CLEAN_SEG),
    [SEG_DS] = PLAIN(ds_, VMCB_CLEAN_SEG),
    [SEG_FS] = PLAIN(fs, 0),
    [SEG_GS] = PLAIN(gs, 0),
    [SEG_LDTR] = PLAIN(ldtr, 0),
    [SEG_TR] = PLAIN(tr, 0),
    [SEG_GDTR] = PLAIN(gdtr_, VMCB_CLEAN_DT),
    [SEG_IDTR] = PLAIN(idtr_, VMCB_CLEAN_DT),
};

/* VT-x's attributes have a gap of four bits that AMD-V's have not, and an "unusable" bit that is
 * here P = 0. */
void svm_get_seg(const struct vcpu *vcpu, enum vcpu_seg seg, struct segment *out)
{
    const struct vmcb_seg *in =
        (const struct vmcb_seg *)((const char *)to_svm(vcpu)->vmcb + segments[seg].offset);
    uint32_t attributes = (in->attributes & 0xffu) | (in->attributes & 0xf00u) << 4;

    if (!(attributes & SEG_ATTR_P) && seg < SEG_GDTR)
        attributes |= SEG_ATTR_UNUSABLE;
    if (seg == SEG_SS) /* SYSRET leaves SS.DPL alone: only this field is always the CPL */
        attributes = (attributes & ~0x60u) | (to_svm(vcpu)->vmcb->cpl_ & 3u) << 5;
    *out = (struct segment){in->base, in->limit, attributes, in->selector};
}

void svm_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct segment *in)
{
    struct vmcb *vmcb = to_svm(vcpu)->vmcb;
    struct vmcb_seg *out = (struct vmcb_seg *)((char *)vmcb + segments[seg].offset);
    uint32_t attributes = in->attributes & SEG_ATTR_UNUSABLE ? 0 : in->attributes;

    *out = (struct vmcb_seg){in->selector,
                             (uint16_t)((attributes & 0xff) | ((attributes >> 4) & 0xf00)),
                             in->limit, in->base};
    vmcb->clean &= ~(uint32_t)segments[seg].clean;
    if (seg == SEG_SS)
        vmcb_set_cpl(vmcb, (uint8_t)SEG_ATTR_DPL(in->attributes));
}

/* ---- Printing ------------------------------------------------------------------------------- */

#define ROW(field)                                                              \
    {                                                                           \
#field, offsetof(struct vmcb, field), sizeof(((struct vmcb *)0)->field) \
    }

static const struct {
    const char *name;
    uint16_t offset;
    uint16_t size;
} rows[] = {
    ROW(intercept_cr_),
    ROW(intercept_dr_),
    ROW(intercept_exc_),
    ROW(intercept3_),
    ROW(intercept4_),
    ROW(iopm_),
    ROW(msrpm_),
    ROW(tsc_offset_),
    ROW(asid_),
    ROW(tlb_control),
    ROW(v_intr_),
    ROW(int_state),
    ROW(exit_code),
    ROW(exit_info1),
    ROW(exit_info2),
    ROW(exit_int_info),
    ROW(np_control_),
    ROW(event_inj),
    ROW(n_cr3_),
    ROW(clean),
    ROW(next_rip),
    ROW(cpl_),
    ROW(efer_),
    ROW(cr4_),
    ROW(cr3_),
    ROW(cr0_),
    ROW(dr7_),
    ROW(dr6_),
    ROW(rflags),
    ROW(rip),
    ROW(rsp),
    ROW(rax),
    ROW(star),
    ROW(lstar),
    ROW(cstar),
    ROW(sfmask),
    ROW(kernel_gs_base),
    ROW(sysenter_cs),
    ROW(sysenter_esp),
    ROW(sysenter_eip),
    ROW(cr2_),
    ROW(pat_),
    ROW(debugctl_),
};

void svm_dump(struct vcpu *vcpu)
{
    static const char *const names[] = {"es", "cs",   "ss", "ds",   "fs",
                                        "gs", "ldtr", "tr", "gdtr", "idtr"};
    const char *vmcb = (const char *)to_svm(vcpu)->vmcb;

    for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t value = 0;

        memcpy(&value, vmcb + rows[i].offset, MIN(rows[i].size, sizeof(value)));
        log_error("vmcb: %03x %-15s 0x%llx", rows[i].offset, rows[i].name,
                  (unsigned long long)value);
    }
    for (unsigned int i = 0; i < SEG_COUNT; i++) {
        const struct vmcb_seg *seg = (const struct vmcb_seg *)(vmcb + segments[i].offset);

        log_error("vmcb: %03x %-5s %04x attributes %03x limit %08x base 0x%llx", segments[i].offset,
                  names[i], seg->selector, seg->attributes, seg->limit,
                  (unsigned long long)seg->base);
    }
}
