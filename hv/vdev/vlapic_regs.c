/* SPDX-License-Identifier: MIT */
/*
 * The registers of the virtual local APIC, as MSRs (x2APIC) and as a page (xAPIC), and
 * IA32_APIC_BASE, which chooses between the two.
 */
#include "hv/vdev/vlapic.h"

#include "arch/x86/msr.h"
#include "hv/layout.h"
#include "hv/util.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vdev/vlapic_internal.h"

#include <stddef.h>

#define LVT_READ_ONLY (APIC_LVT_STATUS | APIC_LVT_REMOTE_IRR)
#define LVT_PLAIN     (APIC_LVT_VECTOR | APIC_LVT_STATUS | APIC_LVT_MASKED)
#define LVT_SENSOR    (LVT_PLAIN | APIC_LVT_MODE)
#define LVT_PIN       (LVT_SENSOR | APIC_LVT_POLARITY | APIC_LVT_REMOTE_IRR | APIC_LVT_LEVEL)
#define ICR_LOW                                                                              \
    (APIC_ICR_VECTOR | APIC_ICR_MODE | APIC_ICR_LOGICAL | APIC_ICR_ASSERT | APIC_ICR_LEVEL | \
     APIC_ICR_SHORTHAND)

/*
 * What may be done with each register.  In x2APIC mode whatever the table does not allow is #GP;
 * the page ignores what is not writable, and notes an illegal address where there is no register.
 */
enum access {
    XAPIC = 1,
    X2APIC_READ = 2,
    X2APIC_WRITE = 4,
    RO = XAPIC | X2APIC_READ,
    WO = XAPIC | X2APIC_WRITE,
    RW = RO | WO,
};

static const struct rule {
    uint8_t access;
    uint64_t bits; /* that may be set by a write; the read-only ones of LVT entries included */
} rules[APIC_REGISTERS] = {
    [APIC_ID] = {RO, 0},
    [APIC_VERSION] = {RO, 0},
    [APIC_TPR] = {RW, 0xff},
    [APIC_APR] = {XAPIC, 0},
    [APIC_PPR] = {RO, 0},
    [APIC_EOI] = {WO, 0},
    [APIC_RRD] = {XAPIC, 0},
    [APIC_LDR] = {RO, 0xff000000},
    [APIC_DFR] = {XAPIC, APIC_DFR_MODEL},
    [APIC_SVR] = {RW, APIC_SVR_VECTOR | APIC_SVR_ENABLE | APIC_SVR_FOCUS},
    [APIC_ISR0... APIC_IRR7] = {RO, 0},
    [APIC_ESR] = {RW, 0},
    [APIC_ICR] = {RW, ICR_LOW | APIC_ICR_DESTINATION},
    [APIC_ICR2] = {XAPIC, 0xff000000},
    [APIC_LVT_TIMER] = {RW, LVT_PLAIN | APIC_LVT_TIMER_MODE},
    [APIC_LVT_THERMAL] = {RW, LVT_SENSOR},
    [APIC_LVT_PMC] = {RW, LVT_SENSOR},
    [APIC_LVT_LINT0] = {RW, LVT_PIN},
    [APIC_LVT_LINT1] = {RW, LVT_PIN},
    [APIC_LVT_ERROR] = {RW, LVT_PLAIN},
    [APIC_TMICT] = {RW, 0xffffffff},
    [APIC_TMCCT] = {RO, 0},
    [APIC_TDCR] = {RW, 0xb},
    [APIC_SELF_IPI] = {X2APIC_WRITE, 0xff},
};

/* ---- Sending -------------------------------------------------------------------------------- */

/* Since the Pentium 4 all IPIs but INIT are edge-triggered, and de-asserting INIT does nothing. */
static bool is_sent(uint32_t icr)
{
    const uint32_t deassert = APIC_ICR_LEVEL | APIC_ICR_ASSERT;

    switch (BITS(icr, 10, 8)) {
    case 3:
    case APIC_DELIVER_EXTINT:
        return false; /* reserved */
    case APIC_DELIVER_INIT:
        return (icr & deassert) != APIC_ICR_LEVEL;
    }
    return true;
}

/* Out of line, to keep its message off the stack of the frequent writes. */
static __attribute__((noinline)) void send_ipi(struct vlapic *vlapic)
{
    uint32_t icr = (uint32_t)vlapic->icr;
    bool x2apic = vlapic_is_x2apic(vlapic);
    struct apic_message message = {
        .destination = (uint32_t)(vlapic->icr >> (x2apic ? 32 : 56)),
        .source = vlapic->id,
        .vector = (uint8_t)icr,
        .delivery_mode = BITS(icr, 10, 8),
        .shorthand = BITS(icr, 19, 18),
        .logical = (icr & APIC_ICR_LOGICAL) != 0,
        .x2apic = x2apic,
    };

    if (!is_sent(icr))
        return;
    if (message.vector < APIC_FIRST_VECTOR && message.delivery_mode <= APIC_DELIVER_LOWEST)
        vlapic_report_error(vlapic, APIC_ESR_SEND_VECTOR);
    else if (message.delivery_mode == APIC_DELIVER_FIXED && message.shorthand == APIC_TO_SELF)
        vlapic_post(vlapic, message.vector, false);
    else
        vlapic->ops.send_ipi(vlapic->ops.ctx, &message);
}

