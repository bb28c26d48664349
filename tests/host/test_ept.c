/* SPDX-License-Identifier: MIT */
/* The format of EPT entries: every level and permission against the words that the manual gives. */
#include "tests/host/check.h"

#include "arch/vmx/vmx.h"

#define WB_IPAT (6ull << 3 | 1ull << 6)
#define LEAF    (1ull << 7)

static void check_known_words(void)
{
    CHECK(ept_format.make_leaf(0x1000, 1, SLAT_RWX) == (0x1000 | 7 | WB_IPAT),
          "a 4 KiB page of RAM");
    CHECK(ept_format.make_leaf(SIZE_2M, 2, SLAT_RWX) == (SIZE_2M | 7 | WB_IPAT | LEAF),
          "a 2 MiB page of RAM");
    CHECK(ept_format.make_leaf(SIZE_1G, 3, SLAT_READ) == (SIZE_1G | 1 | WB_IPAT | LEAF),
          "a 1 GiB page of RAM that can only be read");
    CHECK(ept_format.make_leaf(0xfee00000, 1, SLAT_READ | SLAT_WRITE | SLAT_DEVICE) ==
              (0xfee00000 | 3),
          "device memory is uncached");
    CHECK(ept_format.make_leaf(0x1000, 1, SLAT_WRITE) == (0x1000 | 3 | WB_IPAT),
          "what can be written can be read: write alone is a misconfiguration");
    CHECK((0x12345000 | ept_format.table) == (0x12345000 | 7),
          "a table allows what its leaves allow");
}

/* Reserved bits of a present entry: 6:3 of a table, the address bits below a large page, 62:52
 * here. */
static bool is_well_formed(uint64_t entry, unsigned int level)
{
    uint64_t inside = level > 1 ? (PAGE_SIZE << (9 * (level - 1))) - PAGE_SIZE : 0;
    uint64_t memtype = entry >> 3 & 7;

    return (entry & 7) != 2 && (entry & 7) != 6 && (memtype == 0 || memtype == 6) &&
           !(entry & inside) && !(entry >> 52);
}

static void check_all_leaves(void)
{
    bool formed = true;
    bool back = true;
    bool kind = true;

    for (unsigned int level = 1; level <= 3; level++) {
        for (unsigned int flags = 0; flags <= (SLAT_RWX | SLAT_DEVICE); flags++) {
            for (unsigned int bit = 12; bit < 52; bit++) {
                uint64_t hpa = align_down(1ull << bit, PAGE_SIZE << (9 * (level - 1)));
                unsigned int wanted = flags & SLAT_WRITE ? flags | SLAT_READ : flags;
                uint64_t entry = ept_format.make_leaf(hpa, level, flags);

                formed = formed && is_well_formed(entry, level);
                back = back && (entry & SLAT_ADDRESS) == hpa && ept_format.flags(entry) == wanted;
                kind = kind && (level == 1 || (entry & SLAT_LEAF)) &&
                       !(entry & ept_format.present) == !(flags & SLAT_RWX);
            }
        }
    }
    CHECK(formed, "no leaf has a reserved bit or an impossible permission");
    CHECK(back, "every leaf gives back its address and flags");
    CHECK(kind, "every leaf is one, and present when it allows anything");
}

static void check_tables(void)
{
    bool ok = true;

    for (unsigned int bit = 12; bit < 52; bit++) {
        uint64_t entry = 1ull << bit | ept_format.table;

        ok = ok && (entry & ept_format.present) && (entry & SLAT_ADDRESS) == 1ull << bit &&
             !(entry & (SLAT_LEAF | 0xf8));
    }
    CHECK(ok, "a table is present, no leaf, and without reserved bits at every level");
}

int main(void)
{
    check_known_words();
    check_all_leaves();
    check_tables();
    return check_done();
}
