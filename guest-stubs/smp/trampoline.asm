; SPDX-License-Identifier: MIT
; Where the other CPUs begin.  A start-up IPI puts a CPU into real mode at the page that it names; the code
; between ap_trampoline and its end is copied there, and goes on to 64-bit mode on a stack of the CPU's own.

extern gdt, page_pml4, ap_main, ap_stacks
global ap_trampoline, ap_trampoline_end

SEL_CODE64 equ 0x08
SEL_DATA   equ 0x10
SEL_CODE32 equ 0x18
SEL_UDATA  equ 0x38

STACK_SHIFT equ 12              ; cpus.h has it too

section .text

bits 16
ap_trampoline:
    cli
    cld
    mov ax, cs
    mov ds, ax
    o32 lgdt [.gdt_pointer - ap_trampoline]
    mov eax, cr0
    or al, 1                    ; PE
    mov cr0, eax
    jmp dword SEL_CODE32:ap_protected
align 4
.gdt_pointer:
    dw 16 * 8 - 1
    dd gdt
ap_trampoline_end:

bits 32
ap_protected:
    mov eax, SEL_DATA
    mov ds, eax
    mov eax, cr4
    or eax, 1 << 5              ; PAE
    mov cr4, eax
    mov eax, page_pml4
    mov cr3, eax
    mov ecx, 0xc0000080         ; EFER
    rdmsr
    or eax, 1 << 8              ; LME
    wrmsr
    mov eax, cr0
    and eax, ~(3 << 29)         ; CD, NW
    or eax, 1 << 31 | 1 << 16 | 1 << 5 ; PG, WP, NE
    mov cr0, eax
    jmp SEL_CODE64:.long_mode

bits 64
.long_mode:
    mov eax, SEL_DATA
    mov ss, eax
    mov eax, SEL_UDATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov eax, 1
    cpuid
    mov edi, ebx
    shr edi, 24                 ; the APIC id
    lea eax, [rdi + 1]
    shl eax, STACK_SHIFT
    lea rsp, [rax + ap_stacks]
    xor ebp, ebp
    call ap_main

section .note.GNU-stack noalloc noexec nowrite progbits
