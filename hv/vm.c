/* SPDX-License-Identifier: MIT */
/* VMs: making them, starting and stopping them, and what the main loop does for them.  The devices
 * of one are board.c's. */
#include "hv/vm.h"

#include "arch/x86/cpu.h"
#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
#include "boot/boot_info.h"
#include "hv/config.h"
#include "hv/cpu_work.h"
#include "hv/errno.h"
#include "hv/guest_mem.h"
#include "hv/layout.h"
#include "hv/load/load.h"
#include "hv/log.h"
#include "hv/board.h"
#include "hv/mem.h"
#include "hv/main.h"
#include "hv/printf.h"
#include "hv/loop.h"
#include "hv/string.h"
#include "hv/vcpu.h"
#include "hv/vm_memory.h"

#include <stdarg.h>

static struct config config;
static const struct boot_info *boot;
static struct vm *vms[VM_MAX];
static unsigned int count;
static bool ran_any;

/* ---- The table ------------------------------------------------------------------------------ */

unsigned int vm_count(void)
{
    return count;
}

struct vm *vm_by_index(unsigned int index)
{
    return index < count ? vms[index] : NULL;
}

struct vm *vm_find(const char *name)
{
    for (unsigned int i = 0; i < count; i++)
        if (strcmp(vm_name(vms[i]), name) == 0)
            return vms[i];
    return NULL;
}

const char *vm_name(const struct vm *vm)
{
    return vm->config->name;
}

const char *vm_state_name(const struct vm *vm)
{
    static const char *const names[] = {
        [VM_OFF] = "off", [VM_RUNNING] = "running", [VM_PAUSED] = "paused"};

    return names[vm->state];
}

bool vm_any_running(void)
{
    for (unsigned int i = 0; i < count; i++)
        if (vms[i]->state != VM_OFF || vms[i]->restarting)
            return true;
    return false;
}

