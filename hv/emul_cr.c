/* SPDX-License-Identifier: MIT */
/*
 * Control registers, EFER, XCR0 and the first use of debug registers: what a write checks, and what
 * hangs on it.  What the hardware really holds in CR0 and CR4, the backend knows.
 */
#include "hv/emul.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/regs.h"
#include "hv/errno.h"
#include "hv/guest_mem.h"
#include "hv/vcpu.h"

#define CR0_KNOWN                                                                              \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
     CR0_PG)

/* ---- PAE page-directory pointers ------------------------------------------------------------ */

#define PDPTE_RESERVED (BITS(~0ull, 2, 1) << 1 | BITS(~0ull, 8, 5) << 5)

/* SDM, "PDPTE Registers": loaded, and checked, when PAE paging is switched on.  False: #GP. */
static bool load_pdptes(struct vcpu *vcpu)
{
    gpa_t table = GPA(backend->get_reg(vcpu, VCPU_CR3) & CR3_PAE_ADDRESS);
    uint64_t pdptes[4];

    if (guest_mem_read(vcpu->vm, table, pdptes, sizeof(pdptes)) != 0)
        return false;
    for (unsigned int i = 0; i < 4; i++)
        if ((pdptes[i] & 1) &&
            ((pdptes[i] & PDPTE_RESERVED) || (pdptes[i] >> host_cpuid.physical_bits)))
            return false;
    backend->set_pdptes(vcpu, pdptes);
    return true;
}

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LME);
}

/* ---- CR0 ------------------------------------------------------------------------------------ */

static bool cr0_legal(struct vcpu *vcpu, uint64_t old, uint64_t value)
{
    uint64_t cr4 = backend->get_reg(vcpu, VCPU_CR4);

    if (value >> 32)
        return false;
    if ((value & CR0_NW) && !(value & CR0_CD))
        return false;
    if ((value & CR0_PG) && !(value & CR0_PE))
        return false;
    if ((old & CR0_PG) && !(value & CR0_PG))
        return !vcpu_is_64bit(vcpu) && !(cr4 & CR4_PCIDE);
    return true;
}

/* Paging goes on under EFER.LME: what long mode demands.  (With a 16-bit TSS VT-x refuses the
 * entry.) */
static bool may_enter_long_mode(struct vcpu *vcpu)
{
    struct segment cs;
    struct segment tr;

    backend->get_seg(vcpu, SEG_CS, &cs);
    backend->get_seg(vcpu, SEG_TR, &tr);
    return (backend->get_reg(vcpu, VCPU_CR4) & CR4_PAE) && !(cs.attributes & SEG_ATTR_L) &&
           SEG_ATTR_TYPE(tr.attributes) != SEG_SYS_TSS16_BUSY;
}

bool emul_write_cr0(struct vcpu *vcpu, uint64_t value)
{
    uint64_t old = backend->get_reg(vcpu, VCPU_CR0);
    uint64_t efer = backend->get_reg(vcpu, VCPU_EFER);
    uint64_t cr4 = backend->get_reg(vcpu, VCPU_CR4);

    if (!cr0_legal(vcpu, old, value))
        return false;
    value = (value & CR0_KNOWN) | CR0_ET;
    if ((value & CR0_PG) && !(old & CR0_PG) && (efer & EFER_LME) && !may_enter_long_mode(vcpu))
        return false;
    if (((old ^ value) & (CR0_PG | CR0_CD | CR0_NW)) && pae_paging(value, cr4, efer) &&
        !load_pdptes(vcpu))
        return false;
    backend->set_reg(vcpu, VCPU_CR0, value);
    if ((old ^ value) & CR0_PG) {
        backend->set_reg(vcpu, VCPU_EFER,
                         (efer & EFER_LME) && (value & CR0_PG) ? efer | EFER_LMA
                                                               : efer & ~(uint64_t)EFER_LMA);
        backend->flush_guest_tlb(vcpu);
    } else if ((old ^ value) & CR0_WP) {
        backend->flush_guest_tlb(vcpu);
    }
    return true;
}

