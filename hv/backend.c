/* SPDX-License-Identifier: MIT */
/* The choice of the backend: the only place in hv/ where both are named, as two symbols. */
#include "hv/backend.h"

#include "hv/errno.h"
#include "hv/log.h"
#include "hv/util.h"

extern const struct backend vmx_backend;
extern const struct backend svm_backend;

const struct backend *backend;

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
