/* SPDX-License-Identifier: MIT */
/* The VT-x backend: switching it on, VMs and vCPUs, entering a guest, and the table of it all. */
#include "arch/vmx/vmx.h"

#include "arch/vmx/insn.h"
#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/paging.h"
#include "arch/x86/speculation.h"
#include "hv/errno.h"
#include "hv/mem.h"
#include "hv/panic.h"
#include "hv/string.h"

/* ---- CPUs ----------------------------------------------------------------------------------- */

/* What firmware left open is opened, and locked so that it stays so. */
static int unlock(void)
{
    uint64_t control = rdmsr(MSR_FEATURE_CONTROL);

    if (!(control & FEATURE_CONTROL_LOCK)) {
        control |= FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK;
        wrmsr(MSR_FEATURE_CONTROL, control);
    }
    return control & FEATURE_CONTROL_VMX ? 0 : -ENODEV;
}

static void set_fixed_bits(void)
{
    write_cr0((read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0)) & rdmsr(MSR_VMX_CR0_FIXED1));
    write_cr4((read_cr4() | rdmsr(MSR_VMX_CR4_FIXED0)) &
              rdmsr(MSR_VMX_CR4_FIXED1)); /* VMXE is one of them */
}

/* A page that begins with the revision: the VMXON region, or a VMCS before its VMCLEAR. */
static hpa_t alloc_region(void)
{
    hpa_t page = mem_alloc(1, PAGE_SIZE);

    if (page.value)
        *(uint32_t *)phys_to_virt(page) = vmx_caps.revision;
    return page;
}

static int cpu_enable(struct cpu *cpu)
{
    hpa_t region;

    if (unlock() != 0)
        return -ENODEV;
    region = alloc_region();
    if (!region.value)
        return -ENOMEM;
    set_fixed_bits();
    if (!vmxon(region.value)) {
        write_cr4(read_cr4() & ~CR4_VMXE);
        mem_free(region, 1);
        return -EIO;
    }
    cpu->backend = phys_to_virt(region);
    cpu->backend_hpa = region;
    return 0;
}

static void cpu_disable(struct cpu *cpu)
{
    vmxoff();
    write_cr4(read_cr4() & ~CR4_VMXE);
    mem_free(cpu->backend_hpa, 1);
    cpu->backend = NULL;
    cpu->backend_hpa = HPA(0);
}

/* ---- VMs: the permission maps --------------------------------------------------------------- */

static void set_map_bit(uint8_t *map, uint32_t index, bool on)
{
    uint8_t bit = (uint8_t)(1u << (index & 7));

    map[index / 8] = on ? map[index / 8] | bit : (uint8_t)(map[index / 8] & ~bit);
}

static void intercept_io(struct vm *vm, uint16_t first, uint32_t count, bool on)
{
    for (uint32_t port = first; port < (uint32_t)first + count && port <= UINT16_MAX; port++)
        set_map_bit(vmx_vm_part(vm)->io_bitmap[port >> 15], port & 0x7fff, on);
}

void vmx_set_msr_exits(uint8_t *map, uint32_t msr, bool read, bool write)
{
    uint32_t index = msr & 0x1fff;

    if (msr - index != 0 && msr - index != 0xc0000000)
        return;
    if (msr - index)
        map += 1024;
    set_map_bit(map, index, read);
    set_map_bit(map + 2048, index, write);
}

static void intercept_msr(struct vm *vm, uint32_t msr, bool read, bool write)
{
    vmx_set_msr_exits(vmx_vm_part(vm)->msr_bitmap, msr, read, write);
    vmx_set_msr_exits(vmx_vm_part(vm)->msr_bitmap_lent, msr, read, write);
}

/* The guest's own: the VMCS or a load switches them. */
static const uint32_t guest_msrs[] = {
    MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR,         MSR_LSTAR,
    MSR_CSTAR,   MSR_SFMASK,  MSR_SYSENTER_CS,    MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
};

static int vm_create_vmx(struct vm *vm)
{
    hpa_t pages = mem_alloc(mem_pages(sizeof(struct vmx_vm)), PAGE_SIZE);
    struct vmx_vm *part;

    if (!pages.value)
        return -ENOMEM;
    part = phys_to_virt(pages);
    vm->backend = part;
    part->slat_generation = 1;
    memset(part->io_bitmap, 0xff, sizeof(part->io_bitmap));
    memset(part->msr_bitmap, 0xff, sizeof(part->msr_bitmap));
    memset(part->msr_bitmap_lent, 0xff, sizeof(part->msr_bitmap_lent));
    for (unsigned int i = 0; i < ARRAY_SIZE(guest_msrs); i++)
        intercept_msr(vm, guest_msrs[i], false, false);
    if (cpu_has(FEATURE_RDTSCP))
        intercept_msr(vm, MSR_TSC_AUX, false, false);
    return 0;
}

static void vm_destroy_vmx(struct vm *vm)
{
    mem_free(virt_to_phys(vm->backend), mem_pages(sizeof(struct vmx_vm)));
    vm->backend = NULL;
}

