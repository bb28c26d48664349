/* SPDX-License-Identifier: MIT */
/* The machine's PCI bus, only as far as making it quiet. */
#pragma once

#include <stdint.h>

/*
 * Bus mastering off on every function that can be reached from bus 0: what firmware left running
 * may still do DMA.  Decoding of memory and ports stays on, so the framebuffer works.  Returns how
 * many functions had it on.
 */
unsigned int pci_stop_dma(void);

/* Functions that pci_stop_dma() has seen. */
unsigned int pci_function_count(void);

void pci_write8(uint8_t bus, uint8_t device, uint8_t function, uint8_t offset, uint8_t value);
