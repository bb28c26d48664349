/* SPDX-License-Identifier: MIT */
/*
 * The virtual local APIC: what is pending, in service and next, and which messages it takes.  The
 * registers are in vlapic_regs.c, the timer is in vlapic_timer.c.
 */
#include "hv/vdev/vlapic.h"

#include "hv/layout.h"
#include "hv/util.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vdev/vlapic_internal.h"

#include <stddef.h>

#define CLASS(vector) ((vector)&0xf0u) /* the priority class of a vector, of TPR and of PPR */

/* ---- Interrupts ------------------------------------------------------------------------------ */

/* An APIC that software has disabled loses interrupts, but keeps and delivers those it has. */
static bool takes_interrupts(const struct vlapic *vlapic)
{
    uint32_t svr = __atomic_load_n(&vlapic->svr, __ATOMIC_RELAXED);

    return (svr & APIC_SVR_ENABLE) != 0 && (vlapic_mode(vlapic) & APIC_BASE_ENABLE) != 0;
}

static void update_ppr(struct vlapic *vlapic)
{
    uint8_t in_service = vlapic->in_service[vlapic->depth];
    uint8_t ppr = vlapic->tpr;

    if (CLASS(ppr) < CLASS(in_service))
        ppr = (uint8_t)CLASS(in_service);
    __atomic_store_n(&vlapic->ppr, ppr, __ATOMIC_RELAXED);
}

static bool set_irr(struct vlapic *vlapic, uint8_t vector, bool level)
{
    uint64_t bit = BIT(vector % 64);
    uint64_t *tmr = &vlapic->tmr[vector / 64];

    /* A vector seldom changes its trigger mode: look before locking the bus. */
    if (((__atomic_load_n(tmr, __ATOMIC_RELAXED) & bit) != 0) != level)
        __atomic_fetch_xor(tmr, bit, __ATOMIC_RELAXED);
    return (__atomic_fetch_or(&vlapic->irr[vector / 64], bit, __ATOMIC_SEQ_CST) & bit) == 0;
}

/* A new error raises the error interrupt, unless that too is illegal. */
bool vlapic_report_error(struct vlapic *vlapic, uint32_t error)
{
    uint32_t lvt = __atomic_load_n(&vlapic->lvt[VLAPIC_LVT(APIC_LVT_ERROR)], __ATOMIC_RELAXED);
    uint32_t old = __atomic_fetch_or(&vlapic->esr_latch, error, __ATOMIC_RELAXED);
    uint8_t vector = (uint8_t)lvt;

    if ((old & error) != 0 || (lvt & APIC_LVT_MASKED))
        return false;
    if (vector < APIC_FIRST_VECTOR) {
        __atomic_fetch_or(&vlapic->esr_latch, APIC_ESR_RECEIVE_VECTOR, __ATOMIC_RELAXED);
        return false;
    }
    return set_irr(vlapic, vector, false);
}

bool vlapic_post(struct vlapic *vlapic, uint8_t vector, bool level)
{
    if (!takes_interrupts(vlapic))
        return false;
    if (vector < APIC_FIRST_VECTOR)
        return vlapic_report_error(vlapic, APIC_ESR_RECEIVE_VECTOR);
    return set_irr(vlapic, vector, level);
}

static uint64_t irr_word(const struct vlapic *vlapic, unsigned int word)
{
    return __atomic_load_n(&vlapic->irr[word], __ATOMIC_RELAXED);
}

/* The highest bit of IRR or 0, which no interrupt has. */
static unsigned int highest_request(const struct vlapic *vlapic)
{
    for (unsigned int i = ARRAY_SIZE(vlapic->irr); i-- > 0;) {
        uint64_t word = irr_word(vlapic, i);

        if (word != 0)
            return i * 64 + 63 - (unsigned int)__builtin_clzll(word);
    }
    return 0;
}

bool vlapic_has_posted(const struct vlapic *vlapic)
{
    return (irr_word(vlapic, 0) | irr_word(vlapic, 1) | irr_word(vlapic, 2) |
            irr_word(vlapic, 3)) != 0;
}

/* Asked before every entry, and most of the time there is nothing. */
int vlapic_pending(const struct vlapic *vlapic)
{
    if (!vlapic_has_posted(vlapic))
        return -1;
    unsigned int vector = highest_request(vlapic);
    return CLASS(vector) > CLASS(vlapic->ppr) ? (int)vector : -1;
}

void vlapic_accept(struct vlapic *vlapic, uint8_t vector)
{
    __atomic_fetch_and(&vlapic->irr[vector / 64], ~BIT(vector % 64), __ATOMIC_SEQ_CST);
    vlapic->depth = (uint8_t)((vlapic->depth + 1) % VLAPIC_NESTING_LIMIT);
    vlapic->in_service[vlapic->depth] = vector;
    update_ppr(vlapic);
}

static bool is_level(const struct vlapic *vlapic, uint8_t vector)
{
    return __atomic_load_n(&vlapic->tmr[vector / 64], __ATOMIC_RELAXED) & BIT(vector % 64);
}

void vlapic_eoi(struct vlapic *vlapic)
{
    uint8_t vector = vlapic->in_service[vlapic->depth];

    if (vlapic->depth == 0)
        return;
    vlapic->depth--;
    update_ppr(vlapic);
    if (unlikely(is_level(vlapic, vector)))
        vlapic_eoi_seen(vlapic, vector);
}

void vlapic_eoi_seen(struct vlapic *vlapic, uint8_t vector)
{
    vlapic->ops.eoi(vlapic->ops.ctx, vector);
}

