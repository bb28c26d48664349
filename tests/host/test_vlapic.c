/* SPDX-License-Identifier: MIT */
/* The virtual local APIC: priorities and destinations, a naive model, and two CPUs that post at
 * once. */
#include "tests/host/vlapic_world.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void test_priorities(void)
{
    struct vlapic apic = new_xapic(0);

    CHECK(vlapic_post(&apic, 0x41, false) && !vlapic_post(&apic, 0x41, false),
          "only the first of two posts needs a kick");
    vlapic_post(&apic, 0x43, false);
    vlapic_post(&apic, 0x31, false);
    CHECK(take(&apic) == 0x43, "the highest vector comes first");
    CHECK(vlapic_pending(&apic) == -1, "its own class waits");
    CHECK(get(&apic, APIC_PPR) == 0x40 && get(&apic, APIC_ISR0 + 2) == 1u << 3 &&
              get(&apic, APIC_IRR0 + 2) == 1u << 1,
          "PPR, ISR and IRR show it");
    vlapic_post(&apic, 0x55, false);
    CHECK(take(&apic) == 0x55, "a higher class nests");
    vlapic_post(&apic, 0x43, false);
    put(&apic, APIC_EOI, 0);
    CHECK(get(&apic, APIC_PPR) == 0x40 && vlapic_pending(&apic) == -1, "EOI ends the highest");
    put(&apic, APIC_EOI, 0xffff);
    CHECK(take(&apic) == 0x43, "a vector posted while in service comes again");
    put(&apic, APIC_EOI, 0);
    CHECK(take(&apic) == 0x41 && vlapic_pending(&apic) == -1, "then the next");
    put(&apic, APIC_EOI, 0);
    vlapic_set_cr8(&apic, 3);
    CHECK(vlapic_pending(&apic) == -1 && get(&apic, APIC_PPR) == 0x30, "TPR's class is held back");
    put(&apic, APIC_TPR, 0x2f);
    CHECK(get(&apic, APIC_PPR) == 0x2f && take(&apic) == 0x31, "a lower TPR lets it through");
    put(&apic, APIC_TPR, 0x3a);
    CHECK(get(&apic, APIC_PPR) == 0x3a, "of equal classes PPR is TPR");
    put(&apic, APIC_EOI, 0);
    put(&apic, APIC_EOI, 0);
    CHECK(get(&apic, APIC_PPR) == 0x3a && world.ended == 0,
          "an EOI without an interrupt does nothing");

    put(&apic, APIC_TPR, 0);
    bool nested = true;
    for (unsigned int i = 1; i < 16; i++) {
        vlapic_post(&apic, (uint8_t)(i * 16 + i), false);
        nested = nested && take(&apic) == (int)(i * 17);
    }
    vlapic_post(&apic, 0xfe, false);
    nested = nested && vlapic_pending(&apic) == -1;
    for (unsigned int i = 15; i > 0; i--) {
        nested = nested && get(&apic, APIC_PPR) == i * 16;
        if (i == 15)
            vlapic_set_tpr(&apic, 0);
        put(&apic, APIC_EOI, 0);
        nested = nested && (i != 15 || take(&apic) == 0xfe);
        if (i == 15)
            put(&apic, APIC_EOI, 0);
    }
    CHECK(nested && get(&apic, APIC_PPR) == 0, "all fifteen classes nest and unwind");
}

static void test_level(void)
{
    struct vlapic apic = new_xapic(0);

    vlapic_post(&apic, 0x91, true);
    CHECK(get(&apic, APIC_TMR0 + 4) == 1u << 17, "TMR marks a level-triggered vector");
    take(&apic);
    CHECK(world.ended == 0, "nothing is told before the EOI");
    put(&apic, APIC_EOI, 0);
    CHECK(world.ended == 1 && world.ended_vector == 0x91, "its EOI is told to the I/O APIC");
    vlapic_post(&apic, 0x91, false);
    take(&apic);
    put(&apic, APIC_EOI, 0);
    CHECK(world.ended == 1 && get(&apic, APIC_TMR0 + 4) == 0, "that of an edge is not");
}

