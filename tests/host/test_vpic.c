/* SPDX-License-Identifier: MIT */
/* The 8259A pair: priorities, modes, cascade, and a long run against a model of one line each. */
#include "hv/vdev/vpic.h"

#include "tests/host/check.h"
#include "tests/host/vdev_fakes.h"

#define MASTER 0x20
#define SLAVE  0xa0
#define EOI    0x20

static struct vpic vpic;
static struct pio_range io[VPIC_PORT_RANGES];
static bool intr;
static unsigned int intr_changes;

static void set_intr(void *ctx, bool level)
{
    intr_changes += intr != level;
    intr = level;
}

static uint8_t in(uint16_t port)
{
    return (uint8_t)fake_in(io, VPIC_PORT_RANGES, port, 1);
}

static void out(uint16_t port, uint8_t value)
{
    fake_out(io, VPIC_PORT_RANGES, port, 1, value);
}

static void program(uint16_t port, uint8_t base, uint8_t icw3, uint8_t icw4)
{
    out(port, 0x11);
    out(port + 1, base);
    out(port + 1, icw3);
    out(port + 1, icw4);
    out(port + 1, 0);
}

/* As every PC's kernel does it: vectors 30h and 38h, everything unmasked. */
static void start_modes(uint8_t icw4)
{
    static const struct vpic_intr output = {.set = set_intr};

    intr = false;
    vpic_init(&vpic, &output);
    vpic_ports(&vpic, io);
    program(MASTER, 0x30, 0x04, icw4);
    program(SLAVE, 0x38, 0x02, icw4);
}

static void start(void)
{
    start_modes(0x01);
}

static void pulse(unsigned int irq)
{
    vpic_set_irq(&vpic, irq, false);
    vpic_set_irq(&vpic, irq, true);
}

static uint8_t isr(uint16_t port)
{
    out(port, 0x0b);
    return in(port);
}

static uint8_t irr(uint16_t port)
{
    out(port, 0x0a);
    return in(port);
}

static void test_ports(void)
{
    static const struct vpic_intr output = {.set = set_intr};

    vpic_init(&vpic, &output);
    vpic_ports(&vpic, io);
    CHECK(in(0x21) == 0xff && in(0xa1) == 0xff, "all masked at power-on");
    vpic_set_irq(&vpic, 0, true);
    CHECK(!intr, "so nothing interrupts before the guest programs it");

    start();
    out(0x21, 0xfb);
    CHECK(in(0x21) == 0xfb && in(0xa1) == 0, "linux: the mask reads back");
    bool floats = true;
    for (unsigned int i = 0; i < VPIC_PORT_RANGES; i++)
        for (uint16_t offset = 0; offset < 4; offset++)
            floats &= io[i].read(&vpic, offset, 2) == ~0u && io[i].read(&vpic, offset, 4) == ~0u &&
                      (offset < 2 || io[i].read(&vpic, offset, 1) == ~0u);
    CHECK(floats, "other sizes and offsets float high");
    io[0].write(&vpic, 1, 2, 0);
    io[2].write(&vpic, 7, 1, 0xff);
    CHECK(in(0x21) == 0xfb, "a wider write does nothing");
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    CHECK(in(0x4d0) == 0xf8 && in(0x4d1) == 0xde, "ELCR: IRQs 0, 1, 2, 8 and 13 stay edges");
}

static void test_vectors(void)
{
    bool vectors = true, ended = true;

    for (unsigned int irq = 0; irq < 16; irq++) {
        if (irq == 2)
            continue;
        start();
        pulse(irq);
        vectors &= intr && vpic_pending(&vpic) && vpic_ack(&vpic) == 0x30 + irq && !intr;
        vectors &= isr(MASTER) == 1u << (irq < 8 ? irq : 2) &&
                   isr(SLAVE) == (irq < 8 ? 0 : 1u << (irq - 8));
        vpic_set_irq(&vpic, irq, false);
        if (irq >= 8)
            out(SLAVE, EOI);
        out(MASTER, EOI);
        ended &= isr(MASTER) == 0 && isr(SLAVE) == 0 && !intr;
    }
    CHECK(vectors, "each input gives its vector and its ISR bits");
    CHECK(ended, "an EOI to each chip ends it");
    start();
    vpic_set_irq(&vpic, 2, true);
    vpic_set_irq(&vpic, 16, true);
    vpic_set_irq(&vpic, ~0u, true);
    CHECK(!intr, "the cascade and inputs that do not exist are ignored");
}

