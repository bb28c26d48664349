/* SPDX-License-Identifier: MIT */
/* What the parts of the stub "share" have in common. */
#pragma once

#include "guest-stubs/lib/mica.h"
#include "guest-stubs/smp/cpus.h"

extern bool amd;          /* the CPU is AMD's */
extern unsigned int side; /* of the pair: 0 is the one that asks, 1 the one that answers */

#define CALL(name, a, b) mica_call(amd, MICA_CALL_##name, a, b)

void share_memory(void);
void share_loopback(void);
void share_ask(void);
void share_answer(void);
