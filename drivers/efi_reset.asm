; SPDX-License-Identifier: MIT
; The one call of a firmware runtime service: ResetSystem(), under page tables and on a stack of its own.
; It does not come back when it works.
bits 64
default rel

EFI_SYSTEM_TABLE_RUNTIME_SERVICES equ 88
EFI_RUNTIME_SERVICES_RESET_SYSTEM equ 104
STACK_SIZE                        equ 16384

section .bss align=16
stack:
    resb STACK_SIZE
stack_top:

section .text

; void efi_reset(uint64_t cr3, uint64_t system_table, uint64_t type)
;
;   in:   rdi = CR3 of tables that map all of firmware's memory one to one, and the image;
;         rsi = physical address of EFI_SYSTEM_TABLE; rdx = EFI_RESET_TYPE.  Interrupts are off.
;   out:  only if firmware refuses: CR3 and the stack are the caller's again
;
; From the switch of CR3 on nothing outside the image may be touched: no stack of ours, no struct cpu.
; Firmware calls by Microsoft's convention: rcx, rdx, r8, r9, 32 bytes of shadow space; it keeps rbx,
; rbp, rsi, rdi and r12 to r15.
global efi_reset
efi_reset:
    push rbx
    push rbp
    mov  rbx, cr3
    mov  rbp, rsp
    lea  rsp, [stack_top]
    mov  cr3, rdi
    mov  rax, [rsi + EFI_SYSTEM_TABLE_RUNTIME_SERVICES]
    mov  rax, [rax + EFI_RUNTIME_SERVICES_RESET_SYSTEM]
    mov  ecx, edx               ; ResetType
    xor  edx, edx               ; EFI_SUCCESS
    xor  r8d, r8d               ; no data
    xor  r9d, r9d
    cld
    sub  rsp, 32
    call rax
    mov  cr3, rbx
    mov  rsp, rbp
    pop  rbp
    pop  rbx
    ret
