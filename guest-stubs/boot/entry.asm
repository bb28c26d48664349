; SPDX-License-Identifier: MIT
; A Multiboot header without addresses, and a Xen PVH note.  They lie before those that every stub has, so
; they are the ones that count.  Both enter at the same place, which keeps what the first instruction finds
; and goes on as every stub does.

extern start
global boot_entry, entry_cr0, entry_cr4, entry_eflags, entry_limits

MULTIBOOT_MAGIC     equ 0x1badb002
MULTIBOOT_FLAGS     equ 3       ; modules on pages, information about memory
XEN_PHYS32_ENTRY    equ 18

section .multiboot progbits alloc noexec nowrite align=4
    dd MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

section .note.Xen note alloc align=4
    dd 4, 4, XEN_PHYS32_ENTRY
    db "Xen", 0
    dd boot_entry

section .text

%macro KEEP_LIMIT 2             ; number, segment register
    mov ecx, %2
    lsl edx, ecx
    jnz %%unusable
    mov [entry_limits + 4 * %1], edx
%%unusable:
%endmacro

bits 32
; in: EAX and EBX as the protocol has them; both are kept for start
boot_entry:
    mov ecx, cr0
    mov [entry_cr0], ecx
    mov ecx, cr4
    mov [entry_cr4], ecx
    mov esp, stack_top          ; neither protocol gives one
    pushfd
    pop dword [entry_eflags]
    KEEP_LIMIT 0, cs
    KEEP_LIMIT 1, ds
    KEEP_LIMIT 2, es
    KEEP_LIMIT 3, ss
    KEEP_LIMIT 4, fs
    KEEP_LIMIT 5, gs
    jmp start

section .data align=16          ; not .bss, which start clears
    times 16 db 0
stack_top:
entry_cr0:    dd 0
entry_cr4:    dd 0
entry_eflags: dd 0
entry_limits: times 6 dd 0

section .note.GNU-stack noalloc noexec nowrite progbits