/* ---- vCPUs ---------------------------------------------------------------------------------- */

/* 0 is the host's.  Fixed, because there are enough for all that can be. */
STATIC_ASSERT(VM_MAX *VM_MAX_VCPUS < UINT16_MAX, "every vCPU has a VPID");

static uint16_t vpid_of(const struct vm *vm, unsigned int id)
{
    return (uint16_t)(1 + vm->id * VM_MAX_VCPUS + id);
}

static struct vcpu *vcpu_create_vmx(struct vm *vm, unsigned int id)
{
    hpa_t page = mem_alloc(mem_pages(sizeof(struct vmx_vcpu)), PAGE_SIZE);
    hpa_t vmcs = alloc_region();
    struct vmx_vcpu *vmx;

    if (!page.value || !vmcs.value) {
        mem_free(page, mem_pages(sizeof(struct vmx_vcpu)));
        mem_free(vmcs, 1);
        return NULL;
    }
    vmx = phys_to_virt(page);
    vmx->vmcs = vmcs;
    vmx->vpid = vpid_of(vm, id);
    return &vmx->vcpu;
}

static void vcpu_destroy_vmx(struct vcpu *vcpu)
{
    struct vmx_vcpu *vmx = to_vmx(vcpu);

    mem_free(vmx->vmcs, 1);
    mem_free(virt_to_phys(vmx), mem_pages(sizeof(*vmx)));
}

static void vcpu_reset_vmx(struct vcpu *vcpu)
{
    struct vmx_vcpu *vmx = to_vmx(vcpu);

    vmx_vmcs_reset(vmx);
    vmx->vcpu.flush_tlb = true;
}

