/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers: a table of ranges with a reader and a writer each.  What is not in it
 * raises #GP, is counted, and is logged once.
 */
#include "hv/emul.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/regs.h"
#include "arch/x86/speculation.h"
#include "hv/apic_assist.h"
#include "hv/intr.h"
#include "hv/log.h"
#include "hv/panic.h"
#include "hv/pv/kvm_clock.h"
#include "hv/pv/pv.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/*
 * Each says what becomes of the exit.  The value of a reader goes where RDMSR's does by give(): a
 * result by reference would cost every one of them a frame.
 */
typedef enum exit_action (*msr_reader)(struct vcpu *vcpu, uint32_t msr);
typedef enum exit_action (*msr_writer)(struct vcpu *vcpu, uint32_t msr, uint64_t value);

struct msr_policy {
    uint32_t first, last;
    msr_reader read;
    msr_writer write;
};

static inline enum exit_action give(struct vcpu *vcpu, uint64_t value)
{
    vcpu_set_edx_eax(vcpu, value);
    return ACTION_ADVANCE;
}

static NOINLINE enum exit_action refuse(struct vcpu *vcpu)
{
    inject_gp(vcpu, 0);
    return ACTION_RESUME;
}

static inline enum exit_action done(struct vcpu *vcpu, bool ok)
{
    return ok ? ACTION_ADVANCE : refuse(vcpu);
}

/* ---- Simple answers ------------------------------------------------------------------------- */

static enum exit_action read_zero(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, 0);
}

static enum exit_action read_refused(struct vcpu *vcpu, uint32_t msr)
{
    return refuse(vcpu);
}

static enum exit_action write_ignored(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return ACTION_ADVANCE;
}

static enum exit_action write_refused(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return refuse(vcpu);
}

/* ---- Speculation: SPEC_CTRL is the host's --------------------------------------------------- */

static enum exit_action write_pred_cmd(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    if (!(cpu_has(FEATURE_SPEC_CTRL) || cpu_has(FEATURE_AMD_IBPB)) || value & ~PRED_CMD_IBPB)
        return refuse(vcpu);
    wrmsr(MSR_PRED_CMD, value);
    return ACTION_ADVANCE;
}

/* What the CPU is safe from, and what VERW clears; none of the controls that a guest has not. */
static enum exit_action read_arch_capabilities(struct vcpu *vcpu, uint32_t msr)
{
    const uint64_t shown = ARCH_CAP_RDCL_NO | ARCH_CAP_RSBA | ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO |
                           ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO |
                           ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR |
                           ARCH_CAP_RRSBA | ARCH_CAP_BHI_NO | ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO |
                           ARCH_CAP_RFDS_NO | ARCH_CAP_RFDS_CLEAR;

    if (!cpu_has(FEATURE_ARCH_CAPABILITIES))
        return refuse(vcpu);
    return give(vcpu, speculation_capabilities & shown);
}

/* ---- Time ----------------------------------------------------------------------------------- */

static enum exit_action read_tsc(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, vcpu_guest_tsc(vcpu));
}

/* SDM, "IA32_TSC_ADJUST Register Support": a write of one moves the other by the same amount. */
static enum exit_action move_tsc(struct vcpu *vcpu, uint64_t by)
{
    vcpu->tsc_offset += by;
    vcpu->msrs.tsc_adjust += by;
    backend->set_tsc_offset(vcpu, vcpu->tsc_offset);
    vlapic_tsc_changed(&vcpu->lapic);
    kvm_clock_update(vcpu);
    return ACTION_ADVANCE;
}

static enum exit_action write_tsc(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return move_tsc(vcpu, value - vcpu_guest_tsc(vcpu));
}

static enum exit_action read_tsc_adjust(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, vcpu->msrs.tsc_adjust);
}

static enum exit_action write_tsc_adjust(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return move_tsc(vcpu, value - vcpu->msrs.tsc_adjust);
}

/* ---- The local APIC ------------------------------------------------------------------------- */

