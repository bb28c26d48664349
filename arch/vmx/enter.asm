; SPDX-License-Identifier: MIT
; The VT-x entry and exit.

%include "asm_offsets.inc"
%include "arch/x86/guest_gprs.inc"

bits 64
default rel
section .text

extern vmx_fast_exit, speculation_before_entry, speculation_after_exit

; Every register but RSP is the guest's; [rsp] = vcpu.
%macro SAVE_GPRS 1 ; whether with measures
    push rax
    mov  rax, [rsp + 8]
    EACH_GPR SAVE_TO_RAX
    mov  [rax + GPRS_RDI], rdi
    pop  qword [rax + GPRS_RAX]
%if %1
    call speculation_after_exit
%endif
%endmacro

; int vmx_enter(struct vcpu *vcpu, bool launched)
;
;   in:   rdi = vcpu, which begins with its gprs; esi = launched; the VMCS is current, its HOST_RIP is the
;         landing of the same name; interrupts off
;   out:  eax = enum fast_result after a VM exit, VMX_REFUSED if VMLAUNCH or VMRESUME failed
;         gprs holds the guest's registers but RSP in both cases
;
; From LOAD to SAVE every register but RSP is the guest's.  Nothing computed before the entry may be used
; after it except what RSP points at: after a failed entry the guest's values are still in the registers, so
; jumping through one would let the guest choose the target.
;
; There are two of them: with the measures against speculation, and without.
%macro VMX_ENTER 3 ; its name, that of its landing, and whether with measures
global %1
%1:
    PUSH_CALLEE_SAVED
    push rdi                    ; [rsp] = vcpu
    mov  eax, VMCS_HOST_RSP
    vmwrite rax, rsp
    jbe  .refused

    test sil, sil               ; ZF survives: MOV leaves the flags alone
.again:                         ; ZF is clear
%if %3
    call speculation_before_entry
%endif
    EACH_GPR LOAD_FROM_RDI
    mov  rax, [rdi + GPRS_RAX]
    mov  rdi, [rdi + GPRS_RDI]
    jz   .launch
    vmresume
    jmp  .failed
.launch:
    vmlaunch
.failed:
    SAVE_GPRS %3
.refused:
    mov  eax, VMX_REFUSED
.leave:
    add  rsp, 8
    POP_CALLEE_SAVED
    ret

; Not a function: HOST_RIP.  RSP is as at the entry, and RFLAGS are clear but for the reserved bit.
global %2
%2:
    SAVE_GPRS %3
    mov  rdi, rax
    call vmx_fast_exit
    mov  rdi, [rsp]
    cmp  eax, FAST_DONE
    ja   %1.again
    jmp  %1.leave
%endmacro

    VMX_ENTER vmx_enter, vmx_exit_landing, 0
    VMX_ENTER vmx_enter_guarded, vmx_exit_landing_guarded, 1
