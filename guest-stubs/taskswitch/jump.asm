; SPDX-License-Identifier: MIT
; The jump to another task; code for legacy_run().

global task_jump

SEL_TASK equ 0x20

section .text
bits 32
task_jump:
    jmp SEL_TASK:0
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
