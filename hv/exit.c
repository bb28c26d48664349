/* SPDX-License-Identifier: MIT */
/* The handlers of exits: one line a kind.  What is done about each stands in emul_*.c. */
#include "hv/exit.h"

#include "hv/emul.h"
#include "hv/loop.h"
#include "hv/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

static const char *const names[EXIT_KIND_COUNT + 1] = {
    [EXIT_HOST_EVENT] = "host event",
    [EXIT_HOST_NMI] = "host nmi",
    [EXIT_INTR_WINDOW] = "interrupt window",
    [EXIT_NMI_WINDOW] = "nmi window",
    [EXIT_EXCEPTION] = "exception",
    [EXIT_CPUID] = "cpuid",
    [EXIT_HLT] = "hlt",
    [EXIT_PAUSE] = "pause",
    [EXIT_HYPERCALL] = "hypercall",
    [EXIT_RDMSR] = "rdmsr",
    [EXIT_WRMSR] = "wrmsr",
    [EXIT_IO] = "io",
    [EXIT_MEM] = "mmio",
    [EXIT_CR] = "control register",
    [EXIT_DR] = "debug register",
    [EXIT_XSETBV] = "xsetbv",
    [EXIT_CACHE] = "cache",
    [EXIT_RDPMC] = "rdpmc",
    [EXIT_HIDDEN] = "hidden instruction",
    [EXIT_APIC_WRITE] = "apic write",
    [EXIT_APIC_EOI] = "apic eoi",
    [EXIT_TIMER] = "preemption timer",
    [EXIT_TASK_SWITCH] = "task switch",
    [EXIT_TRIPLE_FAULT] = "triple fault",
    [EXIT_INIT] = "init",
    [EXIT_ENTRY_FAILED] = "entry failed",
    [EXIT_UNKNOWN] = "unknown",
    [TRACE_MARK] = "mark",
};

const char *exit_kind_name(unsigned int kind)
{
    return kind < ARRAY_SIZE(names) && names[kind] ? names[kind] : "?";
}

static enum exit_action nothing_to_do(struct vcpu *vcpu, const struct vm_exit *exit)
{
    return ACTION_RESUME;
}

/* Memory is coherent, and no guest may empty the caches of others. */
enum exit_action emul_cache(struct vcpu *vcpu, const struct vm_exit *exit)
{
    return ACTION_ADVANCE;
}

static enum exit_action halt(struct vcpu *vcpu, const struct vm_exit *exit)
{
    return ACTION_BLOCK;
}

static enum exit_action pause(struct vcpu *vcpu, const struct vm_exit *exit)
{
    loop_yield(vcpu);
    return ACTION_ADVANCE;
}

static enum exit_action open_window(struct vcpu *vcpu, const struct vm_exit *exit)
{
    vcpu->check_events = true;
    return ACTION_RESUME;
}

static COLD enum exit_action apic_written(struct vcpu *vcpu, const struct vm_exit *exit)
{
    vlapic_page_written(&vcpu->lapic, exit->apic.offset);
    vcpu->check_events = true;
    return ACTION_RESUME;
}

static COLD enum exit_action apic_eoi_seen(struct vcpu *vcpu, const struct vm_exit *exit)
{
    vlapic_eoi_seen(&vcpu->lapic, exit->apic.vector);
    return ACTION_RESUME;
}

static COLD enum exit_action hidden_instruction(struct vcpu *vcpu, const struct vm_exit *exit)
{
    inject_ud(vcpu);
    return ACTION_RESUME;
}

static COLD enum exit_action rdpmc(struct vcpu *vcpu, const struct vm_exit *exit)
{
    inject_gp(vcpu, 0); /* there is no performance-monitoring unit */
    return ACTION_RESUME;
}

static COLD enum exit_action stop_unknown(struct vcpu *vcpu, const struct vm_exit *exit)
{
    return vm_stop(vcpu->vm, vcpu, STOP_UNKNOWN_EXIT, "unknown exit 0x%llx at 0x%llx",
                   (unsigned long long)exit->raw.reason, (unsigned long long)vcpu->rip);
}

static COLD enum exit_action stop_entry_failed(struct vcpu *vcpu, const struct vm_exit *exit)
{
    backend->dump(vcpu);
    return vm_stop(vcpu->vm, vcpu, STOP_ENTRY_FAILED,
                   "the CPU refused its state (reason 0x%llx, 0x%llx) at 0x%llx",
                   (unsigned long long)exit->raw.reason, (unsigned long long)exit->raw.info1,
                   (unsigned long long)vcpu->rip);
}

static COLD enum exit_action stop_triple_fault(struct vcpu *vcpu, const struct vm_exit *exit)
{
    return vm_stop(vcpu->vm, vcpu, STOP_TRIPLE_FAULT, "triple fault at 0x%llx",
                   (unsigned long long)vcpu->rip);
}

static COLD enum exit_action stop_task_switch(struct vcpu *vcpu, const struct vm_exit *exit)
{
    return vm_stop(vcpu->vm, vcpu, STOP_TASK_SWITCH, "task switch at 0x%llx is not supported",
                   (unsigned long long)vcpu->rip);
}

exit_handler *const exit_handlers[EXIT_KIND_COUNT] = {
    [EXIT_HOST_EVENT] = nothing_to_do, /* taken already, see vcpu_run() */
    [EXIT_HOST_NMI] = nothing_to_do,
    [EXIT_INTR_WINDOW] = open_window,
    [EXIT_NMI_WINDOW] = open_window,
    [EXIT_EXCEPTION] = emul_exception,
    [EXIT_CPUID] = emul_cpuid,
    [EXIT_HLT] = halt,
    [EXIT_PAUSE] = pause,
    [EXIT_HYPERCALL] = emul_hypercall,
    [EXIT_RDMSR] = emul_rdmsr,
    [EXIT_WRMSR] = emul_wrmsr,
    [EXIT_IO] = emul_io,
    [EXIT_MEM] = emul_mem,
    [EXIT_CR] = emul_cr,
    [EXIT_DR] = emul_dr,
    [EXIT_XSETBV] = emul_xsetbv,
    [EXIT_CACHE] = emul_cache,
    [EXIT_RDPMC] = rdpmc,
    [EXIT_HIDDEN] = hidden_instruction,
    [EXIT_APIC_WRITE] = apic_written,
    [EXIT_APIC_EOI] = apic_eoi_seen,
    [EXIT_TIMER] = nothing_to_do,
    [EXIT_TASK_SWITCH] = stop_task_switch,
    [EXIT_TRIPLE_FAULT] = stop_triple_fault,
    [EXIT_INIT] = nothing_to_do,
    [EXIT_ENTRY_FAILED] = stop_entry_failed,
    [EXIT_UNKNOWN] = stop_unknown,
};