static enum exit_action read_apic(struct vcpu *vcpu, uint32_t msr)
{
    kvm_eoi_sync(vcpu);
    return vlapic_read_msr(&vcpu->lapic, msr, &vcpu->msr_value) ? give(vcpu, vcpu->msr_value)
                                                                : refuse(vcpu);
}

static enum exit_action write_apic(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    bool ok;

    kvm_eoi_sync(vcpu);
    ok = vlapic_write_msr(&vcpu->lapic, msr, value);
    if (intr_pending(vcpu))
        vcpu->check_events = true;
    return done(vcpu, ok);
}

static enum exit_action read_apic_base(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, vcpu->lapic.base);
}

static enum exit_action write_apic_base(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    enum exit_action action = write_apic(vcpu, msr, value);

    emul_cpuid_changed(vcpu);
    apic_assist_update(vcpu);
    return action;
}

/* The two registers of the local APIC that are accessed most, without the way through all. */
static enum exit_action read_x2apic_id(struct vcpu *vcpu, uint32_t msr)
{
    return vlapic_is_x2apic(&vcpu->lapic) ? give(vcpu, vcpu->id) : refuse(vcpu);
}

static enum exit_action write_x2apic_eoi(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    if (value || !vlapic_is_x2apic(&vcpu->lapic))
        return refuse(vcpu);
    kvm_eoi_sync(vcpu);
    if (vlapic_is_serving(&vcpu->lapic))
        intr_end(vcpu);
    return ACTION_ADVANCE;
}

/* ---- Control state that the backend holds --------------------------------------------------- */

static const struct {
    uint32_t msr;
    enum vcpu_reg reg;
} backend_msrs[] = {
    {MSR_SYSENTER_CS, VCPU_SYSENTER_CS},
    {MSR_SYSENTER_ESP, VCPU_SYSENTER_ESP},
    {MSR_SYSENTER_EIP, VCPU_SYSENTER_EIP},
    {MSR_PAT, VCPU_PAT},
    {MSR_EFER, VCPU_EFER},
    {MSR_DEBUGCTL, VCPU_DEBUGCTL},
};

static enum vcpu_reg backend_reg(uint32_t msr)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(backend_msrs); i++)
        if (backend_msrs[i].msr == msr)
            return backend_msrs[i].reg;
    panic("msr 0x%x is not the backend's", msr);
}

static enum exit_action read_backend(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, backend->get_reg(vcpu, backend_reg(msr)));
}

static enum exit_action write_efer(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return done(vcpu, emul_write_efer(vcpu, value));
}

static bool is_memory_type(uint8_t type)
{
    return type == MEMTYPE_UC || type == MEMTYPE_WC || type == MEMTYPE_WT || type == MEMTYPE_WP ||
           type == MEMTYPE_WB;
}

static enum exit_action write_pat(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    for (unsigned int i = 0; i < 8; i++) {
        uint8_t type = (uint8_t)(value >> (8 * i));

        if (!is_memory_type(type) && type != MEMTYPE_UC_MINUS)
            return refuse(vcpu);
    }
    backend->set_reg(vcpu, VCPU_PAT, value);
    return ACTION_ADVANCE;
}

/* Single-stepping on branches works; last-branch records do not exist, but asking for them does no
 * harm. */
static enum exit_action write_debugctl(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    if (value & ~(uint64_t)(DEBUGCTL_BTF | DEBUGCTL_LBR))
        return refuse(vcpu);
    backend->set_reg(vcpu, VCPU_DEBUGCTL, value & DEBUGCTL_BTF);
    return ACTION_ADVANCE;
}

/* ---- Memory types: storage ------------------------------------------------------------------ */

static uint64_t *mtrr_fixed(struct vcpu *vcpu, uint32_t msr)
{
    uint64_t *fixed = vcpu->msrs.mtrr_fixed;

    if (msr >= MSR_MTRR_FIX4K_C0000)
        return &fixed[3 + (msr - MSR_MTRR_FIX4K_C0000)];
    if (msr >= MSR_MTRR_FIX16K_80000)
        return &fixed[1 + (msr - MSR_MTRR_FIX16K_80000)];
    return fixed;
}

