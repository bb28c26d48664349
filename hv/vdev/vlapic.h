/* SPDX-License-Identifier: MIT */
/*
 * The local APIC of one vCPU: as a page (xAPIC) and as MSRs (x2APIC), with its timer.
 *
 * Any CPU may call vlapic_post(), vlapic_matches() and vlapic_arbitrate(); everything else is for
 * the CPU that runs the vCPU, or for whoever holds a vCPU that does not run.
 *
 * Where the CPU virtualizes APICs one is lent to it while it is in x2APIC mode: see vlapic_lend().
 *
 * Not modelled: a page elsewhere than FEE00000h (#GP), writing the APIC id, remote read, CMCI,
 * suppression of the EOI broadcast, and LINT0 for anything but the 8259's ExtINT.
 */
#pragma once

#include "arch/x86/msr.h"
#include "hv/vdev/apic_message.h"
#include "hv/vdev/vdev.h"

#include <stdbool.h>
#include <stdint.h>

/* The APIC bus runs at 1 GHz: with a divisor of 1 the timer counts nanoseconds. */
#define VLAPIC_BUS_HZ 1000000000u
/* The alarm of a periodic timer comes no more often; what is shorter merges, and keeps its phase.
 */
#define VLAPIC_MIN_PERIOD_NS 100000u

#define VLAPIC_LVTS          6 /* from LVT_TIMER to LVT_ERROR */
#define VLAPIC_NESTING_LIMIT 16

struct vlapic_ops {
    void *ctx;
    struct vclock clock;
    struct vtimer timer; /* expiry: vlapic_tick() */
    /* The first vclock time at which the guest's TSC has reached the value; VTIMER_OFF when never.
     */
    uint64_t (*tsc_to_ns)(void *ctx, uint64_t guest_tsc);
    void (*send_ipi)(void *ctx, const struct apic_message *message);
    void (*eoi)(void *ctx, uint8_t vector); /* a level-triggered interrupt has ended */
};

/*
 * (a) any CPU, atomically   (o) once, at creation   (c) this vCPU's CPU only
 * (s) written by this vCPU's CPU, in one store; read by any
 */
struct vlapic {
    uint64_t irr[4];           /* (a) */
    uint64_t tmr[4];           /* (a) 1 = level-triggered */
    uint32_t esr_latch;        /* (a) errors since the last write to ESR */
    uint32_t id;               /* (o) */
    bool bsp;                  /* (o) */
    bool lent;                 /* (s) to the CPU: TPR, PPR, ISR and most of IRR are in the page */
    uint32_t *page;            /* (o) for lending; a null pointer: it is never lent */
    uint8_t tpr;               /* (c) */
    uint8_t ppr;               /* (s) always the one that TPR and in_service give */
    uint8_t depth;             /* (c) interrupts in service */
    uint64_t base;             /* (s) IA32_APIC_BASE */
    uint32_t svr;              /* (s) */
    uint32_t ldr;              /* (s) xAPIC mode's; in x2APIC mode it follows from the id */
    uint32_t dfr;              /* (s) */
    uint32_t lvt[VLAPIC_LVTS]; /* (s) */
    uint32_t esr;              /* (c) */
    uint64_t icr;              /* (c) */

    /*
     * (c) The ISR as a stack, [depth] on top and [0] = 0 below.  An interrupt is accepted only
     * above the priority class of those in service, so that there are at most one a class and the
     * latest is the highest.
     */
    uint8_t in_service[VLAPIC_NESTING_LIMIT];

    /* (c) The timer, see vlapic_timer.c. */
    uint32_t initial_count;
    uint32_t divide_config;
    uint64_t tsc_deadline; /* 0: none */
    uint64_t deadline_ns;  /* the next expiry, in any mode and masked or not; VTIMER_OFF: none */
    uint64_t alarm_ns;     /* what ops.timer is set to */

    struct vlapic_ops ops; /* (o) */
};

/* INIT keeps IA32_APIC_BASE, and with it the mode; RESET makes it the initial one. */
void vlapic_init(struct vlapic *vlapic, uint32_t id, bool bsp, const struct vlapic_ops *ops);
void vlapic_reset(struct vlapic *vlapic);
void vlapic_signal_init(struct vlapic *vlapic);
/* What firmware leaves on the first CPU: enabled, LINT0 = ExtINT, LINT1 = NMI. */
void vlapic_virtual_wire(struct vlapic *vlapic);

/*
 * Make an interrupt pending.  Returns whether the vCPU must be kicked: not when it was pending
 * already, nor when the APIC is disabled, which loses it.
 */
bool vlapic_post(struct vlapic *vlapic, uint8_t vector, bool level);
/* The vector to deliver now, or -1. */
int vlapic_pending(const struct vlapic *vlapic);
/* The vCPU takes the vector that vlapic_pending() has just returned. */
void vlapic_accept(struct vlapic *vlapic, uint8_t vector);
void vlapic_eoi(struct vlapic *vlapic);
/* Does an EOI end anything? */
static inline bool vlapic_is_serving(const struct vlapic *vlapic)
{
    return vlapic->depth != 0;
}

