/* SPDX-License-Identifier: MIT */
/* The life of a VM: starting, pausing, ending, and what the main loop does for it.  Which there
 * are, vm_table.c knows; the devices of one are board.c's. */
#include "hv/vm.h"

#include "arch/x86/cpu.h"
#include "arch/x86/tsc.h"
#include "hv/config.h"
#include "hv/cpu_work.h"
#include "hv/errno.h"
#include "hv/log.h"
#include "hv/board.h"
#include "hv/main.h"
#include "hv/printf.h"
#include "hv/pv/pv.h"
#include "hv/loop.h"
#include "hv/vcpu.h"
#include "hv/vm_boot.h"
#include "hv/vm_chore.h"
#include "hv/vm_pages.h"

#include <stdarg.h>

static bool ran_any;

/* ---- What there is to say about one --------------------------------------------------------- */

const char *vm_name(const struct vm *vm)
{
    return vm->config->name;
}

const char *vm_state_name(const struct vm *vm)
{
    static const char *const names[] = {[VM_OFF] = "off",
                                        [VM_RUNNING] = "running",
                                        [VM_PAUSED] = "paused",
                                        [VM_STARTING] = "starting",
                                        [VM_FREEING] = "freeing"};

    return names[vm->state];
}

bool vm_any_running(void)
{
    const struct vm *vm;

    for (unsigned int i = 0; (vm = vm_by_index(i)) != NULL; i++)
        if (vm->state != VM_FREEING && (vm->state != VM_OFF || vm->restarting))
            return true;
    return false;
}

/* ---- Time ----------------------------------------------------------------------------------- */

uint64_t vm_now_ns(const struct vm *vm)
{
    return vm->state == VM_RUNNING ? time_ns() - vm->clock_base_ns : vm->clock_stopped_ns;
}

uint64_t vm_ns_to_tsc(const struct vm *vm, uint64_t guest_ns)
{
    return tsc_info.boot + ns_to_tsc_after(vm->clock_base_ns + guest_ns);
}

/* ---- What is due -------------------------------------------------------------------------------
 */

