/* SPDX-License-Identifier: MIT */
/* Power-off and reboot. */
#include "drivers/power.h"

#include "arch/x86/regs.h"
#include "arch/x86/tsc.h"
#include "drivers/acpi.h"

#define PORT_RESET_CONTROL 0xcf9u
#define RESET_SYSTEM       0x02u
#define RESET_CPU          0x04u
#define PORT_I8042         0x64u
#define I8042_BUSY         0x02u
#define I8042_PULSE_RESET  0xfeu
#define I8042_POLLS        10000u
#define WAIT_US            100000u
#define EFI_RESET_SHUTDOWN 2u

/* drivers/efi_reset.asm */
void efi_reset(uint64_t cr3, uint64_t system_table, uint64_t type);

static uint64_t efi_system_table, efi_cr3;

void power_init(uint64_t system_table, uint64_t runtime_cr3)
{
    efi_system_table = system_table;
    efi_cr3 = runtime_cr3;
}

void power_machine_off(void)
{
    acpi_power_off();
    if (efi_system_table && efi_cr3)
        efi_reset(efi_cr3, efi_system_table, EFI_RESET_SHUTDOWN);
}

static void reset_by_cf9(void)
{
    uint8_t value = inb(PORT_RESET_CONTROL) & (uint8_t) ~(RESET_SYSTEM | RESET_CPU);

    outb(PORT_RESET_CONTROL, value | RESET_SYSTEM);
    delay_us(50);
    outb(PORT_RESET_CONTROL, value | RESET_SYSTEM | RESET_CPU);
    delay_us(WAIT_US);
}

static void reset_by_i8042(void)
{
    for (unsigned int i = 0; i < I8042_POLLS && (inb(PORT_I8042) & I8042_BUSY); i++)
        cpu_relax();
    outb(PORT_I8042, I8042_PULSE_RESET);
    delay_us(WAIT_US);
}

NORETURN void power_machine_reboot(void)
{
    const struct desc_ptr no_idt = {.limit = 0};

    acpi_reset();
    reset_by_cf9();
    reset_by_i8042();
    lidt(&no_idt);
    __asm__ volatile("ud2");
    for (;;)
        cpu_halt();
}