/* May the next EOI be noticed later?  It ends an edge-triggered interrupt, and none waits for it.
 * Not where it takes no exit anyway, because the APIC is lent. */
bool vlapic_eoi_can_wait(const struct vlapic *vlapic);

/* Not while it is lent, as everything above that returns or changes priorities. */
uint8_t vlapic_get_tpr(const struct vlapic *vlapic);
void vlapic_set_tpr(struct vlapic *vlapic, uint8_t tpr);

static inline uint8_t vlapic_get_cr8(const struct vlapic *vlapic)
{
    return (uint8_t)(vlapic_get_tpr(vlapic) >> 4);
}

/* The caller has refused what does not fit in 4 bits. */
static inline void vlapic_set_cr8(struct vlapic *vlapic, uint8_t cr8)
{
    vlapic_set_tpr(vlapic, (uint8_t)(cr8 << 4));
}

/* Does the message concern this APIC?  Shorthands are included, the delivery mode is not looked at.
 */
bool vlapic_matches(const struct vlapic *vlapic, const struct apic_message *message);
/*
 * The one of the matching APICs that takes a lowest-priority message: of those with the lowest PPR
 * the next after *rotor, which moves on.  NULL if none is enabled.
 */
struct vlapic *vlapic_arbitrate(struct vlapic *const vlapics[], unsigned int count,
                                const struct apic_message *message, uint32_t *rotor);

static inline bool vlapic_is_x2apic(const struct vlapic *vlapic)
{
    return (vlapic->base & APIC_BASE_X2APIC) != 0;
}

bool vlapic_enabled(const struct vlapic *vlapic); /* globally: CPUID.1:EDX.APIC follows it */
bool vlapic_accepts_pic(const struct vlapic *vlapic);
bool vlapic_lint1_nmi(const struct vlapic *vlapic);

/*
 * IA32_APIC_BASE, IA32_TSC_DEADLINE and 800h to 8FFh.  False: #GP, nothing has changed.
 */
bool vlapic_read_msr(const struct vlapic *vlapic, uint32_t msr, uint64_t *value);
bool vlapic_write_msr(struct vlapic *vlapic, uint32_t msr, uint64_t value);

/* The xAPIC page, offsets from its start.  It is there in xAPIC mode only and floats in the others.
 */
uint64_t vlapic_mmio_read(struct vlapic *vlapic, uint64_t offset, uint8_t size);
void vlapic_mmio_write(struct vlapic *vlapic, uint64_t offset, uint8_t size, uint64_t value);
/* A register by its number (enum apic_register) whatever the mode, for the monitor: no side
 * effects. */
uint32_t vlapic_register(const struct vlapic *vlapic, unsigned int reg);

/* The timer's expiry; early and late calls do no harm.  Returns whether the vCPU must be kicked. */
bool vlapic_tick(struct vlapic *vlapic, uint64_t now_ns);
/* The guest's TSC has jumped: what tsc_to_ns() says is different now. */
void vlapic_tsc_changed(struct vlapic *vlapic);

/* ---- Lending it to the CPU: vlapic_page.c ---------------------------------------------------- */

/*
 * The CPU works on the page by itself: it delivers what IRR and RVI say, and performs writes to
 * TPR, EOI and SELF IPI, and reads of all that the page has.  What others post waits in irr until
 * it is fed.  Every way out of x2APIC mode loses the APIC's state, and with it ends the lending.
 */
struct vlapic_status {
    uint8_t requested;  /* RVI: the highest vector in the page's IRR; 0: none */
    uint8_t in_service; /* SVI: likewise of ISR */
};

/* May it be lent now, and is it not yet? */
bool vlapic_can_lend(const struct vlapic *vlapic);
struct vlapic_status vlapic_lend(struct vlapic *vlapic);
/* Is anything in irr? */
bool vlapic_has_posted(const struct vlapic *vlapic);
/* Moves it to the page, raises RVI.  Returns whether the page's TMR has changed. */
bool vlapic_feed(struct vlapic *vlapic, uint8_t *requested);
/* Would the CPU deliver the vector in RVI if RFLAGS let it? */
bool vlapic_lent_pending(const struct vlapic *vlapic, uint8_t requested);
/* The level-triggered vectors, whose EOI must be seen: vlapic_eoi_seen(). */
void vlapic_level_vectors(const struct vlapic *vlapic, uint64_t vectors[4]);
void vlapic_eoi_seen(struct vlapic *vlapic, uint8_t vector);
/* The vector in SVI has not been delivered after all: it waits again. */
struct vlapic_status vlapic_undeliver(struct vlapic *vlapic, uint8_t vector);
/* The CPU has written to the page, at this offset, and does not know what follows from it. */
void vlapic_page_written(struct vlapic *vlapic, unsigned int offset);
/* Is RDMSR or WRMSR of the register the CPU's, while it is lent? */
bool vlapic_page_reads(unsigned int reg);
bool vlapic_page_writes(unsigned int reg);
