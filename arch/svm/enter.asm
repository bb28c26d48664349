; SPDX-License-Identifier: MIT
; The AMD-V entry and exit.

%include "asm_offsets.inc"
%include "arch/x86/guest_gprs.inc"

bits 64
default rel
section .text

extern svm_fast_exit, speculation_before_entry, speculation_after_exit

; enum fast_result svm_enter(struct vcpu *vcpu, uint64_t guest_vmcb, uint64_t host_vmcb)
;
;   in:   rdi = vcpu, which begins with its gprs; rsi = guest_vmcb, rdx = host_vmcb (physical);
;         interrupts off, GIF = 1
;   out:  eax = what the short path said of the exit (never FAST_AGAIN)
;         gprs holds the guest's registers but RAX and RSP, which are in its VMCB
;
; From CLGI to STGI nothing interrupts.  Interrupts are enabled inside, for VMRUN saves RFLAGS.IF and with
; V_INTR_MASKING it is the host's IF that lets a physical interrupt end the guest; not directly before VMRUN,
; or the guest would start in STI's shadow.  FS, GS, TR, LDTR and the system-call MSRs are the guest's
; between the two VMLOADs, also while the short path runs, which uses none of them; the host's TR has to be
; back before an NMI can come.
;
; There are two of them: with the measures against speculation, and without.
%macro SVM_ENTER 2 ; its name, and whether with measures
global %1
%1:
    PUSH_CALLEE_SAVED
    push rdx                    ; [rsp + 16] = host_vmcb
    push rsi                    ; [rsp + 8] = guest_vmcb
    push rdi                    ; [rsp] = vcpu: what is found again

    clgi
    sti
    mov  rax, rsi
    vmload
.again:
%if %2
    call speculation_before_entry
%endif
    EACH_GPR LOAD_FROM_RDI
    mov  rax, [rsp + 8]
    mov  rdi, [rdi + GPRS_RDI]
    vmrun                       ; RSP and RAX, the guest's VMCB, are restored by the exit
.landing:
    mov  rax, [rsp]
    EACH_GPR SAVE_TO_RAX
    mov  [rax + GPRS_RDI], rdi
%if %2
    call speculation_after_exit
%endif
    mov  rdi, rax
    call svm_fast_exit
    mov  rdi, [rsp]
    cmp  eax, FAST_DONE
    ja   .again

    cli
    mov  ecx, eax
    mov  rax, [rsp + 8]
    vmsave
    mov  rax, [rsp + 16]
    vmload
    stgi
    mov  eax, ecx
    add  rsp, 24
    POP_CALLEE_SAVED
    ret
%endmacro

    SVM_ENTER svm_enter, 0
    SVM_ENTER svm_enter_guarded, 1

; Bochs 2.7 lets a guest's single-step trap survive the exit of the instruction that it was for: the host
; takes a #DB here.  It is nothing; the guest gets its own from advance().
section .fixups progbits alloc noexec nowrite align=4
%macro GO_ON_AT 1
    dd %1 - $
    dd %1 - $
%endmacro
    GO_ON_AT svm_enter.landing
    GO_ON_AT svm_enter_guarded.landing
