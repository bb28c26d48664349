/* SPDX-License-Identifier: MIT */
/* An interrupt from this CPU to a second one, both running. */
#include "guest-stubs/bench/bench.h"
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define TRAMPOLINE  0x70000u
#define STACK_SHIFT 12 /* trampoline.asm has it too */
#define PATIENCE    1000000u
#define ICR_INIT    0x4500u
#define ICR_STARTUP 0x4600u
#define RECEIVER    1u /* its APIC id; op_ipi_send has it too */

/* Times are the low halves of TSCs. */
struct ipi {
    uint32_t sent;          /* before the write of the ICR */
    uint32_t sender_last;   /* the sender's last look at the clock, */
    uint32_t receiver_last; /* and the receiver's, before the handler */
    uint32_t handler;       /* the handler's first instruction */
    uint32_t taken;
    uint32_t receiver_now; /* the receiver's last look, after the handler too */
};

extern volatile struct ipi ipi;
extern const uint8_t ap_trampoline[], ap_trampoline_end[];
extern uint8_t ap_stacks[RECEIVER + 1][1 << STACK_SHIFT];
uint8_t ap_stacks[RECEIVER + 1][1 << STACK_SHIFT] __attribute__((aligned(4096)));
static volatile bool arrived;

uint64_t op_ipi_send(uint64_t round);
_Noreturn void ipi_receive(void);
void ipi_handler(void);
_Noreturn void ap_main(unsigned int cpu);

_Noreturn void ap_main(unsigned int cpu)
{
    trap_load_idt(idt, sizeof(idt) - 1);
    if (apic_is_x2)
        wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10));
    apic_write(LAPIC_SVR, SVR_ENABLE | 0xff);
    arrived = true;
    ipi_receive();
}

static void send_command(uint32_t command)
{
    if (apic_is_x2) {
        wrmsr(MSR_X2APIC + LAPIC_ICR / 16, (uint64_t)RECEIVER << 32 | command);
    } else {
        lapic_write(LAPIC_ICR2, RECEIVER << 24);
        lapic_write(LAPIC_ICR, command);
    }
}

static bool start_receiver(void)
{
    memcpy((void *)(uint64_t)TRAMPOLINE, ap_trampoline,
           (unsigned long)(ap_trampoline_end - ap_trampoline));
    send_command(ICR_INIT);
    send_command(ICR_STARTUP | TRAMPOLINE >> 12);
    send_command(ICR_STARTUP | TRAMPOLINE >> 12);
    for (unsigned int i = 0; i < PATIENCE && !arrived; i++)
        __asm__ volatile("pause");
    return arrived;
}

/*
 * How long the receiver was away: since its own last look at the clock, where it ran beside the
 * sender.  Where it did not, it has begun when the sender made way for it.
 */
static int32_t receiver_away(void)
{
    bool beside = (int32_t)(ipi.receiver_last - ipi.sent) > 0;

    return (int32_t)(ipi.handler - (beside ? ipi.receiver_last : ipi.sender_last));
}

void measure_ipi(void)
{
    struct samples send = {0}, receive = {0}, latency = {0};

    if (!start_receiver()) {
        print_skipped("ipi-send", "one CPU");
        print_skipped("ipi-receive", "one CPU");
        print_skipped("ipi", "one CPU");
        return;
    }
    set_handler(VEC_IPI, ipi_handler);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        samples_add(&send, op_ipi_send(round));
        if (receiver_away() > 0)
            samples_add(&receive, (uint64_t)receiver_away());
        samples_add(&latency, ipi.handler - ipi.sent);
    }
    samples_print("ipi-send", &send);
    samples_print("ipi-receive", &receive);
    samples_print("ipi", &latency);
}
