/* SPDX-License-Identifier: MIT */
/* The physical machine around the CPUs: what firmware says of it, and making it quiet. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct boot_info;
struct cpu_list;

/*
 * After paging_init(), before tsc_calibrate(): reads the ACPI tables, masks the
 * interrupt controllers and the HPET, turns bus mastering off, prepares power-off.  Logs a line for
 * each.
 */
void host_init(const struct boot_info *info);

/* The CPUs that firmware lists, by the MADT if there is one; a line for each that cannot be used.
 */
void host_list_cpus(const struct boot_info *info, struct cpu_list *list);

/* What `info host` says of it. */
struct host_summary {
    bool acpi;
    unsigned int acpi_tables;
    uint64_t image_bytes;  /* the hypervisor's image, its file and boot/'s tables */
    uint64_t module_bytes; /* the files of \mica\ */
    unsigned int ioapic_pins;
    unsigned int pci_functions;
    unsigned int pci_stopped; /* functions whose bus mastering was on */
};

extern struct host_summary host_summary;
