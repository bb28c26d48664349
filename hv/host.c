/* SPDX-License-Identifier: MIT */
/* Taking the physical machine over from firmware.  What runs on it is not known here. */
#include "hv/host.h"

#include "arch/x86/cpu_list.h"
#include "arch/x86/lapic.h"
#include "arch/x86/paging.h"
#include "boot/boot_info.h"
#include "drivers/acpi.h"
#include "drivers/hpet.h"
#include "drivers/i8259.h"
#include "drivers/ioapic.h"
#include "drivers/pci.h"
#include "drivers/power.h"
#include "drivers/rtc.h"
#include "hv/log.h"

struct host_summary host_summary;

static void log_acpi(const struct acpi_info *acpi)
{
    if (!acpi->found) {
        log_info("acpi: no tables");
        return;
    }
    log_info("acpi: %u tables, %u cpus, %u i/o apics%s%s", acpi->table_count, acpi->cpu_count,
             acpi->ioapic_count, acpi->hpet ? ", hpet" : "", acpi->has_s5 ? ", s5" : "");
    if (acpi->damaged_count)
        log_warn("acpi: %u tables are damaged and were passed over", acpi->damaged_count);
}

static void count_memory(const struct boot_info *info)
{
    for (uint32_t i = 0; i < info->memory_count; i++) {
        const struct boot_mem *m = &info->memory[i];
        if (m->type == BOOT_MEM_IMAGE || m->type == BOOT_MEM_LOADER)
            host_summary.image_bytes += m->size;
        else if (m->type == BOOT_MEM_MODULE)
            host_summary.module_bytes += m->size;
    }
}

void host_init(const struct boot_info *info)
{
    count_memory(info);
    acpi_init(info->rsdp);
    log_acpi(acpi_info());
    host_summary.acpi = acpi_info()->found;
    host_summary.acpi_tables = acpi_info()->table_count;
    host_summary.pci_stopped = pci_stop_dma();
    host_summary.pci_functions = pci_function_count();
    log_info("pci: %u functions, bus mastering was on in %u", host_summary.pci_functions,
             host_summary.pci_stopped);
    i8259_disable();
    hpet_disable_interrupts(acpi_info()->hpet);
    host_summary.ioapic_pins = ioapic_init(acpi_info());
    log_info("ioapic: %u pins, all masked", host_summary.ioapic_pins);
    rtc_init(acpi_info()->century);
    power_init(info->system_table, paging_runtime_services_cr3());
}

static void list_cpu(struct cpu_list *list, uint32_t apic_id, bool enabled)
{
    const char *why_not = cpu_list_add(list, apic_id, enabled);

    if (why_not)
        log_warn("cpus: apic %u %s: left out", apic_id, why_not);
}

void host_list_cpus(const struct boot_info *info, struct cpu_list *list)
{
    const struct acpi_info *acpi = acpi_info();

    cpu_list_init(list, lapic_id(), lapic_is_x2apic());
    for (uint32_t i = 0; acpi->has_madt && i < acpi->cpu_count; i++)
        list_cpu(list, acpi->cpus[i].apic_id, acpi->cpus[i].enabled);
    for (uint32_t i = 0; !acpi->has_madt && i < info->cpu_count; i++)
        list_cpu(list, info->cpus[i].apic_id, info->cpus[i].enabled);
}
