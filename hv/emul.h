/* SPDX-License-Identifier: MIT */
/* The handlers of exits, one emul_*.c per thing emulated. */
#pragma once

#include "hv/exit.h"

#include <stdint.h>

struct cpuid_regs;
struct vcpu;

exit_handler emul_cpuid; /* emul_cpuid.c */
exit_handler emul_rdmsr; /* emul_msr.c */
exit_handler emul_wrmsr;
exit_handler emul_io;  /* emul_io.c */
exit_handler emul_mem; /* emul_mem.c */
exit_handler emul_cr;  /* emul_cr.c */
exit_handler emul_dr;
exit_handler emul_xsetbv;
exit_handler emul_exception; /* emul_exception.c */
exit_handler emul_hypercall;
exit_handler emul_kernel_call; /* a hypercall of 64-bit code at CPL 0 */
exit_handler emul_cache;       /* exit.c */

/* What a guest's CPUID shows; the MSR and CR4 policies ask it, so that all three agree. */
void emul_cpuid_get(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf,
                    struct cpuid_regs *out);
/* What CPUID shows may have changed: the local APIC's mode, CR4. */
void emul_cpuid_changed(struct vcpu *vcpu);
/* The CR4 bits that the features shown allow. */
uint64_t emul_cr4_allowed(const struct vcpu *vcpu);

/* Write CR0, CR4 or EFER as the guest would: checks, LMA, PDPTEs, TLB.  False: #GP is due, nothing
 * changed. */
bool emul_write_cr0(struct vcpu *vcpu, uint64_t value);
bool emul_write_cr4(struct vcpu *vcpu, uint64_t value);
bool emul_write_efer(struct vcpu *vcpu, uint64_t value);

/* Memory at an offset in a segment, as the guest's instruction at RIP sees it: RAM or devices.
 * -EFAULT: a fault was injected. */
int emul_mem_read(struct vcpu *vcpu, unsigned int seg, uint64_t offset, unsigned int size,
                  uint64_t *value);
int emul_mem_check_write(struct vcpu *vcpu, unsigned int seg, uint64_t offset, unsigned int size);
int emul_mem_write(struct vcpu *vcpu, unsigned int seg, uint64_t offset, unsigned int size,
                   uint64_t value);

/*
 * emul_mov.c: the whole of an access to a device, when it was made by a plain MOV in 64-bit code;
 * vcpu->insn_len is its length.  False: it was not, or that is not sure; nothing has been done.
 */
bool emul_mov(struct vcpu *vcpu, uint64_t cr3, const struct exit_mem *mem);

uint64_t emul_device_read(struct vcpu *vcpu, uint64_t gpa, uint8_t size);
void emul_device_write(struct vcpu *vcpu, uint64_t gpa, uint8_t size, uint64_t value);

/* The instruction at RIP, decoded.  0, or -EFAULT when its bytes cannot be read, -EINVAL when it is
 * unknown. */
struct insn;
int emul_decode(struct vcpu *vcpu, struct insn *insn);