static void test_disable(void)
{
    struct vlapic apic = new_xapic(0);

    vlapic_post(&apic, 0x51, false);
    put(&apic, APIC_LVT_TIMER, 0x60);
    put(&apic, APIC_TMICT, 500);
    put(&apic, APIC_SVR, 0xff);
    CHECK(get(&apic, APIC_LVT_TIMER) == (0x60 | APIC_LVT_MASKED) && world.alarm_ns == VTIMER_OFF,
          "software disable masks the LVT, and the timer needs no alarm");
    put(&apic, APIC_LVT_TIMER, 0x60);
    CHECK(get(&apic, APIC_LVT_TIMER) == (0x60 | APIC_LVT_MASKED), "entries stay masked meanwhile");
    CHECK(!vlapic_post(&apic, 0x61, false) && take(&apic) == 0x51,
          "new interrupts are lost, pending ones are delivered");
    put(&apic, APIC_ICR2, 4u << 24);
    put(&apic, APIC_ICR, 0x4030);
    CHECK(world.sent == 1, "IPIs can still be sent");
    put(&apic, APIC_SVR, 0x1ff);
    CHECK(get(&apic, APIC_LVT_TIMER) & APIC_LVT_MASKED, "enabling does not unmask");
}

static void test_pins(void)
{
    struct vlapic apic = new_xapic(0);

    CHECK(!vlapic_accepts_pic(&apic) && !vlapic_lint1_nmi(&apic), "LINT0 and LINT1 start masked");
    put(&apic, APIC_LVT_LINT0, 0x500);
    CHECK(!vlapic_accepts_pic(&apic), "another delivery mode is not ExtINT");
    put(&apic, APIC_LVT_LINT0, 0x8700);
    put(&apic, APIC_LVT_LINT1, 0x400);
    CHECK(vlapic_accepts_pic(&apic) && vlapic_lint1_nmi(&apic), "ExtINT and NMI are recognised");
    put(&apic, APIC_LVT_LINT0, 0x10700);
    put(&apic, APIC_LVT_LINT1, 0x10400);
    CHECK(!vlapic_accepts_pic(&apic) && !vlapic_lint1_nmi(&apic), "masked pins are silent");
    vlapic_init(&apic, 0, true, &world_ops);
    vlapic_virtual_wire(&apic);
    CHECK(vlapic_accepts_pic(&apic) && vlapic_lint1_nmi(&apic) && vlapic_post(&apic, 0x30, false),
          "virtual wire mode is what firmware leaves");
}

static struct apic_message to(uint32_t destination, bool logical, bool x2apic)
{
    return (struct apic_message){.destination = destination, .logical = logical, .x2apic = x2apic};
}

static bool matches(const struct vlapic *apic, uint32_t destination, bool logical, bool x2apic)
{
    struct apic_message message = to(destination, logical, x2apic);

    return vlapic_matches(apic, &message);
}

