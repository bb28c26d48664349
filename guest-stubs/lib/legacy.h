/* SPDX-License-Identifier: MIT */
/* Leaving 64-bit mode for code of 32 bits in protected mode, and coming back. */
#pragma once

#include <stdint.h>

/* See legacy.asm for what the code finds. */
void legacy_run(const uint8_t *code);

extern uint32_t legacy_efer; /* EFER's lower half right after paging was switched off */
