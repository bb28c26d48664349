/* SPDX-License-Identifier: MIT */
/* The registers of the virtual local APIC: reset state, the page, #GP of the MSRs, ICR and ESR. */
#include "tests/host/vlapic_world.h"

#include <string.h>

static void test_reset(void)
{
    struct vlapic apic = new_xapic(5);
    bool masked = true;

    vlapic_init(&apic, 5, false, &world_ops);
    CHECK(msr(&apic, MSR_APIC_BASE) == XAPIC, "an AP starts in xAPIC mode at FEE00000h");
    CHECK(get(&apic, APIC_ID) == 5u << 24 && get(&apic, APIC_VERSION) == 0x00050014,
          "id and version in xAPIC form");
    CHECK(get(&apic, APIC_SVR) == 0xff && get(&apic, APIC_DFR) == ~0u && get(&apic, APIC_LDR) == 0,
          "SVR, DFR and LDR have their reset values");
    for (unsigned int reg = APIC_LVT_TIMER; reg <= APIC_LVT_ERROR; reg++)
        masked = masked && get(&apic, reg) == APIC_LVT_MASKED;
    CHECK(masked, "every LVT entry starts masked");
    CHECK(vlapic_pending(&apic) == -1 && vlapic_get_cr8(&apic) == 0, "nothing is pending");
    CHECK(!vlapic_post(&apic, 0x40, false) && get(&apic, APIC_IRR0 + 2) == 0,
          "an APIC that software has not enabled loses interrupts");
    vlapic_init(&apic, 0, true, &world_ops);
    CHECK(msr(&apic, MSR_APIC_BASE) == (XAPIC | APIC_BASE_BSP), "the BSP says so");
}

static void test_init(void)
{
    struct vlapic apic = new_x2apic(0x123);

    vlapic_post(&apic, 0x50, true);
    take(&apic);
    vlapic_post(&apic, 0x60, true);
    vlapic_write_msr(&apic, X2APIC(APIC_LVT_TIMER), 0x70);
    vlapic_write_msr(&apic, X2APIC(APIC_TMICT), 100);
    vlapic_signal_init(&apic);
    CHECK(msr(&apic, X2APIC(APIC_ID)) == 0x123 && msr(&apic, X2APIC(APIC_LDR)) == 0x120008,
          "INIT keeps x2APIC mode and the id");
    CHECK(msr(&apic, X2APIC(APIC_SVR)) == 0xff && msr(&apic, X2APIC(APIC_PPR)) == 0 &&
              msr(&apic, X2APIC(APIC_IRR0 + 3)) == 0 && msr(&apic, X2APIC(APIC_ISR0 + 2)) == 0 &&
              msr(&apic, X2APIC(APIC_TMR0 + 2)) == 0,
          "INIT clears what is pending, in service and enabled");
    CHECK(world.alarm_ns == VTIMER_OFF && msr(&apic, X2APIC(APIC_TMICT)) == 0,
          "INIT stops the timer");
    vlapic_reset(&apic);
    CHECK(msr(&apic, MSR_APIC_BASE) == XAPIC, "RESET goes back to xAPIC mode");
}

