/* SPDX-License-Identifier: MIT */
/*
 * Two guests that name each other: the memory that they share, and event channels between them.
 * side=0 asks, side=1 answers.  Both have two CPUs.
 */
#include "guest-stubs/share/share.h"

#include "guest-stubs/lib/options.h"

bool amd;
unsigned int side;

void stub_main(void)
{
    amd = is_amd();
    side = (unsigned int)option("side", 0);
    cpu_count = 2;
    cpus_init();
    check(start_cpu(1), "cpu 1 starts");
    share_memory();
    share_loopback();
    if (side == 0)
        share_ask();
    else
        share_answer();
}