static void test_edge(void)
{
    start();
    vpic_set_irq(&vpic, 3, true);
    CHECK(irr(MASTER) == 0x08, "edge: IRR shows the request");
    vpic_ack(&vpic);
    CHECK(irr(MASTER) == 0, "edge: the acknowledge takes it");
    out(MASTER, EOI);
    vpic_set_irq(&vpic, 3, true);
    CHECK(!intr, "edge: a line that stays high requests once");
    pulse(3);
    CHECK(intr, "edge: the next edge requests again");
    vpic_set_irq(&vpic, 3, false);
    CHECK(!intr && irr(MASTER) == 0, "edge: a line that falls withdraws its request");
    CHECK(vpic_ack(&vpic) == 0x37 && isr(MASTER) == 0, "spurious IRQ 7, not in service");

    pulse(4);
    program(MASTER, 0x30, 4, 1);
    CHECK(!intr, "ICW1 forgets edges");
    vpic_set_irq(&vpic, 10, true);
    out(0xa1, 0x04);
    CHECK(!intr && irr(SLAVE) == 0x04, "masked: the request waits");
    out(0xa1, 0x00);
    CHECK(intr && vpic_ack(&vpic) == 0x3a, "unmasked: it is delivered");
}

static void test_level(void)
{
    start();
    out(0x4d1, 0x0a); /* IRQs 9 and 11 */
    vpic_set_irq(&vpic, 9, true);
    CHECK(vpic_ack(&vpic) == 0x39 && !intr, "level: delivered, and held back while in service");
    out(SLAVE, EOI);
    out(MASTER, EOI);
    CHECK(intr && vpic_ack(&vpic) == 0x39, "level: delivered again while the line is high");
    vpic_set_irq(&vpic, 9, false);
    out(SLAVE, EOI);
    out(MASTER, EOI);
    CHECK(!intr && irr(SLAVE) == 0, "level: over when the line is low");
    vpic_set_irq(&vpic, 11, true);
    out(0x4d1, 0);
    CHECK(intr && vpic_ack(&vpic) == 0x3b, "a request that becomes an edge stays");
    out(SLAVE, EOI);
    out(MASTER, EOI);
    CHECK(!intr, "once");
    out(0x4d1, 0x08);
    CHECK(intr, "a line that becomes level-triggered requests while it is high");
}

static void test_priority(void)
{
    start();
    pulse(5);
    pulse(3);
    CHECK(vpic_ack(&vpic) == 0x33, "the lower number first");
    CHECK(!intr, "lower priorities wait for the EOI");
    pulse(1);
    CHECK(intr && vpic_ack(&vpic) == 0x31, "higher ones nest");
    CHECK(isr(MASTER) == 0x0a, "both are in service");
    out(MASTER, EOI);
    CHECK(isr(MASTER) == 0x08 && !intr, "EOI ends the highest");
    out(MASTER, 0x60 | 3);
    CHECK(isr(MASTER) == 0 && intr, "specific EOI ends the one it names");
    CHECK(vpic_ack(&vpic) == 0x35, "then the waiting one comes");
    pulse(8);
    CHECK(intr && vpic_ack(&vpic) == 0x38, "the slave has the rank of IR2");
    pulse(14);
    CHECK(!intr, "within the slave as well");
    out(SLAVE, EOI);
    CHECK(!intr, "the cascade is still in service");
    out(MASTER, EOI);
    CHECK(intr && vpic_ack(&vpic) == 0x3e, "and then not");
    CHECK(isr(MASTER) == 0x24, "IR2 and IR5 are in service");
}

static void test_rotation(void)
{
    bool order = true;

    start();
    for (unsigned int round = 0; round < 16; round++) {
        pulse(0);
        pulse(1);
        order &= vpic_ack(&vpic) == 0x30 + round % 2;
        out(MASTER, 0xa0); /* rotate on non-specific EOI */
    }
    CHECK(order, "rotate on EOI: two devices take turns");
    start();
    out(MASTER, 0xc0 | 4); /* IR4 lowest, IR5 highest */
    pulse(4);
    pulse(5);
    pulse(0);
    bool ok = vpic_ack(&vpic) == 0x35;
    out(MASTER, 0xe0 | 5); /* rotate on specific EOI: IR6 highest */
    ok &= vpic_ack(&vpic) == 0x30;
    out(MASTER, EOI);
    ok &= vpic_ack(&vpic) == 0x34;
    CHECK(ok, "set priority, and rotate on specific EOI");

    start_modes(0x03);
    out(MASTER, 0x80); /* rotate in automatic EOI mode */
    pulse(0);
    pulse(1);
    ok = vpic_ack(&vpic) == 0x30;
    pulse(0);
    ok &= vpic_ack(&vpic) == 0x31 && vpic_ack(&vpic) == 0x30 && !intr;
    CHECK(ok && isr(MASTER) == 0, "automatic EOI with rotation");
    out(MASTER, 0x00);
    pulse(0);
    vpic_ack(&vpic);
    pulse(0);
    pulse(1);
    CHECK(vpic_ack(&vpic) == 0x31, "rotation off: the order stays");
    pulse(8);
    pulse(9);
    CHECK(vpic_ack(&vpic) == 0x38 && vpic_ack(&vpic) == 0x39 && vpic_ack(&vpic) == 0x30 && !intr,
          "automatic EOI through the cascade loses nothing");
}

