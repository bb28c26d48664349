; SPDX-License-Identifier: MIT
; The 256 entries of the IDT: each pushes what struct trap_frame (idt.h) wants and calls trap_handle().

%include "asm_offsets.inc"

bits 64
default rel

global isr_entries
extern trap_handle

section .text

; Entry n is at isr_entries + 16 * n.  The CPU pushes an error code for the vectors of VEC_HAS_ERROR_CODE
; (regs.h); the others get a 0 in its place.
align 16
isr_entries:
%assign vector 0
%rep 256
    align 16
  %if ((ISR_HAS_ERROR_CODE >> vector) & 1) == 0 || vector >= 32
    push qword 0
  %endif
    push qword vector
    jmp  isr_common
  %assign vector vector + 1
%endrep

; Saves all registers, calls trap_handle(frame), restores them: a frame that the handler has changed (the
; RIP of a fixup) takes effect.  Interrupts are off throughout; no NMI, #DF or #MC gate shares a stack.
isr_common:
    push rax
    push rbx
    push rcx
    push rdx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov  rdi, rsp
    mov  rbx, rsp               ; callee-saved: the frame's place, because the C stack is aligned
    and  rsp, -16
    call trap_handle
    mov  rsp, rbx
    pop  r15
    pop  r14
    pop  r13
    pop  r12
    pop  r11
    pop  r10
    pop  r9
    pop  r8
    pop  rdi
    pop  rsi
    pop  rbp
    pop  rdx
    pop  rcx
    pop  rbx
    pop  rax
    add  rsp, 16                ; vector and error code
    iretq
