/* SPDX-License-Identifier: MIT */
/* What the paravirtual interfaces keep of a vCPU; access as in struct vcpu.  See pv.h. */
#pragma once

#include "hv/pv/kvm_abi.h"

#include <stdbool.h>
#include <stdint.h>

struct pv_vcpu {
    uint64_t steal_time;    /* (c) MSR_KVM_STEAL_TIME */
    uint64_t steal_ns;      /* (c) what the guest was told last */
    uint64_t steal_base_ns; /* (c) the same plus this is what the scheduler has */
    uint32_t steal_version; /* (c) */
    bool eoi_offered;       /* (c) the guest may have skipped an EOI */
    bool kicked;            /* (a) its HLT ends, this one or the next */
    uint64_t eoi;           /* (c) MSR_KVM_PV_EOI_EN */
    uint64_t poll_control;  /* (c) MSR_KVM_POLL_CONTROL */
};
