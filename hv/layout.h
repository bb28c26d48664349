/* SPDX-License-Identifier: MIT */
/*
 * Where everything lies in a guest's machine: memory, ports, interrupt lines.  Every table that
 * tells a guest so is made from here: E820, hvm_start_info, the Multiboot map, CMOS, the ACPI
 * tables, and the DSDT, whose source includes the first half of this file (hence numbers without
 * suffixes).
 *
 *   0x00000000  RAM
 *   0x000a0000  nothing (a PC's video memory)
 *   0x000c0000  memory, but reserved: empty where a PC's ROMs are, for systems search it word by
 *               word, and from 0x000e0000 the ACPI tables
 *   0x00100000  RAM
 *   0xc0000000  PCI window
 *   0xe0000000  ECAM
 *   0xfec00000  I/O APIC
 *   0xfee00000  local APIC
 *  0x100000000  the RAM that did not fit below 0xc0000000
 */
#pragma once

#define LAYOUT_BASE_MEMORY_END 0x000a0000
#define LAYOUT_ROM_BASE        0x000c0000
#define LAYOUT_ACPI_BASE       0x000e0000
#define LAYOUT_ACPI_SIZE       0x00020000
#define LAYOUT_EXTENDED_BASE   0x00100000
#define LAYOUT_LOW_RAM_END     0xc0000000
#define LAYOUT_PCI_BASE        0xc0000000
#define LAYOUT_PCI_SIZE        0x20000000
#define LAYOUT_PCI_END         0xdfffffff /* its last byte, for iasl, which does not add */
#define LAYOUT_ECAM_BASE       0xe0000000
#define LAYOUT_ECAM_SIZE       0x10000000 /* 256 buses */
#define LAYOUT_BUSES           1 /* of them; systems ask all that they are told of for devices */
#define LAYOUT_LAST_BUS        0
#define LAYOUT_IOAPIC_BASE     0xfec00000
#define LAYOUT_IOAPIC_SIZE     0x00001000
#define LAYOUT_LAPIC_BASE      0xfee00000
#define LAYOUT_LAPIC_SIZE      0x00001000

#define PORT_PIC_MASTER 0x0020
#define PORT_PIC_SLAVE  0x00a0
#define PORT_PIT        0x0040
#define PORT_I8042_DATA 0x0060
#define PORT_SYSTEM_B   0x0061 /* the gate and output of the 8254's channel 2 */
#define PORT_I8042      0x0064
#define PORT_CMOS       0x0070
#define PORT_FAST_A20   0x0092
#define PORT_DEBUG_EXIT 0x00f4
#define PORT_COM1       0x03f8
#define PORT_PIC_ELCR   0x04d0
#define PORT_PM_BASE    0x0600 /* all ACPI registers */
#define PORT_PM_SIZE    0x0010
#define PORT_PM1A_EVT   0x0600 /* status, then enable, 16 bits each */
#define PORT_PM1A_CNT   0x0604
#define PORT_PM_TIMER   0x0608
#define PORT_PCI_ADDR   0x0cf8
#define PORT_RESET      0x0cf9
#define PORT_PCI_DATA   0x0cfc

/* Global system interrupts: pins of the I/O APIC.  An ISA interrupt has its own number except IRQ
 * 0. */
#define GSI_PIT   2
#define GSI_COM1  4
#define GSI_RTC   8
#define GSI_SCI   9 /* level-triggered, active high */
#define GSI_COUNT 24
#define IRQ_PIT   0 /* at the 8259, where it is not redirected */
#define IOAPIC_ID 0

#define RESET_VALUE  0x06 /* written to PORT_RESET: a hard reset */
#define SLP_TYP_S5   5    /* in PM1a_CNT: power off */
#define CMOS_CENTURY 0x32

#ifndef __ASSEMBLER__

#include "hv/addr.h"

#include <stdbool.h>
#include <stdint.h>

#define LAYOUT_MEMORY_MIN MIB(4)
#define LAYOUT_MEMORY_MAX GIB(512)
#define LAYOUT_MAX_VCPUS  32
#define LAYOUT_SHARE_MAX  MIB(256) /* half of the PCI window, and aligned to its size there */
#define LAYOUT_HIGH_BASE  GIB(4)

enum layout_type {
    LAYOUT_RAM = 1,  /* memory, the guest's to use */
    LAYOUT_ACPI,     /* memory around the ACPI tables; reserved in what a guest is told */
    LAYOUT_RESERVED, /* devices: no memory behind it */
};

struct layout_range {
    uint64_t base;
    uint64_t size;
    enum layout_type type;
};

#define LAYOUT_MAX_RANGES 8

/* Sorted by base, without overlaps, all page-aligned. */
struct layout_map {
    unsigned int count;
    struct layout_range ranges[LAYOUT_MAX_RANGES];
};

/*
 * A guest's memory of `memory_size` bytes is one line of bytes, of which the piece [0,
 * layout_low_size()) is seen at 0, except for the hole, and the rest at LAYOUT_HIGH_BASE.
 */
uint64_t layout_low_size(uint64_t memory_size);
uint64_t layout_high_size(uint64_t memory_size);

/* memory_size: page-aligned, LAYOUT_MEMORY_MIN to LAYOUT_MEMORY_MAX. */
void layout_make(uint64_t memory_size, struct layout_map *map);

/* The type as E820, hvm_start_info and Multiboot number it: 1 usable, 2 reserved. */
uint32_t layout_e820_type(enum layout_type type);

/* Whether all of [base, base + size) lies in one range of RAM. */
bool layout_is_ram(const struct layout_map *map, uint64_t base, uint64_t size);

#endif
