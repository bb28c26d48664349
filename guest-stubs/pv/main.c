/* SPDX-License-Identifier: MIT */
/*
 * The paravirtual interfaces: KVM's and Mica's own, as their headers describe them, and what they
 * make of nonsense.
 *
 * cpus= is how many CPUs there are.  With exact=1, where time is counted in instructions, steal
 * time must be what the guest itself misses.  With ipis=1 only IPIs are tried; with shutdown= it
 * only ends, with that code.
 */
#include "guest-stubs/lib/options.h"
#include "guest-stubs/pv/pv.h"

bool amd;

static void check_start(void)
{
    for (unsigned int cpu = 1; cpu < cpu_count; cpu++)
        check(start_cpu(cpu), "cpu %u starts", cpu);
}

void stub_main(void)
{
    uint64_t code = option("shutdown", 0);

    amd = is_amd();
    if (code) {
        mica_call(amd, MICA_CALL_SHUTDOWN, code, 0);
        check(false, "the guest has ended");
        return;
    }
    cpu_count = (unsigned int)option("cpus", 4);
    cpus_init();
    check_start();
    if (option("ipis", 0)) {
        pv_ipis();
        return;
    }
    pv_steal();
    pv_eoi();
    if (option("exact", 0))
        return;
    pv_kvm();
    pv_flush();
    pv_mica();
    pv_hostile();
}
