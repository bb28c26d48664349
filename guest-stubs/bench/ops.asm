; SPDX-License-Identifier: MIT
; The operations that are timed, instruction by instruction, so that no compiler has a say in what a figure
; counts.  And the shortest handlers for what they bring about, which count along.
;
;   uint64_t op_NAME(uint64_t round);   the TSC's ticks from before the operation to behind it
;
; BEGIN VALUE, HIGH loads EDX:EAX with HIGH:VALUE, which is what operations take; op_empty does so too, and what
; it costs is taken off from every other.  Differences are of 32 bits.

global op_empty, op_cpuid, op_vmcall, op_vmmcall, op_rdmsr_apicbase, op_rdmsr_unknown, op_wrmsr_efer
global op_wbinvd, op_in_pic, op_out_none, op_in_lsr, op_mmio_read, op_mmio_write, op_mov_cr4, op_touch_page
global op_xapic_eoi, op_xapic_timer, op_xapic_self, op_x2apic_id, op_x2apic_eoi, op_x2apic_self
global op_hlt_deadline, op_hlt_count, op_ipi_send, ipi_receive
global gp_handler, xapic_self_handler, x2apic_self_handler, timer_handler, ipi_handler
global apic_is_x2, timer_count, timer_ticks, ipi

MSR_APIC_BASE    equ 0x1b
MSR_TSC_DEADLINE equ 0x6e0
MSR_X2APIC_ID    equ 0x802
MSR_X2APIC_EOI   equ 0x80b
MSR_X2APIC_ICR   equ 0x830
MSR_X2APIC_SELF  equ 0x83f
MSR_EFER         equ 0xc0000080
MSR_NOWHERE      equ 0x12345

LAPIC_BASE equ 0xfee00000
LAPIC_EOI  equ 0x0b0
LAPIC_ICR  equ 0x300
LAPIC_TMICT equ 0x380
ICR_SELF   equ 0x40000

VEC_SELF equ 0x50               ; bench.h has them too
VEC_IPI  equ 0x61

PORT_PIC  equ 0x21
PORT_LSR  equ 0x3fd
PORT_NONE equ 0x2f0
MMIO_NONE equ 0xd0000000
TOUCHED   equ 8 << 20           ; where 4 MiB lie that nothing else uses

TIMER_AHEAD equ 100000          ; ticks: longer than it takes to arm a timer and to halt

%macro BEGIN 1-2 0
    lfence
    rdtsc
    mov r8d, eax
    mov eax, %1
    mov edx, %2
%endmacro

%macro END 0
    lfence
    rdtsc
    sub eax, r8d
    ret
%endmacro

section .text

; ---- Instructions -----------------------------------------------------------------------------------------

op_empty:
    BEGIN 0
    END

op_cpuid:
    push rbx
    xor ecx, ecx
    BEGIN 1
    cpuid
    lfence
    rdtsc
    sub eax, r8d
    pop rbx
    ret

; A number that no interface has.
op_vmcall:
    BEGIN 0x7fffffff
    vmcall
    END

op_vmmcall:
    BEGIN 0x7fffffff
    vmmcall
    END

op_rdmsr_apicbase:
    mov ecx, MSR_APIC_BASE
    BEGIN 0
    rdmsr
    END

; gp_handler goes on behind it.
op_rdmsr_unknown:
    mov ecx, MSR_NOWHERE
    BEGIN 0
    rdmsr
    END

op_wrmsr_efer:
    mov ecx, MSR_EFER
    rdmsr
    mov r9d, eax
    BEGIN r9d
    wrmsr
    END

op_wbinvd:
    BEGIN 0
    wbinvd
    END

op_in_pic:
    BEGIN 0
    in al, PORT_PIC
    END

op_out_none:
    BEGIN 0, PORT_NONE
    out dx, al
    END

op_in_lsr:
    BEGIN 0, PORT_LSR
    in al, dx
    END

op_mmio_read:
    mov edi, MMIO_NONE
    BEGIN 0
    mov eax, [rdi]
    END

op_mmio_write:
    mov edi, MMIO_NONE
    BEGIN 0
    mov [rdi], eax
    END

op_mov_cr4:
    mov r9, cr4
    BEGIN 0
    mov cr4, r9
    END

op_touch_page:
    shl rdi, 12
    add rdi, TOUCHED
    BEGIN 0
    mov [rdi], eax
    END

; ---- The local APIC: RDI is its page ----------------------------------------------------------------------

op_xapic_eoi:
    mov edi, LAPIC_BASE
    BEGIN 0
    mov [rdi + LAPIC_EOI], eax
    END

; So far ahead that it is armed anew long before.
op_xapic_timer:
    mov edi, LAPIC_BASE
    BEGIN 0x7fffffff
    mov [rdi + LAPIC_TMICT], eax
    END

