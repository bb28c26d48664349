/* SPDX-License-Identifier: MIT */
/* The snapshot of the host's CPUID, and the comparison of another CPU with it. */
#include "arch/x86/cpuid.h"

#include "hv/addr.h"
#include "hv/string.h"
#include "hv/util.h"

struct host_cpuid host_cpuid;

const struct cpu_feature_bit cpu_feature_bits[FEATURE_COUNT] = {
#define CPU_FEATURE_BIT(name, leaf, subleaf, reg, bit, text) \
    [FEATURE_##name] = {leaf, subleaf, CPUID_##reg, bit, text},
    CPU_FEATURES(CPU_FEATURE_BIT)
#undef CPU_FEATURE_BIT
};

/* Leaves above the maximum answer with another leaf's data on Intel: they are taken as 0. */
static bool leaf_exists(uint32_t leaf)
{
    uint32_t max = leaf >= 0x80000000u ? host_cpuid.max_extended_leaf : host_cpuid.max_leaf;

    return leaf <= max;
}

static bool has_feature(const struct cpu_feature_bit *f)
{
    if (!leaf_exists(f->leaf))
        return false;
    struct cpuid_regs regs = cpuid(f->leaf, f->subleaf);

    return cpuid_reg(&regs, f->reg) >> f->bit & 1;
}

static void read_vendor(void)
{
    static const struct {
        const char *name;
        enum cpu_vendor vendor;
    } vendors[] = {
        {"GenuineIntel", VENDOR_INTEL}, {"CentaurHauls", VENDOR_INTEL},
        {"  Shanghai  ", VENDOR_INTEL}, {"AuthenticAMD", VENDOR_AMD},
        {"HygonGenuine", VENDOR_AMD},
    };
    struct cpuid_regs r = cpuid(0, 0);

    host_cpuid.max_leaf = r.eax;
    memcpy(host_cpuid.vendor_name, &r.ebx, 4);
    memcpy(host_cpuid.vendor_name + 4, &r.edx, 4);
    memcpy(host_cpuid.vendor_name + 8, &r.ecx, 4);
    for (size_t i = 0; i < ARRAY_SIZE(vendors); i++)
        if (!strcmp(vendors[i].name, host_cpuid.vendor_name))
            host_cpuid.vendor = vendors[i].vendor;
}

static void read_brand(void)
{
    if (host_cpuid.max_extended_leaf < 0x80000004u)
        return;
    for (uint32_t i = 0; i < 3; i++) {
        struct cpuid_regs r = cpuid(0x80000002u + i, 0);
        memcpy(host_cpuid.brand + 16 * i, &r, 16);
    }
}

static void read_model(void)
{
    uint32_t eax = cpuid(1, 0).eax;
    uint32_t family = eax >> 8 & 0xf;

    host_cpuid.stepping = eax & 0xf;
    host_cpuid.model = (uint32_t)BITS(eax, 7, 4);
    if (family == 6 || family == 15)
        host_cpuid.model |= (uint32_t)BITS(eax, 19, 16) << 4;
    host_cpuid.family = family == 15 ? family + (uint32_t)BITS(eax, 27, 20) : family;
}

void cpuid_init(void)
{
    read_vendor();
    host_cpuid.max_extended_leaf = cpuid(0x80000000u, 0).eax;
    read_brand();
    read_model();
    host_cpuid.physical_bits = 36;
    host_cpuid.linear_bits = 48;
    if (leaf_exists(0x80000008u)) {
        uint32_t eax = cpuid(0x80000008u, 0).eax;
        host_cpuid.physical_bits = eax & 0xff;
        host_cpuid.linear_bits = eax >> 8 & 0xff;
    }
    for (size_t i = 0; i < FEATURE_COUNT; i++)
        host_cpuid.has[i] = has_feature(&cpu_feature_bits[i]);
}

bool cpuid_matches_host(enum cpu_feature *missing)
{
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        if (host_cpuid.has[i] && !has_feature(&cpu_feature_bits[i])) {
            *missing = (enum cpu_feature)i;
            return false;
        }
    }
    return true;
}

uint32_t cpuid_xsave_size(uint64_t components, bool compacted)
{
    uint32_t size = 512 + 64;

    for (unsigned int i = 2; i < 63; i++) {
        struct cpuid_regs component;

        if (!(components >> i & 1))
            continue;
        component = cpuid(0xd, i);
        if (!compacted)
            size = MAX(size, component.ebx + component.eax);
        else
            size = component.eax + (component.ecx & 2 ? (uint32_t)align_up(size, 64) : size);
    }
    return size;
}
