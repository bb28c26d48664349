; SPDX-License-Identifier: MIT
; The first instructions of the other CPUs: from real mode in a page below 1 MiB to 64-bit mode, and on to
; a stack each in C.

%include "asm_offsets.inc"

default rel

global ap_gdt_base
global ap_far_offset
global ap_cr3
global ap_entry
global ap_start64
global ap_slots
global ap_slot_count
global ap_ticket
extern smp_ap_main

CPUID_EXT_1_EDX_NX_LM equ 1 << 20 | 1 << 29

; smp.c copies the section to the page, fills in its last words, and makes it executable and read-only; a
; SIPI starts the CPU at its first byte.  Nothing in it is relocated: addresses are relative to DS, which
; begins where the page does.
section .ap_trampoline progbits alloc noexec nowrite align=16

%define at(label) ((label) - ap_trampoline)

;   in:     CS:IP = page:0, real mode, interrupts off; all else as INIT left it
;
; Paging and protection are switched on at once, with EFER.LME set before: no 32-bit code is needed.  What
; follows the write of CR0 is 16-bit code in compatibility mode, until the far jump.
bits 16
ap_trampoline:
    cli
    cld
    mov  ax, cs
    mov  ds, ax

    mov  eax, 0x80000000        ; without NX and long mode what follows would end in a reset
    cpuid
    cmp  eax, 0x80000001
    jb   .park
    mov  eax, 0x80000001
    cpuid
    and  edx, CPUID_EXT_1_EDX_NX_LM
    cmp  edx, CPUID_EXT_1_EDX_NX_LM
    jne  .park

    o32 lgdt [at(gdt_pointer)]
    mov  eax, AP_CR4
    mov  cr4, eax
    mov  eax, [at(ap_cr3)]
    mov  cr3, eax
    mov  ecx, AP_MSR_EFER
    mov  eax, AP_EFER
    xor  edx, edx
    wrmsr
    mov  eax, AP_CR0            ; caches on too: INIT leaves CD as it was
    mov  cr0, eax
    jmp  dword far [at(ap_far_offset)]

.park:                          ; it counts as one that did not start
    cli
    hlt
    jmp  .park

bits 64
ap_long_mode:
    mov  rax, [ap_entry]
    jmp  rax

align 8
gdt:
    dq 0
    dd GDT_CODE64_LOW, GDT_CODE64_HIGH
    dd GDT_DATA_LOW, GDT_DATA_HIGH
gdt_pointer:
    dw $ - gdt - 1
ap_gdt_base:
    dd at(gdt)                  ; smp.c adds where the page is
ap_far_offset:
    dd at(ap_long_mode)         ; here too
    dw SELECTOR_CODE
ap_cr3:
    dd 0
align 8
ap_entry:
    dq 0                        ; ap_start64

section .text

; Not a function: where the trampoline jumps to.
;
;   in:     64-bit mode under the hypervisor's tables, interrupts off, the trampoline's GDT
;
; Each CPU draws a ticket, and the ticket's slot is its alone: smp_ap_main(slot) does not return.
ap_start64:
    mov  eax, SELECTOR_DATA
    mov  ss, eax
    mov  eax, 1
    lock xadd [ap_ticket], eax
    cmp  eax, [ap_slot_count]
    jae  .park
    imul rdi, rax, SMP_SLOT_SIZE
    add  rdi, [ap_slots]
    lea  rsp, [rdi + SMP_SLOT_SIZE]
    xor  ebp, ebp               ; the end of every stack trace
    call smp_ap_main
    ud2
.park:                          ; more CPUs than were called
    cli
    hlt
    jmp  .park

section .bss align=8
ap_slots:
    resq 1                      ; the first of them
ap_slot_count:
    resd 1
ap_ticket:
    resd 1