const struct host_config *vm_host_config(void)
{
    return &config.host;
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

/* ---- Creating ------------------------------------------------------------------------------- */

static void destroy(struct vm *vm)
{
    board_destroy(vm);
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        vcpu_destroy(vm->vcpus[i]);
    if (vm->backend)
        backend->vm_destroy(vm);
    vm_memory_free(vm);
    mem_free(virt_to_phys(vm), mem_pages(sizeof(*vm)));
}

/* A home for each vCPU; -EBUSY with vm->ended saying how much of a CPU is free for its budget. */
static int admit(struct vm *vm)
{
    const struct guest_config *guest = vm->config;
    const struct sched_params params = {
        .weight = guest->weight,
        .cap = guest->cap,
        .period_ns = guest->period_us * 1000ull,
        .budget_ns = guest->budget_us * 1000ull,
        .cpus = guest->cpus,
    };

    for (unsigned int i = 0; i < vm->vcpu_count; i++) {
        uint32_t free_ppm = 0;
        int error = sched_entity_init(&vm->vcpus[i]->sched, &params);

        if (!error)
            error = loop_admit(vm->vcpus[i], &free_ppm);
        if (error) {
            str_format(vm->ended, sizeof(vm->ended), "vcpu %u: %u.%u%% of a cpu is free", i,
                       free_ppm / 10000, free_ppm / 1000 % 10);
            return error;
        }
    }
    return 0;
}

static int create_parts(struct vm *vm)
{
    int error = vm_memory_create(vm);

    if (!error)
        error = backend->vm_create(vm);
    for (unsigned int i = 0; !error && i < vm->config->vcpus; i++) {
        vm->vcpus[i] = vcpu_create(vm, i);
        if (vm->vcpus[i])
            vm->vcpu_count++;
        else
            error = -ENOMEM;
    }
    return error ? error : admit(vm);
}

/* On failure a null pointer, and in `why` what admit() says; empty: it was the memory. */
static struct vm *create(const struct guest_config *guest, char *why, size_t size)
{
    hpa_t page = mem_alloc(mem_pages(sizeof(struct vm)), PAGE_SIZE);
    struct vm *vm;

    if (!page.value)
        return NULL;
    vm = phys_to_virt(page);
    vm->id = count;
    vm->config = guest;
    if (create_parts(vm) != 0 || board_init(vm) != 0) {
        str_format(why, size, "%s", vm->ended);
        destroy(vm);
        return NULL;
    }
    timer_init(&vm->restart_timer, restart_fired);
    return vm;
}

static const struct boot_module *find_module(const char *name)
{
    for (unsigned int i = 0; i < boot->module_count; i++)
        if (strcmp(boot->modules[i].name, name) == 0)
            return &boot->modules[i];
    return NULL;
}

static bool has_file(void *ctx, const char *name)
{
    return find_module(name) != NULL;
}

static void config_error(void *ctx, const char *message)
{
    log_error("%s", message);
}

static void create_guest(struct guest_config *guest, const struct config_sink *sink)
{
    char why[64] = "";
    struct vm *vm = create(guest, why, sizeof(why));

    if (vm)
        vms[count++] = vm;
    else if (why[0])
        config_refuse(guest, guest->period_us ? "budget" : "cpus", sink,
                      "expected what the CPUs can give: %s", why);
    else
        config_refuse(guest, "memory", sink, "expected no more than is free: %llu KiB",
                      (unsigned long long)mem_free_pages() * 4);
}

void vm_create_all(const struct boot_info *info)
{
    const struct config_sink sink = {.error = config_error};
    const struct config_machine machine = {
        .cpu_count = cpu_count, .memory = mem_free_pages() << PAGE_SHIFT, .has_file = has_file};
    const struct boot_module *file;

    boot = info;
    file = find_module(CONFIG_FILE);
    if (!file) {
        log_error("%s: not found in \\mica\\: there are no guests", CONFIG_FILE);
        return;
    }
    config_parse(phys_to_virt(HPA(file->base)), file->size, &config, &sink);
    config_check(&config, &machine, &sink);
    console_configure(config.host.console == HOST_CONSOLE_COM1);
    log_set_level(config.host.log);
    for (unsigned int i = 0; i < config.guest_count; i++)
        if (!config.guests[i].bad)
            create_guest(&config.guests[i], &sink);
}

/* ---- Loading and starting ------------------------------------------------------------------- */

static int target_write(void *ctx, uint64_t gpa, const void *from, uint64_t size)
{
    return guest_mem_write(ctx, GPA(gpa), from, size);
}

static int target_zero(void *ctx, uint64_t gpa, uint64_t size)
{
    return guest_mem_zero(ctx, GPA(gpa), size);
}

static struct load_file file_of(const char *name)
{
    const struct boot_module *module = name[0] ? find_module(name) : NULL;

    if (!module)
        return (struct load_file){.name = name};
    return (struct load_file){name, phys_to_virt(HPA(module->base)), module->size};
}

static void set_flat_segments(struct vcpu *vcpu, const struct load_entry *entry)
{
    uint32_t size_bit = entry->mode == LOAD_LONG ? SEG_ATTR_L : SEG_ATTR_DB;
    struct segment code = {0, UINT32_MAX, 0x9b | SEG_ATTR_G | size_bit, entry->cs};
    struct segment data = {0, UINT32_MAX, 0x93 | SEG_ATTR_G | SEG_ATTR_DB, entry->ds};
    struct segment gdt = {entry->gdt_base, entry->gdt_limit, 0, 0};

    for (enum vcpu_seg seg = SEG_ES; seg <= SEG_GS; seg++)
        backend->set_seg(vcpu, seg, seg == SEG_CS ? &code : &data);
    backend->set_seg(vcpu, SEG_GDTR, &gdt);
}

/* The state that the boot protocol promises. */
static void set_entry(struct vcpu *vcpu, const struct load_entry *entry)
{
    bool long_mode = entry->mode == LOAD_LONG;

    set_flat_segments(vcpu, entry);
    backend->set_reg(vcpu, VCPU_CR3, entry->cr3);
    backend->set_reg(vcpu, VCPU_CR4, long_mode ? CR4_PAE : 0);
    backend->set_reg(vcpu, VCPU_EFER, long_mode ? EFER_LME | EFER_LMA : 0);
    backend->set_reg(vcpu, VCPU_CR0, CR0_PE | CR0_ET | (long_mode ? CR0_PG : 0));
    backend->set_reg(vcpu, VCPU_RSP, entry->rsp);
    vcpu->rip = entry->rip;
    vcpu->gprs.r[GPR_RAX] = entry->rax;
    vcpu->gprs.r[GPR_RBX] = entry->rbx;
    vcpu->gprs.r[GPR_RCX] = entry->rcx;
    vcpu->gprs.r[GPR_RDX] = 0;
    vcpu->gprs.r[GPR_RSI] = entry->rsi;
    vlapic_virtual_wire(&vcpu->lapic);
}

/* None of them runs or is loaded anywhere; the boot vCPU is the one that stays loaded here. */
static void reset_vcpus(struct vm *vm)
{
    uint64_t offset = 0 - rdtsc();

    for (unsigned int i = vm->vcpu_count; i-- > 0;) {
        struct vcpu *vcpu = vm->vcpus[i];

        vcpu_reset(vcpu, false);
        vcpu->requests = 0;
        vcpu->tsc_offset = offset; /* equal on all: guest TSCs start at 0 together */
        backend->set_tsc_offset(vcpu, offset);
        backend->flush_guest_tlb(vcpu);
    }
}

static int load(struct vm *vm, struct load_entry *entry, struct load_error *error)
{
    const struct load_target target = {.ctx = vm,
                                       .memory_size = vm->config->memory,
                                       .vcpus = vm->vcpu_count,
                                       .write = target_write,
                                       .zero = target_zero};
    const struct load_image image = {.kernel = file_of(vm->config->kernel),
                                     .initrd = file_of(vm->config->initrd),
                                     .cmdline = vm->config->cmdline};

    return load_kernel(&target, &image, entry, error);
}

static int boot_up(struct vm *vm)
{
    struct load_error error = {"?"};
    struct load_entry entry;
    int status;

    vm_memory_zero(vm);
    status = load(vm, &entry, &error);
    if (status) {
        str_format(vm->ended, sizeof(vm->ended), "%s", error.reason);
        log_error("guest %s: %s", vm_name(vm), error.reason);
        return status;
    }
    reset_vcpus(vm);
    vm->clock_stopped_ns = 0;
    board_reset(vm);
    set_entry(vm->vcpus[0], &entry);
    vcpu_unload(vm->vcpus[0]);
    vm->ran = ran_any = true;
    vm->ended[0] = 0;
    log_info("guest %s: %s, %s, %llu MiB", vm_name(vm), vm->config->kernel, entry.protocol,
             (unsigned long long)vm->config->memory >> 20);
    return 0;
}

static void set_running(struct vm *vm)
{
    vm->clock_base_ns = time_ns() - vm->clock_stopped_ns;
    vm->state = VM_RUNNING;
    board_resume(vm);
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        vcpu_request(vm->vcpus[i], VCPU_REQ_EVENT | VCPU_REQ_CLOCK);
}

/* On the boot CPU's main loop only: it waits for the VM's vCPUs on other CPUs. */
static void set_stopped(struct vm *vm, enum vm_state state)
{
    if (vm->state == VM_RUNNING)
        vm->stopped_tsc = rdtsc();
    vm->clock_stopped_ns = vm_now_ns(vm);
    vm->state = state;
    board_pause(vm);
    for (unsigned int i = 0; i < vm->vcpu_count; i++) {
        loop_hold(vm->vcpus[i]); /* it has left its CPU when this returns */
        loop_release(vm->vcpus[i]);
    }
}

static int refuse(const char **why, const char *reason)
{
    *why = reason;
    return -EINVAL;
}

int vm_start(struct vm *vm, const char **why)
{
    int error;

    if (vm->state != VM_OFF)
        return refuse(why, "it runs already");
    vm->restarting = false;
    loop_timer_cancel(&vm->restart_timer);
    error = boot_up(vm);
    if (error) {
        *why = vm->ended;
        loop_post(cpu_by_index(0), WORK_VM);
        return error;
    }
    set_running(vm);
    return 0;
}

void vm_start_all(void)
{
    const struct guest_config *first = config_console_guest(&config);
    const char *why;

    for (unsigned int i = 0; i < count; i++) {
        if (vms[i]->config == first)
            console_attach(&vms[i]->console);
        if (vms[i]->config->autostart)
            vm_start(vms[i], &why);
    }
    if (!console_attached())
        console_attach(NULL); /* the monitor shows its prompt */
    log_info("boot: guests run %llu tsc ticks after the banner",
             (unsigned long long)(rdtsc() - boot->banner_tsc));
    ran_any = true;
    loop_post(cpu_by_index(0), WORK_VM); /* with nothing to run everything is done */
}

/* ---- Ending --------------------------------------------------------------------------------- */

static void end(struct vm *vm, const char *line)
{
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

int vm_stop_command(struct vm *vm, const char **why)
{
    if (vm->state == VM_OFF)
        return refuse(why, "it does not run");
    end(vm, "stopped by command");
    return 0;
}

int vm_reset(struct vm *vm, const char **why)
{
    if (vm->state == VM_OFF)
        return refuse(why, "it does not run");
    set_stopped(vm, VM_OFF);
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

#define RESTART_FIRST_NS 1000000000ull
#define RESTART_LAST_NS  60000000000ull
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

static void do_reset(struct vm *vm)
{
    const char *why;

    if (vm->config->on_reboot == GUEST_STOP) {
        end(vm, "stopped at its reset");
        return;
    }
    log_info("guest %s: reset", vm_name(vm));
    vm_reset(vm, &why);
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
    const char *why;

    switch (due) {
    case DUE_NOTHING:
        return;
    case DUE_POWER_OFF:
        end(vm, "powered off");
        break;
    case DUE_EXIT:
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
        vm_start(vm, &why);
        break;
    }
    __atomic_store_n(&vm->due, DUE_NOTHING, __ATOMIC_RELEASE);
    /* Nobody runs while something is due: who was started by it could not be woken before. */
    for (unsigned int i = 0; vm->state == VM_RUNNING && i < vm->vcpu_count; i++)
        loop_wake(vm->vcpus[i]);
}

void vm_work(void)
{
    for (unsigned int i = 0; i < count; i++)
        do_due(vms[i]);
    if (ran_any && !vm_any_running() && config.host.when_done == WHEN_DONE_POWEROFF)
        hv_power_off();
}
