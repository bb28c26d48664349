; SPDX-License-Identifier: MIT
; The last instructions of boot/: onto the first page tables and into mica.elf.

bits 64
default rel

global handover_switch:function hidden

MSR_EFER    equ 0xc0000080
EFER_NXE    equ 1 << 11
CR0_WP      equ 1 << 16
CR4_PGE     equ 1 << 7
CR4_CET     equ 1 << 23

section .text

; NORETURN void handover_switch(uint64_t cr3, uint64_t entry, uint64_t stack_top,
;                               const struct boot_info *info)
;
;   in:   rdi = cr3, rsi = entry, rdx = stack_top, rcx = info
;   out:  at entry: rdi = info, rsp = stack_top, rbp = 0, interrupts off
;
; The new tables map this code at the same address, but one page of it: it must not cross into a
; second one, which its alignment sees to.
align 128
handover_switch:
    cli
    cld
    mov  r8, rcx
    mov  r9, rdx

    mov  rax, cr4               ; no translation of firmware's may outlive its tables,
    and  rax, ~(CR4_PGE | CR4_CET) ; and CR0.WP may not change under CET
    mov  cr4, rax

    mov  ecx, MSR_EFER          ; NX is a reserved bit of the new tables until it is on
    rdmsr
    or   eax, EFER_NXE
    wrmsr

    mov  cr3, rdi
    mov  rax, cr0
    or   rax, CR0_WP
    mov  cr0, rax

    mov  rsp, r9
    xor  ebp, ebp
    mov  rdi, r8
    jmp  rsi
handover_end:

%if handover_end - handover_switch > 128
    %error the code may cross a page
%endif
