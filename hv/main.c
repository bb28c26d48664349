/* SPDX-License-Identifier: MIT */
/* Start-up as a list, and the ends of the machine. */
#include "hv/main.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpu_list.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/fpu.h"
#include "arch/x86/lapic.h"
#include "arch/x86/paging.h"
#include "arch/x86/smp.h"
#include "arch/x86/tsc.h"
#include "boot/boot_info.h"
#include "drivers/acpi.h"
#include "drivers/power.h"
#include "drivers/rtc.h"
#include "hv/backend.h"
#include "hv/board.h"
#include "hv/console.h"
#include "hv/console_mirror.h"
#include "hv/entropy.h"
#include "hv/exit.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/mem.h"
#include "hv/module.h"
#include "hv/monitor/monitor.h"
#include "hv/panic.h"
#include "hv/panic_hooks.h"
#include "hv/loop.h"
#include "hv/string.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

void hv_main(const struct boot_info *info);

/* ---- Leaving -------------------------------------------------------------------------------- */

/* INIT is blocked in VMX root mode, and a reset may come as one: off before everything. */
static void leave_virtualization(struct cpu *cpu)
{
    if (cpu->vcpu)
        vcpu_unload(cpu->vcpu);
    if (cpu->backend)
        backend->cpu_disable(cpu);
    cpu->backend = NULL;
}

static void leave(void)
{
    smp_stop_others(leave_virtualization);
    leave_virtualization(this_cpu());
    console_flush();
}

NORETURN void hv_power_off(void)
{
    log_info("power off");
    leave();
    power_machine_off();
    log_error("power: the machine does not go off: halted");
    console_flush();
    for (;;)
        cpu_halt();
}

NORETURN void hv_reboot(void)
{
    log_info("reboot");
    leave();
    power_machine_reboot();
}

/* What only the hypervisor finds: its reason stands in the log, then off. */
static NORETURN void refuse(const char *why)
{
    log_error("cannot go on: %s", why);
    hv_power_off();
}

/* ---- Panic ---------------------------------------------------------------------------------- */

static void dump_guest(struct vcpu *vcpu)
{
    backend->dump(vcpu);
}

static const char *panic_exit_name(uint32_t kind)
{
    return exit_kind_name(kind);
}

static void init_panic(void)
{
    panic_set_output(console_panic_write);
    panic_set_stop_others(smp_stop_others_now);
    panic_set_guest_dump(dump_guest);
    panic_set_exit_names(panic_exit_name);
}

/* ---- Start-up ------------------------------------------------------------------------------- */

static void start_clock(void)
{
    if (!tsc_calibrate(acpi_pm_timer_port()))
        panic("tsc: no timer to measure it against");
    log_info("tsc: %llu kHz by %s%s", (unsigned long long)tsc_hz() / 1000, tsc_info.source,
             tsc_info.invariant ? "" : ", not invariant");
    rtc_init(acpi_info()->century);
    board_set_date(rtc_now());
}

static void start_virtualization(void)
{
    if (backend_select() != 0)
        refuse("the CPU has no usable virtualization");
    if (backend->cpu_enable(this_cpu()) != 0)
        refuse("virtualization cannot be switched on");
}

static bool queues_ready;

/* The other CPUs, each on its own stack. */
static void secondary_main(struct cpu *cpu)
{
    while (!__atomic_load_n(&queues_ready, __ATOMIC_ACQUIRE))
        cpu_relax();
    if (backend->cpu_enable(cpu) != 0)
        panic("virtualization cannot be switched on");
    loop_run(NULL);
}

static void start_other_cpus(const struct boot_info *info)
{
    struct cpu_list list;

    host_list_cpus(info, &list);
    smp_start(info, &list, secondary_main);
    for (unsigned int i = 0; i < cpu_count; i++)
        loop_init_cpu(cpu_by_index(i));
    __atomic_store_n(&queues_ready, true, __ATOMIC_RELEASE);
}

/* Between the pieces of a long zeroing. */
static void let_interrupts_in(void)
{
    cpu_take_interrupts();
}

/* From here on this CPU's own stack. */
static void main_on_own_stack(void *argument)
{
    const struct boot_info *info = argument;

    console_mirror_init(info);
    host_init(info);
    entropy_init(info);
    start_clock();
    log_info("cpu: %s, %s", host_cpuid.vendor_name, host_cpuid.brand);
    log_info("memory: %llu MiB, %llu free", (unsigned long long)mem_total_pages() >> 8,
             (unsigned long long)mem_free_pages() >> 8);
    fpu_init();
    mem_set_pause_hook(let_interrupts_in);
    start_virtualization();
    start_other_cpus(info);
    console_enable_interrupts();
    monitor_init();
    module_init(info);
    vm_create_all();
    vm_start_all();
    log_info("boot: guests run %llu tsc ticks after the banner",
             (unsigned long long)(rdtsc() - info->banner_tsc));
    loop_run(NULL);
}

void hv_main(const struct boot_info *info)
{
    panic_seed_stack_guard(rdtsc());
    cpu_init_early();
    console_init();
    init_panic();
    panic_init(info);
    log_info("mica: %u cpu%s, %u modules", info->cpu_count, info->cpu_count == 1 ? "" : "s",
             info->module_count);
    if (info->magic != BOOT_INFO_MAGIC || info->version != BOOT_INFO_VERSION)
        panic("boot_info is of version %u, expected %u", info->version, BOOT_INFO_VERSION);
    mem_init(info);
    paging_init(info);
    info = phys_to_virt(HPA((uint64_t)info));
    panic_init(info);
    lapic_init();
    cpu_init_boot();
    cpu_start_on_own_stack(main_on_own_stack, (void *)(uintptr_t)info);
}
