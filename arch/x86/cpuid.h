/* SPDX-License-Identifier: MIT */
/*
 * CPUID: the instruction, the host's features as a table, and a snapshot of them taken once.  What
 * a guest is shown is not decided here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r;
    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf)
                     : "memory");
    return r;
}

static inline uint32_t cpuid_reg(const struct cpuid_regs *regs, enum cpuid_reg reg)
{
    const uint32_t words[] = {regs->eax, regs->ebx, regs->ecx, regs->edx};
    return words[reg & 3];
}

/* X(NAME, leaf, subleaf, register, bit, "name as Linux prints it"), in the manuals' order. */
#define CPU_FEATURES(X)                                           \
    X(SSE3, 0x1, 0, ECX, 0, "pni")                                \
    X(PCLMULQDQ, 0x1, 0, ECX, 1, "pclmulqdq")                     \
    X(DTES64, 0x1, 0, ECX, 2, "dtes64")                           \
    X(MONITOR, 0x1, 0, ECX, 3, "monitor")                         \
    X(DS_CPL, 0x1, 0, ECX, 4, "ds_cpl")                           \
    X(VMX, 0x1, 0, ECX, 5, "vmx")                                 \
    X(SMX, 0x1, 0, ECX, 6, "smx")                                 \
    X(EIST, 0x1, 0, ECX, 7, "est")                                \
    X(TM2, 0x1, 0, ECX, 8, "tm2")                                 \
    X(SSSE3, 0x1, 0, ECX, 9, "ssse3")                             \
    X(SDBG, 0x1, 0, ECX, 11, "sdbg")                              \
    X(FMA, 0x1, 0, ECX, 12, "fma")                                \
    X(CX16, 0x1, 0, ECX, 13, "cx16")                              \
    X(XTPR, 0x1, 0, ECX, 14, "xtpr")                              \
    X(PDCM, 0x1, 0, ECX, 15, "pdcm")                              \
    X(PCID, 0x1, 0, ECX, 17, "pcid")                              \
    X(DCA, 0x1, 0, ECX, 18, "dca")                                \
    X(SSE4_1, 0x1, 0, ECX, 19, "sse4_1")                          \
    X(SSE4_2, 0x1, 0, ECX, 20, "sse4_2")                          \
    X(X2APIC, 0x1, 0, ECX, 21, "x2apic")                          \
    X(MOVBE, 0x1, 0, ECX, 22, "movbe")                            \
    X(POPCNT, 0x1, 0, ECX, 23, "popcnt")                          \
    X(TSC_DEADLINE, 0x1, 0, ECX, 24, "tsc_deadline_timer")        \
    X(AES, 0x1, 0, ECX, 25, "aes")                                \
    X(XSAVE, 0x1, 0, ECX, 26, "xsave")                            \
    X(AVX, 0x1, 0, ECX, 28, "avx")                                \
    X(F16C, 0x1, 0, ECX, 29, "f16c")                              \
    X(RDRAND, 0x1, 0, ECX, 30, "rdrand")                          \
    X(HYPERVISOR, 0x1, 0, ECX, 31, "hypervisor")                  \
    X(FPU, 0x1, 0, EDX, 0, "fpu")                                 \
    X(VME, 0x1, 0, EDX, 1, "vme")                                 \
    X(DE, 0x1, 0, EDX, 2, "de")                                   \
    X(PSE, 0x1, 0, EDX, 3, "pse")                                 \
    X(TSC, 0x1, 0, EDX, 4, "tsc")                                 \
    X(MSR, 0x1, 0, EDX, 5, "msr")                                 \
    X(PAE, 0x1, 0, EDX, 6, "pae")                                 \
    X(MCE, 0x1, 0, EDX, 7, "mce")                                 \
    X(CX8, 0x1, 0, EDX, 8, "cx8")                                 \
    X(APIC, 0x1, 0, EDX, 9, "apic")                               \
    X(SEP, 0x1, 0, EDX, 11, "sep")                                \
    X(MTRR, 0x1, 0, EDX, 12, "mtrr")                              \
    X(PGE, 0x1, 0, EDX, 13, "pge")                                \
    X(MCA, 0x1, 0, EDX, 14, "mca")                                \
    X(CMOV, 0x1, 0, EDX, 15, "cmov")                              \
    X(PAT, 0x1, 0, EDX, 16, "pat")                                \
    X(PSE36, 0x1, 0, EDX, 17, "pse36")                            \
    X(CLFLUSH, 0x1, 0, EDX, 19, "clflush")                        \
    X(DS, 0x1, 0, EDX, 21, "dts")                                 \
    X(MMX, 0x1, 0, EDX, 23, "mmx")                                \
    X(FXSR, 0x1, 0, EDX, 24, "fxsr")                              \
    X(SSE, 0x1, 0, EDX, 25, "sse")                                \
    X(SSE2, 0x1, 0, EDX, 26, "sse2")                              \
    X(HTT, 0x1, 0, EDX, 28, "ht")                                 \
    X(ARAT, 0x6, 0, EAX, 2, "arat")                               \
    X(FSGSBASE, 0x7, 0, EBX, 0, "fsgsbase")                       \
    X(TSC_ADJUST, 0x7, 0, EBX, 1, "tsc_adjust")                   \
    X(SGX, 0x7, 0, EBX, 2, "sgx")                                 \
    X(BMI1, 0x7, 0, EBX, 3, "bmi1")                               \
    X(HLE, 0x7, 0, EBX, 4, "hle")                                 \
    X(AVX2, 0x7, 0, EBX, 5, "avx2")                               \
    X(SMEP, 0x7, 0, EBX, 7, "smep")                               \
    X(BMI2, 0x7, 0, EBX, 8, "bmi2")                               \
    X(ERMS, 0x7, 0, EBX, 9, "erms")                               \
    X(INVPCID, 0x7, 0, EBX, 10, "invpcid")                        \
    X(RTM, 0x7, 0, EBX, 11, "rtm")                                \
    X(MPX, 0x7, 0, EBX, 14, "mpx")                                \
    X(AVX512F, 0x7, 0, EBX, 16, "avx512f")                        \
    X(RDSEED, 0x7, 0, EBX, 18, "rdseed")                          \
    X(ADX, 0x7, 0, EBX, 19, "adx")                                \
    X(SMAP, 0x7, 0, EBX, 20, "smap")                              \
    X(CLFLUSHOPT, 0x7, 0, EBX, 23, "clflushopt")                  \
    X(CLWB, 0x7, 0, EBX, 24, "clwb")                              \
    X(INTEL_PT, 0x7, 0, EBX, 25, "intel_pt")                      \
    X(SHA, 0x7, 0, EBX, 29, "sha_ni")                             \
    X(UMIP, 0x7, 0, ECX, 2, "umip")                               \
    X(PKU, 0x7, 0, ECX, 3, "pku")                                 \
    X(WAITPKG, 0x7, 0, ECX, 5, "waitpkg")                         \
    X(CET_SS, 0x7, 0, ECX, 7, "shstk")                            \
    X(LA57, 0x7, 0, ECX, 16, "la57")                              \
    X(RDPID, 0x7, 0, ECX, 22, "rdpid")                            \
    X(PKS, 0x7, 0, ECX, 31, "pks")                                \
    X(FSRM, 0x7, 0, EDX, 4, "fsrm")                               \
    X(MD_CLEAR, 0x7, 0, EDX, 10, "md_clear")                      \
    X(CET_IBT, 0x7, 0, EDX, 20, "ibt")                            \
    X(AMX_TILE, 0x7, 0, EDX, 24, "amx_tile")                      \
    X(SPEC_CTRL, 0x7, 0, EDX, 26, "spec_ctrl")                    \
    X(STIBP, 0x7, 0, EDX, 27, "intel_stibp")                      \
    X(L1D_FLUSH, 0x7, 0, EDX, 28, "flush_l1d")                    \
    X(ARCH_CAPABILITIES, 0x7, 0, EDX, 29, "arch_capabilities")    \
    X(SSBD, 0x7, 0, EDX, 31, "ssbd")                              \
    X(BHI_CTRL, 0x7, 2, EDX, 4, "bhi_ctrl")                       \
    X(XSAVEOPT, 0xd, 1, EAX, 0, "xsaveopt")                       \
    X(XSAVEC, 0xd, 1, EAX, 1, "xsavec")                           \
    X(XGETBV1, 0xd, 1, EAX, 2, "xgetbv1")                         \
    X(XSAVES, 0xd, 1, EAX, 3, "xsaves")                           \
    X(XFD, 0xd, 1, EAX, 4, "xfd")                                 \
    X(LAHF_LM, 0x80000001, 0, ECX, 0, "lahf_lm")                  \
    X(CMP_LEGACY, 0x80000001, 0, ECX, 1, "cmp_legacy")            \
    X(SVM, 0x80000001, 0, ECX, 2, "svm")                          \
    X(EXTAPIC, 0x80000001, 0, ECX, 3, "extapic")                  \
    X(CR8_LEGACY, 0x80000001, 0, ECX, 4, "cr8_legacy")            \
    X(LZCNT, 0x80000001, 0, ECX, 5, "abm")                        \
    X(SSE4A, 0x80000001, 0, ECX, 6, "sse4a")                      \
    X(OSVW, 0x80000001, 0, ECX, 9, "osvw")                        \
    X(IBS, 0x80000001, 0, ECX, 10, "ibs")                         \
    X(XOP, 0x80000001, 0, ECX, 11, "xop")                         \
    X(SKINIT, 0x80000001, 0, ECX, 12, "skinit")                   \
    X(LWP, 0x80000001, 0, ECX, 15, "lwp")                         \
    X(FMA4, 0x80000001, 0, ECX, 16, "fma4")                       \
    X(TOPOEXT, 0x80000001, 0, ECX, 22, "topoext")                 \
    X(PERFCTR_CORE, 0x80000001, 0, ECX, 23, "perfctr_core")       \
    X(MONITORX, 0x80000001, 0, ECX, 29, "mwaitx")                 \
    X(SYSCALL, 0x80000001, 0, EDX, 11, "syscall")                 \
    X(NX, 0x80000001, 0, EDX, 20, "nx")                           \
    X(FXSR_OPT, 0x80000001, 0, EDX, 25, "fxsr_opt")               \
    X(PAGE_1G, 0x80000001, 0, EDX, 26, "pdpe1gb")                 \
    X(RDTSCP, 0x80000001, 0, EDX, 27, "rdtscp")                   \
    X(LONG_MODE, 0x80000001, 0, EDX, 29, "lm")                    \
    X(INVARIANT_TSC, 0x80000007, 0, EDX, 8, "invariant_tsc")      \
    X(XSAVEERPTR, 0x80000008, 0, EBX, 2, "xsaveerptr")            \
    X(AMD_IBPB, 0x80000008, 0, EBX, 12, "ibpb")                   \
    X(AMD_IBRS, 0x80000008, 0, EBX, 14, "ibrs")                   \
    X(AMD_STIBP, 0x80000008, 0, EBX, 15, "stibp")                 \
    X(AMD_SSBD, 0x80000008, 0, EBX, 24, "amd_ssbd")               \
    X(VIRT_SSBD, 0x80000008, 0, EBX, 25, "virt_ssbd")             \
    X(IBPB_RET, 0x80000008, 0, EBX, 30, "ibpb_ret")               \
    X(SVM_NPT, 0x8000000a, 0, EDX, 0, "npt")                      \
    X(SVM_LBRV, 0x8000000a, 0, EDX, 1, "lbrv")                    \
    X(SVM_LOCK, 0x8000000a, 0, EDX, 2, "svm_lock")                \
    X(SVM_NRIPS, 0x8000000a, 0, EDX, 3, "nrip_save")              \
    X(SVM_TSC_RATE, 0x8000000a, 0, EDX, 4, "tsc_scale")           \
    X(SVM_VMCB_CLEAN, 0x8000000a, 0, EDX, 5, "vmcb_clean")        \
    X(SVM_FLUSH_ASID, 0x8000000a, 0, EDX, 6, "flushbyasid")       \
    X(SVM_DECODE_ASSISTS, 0x8000000a, 0, EDX, 7, "decodeassists") \
    X(SVM_PAUSE_FILTER, 0x8000000a, 0, EDX, 10, "pausefilter")    \
    X(SVM_PAUSE_THRESHOLD, 0x8000000a, 0, EDX, 12, "pfthreshold") \
    X(SVM_AVIC, 0x8000000a, 0, EDX, 13, "avic")                   \
    X(SVM_VMSAVE_VIRT, 0x8000000a, 0, EDX, 15, "v_vmsave_vmload") \
    X(SVM_VGIF, 0x8000000a, 0, EDX, 16, "vgif")                   \
    X(SVM_GMET, 0x8000000a, 0, EDX, 17, "gmet")                   \
    X(SVM_X2AVIC, 0x8000000a, 0, EDX, 18, "x2avic")               \
    X(SVM_SPEC_CTRL, 0x8000000a, 0, EDX, 20, "v_spec_ctrl")       \
    X(SVM_VNMI, 0x8000000a, 0, EDX, 25, "vnmi")                   \
    X(SVM_ADDRESS_CHECK, 0x8000000a, 0, EDX, 28, "svme_addr_chk") \
    X(VERW_CLEAR, 0x80000021, 0, EAX, 5, "verw_clear")            \
    X(AUTO_IBRS, 0x80000021, 0, EAX, 8, "autoibrs")               \
    X(SRSO_NO, 0x80000021, 0, EAX, 29, "srso_no")                 \
    X(TSA_SQ_NO, 0x80000021, 0, ECX, 1, "tsa_sq_no")              \
    X(TSA_L1_NO, 0x80000021, 0, ECX, 2, "tsa_l1_no")

