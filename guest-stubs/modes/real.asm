; SPDX-License-Identifier: MIT
; What runs in real mode, and the way there from protected mode by way of 16-bit protected mode.  The part
; from real_begin to real_end is copied to REAL_BASE, which must be below 1 MiB.

global real_begin, real_end, real_run, real_results
extern legacy_no_idt

REAL_BASE  equ 0x30000
REAL_SEG   equ REAL_BASE >> 4
SEL_DATA   equ 0x10
SEL_CODE32 equ 0x18
SEL_CODE16 equ 0x20             ; base REAL_BASE, 64 KiB; the stub puts both into the GDT
SEL_DATA16 equ 0x28
SCRATCH    equ 0x3ff            ; the UART's scratch register

section .data align=16

%define AT(label) (label - real_begin)

bits 16
real_begin:

; In 16-bit protected mode, with all segments as before.  FS keeps its limit of 4 GiB.
protected16:
    mov ax, SEL_DATA16
    mov ds, ax
    mov es, ax
    mov gs, ax
    mov ss, ax
    mov esp, 0xf000
    xor eax, eax
    cpuid
    mov [AT(result_cpuid16)], eax
    push dword 0x12345678
    pop eax
    mov [AT(result_stack16)], eax
    mov ax, SEL_DATA
    mov fs, ax
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    jmp REAL_SEG:AT(real)

real:
    mov ax, cs
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0xf000
    call vectors_set
    call instructions
    call string_io
    call exceptions
    call unreal
    call halt
    cli
    smsw ax                     ; and back, this time with LMSW
    or al, 1
    lmsw ax
    jmp dword SEL_CODE32:real_back

; The interrupt vector table at 0: an offset and a segment each.
%macro VECTOR 2
    mov word [%1 * 4], AT(%2)
    mov word [%1 * 4 + 2], REAL_SEG
%endmacro

vectors_set:
    push ds
    xor ax, ax
    mov ds, ax
    VECTOR 0x00, divide_error
    VECTOR 0x06, undefined
    VECTOR 0x08, tick
    VECTOR 0x21, int21
    pop ds
    ret

int21:
    mov dword [cs:AT(result_int21)], 0x21212121
    iret

undefined:
    push bp
    mov bp, sp
    add word [bp + 2], 2        ; UD2
    pop bp
    inc dword [cs:AT(result_ud)]
    iret

divide_error:
    push bp
    mov bp, sp
    add word [bp + 2], 2        ; DIV BL
    pop bp
    inc dword [cs:AT(result_de)]
    iret

tick:
    push ax
    inc dword [cs:AT(result_ticks)]
    mov al, 0x20
    out 0x20, al
    pop ax
    iret

instructions:
    xor eax, eax
    cpuid
    mov [AT(result_cpuid)], eax
    mov ecx, 0x277              ; PAT
    rdmsr
    mov [AT(result_pat)], eax
    mov eax, cr0
    mov [AT(result_cr0)], eax
    mov dx, SCRATCH
    mov al, 0x3c
    out dx, al
    xor eax, eax
    in al, dx
    mov [AT(result_in)], eax
    ret

; Five bytes of the scratch register, whose value is the OUT's above.
string_io:
    mov di, AT(result_ins)
    mov cx, 5
    mov dx, SCRATCH
    cld
    rep insb
    mov [AT(result_ins_di)], di
    mov [AT(result_ins_cx)], cx
    ret

exceptions:
    int 0x21
    ud2
    ud2
    mov ax, 1
    xor bl, bl
    div bl
    ret

; FS has base 0 and a limit of 4 GiB still: memory above 1 MiB, and a device.
unreal:
    mov dword [fs:dword 0x00200000], 0x600dcafe
    mov eax, [fs:dword 0x00200000]
    mov [AT(result_unreal)], eax
    mov eax, [fs:dword 0xfee00030]
    mov [AT(result_mmio)], eax
    ret

; The 8254 through the 8259, at vector 8 as a PC's firmware has it.
halt:
    mov al, 0x30
    out 0x43, al
    mov al, 0
    out 0x40, al
    mov al, 0x10                ; 3.4 ms
    out 0x40, al
    sti
    hlt
    cli
    mov eax, [AT(result_ticks)]
    mov [AT(result_woken)], eax
    ret

align 4
real_results:
result_cpuid16: dd 0
result_stack16: dd 0
result_cpuid:   dd 0
result_pat:     dd 0
result_cr0:     dd 0
result_in:      dd 0
result_int21:   dd 0
result_ud:      dd 0
result_de:      dd 0
result_unreal:  dd 0
result_mmio:    dd 0
result_ticks:   dd 0
result_woken:   dd 0
result_ins:     times 8 db 0
result_ins_di:  dw 0
result_ins_cx:  dw 0xffff
real_end:

real_idt:
    dw 0x3ff
    dd 0

saved_esp: dd 0

section .text

; Code for legacy_run(): to real mode and back.
bits 32
real_run:
    mov [saved_esp], esp
    lidt [real_idt]
    jmp SEL_CODE16:AT(protected16)
real_back:
    mov eax, SEL_DATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    mov esp, [saved_esp]
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