static void test_destinations(void)
{
    struct vlapic apic = new_xapic(6);
    bool physical = true, flat = true, cluster = true, x2 = true;

    put(&apic, APIC_LDR, 0x24000000);
    for (uint32_t d = 0; d < 0x100; d++) {
        physical = physical && matches(&apic, d, false, false) == (d == 6 || d == 0xff);
        flat = flat && matches(&apic, d, true, false) == ((d & 0x24) != 0);
    }
    put(&apic, APIC_DFR, 0x0fffffff);
    for (uint32_t d = 0; d < 0x100; d++)
        cluster =
            cluster && matches(&apic, d, true, false) == ((d >> 4 == 2 && (d & 4)) || d == 0xff);
    CHECK(physical, "physical: the id or FFh");
    CHECK(flat, "logical, flat model: any common bit");
    CHECK(cluster, "logical, cluster model: the cluster and a common bit, or FFh");
    put(&apic, APIC_LDR, 0);
    put(&apic, APIC_DFR, ~0u);
    CHECK(matches(&apic, 0xff, true, false) && !matches(&apic, 0xfe, true, false),
          "broadcast reaches an APIC without a logical id");
    CHECK(!matches(&apic, 0xff, false, true) && matches(&apic, ~0u, false, true) &&
              matches(&apic, 6, false, true) && !matches(&apic, 0x106, false, true),
          "a message of 32 bits reaches an xAPIC by id and by FFFFFFFFh");

    put(&apic, APIC_LDR, 0x04000000);
    CHECK(matches(&apic, 0x04, true, true) && !matches(&apic, 0x104, true, true),
          "and logically only where the upper bits are zero");

    apic = new_x2apic(0x35);
    for (uint32_t d = 0; d < 0x50000; d++)
        x2 = x2 && matches(&apic, d, true, true) == (d >> 16 == 3 && (d & 0x20));
    CHECK(x2, "logical, x2APIC: the cluster and a common bit");
    CHECK(matches(&apic, 0x35, false, true) && matches(&apic, 0x35, false, false) &&
              !matches(&apic, 0xff, false, true) && matches(&apic, ~0u, false, true) &&
              matches(&apic, ~0u, true, true) && matches(&apic, 0xff, true, false),
          "x2APIC: broadcast is FFh in short messages and FFFFFFFFh in long ones");
    bool shorthands = true;
    for (uint8_t shorthand = APIC_TO_SELF; shorthand <= APIC_TO_OTHERS; shorthand++) {
        for (uint32_t source = 0x34; source <= 0x35; source++) {
            struct apic_message message = {
                .destination = 0x35, .shorthand = shorthand, .source = source};
            bool self = source == 0x35;

            shorthands =
                shorthands && vlapic_matches(&apic, &message) ==
                                  (shorthand == APIC_TO_ALL || self == (shorthand == APIC_TO_SELF));
        }
    }
    CHECK(shorthands, "shorthands look at the source and at nothing else");
    vlapic_write_msr(&apic, MSR_APIC_BASE, LAYOUT_LAPIC_BASE);
    CHECK(!matches(&apic, 0x35, false, false) && !matches(&apic, 0xff, false, false),
          "a disabled APIC gets no messages");
}

static void test_arbitration(void)
{
    struct vlapic apics[4], *all[4];
    struct apic_message message = to(0x0f, true, false), nobody = to(0x10, true, false);
    uint32_t rotor = 0;
    unsigned int won[4] = {0};

    for (uint32_t i = 0; i < 4; i++) {
        apics[i] = new_xapic(i);
        put(&apics[i], APIC_LDR, 1u << (24 + i));
        all[i] = &apics[i];
    }
    for (unsigned int i = 0; i < 40; i++)
        won[vlapic_arbitrate(all, 4, &message, &rotor) - apics]++;
    CHECK(won[0] == 10 && won[1] == 10 && won[2] == 10 && won[3] == 10, "equals take turns");
    vlapic_set_tpr(&apics[0], 0x20);
    vlapic_set_tpr(&apics[1], 0x30);
    vlapic_set_tpr(&apics[3], 0x1f);
    vlapic_set_tpr(&apics[2], 0x12);
    memset(won, 0, sizeof(won));
    for (unsigned int i = 0; i < 40; i++)
        won[vlapic_arbitrate(all, 4, &message, &rotor) - apics]++;
    CHECK(won[0] == 0 && won[1] == 0 && won[2] == 20 && won[3] == 20, "the lowest classes win");
    put(&apics[2], APIC_SVR, 0xff);
    message.destination = 0x5;
    rotor = 4;
    CHECK(vlapic_arbitrate(all, 4, &message, &rotor) == &apics[0],
          "a disabled one does not take part");
    CHECK(vlapic_arbitrate(all, 4, &nobody, &rotor) == NULL, "nobody matches, nobody wins");
    CHECK(vlapic_arbitrate(all, 0, &message, &rotor) == NULL, "nor among none");
}

/* ---- A naive model ------------------------------------------------------------------------- */

static struct {
    bool irr[256], isr[256], tmr[256];
    unsigned int tpr;
} model;

static int highest(const bool bits[256])
{
    for (int i = 255; i >= 0; i--) {
        if (bits[i])
            return i;
    }
    return -1;
}

static unsigned int model_ppr(void)
{
    int isr = highest(model.isr);
    unsigned int class = isr < 0 ? 0 : (unsigned int)isr & 0xf0;

    return (model.tpr & 0xf0) >= class ? model.tpr : class;
}