static void send_self(struct vlapic *vlapic, uint8_t vector)
{
    if (vector < APIC_FIRST_VECTOR)
        vlapic_report_error(vlapic, APIC_ESR_SEND_VECTOR);
    vlapic_post(vlapic, vector, false);
}

/* ---- Registers ------------------------------------------------------------------------------- */

uint32_t vlapic_isr(const struct vlapic *vlapic, unsigned int word)
{
    uint32_t bits = 0;

    for (unsigned int i = 1; i <= vlapic->depth; i++) {
        if (vlapic->in_service[i] / 32 == word)
            bits |= 1u << (vlapic->in_service[i] % 32);
    }
    return bits;
}

uint32_t vlapic_bits(const uint64_t *bits, unsigned int word)
{
    return (uint32_t)(__atomic_load_n(&bits[word / 2], __ATOMIC_RELAXED) >> (word % 2 * 32));
}

uint32_t vlapic_register(const struct vlapic *vlapic, unsigned int reg)
{
    if (unlikely(vlapic_is_lent(vlapic, reg)))
        return vlapic_lent_register(vlapic, reg);
    switch (reg) {
    case APIC_ID:
        return vlapic_is_x2apic(vlapic) ? vlapic->id : vlapic->id << 24;
    case APIC_VERSION:
        return APIC_VERSION_VALUE;
    case APIC_TPR:
        return vlapic->tpr;
    case APIC_PPR:
        return vlapic->ppr;
    case APIC_LDR:
        return vlapic_is_x2apic(vlapic) ? vlapic_x2apic_ldr(vlapic) : vlapic->ldr;
    case APIC_DFR:
        return vlapic->dfr;
    case APIC_SVR:
        return vlapic->svr;
    case APIC_ISR0 ... APIC_ISR7:
        return vlapic_isr(vlapic, reg - APIC_ISR0);
    case APIC_TMR0 ... APIC_TMR7:
        return vlapic_bits(vlapic->tmr, reg - APIC_TMR0);
    case APIC_IRR0 ... APIC_IRR7:
        return vlapic_bits(vlapic->irr, reg - APIC_IRR0);
    case APIC_ESR:
        return vlapic->esr;
    case APIC_ICR:
        return (uint32_t)vlapic->icr;
    case APIC_ICR2:
        return (uint32_t)(vlapic->icr >> 32);
    case APIC_LVT_TIMER ... APIC_LVT_ERROR:
        return vlapic->lvt[VLAPIC_LVT(reg)];
    case APIC_TMICT:
        return vlapic->initial_count;
    case APIC_TMCCT:
        return vlapic_timer_current(vlapic);
    case APIC_TDCR:
        return vlapic->divide_config;
    }
    return 0;
}

/* While software has the APIC disabled every entry stays masked. */
static void write_lvt(struct vlapic *vlapic, unsigned int reg, uint32_t value)
{
    value &= ~LVT_READ_ONLY;
    if (!(vlapic->svr & APIC_SVR_ENABLE))
        value |= APIC_LVT_MASKED;
    if (reg == APIC_LVT_TIMER)
        vlapic_timer_write_lvt(vlapic, value);
    else
        __atomic_store_n(&vlapic->lvt[VLAPIC_LVT(reg)], value, __ATOMIC_RELAXED);
}

static void write_svr(struct vlapic *vlapic, uint32_t value)
{
    __atomic_store_n(&vlapic->svr, value, __ATOMIC_RELAXED);
    if (value & APIC_SVR_ENABLE)
        return;
    for (unsigned int reg = APIC_LVT_TIMER; reg <= APIC_LVT_ERROR; reg++)
        write_lvt(vlapic, reg, vlapic->lvt[VLAPIC_LVT(reg)]);
}

/* The value has no bit that the register's rule does not allow. */
void vlapic_write_register(struct vlapic *vlapic, unsigned int reg, uint64_t value)
{
    switch (reg) {
    case APIC_TPR:
        vlapic_set_tpr(vlapic, (uint8_t)value);
        break;
    case APIC_EOI:
        vlapic_eoi(vlapic);
        break;
    case APIC_LDR:
        __atomic_store_n(&vlapic->ldr, (uint32_t)value, __ATOMIC_RELAXED);
        break;
    case APIC_DFR:
        __atomic_store_n(&vlapic->dfr, (uint32_t)value | ~APIC_DFR_MODEL, __ATOMIC_RELAXED);
        break;
    case APIC_SVR:
        write_svr(vlapic, (uint32_t)value);
        break;
    case APIC_ESR:
        vlapic->esr = __atomic_exchange_n(&vlapic->esr_latch, 0, __ATOMIC_RELAXED);
        break;
    case APIC_ICR:
        vlapic->icr =
            vlapic_is_x2apic(vlapic) ? value : (vlapic->icr & APIC_ICR_DESTINATION) | value;
        send_ipi(vlapic);
        break;
    case APIC_ICR2:
        vlapic->icr = (uint32_t)vlapic->icr | value << 32;
        break;
    case APIC_LVT_TIMER ... APIC_LVT_ERROR:
        write_lvt(vlapic, reg, (uint32_t)value);
        break;
    case APIC_TMICT:
        vlapic_timer_write_initial(vlapic, (uint32_t)value);
        break;
    case APIC_TDCR:
        vlapic_timer_write_divide(vlapic, (uint32_t)value);
        break;
    case APIC_SELF_IPI:
        send_self(vlapic, (uint8_t)value);
        break;
    }
}

