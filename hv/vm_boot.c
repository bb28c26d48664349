/* SPDX-License-Identifier: MIT */
/* A VM as its boot protocol promises it: fresh memory, the kernel in it, all vCPUs reset and the
 * first at the entry. */
#include "hv/vm_boot.h"

#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
#include "boot/boot_info.h"
#include "hv/backend.h"
#include "hv/board.h"
#include "hv/config.h"
#include "hv/guest_mem.h"
#include "hv/load/load.h"
#include "hv/log.h"
#include "hv/module.h"
#include "hv/pair.h"
#include "hv/printf.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_memory.h"

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
    const struct boot_module *module = name[0] ? module_find(name) : NULL;

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

static void log_failure(struct vm *vm, const char *reason)
{
    str_format(vm->ended, sizeof(vm->ended), "%s", reason);
    log_error("guest %s: %s", vm_name(vm), vm->ended);
}

static void log_no_memory(struct vm *vm)
{
    char reason[96];

    str_format(reason, sizeof(reason), "there is no memory for the %llu KiB that it has given back",
               (unsigned long long)vm->absent_pages * 4);
    log_failure(vm, reason);
}

int vm_boot_renew(struct vm *vm)
{
    int status = 0;

    if (!vm->renewing) {
        status = vm_memory_renew_begin(vm);
        pair_start(vm);
        vm->renewing = true;
    }
    if (status == 0)
        status = pair_renew(vm) ? 1 : vm_memory_renew(vm);
    if (status < 0)
        log_no_memory(vm);
    return status;
}

int vm_boot_up(struct vm *vm)
{
    struct load_error error = {"?"};
    struct load_entry entry;
    int status = load(vm, &entry, &error);

    if (status) {
        log_failure(vm, error.reason);
        return status;
    }
    reset_vcpus(vm);
    vm->clock_stopped_ns = 0;
    board_reset(vm);
    set_entry(vm->vcpus[0], &entry);
    vcpu_unload(vm->vcpus[0]);
    vm->ran = true;
    vm->waits_for_memory = vm->waits_logged = false;
    vm->ended[0] = 0;
    log_info("guest %s: %s, %s, %llu MiB", vm_name(vm), vm->config->kernel, entry.protocol,
             (unsigned long long)vm->config->memory >> 20);
    return 0;
}
