/* SPDX-License-Identifier: MIT */
/*
 * APIC virtualization: a local APIC in x2APIC mode that is lent to the CPU.  RDMSR of most of its
 * registers and WRMSR of TPR, EOI and SELF IPI take no exit, nor do MOV to and from CR8; and the
 * CPU delivers interrupts by itself.  It takes "use TPR shadow", "virtualize x2APIC mode",
 * "APIC-register virtualization" and "virtual-interrupt delivery", all of them or nothing is used.
 * Posted interrupts are not: what others request comes by an exit.
 */
#include "arch/vmx/vmx.h"

#include "arch/vmx/insn.h"
#include "arch/x86/paging.h"
#include "arch/x86/regs.h"
#include "hv/guest_mem.h"

#define CR8_EXITS ((uint32_t)(VMX_CPU_CR8_LOAD | VMX_CPU_CR8_STORE))

static void set_controls(struct vmx_vcpu *vmx, bool lent)
{
    const struct vmx_vm *part = vmx_vm_part(vmx->vcpu.vm);

    vmx_set_cpu_ctl(vmx, CR8_EXITS, !lent);
    vmx_set_cpu_ctl(vmx, VMX_CPU_TPR_SHADOW, lent);
    vmwrite32(VMCS_CPU_CTLS2, lent ? vmx_caps.cpu2 | (uint32_t)VMX_APIC_CTLS2 : vmx_caps.cpu2);
    vmwrite64(VMCS_MSR_BITMAP, virt_to_phys(lent ? part->msr_bitmap_lent : part->msr_bitmap).value);
}

static void set_status(struct vlapic_status status)
{
    vmwrite16(VMCS_GUEST_INTR_STATUS, VMX_INTR_STATUS(status.requested, status.in_service));
}

static void begin(struct vcpu *vcpu, hpa_t page, struct vlapic_status status)
{
    vmwrite64(VMCS_VIRTUAL_APIC_ADDR, page.value);
    set_status(status);
    set_controls(to_vmx(vcpu), true);
}

static void end(struct vcpu *vcpu)
{
    set_controls(to_vmx(vcpu), false);
}

static uint8_t requested(const struct vcpu *vcpu)
{
    return VMX_INTR_STATUS_RVI(vmread16(VMCS_GUEST_INTR_STATUS));
}

static void request(struct vcpu *vcpu, uint8_t vector)
{
    uint16_t status = vmread16(VMCS_GUEST_INTR_STATUS);

    vmwrite16(VMCS_GUEST_INTR_STATUS, VMX_INTR_STATUS(vector, VMX_INTR_STATUS_SVI(status)));
}

static void set_eoi_exits(struct vcpu *vcpu, const uint64_t vectors[4])
{
    vmwrite64(VMCS_EOI_EXIT0, vectors[0]);
    vmwrite64(VMCS_EOI_EXIT1, vectors[1]);
    vmwrite64(VMCS_EOI_EXIT2, vectors[2]);
    vmwrite64(VMCS_EOI_EXIT3, vectors[3]);
}

static void pass(struct vm *vm, uint32_t msr, bool read, bool write)
{
    vmx_set_msr_exits(vmx_vm_part(vm)->msr_bitmap_lent, msr, !read, !write);
}

/* ---- What Bochs delivers too early ---------------------------------------------------------- */

static bool read_guest(struct vcpu *vcpu, uint64_t gva, uint64_t *value)
{
    struct guest_walk walk;

    guest_walk(vcpu, gva, ACCESS_READ | ACCESS_QUIET, &walk);
    return walk.ok && guest_mem_read(vcpu->vm, walk.gpa, value, sizeof(*value)) == 0;
}

/* Where an interrupt goes in 64-bit mode; 0: not readable. */
static uint64_t handler_of(struct vcpu *vcpu, uint8_t vector)
{
    uint64_t gate[2], at = vmread(VMCS_GUEST_IDTR_BASE) + 16ull * vector;

    if (!read_guest(vcpu, at, &gate[0]) || !read_guest(vcpu, at + 8, &gate[1]))
        return 0;
    return BITS(gate[0], 15, 0) | BITS(gate[0], 63, 48) << 16 | gate[1] << 32;
}

/* The frame that the delivery has pushed. */
enum { FRAME_RIP, FRAME_CS, FRAME_RFLAGS, FRAME_RSP, FRAME_SS, FRAME_COUNT };

static bool read_frame(struct vcpu *vcpu, uint64_t frame[FRAME_COUNT])
{
    uint64_t rsp = vmread(VMCS_GUEST_RSP);

    for (unsigned int i = 0; i < FRAME_COUNT; i++)
        if (!read_guest(vcpu, rsp + 8 * i, &frame[i]))
            return false;
    return true;
}

/* The CPU would refuse an entry elsewhere; no kernel is where only 57 bits reach. */
static bool is_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* What a delivery within the same privilege level has changed. */
static void undo_delivery(struct vcpu *vcpu, uint8_t vector, const uint64_t frame[FRAME_COUNT])
{
    const uint64_t cleared = RFLAGS_TF | RFLAGS_NT | RFLAGS_RF;

    vcpu->rip = frame[FRAME_RIP];
    vmwrite(VMCS_GUEST_RSP, frame[FRAME_RSP]);
    vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) | (frame[FRAME_RFLAGS] & cleared));
    set_status(vlapic_undeliver(&vcpu->lapic, vector));
}

/*
 * When a physical interrupt comes while the guest has RFLAGS.IF clear and a virtual one waits,
 * Bochs 2.7 (and its successors to this day) first delivers the virtual one, without a look at IF;
 * then it exits, before the handler's first instruction.  No CPU delivers an interrupt then, so
 * that a frame with IF clear tells.  The stub "interrupts" has this case: 20 of 20 came too early.
 */
void vmx_mend_delivery(struct vcpu *vcpu)
{
    uint8_t vector = VMX_INTR_STATUS_SVI(vmread16(VMCS_GUEST_INTR_STATUS));
    uint64_t frame[FRAME_COUNT];

    if (!vector || (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF) || !(vmx_mode(vcpu) & MODE_CODE64))
        return;
    if (handler_of(vcpu, vector) != vcpu->rip || !read_frame(vcpu, frame))
        return;
    if (!(frame[FRAME_RFLAGS] & RFLAGS_IF) && is_canonical(frame[FRAME_RIP]) &&
        frame[FRAME_CS] == vmread16(VMCS_GUEST_CS_SEL))
        undo_delivery(vcpu, vector, frame);
}

struct apic_assist vmx_apic = {
    .pass = pass,
    .begin = begin,
    .end = end,
    .requested = requested,
    .request = request,
    .set_eoi_exits = set_eoi_exits,
};
