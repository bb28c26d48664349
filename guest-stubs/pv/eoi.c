/* SPDX-License-Identifier: MIT */
/* Ends of interrupts that take no exit: they are seen nevertheless, and the others are made. */
#include "guest-stubs/pv/pv.h"

#define VEC_LOW  0x75
#define VEC_HIGH 0x85
#define ROUNDS   200

static uint32_t may_skip __attribute__((aligned(4)));
static volatile unsigned int low, high, skipped, skipped_high;
static volatile bool nest;

static bool end_interrupt(void)
{
    bool was;

    __asm__ volatile("btrl $0, %0" : "+m"(may_skip), "=@ccc"(was) : : "memory");
    if (!was)
        lapic_eoi();
    return was;
}

static void on_low(struct frame *frame)
{
    low++;
    skipped += end_interrupt();
}

/* While it is handled one of lower priority is requested, which its end must let through. */
static void on_high(struct frame *frame)
{
    high++;
    if (nest)
        ipi(0, ICR_SELF | VEC_LOW | ICR_ASSERT);
    skipped_high += end_interrupt();
}

static unsigned int expected_low, twice;

static bool low_has_come(void)
{
    return low >= expected_low;
}

static uint32_t in_service(void)
{
    uint32_t set = 0;

    for (unsigned int i = 0; i < 8; i++)
        set |= lapic_read(0x100 + 0x10 * i);
    return set;
}

static bool self_ipis(uint8_t vector, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        expected_low = low + 1;
        ipi(0, ICR_SELF | vector | ICR_ASSERT);
        if (!wait_until(low_has_come)) {
            print("# %u have come, the byte is %u, in service %x\n", low, may_skip, in_service());
            return false;
        }
        twice += low - expected_low;
    }
    return true;
}

void pv_eoi(void)
{
    trap_handlers[VEC_LOW] = on_low;
    trap_handlers[VEC_HIGH] = on_high;
    wrmsr(MSR_KVM_PV_EOI_EN, (uint64_t)&may_skip | KVM_MSR_ENABLE);
    check(self_ipis(VEC_LOW, ROUNDS), "with EOIs that are skipped %u interrupts come", ROUNDS);
    print("# %u EOIs skipped\n", skipped);
    check(skipped * 10 >= ROUNDS * 9, "at least 90%% of the EOIs took no exit");
    check_equal(in_service(), 0, "none is in service any more");
    nest = true;
    check(self_ipis(VEC_HIGH, ROUNDS) && high >= ROUNDS,
          "an interrupt that waits for an EOI comes with it");
    check_equal(skipped_high, 0, "for such an EOI is never skipped");
    wrmsr(MSR_KVM_PV_EOI_EN, 0);
    skipped = 0;
    check(self_ipis(VEC_LOW, 3) && skipped == 0, "switched off, each EOI is made");
    twice += high - ROUNDS;
    print("# %u interrupts came twice\n", twice);
    /* QEMU 7.2 keeps the vector of an injected interrupt in exception_index, and delivers it again
     * when another CPU is to be emulated before the guest's next exit, which may be long in coming
     * here. */
    check(twice == 0 || on_qemu_tcg(), "none comes twice");
}
