/* SPDX-License-Identifier: MIT */
/* Silencing the legacy interrupt controllers. */
#include "drivers/i8259.h"

#include "arch/x86/regs.h"

#include <stdint.h>

#define MASTER_COMMAND 0x20u
#define MASTER_DATA    0x21u
#define SLAVE_COMMAND  0xa0u
#define SLAVE_DATA     0xa1u

#define ICW1_INIT_ICW4 0x11u
#define ICW4_8086      0x01u
#define SLAVE_PIN      2u
#define MASTER_VECTOR  0x20u
#define SLAVE_VECTOR   0x28u
#define ALL_MASKED     0xffu

/* The four initialisation words; port 0x80 between them gives old chips time. */
static void initialise(uint16_t command, uint16_t data, uint8_t vector, uint8_t wiring)
{
    const uint8_t words[] = {vector, wiring, ICW4_8086, ALL_MASKED};

    outb(data, ALL_MASKED);
    outb(command, ICW1_INIT_ICW4);
    for (unsigned int i = 0; i < sizeof(words); i++) {
        outb(0x80, 0);
        outb(data, words[i]);
    }
}

void i8259_disable(void)
{
    initialise(MASTER_COMMAND, MASTER_DATA, MASTER_VECTOR, 1u << SLAVE_PIN);
    initialise(SLAVE_COMMAND, SLAVE_DATA, SLAVE_VECTOR, SLAVE_PIN);
}
