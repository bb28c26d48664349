/* SPDX-License-Identifier: MIT */
/*
 * Which measures against speculation the CPU needs, and which it can.  What its bits do not tell is
 * assumed to be needed.
 *
 * Mica has no retpolines and no special returns.  What keeps guests from steering its indirect
 * branches and returns are the predictors' own modes (IBRS), or their emptying (IBPB) at each exit.
 */
#include "arch/x86/speculation.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "hv/util.h"

uint32_t speculation_measures;
uint32_t speculation_spec_ctrl; /* what SPEC_CTRL is to be, for guests too, who do not see it */

uint64_t speculation_capabilities;

static bool done(uint32_t measure)
{
    return speculation_measures & measure;
}

static bool told(uint64_t capability)
{
    return speculation_capabilities & capability;
}

/* ---- Why a measure is not needed; a null pointer: it is ------------------------------------- */

static const char *always(void)
{
    return NULL;
}

static const char *returns_are_safe(void)
{
    return done(SPECULATION_AUTO_IBRS) && cpu_has(FEATURE_SRSO_NO) ? "SRSO_NO" : NULL;
}

static const char *ibrs_is_for_exits(void)
{
    return told(ARCH_CAP_IBRS_ALL) ? NULL : "no IBRS_ALL";
}

static const char *ibrs_is_on(void)
{
    return told(ARCH_CAP_IBRS_ALL) ? "IBRS_ALL" : NULL;
}

static const char *history_is_safe(void)
{
    return told(ARCH_CAP_BHI_NO) ? "BHI_NO" : ibrs_is_for_exits();
}

static const char *rsb_is_safe(void)
{
    if (done(SPECULATION_AUTO_IBRS))
        return "automatic ibrs empties it";
    if (done(SPECULATION_IBPB_EXIT) && cpu_has(FEATURE_IBPB_RET))
        return "ibpb empties it";
    return done(SPECULATION_IBRS) && told(ARCH_CAP_PBRSB_NO) ? "PBRSB_NO" : NULL;
}

static const char *ibpb_is_for_exits(void)
{
    return done(SPECULATION_IBPB_EXIT) ? "at each exit" : NULL;
}

static const char *one_thread(void)
{
    return cpu_has(FEATURE_HTT) ? NULL : "one thread";
}

static const char *l1_is_safe(void)
{
    if (told(ARCH_CAP_SKIP_L1DFL))
        return "SKIP_L1DFL_VMENTRY";
    return told(ARCH_CAP_RDCL_NO) ? "RDCL_NO" : NULL;
}

static const char *buffers_are_safe(void)
{
    bool leaks = !told(ARCH_CAP_MDS_NO) || (cpu_has(FEATURE_RTM) && !told(ARCH_CAP_TAA_NO)) ||
                 told(ARCH_CAP_RFDS_CLEAR);

    return leaks ? NULL : "MDS_NO";
}

static const char *stores_are_safe(void)
{
    if (host_cpuid.family != 0x19)
        return "not of family 19h";
    return cpu_has(FEATURE_TSA_SQ_NO) && cpu_has(FEATURE_TSA_L1_NO) ? "TSA_SQ_NO, TSA_L1_NO" : NULL;
}

/* ---- The table ------------------------------------------------------------------------------ */

/* In this order: a row may ask what those above it have come to.  A vendor's rows are not shown on
 * the other's CPUs. */
static const struct measure {
    enum cpu_vendor vendor; /* VENDOR_OTHER: of all */
    const char *name, *when;
    uint32_t bit;
    uint32_t spec_ctrl;       /* its bits of SPEC_CTRL */
    enum cpu_feature feature; /* that it takes; FEATURE_COUNT: none */
    const char *(*needless)(void);
} measures[] = {
#define ROW(vendor, name, when, bit, spec_ctrl, feature, needless)                             \
    {                                                                                          \
        VENDOR_##vendor, name, when, SPECULATION_##bit, spec_ctrl, FEATURE_##feature, needless \
    }
    ROW(OTHER, "registers", "cleared at each exit", REGISTERS, 0, COUNT, always),
    ROW(AMD, "automatic ibrs", "always on", AUTO_IBRS, 0, AUTO_IBRS, always),
    ROW(AMD, "ibpb for Mica", "at each exit", IBPB_EXIT, 0, AMD_IBPB, returns_are_safe),
    ROW(INTEL, "enhanced ibrs", "always on", IBRS, SPEC_CTRL_IBRS, SPEC_CTRL, ibrs_is_for_exits),
    ROW(INTEL, "ibrs", "at each exit", IBRS_EXIT, SPEC_CTRL_IBRS, SPEC_CTRL, ibrs_is_on),
    ROW(INTEL, "bhi_dis_s", "always on", BHI_DIS, SPEC_CTRL_BHI_DIS, BHI_CTRL, history_is_safe),
    ROW(OTHER, "rsb fill", "at each exit", RSB, 0, COUNT, rsb_is_safe),
    ROW(AMD, "ibpb", "between guests", IBPB_GUESTS, 0, AMD_IBPB, ibpb_is_for_exits),
    ROW(INTEL, "ibpb", "between guests", IBPB_GUESTS, 0, SPEC_CTRL, always),
    ROW(AMD, "stibp", "always on", STIBP, SPEC_CTRL_STIBP, AMD_STIBP, one_thread),
    ROW(INTEL, "l1d flush", "before each entry", L1D, 0, L1D_FLUSH, l1_is_safe),
    ROW(INTEL, "verw", "before each entry", VERW, 0, MD_CLEAR, buffers_are_safe),
    ROW(AMD, "verw", "before each entry", VERW, 0, VERW_CLEAR, stores_are_safe),
#undef ROW
};

static bool is_shown(const struct measure *m)
{
    return m->vendor == VENDOR_OTHER || m->vendor == host_cpuid.vendor;
}

static bool is_possible(const struct measure *m)
{
    return m->feature == FEATURE_COUNT || cpu_has(m->feature);
}

bool speculation_row(unsigned int index, struct speculation_row *row)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(measures); i++) {
        const struct measure *m = &measures[i];

        if (!is_shown(m) || index-- != 0)
            continue;
        *row = (struct speculation_row){m->name, m->when, m->needless(),
                                        is_possible(m) ? NULL : cpu_feature_bits[m->feature].name};
        return true;
    }
    return false;
}

void speculation_decide(bool on, uint64_t arch_capabilities)
{
    speculation_capabilities = arch_capabilities;
    speculation_measures = 0;
    speculation_spec_ctrl = 0;
    for (unsigned int i = 0; on && i < ARRAY_SIZE(measures); i++) {
        const struct measure *m = &measures[i];

        if (!is_shown(m) || m->needless() || !is_possible(m))
            continue;
        speculation_measures |= m->bit;
        speculation_spec_ctrl |= m->spec_ctrl;
    }
}

void speculation_init(bool on)
{
    speculation_decide(on, cpu_has(FEATURE_ARCH_CAPABILITIES) ? rdmsr(MSR_ARCH_CAPABILITIES) : 0);
}

/* ---- On a CPU ------------------------------------------------------------------------------- */

static void set_modes(void)
{
    if (done(SPECULATION_AUTO_IBRS))
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_AIBRSE);
    if (speculation_spec_ctrl)
        wrmsr(MSR_SPEC_CTRL, speculation_spec_ctrl);
}

void speculation_change_guest(struct cpu *cpu, uint32_t guest)
{
    if (!cpu->guest)
        set_modes();
    else if (done(SPECULATION_IBPB_GUESTS))
        wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
    cpu->guest = guest;
}