void vlapic_virtual_wire(struct vlapic *vlapic)
{
    write_svr(vlapic, 0xff | APIC_SVR_ENABLE);
    write_lvt(vlapic, APIC_LVT_LINT0, APIC_DELIVER_EXTINT << 8);
    write_lvt(vlapic, APIC_LVT_LINT1, APIC_DELIVER_NMI << 8);
}

/* ---- MSRs and the page ------------------------------------------------------------------------
 */

/*
 * Disabled, xAPIC and x2APIC follow each other in this order; from x2APIC there is only the way to
 * disabled.  Being disabled loses the state, as after RESET.
 */
static bool write_base(struct vlapic *vlapic, uint64_t value)
{
    uint64_t from = vlapic_mode(vlapic), to = value & VLAPIC_MODES;

    if ((value & ~(VLAPIC_MODES | APIC_BASE_BSP)) != LAYOUT_LAPIC_BASE || to == APIC_BASE_X2APIC)
        return false;
    if (to == VLAPIC_MODES && from == 0)
        return false;
    if (to == APIC_BASE_ENABLE && from == VLAPIC_MODES)
        return false;
    __atomic_store_n(&vlapic->base, value, __ATOMIC_RELAXED);
    if (to == 0)
        vlapic_signal_init(vlapic);
    return true;
}

static bool read_x2apic(const struct vlapic *vlapic, unsigned int reg, uint64_t *value)
{
    if (!vlapic_is_x2apic(vlapic) || !(rules[reg].access & X2APIC_READ))
        return false;
    *value = reg == APIC_ICR ? vlapic->icr : vlapic_register(vlapic, reg);
    return true;
}

static bool write_x2apic(struct vlapic *vlapic, unsigned int reg, uint64_t value)
{
    if (!vlapic_is_x2apic(vlapic) || !(rules[reg].access & X2APIC_WRITE))
        return false;
    if ((value & ~rules[reg].bits) != 0)
        return false;
    vlapic_write_register(vlapic, reg, value);
    if (vlapic->lent)
        vlapic_show(vlapic, reg);
    return true;
}

bool vlapic_read_msr(const struct vlapic *vlapic, uint32_t msr, uint64_t *value)
{
    uint32_t reg = msr - MSR_X2APIC_FIRST;

    if (reg < APIC_REGISTERS)
        return read_x2apic(vlapic, reg, value);
    if (msr == MSR_TSC_DEADLINE)
        *value = vlapic_timer_read_deadline(vlapic);
    else if (msr == MSR_APIC_BASE)
        *value = vlapic->base;
    else
        return false;
    return true;
}

bool vlapic_write_msr(struct vlapic *vlapic, uint32_t msr, uint64_t value)
{
    uint32_t reg = msr - MSR_X2APIC_FIRST;

    if (reg < APIC_REGISTERS)
        return write_x2apic(vlapic, reg, value);
    if (msr == MSR_APIC_BASE)
        return write_base(vlapic, value);
    if (msr != MSR_TSC_DEADLINE)
        return false;
    vlapic_timer_write_deadline(vlapic, value);
    return true;
}

/* The register's four bytes are followed by twelve that read 0. */
uint64_t vlapic_mmio_read(struct vlapic *vlapic, uint64_t offset, uint8_t size)
{
    unsigned int reg = BITS(offset, 11, 4), byte = BITS(offset, 3, 0);

    if (vlapic_mode(vlapic) != APIC_BASE_ENABLE)
        return UINT64_MAX;
    if (reg >= APIC_REGISTERS || !(rules[reg].access & XAPIC)) {
        vlapic_report_error(vlapic, APIC_ESR_REGISTER);
        return 0;
    }
    if (byte >= 4)
        return 0;
    uint64_t value = vlapic_register(vlapic, reg) >> (byte * 8);
    return size >= 4 ? value : value & (BIT(size * 8) - 1);
}

/* Only whole registers are written; other sizes are undefined by the manuals, and ignored here. */
void vlapic_mmio_write(struct vlapic *vlapic, uint64_t offset, uint8_t size, uint64_t value)
{
    unsigned int reg = BITS(offset, 11, 4);

    if (vlapic_mode(vlapic) != APIC_BASE_ENABLE || size != 4 || BITS(offset, 3, 0) != 0)
        return;
    if (reg >= APIC_REGISTERS || !(rules[reg].access & XAPIC))
        vlapic_report_error(vlapic, APIC_ESR_REGISTER);
    else
        vlapic_write_register(vlapic, reg, (uint32_t)value & rules[reg].bits);
}