/* ---- CR4 ------------------------------------------------------------------------------------ */

/* A CR4 bit and the CPUID bit that allows it. */
static const struct {
    uint64_t bit;
    uint32_t leaf;
    enum cpuid_reg reg;
    uint8_t shift;
} cr4_features[] = {
    {CR4_VME | CR4_PVI, 1, CPUID_EDX, 1},
    {CR4_TSD, 1, CPUID_EDX, 4},
    {CR4_DE, 1, CPUID_EDX, 2},
    {CR4_PSE, 1, CPUID_EDX, 3},
    {CR4_PAE, 1, CPUID_EDX, 6},
    {CR4_MCE, 1, CPUID_EDX, 7},
    {CR4_PGE, 1, CPUID_EDX, 13},
    {CR4_OSFXSR, 1, CPUID_EDX, 24},
    {CR4_OSXMMEXCPT, 1, CPUID_EDX, 25},
    {CR4_PCIDE, 1, CPUID_ECX, 17},
    {CR4_OSXSAVE, 1, CPUID_ECX, 26},
    {CR4_FSGSBASE, 7, CPUID_EBX, 0},
    {CR4_SMEP, 7, CPUID_EBX, 7},
    {CR4_SMAP, 7, CPUID_EBX, 20},
    {CR4_UMIP, 7, CPUID_ECX, 2},
    {CR4_PKE, 7, CPUID_ECX, 3},
};

uint64_t emul_cr4_allowed(const struct vcpu *vcpu)
{
    uint64_t allowed = CR4_PCE; /* RDPMC answers #GP whatever it says */
    struct cpuid_regs leaf1;
    struct cpuid_regs leaf7;

    emul_cpuid_get(vcpu, 1, 0, &leaf1);
    emul_cpuid_get(vcpu, 7, 0, &leaf7);
    for (unsigned int i = 0; i < ARRAY_SIZE(cr4_features); i++) {
        const struct cpuid_regs *regs = cr4_features[i].leaf == 1 ? &leaf1 : &leaf7;

        if (cpuid_reg(regs, cr4_features[i].reg) >> cr4_features[i].shift & 1)
            allowed |= cr4_features[i].bit;
    }
    return allowed;
}

static bool cr4_legal(struct vcpu *vcpu, uint64_t old, uint64_t value)
{
    bool long_mode = vcpu_is_long_mode(vcpu);

    if (value & ~emul_cr4_allowed(vcpu))
        return false;
    if (long_mode && !(value & CR4_PAE))
        return false;
    if ((value & ~old & CR4_PCIDE) &&
        (!long_mode || (backend->get_reg(vcpu, VCPU_CR3) & CR3_PCID_MASK)))
        return false;
    return true;
}

#define CR4_FLUSHES     (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define CR4_RELOADS_PAE (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP)

bool emul_write_cr4(struct vcpu *vcpu, uint64_t value)
{
    uint64_t old = backend->get_reg(vcpu, VCPU_CR4);
    uint64_t cr0 = backend->get_reg(vcpu, VCPU_CR0);
    uint64_t efer = backend->get_reg(vcpu, VCPU_EFER);

    if (value == old)
        return true;
    if (!cr4_legal(vcpu, old, value))
        return false;
    if (((old ^ value) & CR4_RELOADS_PAE) && pae_paging(cr0, value, efer) && !load_pdptes(vcpu))
        return false;
    backend->set_reg(vcpu, VCPU_CR4, value);
    emul_cpuid_changed(vcpu);
    if ((old ^ value) & CR4_FLUSHES)
        backend->flush_guest_tlb(vcpu);
    return true;
}

/* ---- EFER ----------------------------------------------------------------------------------- */

/* The bits that the features shown allow, without LMA. */
static uint64_t efer_allowed(void)
{
    uint64_t allowed = EFER_SCE;

    if (cpu_has(FEATURE_LONG_MODE))
        allowed |= EFER_LME;
    if (cpu_has(FEATURE_NX))
        allowed |= EFER_NXE;
    if (cpu_has(FEATURE_FXSR_OPT))
        allowed |= EFER_FFXSR;
    return allowed;
}

