; SPDX-License-Identifier: MIT
; The AMD-V entry and exit.

%include "asm_offsets.inc"
%include "arch/x86/guest_gprs.inc"

bits 64
default rel
section .text

; void svm_enter(struct gprs *gprs, uint64_t guest_vmcb, uint64_t host_vmcb)
;
;   in:   rdi = gprs, rsi = guest_vmcb, rdx = host_vmcb (physical); interrupts off, GIF = 1
;   out:  gprs holds the guest's registers but RAX and RSP, which are in its VMCB
;
; From CLGI to STGI nothing interrupts.  Interrupts are enabled inside, for VMRUN saves RFLAGS.IF and with
; V_INTR_MASKING it is the host's IF that lets a physical interrupt end the guest; not directly before VMRUN,
; or the guest would start in STI's shadow.  FS, GS, TR, LDTR and the system-call MSRs are the guest's
; between the two VMLOADs; the host's TR has to be back before an NMI can come.
global svm_enter
svm_enter:
    PUSH_CALLEE_SAVED
    push rdx
    push rdi                    ; [rsp] = gprs, [rsp + 8] = host_vmcb: what is found again

    clgi
    sti
    mov  rax, rsi
    vmload
    EACH_GPR LOAD_FROM_RDI
    mov  rdi, [rdi + GPRS_RDI]
    vmrun                       ; RSP and RAX, the guest's VMCB, are restored by the exit
.landing:
    cli
    vmsave

    pop  rax
    EACH_GPR SAVE_TO_RAX
    mov  [rax + GPRS_RDI], rdi
    pop  rax
    vmload
    EACH_GPR ZERO_GPR
    mov  rdi, 0
    stgi

    POP_CALLEE_SAVED
    ret

; Bochs 2.7 lets a guest's single-step trap survive the exit of the instruction that it was for: the host
; takes a #DB here.  It is nothing; the guest gets its own from advance().
section .fixups progbits alloc noexec nowrite align=4
    dd svm_enter.landing - $
    dd svm_enter.landing - $