bool vlapic_eoi_can_wait(const struct vlapic *vlapic)
{
    return vlapic->depth != 0 && !is_level(vlapic, vlapic->in_service[vlapic->depth]) &&
           !vlapic_has_posted(vlapic);
}

uint8_t vlapic_get_tpr(const struct vlapic *vlapic)
{
    return vlapic->tpr;
}

void vlapic_set_tpr(struct vlapic *vlapic, uint8_t tpr)
{
    vlapic->tpr = tpr;
    update_ppr(vlapic);
}

/* ---- Messages -------------------------------------------------------------------------------- */

static bool matches_logical(const struct vlapic *vlapic, uint32_t destination)
{
    uint32_t dfr = __atomic_load_n(&vlapic->dfr, __ATOMIC_RELAXED);
    uint32_t ldr = __atomic_load_n(&vlapic->ldr, __ATOMIC_RELAXED) >> 24;

    if (vlapic_mode(vlapic) & APIC_BASE_X2APIC) {
        ldr = vlapic_x2apic_ldr(vlapic);
        return ldr >> 16 == destination >> 16 && (ldr & destination & 0xffff) != 0;
    }
    if (dfr >> 28 == APIC_DFR_FLAT >> 28)
        return destination <= 0xff && (ldr & destination) != 0;
    return ldr >> 4 == destination >> 4 && (ldr & destination & 0xf) != 0;
}

bool vlapic_matches(const struct vlapic *vlapic, const struct apic_message *message)
{
    if (vlapic_mode(vlapic) == 0)
        return false;
    switch (message->shorthand) {
    case APIC_TO_SELF:
        return message->source == vlapic->id;
    case APIC_TO_ALL:
        return true;
    case APIC_TO_OTHERS:
        return message->source != vlapic->id;
    }
    if (message->destination == (message->x2apic ? 0xffffffff : 0xff))
        return true;
    if (message->logical)
        return matches_logical(vlapic, message->destination);
    return message->destination == vlapic->id;
}

/* The PPR of any vCPU's. */
static unsigned int ppr_of(const struct vlapic *vlapic)
{
    if (__atomic_load_n(&vlapic->lent, __ATOMIC_RELAXED))
        return __atomic_load_n(vlapic_at(vlapic, APIC_PPR), __ATOMIC_RELAXED);
    return __atomic_load_n(&vlapic->ppr, __ATOMIC_RELAXED);
}

struct vlapic *vlapic_arbitrate(struct vlapic *const vlapics[], unsigned int count,
                                const struct apic_message *message, uint32_t *rotor)
{
    unsigned int start = __atomic_load_n(rotor, __ATOMIC_RELAXED), winner = 0;
    unsigned int lowest = 0x100;

    for (unsigned int i = 0; i < count; i++) {
        unsigned int at = (start + i) % count;
        unsigned int ppr = ppr_of(vlapics[at]);

        if (CLASS(ppr) < lowest && takes_interrupts(vlapics[at]) &&
            vlapic_matches(vlapics[at], message)) {
            lowest = CLASS(ppr);
            winner = at;
        }
    }
    if (lowest == 0x100)
        return NULL;
    __atomic_store_n(rotor, winner + 1, __ATOMIC_RELAXED);
    return vlapics[winner];
}

/* ---- State and pins -------------------------------------------------------------------------- */

bool vlapic_enabled(const struct vlapic *vlapic)
{
    return vlapic_mode(vlapic) != 0;
}

bool vlapic_accepts_pic(const struct vlapic *vlapic)
{
    uint32_t lvt = vlapic->lvt[VLAPIC_LVT(APIC_LVT_LINT0)];

    return !vlapic_enabled(vlapic) ||
           (lvt & (APIC_LVT_MASKED | APIC_LVT_MODE)) == APIC_DELIVER_EXTINT << 8;
}

bool vlapic_lint1_nmi(const struct vlapic *vlapic)
{
    uint32_t lvt = vlapic->lvt[VLAPIC_LVT(APIC_LVT_LINT1)];

    return (lvt & (APIC_LVT_MASKED | APIC_LVT_MODE)) == APIC_DELIVER_NMI << 8;
}

/* ---- Reset ----------------------------------------------------------------------------------- */

static void clear_bits(uint64_t bits[4])
{
    for (unsigned int i = 0; i < 4; i++)
        __atomic_store_n(&bits[i], 0, __ATOMIC_RELAXED);
}

void vlapic_signal_init(struct vlapic *vlapic)
{
    __atomic_store_n(&vlapic->lent, false, __ATOMIC_RELAXED);
    vlapic->svr = 0xff;
    vlapic->ldr = 0;
    vlapic->dfr = ~0u;
    for (unsigned int i = 0; i < VLAPIC_LVTS; i++)
        vlapic->lvt[i] = APIC_LVT_MASKED;
    vlapic_timer_reset(vlapic);
    vlapic->depth = 0;
    vlapic_set_tpr(vlapic, 0);
    vlapic->icr = 0;
    vlapic->esr = 0;
    vlapic->esr_latch = 0;
    clear_bits(vlapic->irr);
    clear_bits(vlapic->tmr);
}

void vlapic_reset(struct vlapic *vlapic)
{
    vlapic->base = LAYOUT_LAPIC_BASE | APIC_BASE_ENABLE | (vlapic->bsp ? APIC_BASE_BSP : 0);
    vlapic_signal_init(vlapic);
}

void vlapic_init(struct vlapic *vlapic, uint32_t id, bool bsp, const struct vlapic_ops *ops)
{
    *vlapic = (struct vlapic){.id = id, .bsp = bsp, .alarm_ns = VTIMER_OFF, .ops = *ops};
    vlapic_reset(vlapic);
}