bool emul_write_efer(struct vcpu *vcpu, uint64_t value)
{
    uint64_t old = backend->get_reg(vcpu, VCPU_EFER);

    /* LMA is read-only: what is written there is ignored. */
    value = (value & ~(uint64_t)EFER_LMA) | (old & EFER_LMA);
    if (value == old)
        return true;
    if (value & ~(efer_allowed() | EFER_LMA))
        return false;
    if (((old ^ value) & EFER_LME) && (backend->get_reg(vcpu, VCPU_CR0) & CR0_PG))
        return false;
    backend->set_reg(vcpu, VCPU_EFER, value);
    if ((old ^ value) & EFER_NXE)
        backend->flush_guest_tlb(vcpu);
    return true;
}

/* ---- The exits ------------------------------------------------------------------------------ */

/* Where the memory operand of LMSW or SMSW is. */
static uint64_t operand_offset(struct vcpu *vcpu, const struct insn *insn)
{
    vcpu->gprs.r[GPR_RSP] = backend->get_reg(vcpu, VCPU_RSP);
    return insn_address(insn, vcpu->gprs.r, vcpu->rip);
}

static bool decode_lmsw(struct vcpu *vcpu, const struct insn *insn, struct exit_cr *cr)
{
    uint64_t source = 0;

    if (insn->src.kind == INSN_OPERAND_REG)
        source = vcpu_read_gpr(vcpu, insn->src.reg);
    else if (emul_mem_read(vcpu, insn->mem.segment, operand_offset(vcpu, insn), 2, &source) != 0)
        return false;
    cr->access = CR_LMSW;
    cr->lmsw = (uint16_t)source;
    return true;
}

/* A CPU that does not say which register was moved: the instruction says it.  False: execute again,
 * for a fault was injected, or the code changed under the exit. */
static bool decode_cr(struct vcpu *vcpu, const struct insn *insn, struct exit_cr *cr)
{
    if (insn->ud)
        return false;
    switch (insn->op) {
    case INSN_OP_MOV_TO_CR:
        cr->gpr = insn->src.reg;
        return cr->access == CR_WRITE && cr->cr == insn->dst.reg;
    case INSN_OP_MOV_FROM_CR:
        cr->gpr = insn->dst.reg;
        return cr->access == CR_READ && cr->cr == insn->src.reg;
    case INSN_OP_CLTS:
        cr->access = CR_CLTS;
        return true;
    case INSN_OP_LMSW:
        return decode_lmsw(vcpu, insn, cr);
    default:
        return false;
    }
}

/* SMSW stores 16 bits in memory, and as many as its operand has in a register. */
static enum exit_action store_msw(struct vcpu *vcpu, const struct insn *insn)
{
    uint64_t value = backend->get_reg(vcpu, VCPU_CR0);
    uint64_t mask = insn->operand_size == 2 ? 0xffff : ~0ull;

    if (insn->dst.kind != INSN_OPERAND_REG)
        return emul_mem_write(vcpu, insn->mem.segment, operand_offset(vcpu, insn), 2, value) == 0
                   ? ACTION_ADVANCE
                   : ACTION_RESUME;
    vcpu_write_gpr(vcpu, insn->dst.reg,
                   (vcpu_read_gpr(vcpu, insn->dst.reg) & ~mask) | (value & mask));
    return ACTION_ADVANCE;
}

/* CR8: four bits, the high half of the TPR. */
static bool set_cr8(struct vcpu *vcpu, uint64_t value)
{
    if (value > 15)
        return false;
    vlapic_set_cr8(&vcpu->lapic, (uint8_t)value);
    vcpu->check_events = true;
    return true;
}

static bool write_cr(struct vcpu *vcpu, const struct exit_cr *cr, uint64_t value)
{
    switch (cr->cr) {
    case 0:
        return emul_write_cr0(vcpu, value);
    case 4:
        return emul_write_cr4(vcpu, value);
    case 8:
        return set_cr8(vcpu, value);
    default:
        return false;
    }
}

