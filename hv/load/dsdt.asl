/* SPDX-License-Identifier: MIT */
/*
 * The guest's DSDT: the devices that a PC's operating system finds nowhere else, and how to power off.  The
 * C preprocessor runs over it first, so that every number is the layout's.  CPUs are in the MADT alone.
 */
#include "hv/layout.h"

DefinitionBlock ("", "DSDT", 2, "MICA", "MICA", 1)
{
    Name (\_S5, Package (4) { SLP_TYP_S5, SLP_TYP_S5, 0, 0 })

    Scope (\_SB)
    {
        /* Without _PRT: its functions interrupt by messages alone. */
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, LAYOUT_LAST_BUS, 0, LAYOUT_BUSES)
                IO (Decode16, PORT_PCI_ADDR, PORT_PCI_ADDR, 1, 8)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                             0, LAYOUT_PCI_BASE, LAYOUT_PCI_END, 0, LAYOUT_PCI_SIZE)
            })
        }

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, PORT_COM1, PORT_COM1, 1, 8)
                IRQNoFlags () { GSI_COM1 }
            })
        }

        Device (RTC)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, PORT_CMOS, PORT_CMOS, 1, 2)
                IRQNoFlags () { GSI_RTC }
            })
        }

        /* What no driver may take: without ECAM here Linux would not use it. */
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, PORT_PIC_ELCR, PORT_PIC_ELCR, 1, 2)
                IO (Decode16, PORT_PM_BASE, PORT_PM_BASE, 1, PORT_PM_SIZE)
                Memory32Fixed (ReadWrite, LAYOUT_ECAM_BASE, LAYOUT_ECAM_SIZE)
                Memory32Fixed (ReadWrite, LAYOUT_IOAPIC_BASE, LAYOUT_IOAPIC_SIZE)
                Memory32Fixed (ReadWrite, LAYOUT_LAPIC_BASE, LAYOUT_LAPIC_SIZE)
            })
        }
    }
}
