; SPDX-License-Identifier: MIT
; What runs in 32-bit protected mode: without paging, with 32-bit paging, with PAE paging, and what is
; refused on the way to long mode.  Each is code for legacy_run(); results go to protected_results.

global protected_plain, protected_paging, protected_pae, protected_refused, protected_results
extern legacy_no_idt, mode_directory, mode_pae_pointers, mode_other_directory, mode_probe

SEL_CODE32 equ 0x18
MSR_EFER   equ 0xc0000080
CR0_PG     equ 1 << 31
CR4_PSE    equ 1 << 4
CR4_PAE    equ 1 << 5
EFER_LME   equ 1 << 8
ALIAS      equ 0x40000000       ; where the first megabytes are seen a second time
NOWHERE    equ 0x50000000       ; where nothing is
LAPIC_VERSION equ 0xfee00030

section .text
bits 32

; ---- An IDT of 32-bit gates ----------------------------------------------------------------------

; Puts one gate into the table: vector, handler.
%macro GATE 2
    mov eax, %2
    mov [idt32 + %1 * 8], ax
    mov word [idt32 + %1 * 8 + 2], SEL_CODE32
    mov word [idt32 + %1 * 8 + 4], 0x8e00
    shr eax, 16
    mov [idt32 + %1 * 8 + 6], ax
%endmacro

load_idt:
    GATE 6, undefined
    GATE 13, refused
    GATE 14, missing
    GATE 0x21, int21
    lidt [idt32_pointer]
    ret

int21:
    mov dword [result_int21], 0x21212121
    iret

undefined:
    add dword [esp], 2          ; UD2
    inc dword [result_ud]
    iret

; Faults with an error code: noted, and the code goes on at [resume].
refused:
    pop dword [result_gp_error]
    inc dword [result_gp]
    jmp go_on
missing:
    pop dword [result_pf_error]
    push eax
    mov eax, cr2
    mov [result_cr2], eax
    pop eax
go_on:
    push eax
    mov eax, [resume]
    mov [esp + 4], eax
    pop eax
    iret

; ---- Without paging --------------------------------------------------------------------------------

protected_plain:
    call load_idt
    xor eax, eax
    cpuid
    mov [result_cpuid], eax
    int 0x21
    ud2
    mov eax, cr0
    mov [result_cr0], eax
    mov eax, [LAPIC_VERSION]
    mov [result_mmio], eax
    ret

; ---- 32-bit paging: 4 MiB pages --------------------------------------------------------------------

protected_paging:
    call load_idt
    mov eax, cr4
    or eax, CR4_PSE
    mov cr4, eax
    mov eax, mode_directory
    mov cr3, eax
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    mov dword [mode_probe], 0x11223344
    mov eax, [mode_probe + ALIAS]
    mov [result_alias], eax
    mov eax, [LAPIC_VERSION]
    mov [result_mmio], eax
    mov dword [resume], .resume
    mov eax, [NOWHERE + 8]
.resume:
    xor eax, eax
    cpuid
    mov [result_cpuid], eax
    call paging_off
    mov eax, cr4
    and eax, ~CR4_PSE
    mov cr4, eax
    ret

paging_off:
    mov eax, cr0
    and eax, ~CR0_PG
    mov cr0, eax
    ret

; ---- PAE: page-directory pointers are loaded with CR3 ------------------------------------------------

protected_pae:
    call load_idt
    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov eax, mode_pae_pointers
    mov cr3, eax
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    mov dword [mode_probe], 0x55667788
    mov eax, [mode_probe + ALIAS]
    mov [result_alias], eax
    mov dword [mode_probe + 0x200000], 0x99aabbcc
    mov eax, mode_other_directory + 1
    mov [mode_pae_pointers + 8], eax
    mov eax, mode_pae_pointers
    mov cr3, eax                ; the new pointer counts from here on
    mov eax, [mode_probe + ALIAS]
    mov [result_reload], eax
    mov eax, [LAPIC_VERSION]
    mov [result_mmio], eax
    mov dword [resume], .resume
    mov eax, [NOWHERE + 8]
.resume:
    call paging_off
    mov eax, cr4
    and eax, ~CR4_PAE
    mov cr4, eax
    ret

; ---- What is refused ---------------------------------------------------------------------------------

; Paging with EFER.LME but without CR4.PAE, and with a reserved bit in a page-directory pointer.
protected_refused:
    call load_idt
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov dword [resume], .no_pae
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
.no_pae:
    mov ecx, MSR_EFER
    rdmsr
    mov [result_efer], eax
    and eax, ~EFER_LME
    wrmsr
    mov eax, [result_gp]
    mov [result_no_pae], eax
    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    or dword [mode_pae_pointers + 16], 2 ; reserved there
    mov eax, mode_pae_pointers
    mov cr3, eax                ; paging is off: nothing is loaded
    mov dword [resume], .bad_pointer
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    call paging_off             ; only if it was not refused
.bad_pointer:
    mov eax, [result_gp]
    mov [result_bad_pointer], eax
    and dword [mode_pae_pointers + 16], ~2
    mov eax, cr4
    and eax, ~CR4_PAE
    mov cr4, eax
    ret

section .data align=8
idt32:
    times 0x22 dq 0
idt32_pointer:
    dw $ - idt32 - 1
    dd idt32
resume: dd 0

align 4
protected_results:
result_cpuid:       dd 0
result_int21:       dd 0
result_ud:          dd 0
result_cr0:         dd 0
result_mmio:        dd 0
result_alias:       dd 0
result_reload:      dd 0
result_cr2:         dd 0
result_pf_error:    dd 0
result_gp:          dd 0
result_gp_error:    dd 0
result_efer:        dd 0
result_no_pae:      dd 0
result_bad_pointer: dd 0

section .note.GNU-stack noalloc noexec nowrite progbits
