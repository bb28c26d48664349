/* SPDX-License-Identifier: MIT */
/* Which VMs there are: those that mica.conf describes, made at boot or by command, and destroyed.
 * Their lives in between are vm.c's. */
#include "hv/vm.h"

#include "arch/x86/cpu.h"
#include "arch/x86/paging.h"
#include "arch/x86/speculation.h"
#include "boot/boot_info.h"
#include "hv/apic_assist.h"
#include "hv/backend.h"
#include "hv/board.h"
#include "hv/config.h"
#include "hv/errno.h"
#include "hv/log.h"
#include "hv/loop.h"
#include "hv/mem.h"
#include "hv/module.h"
#include "hv/pair.h"
#include "hv/printf.h"
#include "hv/string.h"
#include "hv/vcpu.h"
#include "hv/vm_chore.h"
#include "hv/vm_memory.h"
#include "hv/vm_pages.h"

static struct config config;
static struct vm *vms[VM_MAX]; /* in the order in which they were made */
static unsigned int count;
static uint32_t made; /* how many, ever */

STATIC_ASSERT(CONFIG_MAX_GUESTS <= VM_MAX, "every guest of the configuration fits the table");

/* ---- The table ------------------------------------------------------------------------------ */

unsigned int vm_count(void)
{
    return count;
}

struct vm *vm_by_index(unsigned int index)
{
    return index < count ? vms[index] : NULL;
}

struct vm *vm_by_id(unsigned int id)
{
    for (unsigned int i = 0; i < count; i++)
        if (vms[i]->id == id)
            return vms[i];
    return NULL;
}

struct vm *vm_find(const char *name)
{
    for (unsigned int i = 0; i < count; i++)
        if (strcmp(vm_name(vms[i]), name) == 0)
            return vms[i];
    return NULL;
}

static unsigned int free_id(void)
{
    unsigned int id = 0;

    while (vm_by_id(id))
        id++;
    return id;
}

static void remove(const struct vm *vm)
{
    unsigned int i = 0;

    while (vms[i] != vm)
        i++;
    for (count--; i < count; i++)
        vms[i] = vms[i + 1];
}

/* ---- What mica.conf says -------------------------------------------------------------------- */

const struct host_config *vm_host_config(void)
{
    return &config.host;
}

struct vm *vm_of_console(void)
{
    const struct guest_config *guest = config_console_guest(&config);

    return guest ? vm_find(guest->name) : NULL;
}

const char *vm_absent_name(unsigned int n)
{
    for (unsigned int i = 0; i < config.guest_count; i++)
        if (!vm_find(config.guests[i].name) && n-- == 0)
            return config.guests[i].name;
    return NULL;
}

static struct guest_config *find_guest(const char *name)
{
    for (unsigned int i = 0; i < config.guest_count; i++)
        if (strcmp(config.guests[i].name, name) == 0)
            return &config.guests[i];
    return NULL;
}

static bool has_file(void *ctx, const char *name)
{
    return module_find(name) != NULL;
}

static uint64_t file_size(void *ctx, const char *name)
{
    return module_find(name)->size;
}

static void config_error(void *ctx, const char *message)
{
    log_error("%s", message);
}

/* ---- Making one ----------------------------------------------------------------------------- */

/* Why a VM cannot be: the key of its configuration that asks for too much, and the rest. */
struct refusal {
    const char *key;
    char text[96];
};

static void refuse_memory(struct refusal *why)
{
    why->key = "memory";
    str_format(why->text, sizeof(why->text), "expected no more than is free: %llu KiB",
               (unsigned long long)mem_free_pages() * 4);
}

static int refuse_home(struct refusal *why, const struct vcpu *vcpu, uint32_t free_ppm)
{
    why->key = vcpu->vm->config->period_us ? "budget" : "cpus";
    str_format(why->text, sizeof(why->text),
               "expected what the CPUs can give: vcpu %u: %u.%u%% of a cpu is free", vcpu->id,
               free_ppm / 10000, free_ppm / 1000 % 10);
    return -EBUSY;
}

/* A home for each vCPU. */
static int admit(struct vm *vm, struct refusal *why)
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

        if (sched_entity_init(&vm->vcpus[i]->sched, &params) != 0 ||
            loop_admit(vm->vcpus[i], &free_ppm) != 0)
            return refuse_home(why, vm->vcpus[i], free_ppm);
    }
    return 0;
}

