/* SPDX-License-Identifier: MIT */
/* The boot CPU's MTRRs, noted once and written on the other CPUs.  Sets no type of its own. */
#include "arch/x86/mtrr.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/regs.h"

#include <stddef.h>

#define MAX_VARIABLE 32u /* real CPUs have about ten */

static const uint32_t fixed[] = {
    MSR_MTRR_FIX64K_00000, MSR_MTRR_FIX16K_80000, MSR_MTRR_FIX16K_A0000, MSR_MTRR_FIX4K_C0000,
    MSR_MTRR_FIX4K_C8000,  MSR_MTRR_FIX4K_D0000,  MSR_MTRR_FIX4K_D8000,  MSR_MTRR_FIX4K_E0000,
    MSR_MTRR_FIX4K_E8000,  MSR_MTRR_FIX4K_F0000,  MSR_MTRR_FIX4K_F8000};

static struct {
    uint64_t capabilities, default_type;
    unsigned int count; /* of what follows */
    struct {
        uint32_t msr;
        uint64_t value;
    } ranges[ARRAY_SIZE(fixed) + 2 * MAX_VARIABLE];
} saved;

static void save(uint32_t msr)
{
    saved.ranges[saved.count].msr = msr;
    saved.ranges[saved.count++].value = rdmsr(msr);
}

void mtrr_save(void)
{
    if (!cpu_has(FEATURE_MTRR))
        return;
    saved.count = 0;
    saved.capabilities = rdmsr(MSR_MTRRCAP);
    saved.default_type = rdmsr(MSR_MTRR_DEF_TYPE);
    for (size_t i = 0; (saved.capabilities & MTRRCAP_FIX) && i < ARRAY_SIZE(fixed); i++)
        save(fixed[i]);
    for (uint32_t i = 0; i < MIN(saved.capabilities & MTRRCAP_VCNT, MAX_VARIABLE); i++) {
        save(MSR_MTRR_PHYSBASE(i));
        save(MSR_MTRR_PHYSMASK(i));
    }
}

static bool is_applied(void)
{
    bool same = rdmsr(MSR_MTRR_DEF_TYPE) == saved.default_type;

    for (unsigned int i = 0; i < saved.count; i++)
        same = same && rdmsr(saved.ranges[i].msr) == saved.ranges[i].value;
    return same;
}

static void flush(void)
{
    wbinvd();
    write_cr3(read_cr3());
}

/* SDM, "MTRR Considerations in MP Systems": nothing may be cached by the old types. */
static void apply(void)
{
    uint64_t cr0 = read_cr0();

    write_cr0(cr0 | CR0_CD);
    flush();
    wrmsr(MSR_MTRR_DEF_TYPE, saved.default_type & ~MTRR_DEF_E);
    for (unsigned int i = 0; i < saved.count; i++)
        wrmsr(saved.ranges[i].msr, saved.ranges[i].value);
    wrmsr(MSR_MTRR_DEF_TYPE, saved.default_type);
    flush();
    write_cr0(cr0);
}

bool mtrr_apply(void)
{
    if (!cpu_has(FEATURE_MTRR))
        return true;
    if (rdmsr(MSR_MTRRCAP) != saved.capabilities)
        return false;
    if (!is_applied())
        apply();
    return true;
}
