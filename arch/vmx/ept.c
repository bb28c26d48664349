/* SPDX-License-Identifier: MIT */
/*
 * The entry format of extended page tables for slat.c.  RAM is write-back whatever the guest's PAT
 * says (IPAT), device memory uncached; accessed and dirty bits are not used.
 */
#include "arch/vmx/vmx.h"

#include "arch/x86/msr.h"
#include "hv/util.h"

#define EPT_R           BIT(0)
#define EPT_W           BIT(1)
#define EPT_X           BIT(2)
#define EPT_RWX         (EPT_R | EPT_W | EPT_X)
#define EPT_MEMTYPE(t)  ((uint64_t)(t) << 3)
#define EPT_MEMTYPE_ANY EPT_MEMTYPE(7)
#define EPT_IPAT        BIT(6)

STATIC_ASSERT(EPT_R == SLAT_READ && EPT_W == SLAT_WRITE && EPT_X == SLAT_EXEC, "flags are EPT's");

static uint64_t make_leaf(uint64_t hpa, unsigned int level, unsigned int flags)
{
    uint64_t entry = hpa | (flags & SLAT_RWX);

    if (flags & SLAT_WRITE) /* writable alone is a misconfiguration */
        entry |= EPT_R;
    entry |= flags & SLAT_DEVICE ? EPT_MEMTYPE(MEMTYPE_UC) : EPT_MEMTYPE(MEMTYPE_WB) | EPT_IPAT;
    return level > 1 ? entry | SLAT_LEAF : entry;
}

static unsigned int flags(uint64_t entry)
{
    bool device = (entry & EPT_MEMTYPE_ANY) == EPT_MEMTYPE(MEMTYPE_UC);

    return (unsigned int)(entry & EPT_RWX) | (device ? SLAT_DEVICE : 0);
}

struct slat_format ept_format = {
    .name = "EPT",
    .present = EPT_RWX,
    .table = EPT_RWX,
    .make_leaf = make_leaf,
    .flags = flags,
};
