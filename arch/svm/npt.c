/* SPDX-License-Identifier: MIT */
/* The entry format of nested page tables for slat.c: the host's long-mode format, with U = 1
 * everywhere. */
#include "arch/svm/svm.h"

#include "hv/util.h"

#define NPT_P   BIT(0)
#define NPT_RW  BIT(1)
#define NPT_US  BIT(2) /* accesses by a guest count as user accesses */
#define NPT_PWT BIT(3)
#define NPT_PCD BIT(4)
#define NPT_NX  BIT(63)

static uint64_t make_leaf(uint64_t hpa, unsigned int level, unsigned int flags)
{
    uint64_t entry = hpa | NPT_P | NPT_US;

    if (flags & SLAT_WRITE)
        entry |= NPT_RW;
    if (!(flags & SLAT_EXEC))
        entry |= NPT_NX;
    if (flags & SLAT_DEVICE)
        entry |= NPT_PCD | NPT_PWT;
    return level > 1 ? entry | SLAT_LEAF : entry;
}

static unsigned int flags(uint64_t entry)
{
    return SLAT_READ | (entry & NPT_RW ? SLAT_WRITE : 0) | (entry & NPT_NX ? 0 : SLAT_EXEC) |
           (entry & NPT_PCD ? SLAT_DEVICE : 0);
}

struct slat_format npt_format = {
    .name = "NPT",
    .present = NPT_P,
    .table = NPT_P | NPT_RW | NPT_US,
    .make_leaf = make_leaf,
    .flags = flags,
};
