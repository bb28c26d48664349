/* SPDX-License-Identifier: MIT */
/* What the parts of the stub "pv" share. */
#pragma once

#include "guest-stubs/lib/mica.h"
#include "guest-stubs/smp/cpus.h"
#include "hv/pv/kvm_abi.h"

extern bool amd; /* the CPU is AMD's */

static inline int64_t kvm_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return mica_call4(amd, number, a, b, c, d);
}

/* Each CPU's; enabled by pv_steal(). */
extern struct kvm_steal_time steal_times[MAX_CPUS];

void pv_kvm(void);
void pv_ipis(void);
void pv_steal(void);
void pv_flush(void);
void pv_eoi(void);
void pv_mica(void);
void pv_hostile(void);
