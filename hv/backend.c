/* SPDX-License-Identifier: MIT */
/* The choice of the backend: the only place in hv/ where both are named, as two symbols.  And what
 * a backend says that has no help for local APICs. */
#include "hv/backend.h"

#include "hv/errno.h"
#include "hv/log.h"
#include "hv/util.h"

extern const struct backend vmx_backend;
extern const struct backend svm_backend;

const struct backend *backend;

/* ---- No help with local APICs ---------------------------------------------------------------- */

static void no_pass(struct vm *vm, uint32_t msr, bool read, bool write)
{
}

static void no_begin(struct vcpu *vcpu, hpa_t page, struct vlapic_status status)
{
}

static void no_end(struct vcpu *vcpu)
{
}

static uint8_t nothing_requested(const struct vcpu *vcpu)
{
    return 0;
}

static void no_request(struct vcpu *vcpu, uint8_t vector)
{
}

static void no_eoi_exits(struct vcpu *vcpu, const uint64_t vectors[4])
{
}

const struct apic_assist no_apic_assist = {
    .pass = no_pass,
    .begin = no_begin,
    .end = no_end,
    .requested = nothing_requested,
    .request = no_request,
    .set_eoi_exits = no_eoi_exits,
};

/* ---- The choice ------------------------------------------------------------------------------ */

int backend_select(void)
{
    static const struct backend *const candidates[] = {&vmx_backend, &svm_backend};

    for (unsigned int i = 0; i < ARRAY_SIZE(candidates); i++) {
        const char *why_not = "no reason given";

        if (candidates[i]->probe(&why_not) == 0) {
            backend = candidates[i];
            log_info("backend: %s", backend->name);
            return 0;
        }
        log_info("backend: not %s: %s", candidates[i]->name, why_not);
    }
    return -ENODEV;
}
