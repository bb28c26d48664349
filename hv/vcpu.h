/* SPDX-License-Identifier: MIT */
/*
 * A vCPU: its registers, its events, and the loop that runs it.  The backends' own structs contain
 * this one as a member.
 */
#pragma once

#include "arch/x86/fpu.h"
#include "hv/backend.h"
#include "hv/exit.h"
#include "hv/insn.h"
#include "hv/pv/pv_vcpu.h"
#include "hv/sched.h"
#include "hv/timer.h"
#include "hv/trace.h"
#include "hv/vdev/vlapic.h"

#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct msr_policy;
struct vm;

/* General-purpose registers by their encoding.  RSP's place is unused: it is VCPU_RSP. */
enum gpr {
    GPR_RAX,
    GPR_RCX,
    GPR_RDX,
    GPR_RBX,
    GPR_RSP,
    GPR_RBP,
    GPR_RSI,
    GPR_RDI,
    GPR_R8,
    GPR_R15 = 15,
    GPR_COUNT
};

struct gprs {
    uint64_t r[GPR_COUNT];
};

enum vcpu_state {
    VCPU_WAIT_SIPI, /* after INIT, not the boot CPU */
    VCPU_RUNNABLE,
    VCPU_HALTED,      /* HLT: until an interrupt, an NMI or a reset */
    VCPU_WAIT_MEMORY, /* for a page, whatever else comes: see vm_pages.h */
    VCPU_DEAD,        /* its VM has ended */
};

/* Requests from anywhere, taken by the run loop before an entry. */
#define VCPU_REQ_EVENT   0x1u /* look for an interrupt or NMI to deliver */
#define VCPU_REQ_LEAVE   0x2u /* leave the CPU: paused, stopped, or another is to run */
#define VCPU_REQ_RESET   0x4u /* the whole VM is to be reset */
#define VCPU_REQ_INIT    0x8u
#define VCPU_REQ_SIPI    0x10u
#define VCPU_REQ_TIMER   0x40u  /* the local APIC's timer is due */
#define VCPU_REQ_CLOCK   0x20u  /* tell the guest its clock anew */
#define VCPU_REQ_DEVICES 0x80u  /* its devices have work left */
#define VCPU_REQ_MEMORY  0x200u /* the page that it waits for is there */
#define VCPU_REQ_FLUSH   0x100u /* leave the short path: see vm_memory_flush() */

/* MSRs that are storage only, saved and restored with the vCPU. */
#define VCPU_MTRR_VARIABLE 8
struct vcpu_msrs {
    uint64_t misc_enable;
    uint64_t tsc_adjust;
    uint64_t tsc_aux;
    uint64_t bios_sign_id;
    uint64_t spec_ctrl;
    uint64_t mtrr_def_type;
    uint64_t mtrr_fixed[11];
    uint64_t mtrr_base[VCPU_MTRR_VARIABLE];
    uint64_t mtrr_mask[VCPU_MTRR_VARIABLE];
    uint64_t mcg_status;
    uint64_t hwcr;
};

/* What CPUID answered last, by a hash of the leaf: see emul_cpuid(). */
#define VCPU_CPUID_CACHE 16
struct cpuid_answer {
    uint32_t leaf, subleaf;
    uint32_t eax, ebx, ecx, edx;
} ALIGNED(32);

#define VCPU_RECENT_MSRS 16 /* a power of two */

