; SPDX-License-Identifier: MIT
; The first instructions of mica.elf, and what a CPU's start needs besides C: a change of GDT or stack.

%include "asm_offsets.inc"

bits 64
default rel

global _start
global cpu_load_gdt
global cpu_switch_stack
extern hv_main

section .text

; _start: boot/ jumps here.
;
;   in:     rdi = struct boot_info *, mapped one to one
;   state:  64-bit mode, interrupts off, boot/'s GDT, tables (one to one, and the image) and stack;
;           EFER.NXE and CR0.WP on
;
; Switches to a stack in the image, because boot/'s lies where nothing is mapped later, and calls
; hv_main(rdi), which does not return.
_start:
    cli
    cld
    lea  rsp, [boot_stack_top]
    xor  ebp, ebp               ; the end of every stack trace
    call hv_main
    ud2

; void cpu_load_gdt(const struct desc_ptr *gdt)
;
;   in:        rdi = what LGDT reads
;   clobbers:  rax, rcx; all segment registers are those of the new GDT
cpu_load_gdt:
    lgdt [rdi]
    mov  eax, SELECTOR_DATA
    mov  ds, eax
    mov  es, eax
    mov  ss, eax
    xor  eax, eax               ; nothing of the host's lives behind FS or GS
    mov  fs, eax
    mov  gs, eax
    pop  rcx                    ; return to the caller with the new CS
    push SELECTOR_CODE
    push rcx
    retfq

; NORETURN void cpu_switch_stack(uint64_t stack_top, void (*function)(void *), void *argument)
;
;   in:  rdi = the new RSP, 16-byte aligned; rsi = function, rdx = its argument
cpu_switch_stack:
    mov  rsp, rdi
    xor  ebp, ebp
    mov  rdi, rdx
    call rsi
    ud2                         ; the function does not return

section .bss align=16
boot_stack:
    resb 16384
boot_stack_top:
