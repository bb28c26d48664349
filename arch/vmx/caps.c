/* SPDX-License-Identifier: MIT */
/*
 * What VT-x must have, what Mica can use of it, and why not: a table of the controls and
 * capabilities, in the manual's words, walked by one loop.  Reads MSRs; the CPU's state is not
 * touched.
 */
#include "arch/vmx/vmx.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "hv/errno.h"
#include "hv/printf.h"

struct vmx_caps vmx_caps;

/* The words of which the rows below are bits.  The first five are controls: what must be 1, and
 * what may be. */
enum word { PIN, CPU, CPU2, EXIT, ENTRY, BASIC, EPT_VPID, WORD_COUNT };
#define CONTROL_WORDS BASIC

static const struct {
    const char *name;
    uint32_t msr;      /* of the capability, or of the "true" one */
    uint32_t default1; /* reserved bits that are 1 */
} words[WORD_COUNT] = {
    [PIN] = {"pin-based", MSR_VMX_TRUE_PINBASED_CTLS, VMX_PIN_DEFAULT1},
    [CPU] = {"processor-based", MSR_VMX_TRUE_PROCBASED_CTLS, VMX_CPU_DEFAULT1},
    [CPU2] = {"secondary processor-based", MSR_VMX_PROCBASED_CTLS2, 0},
    [EXIT] = {"VM-exit", MSR_VMX_TRUE_EXIT_CTLS, VMX_EXIT_DEFAULT1},
    [ENTRY] = {"VM-entry", MSR_VMX_TRUE_ENTRY_CTLS, VMX_ENTRY_DEFAULT1},
    [BASIC] = {"basic", MSR_VMX_BASIC, 0},
    [EPT_VPID] = {"EPT and VPID", MSR_VMX_EPT_VPID_CAP, 0},
};

enum need {
    REQUIRED,  /* must be there, and is on */
    ON_DEMAND, /* must be there, and is switched on while it is wanted */
    GUEST,     /* must be there, and is on, when the CPU has the feature that it gives to guests */
    OPTIONAL,  /* on where it is there */
    APIC,      /* where all of these are there they are on while a local APIC is lent to the CPU */
    SHOWN      /* shown only */
};

static const struct row {
    enum word word;
    enum need need;
    uint64_t bit;
    const char *name;
    enum cpu_feature feature; /* of GUEST */
} rows[] = {
    {BASIC, REQUIRED, VMX_BASIC_TRUE_CTLS, "true controls", 0},

    {PIN, REQUIRED, VMX_PIN_EXT_INTR, "external-interrupt exiting", 0},
    {PIN, REQUIRED, VMX_PIN_NMI, "NMI exiting", 0},
    {PIN, REQUIRED, VMX_PIN_VIRTUAL_NMI, "virtual NMIs", 0},
    {PIN, OPTIONAL, VMX_PIN_PREEMPTION_TIMER, "activate VMX-preemption timer", 0},
    {PIN, SHOWN, VMX_PIN_POSTED_INTR, "process posted interrupts", 0},

    {CPU, ON_DEMAND, VMX_CPU_INTR_WINDOW, "interrupt-window exiting", 0},
    {CPU, REQUIRED, VMX_CPU_TSC_OFFSET, "use TSC offsetting", 0},
    {CPU, REQUIRED, VMX_CPU_HLT, "HLT exiting", 0},
    {CPU, REQUIRED, VMX_CPU_MWAIT, "MWAIT exiting", 0},
    {CPU, REQUIRED, VMX_CPU_RDPMC, "RDPMC exiting", 0},
    {CPU, REQUIRED, VMX_CPU_CR8_LOAD, "CR8-load exiting", 0},
    {CPU, REQUIRED, VMX_CPU_CR8_STORE, "CR8-store exiting", 0},
    {CPU, APIC, VMX_CPU_TPR_SHADOW, "use TPR shadow", 0},
    {CPU, ON_DEMAND, VMX_CPU_NMI_WINDOW, "NMI-window exiting", 0},
    {CPU, ON_DEMAND, VMX_CPU_MOV_DR, "MOV-DR exiting", 0},
    {CPU, REQUIRED, VMX_CPU_IO_BITMAPS, "use I/O bitmaps", 0},
    {CPU, SHOWN, VMX_CPU_MTF, "monitor trap flag", 0},
    {CPU, REQUIRED, VMX_CPU_MSR_BITMAPS, "use MSR bitmaps", 0},
    {CPU, REQUIRED, VMX_CPU_MONITOR, "MONITOR exiting", 0},
    {CPU, ON_DEMAND, VMX_CPU_PAUSE, "PAUSE exiting", 0},
    {CPU, REQUIRED, VMX_CPU_SECONDARY, "activate secondary controls", 0},

    {CPU2, SHOWN, VMX_CPU2_APIC_ACCESSES, "virtualize APIC accesses", 0},
    {CPU2, REQUIRED, VMX_CPU2_EPT, "enable EPT", 0},
    {CPU2, GUEST, VMX_CPU2_RDTSCP, "enable RDTSCP", FEATURE_RDTSCP},
    {CPU2, APIC, VMX_CPU2_X2APIC, "virtualize x2APIC mode", 0},
    {CPU2, OPTIONAL, VMX_CPU2_VPID, "enable VPID", 0},
    {CPU2, REQUIRED, VMX_CPU2_WBINVD, "WBINVD exiting", 0},
    {CPU2, REQUIRED, VMX_CPU2_UNRESTRICTED, "unrestricted guest", 0},
    {CPU2, APIC, VMX_CPU2_APIC_REGISTER, "APIC-register virtualization", 0},
    {CPU2, APIC, VMX_CPU2_INTR_DELIVERY, "virtual-interrupt delivery", 0},
    {CPU2, SHOWN, VMX_CPU2_PAUSE_LOOP, "PAUSE-loop exiting", 0},
    {CPU2, GUEST, VMX_CPU2_INVPCID, "enable INVPCID", FEATURE_INVPCID},
    {CPU2, SHOWN, VMX_CPU2_VMFUNC, "enable VM functions", 0},
    {CPU2, SHOWN, VMX_CPU2_VMCS_SHADOWING, "VMCS shadowing", 0},
    {CPU2, GUEST, VMX_CPU2_ENCLS, "enable ENCLS exiting", FEATURE_SGX},
    {CPU2, SHOWN, VMX_CPU2_PML, "enable PML", 0},
    {CPU2, SHOWN, VMX_CPU2_EPT_VE, "EPT-violation #VE", 0},
    {CPU2, GUEST, VMX_CPU2_XSAVES, "enable XSAVES/XRSTORS", FEATURE_XSAVES},
    {CPU2, SHOWN, VMX_CPU2_MODE_EXECUTE, "mode-based execute control for EPT", 0},
    {CPU2, SHOWN, VMX_CPU2_TSC_SCALING, "use TSC scaling", 0},

    {EXIT, REQUIRED, VMX_EXIT_SAVE_DEBUG, "save debug controls", 0},
    {EXIT, REQUIRED, VMX_EXIT_HOST_64, "host address-space size", 0},
    {EXIT, REQUIRED, VMX_EXIT_SAVE_PAT, "save IA32_PAT", 0},
    {EXIT, REQUIRED, VMX_EXIT_LOAD_PAT, "load IA32_PAT on VM exit", 0},
    {EXIT, REQUIRED, VMX_EXIT_SAVE_EFER, "save IA32_EFER", 0},
    {EXIT, REQUIRED, VMX_EXIT_LOAD_EFER, "load IA32_EFER on VM exit", 0},

    {ENTRY, REQUIRED, VMX_ENTRY_LOAD_DEBUG, "load debug controls", 0},
    {ENTRY, ON_DEMAND, VMX_ENTRY_IA32E_GUEST, "IA-32e mode guest", 0},
    {ENTRY, REQUIRED, VMX_ENTRY_LOAD_PAT, "load IA32_PAT", 0},
    {ENTRY, REQUIRED, VMX_ENTRY_LOAD_EFER, "load IA32_EFER", 0},

    {EPT_VPID, REQUIRED, VMX_EPT_WALK_4, "EPT page-walk length of 4", 0},
    {EPT_VPID, REQUIRED, VMX_EPT_WB, "write-back EPT paging structures", 0},
    {EPT_VPID, REQUIRED, VMX_EPT_2M, "EPT 2-MByte pages", 0},
    {EPT_VPID, OPTIONAL, VMX_EPT_1G, "EPT 1-GByte pages", 0},
    {EPT_VPID, SHOWN, VMX_EPT_EXECUTE_ONLY, "EPT execute-only translations", 0},
    {EPT_VPID, SHOWN, VMX_EPT_ACCESSED_DIRTY, "accessed and dirty flags for EPT", 0},
    {EPT_VPID, REQUIRED, VMX_EPT_INVEPT, "INVEPT", 0},
    {EPT_VPID, REQUIRED, VMX_EPT_INVEPT_ALL, "all-context INVEPT", 0},
    {EPT_VPID, OPTIONAL, VMX_EPT_INVEPT_SINGLE, "single-context INVEPT", 0},
    {EPT_VPID, OPTIONAL, VMX_VPID_INVVPID, "INVVPID", 0},
    {EPT_VPID, OPTIONAL, VMX_VPID_INVVPID_ALL, "all-context INVVPID", 0},
    {EPT_VPID, OPTIONAL, VMX_VPID_INVVPID_SINGLE, "single-context INVVPID", 0},
};

static struct backend_feature features[ARRAY_SIZE(rows)];
static uint64_t possible[WORD_COUNT]; /* bits that may be 1 */
static uint32_t forced[WORD_COUNT];   /* bits that must be 1, of controls */
static char reason[160];

static bool refuse(const char **why_not, const char *name, const struct row *row)
{
    str_format(reason, sizeof(reason), "the CPU has no \"%s\" (MSR %xh, bit %u)", name,
               words[row->word].msr,
               (unsigned int)__builtin_ctzll(row->bit) + (row->word < CONTROL_WORDS ? 32 : 0));
    *why_not = reason;
    return false;
}

static void read_controls(enum word word, uint32_t msr)
{
    uint64_t value = rdmsr(msr);

    forced[word] = (uint32_t)value;
    possible[word] = value >> 32;
}

/* Each MSR may be read only where those before it say that it is there. */
static void read_words(void)
{
    bool true_ctls;

    possible[BASIC] = rdmsr(MSR_VMX_BASIC);
    true_ctls = possible[BASIC] & VMX_BASIC_TRUE_CTLS;
    read_controls(PIN, true_ctls ? MSR_VMX_TRUE_PINBASED_CTLS : MSR_VMX_PINBASED_CTLS);
    read_controls(CPU, true_ctls ? MSR_VMX_TRUE_PROCBASED_CTLS : MSR_VMX_PROCBASED_CTLS);
    read_controls(EXIT, true_ctls ? MSR_VMX_TRUE_EXIT_CTLS : MSR_VMX_EXIT_CTLS);
    read_controls(ENTRY, true_ctls ? MSR_VMX_TRUE_ENTRY_CTLS : MSR_VMX_ENTRY_CTLS);
    if (possible[CPU] & VMX_CPU_SECONDARY)
        read_controls(CPU2, MSR_VMX_PROCBASED_CTLS2);
    if (possible[CPU2] & (VMX_CPU2_EPT | VMX_CPU2_VPID))
        possible[EPT_VPID] = rdmsr(MSR_VMX_EPT_VPID_CAP);
}

