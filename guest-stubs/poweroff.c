/* SPDX-License-Identifier: MIT */
/* Power-off by ACPI: SLP_TYP of S5 and SLP_EN in PM1a_CNT. */
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"

#define PM1A_CNT   0x604
#define SLP_TYP_S5 (5u << 10)
#define SLP_EN     (1u << 13)

void stub_main(void)
{
    print("Power-off follows\n");
    outw(PM1A_CNT, SLP_TYP_S5);
    outw(PM1A_CNT, SLP_TYP_S5 | SLP_EN);
    fail_at_once("the guest does not outlive power-off");
}