static void test_special_modes(void)
{
    start();
    pulse(3);
    vpic_ack(&vpic);
    pulse(6);
    out(0x21, 0x08);
    CHECK(!intr, "a masked input in service holds back the lower ones");
    out(MASTER, 0x68);
    out(MASTER, 0x0b);
    CHECK(intr && vpic_ack(&vpic) == 0x36, "but not in special mask mode");
    out(MASTER, EOI);
    CHECK(isr(MASTER) == 0x08, "where EOI passes over it");
    out(MASTER, 0x63);
    CHECK(isr(MASTER) == 0, "and a specific EOI does not");
    out(MASTER, 0x48);
    pulse(1);
    vpic_ack(&vpic);
    out(0x21, 0x02);
    pulse(6);
    CHECK(!intr, "special mask mode is over");
    out(MASTER, 0x2b);
    CHECK(!intr, "and SMM without ESMM does not bring it back");

    start();
    program(MASTER, 0x30, 4, 0x11);
    pulse(12);
    vpic_ack(&vpic);
    pulse(9);
    CHECK(intr && vpic_ack(&vpic) == 0x39,
          "special fully nested: the slave's higher ones get through");
    pulse(3);
    CHECK(!intr, "what ranks below the cascade does not");
    out(0x21, 0x04);
    out(0x21, 0x00);
    CHECK(!intr, "nor when the cascade was masked for a while");
}

static void test_poll(void)
{
    start();
    out(MASTER, 0x0c);
    CHECK(in(MASTER) == 0x07, "poll: nothing there");
    pulse(6);
    pulse(4);
    out(MASTER, 0x0c);
    CHECK(in(0x21) == 0x84 && in(0x21) == 0x00 && isr(MASTER) == 0x10 && !intr,
          "poll: the next read of either port, and only that, acknowledges");
    vpic_set_irq(&vpic, 6, false);
    out(MASTER, EOI);
    CHECK(!intr, "poll: and an EOI ends it");
    pulse(15);
    out(SLAVE, 0x0c);
    CHECK(intr, "poll: the slave's request is there");
    CHECK(in(SLAVE) == 0x87 && vpic.chip[1].isr == 0x80 && !intr, "poll: the slave");
    vpic_set_irq(&vpic, 15, false);
    pulse(15);
    CHECK(in(SLAVE) == 0x80, "poll: then its ports read as ever");
}

static void test_initialisation(void)
{
    start();
    out(MASTER, 0x13); /* single: no ICW3 */
    out(0x21, 0x47);
    out(0x21, 0x01);
    out(0x21, 0xfe);
    CHECK(in(0x21) == 0xfe, "SNGL: ICW4 follows ICW2");
    pulse(0);
    CHECK(vpic_ack(&vpic) == 0x40, "ICW2: the low three bits come from the input");
    start_modes(0x03);
    out(MASTER, 0x10); /* no ICW4 */
    out(0x21, 0x50);
    out(0x21, 0x04);
    out(0x21, 0x00);
    pulse(1);
    vpic_ack(&vpic);
    CHECK(isr(MASTER) == 0x02, "without ICW4 automatic EOI is off");
    out(MASTER, 0x11);
    pulse(0);
    CHECK(!intr && in(0x21) == 0, "no interrupt in the middle of the initialisation");
    out(0x21, 0x30);
    out(0x21, 0x04);
    out(0x21, 0x01);
    CHECK(intr && vpic_ack(&vpic) == 0x30 && isr(MASTER) == 0x01, "ICW1 cleared ISR and IMR");
}

/* Level-triggered lines of both chips, in random order, against the rule in one sentence. */
static void test_random(void)
{
    uint32_t random = 1;
    uint16_t lines = 0, in_service = 0;
    bool same = true;

    start();
    out(0x4d0, 0xf8);
    out(0x4d1, 0xde);
    for (unsigned int i = 0; i < 200000; i++) {
        static const uint8_t ranks[] = {9, 10, 11, 12, 14, 15, 3, 4, 5, 6, 7};
        random = random * 1664525 + 1013904223;
        unsigned int irq = ranks[(random >> 16) % sizeof(ranks)];
        lines ^= (uint16_t)(1u << irq);
        vpic_set_irq(&vpic, irq, lines >> irq & 1);

        unsigned int next = 0, serving = 0;
        while (next < sizeof(ranks) && !(lines >> ranks[next] & 1))
            next++;
        while (serving < sizeof(ranks) && !(in_service >> ranks[serving] & 1))
            serving++;
        /* while the cascade is in service the slave cannot interrupt again */
        bool expect = next < serving && !((in_service & 0xff00) && ranks[next] >= 8);
        same &= intr == expect;
        if (intr && (random >> 8 & 1)) {
            same &= vpic_ack(&vpic) == 0x30 + ranks[next];
            in_service |= (uint16_t)(1u << ranks[next]);
        } else if (serving < sizeof(ranks) && (random >> 9 & 1)) {
            if (ranks[serving] >= 8)
                out(SLAVE, EOI);
            out(MASTER, EOI);
            in_service &= (uint16_t) ~(1u << ranks[serving]);
        }
    }
    CHECK(same, "200,000 random steps deliver what a model delivers");
}

int main(void)
{
    test_ports();
    test_vectors();
    test_edge();
    test_level();
    test_priority();
    test_rotation();
    test_special_modes();
    test_poll();
    test_initialisation();
    test_random();
    return check_done();
}
