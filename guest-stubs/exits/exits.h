/* SPDX-License-Identifier: MIT */
/* The parts of the stub "exits": one function a kind of exit, each in the file of its name. */
#pragma once

void exits_cpuid(void);
void exits_msr(void);
void exits_tsc(void);
void exits_apic_base(void);
void exits_control(void);
void exits_debug(void);
void exits_step(void);
void exits_insn(void);
void exits_fetch(void);
void exits_io(void);
void exits_string_io(void);
void exits_mmio(void);
void exits_mmio_string(void);
