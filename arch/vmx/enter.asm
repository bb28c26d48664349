; SPDX-License-Identifier: MIT
; The VT-x entry and exit.

%include "asm_offsets.inc"
%include "arch/x86/guest_gprs.inc"

bits 64
default rel
section .text

; int vmx_enter(struct gprs *gprs, bool launched)
;
;   in:   rdi = gprs, esi = launched; the VMCS is current, its HOST_RIP is vmx_exit_landing; interrupts off
;   out:  eax = 0 after a VM exit, 1 if VMLAUNCH or VMRESUME failed
;         gprs holds the guest's registers but RSP in both cases
;
; From LOAD to SAVE every register but RSP is the guest's.  Nothing computed before the entry may be used
; after it except what RSP points at: after a failed entry the guest's values are still in the registers, so
; jumping through one would let the guest choose the target.
global vmx_enter
vmx_enter:
    PUSH_CALLEE_SAVED
    push rdi                    ; [rsp] = gprs, the one thing that is found again
    mov  eax, VMCS_HOST_RSP
    vmwrite rax, rsp
    jbe  .no_vmcs

    test sil, sil               ; ZF survives: MOV leaves the flags alone
    EACH_GPR LOAD_FROM_RDI
    mov  rax, [rdi + GPRS_RAX]
    mov  rdi, [rdi + GPRS_RDI]
    jz   .launch
    vmresume
    jmp  .failed
.launch:
    vmlaunch
.failed:
    push rax
    push 1
    jmp  vmx_exit_landing.save
.no_vmcs:
    pop  rdi
    mov  eax, 1
    POP_CALLEE_SAVED
    ret

; Not a function: HOST_RIP.  RSP is as at the entry, and RFLAGS are clear but for the reserved bit.
global vmx_exit_landing
vmx_exit_landing:
    push rax
    push 0
.save:                          ; [rsp] = result, [rsp + 8] = the guest's RAX, [rsp + 16] = gprs
    mov  rax, [rsp + 16]
    EACH_GPR SAVE_TO_RAX
    mov  [rax + GPRS_RDI], rdi
    mov  rdi, [rsp + 8]
    mov  [rax + GPRS_RAX], rdi
    EACH_GPR ZERO_GPR           ; what the guest chose is not there to be speculated on
    mov  rdi, 0
    pop  rax
    add  rsp, 16
    POP_CALLEE_SAVED
    ret
