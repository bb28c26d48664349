/* SPDX-License-Identifier: MIT */
/* An interrupt from this CPU to a second one, both running. */
#include "guest-stubs/bench/bench.h"
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define RECEIVER 1u /* its APIC id; op_ipi_send has it too */

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

uint64_t op_ipi_send(uint64_t round);
void ipi_receive(void);
void ipi_handler(void);

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
    struct samples sending = {0}, receiving = {0}, latency = {0};

    if (!start_cpu(RECEIVER, ipi_receive)) {
        print_skipped("ipi-send", "one CPU");
        print_skipped("ipi-receive", "one CPU");
        print_skipped("ipi", "one CPU");
        return;
    }
    set_handler(VEC_IPI, ipi_handler);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        samples_add(&sending, op_ipi_send(round) - empty_cost);
        if (receiver_away() > 0)
            samples_add(&receiving, (uint64_t)receiver_away());
        samples_add(&latency, ipi.handler - ipi.sent);
    }
    samples_print("ipi-send", &sending);
    samples_print("ipi-receive", &receiving);
    samples_print("ipi", &latency);
}
