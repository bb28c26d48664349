; SPDX-License-Identifier: MIT
; The way from 64-bit mode down to 32-bit protected mode without paging, and back.

extern page_pml4
global legacy_run, legacy_efer, legacy_no_idt

SEL_CODE64 equ 0x08
SEL_DATA   equ 0x10
SEL_CODE32 equ 0x18
SEL_UDATA  equ 0x38
MSR_EFER   equ 0xc0000080
CR0_PG     equ 1 << 31
CR4_PAE    equ 1 << 5
EFER_LME   equ 1 << 8

section .text

; void legacy_run(const uint8_t *code)
;
;   Calls the code, which is of 32 bits, in protected mode with flat segments, paging and EFER.LME off and
;   CR4.PAE clear.  It keeps ESP and may change all other registers.  Interrupts are off and there is no
;   IDT but what the code loads.
bits 64
legacy_run:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    pushfq
    cli
    sub rsp, 16
    sidt [rsp]
    lidt [legacy_no_idt]
    push SEL_CODE32
    push .compatibility
    retfq

bits 32
.compatibility:
    mov eax, SEL_DATA
    mov ss, eax
    mov ds, eax
    mov es, eax
    mov eax, cr0
    and eax, ~CR0_PG            ; from compatibility to protected mode
    mov cr0, eax
    mov ecx, MSR_EFER
    rdmsr
    mov [legacy_efer], eax      ; LMA is clear now, LME still set
    and eax, ~EFER_LME
    wrmsr
    mov eax, cr4
    and eax, ~CR4_PAE
    mov cr4, eax
    call edi
    cli
    lidt [legacy_no_idt]
    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov eax, page_pml4
    mov cr3, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    jmp SEL_CODE64:.long_mode

bits 64
.long_mode:
    mov eax, SEL_UDATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov esp, esp                ; the upper half is undefined after 32-bit code
    lidt [rsp]
    add rsp, 16
    popfq
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

section .data align=8
legacy_no_idt:
    dw 0
    dq 0
legacy_efer:
    dd 0

section .note.GNU-stack noalloc noexec nowrite progbits
