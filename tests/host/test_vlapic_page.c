/* SPDX-License-Identifier: MIT */
/*
 * A local APIC that is lent to a CPU, beside one that is not: whatever happens to both, they
 * deliver the same and show the same.
 */
#include "tests/host/lent_cpu.h"
#include "tests/host/vlapic_world.h"

#include <stdlib.h>
#include <string.h>

static uint32_t page[1024] __attribute__((aligned(4096)));

static struct vlapic new_lendable(uint32_t id)
{
    struct vlapic apic = new_x2apic(id);

    memset(page, 0xff, sizeof(page));
    apic.page = page;
    return apic;
}

static bool shows_the_same(struct vlapic *apic, struct vlapic *other, bool by_cpu)
{
    for (unsigned int reg = 0; reg < APIC_REGISTERS; reg++) {
        uint64_t value;

        if (!vlapic_page_reads(reg) || !vlapic_read_msr(other, X2APIC(reg), &value))
            continue;
        if ((by_cpu ? page[reg * 4] : vlapic_register(apic, reg)) != (uint32_t)value)
            return false;
        if (page[reg * 4 + 1] != value >> 32)
            return false;
    }
    return true;
}

/* ---- What changes hands ---------------------------------------------------------------------- */

static void test_lend(void)
{
    struct vlapic apic = new_lendable(0x12), same = new_x2apic(0x12);
    struct vlapic *both[] = {&apic, &same};
    struct lent_cpu cpu;

    for (unsigned int i = 0; i < 2; i++) {
        vlapic_write_msr(both[i], X2APIC(APIC_LVT_LINT0), 0x8731);
        vlapic_write_msr(both[i], X2APIC(APIC_ICR), 0x7700004043ull);
        vlapic_write_msr(both[i], X2APIC(APIC_TMICT), 12345);
        vlapic_post(both[i], 0x33, false);
        take(both[i]);
        vlapic_post(both[i], 0x85, true);
        take(both[i]);
        vlapic_post(both[i], 0x86, false);
        vlapic_post(both[i], 0xf1, true);
        vlapic_set_tpr(both[i], 0x47);
    }
    CHECK(vlapic_can_lend(&apic), "in x2APIC mode it can be lent");
    lent_begin(&cpu, &apic);
    CHECK(!vlapic_can_lend(&apic), "once");
    CHECK(cpu.status.requested == 0xf1 && cpu.status.in_service == 0x85,
          "RVI and SVI are the highest that wait and that are in service");
    CHECK(shows_the_same(&apic, &same, true), "the page has all registers");
    CHECK(shows_the_same(&apic, &same, false), "and they are looked up there");
    CHECK(cpu.eoi_exits[2] == BIT(5) && cpu.eoi_exits[3] == BIT(0x31) && !cpu.eoi_exits[0],
          "the EOI of level-triggered vectors is to be seen");
    CHECK(!vlapic_has_posted(&apic) && !vlapic_eoi_can_wait(&apic),
          "nothing is left for software, and no EOI may be skipped");
}

static void test_modes(void)
{
    struct vlapic apic = new_xapic(0);
    struct lent_cpu cpu;

    apic.page = page;
    CHECK(!vlapic_can_lend(&apic), "in xAPIC mode it is not lent");
    vlapic_write_msr(&apic, MSR_APIC_BASE, XAPIC | APIC_BASE_X2APIC);
    lent_begin(&cpu, &apic);
    vlapic_signal_init(&apic);
    CHECK(!apic.lent && vlapic_can_lend(&apic), "INIT takes it back, and keeps the mode");
    lent_begin(&cpu, &apic);
    lent_set_tpr(&cpu, 0xf0);
    vlapic_write_msr(&apic, MSR_APIC_BASE, LAYOUT_LAPIC_BASE);
    CHECK(!apic.lent && !vlapic_can_lend(&apic) && vlapic_get_tpr(&apic) == 0,
          "being disabled takes it back, and loses its state");
    apic = new_x2apic(0);
    CHECK(!vlapic_can_lend(&apic), "without a page it is never lent");
}

static void test_writes(void)
{
    struct vlapic apic = new_lendable(0), same = new_x2apic(0);
    struct vlapic *both[] = {&apic, &same};
    struct lent_cpu cpu;
    bool right = true;

    lent_begin(&cpu, &apic);
    for (unsigned int reg = 0; reg < APIC_REGISTERS; reg++) {
        if (vlapic_page_writes(reg) || reg == APIC_SVR)
            continue;
        for (unsigned int i = 0; i < 2; i++)
            vlapic_write_msr(both[i], X2APIC(reg), reg == APIC_ICR ? 0x500000032 : 0x30);
        right = right && shows_the_same(&apic, &same, true);
    }
    CHECK(right, "what is written by exits shows in the page");
    for (unsigned int i = 0; i < 2; i++)
        vlapic_write_msr(both[i], X2APIC(APIC_SVR), 0xff);
    CHECK(shows_the_same(&apic, &same, true), "and what follows from it: SVR masks the LVT");
}