/* (c) only on the CPU that runs it, or while it runs nowhere; (a) any CPU, atomically; (o) once */
struct vcpu {
    struct gprs gprs;  /* (c) */
    uint64_t rip;      /* (c) */
    struct vm *vm;     /* (o) */
    unsigned int id;   /* (o) also its APIC id */
    uint32_t trace_id; /* (o) TRACE_VCPU of it */
    union {
        struct {
            uint32_t requests; /* (a) VCPU_REQ_* */
            bool check_events; /* (c) an interrupt or NMI may be deliverable */
            bool flush_tlb;    /* (c) the backend does so at the next entry */
        };
        uint64_t attention; /* one look at all: 0, and there is nothing to do before an entry */
    };
    uint32_t nmi_pending; /* (a) 0, 1 or 2: two are kept, as the hardware does */
    uint8_t sipi_vector;  /* (a) */
    uint8_t state;        /* (c) enum vcpu_state */
    struct cpu *cpu;      /* (c) where it is loaded, or a null pointer */
    struct vm_exit exit;  /* (c) one that takes the short path, as far as its handler wants it */
    uint8_t code[16];     /* (c) what emul_mov() has read at RIP */
    uint8_t insn_len;     /* (c) of the instruction that exited, once decoded; 0: not yet */
    struct vm_event exception; /* (c) to be injected at the next entry */
    bool windows[2];           /* (c) those that were asked for last, by enum event_window */
    struct vm_event requeued;  /* (c) an interrupt or NMI whose delivery was interrupted */
    uint64_t tsc_offset;       /* (c) guest TSC = host TSC + offset */
    uint64_t dr[4];            /* (c) while not in the hardware */
    bool debug_used;          /* (c) the guest has touched the debug registers: they are switched */
    bool pause_exits;         /* (c) PAUSE is intercepted */
    bool fast;                /* (c) the backend's short path may be taken */
    struct fpu_state fpu;     /* (c) */
    struct vcpu_msrs msrs;    /* (c) */
    uint64_t kvm_system_time; /* (c) MSR_KVM_SYSTEM_TIME_NEW */
    uint32_t kvm_clock_version; /* (c) of the page that it names */
    struct pv_vcpu pv;
    struct vlapic lapic;
    struct timer lapic_timer;                     /* (c) */
    uint64_t lapic_deadline_ns;                   /* (c) what it is set to, on the guest's clock */
    uint64_t exits[EXIT_KIND_COUNT];              /* (c) */
    struct exit_time exit_times[EXIT_KIND_COUNT]; /* (c) while exit_times_are_on */
    uint64_t unknown_msrs;                        /* (c) accesses that were answered by #GP */
    uint64_t last_unknown_msr;                    /* (c) plus 1; 0: none */
    uint64_t msr_value;                           /* (c) what the local APIC's RDMSR reads */
    uint32_t recent_msrs[VCPU_RECENT_MSRS];       /* (c) emul_msr.c's, */
    const struct msr_policy *recent_policies[VCPU_RECENT_MSRS]; /* (c) what it does about them */
    struct cpuid_answer cpuid[VCPU_CPUID_CACHE];                /* (c) */
    struct sched_entity sched; /* under the queue lock of its home */
    uint64_t absent_gpa;       /* (a) of the page that it waits for, plus 1; 0: none */
    bool held;                 /* (a) it must not run: see loop_hold() */
};

/* ---- Life ----------------------------------------------------------------------------------- */

struct vcpu *vcpu_create(struct vm *vm, unsigned int id);
void vcpu_destroy(struct vcpu *vcpu);
/* The state after RESET, or (init) after INIT. */
void vcpu_reset(struct vcpu *vcpu, bool init);

/*
 * Make it this CPU's, in the place of the one that is.  Lazy: a vCPU stays loaded until another
 * takes its place or vcpu_unload() is called.
 */
void vcpu_load(struct vcpu *vcpu);
void vcpu_unload(struct vcpu *vcpu);

/* Run until it blocks, has to leave, or ends. */
void vcpu_run(struct vcpu *vcpu);

/* From any CPU: set request bits, and make it notice, running, halted or waiting. */
void vcpu_request(struct vcpu *vcpu, uint32_t bits);

/* ---- Events --------------------------------------------------------------------------------- */

void inject_exception(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error);
void inject_ud(struct vcpu *vcpu);
void inject_gp(struct vcpu *vcpu, uint32_t error);
void inject_db(struct vcpu *vcpu, uint64_t dr6_bits);
void inject_pf(struct vcpu *vcpu, uint64_t address, uint32_t error);

/* ---- For handlers --------------------------------------------------------------------------- */

/* EDX:EAX and back, as RDMSR and its kin have it. */
static inline uint64_t vcpu_edx_eax(const struct vcpu *vcpu)
{
    return (vcpu->gprs.r[GPR_RDX] << 32) | (uint32_t)vcpu->gprs.r[GPR_RAX];
}

static inline void vcpu_set_edx_eax(struct vcpu *vcpu, uint64_t value)
{
    vcpu->gprs.r[GPR_RAX] = (uint32_t)value;
    vcpu->gprs.r[GPR_RDX] = value >> 32;
}

uint64_t vcpu_read_gpr(const struct vcpu *vcpu, unsigned int gpr); /* RSP included */
void vcpu_write_gpr(struct vcpu *vcpu, unsigned int gpr, uint64_t value);
unsigned int vcpu_cpl(const struct vcpu *vcpu);
bool vcpu_is_long_mode(const struct vcpu *vcpu); /* EFER.LMA */
bool vcpu_is_64bit(const struct vcpu *vcpu);     /* LMA and CS.L */
uint64_t vcpu_guest_tsc(const struct vcpu *vcpu);
enum insn_mode vcpu_insn_mode(const struct vcpu *vcpu); /* the default sizes of the code segment */
void vcpu_use_debug_registers(struct vcpu *vcpu);       /* from now on they are switched with it */

/* Registers, bytes at RIP and a page walk to the log: what a crash prints. */
void vcpu_dump(struct vcpu *vcpu);
