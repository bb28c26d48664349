/* SPDX-License-Identifier: MIT */
/*
 * x87, SSE, AVX and PKRU state of a vCPU, switched whole at each vCPU switch, never lazily by
 * CR0.TS (CVE-2018-3665).  The hypervisor itself uses no such registers, so it keeps none of its
 * own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The standard format of XSAVE, up to where the components begin; the whole has
 * fpu_area_pages(). */
struct xsave_area {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved5;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16];
    uint8_t xmm[16][16];
    uint8_t reserved416[96];
    uint64_t xstate_bv;
    uint64_t xcomp_bv;
    uint8_t reserved528[48];
};

struct fpu_state {
    struct xsave_area *area; /* whole pages from mem_alloc(), fpu_area_pages() of them */
    uint64_t xcr0; /* the guest's; valid while the vCPU is switched out, and kept by XSETBV's
                      emulation */
    uint64_t xss;  /* the guest's; always the last value that the emulation accepted */
};

/* Per CPU: XCR0 to the full host mask, and a clean register file. */
void fpu_init(void);

uint64_t fpu_host_mask(
    void); /* XCR0's bits that the host has and a guest may be given; X87 | SSE without XSAVE */
uint64_t fpu_area_pages(void);

/* The state after RESET, in an area of fpu_area_pages(); XCR0 is X87 alone, XSS 0. */
void fpu_state_init(struct fpu_state *state, void *area);

/* Out: reads XCR0 (a guest may have set it without an exit), sets the full mask, saves, and leaves
 * it at that. */
void fpu_save(struct fpu_state *state);

/* In: restores under the full mask, then loads the guest's XCR0 and XSS. */
void fpu_restore(const struct fpu_state *state);
