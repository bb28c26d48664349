/* SPDX-License-Identifier: MIT */
/*
 * Exits: every kind of exit that a hypervisor handles, its error paths included.
 *
 * What a guest executes must do what the architecture says, whether the CPU does it or the
 * hypervisor in its place: the result, which registers change, where RIP stands afterwards, and for
 * a fault that nothing has changed and that RIP still stands at the instruction.  Each file of this
 * folder begins with what the manuals say about its kind.
 */
#include "guest-stubs/exits/exits.h"

#include "guest-stubs/lib/stub.h"

void stub_main(void)
{
    exits_cpuid();
    exits_msr();
    exits_tsc();
    exits_apic_base();
    exits_control();
    exits_debug();
    exits_step();
    exits_insn();
    exits_fetch();
    exits_io();
    exits_string_io();
    exits_mmio();
    exits_mmio_string();
}