static void test_illegal(void)
{
    struct vlapic apic = new_lendable(0);
    struct lent_cpu cpu;

    vlapic_write_msr(&apic, X2APIC(APIC_LVT_ERROR), 0x91);
    lent_begin(&cpu, &apic);
    page[APIC_SELF_IPI * 4] = 5;
    vlapic_page_written(&apic, APIC_SELF_IPI * 16);
    lent_feed(&cpu, &apic);
    CHECK(cpu.status.requested == 0x91,
          "SELF IPI with an illegal vector raises the error interrupt");
    vlapic_write_msr(&apic, X2APIC(APIC_ESR), 0);
    CHECK(page[APIC_ESR * 4] & APIC_ESR_SEND_VECTOR, "and ESR has it");
    page[APIC_EOI * 4] = 0xffffffff;
    for (unsigned int offset = 0; offset < 0x1000; offset++)
        if (offset != APIC_SELF_IPI * 16)
            vlapic_page_written(&apic, offset);
    CHECK(!vlapic_has_posted(&apic) && world.sent == 0, "no other write means anything");
}

static void test_undeliver(void)
{
    struct vlapic apic = new_lendable(0);
    struct lent_cpu cpu;

    vlapic_post(&apic, 0x35, false);
    take(&apic);
    lent_begin(&cpu, &apic);
    vlapic_post(&apic, 0x91, false);
    vlapic_post(&apic, 0x52, false);
    lent_feed(&cpu, &apic);
    lent_deliver(&cpu);
    cpu.status = vlapic_undeliver(&apic, 0x91);
    CHECK(cpu.status.requested == 0x91 && cpu.status.in_service == 0x35,
          "what was not delivered after all is requested again, and what was in service is so");
    CHECK(lent_deliver(&cpu) == 0x91 && lent_eoi(&cpu) < 0 && lent_deliver(&cpu) == 0x52,
          "it comes once more, then the next");
}

/* ---- Arbitration ----------------------------------------------------------------------------- */

static void test_arbitration(void)
{
    struct vlapic lent = new_lendable(0), other = new_x2apic(1);
    struct vlapic *all[] = {&lent, &other};
    const struct apic_message message = {.shorthand = APIC_TO_ALL};
    struct lent_cpu cpu;
    uint32_t rotor = 0;

    lent_begin(&cpu, &lent);
    vlapic_set_tpr(&other, 0x40);
    CHECK(vlapic_arbitrate(all, 2, &message, &rotor) == &lent,
          "the lent one with the lower PPR wins");
    lent_set_tpr(&cpu, 0x50);
    CHECK(vlapic_arbitrate(all, 2, &message, &rotor) == &other, "and loses with the higher one");
}

/* ---- The same as in software ----------------------------------------------------------------- */

static int take_lent(struct lent_cpu *cpu, struct vlapic *apic)
{
    lent_feed(cpu, apic);
    bool pending = vlapic_lent_pending(apic, cpu->status.requested);
    int vector = lent_deliver(cpu);

    return pending == (vector >= 0) ? vector : -2;
}

/* What the hypervisor does with an exit for an EOI. */
static void end_lent(struct lent_cpu *cpu, struct vlapic *apic)
{
    int vector = lent_eoi(cpu);

    if (vector >= 0)
        vlapic_eoi_seen(apic, (uint8_t)vector);
}

static bool step(struct lent_cpu *cpu, struct vlapic *lent, struct vlapic *software)
{
    uint8_t vector = (uint8_t)(random() % 5 == 0 ? random() : 0x20 + random() % 64);
    bool level = vector % 3 == 0; /* a vector keeps its trigger mode */
    unsigned int before = world.ended;

    switch (random() % 5) {
    case 0:
        vlapic_post(lent, vector, level);
        vlapic_post(software, vector, level);
        return true;
    case 1:
        return take_lent(cpu, lent) == take(software);
    case 2:
        end_lent(cpu, lent);
        before = 2 * world.ended - before;
        vlapic_eoi(software);
        return world.ended == before;
    case 3:
        lent_set_tpr(cpu, vector & 0x7f);
        vlapic_set_tpr(software, vector & 0x7f);
        return true;
    }
    if (vector < APIC_FIRST_VECTOR || level)
        return true;
    lent_self_ipi(cpu, vector);
    vlapic_post(software, vector, false);
    return true;
}

static void test_like_software(void)
{
    struct vlapic lent = new_lendable(0), software = new_x2apic(0);
    struct lent_cpu cpu;
    bool same = true;

    srandom(1);
    lent_begin(&cpu, &lent);
    for (unsigned int i = 0; same && i < 200000; i++) {
        same = step(&cpu, &lent, &software);
        lent_feed(&cpu, &lent);
        lent_update_ppr(&cpu);
        same = same && shows_the_same(&lent, &software, true);
    }
    CHECK(same, "200,000 random steps do the same to both");
}

int main(void)
{
    test_lend();
    test_modes();
    test_writes();
    test_illegal();
    test_undeliver();
    test_arbitration();
    test_like_software();
    return check_done();
}