static bool has(enum word word, uint64_t bit)
{
    return possible[word] & bit;
}

static bool is_required(const struct row *row)
{
    return row->need == REQUIRED || row->need == ON_DEMAND ||
           (row->need == GUEST && cpu_has(row->feature));
}

/* The rows into features[]; false when a required one is missing. */
static bool check_rows(const char **why_not)
{
    bool ok = true;

    for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
        features[i] = (struct backend_feature){rows[i].name, is_required(&rows[i]),
                                               has(rows[i].word, rows[i].bit)};
        if (ok && features[i].required && !features[i].present)
            ok = refuse(why_not, rows[i].name, &rows[i]);
    }
    return ok;
}

/* The control word that the rows ask for, with the reserved bits that are 1; false when others
 * cannot be 0. */
static bool make_controls(enum word word, uint32_t *controls, const char **why_not)
{
    uint32_t on = 0;

    for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].word == word && features[i].present &&
            (rows[i].need == OPTIONAL || is_required(&rows[i])) && rows[i].need != ON_DEMAND)
            on |= (uint32_t)rows[i].bit;
    if (forced[word] & ~(on | words[word].default1)) {
        str_format(reason, sizeof(reason),
                   "the CPU's %s controls 0x%x cannot be switched off (MSR %xh)", words[word].name,
                   forced[word] & ~(on | words[word].default1), words[word].msr);
        *why_not = reason;
        return false;
    }
    *controls = on | forced[word];
    return true;
}

/* CR8 belongs to what the CPU virtualizes. */
static bool can_lend_apic(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].need == APIC && !features[i].present)
            return false;
    return !(forced[CPU] & (VMX_CPU_CR8_LOAD | VMX_CPU_CR8_STORE));
}

static bool make_caps(const char **why_not)
{
    struct vmx_caps *caps = &vmx_caps;

    if (!make_controls(PIN, &caps->pin, why_not) || !make_controls(CPU, &caps->cpu, why_not) ||
        !make_controls(CPU2, &caps->cpu2, why_not) || !make_controls(EXIT, &caps->exit, why_not) ||
        !make_controls(ENTRY, &caps->entry, why_not))
        return false;
    caps->revision = VMX_BASIC_REVISION(possible[BASIC]);
    caps->timer_shift = VMX_MISC_TIMER_SHIFT(rdmsr(MSR_VMX_MISC));
    caps->invept_single = has(EPT_VPID, VMX_EPT_INVEPT_SINGLE);
    caps->invvpid_single = has(EPT_VPID, VMX_VPID_INVVPID_SINGLE);
    caps->vpid = has(CPU2, VMX_CPU2_VPID) && has(EPT_VPID, VMX_VPID_INVVPID) &&
                 has(EPT_VPID, VMX_VPID_INVVPID_ALL);
    if (!caps->vpid)
        caps->cpu2 &= ~(uint32_t)VMX_CPU2_VPID;
    vmx_apic.available = can_lend_apic();
    ept_format.has_1g = has(EPT_VPID, VMX_EPT_1G);
    return true;
}

int vmx_probe(const char **why_not)
{
    uint64_t control;

    if (!cpu_has(FEATURE_VMX)) {
        *why_not = "the CPU has no VMX (CPUID 1 ECX bit 5)";
        return -ENODEV;
    }
    control = rdmsr(MSR_FEATURE_CONTROL);
    if ((control & FEATURE_CONTROL_LOCK) && !(control & FEATURE_CONTROL_VMX)) {
        *why_not = "firmware has locked VMX off (MSR 3ah IA32_FEATURE_CONTROL bit 2)";
        return -ENODEV;
    }
    read_words();
    return check_rows(why_not) && make_caps(why_not) ? 0 : -ENODEV;
}

const struct backend_feature *vmx_feature(unsigned int index)
{
    return index < ARRAY_SIZE(features) ? &features[index] : NULL;
}
