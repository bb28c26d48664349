/* SPDX-License-Identifier: MIT */
/* Silencing the HPET, which firmware uses for its own timer. */
#include "drivers/hpet.h"

#include "arch/x86/paging.h"
#include "arch/x86/regs.h"
#include "hv/util.h"

#define HPET_SIZE         0x400u
#define HPET_CAPABILITIES 0x000u
#define HPET_CONFIG       0x010u
#define HPET_TIMER(n)     (0x100u + 0x20u * (n))
#define CONFIG_LEGACY     0x2u
#define TIMER_INTERRUPT   0x4u
#define TIMER_FSB         0x4000u

static void clear_bits(volatile uint8_t *hpet, uint32_t offset, uint32_t bits)
{
    mmio_write32(hpet + offset, mmio_read32(hpet + offset) & ~bits);
}

void hpet_disable_interrupts(uint64_t address)
{
    if (!address)
        return;
    volatile uint8_t *hpet = paging_map_mmio(HPA(address), HPET_SIZE);
    uint32_t capabilities = mmio_read32(hpet + HPET_CAPABILITIES);
    if (capabilities == 0 || capabilities == UINT32_MAX)
        return;
    /* At most 24 of the 32 that the field could say fit into the registers' space. */
    uint32_t timers = MIN((uint32_t)BITS(capabilities, 12, 8) + 1, 24u);
    for (uint32_t i = 0; i < timers; i++)
        clear_bits(hpet, HPET_TIMER(i), TIMER_INTERRUPT | TIMER_FSB);
    clear_bits(hpet, HPET_CONFIG, CONFIG_LEGACY);
}
