/* SPDX-License-Identifier: MIT */
/* A hard reset by the register at port CF9h: bit 1 says hard, bit 2 does it. */
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"

#define PORT_RESET 0xcf9

void stub_main(void)
{
    print("A reset follows\n");
    outb(PORT_RESET, 0x02);
    outb(PORT_RESET, 0x06);
    fail_at_once("the guest does not outlive a reset");
}