/* The first that has something to say has it; the rest is the boot CPU's. */
static bool claim_due(struct vm *vm, enum vm_due due)
{
    uint8_t nothing = DUE_NOTHING;

    return __atomic_compare_exchange_n(&vm->due, &nothing, (uint8_t)due, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static void restart_fired(struct timer *timer)
{
    struct vm *vm = CONTAINER_OF(timer, struct vm, restart_timer);

    if (claim_due(vm, DUE_START))
        loop_post(cpu_by_index(0), WORK_VM);
}

void vm_init_restart(struct vm *vm)
{
    timer_init(&vm->restart_timer, restart_fired);
}

#define RESTART_FIRST_NS 1000000000ull
#define RESTART_LAST_NS  60000000000ull
#define RESET_SOON_NS    1000000000ull  /* after its start: then a reset is put off too */
#define RESTART_CALM_NS  60000000000ull /* who ran that long starts again from the first delay */

/* A guest that crashes over and over is started ever more seldom. */
static void restart_later(struct vm *vm)
{
    if (vm->clock_stopped_ns > RESTART_CALM_NS || !vm->restart_delay_ns)
        vm->restart_delay_ns = RESTART_FIRST_NS;
    log_info("guest %s: starts again in %llu s", vm_name(vm),
             (unsigned long long)vm->restart_delay_ns / 1000000000);
    vm->restarting = true;
    loop_timer_arm(&vm->restart_timer, rdtsc() + ns_to_tsc(vm->restart_delay_ns));
    vm->restart_delay_ns = MIN(2 * vm->restart_delay_ns, RESTART_LAST_NS);
}

/* ---- Starting ------------------------------------------------------------------------------- */

static void set_running(struct vm *vm)
{
    vm->clock_base_ns = tsc_to_ns(vm->clock_tsc - tsc_info.boot);
    vm->state = VM_RUNNING;
    board_resume(vm);
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        vcpu_request(vm->vcpus[i], VCPU_REQ_EVENT | VCPU_REQ_CLOCK);
}

/* On the boot CPU's main loop only: it waits for the VM's vCPUs on other CPUs. */
static void set_stopped(struct vm *vm, enum vm_state state)
{
    bool ran = vm->state == VM_RUNNING;

    vm->clock_stopped_ns = vm_now_ns(vm);
    vm->state = state;
    for (unsigned int i = 0; i < vm->vcpu_count; i++) {
        loop_hold(vm->vcpus[i]); /* it has left its CPU when this returns */
        loop_release(vm->vcpus[i]);
    }
    if (ran) { /* not before: they have read their clocks meanwhile */
        vm->stopped_tsc = rdtsc();
        vm->clock_stopped_ns = tsc_to_ns(vm->stopped_tsc - tsc_info.boot) - vm->clock_base_ns;
    }
    board_pause(vm); /* after them: one that saw it running may have set a timer since */
    if (state == VM_OFF) {
        board_off(vm);
        event_close_all(vm);
    }
}

static int refuse(const char **why, const char *reason)
{
    *why = reason;
    return -EINVAL;
}

static void start_failed(struct vm *vm, int error)
{
    vm->state = VM_OFF;
    if (error == -ENOMEM && vm->insists)
        restart_later(vm);
    loop_post(cpu_by_index(0), WORK_VM);
}

void vm_start_slice(struct vm *vm)
{
    int status = vm_boot_renew(vm);

    if (status > 0)
        return;
    vm_chore_remove(vm);
    if (status == 0)
        status = vm_boot_up(vm);
    if (status != 0) {
        start_failed(vm, status);
        return;
    }
    ran_any = true;
    vm->clock_tsc = rdtsc();
    set_running(vm);
}

static int start(struct vm *vm, bool insists, const char **why)
{
    if (vm->state != VM_OFF)
        return refuse(why, vm->state == VM_STARTING ? "it is starting" : "it runs already");
    vm->restarting = false;
    loop_timer_cancel(&vm->restart_timer);
    vm->insists = insists;
    vm->renewing = false;
    vm->state = VM_STARTING;
    vm_chore_add(vm);
    return vm->state == VM_OFF ? refuse(why, vm->ended) : 0;
}

int vm_start(struct vm *vm, const char **why)
{
    return start(vm, false, why);
}

void vm_start_all(void)
{
    struct vm *vm = vm_of_console();
    const char *why;

    console_attach(vm ? &vm->console : NULL); /* the monitor shows its prompt */
    for (unsigned int i = 0; (vm = vm_by_index(i)) != NULL; i++)
        if (vm->config->autostart)
            vm_start(vm, &why);
    ran_any = true;
    loop_post(cpu_by_index(0), WORK_VM); /* with nothing to run everything is done */
}

/* ---- Ending --------------------------------------------------------------------------------- */

static void end(struct vm *vm, const char *line)
{
    vm_chore_remove(vm);
    set_stopped(vm, VM_OFF);
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        vm->vcpus[i]->state = VCPU_DEAD;
    guest_console_flush(&vm->console);
    if (line != vm->ended)
        str_format(vm->ended, sizeof(vm->ended), "%s", line);
    log_info("guest %s: %s", vm_name(vm), vm->ended);
    if (console_attached() == &vm->console)
        console_attach(NULL);
    loop_post(cpu_by_index(0), WORK_VM);
}

static void leave_all(struct vm *vm)
{
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        vcpu_request(vm->vcpus[i], VCPU_REQ_LEAVE);
    loop_post(cpu_by_index(0), WORK_VM);
}

enum exit_action vm_stop(struct vm *vm, struct vcpu *vcpu, enum stop_reason reason,
                         const char *format, ...)
{
    va_list arguments;
    size_t length;

    if (!claim_due(vm, DUE_CRASH))
        return ACTION_STOP;
    length = str_format(vm->ended, sizeof(vm->ended), "stopped: ");
    va_start(arguments, format);
    str_vformat(vm->ended + length, sizeof(vm->ended) - length, format, arguments);
    va_end(arguments);
    log_error("guest %s: vcpu %u:", vm_name(vm), vcpu->id);
    vcpu_dump(vcpu);
    leave_all(vm);
    return ACTION_STOP;
}

int vm_pause(struct vm *vm, const char **why)
{
    if (vm->state != VM_RUNNING)
        return refuse(why, "it does not run");
    set_stopped(vm, VM_PAUSED);
    return 0;
}

/* A guest's TSC stands still with its other clocks, which would seem slow beside it. */
static void go_on_with_tsc(struct vm *vm)
{
    uint64_t stood = rdtsc() - vm->stopped_tsc;

    vm->clock_tsc += stood;
    for (unsigned int i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *vcpu = vm->vcpus[i];

        vcpu_load(vcpu);
        vcpu->tsc_offset -= stood;
        backend->set_tsc_offset(vcpu, vcpu->tsc_offset);
        vcpu_unload(vcpu); /* its home may be another CPU */
    }
}

int vm_resume(struct vm *vm, const char **why)
{
    if (vm->state != VM_PAUSED)
        return refuse(why, "it is not paused");
    go_on_with_tsc(vm);
    set_running(vm);
    return 0;
}

/* By command, of a VM none of whose vCPUs runs: what one of them had asked for before is void. */
static void forget_due(struct vm *vm)
{
    __atomic_store_n(&vm->due, DUE_NOTHING, __ATOMIC_RELEASE);
}

int vm_stop_command(struct vm *vm, const char **why)
{
    if (vm->state == VM_OFF)
        return refuse(why, "it does not run");
    end(vm, "stopped by command");
    forget_due(vm);
    return 0;
}

int vm_reset(struct vm *vm, const char **why)
{
    if (vm->state == VM_OFF)
        return refuse(why, "it does not run");
    if (vm->state == VM_STARTING)
        return 0;
    set_stopped(vm, VM_OFF);
    forget_due(vm);
    return vm_start(vm, why);
}

/* ---- What devices ask for, and the end of all ----------------------------------------------- */

void vm_set_due(struct vm *vm, enum vm_due due, uint32_t value)
{
    if (!claim_due(vm, due))
        return;
    vm->exit_value = value;
    leave_all(vm);
}

/* Whose memory has been given to others waits until it is back. */
static void start_again(struct vm *vm)
{
    const char *why;

    start(vm, true, &why);
}

static void do_reset(struct vm *vm)
{
    if (vm->config->on_reboot == GUEST_STOP) {
        end(vm, "stopped at its reset");
        return;
    }
    if (vm_now_ns(vm) < RESET_SOON_NS) { /* each costs the zeroing of its memory */
        end(vm, "reset right after its start");
        restart_later(vm);
        return;
    }
    log_info("guest %s: reset", vm_name(vm));
    set_stopped(vm, VM_OFF);
    start_again(vm);
}

static void do_crash(struct vm *vm)
{
    end(vm, vm->ended);
    if (vm->config->on_crash == GUEST_RESTART)
        restart_later(vm);
}

static void do_due(struct vm *vm)
{
    enum vm_due due = (enum vm_due)__atomic_load_n(&vm->due, __ATOMIC_ACQUIRE);
    char line[64];

    switch (due) {
    case DUE_NOTHING:
        return;
    case DUE_POWER_OFF:
        end(vm, "powered off");
        break;
    case DUE_EXIT:
        set_stopped(vm, VM_OFF); /* before, its vCPU may not have got as far as to note the value */
        str_format(line, sizeof(line), "exited with %u", vm->exit_value);
        end(vm, line);
        break;
    case DUE_RESET:
        do_reset(vm);
        break;
    case DUE_CRASH:
        do_crash(vm);
        break;
    case DUE_START:
        start_again(vm);
        break;
    }
    __atomic_store_n(&vm->due, DUE_NOTHING, __ATOMIC_RELEASE);
    /* Nobody runs while something is due: who was started by it could not be woken before. */
    for (unsigned int i = 0; vm->state == VM_RUNNING && i < vm->vcpu_count; i++)
        loop_wake(vm->vcpus[i]);
}

void vm_work(void)
{
    struct vm *vm;

    for (unsigned int i = 0; (vm = vm_by_index(i)) != NULL; i++) {
        do_due(vm);
        vm_pages_work(vm);
    }
    if (ran_any && !vm_any_running() && vm_host_config()->when_done == WHEN_DONE_POWEROFF)
        hv_power_off();
}