static void test_page(void)
{
    struct vlapic apic = new_xapic(3);
    bool absent = true, read_only = true;

    put(&apic, APIC_TPR, 0xabcdef12);
    CHECK(get(&apic, APIC_TPR) == 0x12 && vlapic_get_cr8(&apic) == 1, "TPR keeps eight bits");
    put(&apic, APIC_LDR, ~0u);
    put(&apic, APIC_DFR, 0x12345678);
    CHECK(get(&apic, APIC_LDR) == 0xff000000 && get(&apic, APIC_DFR) == 0x1fffffff,
          "LDR and DFR keep their upper bits");
    put(&apic, APIC_TDCR, ~0u);
    CHECK(get(&apic, APIC_TDCR) == 0xb, "the divide configuration has three bits");
    put(&apic, APIC_LVT_LINT0, ~0u);
    put(&apic, APIC_LVT_TIMER, ~0u);
    put(&apic, APIC_LVT_ERROR, ~0u);
    CHECK(get(&apic, APIC_LVT_LINT0) == 0x1a7ff && get(&apic, APIC_LVT_TIMER) == 0x700ff &&
              get(&apic, APIC_LVT_ERROR) == 0x100ff,
          "LVT entries keep the bits they have, without the read-only ones");
    put(&apic, APIC_ICR2, ~0u);
    put(&apic, APIC_ICR, 0xfff3f350); /* mode 3 is reserved, not sent */
    CHECK(get(&apic, APIC_ICR) == 0xc350 && get(&apic, APIC_ICR2) == 0xff000000 && world.sent == 0,
          "ICR reads back idle and without reserved bits");
    CHECK(vlapic_mmio_read(&apic, APIC_VERSION * 16 + 2, 1) == 0x05 &&
              vlapic_mmio_read(&apic, APIC_VERSION * 16, 2) == 0x14 &&
              vlapic_mmio_read(&apic, APIC_VERSION * 16, 8) == 0x50014 &&
              vlapic_mmio_read(&apic, APIC_VERSION * 16 + 4, 4) == 0,
          "reads of other sizes see the register's bytes and zeros");
    vlapic_mmio_write(&apic, APIC_TPR * 16, 1, 0x77);
    vlapic_mmio_write(&apic, APIC_TPR * 16 + 4, 4, 0x77);
    CHECK(get(&apic, APIC_TPR) == 0x12, "writes of other sizes and places are ignored");

    static const unsigned int ro[] = {APIC_ID,   APIC_VERSION, APIC_PPR,
                                      APIC_ISR0, APIC_IRR7,    APIC_TMCCT};
    for (unsigned int i = 0; i < ARRAY_SIZE(ro); i++) {
        uint32_t before = get(&apic, ro[i]);

        put(&apic, ro[i], ~0u);
        read_only = read_only && get(&apic, ro[i]) == before;
    }
    put(&apic, APIC_ESR, 0);
    CHECK(read_only && get(&apic, APIC_ESR) == 0,
          "read-only registers ignore writes without error");

    for (unsigned int reg = 0; reg < 0x100; reg++) {
        bool exists = (reg >= 2 && reg <= 3) || (reg >= 8 && reg <= 0x28) ||
                      (reg >= 0x30 && reg <= 0x39) || reg == 0x3e;

        put(&apic, reg, 0);
        put(&apic, APIC_ESR, 0);
        bool write_error = reg != APIC_ESR && get(&apic, APIC_ESR) == APIC_ESR_REGISTER;
        get(&apic, reg);
        put(&apic, APIC_ESR, 0);
        absent = absent && write_error == !exists &&
                 (get(&apic, APIC_ESR) == APIC_ESR_REGISTER) == !exists;
    }
    CHECK(absent, "exactly the reserved addresses of the page raise ESR's illegal register");

    vlapic_write_msr(&apic, MSR_APIC_BASE, XAPIC | APIC_BASE_X2APIC);
    vlapic_mmio_write(&apic, APIC_TPR * 16, 4, 0x99);
    CHECK(get(&apic, APIC_VERSION) == ~0u && msr(&apic, X2APIC(APIC_TPR)) != 0x99,
          "the page floats in x2APIC mode");
    vlapic_write_msr(&apic, MSR_APIC_BASE, LAYOUT_LAPIC_BASE);
    CHECK(get(&apic, APIC_VERSION) == ~0u, "and when the APIC is disabled");
}

/* SDM, table of the x2APIC registers: what may be read, and the bits that may be written. */
static const struct {
    uint32_t first, last;
    bool read, write;
    uint64_t bits;
} x2apic_table[] = {
    {0x802, 0x803, true, false, 0},
    {0x808, 0x808, true, true, 0xff},
    {0x80a, 0x80a, true, false, 0},
    {0x80b, 0x80b, false, true, 0},
    {0x80d, 0x80d, true, false, 0},
    {0x80f, 0x80f, true, true, 0x3ff},
    {0x810, 0x827, true, false, 0},
    {0x828, 0x828, true, true, 0},
    {0x830, 0x830, true, true, 0xffffffff000ccfff},
    {0x832, 0x832, true, true, 0x710ff},
    {0x833, 0x834, true, true, 0x117ff},
    {0x835, 0x836, true, true, 0x1f7ff},
    {0x837, 0x837, true, true, 0x110ff},
    {0x838, 0x838, true, true, 0xffffffff},
    {0x839, 0x839, true, false, 0},
    {0x83e, 0x83e, true, true, 0xb},
    {0x83f, 0x83f, false, true, 0xff},
};

