/* SPDX-License-Identifier: MIT */
/* The AMD-V backend: switching it on, VMs and vCPUs, entering a guest, and the table of it all. */
#include "arch/svm/svm.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/paging.h"
#include "arch/x86/regs.h"
#include "arch/x86/speculation.h"
#include "hv/errno.h"
#include "hv/guest_mem.h"
#include "hv/mem.h"
#include "hv/string.h"
#include "hv/vm.h"

/* ---- CPUs ----------------------------------------------------------------------------------- */

static int cpu_enable(struct cpu *cpu)
{
    hpa_t area = mem_alloc(mem_pages(sizeof(struct svm_cpu)), PAGE_SIZE);
    struct svm_cpu *state;

    if (!area.value)
        return -ENOMEM;
    state = phys_to_virt(area);
    state->asid_generation = 1;
    state->asid_next = 1;
    cpu->backend = state;
    cpu->backend_hpa = area;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, area.value);
    /* FS, GS, TR, LDTR and the system-call MSRs never change on a CPU: saved once for every exit's
     * VMLOAD. */
    __asm__ volatile("vmsave %%rax" ::"a"(area.value + offsetof(struct svm_cpu, host)) : "memory");
    return 0;
}

static void cpu_disable(struct cpu *cpu)
{
    wrmsr(MSR_VM_HSAVE_PA, 0);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(uint64_t)EFER_SVME);
}

/* ---- VMs: the permission maps --------------------------------------------------------------- */

#define IOPM_PAGES  3
#define MSRPM_PAGES 2

static struct svm_vm *vm_part(const struct vm *vm)
{
    return vm->backend;
}

static void intercept_io(struct vm *vm, uint16_t first, uint32_t count, bool on)
{
    uint8_t *map = phys_to_virt(vm_part(vm)->iopm);

    for (uint32_t port = first; port < (uint32_t)first + count && port <= UINT16_MAX; port++) {
        uint8_t bit = (uint8_t)(1u << (port & 7));

        map[port / 8] = on ? map[port / 8] | bit : (uint8_t)(map[port / 8] & ~bit);
    }
}

/* The first byte of the map's vector for an MSR, four MSRs a byte; or -1. */
static int msrpm_byte(uint32_t msr)
{
    static const uint32_t bases[] = {0x00000000, 0xc0000000, 0xc0010000};

    for (unsigned int i = 0; i < ARRAY_SIZE(bases); i++)
        if (msr - bases[i] < 0x2000)
            return (int)(i * 0x800 + (msr - bases[i]) / 4);
    return -1;
}

static void intercept_msr(struct vm *vm, uint32_t msr, bool read, bool write)
{
    uint8_t *map = phys_to_virt(vm_part(vm)->msrpm);
    int byte = msrpm_byte(msr);
    unsigned int shift = 2 * (msr & 3);

    if (byte >= 0)
        map[byte] =
            (uint8_t)((map[byte] & ~(3u << shift)) | ((read ? 1u : 0) | (write ? 2u : 0)) << shift);
}

static void svm_vm_destroy(struct vm *vm)
{
    struct svm_vm *part = vm_part(vm);

    mem_free(part->iopm, IOPM_PAGES);
    mem_free(part->msrpm, MSRPM_PAGES);
    mem_free(virt_to_phys(part), mem_pages(sizeof(*part)));
    vm->backend = NULL;
}

/* The guest's own: VMLOAD and VMSAVE switch them. */
static const uint32_t guest_msrs[] = {
    MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR,         MSR_LSTAR,
    MSR_CSTAR,   MSR_SFMASK,  MSR_SYSENTER_CS,    MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
};

static int svm_vm_create(struct vm *vm)
{
    hpa_t page = mem_alloc(mem_pages(sizeof(struct svm_vm)), PAGE_SIZE);
    hpa_t iopm = mem_alloc(IOPM_PAGES, PAGE_SIZE);
    hpa_t msrpm = mem_alloc(MSRPM_PAGES, PAGE_SIZE);
    struct svm_vm *part;

    if (!page.value || !iopm.value || !msrpm.value) {
        mem_free(page, mem_pages(sizeof(struct svm_vm)));
        mem_free(iopm, IOPM_PAGES);
        mem_free(msrpm, MSRPM_PAGES);
        return -ENOMEM;
    }
    part = phys_to_virt(page);
    *part = (struct svm_vm){.iopm = iopm, .msrpm = msrpm, .slat_generation = 1};
    vm->backend = part;
    memset(phys_to_virt(iopm), 0xff, IOPM_PAGES * PAGE_SIZE);
    memset(phys_to_virt(msrpm), 0xff, MSRPM_PAGES * PAGE_SIZE);
    for (unsigned int i = 0; i < ARRAY_SIZE(guest_msrs); i++)
        intercept_msr(vm, guest_msrs[i], false, false);
    if (cpu_has(FEATURE_RDTSCP))
        intercept_msr(vm, MSR_TSC_AUX, false, false);
    return 0;
}