static uint64_t *mtrr_variable(struct vcpu *vcpu, uint32_t msr)
{
    unsigned int n = (msr - MSR_MTRR_PHYSBASE0) / 2;

    return (msr - MSR_MTRR_PHYSBASE0) & 1 ? &vcpu->msrs.mtrr_mask[n] : &vcpu->msrs.mtrr_base[n];
}

static enum exit_action read_mtrrcap(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, VCPU_MTRR_VARIABLE | MTRRCAP_FIX | MTRRCAP_WC);
}

static enum exit_action read_mtrr_fixed(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, *mtrr_fixed(vcpu, msr));
}

static enum exit_action write_mtrr_fixed(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    for (unsigned int i = 0; i < 8; i++)
        if (!is_memory_type((uint8_t)(value >> (8 * i))))
            return refuse(vcpu);
    *mtrr_fixed(vcpu, msr) = value;
    return ACTION_ADVANCE;
}

static enum exit_action read_mtrr_variable(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, *mtrr_variable(vcpu, msr));
}

static enum exit_action write_mtrr_variable(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    bool is_mask = msr & 1;

    if (value >> host_cpuid.physical_bits || (value & (is_mask ? 0x7ff : 0xf00)))
        return refuse(vcpu);
    if (!is_mask && !is_memory_type((uint8_t)value))
        return refuse(vcpu);
    *mtrr_variable(vcpu, msr) = value;
    return ACTION_ADVANCE;
}

static enum exit_action read_mtrr_default(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, vcpu->msrs.mtrr_def_type);
}

static enum exit_action write_mtrr_default(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    if (value & ~(uint64_t)(MTRR_DEF_TYPE | MTRR_DEF_FE | MTRR_DEF_E) ||
        !is_memory_type((uint8_t)value))
        return refuse(vcpu);
    vcpu->msrs.mtrr_def_type = value;
    return ACTION_ADVANCE;
}

/* ---- Other storage -------------------------------------------------------------------------- */

static enum exit_action read_misc_enable(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, vcpu->msrs.misc_enable);
}

/* Only what guests are known to switch: fast strings and the CPUID limit, which is not applied. */
static enum exit_action write_misc_enable(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    const uint64_t writable = MISC_ENABLE_FAST_STRING | MISC_ENABLE_LIMIT_CPUID;

    vcpu->msrs.misc_enable = (vcpu->msrs.misc_enable & ~writable) | (value & writable);
    return ACTION_ADVANCE;
}

static enum exit_action read_bios_sign_id(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, vcpu->msrs.bios_sign_id);
}

static enum exit_action read_feature_control(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, FEATURE_CONTROL_LOCK); /* and no VMX */
}

static enum exit_action read_mcg_status(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, vcpu->msrs.mcg_status);
}

static enum exit_action write_mcg_status(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    vcpu->msrs.mcg_status = value & 7;
    return ACTION_ADVANCE;
}

/* No state of XSAVES is shown. */
static enum exit_action write_xss(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return done(vcpu, cpu_has(FEATURE_XSAVES) && value == 0);
}

static enum exit_action read_xss(struct vcpu *vcpu, uint32_t msr)
{
    return cpu_has(FEATURE_XSAVES) ? give(vcpu, 0) : refuse(vcpu);
}

/* ---- AMD's ---------------------------------------------------------------------------------- */

static enum exit_action read_hwcr(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, vcpu->msrs.hwcr);
}

static enum exit_action write_hwcr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    const uint64_t writable = HWCR_TLBCACHEDIS | HWCR_FFDIS | HWCR_MCSTATUSWREN;

    vcpu->msrs.hwcr = (vcpu->msrs.hwcr & ~writable) | (value & writable);
    return ACTION_ADVANCE;
}

static enum exit_action read_vm_cr(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, VM_CR_LOCK | VM_CR_SVMDIS);
}

/* LFENCE serializes, on every CPU that has the bit. */
static enum exit_action read_de_cfg(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, DE_CFG_LFENCE_SERIALIZE);
}

/* ---- The paravirtual interface's ------------------------------------------------------------ */

static enum exit_action read_clock(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, kvm_clock_read(vcpu, msr));
}

static enum exit_action write_clock(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return done(vcpu, kvm_clock_write(vcpu, msr, value));
}

