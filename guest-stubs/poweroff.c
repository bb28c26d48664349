/* SPDX-License-Identifier: MIT */
/*
 * Power-off by ACPI: SLP_TYP of S5 and SLP_EN in PM1a_CNT.  With button=1 when somebody presses the
 * power button.
 */
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/stub.h"

#define PM1A_STS   0x600
#define PM1A_EN    0x602
#define PM1A_CNT   0x604
#define PWRBTN     (1u << 8) /* in both, status and enable */
#define SLP_TYP_S5 (5u << 10)
#define SLP_EN     (1u << 13)

static void wait_for_button(void)
{
    outw(PM1A_EN, PWRBTN);
    check(!(inw(PM1A_STS) & PWRBTN), "nobody has pressed the button");
    print("# waits for its button\n");
    while (!(inw(PM1A_STS) & PWRBTN))
        __asm__ volatile("pause");
    outw(PM1A_STS, PWRBTN);
    check(!(inw(PM1A_STS) & PWRBTN), "it was pressed once");
}

void stub_main(void)
{
    if (option("button", 0))
        wait_for_button();
    print("Power-off follows\n");
    outw(PM1A_CNT, SLP_TYP_S5);
    outw(PM1A_CNT, SLP_TYP_S5 | SLP_EN);
    fail_at_once("the guest does not outlive power-off");
}