/* ---- vCPUs ---------------------------------------------------------------------------------- */

static struct vcpu *svm_vcpu_create(struct vm *vm, unsigned int id)
{
    hpa_t page = mem_alloc(mem_pages(sizeof(struct svm_vcpu)), PAGE_SIZE);
    hpa_t vmcb = mem_alloc(1, PAGE_SIZE);
    struct svm_vcpu *svm;

    if (!page.value || !vmcb.value) {
        mem_free(page, mem_pages(sizeof(struct svm_vcpu)));
        mem_free(vmcb, 1);
        return NULL;
    }
    svm = phys_to_virt(page);
    svm->vmcb_hpa = vmcb;
    svm->vmcb = phys_to_virt(vmcb);
    return &svm->vcpu;
}

static void svm_vcpu_destroy(struct vcpu *vcpu)
{
    struct svm_vcpu *svm = to_svm(vcpu);

    mem_free(svm->vmcb_hpa, 1);
    mem_free(virt_to_phys(svm), mem_pages(sizeof(*svm)));
}

static void svm_vcpu_reset(struct vcpu *vcpu)
{
    svm_vmcb_reset(to_svm(vcpu), vm_part(vcpu->vm), &vcpu->vm->slat);
}

/* A VMCB is memory: nothing is cached of it that the clean bits do not cover. */
static void svm_vcpu_load(struct vcpu *vcpu, struct cpu *cpu)
{
    struct svm_vcpu *svm = to_svm(vcpu);

    svm->vmcb->clean = 0;
    vcpu->flush_tlb = true;
    svm_load_cr2(svm->vmcb);
}

static void svm_vcpu_put(struct vcpu *vcpu)
{
}

/* ---- Address space identifiers -------------------------------------------------------------- */

/* A fresh ASID has nothing in the TLB.  When all are used, everything is flushed and a new
 * generation begins. */
static void assign_asid(struct svm_vcpu *svm, struct svm_cpu *cpu)
{
    if (cpu->asid_next >= svm_asid_count()) {
        cpu->asid_generation++;
        cpu->asid_next = 1;
        svm->vmcb->tlb_control = VMCB_TLB_FLUSH_ALL;
    }
    vmcb_set_asid(svm->vmcb, cpu->asid_next++);
    svm->asid_generation = cpu->asid_generation;
    svm->slat_generation = vm_part(svm->vcpu.vm)->slat_generation;
    svm->vcpu.flush_tlb = false;
}

static void flush_guest_tlb(struct vcpu *vcpu)
{
    struct svm_vcpu *svm = to_svm(vcpu);

    if (cpu_has(FEATURE_SVM_FLUSH_ASID))
        svm->vmcb->tlb_control = VMCB_TLB_FLUSH_ASID;
    else
        vcpu->flush_tlb = true;
}

static void slat_flush(struct vm *vm)
{
    __atomic_fetch_add(&vm_part(vm)->slat_generation, 1, __ATOMIC_RELEASE);
}

/* ---- Entering ------------------------------------------------------------------------------- */

/*
 * QEMU saves the interrupt shadow at an exit and does not load it at VMRUN: an interrupt that is
 * pending between STI and HLT is then taken before the HLT, which sleeps for good.  So a HLT in a
 * shadow is performed here.  (Elsewhere this is merely an exit saved.)
 */
static bool hlt_in_shadow(struct svm_vcpu *svm, struct vm_exit *exit)
{
    uint8_t opcode;

    if (!(svm->vmcb->int_state & VMCB_INT_SHADOW) || (svm->vmcb->event_inj & VMCB_EVENT_VALID) ||
        svm->vmcb->cpl_ != 0)
        return false;
    if (guest_fetch(&svm->vcpu, &opcode, 1) != 1 || opcode != 0xf4)
        return false;
    *exit = (struct vm_exit){.kind = EXIT_HLT, .insn_len = 1, .raw = {.reason = SVM_EXIT_HLT}};
    return true;
}

/* Bochs 2.7 clears EFER.LMA before it exits for the MOV to CR0 that is to end long mode. */
static void mend_lma(struct vmcb *vmcb)
{
    if (vmcb->exit_code == SVM_EXIT_CR_WRITE(0) && (vmcb->cr0_ & CR0_PG) &&
        (vmcb->efer_ & EFER_LME))
        vmcb_set_efer(vmcb, vmcb->efer_ | EFER_LMA);
}

