/* SPDX-License-Identifier: MIT */
/*
 * The local APIC lent to the CPU, by way of a page with its registers (SDM, "Virtual-APIC Page"):
 * register n at n * 16.  Of these TPR, PPR, ISR and IRR are the CPU's as long as it is lent; the
 * others are shown there, and change by exits only.  TMR is what the CPU was told last.
 *
 * In x2APIC mode only.  The page of xAPIC mode would have to be mapped where the guest has its
 * local APIC, for all its CPUs whatever their modes are, though there is nothing in x2APIC mode.
 */
#include "hv/vdev/vlapic.h"

#include "hv/addr.h"
#include "hv/string.h"
#include "hv/util.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vdev/vlapic_internal.h"

#define CLASS(vector) ((vector)&0xf0u)

/* Of IRR, ISR or TMR, 64 vectors. */
static uint64_t read_vectors(const struct vlapic *vlapic, unsigned int first_reg, unsigned int word)
{
    return *vlapic_at(vlapic, first_reg + 2 * word) |
           (uint64_t)*vlapic_at(vlapic, first_reg + 2 * word + 1) << 32;
}

static void write_vectors(struct vlapic *vlapic, unsigned int first_reg, unsigned int word,
                          uint64_t vectors)
{
    *vlapic_at(vlapic, first_reg + 2 * word) = (uint32_t)vectors;
    *vlapic_at(vlapic, first_reg + 2 * word + 1) = (uint32_t)(vectors >> 32);
}

/* ---- What is whose --------------------------------------------------------------------------- */

static bool is_shown(unsigned int reg)
{
    switch (reg) {
    case APIC_ID:
    case APIC_VERSION:
    case APIC_LDR:
    case APIC_SVR:
    case APIC_ESR:
    case APIC_ICR:
    case APIC_LVT_TIMER ... APIC_LVT_ERROR:
    case APIC_TMICT:
    case APIC_TDCR:
        return true;
    }
    return false;
}

bool vlapic_is_lent(const struct vlapic *vlapic, unsigned int reg)
{
    return vlapic->lent &&
           (reg == APIC_TPR || reg == APIC_PPR || (reg >= APIC_ISR0 && reg <= APIC_ISR7) ||
            (reg >= APIC_IRR0 && reg <= APIC_IRR7));
}

bool vlapic_page_reads(unsigned int reg)
{
    return is_shown(reg) || reg == APIC_TPR || reg == APIC_PPR ||
           (reg >= APIC_ISR0 && reg <= APIC_IRR7);
}

bool vlapic_page_writes(unsigned int reg)
{
    return reg == APIC_TPR || reg == APIC_EOI || reg == APIC_SELF_IPI;
}

static void show_one(struct vlapic *vlapic, unsigned int reg)
{
    uint32_t *at = vlapic_at(vlapic, reg);

    at[0] = vlapic_register(vlapic, reg);
    if (reg == APIC_ICR)
        at[1] = (uint32_t)(vlapic->icr >> 32);
}

/* A write to most registers is rare, and may change others too: SVR all LVT entries. */
void vlapic_show(struct vlapic *vlapic, unsigned int reg)
{
    if (reg == APIC_ICR) {
        show_one(vlapic, reg);
        return;
    }
    for (reg = 0; reg < APIC_REGISTERS; reg++)
        if (is_shown(reg))
            show_one(vlapic, reg);
}

uint32_t vlapic_lent_register(const struct vlapic *vlapic, unsigned int reg)
{
    uint32_t value = *vlapic_at(vlapic, reg);

    if (reg >= APIC_IRR0 && reg <= APIC_IRR7)
        value |= vlapic_bits(vlapic->irr, reg - APIC_IRR0);
    return value;
}

/* ---- Lending --------------------------------------------------------------------------------- */

bool vlapic_can_lend(const struct vlapic *vlapic)
{
    return vlapic->page != NULL && !vlapic->lent && vlapic_is_x2apic(vlapic);
}

struct vlapic_status vlapic_lend(struct vlapic *vlapic)
{
    struct vlapic_status status = {.in_service = vlapic->in_service[vlapic->depth]};

    memset(vlapic->page, 0, PAGE_SIZE);
    vlapic_show(vlapic, APIC_ID);
    *vlapic_at(vlapic, APIC_TPR) = vlapic->tpr;
    *vlapic_at(vlapic, APIC_PPR) = vlapic->ppr;
    for (unsigned int word = 0; word < 8; word++)
        *vlapic_at(vlapic, APIC_ISR0 + word) = vlapic_isr(vlapic, word);
    vlapic->depth = 0;
    vlapic_feed(vlapic, &status.requested);
    __atomic_store_n(&vlapic->lent, true, __ATOMIC_RELEASE);
    return status;
}

/* Who posts sets the vector's bit of tmr before that of irr. */
static bool feed_word(struct vlapic *vlapic, unsigned int word, uint8_t *requested)
{
    uint64_t posted = __atomic_exchange_n(&vlapic->irr[word], 0, __ATOMIC_SEQ_CST);
    uint64_t level = __atomic_load_n(&vlapic->tmr[word], __ATOMIC_RELAXED);

    if (posted != 0) {
        unsigned int highest = word * 64 + 63 - (unsigned int)__builtin_clzll(posted);

        write_vectors(vlapic, APIC_IRR0, word, read_vectors(vlapic, APIC_IRR0, word) | posted);
        *requested = (uint8_t)MAX(*requested, highest);
    }
    if (likely(level == read_vectors(vlapic, APIC_TMR0, word)))
        return false;
    write_vectors(vlapic, APIC_TMR0, word, level);
    return true;
}

bool vlapic_feed(struct vlapic *vlapic, uint8_t *requested)
{
    bool tmr_changed = false;

    for (unsigned int word = 0; word < ARRAY_SIZE(vlapic->irr); word++)
        tmr_changed |= feed_word(vlapic, word, requested);
    return tmr_changed;
}

bool vlapic_lent_pending(const struct vlapic *vlapic, uint8_t requested)
{
    return CLASS(requested) > CLASS(*vlapic_at(vlapic, APIC_PPR));
}

void vlapic_level_vectors(const struct vlapic *vlapic, uint64_t vectors[4])
{
    for (unsigned int word = 0; word < 4; word++)
        vectors[word] = read_vectors(vlapic, APIC_TMR0, word);
}

struct vlapic_status vlapic_undeliver(struct vlapic *vlapic, uint8_t vector)
{
    struct vlapic_status status = {.requested = vector};

    *vlapic_at(vlapic, APIC_ISR0 + vector / 32) &= ~(1u << vector % 32);
    *vlapic_at(vlapic, APIC_IRR0 + vector / 32) |= 1u << vector % 32;
    for (unsigned int word = 0; word < 8; word++) {
        uint32_t bits = *vlapic_at(vlapic, APIC_ISR0 + word);

        if (bits != 0)
            status.in_service = (uint8_t)(word * 32 + 31 - (unsigned int)__builtin_clz(bits));
    }
    return status;
}

/* Of the writes that it performs by itself the CPU leaves this one alone, where the vector is
 * illegal. */
void vlapic_page_written(struct vlapic *vlapic, unsigned int offset)
{
    if (offset == APIC_SELF_IPI * 16)
        vlapic_write_register(vlapic, APIC_SELF_IPI, (uint8_t)*vlapic_at(vlapic, APIC_SELF_IPI));
}