static enum exit_action read_kvm(struct vcpu *vcpu, uint32_t msr)
{
    return give(vcpu, kvm_read_msr(vcpu, msr));
}

static enum exit_action write_kvm(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return done(vcpu, kvm_write_msr(vcpu, msr, value));
}

/* ---- The table ------------------------------------------------------------------------------ */

static const struct msr_policy common[] = {
    {MSR_TSC, MSR_TSC, read_tsc, write_tsc},
    {MSR_PLATFORM_ID, MSR_PLATFORM_ID, read_zero, write_refused},
    {MSR_APIC_BASE, MSR_APIC_BASE, read_apic_base, write_apic_base},
    {MSR_FEATURE_CONTROL, MSR_FEATURE_CONTROL, read_feature_control, write_refused},
    {MSR_TSC_ADJUST, MSR_TSC_ADJUST, read_tsc_adjust, write_tsc_adjust},
    {MSR_PRED_CMD, MSR_PRED_CMD, read_refused, write_pred_cmd},
    {MSR_BIOS_UPDT_TRIG, MSR_BIOS_UPDT_TRIG, read_zero, write_ignored},
    {MSR_BIOS_SIGN_ID, MSR_BIOS_SIGN_ID, read_bios_sign_id, write_ignored},
    {MSR_PLATFORM_INFO, MSR_PLATFORM_INFO, read_zero, write_refused},
    {MSR_MTRRCAP, MSR_MTRRCAP, read_mtrrcap, write_refused},
    {MSR_ARCH_CAPABILITIES, MSR_ARCH_CAPABILITIES, read_arch_capabilities, write_refused},
    {MSR_SYSENTER_CS, MSR_SYSENTER_EIP, read_backend, write_refused},
    {MSR_MCG_CAP, MSR_MCG_CAP, read_zero, write_refused},
    {MSR_MCG_STATUS, MSR_MCG_STATUS, read_mcg_status, write_mcg_status},
    {MSR_PERF_STATUS, MSR_PERF_STATUS, read_zero, write_ignored},
    {MSR_MISC_ENABLE, MSR_MISC_ENABLE, read_misc_enable, write_misc_enable},
    {MSR_DEBUGCTL, MSR_DEBUGCTL, read_backend, write_debugctl},
    {MSR_MTRR_PHYSBASE0, MSR_MTRR_PHYSMASK(VCPU_MTRR_VARIABLE - 1), read_mtrr_variable,
     write_mtrr_variable},
    {MSR_MTRR_FIX64K_00000, MSR_MTRR_FIX64K_00000, read_mtrr_fixed, write_mtrr_fixed},
    {MSR_MTRR_FIX16K_80000, MSR_MTRR_FIX16K_A0000, read_mtrr_fixed, write_mtrr_fixed},
    {MSR_MTRR_FIX4K_C0000, MSR_MTRR_FIX4K_F8000, read_mtrr_fixed, write_mtrr_fixed},
    {MSR_PAT, MSR_PAT, read_backend, write_pat},
    {MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, read_mtrr_default, write_mtrr_default},
    {MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, read_apic, write_apic},
    {0x800, MSR_X2APIC_ID - 1, read_apic, write_apic},
    {MSR_X2APIC_ID, MSR_X2APIC_ID, read_x2apic_id, write_refused},
    {MSR_X2APIC_ID + 1, MSR_X2APIC_EOI - 1, read_apic, write_apic},
    {MSR_X2APIC_EOI, MSR_X2APIC_EOI, read_refused, write_x2apic_eoi},
    {MSR_X2APIC_EOI + 1, 0x8ff, read_apic, write_apic},
    {MSR_XSS, MSR_XSS, read_xss, write_xss},
    {MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_SYSTEM_TIME_NEW, read_clock, write_clock},
    {MSR_KVM_STEAL_TIME, MSR_KVM_POLL_CONTROL, read_kvm, write_kvm},
    {MSR_EFER, MSR_EFER, read_backend, write_efer},
};