enum cpu_feature {
#define CPU_FEATURE_ENUM(name, leaf, subleaf, reg, bit, text) FEATURE_##name,
    CPU_FEATURES(CPU_FEATURE_ENUM)
#undef CPU_FEATURE_ENUM
        FEATURE_COUNT
};

struct cpu_feature_bit {
    uint32_t leaf, subleaf;
    enum cpuid_reg reg;
    uint8_t bit;
    const char *name;
};

enum cpu_vendor { VENDOR_OTHER, VENDOR_INTEL, VENDOR_AMD };

/* What the host's CPUID says, once.  Filled by cpuid_init() on the boot CPU, read-only after. */
struct host_cpuid {
    enum cpu_vendor vendor; /* AMD's compatibles count as AMD */
    char vendor_name[13];
    char brand[49];
    uint32_t family, model, stepping;
    uint32_t max_leaf, max_extended_leaf;
    uint32_t physical_bits, linear_bits;
    bool has[FEATURE_COUNT];
};

extern struct host_cpuid host_cpuid;
extern const struct cpu_feature_bit cpu_feature_bits[FEATURE_COUNT];

void cpuid_init(void);

static inline bool cpu_has(enum cpu_feature feature)
{
    return host_cpuid.has[feature];
}

/* True if this CPU has every feature that the snapshot has; else *missing is the first that it
 * lacks. */
bool cpuid_matches_host(enum cpu_feature *missing);
/* Bytes of an XSAVE area for these components, in the standard or in the compacted format. */
uint32_t cpuid_xsave_size(uint64_t components, bool compacted);