static int create_parts(struct vm *vm, struct refusal *why)
{
    int error = vm_memory_create(vm);

    if (!error)
        error = pair_join(vm, vm_find(vm->config->share.name));
    if (!error)
        error = backend->vm_create(vm);
    if (!error)
        apic_assist_vm_create(vm);
    for (unsigned int i = 0; !error && i < vm->config->vcpus; i++) {
        vm->vcpus[i] = vcpu_create(vm, i);
        if (vm->vcpus[i])
            vm->vcpu_count++;
        else
            error = -ENOMEM;
    }
    if (!error)
        error = board_init(vm);
    if (error)
        refuse_memory(why);
    return error ? error : admit(vm, why);
}

/* All but its memory. */
static void free_parts(struct vm *vm)
{
    board_destroy(vm);
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        vcpu_destroy(vm->vcpus[i]);
    vm->vcpu_count = 0;
    if (vm->backend)
        backend->vm_destroy(vm);
    pair_leave(vm);
}

static void free_vm(struct vm *vm)
{
    mem_free(virt_to_phys(vm), mem_pages(sizeof(*vm)));
    vm_pages_post(); /* others may wait for its memory */
}

static int create(const struct guest_config *guest, struct refusal *why)
{
    hpa_t page = mem_alloc(mem_pages(sizeof(struct vm)), PAGE_SIZE);
    struct vm *vm;

    if (!page.value) {
        refuse_memory(why);
        return -ENOMEM;
    }
    vm = phys_to_virt(page);
    vm->id = free_id();
    vm->number = ++made;
    vm->config = guest;
    if (create_parts(vm, why) != 0) {
        free_parts(vm);
        vm_memory_free(vm);
        free_vm(vm);
        return -ENOMEM;
    }
    vm_init_restart(vm);
    vms[count++] = vm;
    return 0;
}

int vm_create(const char *name, const char **why)
{
    static char text[128];
    const struct guest_config *guest = find_guest(name);
    const struct vm *vm = vm_find(name);
    struct refusal refusal;

    *why = vm           ? vm->state == VM_FREEING ? "it is being destroyed" : "it is there already"
           : !guest     ? "mica.conf has no such guest"
           : guest->bad ? "its section of mica.conf has errors"
                        : NULL;
    if (*why)
        return -EINVAL;
    if (create(guest, &refusal) == 0)
        return 0;
    str_format(text, sizeof(text), "%s: %s", refusal.key, refusal.text);
    *why = text;
    return -ENOMEM;
}

/* What has no room now may have it later, by vm_create(): it is not bad for that. */
static void create_at_boot(struct guest_config *guest, const struct config_sink *sink)
{
    struct refusal why;

    if (create(guest, &why) == 0)
        return;
    config_refuse(guest, why.key, sink, "%s", why.text);
    guest->bad = false;
}

void vm_create_all(void)
{
    const struct config_sink sink = {.error = config_error};
    const struct config_machine machine = {.cpu_count = cpu_count,
                                           .memory = mem_free_pages() << PAGE_SHIFT,
                                           .has_file = has_file,
                                           .file_size = file_size};
    const struct boot_module *file = module_find(CONFIG_FILE);

    if (!file) {
        log_error("%s: not found in \\mica\\: there are no guests", CONFIG_FILE);
        return;
    }
    config_parse(phys_to_virt(HPA(file->base)), file->size, &config, &sink);
    speculation_init(config.host.mitigations);
    config_check(&config, &machine, &sink);
    console_configure(config.host.console == HOST_CONSOLE_COM1, config.host.framebuffer);
    log_set_level(config.host.log);
    for (unsigned int i = 0; i < config.guest_count; i++)
        if (!config.guests[i].bad)
            create_at_boot(&config.guests[i], &sink);
}

/* ---- Destroying one ------------------------------------------------------------------------- */

/* Nothing may be on its way to it when it is freed: its vCPUs are held, and its timers have fired
 * for the last time.  Stale translations need no flush: a vCPU that comes to a CPU starts with
 * none, whatever pages its tables are made of. */
void vm_destroy(struct vm *vm)
{
    const char *why;

    if (vm->state != VM_OFF)
        vm_stop_command(vm, &why);
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        loop_hold(vm->vcpus[i]);
    loop_timer_stop(&vm->restart_timer);
    free_parts(vm);
    vm->state = VM_FREEING;
    vm_chore_add(vm);
}

void vm_free_slice(struct vm *vm)
{
    const struct guest_config *guest = vm->config;

    if (vm_memory_free_some(vm))
        return;
    vm_chore_remove(vm);
    remove(vm);
    free_vm(vm);
    log_info("guest %s: destroyed, %llu KiB are free", guest->name,
             (unsigned long long)mem_free_pages() * 4);
}