static void test_gp(void)
{
    bool reads = true, writes = true, none = true;

    for (uint32_t index = 0x800; index <= 0x8ff; index++) {
        bool read = false, write = false;
        uint64_t bits = 0, value;

        for (unsigned int i = 0; i < ARRAY_SIZE(x2apic_table); i++) {
            if (index < x2apic_table[i].first || index > x2apic_table[i].last)
                continue;
            read = x2apic_table[i].read;
            write = x2apic_table[i].write;
            bits = x2apic_table[i].bits;
        }
        struct vlapic apic = new_x2apic(1), xapic = new_xapic(1);
        reads = reads && vlapic_read_msr(&apic, index, &value) == read;
        none =
            none && !vlapic_read_msr(&xapic, index, &value) && !vlapic_write_msr(&xapic, index, 0);
        writes = writes && vlapic_write_msr(&apic, index, 0) == write;
        for (unsigned int bit = 0; bit < 64; bit++) {
            struct vlapic before = apic;
            bool ok = vlapic_write_msr(&apic, index, BIT(bit));

            writes = writes && ok == (write && (bits & BIT(bit)) != 0) &&
                     (ok || memcmp(&before, &apic, sizeof(apic)) == 0);
        }
        writes = writes && vlapic_write_msr(&apic, index, bits) == write;
    }
    CHECK(reads, "x2APIC reads: #GP exactly where the table says, 800h to 8FFh");
    CHECK(writes,
          "x2APIC writes: #GP exactly for each bit that the table reserves, without effect");
    CHECK(none, "in xAPIC mode every x2APIC register is #GP");
    struct vlapic apic = new_x2apic(1);
    uint64_t value;
    CHECK(!vlapic_read_msr(&apic, 0x10, &value) && !vlapic_write_msr(&apic, 0x7ff, 0) &&
              !vlapic_write_msr(&apic, 0x900, 0),
          "other MSRs are not the APIC's");
}

static void test_base(void)
{
    static const uint64_t modes[] = {0, APIC_BASE_X2APIC, APIC_BASE_ENABLE,
                                     APIC_BASE_ENABLE | APIC_BASE_X2APIC};
    /* from (down) to (across): disabled, invalid, xAPIC, x2APIC */
    static const bool legal[4][4] = {{1, 0, 1, 0}, {0}, {1, 0, 1, 1}, {1, 0, 0, 1}};
    bool transitions = true, reserved = true;

    for (unsigned int from = 0; from < 4; from++) {
        for (unsigned int to = 0; to < 4 && from != 1; to++) {
            struct vlapic apic = from == 3 ? new_x2apic(0) : new_xapic(0);

            if (from == 0)
                vlapic_write_msr(&apic, MSR_APIC_BASE, LAYOUT_LAPIC_BASE);
            uint64_t before = msr(&apic, MSR_APIC_BASE);
            bool ok = vlapic_write_msr(&apic, MSR_APIC_BASE, LAYOUT_LAPIC_BASE | modes[to]);
            uint64_t after = msr(&apic, MSR_APIC_BASE);
            transitions = transitions && ok == legal[from][to] &&
                          after == (ok ? (LAYOUT_LAPIC_BASE | modes[to]) : before);
        }
    }
    CHECK(transitions, "exactly the legal transitions of IA32_APIC_BASE are taken");
    struct vlapic apic = new_xapic(0);
    for (unsigned int bit = 0; bit < 64; bit++) {
        if (bit != 8 && bit != 10 && bit != 11)
            reserved = reserved && !vlapic_write_msr(&apic, MSR_APIC_BASE, XAPIC ^ BIT(bit));
    }
    CHECK(reserved, "reserved bits and another base are #GP");
    vlapic_post(&apic, 0x44, false);
    put(&apic, APIC_TPR, 0x20);
    vlapic_write_msr(&apic, MSR_APIC_BASE, LAYOUT_LAPIC_BASE | APIC_BASE_BSP);
    CHECK(!vlapic_enabled(&apic) && vlapic_pending(&apic) == -1 && !vlapic_post(&apic, 0x45, false),
          "a disabled APIC has lost its state and takes nothing");
    CHECK(vlapic_accepts_pic(&apic), "but lets the 8259 through");
    vlapic_write_msr(&apic, MSR_APIC_BASE, XAPIC);
    CHECK(get(&apic, APIC_TPR) == 0 && get(&apic, APIC_SVR) == 0xff,
          "and comes back as after RESET");
    CHECK(new_x2apic(0x25).id == 0x25, "an id survives the change of mode");
    apic = new_x2apic(0x25);
    CHECK(msr(&apic, X2APIC(APIC_ID)) == 0x25 && msr(&apic, X2APIC(APIC_LDR)) == 0x20020,
          "in x2APIC mode the logical id follows from the id");
}

