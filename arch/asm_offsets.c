/* SPDX-License-Identifier: MIT */
/*
 * The layouts that assembly uses.  Compiled to assembly, never linked: the build turns each marker
 * into a %define of build/asm_offsets.inc.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/idt.h"

#define DEF(name, value) __asm__ volatile("\n.ascii \"@DEF " #name " %c0\"" ::"i"(value))

void asm_offsets(void);

void asm_offsets(void)
{
    DEF(SELECTOR_CODE, SELECTOR_CODE);
    DEF(SELECTOR_DATA, SELECTOR_DATA);
    DEF(ISR_HAS_ERROR_CODE, VEC_HAS_ERROR_CODE);
}
