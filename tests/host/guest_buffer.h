/* SPDX-License-Identifier: MIT */
/*
 * A guest's memory below 4 GiB as a buffer, for the tests of the loaders.  A write outside of RAM
 * and of the ACPI tables fails, as the VM's does.  It begins as garbage, so that whatever must be
 * zero has to be written.
 */
#pragma once

#include "hv/errno.h"
#include "hv/load/load.h"
#include "hv/load/loader.h"
#include "tests/host/check.h"

#include <stdlib.h>
#include <string.h>

struct guest_buffer {
    struct load_target target;
    struct load_image image;
    struct load_entry entry;
    struct load_error error;
    struct layout_map map;
    uint8_t *bytes;
};

static inline bool guest_has(const struct guest_buffer *guest, uint64_t gpa, uint64_t size)
{
    return layout_is_ram(&guest->map, gpa, size) ||
           (gpa >= LAYOUT_ACPI_BASE && gpa <= LAYOUT_EXTENDED_BASE &&
            size <= LAYOUT_EXTENDED_BASE - gpa);
}

static inline int guest_write(void *ctx, uint64_t gpa, const void *from, uint64_t size)
{
    struct guest_buffer *guest = ctx;

    if (!guest_has(guest, gpa, size))
        return -EFAULT;
    memcpy(guest->bytes + gpa, from, size);
    return 0;
}

static inline int guest_zero(void *ctx, uint64_t gpa, uint64_t size)
{
    struct guest_buffer *guest = ctx;

    if (!guest_has(guest, gpa, size))
        return -EFAULT;
    memset(guest->bytes + gpa, 0, size);
    return 0;
}

static inline void guest_init(struct guest_buffer *guest, uint64_t memory_size, unsigned int vcpus)
{
    uint64_t low_size = layout_low_size(memory_size);

    memset(guest, 0, sizeof(*guest));
    layout_make(memory_size, &guest->map);
    guest->target = (struct load_target){.ctx = guest,
                                         .memory_size = memory_size,
                                         .vcpus = vcpus,
                                         .write = guest_write,
                                         .zero = guest_zero};
    guest->image.cmdline = "";
    guest->bytes = malloc(low_size);
    memset(guest->bytes, 0xcc, low_size > 256u << 20 ? 1u << 20 : low_size);
}

static inline int guest_load(struct guest_buffer *guest)
{
    return load_kernel(&guest->target, &guest->image, &guest->entry, &guest->error);
}

static inline void guest_free(struct guest_buffer *guest)
{
    free(guest->bytes);
}

static inline uint64_t guest_get(const struct guest_buffer *guest, uint64_t gpa, unsigned int size)
{
    uint64_t value = 0;

    memcpy(&value, guest->bytes + gpa, size);
    return value;
}

static inline bool guest_refused(const struct guest_buffer *guest, int result, int number,
                                 const char *reason)
{
    bool ok = result == -number && strcmp(guest->error.reason, reason) == 0;

    if (!ok)
        printf("# %d: %s\n", result, guest->error.reason);
    return ok;
}
