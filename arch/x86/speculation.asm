; SPDX-License-Identifier: MIT
; The measures against speculation that lie next to an entry and an exit: speculation.c says which.  The entries
; with measures (enter.asm of both backends) call these always, not behind a branch, which a guest could have
; trained; and nothing returns from here before the last branch is decided.

%include "asm_offsets.inc"
%include "arch/x86/guest_gprs.inc"

bits 64
default rel
section .text

extern speculation_measures, speculation_spec_ctrl

%define RSB_ENTRIES 32              ; as many as any CPU has

; Before the guest's registers are loaded.  Changes RAX, RCX and RDX; keeps the flags.
global speculation_before_entry
speculation_before_entry:
    pushfq
    test dword [speculation_measures], SPECULATION_L1D
    jz   .flushed
    mov  ecx, MSR_FLUSH_CMD
    mov  eax, FLUSH_CMD_L1D
    xor  edx, edx
    wrmsr
.flushed:
    test dword [speculation_measures], SPECULATION_VERW
    jz   .cleared
    verw [data_selector]            ; from memory: only so it clears the CPU's buffers
.cleared:
    popfq
    ret

; After an exit, when the guest's registers are saved.  Clears all of them but RAX, which is in use already.
global speculation_after_exit
speculation_after_exit:
    EACH_GPR ZERO_GPR
    mov  rdi, 0
    mov  rbx, rax
    test dword [speculation_measures], SPECULATION_IBPB_EXIT
    jz   .no_ibpb
    mov  ecx, MSR_PRED_CMD
    mov  eax, PRED_CMD_IBPB
    wrmsr
.no_ibpb:
    test dword [speculation_measures], SPECULATION_IBRS_EXIT
    jz   .no_ibrs
    mov  ecx, MSR_SPEC_CTRL         ; a write counts even of what is there
    mov  eax, [speculation_spec_ctrl]
    wrmsr
.no_ibrs:
    test dword [speculation_measures], SPECULATION_RSB
    jz   .no_rsb
    mov  ecx, RSB_ENTRIES / 2
.fill:
    call .odd
.trap_odd:                          ; where a RET without a CALL of its own is thought to lead
    pause
    lfence
    jmp  .trap_odd
.odd:
    call .even
.trap_even:
    pause
    lfence
    jmp  .trap_even
.even:
    dec  ecx
    jnz  .fill
    add  rsp, 8 * RSB_ENTRIES
.no_rsb:
    lfence
    mov  rax, rbx
    mov  rbx, 0
    mov  rcx, 0
    ret

section .rodata
data_selector:
    dw SELECTOR_DATA