op_xapic_self:
    mov edi, LAPIC_BASE
    mov dword [taken], 0
    sti
    BEGIN ICR_SELF | VEC_SELF
    mov [rdi + LAPIC_ICR], eax
.wait:
    cmp dword [taken], 0
    je .wait
    cli
    END

op_x2apic_id:
    mov ecx, MSR_X2APIC_ID
    BEGIN 0
    rdmsr
    END

op_x2apic_eoi:
    mov ecx, MSR_X2APIC_EOI
    BEGIN 0
    wrmsr
    END

op_x2apic_self:
    mov ecx, MSR_X2APIC_SELF
    mov dword [taken], 0
    sti
    BEGIN VEC_SELF
    wrmsr
.wait:
    cmp dword [taken], 0
    je .wait
    cli
    END

; ---- A timer that ends a HLT: what passes between the programmed time and the handler's first instruction ---

op_hlt_deadline:
    mov ecx, MSR_TSC_DEADLINE
    rdtsc
    add eax, TIMER_AHEAD
    adc edx, 0
    mov r8d, eax
    wrmsr
    sti
    hlt
    cli
    mov eax, [handler_tsc]
    sub eax, r8d
    ret

; By the count, whose time begins before it is written.
op_hlt_count:
    mov edi, LAPIC_BASE
    mov ecx, [timer_count]
    rdtsc
    mov r8d, eax
    mov [rdi + LAPIC_TMICT], ecx
    sti
    hlt
    cli
    mov eax, [handler_tsc]
    sub eax, r8d
    sub eax, [timer_ticks]
    ret

; ---- An interrupt from one CPU to another -------------------------------------------------------------------
;
; Both note the TSC in every round of their waiting.  An emulator that runs one CPU at a time changes over at
; PAUSE; the receiver's time then begins where the sender's ends.

; The ticks that the sender is away for.  On return all of `ipi` is set.
op_ipi_send:
    mov edi, LAPIC_BASE
    mov ecx, MSR_X2APIC_ICR
    mov dword [ipi.taken], 0
    cmp dword [apic_is_x2], 0
    je .xapic
    BEGIN VEC_IPI, 1            ; to APIC 1
    wrmsr
    jmp .sent
.xapic:                         ; the caller has named the destination
    BEGIN VEC_IPI
    mov [rdi + LAPIC_ICR], eax
.sent:
    lfence
    rdtsc
    mov r9d, eax
    sub r9d, r8d
    mov [ipi.sent], r8d
.wait:
    rdtsc
    mov [ipi.sender_last], eax
    pause
    cmp dword [ipi.taken], 0
    je .wait
    mov eax, r9d
    ret

; noreturn void ipi_receive(void)
ipi_receive:
    sti
.wait:
    rdtsc
    mov [ipi.receiver_now], eax
    pause
    jmp .wait

; ---- Handlers -----------------------------------------------------------------------------------------------

; #GP of an instruction of two bytes.
gp_handler:
    add rsp, 8
    add qword [rsp], 2
    iretq

xapic_self_handler:
    inc dword [taken]
    mov [rdi + LAPIC_EOI], eax
    iretq

x2apic_self_handler:
    push rax
    push rcx
    push rdx
    inc dword [taken]
    mov ecx, MSR_X2APIC_EOI
    xor eax, eax
    xor edx, edx
    wrmsr
    pop rdx
    pop rcx
    pop rax
    iretq

timer_handler:
    push rax
    push rcx
    push rdx
    rdtsc
    mov [handler_tsc], eax
    jmp eoi

ipi_handler:
    push rax
    push rcx
    push rdx
    rdtsc
    mov [ipi.handler], eax
    mov eax, [ipi.receiver_now]
    mov [ipi.receiver_last], eax
    mov dword [ipi.taken], 1
eoi:
    xor eax, eax
    xor edx, edx
    cmp dword [apic_is_x2], 0
    je .xapic
    mov ecx, MSR_X2APIC_EOI
    wrmsr
    jmp .done
.xapic:
    mov ecx, LAPIC_BASE
    mov [rcx + LAPIC_EOI], eax
.done:
    pop rdx
    pop rcx
    pop rax
    iretq

section .bss nobits alloc write noexec align=16
taken:       resd 1             ; interrupts of this CPU to itself
handler_tsc: resd 1             ; when the timer's handler began
apic_is_x2:  resd 1
timer_count: resd 1             ; for op_hlt_count,
timer_ticks: resd 1             ; and the TSC's ticks in which it runs down
ipi:                            ; struct ipi of bench.h
.sent:          resd 1
.sender_last:   resd 1
.receiver_last: resd 1
.handler:       resd 1
.taken:         resd 1
.receiver_now:  resd 1

section .note.GNU-stack noalloc noexec nowrite progbits