static const uint32_t switched_msrs[SWITCH_COUNT] = {
    [SWITCH_STAR] = MSR_STAR,
    [SWITCH_LSTAR] = MSR_LSTAR,
    [SWITCH_CSTAR] = MSR_CSTAR,
    [SWITCH_SFMASK] = MSR_SFMASK,
    [SWITCH_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
};

/* Another CPU than last time: its tables are the host's, and what its TLB may hold of this vCPU is
 * old. */
static void move_to(struct vmx_vcpu *vmx, struct cpu *cpu)
{
    vmx_vmcs_set_host(cpu);
    vmx->last_cpu = cpu;
    vmx->slat_generation = 0;
    vmx->vcpu.flush_tlb = true;
}

static void vcpu_load_vmx(struct vcpu *vcpu, struct cpu *cpu)
{
    struct vmx_vcpu *vmx = to_vmx(vcpu);

    if (!vmx->prepared && !vmclear(vmx->vmcs.value))
        panic("VMCLEAR of a new VMCS failed");
    vmx->prepared = true;
    if (!vmptrld(vmx->vmcs.value))
        panic("VMPTRLD failed");
    if (vmx->last_cpu != cpu)
        move_to(vmx, cpu);
    vmx->nmi_seen = vmread32(VMCS_GUEST_INTERRUPTIBILITY) & VMX_BLOCKING_NMI;
    write_cr2(vmx->cr2);
    write_dr6(vmx->dr6);
    for (unsigned int i = 0; i < SWITCH_COUNT; i++)
        wrmsr(switched_msrs[i], vmx->msrs[i]);
}

static void vcpu_put_vmx(struct vcpu *vcpu)
{
    struct vmx_vcpu *vmx = to_vmx(vcpu);

    vmx_blocking(vmx); /* what is saved is its own state */
    vmx->cr2 = read_cr2();
    vmx->dr6 = read_dr6();
    for (unsigned int i = 0; i < SWITCH_COUNT; i++)
        vmx->msrs[i] = rdmsr(switched_msrs[i]);
    if (!vmclear(vmx->vmcs.value))
        panic("VMCLEAR failed");
    vmx->launched = false;
}

/* ---- Translations --------------------------------------------------------------------------- */

static void flush_guest_tlb(struct vcpu *vcpu)
{
    vcpu->flush_tlb = true;
}

static void slat_flush(struct vm *vm)
{
    __atomic_fetch_add(&vmx_vm_part(vm)->slat_generation, 1, __ATOMIC_RELEASE);
}

static void drop_second_level(struct vmx_vcpu *vmx, uint64_t generation)
{
    invept(vmx_caps.invept_single ? VMX_INVEPT_SINGLE : VMX_INVEPT_ALL, vmx_eptp(vmx->vcpu.vm));
    vmx->slat_generation = generation;
}

/* Without VPID every entry and exit flushes by itself. */
static void drop_first_level(struct vmx_vcpu *vmx)
{
    if (vmx_caps.vpid)
        invvpid(vmx_caps.invvpid_single ? VMX_INVVPID_SINGLE : VMX_INVVPID_ALL, vmx->vpid);
    vmx->vcpu.flush_tlb = false;
}

/* ---- Entering ------------------------------------------------------------------------------- */

/* The CPU did not get as far as an exit. */
static void describe_refusal(struct vm_exit *exit)
{
    *exit = (struct vm_exit){
        .kind = EXIT_ENTRY_FAILED,
        .raw = {.reason = VMX_REASON_ENTRY_FAILED, .info1 = vmread32(VMCS_INSN_ERROR)},
    };
}

/* What the host has to take itself: an NMI stays blocked until the IRET of its handler; a machine
 * check panics. */
static void deliver_to_host(struct vm_exit *exit)
{
    if (exit->kind == EXIT_HOST_NMI) {
        __asm__ volatile("int $2" ::: "memory");
    } else if (exit->kind == EXIT_EXCEPTION && exit->exception.vector == VEC_MC) {
        __asm__ volatile("int $18" ::: "memory");
        exit->kind = EXIT_HOST_EVENT;
    }
}

static bool between_instructions(unsigned int kind)
{
    return kind == EXIT_HOST_EVENT || kind == EXIT_HOST_NMI || kind == EXIT_TIMER;
}

static bool enter(struct vcpu *vcpu, struct vm_exit *exit)
{
    struct vmx_vcpu *vmx = to_vmx(vcpu);
    uint64_t generation =
        __atomic_load_n(&vmx_vm_part(vcpu->vm)->slat_generation, __ATOMIC_ACQUIRE);
    unsigned int result;

    if (unlikely(vmx->slat_generation != generation))
        drop_second_level(vmx, generation);
    if (unlikely(vcpu->flush_tlb))
        drop_first_level(vmx);
    vmx->short_paths = vcpu->fast ? VMX_SHORT_PATHS : 0;
    vmwrite(VMCS_GUEST_RIP, vcpu->rip);
    result = speculation_measures ? vmx_enter_guarded(vcpu, vmx->launched)
                                  : vmx_enter(vcpu, vmx->launched);
    if (unlikely(result == VMX_REFUSED)) {
        describe_refusal(exit);
        return true;
    }
    vcpu->rip = vmread(VMCS_GUEST_RIP);
    if (result == FAST_DONE) {
        vmx->launched = true;
        return false;
    }
    vmx_decode_exit(exit);
    vmx->launched |= exit->kind != EXIT_ENTRY_FAILED;
    vmx_mend_nmi_blocking(exit);
    if (vcpu->lapic.lent && between_instructions(exit->kind))
        vmx_mend_delivery(vcpu);
    deliver_to_host(exit);
    return true;
}

/* ---- Intercepts ----------------------------------------------------------------------------- */

static void intercept_exceptions(struct vcpu *vcpu, uint32_t mask)
{
    vmwrite32(VMCS_EXCEPTION_BITMAP, mask | VMX_EXCEPTIONS);
}

static void intercept_dr(struct vcpu *vcpu, bool on)
{
    vmx_set_cpu_ctl(to_vmx(vcpu), VMX_CPU_MOV_DR, on);
}

static void intercept_pause(struct vcpu *vcpu, bool on)
{
    vmx_set_cpu_ctl(to_vmx(vcpu), VMX_CPU_PAUSE, on);
}

static void set_pdptes(struct vcpu *vcpu, const uint64_t pdptes[4])
{
    vmwrite64(VMCS_GUEST_PDPTE0, pdptes[0]);
    vmwrite64(VMCS_GUEST_PDPTE1, pdptes[1]);
    vmwrite64(VMCS_GUEST_PDPTE2, pdptes[2]);
    vmwrite64(VMCS_GUEST_PDPTE3, pdptes[3]);
}

static void set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
    vmwrite64(VMCS_TSC_OFFSET, offset);
}

const struct backend vmx_backend = {
    .name = "VT-x",
    .slat = &ept_format,
    .hypercall_opcode = {0x0f, 0x01, 0xc1},
    .probe = vmx_probe,
    .feature = vmx_feature,
    .cpu_enable = cpu_enable,
    .cpu_disable = cpu_disable,
    .vm_create = vm_create_vmx,
    .vm_destroy = vm_destroy_vmx,
    .vcpu_create = vcpu_create_vmx,
    .vcpu_destroy = vcpu_destroy_vmx,
    .vcpu_reset = vcpu_reset_vmx,
    .vcpu_load = vcpu_load_vmx,
    .vcpu_put = vcpu_put_vmx,
    .enter = enter,
    .mode = vmx_mode,
    .get_reg = vmx_get_reg,
    .set_reg = vmx_set_reg,
    .get_seg = vmx_get_seg,
    .set_seg = vmx_set_seg,
    .can_inject = vmx_can_inject,
    .inject = vmx_inject,
    .request_window = vmx_request_window,
    .intercept_io = intercept_io,
    .intercept_msr = intercept_msr,
    .intercept_exceptions = intercept_exceptions,
    .intercept_dr = intercept_dr,
    .intercept_pause = intercept_pause,
    .set_pdptes = set_pdptes,
    .set_tsc_offset = set_tsc_offset,
    .flush_guest_tlb = flush_guest_tlb,
    .slat_flush = slat_flush,
    .apic = &vmx_apic,
    .dump = vmx_dump,
};
