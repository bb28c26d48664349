/* SPDX-License-Identifier: MIT */
/* Leaving: the log gets out, virtualization ends, then the hardware is told. */
#include "hv/power.h"

#include "arch/x86/regs.h"
#include "drivers/power.h"
#include "hv/console.h"
#include "hv/log.h"

static void (*leave_hook)(void);

void power_set_leave_hook(void (*leave)(void))
{
    leave_hook = leave;
}

static void leave(void)
{
    irq_disable();
    console_flush();
    if (leave_hook)
        leave_hook();
    leave_hook = NULL;
}

NORETURN void power_off(void)
{
    log_info("power: off");
    leave();
    power_machine_off();
    log_error("power: the machine does not turn off; it may be switched off now");
    console_flush();
    for (;;)
        cpu_halt();
}

NORETURN void power_reboot(void)
{
    log_info("power: reboot");
    leave();
    power_machine_reboot();
}
