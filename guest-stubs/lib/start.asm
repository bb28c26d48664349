; SPDX-License-Identifier: MIT
; The first instructions of every stub: from 32-bit protected mode without paging to 64-bit mode with
; the first 4 GiB mapped to themselves; the entries of all 256 vectors; and context_run(), by which a
; piece of code runs in a mode and at a privilege level of its own.

extern runtime_start, trap_dispatch, bss_begin, bss_end, file_end
global start, start_values, gdt, page_pml4, vectors, context_run, context_leave

SEL_CODE64 equ 0x08
SEL_DATA   equ 0x10
SEL_UDATA  equ 0x38

STACK_SIZE equ 16384

section .start progbits alloc exec nowrite

bits 32
; in: EAX, EBX, ECX, ESI as the flat, the Multiboot or the PVH boot protocol has them; interrupts off
start:
    cld
    mov [start_values], eax
    mov [start_values + 4], ebx
    mov [start_values + 8], ecx
    mov [start_values + 12], esi

    mov edi, bss_begin
    mov ecx, bss_end
    sub ecx, edi
    shr ecx, 2
    xor eax, eax
    rep stosd
    mov esp, stack_top

    ; One PML4, one PDPT, four directories of 2 MiB pages.  The upper levels allow users everything, the
    ; pages nothing.
    mov dword [page_pml4], page_pdpt + 7
    mov eax, page_directories + 7
    mov edi, page_pdpt
    mov ecx, 4
.table:
    mov [edi], eax
    add edi, 8
    add eax, 4096
    loop .table
    mov eax, 0x83
    mov edi, page_directories
    mov ecx, 4 * 512
.page:
    mov [edi], eax
    add edi, 8
    add eax, 0x200000
    loop .page

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
    lgdt [gdt_pointer]
    jmp SEL_CODE64:.long_mode

bits 64
.long_mode:
    mov eax, SEL_DATA
    mov ss, eax
    mov eax, SEL_UDATA          ; good for every privilege level
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    xor ebp, ebp
    call runtime_start

; For loaders of Multiboot 1.  With addresses, so that those take it that know no 64-bit ELF.  The flat binary
; has zeros here.
section .multiboot progbits alloc noexec nowrite align=4
MULTIBOOT_MAGIC equ 0x1badb002
MULTIBOOT_FLAGS equ 1 << 16
multiboot_header:
    dd MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
    dd multiboot_header, start, file_end, bss_end, start

; For loaders of PVH: Xen's note of the 32-bit entry.
section .note.Xen note alloc align=4
    dd 4, 4, 18
    db "Xen", 0
    dd start

section .text

%macro PUSH_GPRS 0
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rdi
    push rsi
    push rbp
    push rbx
    push rdx
    push rcx
    push rax
%endmacro

%macro POP_GPRS 0
    pop rax
    pop rcx
    pop rdx
    pop rbx
    pop rbp
    pop rsi
    pop rdi
    pop r8
    pop r9
    pop r10
    pop r11
    pop r12
    pop r13
    pop r14
    pop r15
%endmacro

; The entry of each vector, 16 bytes apart.  Those without an error code push 0 instead.
align 16
vectors:
%assign vector 0
%rep 256
    align 16
    %if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21
    push 0
    %endif
    push vector
    jmp trap_entry
    %assign vector vector + 1
%endrep

; Builds a struct frame, and goes on with what trap_dispatch() has left in it.
trap_entry:
    PUSH_GPRS
    cld
    mov rdi, rsp
    call trap_dispatch
pop_frame:
    POP_GPRS
    add rsp, 16                 ; vector, error
    iretq

; void context_run(struct frame *frame)
;
;   Goes on with the frame's registers, until context_leave() is called.  Interrupts must be off: while the
;   registers are loaded, RSP points into the frame.
context_run:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [context_rsp], rsp
    mov rsp, rdi
    jmp pop_frame

; noreturn void context_leave(void): returns from the last context_run().
context_leave:
    mov eax, SEL_DATA
    mov ss, eax
    mov eax, SEL_UDATA
    mov ds, eax
    mov es, eax
    mov rsp, [context_rsp]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

section .data align=16

; Of use at run time are the two spare descriptors, and the TSS, whose base runtime_start() fills in.
gdt:
    dq 0
    dq 0x00af9b000000ffff       ; 0x08: code, 64-bit
    dq 0x00cf93000000ffff       ; 0x10: data
    dq 0x00cf9b000000ffff       ; 0x18: code, 32-bit
    dq 0                        ; 0x20: spare
    dq 0                        ; 0x28: spare
    dq 0x00cffb000000ffff       ; 0x30: user code, 32-bit
    dq 0x00cff3000000ffff       ; 0x38: user data
    dq 0x00affb000000ffff       ; 0x40: user code, 64-bit
    dq 0, 0                     ; 0x48: the TSS
    times 5 dq 0
gdt_end:

gdt_pointer:
    dw gdt_end - gdt - 1
    dq gdt

start_values:
    dd 0, 0, 0, 0

section .bss.pages nobits alloc write noexec align=4096
page_pml4:        resb 4096
page_pdpt:        resb 4096
page_directories: resb 4 * 4096

section .bss nobits alloc write noexec align=16
    resb STACK_SIZE
stack_top:
context_rsp: resq 1

section .note.GNU-stack noalloc noexec nowrite progbits