static int model_pending(void)
{
    int irr = highest(model.irr);

    return irr >= 0 && ((unsigned int)irr & 0xf0) > (model_ppr() & 0xf0) ? irr : -1;
}

static bool model_agrees(struct vlapic *apic)
{
    bool ok = get(apic, APIC_PPR) == model_ppr() && vlapic_pending(apic) == model_pending();

    for (unsigned int i = 0; i < 256; i++) {
        ok = ok && (get(apic, APIC_IRR0 + i / 32) >> (i % 32) & 1) == model.irr[i];
        ok = ok && (get(apic, APIC_ISR0 + i / 32) >> (i % 32) & 1) == model.isr[i];
        ok = ok && (get(apic, APIC_TMR0 + i / 32) >> (i % 32) & 1) == model.tmr[i];
    }
    return ok;
}

static bool model_step(struct vlapic *apic, unsigned int what, uint8_t vector)
{
    bool level = vector & 1;
    int top = highest(model.isr), next = model_pending();

    switch (what) {
    case 0:
    case 1:
        vector = (uint8_t)(vector < 16 ? vector + 16 : vector);
        if (vlapic_post(apic, vector, level) == model.irr[vector])
            return false;
        model.irr[vector] = true;
        model.tmr[vector] = level;
        break;
    case 2:
    case 3:
    case 4:
        if (take(apic) != next)
            return false;
        if (next >= 0) {
            model.irr[next] = false;
            model.isr[next] = true;
        }
        break;
    case 5:
        world.ended = 0;
        put(apic, APIC_EOI, 0);
        if (world.ended != (unsigned int)(top >= 0 && model.tmr[top]))
            return false;
        if (top >= 0)
            model.isr[top] = false;
        break;
    case 6:
        model.tpr = vector & 0x3f;
        put(apic, APIC_TPR, model.tpr);
        break;
    }
    return true;
}

/* Most of them just above what is in service, so that they nest. */
static uint8_t any_vector(void)
{
    int vector = rand() >> 8;

    return (uint8_t)((vector & 0x70000) == 0 ? vector : (int)model_ppr() + 16 + vector % 32);
}

static void test_model(void)
{
    struct vlapic apic = new_xapic(0);
    unsigned int deepest = 0;
    bool ok = true;

    srand(1);
    for (unsigned int i = 0; i < 200000 && ok; i++) {
        ok = model_step(&apic, (unsigned int)rand() % 7, any_vector());
        ok = ok && (i % 16 != 0 || model_agrees(&apic));
        deepest = MAX(deepest, apic.depth);
    }
    CHECK(ok, "200,000 random steps agree with a model of 256 flags");
    CHECK(deepest >= 6, "with interrupts nested six deep");
}

/* ---- Two CPUs post while a third takes ------------------------------------------------------ */

#define POSTS 200000

static struct vlapic shared;
static unsigned int posters;

static void *post_many(void *arg)
{
    uintptr_t *kicks = arg, seed = *kicks, count = 0;

    for (unsigned int i = 0; i < POSTS; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint8_t vector = (uint8_t)(16 + (seed >> 33) % 240);
        count += vlapic_post(&shared, vector, seed >> 50 & 1);
    }
    *kicks = count;
    __atomic_fetch_sub(&posters, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[2];
    uintptr_t kicks[2] = {1, 2}, taken = 0;
    int vector;

    shared = new_xapic(0);
    posters = 2;
    for (unsigned int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, post_many, &kicks[i]);
    do {
        bool last = __atomic_load_n(&posters, __ATOMIC_SEQ_CST) == 0;

        while ((vector = take(&shared)) >= 0) {
            taken++;
            vlapic_eoi(&shared);
        }
        if (last)
            break;
    } while (true);
    for (unsigned int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK(taken == kicks[0] + kicks[1] && taken > 0,
          "as many interrupts are taken as were kicked for");
    CHECK(vlapic_pending(&shared) == -1 && shared.depth == 0, "and none is left");
}

int main(void)
{
    test_priorities();
    test_level();
    test_disable();
    test_pins();
    test_destinations();
    test_arbitration();
    test_model();
    test_threads();
    return check_done();
}
