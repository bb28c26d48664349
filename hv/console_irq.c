/* SPDX-License-Identifier: MIT */
/* How the physical UART's interrupt reaches the console: the boot CPU takes it and does its work.
 */
#include "hv/console.h"

#include "arch/x86/cpu.h"
#include "arch/x86/idt.h"
#include "drivers/acpi.h"
#include "drivers/ioapic.h"
#include "drivers/uart16550.h"
#include "hv/cpu_work.h"
#include "hv/log.h"
#include "hv/loop.h"
#include "hv/panic.h"

static void interrupt(void *ctx)
{
    console_interrupt();
}

static void post_work(void)
{
    loop_post(cpu_by_index(0), WORK_CONSOLE);
}

void console_enable_interrupts(void)
{
    uint8_t vector;

    console_start_work(post_work);
    if (!console_has_uart()) {
        log_warn("console: no serial port at 0x%x", UART16550_COM1);
        return;
    }
    vector = irq_alloc_vector();
    if (!vector)
        panic("console: no vector is free");
    irq_register(vector, interrupt, NULL);
    if (!ioapic_route_isa(acpi_info(), UART16550_COM1_IRQ, vector, cpu_by_index(0)->apic_id)) {
        log_error("console: no i/o apic has the serial port's interrupt: output only");
        return;
    }
    console_start_interrupts();
}
