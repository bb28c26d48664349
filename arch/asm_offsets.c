/* SPDX-License-Identifier: MIT */
/*
 * The layouts that assembly uses.  Compiled to assembly, never linked: the build turns each marker
 * into a %define of build/asm_offsets.inc.
 */
#include "arch/vmx/fields.h"
#include "arch/x86/cpu.h"
#include "arch/x86/idt.h"
#include "hv/vcpu.h"

/* struct gprs is an array in the order of the registers' encoding. */
#define GPR(name, number) DEF(GPRS_##name, offsetof(struct gprs, r) + (number) * sizeof(uint64_t))
#define DEF(name, value) __asm__ volatile("\n.ascii \"@DEF " #name " %c0\"" ::"i"(value))

void asm_offsets(void);

void asm_offsets(void)
{
    DEF(SELECTOR_CODE, SELECTOR_CODE);
    DEF(SELECTOR_DATA, SELECTOR_DATA);
    GPR(RAX, 0);
    GPR(RCX, 1);
    GPR(RDX, 2);
    GPR(RBX, 3);
    GPR(RSP, 4);
    GPR(RBP, 5);
    GPR(RSI, 6);
    GPR(RDI, 7);
    GPR(R8, 8);
    GPR(R9, 9);
    GPR(R10, 10);
    GPR(R11, 11);
    GPR(R12, 12);
    GPR(R13, 13);
    GPR(R14, 14);
    GPR(R15, 15);
    DEF(ISR_HAS_ERROR_CODE, VEC_HAS_ERROR_CODE);
    DEF(VMCS_HOST_RSP, VMCS_HOST_RSP);
}
