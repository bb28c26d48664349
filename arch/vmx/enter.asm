; SPDX-License-Identifier: MIT
; The VT-x entry and exit.

%include "asm_offsets.inc"
%include "arch/x86/guest_gprs.inc"

bits 64
default rel
section .text

extern vmx_fast_exit, cpu_clears_registers

; Every register but RSP is the guest's; [rsp] = vcpu.
%macro SAVE_GPRS 0
    push rax
    mov  rax, [rsp + 8]
    EACH_GPR SAVE_TO_RAX
    mov  [rax + GPRS_RDI], rdi
    pop  qword [rax + GPRS_RAX]
    CLEAR_GPRS
%endmacro

; int vmx_enter(struct vcpu *vcpu, bool launched, struct vm_exit *exit)
;
;   in:   rdi = vcpu, which begins with its gprs; esi = launched; rdx = exit, for the short path; the VMCS is
;         current, its HOST_RIP is vmx_exit_landing; interrupts off
;   out:  eax = enum fast_result after a VM exit, VMX_REFUSED if VMLAUNCH or VMRESUME failed
;         gprs holds the guest's registers but RSP in both cases
;
; From LOAD to SAVE every register but RSP is the guest's.  Nothing computed before the entry may be used
; after it except what RSP points at: after a failed entry the guest's values are still in the registers, so
; jumping through one would let the guest choose the target.
global vmx_enter
vmx_enter:
    PUSH_CALLEE_SAVED
    push rdx                    ; [rsp + 8] = exit
    push rdi                    ; [rsp] = vcpu
    mov  eax, VMCS_HOST_RSP
    vmwrite rax, rsp
    jbe  .refused

    test sil, sil               ; ZF survives: MOV leaves the flags alone
.again:                         ; ZF is clear
    EACH_GPR LOAD_FROM_RDI
    mov  rax, [rdi + GPRS_RAX]
    mov  rdi, [rdi + GPRS_RDI]
    jz   .launch
    vmresume
    jmp  .failed
.launch:
    vmlaunch
.failed:
    SAVE_GPRS
.refused:
    mov  eax, VMX_REFUSED
.leave:
    add  rsp, 16
    POP_CALLEE_SAVED
    ret

; Not a function: HOST_RIP.  RSP is as at the entry, and RFLAGS are clear but for the reserved bit.
global vmx_exit_landing
vmx_exit_landing:
    SAVE_GPRS
    mov  rdi, rax
    mov  rsi, [rsp + 8]
    call vmx_fast_exit
    mov  rdi, [rsp]
    cmp  eax, FAST_DONE
    ja   vmx_enter.again
    jmp  vmx_enter.leave
