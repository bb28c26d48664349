/* SPDX-License-Identifier: MIT */
/* The dispatch of exits: one line a kind.  What is done about each stands in emul_*.c. */
#include "hv/exit.h"

#include "hv/emul.h"
#include "hv/loop.h"
#include "hv/panic.h"
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

static enum exit_action open_window(struct vcpu *vcpu)
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

static COLD enum exit_action hidden_instruction(struct vcpu *vcpu)
{
    inject_ud(vcpu);
    return ACTION_RESUME;
}

static COLD enum exit_action rdpmc(struct vcpu *vcpu)
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

static COLD enum exit_action stop_triple_fault(struct vcpu *vcpu)
{
    return vm_stop(vcpu->vm, vcpu, STOP_TRIPLE_FAULT, "triple fault at 0x%llx",
                   (unsigned long long)vcpu->rip);
}

static COLD enum exit_action stop_task_switch(struct vcpu *vcpu)
{
    return vm_stop(vcpu->vm, vcpu, STOP_TASK_SWITCH, "task switch at 0x%llx is not supported",
                   (unsigned long long)vcpu->rip);
}

enum exit_action exit_dispatch(struct vcpu *vcpu, const struct vm_exit *exit)
{
    switch ((enum exit_kind)exit->kind) { /* no default, so that -Wswitch names a forgotten kind */
    case EXIT_HOST_EVENT:                 /* taken already, see vcpu_run() */
    case EXIT_HOST_NMI:
    case EXIT_INIT:
    case EXIT_TIMER:
        return ACTION_RESUME;
    case EXIT_INTR_WINDOW:
    case EXIT_NMI_WINDOW:
        return open_window(vcpu);
    case EXIT_EXCEPTION:
        return emul_exception(vcpu, exit);
    case EXIT_CPUID:
        return emul_cpuid(vcpu);
    case EXIT_HLT:
        return ACTION_BLOCK;
    case EXIT_PAUSE:
        loop_yield(vcpu);
        return ACTION_ADVANCE;
    case EXIT_HYPERCALL:
        return emul_hypercall(vcpu);
    case EXIT_RDMSR:
        return emul_rdmsr(vcpu);
    case EXIT_WRMSR:
        return emul_wrmsr(vcpu);
    case EXIT_IO:
        return emul_io(vcpu, exit);
    case EXIT_MEM:
        return emul_mem(vcpu, exit);
    case EXIT_CR:
        return emul_cr(vcpu, exit);
    case EXIT_DR:
        return emul_dr(vcpu);
    case EXIT_XSETBV:
        return emul_xsetbv(vcpu);
    case EXIT_CACHE:
        return ACTION_ADVANCE; /* memory is coherent, and no guest may empty the caches of others */
    case EXIT_RDPMC:
        return rdpmc(vcpu);
    case EXIT_HIDDEN:
        return hidden_instruction(vcpu);
    case EXIT_APIC_WRITE:
        return apic_written(vcpu, exit);
    case EXIT_APIC_EOI:
        vlapic_eoi_seen(&vcpu->lapic, exit->apic.vector);
        return ACTION_RESUME;
    case EXIT_TASK_SWITCH:
        return stop_task_switch(vcpu);
    case EXIT_TRIPLE_FAULT:
        return stop_triple_fault(vcpu);
    case EXIT_ENTRY_FAILED:
        return stop_entry_failed(vcpu, exit);
    case EXIT_UNKNOWN:
    case EXIT_KIND_COUNT:
        return stop_unknown(vcpu, exit);
    }
    panic("exit kind %u", exit->kind);
}