static void test_icr(void)
{
    struct vlapic apic = new_xapic(7);
    const struct apic_message *sent = &world.message;

    put(&apic, APIC_ICR2, 0x42000000);
    CHECK(world.sent == 0, "the upper half alone sends nothing");
    put(&apic, APIC_ICR, 0x48c1);
    CHECK(world.sent == 1 && sent->destination == 0x42 && sent->vector == 0xc1 && sent->logical &&
              sent->delivery_mode == APIC_DELIVER_FIXED && sent->shorthand == 0 && !sent->x2apic &&
              !sent->level && sent->source == 7,
          "xAPIC: fixed, logical");
    put(&apic, APIC_ICR, 0xc4500);
    CHECK(world.sent == 2 && sent->delivery_mode == APIC_DELIVER_INIT &&
              sent->shorthand == APIC_TO_OTHERS,
          "xAPIC: INIT to all others");
    put(&apic, APIC_ICR, 0x4608);
    CHECK(world.sent == 3 && sent->delivery_mode == APIC_DELIVER_STARTUP && sent->vector == 8,
          "xAPIC: a start-up vector below 16 is legal");
    put(&apic, APIC_ICR, 0x8500);
    put(&apic, APIC_ICR, 0x4700);
    put(&apic, APIC_ICR, 0x4300);
    CHECK(world.sent == 3, "INIT de-assert and the reserved modes send nothing");
    put(&apic, APIC_ICR, 0x00c1);
    CHECK(world.sent == 4, "the level bit of a fixed IPI does not matter");
    put(&apic, APIC_ICR, 0x440c1);
    CHECK(world.sent == 4 && take(&apic) == 0xc1, "an IPI to itself is posted");
    put(&apic, APIC_EOI, 0);
    put(&apic, APIC_ICR, 0x400f);
    put(&apic, APIC_ICR, 0x4102);
    CHECK(world.sent == 4 && get(&apic, APIC_ESR) == 0, "illegal vectors are not sent");
    put(&apic, APIC_ESR, 0);
    CHECK(get(&apic, APIC_ESR) == APIC_ESR_SEND_VECTOR, "ESR tells after a write");
    put(&apic, APIC_ESR, 0);
    CHECK(get(&apic, APIC_ESR) == 0, "the next write clears it");

    apic = new_x2apic(0x300);
    vlapic_write_msr(&apic, X2APIC(APIC_ICR), 0x1234567800000830);
    CHECK(world.sent == 1 && sent->destination == 0x12345678 && sent->x2apic && sent->logical &&
              sent->source == 0x300 && msr(&apic, X2APIC(APIC_ICR)) == 0x1234567800000830,
          "x2APIC: one MSR of 64 bits");
    vlapic_write_msr(&apic, X2APIC(APIC_SELF_IPI), 0x33);
    CHECK(take(&apic) == 0x33 && msr(&apic, X2APIC(APIC_ICR)) == 0x1234567800000830,
          "SELF IPI posts and leaves the ICR");
    vlapic_write_msr(&apic, X2APIC(APIC_SELF_IPI), 0x3);
    vlapic_write_msr(&apic, X2APIC(APIC_ESR), 0);
    CHECK(msr(&apic, X2APIC(APIC_ESR)) == (APIC_ESR_SEND_VECTOR | APIC_ESR_RECEIVE_VECTOR),
          "an illegal one is sent and received in error");
}

static void test_errors(void)
{
    struct vlapic apic = new_xapic(0);

    put(&apic, APIC_LVT_ERROR, 0xfe);
    CHECK(vlapic_post(&apic, 15, false) && take(&apic) == 0xfe, "an error raises its interrupt");
    put(&apic, APIC_EOI, 0);
    CHECK(!vlapic_post(&apic, 3, true) && vlapic_pending(&apic) == -1, "the same again does not");
    put(&apic, APIC_ESR, 0);
    CHECK(get(&apic, APIC_ESR) == APIC_ESR_RECEIVE_VECTOR && get(&apic, APIC_IRR0) == 0,
          "no vector below 16 is ever pending");
    put(&apic, APIC_ICR, 0x4000);
    CHECK(take(&apic) == 0xfe, "after the write it does");
    put(&apic, APIC_EOI, 0);
    put(&apic, APIC_ESR, 0);
    put(&apic, APIC_LVT_ERROR, 0x08);
    put(&apic, APIC_ICR, 0x4000);
    put(&apic, APIC_ESR, 0);
    CHECK(get(&apic, APIC_ESR) == (APIC_ESR_SEND_VECTOR | APIC_ESR_RECEIVE_VECTOR) &&
              vlapic_pending(&apic) == -1,
          "an error interrupt that is itself illegal is one more error");
    put(&apic, APIC_LVT_TIMER, 0x0f);
    put(&apic, APIC_TMICT, 10);
    run_until(&apic, world.now_ns + 100);
    put(&apic, APIC_ESR, 0);
    CHECK(get(&apic, APIC_ESR) == APIC_ESR_RECEIVE_VECTOR, "so is a timer with an illegal vector");
}

int main(void)
{
    test_reset();
    test_init();
    test_page();
    test_gp();
    test_base();
    test_icr();
    test_errors();
    return check_done();
}