static const struct msr_policy amd[] = {
    /* The counters that every AMD CPU has, whatever its CPUID says: they stand still. */
    {MSR_K7_EVNTSEL0, MSR_K7_PERFCTR3, read_zero, write_ignored},
    {MSR_SYSCFG, MSR_SYSCFG, read_zero, write_ignored},
    {MSR_HWCR, MSR_HWCR, read_hwcr, write_hwcr},
    {MSR_NB_CFG, MSR_NB_CFG, read_zero, write_ignored},
    {0xc0010055, 0xc0010055, read_zero, write_ignored}, /* INT_PENDING */
    {0xc0010058, 0xc0010058, read_zero, write_ignored}, /* MMIO_CONF_BASE */
    {0xc0010112, 0xc0010113, read_zero, write_ignored}, /* TSEG */
    {MSR_VM_CR, MSR_VM_CR, read_vm_cr, write_ignored},
    {0xc0011020, 0xc0011023, read_zero, write_ignored}, /* LS_CFG... */
    {MSR_DE_CFG, MSR_DE_CFG, read_de_cfg, write_ignored},
    {0xc001102a, 0xc001102a, read_zero, write_ignored}, /* BU_CFG2 */
};

static const struct msr_policy *find(const struct msr_policy *table, unsigned int count,
                                     uint32_t msr)
{
    unsigned int low = 0;
    unsigned int high = count;

    while (low < high) {
        unsigned int middle = (low + high) / 2;

        if (msr < table[middle].first)
            high = middle;
        else if (msr > table[middle].last)
            low = middle + 1;
        else
            return &table[middle];
    }
    return NULL;
}

static const struct msr_policy *search(uint32_t msr)
{
    const struct msr_policy *policy = find(common, ARRAY_SIZE(common), msr);

    if (!policy && host_cpuid.vendor == VENDOR_AMD)
        policy = find(amd, ARRAY_SIZE(amd), msr);
    return policy;
}

/* A guest uses few MSRs often.  The zeroes of a new vCPU are true: there is nothing for MSR 0. */
static inline const struct msr_policy *find_policy(struct vcpu *vcpu, uint32_t msr)
{
    unsigned int i = msr % VCPU_RECENT_MSRS;

    if (unlikely(vcpu->recent_msrs[i] != msr)) {
        vcpu->recent_msrs[i] = msr;
        vcpu->recent_policies[i] = search(msr);
    }
    return vcpu->recent_policies[i];
}

/* ---- The exits ------------------------------------------------------------------------------ */

static void log_unknown(struct vcpu *vcpu, uint32_t msr, const char *what)
{
    static uint32_t logged[64];
    static unsigned int logged_count;
    unsigned int i = 0;

    while (i < logged_count && logged[i] != msr)
        i++;
    if (i == logged_count && i < ARRAY_SIZE(logged)) { /* i alone: another CPU may be here too */
        logged[i] = msr;
        logged_count = i + 1;
        log_debug("%s: unknown msr 0x%x %s", vm_name(vcpu->vm), msr, what);
    }
}

static enum exit_action refuse_unknown(struct vcpu *vcpu, uint32_t msr, const char *what)
{
    vcpu->unknown_msrs++;
    if (vcpu->last_unknown_msr != msr + 1ull)
        log_unknown(vcpu, msr, what);
    vcpu->last_unknown_msr = msr + 1ull;
    return refuse(vcpu);
}

enum exit_action emul_rdmsr(struct vcpu *vcpu, const struct vm_exit *exit)
{
    uint32_t msr = (uint32_t)vcpu->gprs.r[GPR_RCX];
    const struct msr_policy *policy = find_policy(vcpu, msr);

    return likely(policy) ? policy->read(vcpu, msr) : refuse_unknown(vcpu, msr, "read");
}

enum exit_action emul_wrmsr(struct vcpu *vcpu, const struct vm_exit *exit)
{
    uint32_t msr = (uint32_t)vcpu->gprs.r[GPR_RCX];
    const struct msr_policy *policy = find_policy(vcpu, msr);

    return likely(policy) ? policy->write(vcpu, msr, vcpu_edx_eax(vcpu))
                          : refuse_unknown(vcpu, msr, "written");
}
