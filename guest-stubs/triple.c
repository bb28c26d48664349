/* SPDX-License-Identifier: MIT */
/*
 * A triple fault: #UD finds no IDT, #GP and #DF neither.  A processor then shuts down; the guest is
 * stopped, and only the guest.
 */
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

void stub_main(void)
{
    print("A triple fault follows\n");
    trap_load_idt(idt, 0);
    __asm__ volatile("ud2");
    fail_at_once("the guest does not outlive a triple fault");
}