static bool enter(struct vcpu *vcpu, struct vm_exit *exit)
{
    struct svm_vcpu *svm = to_svm(vcpu);
    struct svm_cpu *cpu = vcpu->cpu->backend;
    struct vmcb *vmcb = svm->vmcb;
    uint64_t host = vcpu->cpu->backend_hpa.value + offsetof(struct svm_cpu, host);
    enum fast_result result;

    if (unlikely(hlt_in_shadow(svm, exit)))
        return true;
    /* VMRUN must follow: a new generation of ASIDs starts with the flush that it does. */
    if (vcpu->flush_tlb || svm->asid_generation != cpu->asid_generation ||
        svm->slat_generation !=
            __atomic_load_n(&vm_part(vcpu->vm)->slat_generation, __ATOMIC_ACQUIRE))
        assign_asid(svm, cpu);
    svm->look_at = vcpu->fast ? MIN(rdtsc() + SVM_LONGEST_ROW, vcpu->cpu->timer_deadline) : 0;
    vmcb->rip = vcpu->rip;
    vmcb->rax = vcpu->gprs.r[GPR_RAX];
    if (speculation_measures)
        result = svm_enter_guarded(vcpu, svm->vmcb_hpa.value, host);
    else
        result = svm_enter(vcpu, svm->vmcb_hpa.value, host);
    vcpu->rip = vmcb->rip;
    vcpu->gprs.r[GPR_RAX] = vmcb->rax;
    if (result == FAST_DONE)
        return false;
    if (unlikely(vmcb->exit_code == SVM_EXIT_EXCP(VEC_MC)))
        __asm__ volatile("int $18" ::: "memory"); /* the machine's, which the exit has taken */
    mend_lma(vmcb);
    svm_decode_exit(svm, exit);
    return true;
}

/* ---- Intercepts ----------------------------------------------------------------------------- */

static void intercept_exceptions(struct vcpu *vcpu, uint32_t mask)
{
    struct svm_vcpu *svm = to_svm(vcpu);

    vmcb_set_intercept_exc(svm->vmcb, (svm->vmcb->intercept_exc_ & ~svm->exceptions) | mask);
    svm->exceptions = mask;
}

static void intercept_dr(struct vcpu *vcpu, bool on)
{
    vmcb_set_intercept_dr(to_svm(vcpu)->vmcb, on ? SVM_DR_ALL : 0);
}

static void intercept_pause(struct vcpu *vcpu, bool on)
{
    struct vmcb *vmcb = to_svm(vcpu)->vmcb;

    vmcb_set_intercept3(vmcb, on ? vmcb->intercept3_ | (uint32_t)SVM_PAUSE
                                 : vmcb->intercept3_ & ~(uint32_t)SVM_PAUSE);
}

/* With nested paging the CPU reads the pointers from the guest's memory. */
static void set_pdptes(struct vcpu *vcpu, const uint64_t pdptes[4])
{
}

static void set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
    vmcb_set_tsc_offset(to_svm(vcpu)->vmcb, offset);
}

const struct backend svm_backend = {
    .name = "AMD-V",
    .slat = &npt_format,
    .hypercall_opcode = {0x0f, 0x01, 0xd9},
    .probe = svm_probe,
    .feature = svm_feature,
    .cpu_enable = cpu_enable,
    .cpu_disable = cpu_disable,
    .vm_create = svm_vm_create,
    .vm_destroy = svm_vm_destroy,
    .vcpu_create = svm_vcpu_create,
    .vcpu_destroy = svm_vcpu_destroy,
    .vcpu_reset = svm_vcpu_reset,
    .vcpu_load = svm_vcpu_load,
    .vcpu_put = svm_vcpu_put,
    .enter = enter,
    .mode = svm_mode,
    .get_reg = svm_get_reg,
    .set_reg = svm_set_reg,
    .get_seg = svm_get_seg,
    .set_seg = svm_set_seg,
    .can_inject = svm_can_inject,
    .inject = svm_inject,
    .request_window = svm_request_window,
    .intercept_io = intercept_io,
    .intercept_msr = intercept_msr,
    .intercept_exceptions = intercept_exceptions,
    .intercept_dr = intercept_dr,
    .intercept_pause = intercept_pause,
    .set_pdptes = set_pdptes,
    .set_tsc_offset = set_tsc_offset,
    .flush_guest_tlb = flush_guest_tlb,
    .slat_flush = slat_flush,
    .apic = &no_apic_assist,
    .dump = svm_dump,
};