static uint64_t read_cr(const struct vcpu *vcpu, unsigned int cr)
{
    switch (cr) {
    case 0:
        return backend->get_reg(vcpu, VCPU_CR0);
    case 3:
        return backend->get_reg(vcpu, VCPU_CR3);
    case 4:
        return backend->get_reg(vcpu, VCPU_CR4);
    default:
        return vlapic_get_cr8(&vcpu->lapic);
    }
}

/* LMSW sets or clears MP, EM and TS, and can set PE but not clear it. */
static uint64_t lmsw_value(const struct vcpu *vcpu, uint16_t source)
{
    uint64_t old = backend->get_reg(vcpu, VCPU_CR0);

    return (old & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS)) |
           (source & (CR0_PE | CR0_MP | CR0_EM | CR0_TS));
}

static bool access_cr(struct vcpu *vcpu, const struct exit_cr *cr)
{
    uint64_t mask = vcpu_is_64bit(vcpu) ? ~0ull : UINT32_MAX;

    switch ((enum cr_access)cr->access) {
    case CR_READ:
        vcpu_write_gpr(vcpu, cr->gpr, read_cr(vcpu, cr->cr) & mask);
        return true;
    case CR_WRITE:
        return write_cr(vcpu, cr, vcpu_read_gpr(vcpu, cr->gpr) & mask);
    case CR_CLTS:
        return emul_write_cr0(vcpu, backend->get_reg(vcpu, VCPU_CR0) & ~(uint64_t)CR0_TS);
    case CR_LMSW:
        return emul_write_cr0(vcpu, lmsw_value(vcpu, cr->lmsw));
    }
    return false;
}

enum exit_action emul_cr(struct vcpu *vcpu, const struct vm_exit *exit)
{
    struct exit_cr cr = exit->cr;
    struct insn insn;

    if (!cr.decoded) {
        if (emul_decode(vcpu, &insn) != 0)
            return ACTION_RESUME;
        if (insn.op == INSN_OP_SMSW)
            return store_msw(vcpu, &insn);
        if (!decode_cr(vcpu, &insn, &cr))
            return ACTION_RESUME;
    }
    if (access_cr(vcpu, &cr))
        return ACTION_ADVANCE;
    inject_gp(vcpu, 0);
    return ACTION_RESUME;
}

/* The registers are the guest's from its first use of them on: execute the instruction again. */
enum exit_action emul_dr(struct vcpu *vcpu, const struct vm_exit *exit)
{
    vcpu_use_debug_registers(vcpu);
    return ACTION_RESUME;
}

/* SDM, "XSETBV": which sets of components may be on together. */
static bool xcr0_legal(uint64_t value)
{
    if (value & ~fpu_host_mask())
        return false;
    if (!(value & XCR0_X87) || ((value & XCR0_AVX) && !(value & XCR0_SSE)))
        return false;
    if ((value & XCR0_AVX512) && ((value & XCR0_AVX512) != XCR0_AVX512 || !(value & XCR0_AVX)))
        return false;
    return !(value & XCR0_MPX) || (value & XCR0_MPX) == XCR0_MPX;
}

enum exit_action emul_xsetbv(struct vcpu *vcpu, const struct vm_exit *exit)
{
    uint64_t value = vcpu_edx_eax(vcpu);

    if (!(backend->get_reg(vcpu, VCPU_CR4) & CR4_OSXSAVE)) {
        inject_ud(vcpu);
        return ACTION_RESUME;
    }
    if (vcpu_cpl(vcpu) != 0 || (uint32_t)vcpu->gprs.r[GPR_RCX] != 0 || !xcr0_legal(value)) {
        inject_gp(vcpu, 0);
        return ACTION_RESUME;
    }
    xsetbv(0, value); /* the vCPU is loaded: the hardware's XCR0 is its own */
    vcpu->fpu.xcr0 = value;
    return ACTION_ADVANCE;
}
