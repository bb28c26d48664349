/* SPDX-License-Identifier: MIT */
/*
 * Several CPUs: they start by INIT and start-up IPIs, reach each other by interrupts of every
 * delivery mode and addressing, and share memory.
 */
#include "guest-stubs/smp/cpus.h"

void stub_main(void)
{
    cpus_init();
    smp_start();
    smp_ipi();
    smp_stress();
}
