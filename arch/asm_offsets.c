/* SPDX-License-Identifier: MIT */
/*
 * The layouts that assembly uses.  Compiled to assembly, never linked: the build turns each marker
 * into a %define of build/asm_offsets.inc.
 */
#include "arch/vmx/vmx.h"
#include "arch/x86/cpu.h"
#include "arch/x86/idt.h"
#include "arch/x86/msr.h"
#include "arch/x86/smp.h"
#include "arch/x86/speculation.h"
#include "hv/fast.h"
#include "hv/vcpu.h"

/* struct gprs is an array in the order of the registers' encoding. */
#define GPR(name, number) DEF(GPRS_##name, offsetof(struct gprs, r) + (number) * sizeof(uint64_t))
#define DEF(name, value)  __asm__ volatile("\n.ascii \"@DEF " #name " %c0\"" ::"i"(value))

void asm_offsets(void);

void asm_offsets(void)
{
    DEF(SELECTOR_CODE, SELECTOR_CODE);
    DEF(SELECTOR_DATA, SELECTOR_DATA);
    DEF(GDT_CODE64_LOW, (uint32_t)GDT_CODE64);
    DEF(GDT_CODE64_HIGH, GDT_CODE64 >> 32);
    DEF(GDT_DATA_LOW, (uint32_t)GDT_DATA);
    DEF(GDT_DATA_HIGH, GDT_DATA >> 32);
    DEF(AP_CR0, (int32_t)(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG));
    DEF(AP_CR4, CR4_PAE);
    DEF(AP_EFER, EFER_LME | EFER_NXE);
    DEF(AP_MSR_EFER, MSR_EFER);
    DEF(SMP_SLOT_SIZE, SMP_SLOT_SIZE);
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
    DEF(VMX_REFUSED, VMX_REFUSED);
    DEF(FAST_DONE, FAST_DONE);
    DEF(MSR_SPEC_CTRL, MSR_SPEC_CTRL);
    DEF(MSR_PRED_CMD, MSR_PRED_CMD);
    DEF(MSR_FLUSH_CMD, MSR_FLUSH_CMD);
    DEF(PRED_CMD_IBPB, PRED_CMD_IBPB);
    DEF(FLUSH_CMD_L1D, FLUSH_CMD_L1D);
    DEF(SPECULATION_IBRS_EXIT, SPECULATION_IBRS_EXIT);
    DEF(SPECULATION_IBPB_EXIT, SPECULATION_IBPB_EXIT);
    DEF(SPECULATION_RSB, SPECULATION_RSB);
    DEF(SPECULATION_L1D, SPECULATION_L1D);
    DEF(SPECULATION_VERW, SPECULATION_VERW);
}
