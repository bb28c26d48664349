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
#define EPT_LEAF        BIT(7) /* levels 2 and 3 */
#define EPT_ADDRESS     0x000ffffffffff000ull

STATIC_ASSERT(EPT_R == SLAT_READ && EPT_W == SLAT_WRITE && EPT_X == SLAT_EXEC, "flags are EPT's");

static uint64_t make_leaf(uint64_t hpa, unsigned int level, unsigned int flags)
{
    uint64_t entry = hpa | (flags & SLAT_RWX);

    if (flags & SLAT_WRITE) /* writable alone is a misconfiguration */
        entry |= EPT_R;
    entry |= flags & SLAT_DEVICE ? EPT_MEMTYPE(MEMTYPE_UC) : EPT_MEMTYPE(MEMTYPE_WB) | EPT_IPAT;
    return level > 1 ? entry | EPT_LEAF : entry;
}

static uint64_t make_table(uint64_t hpa)
{
    return hpa | EPT_RWX;
}

static bool is_present(uint64_t entry)
{
    return entry & EPT_RWX;
}

static bool is_leaf(uint64_t entry, unsigned int level)
{
    return level == 1 || (entry & EPT_LEAF);
}

static uint64_t address(uint64_t entry)
{
    return entry & EPT_ADDRESS;
}

static unsigned int flags(uint64_t entry)
{
    bool device = (entry & EPT_MEMTYPE_ANY) == EPT_MEMTYPE(MEMTYPE_UC);

    return (unsigned int)(entry & EPT_RWX) | (device ? SLAT_DEVICE : 0);
}

struct slat_format ept_format = {
    .name = "EPT",
    .make_leaf = make_leaf,
    .make_table = make_table,
    .is_present = is_present,
    .is_leaf = is_leaf,
    .address = address,
    .flags = flags,
};
