/* SPDX-License-Identifier: MIT */
/* The current VMCS to the log, in the manual's order.  Reads only. */
#include "arch/vmx/vmx.h"

#include "arch/vmx/insn.h"
#include "hv/log.h"
#include "hv/printf.h"

/* A line each: a title, then up to four fields that belong together. */
struct item {
    const char *name;
    uint32_t field;
};

static const struct {
    const char *title;
    struct item items[4];
} lines[] = {
    {"guest",
     {{"cr0", VMCS_GUEST_CR0},
      {"cr3", VMCS_GUEST_CR3},
      {"cr4", VMCS_GUEST_CR4},
      {"dr7", VMCS_GUEST_DR7}}},
    {"guest", {{"rsp", VMCS_GUEST_RSP}, {"rip", VMCS_GUEST_RIP}, {"rflags", VMCS_GUEST_RFLAGS}}},
    {"guest gdtr", {{"base", VMCS_GUEST_GDTR_BASE}, {"limit", VMCS_GUEST_GDTR_LIMIT}}},
    {"guest idtr", {{"base", VMCS_GUEST_IDTR_BASE}, {"limit", VMCS_GUEST_IDTR_LIMIT}}},
    {"guest",
     {{"debugctl", VMCS_GUEST_DEBUGCTL},
      {"efer", VMCS_GUEST_EFER},
      {"pat", VMCS_GUEST_PAT},
      {"link", VMCS_LINK_POINTER}}},
    {"guest sysenter",
     {{"cs", VMCS_GUEST_SYSENTER_CS},
      {"esp", VMCS_GUEST_SYSENTER_ESP},
      {"eip", VMCS_GUEST_SYSENTER_EIP}}},
    {"guest",
     {{"activity", VMCS_GUEST_ACTIVITY},
      {"interruptibility", VMCS_GUEST_INTERRUPTIBILITY},
      {"pending debug", VMCS_GUEST_PENDING_DEBUG}}},
    {"guest pdptes",
     {{"0", VMCS_GUEST_PDPTE0},
      {"1", VMCS_GUEST_PDPTE1},
      {"2", VMCS_GUEST_PDPTE2},
      {"3", VMCS_GUEST_PDPTE3}}},
    {"host", {{"cr0", VMCS_HOST_CR0}, {"cr3", VMCS_HOST_CR3}, {"cr4", VMCS_HOST_CR4}}},
    {"host",
     {{"rsp", VMCS_HOST_RSP},
      {"rip", VMCS_HOST_RIP},
      {"efer", VMCS_HOST_EFER},
      {"pat", VMCS_HOST_PAT}}},
    {"host selectors",
     {{"cs", VMCS_HOST_CS_SEL},
      {"ss", VMCS_HOST_SS_SEL},
      {"ds", VMCS_HOST_DS_SEL},
      {"tr", VMCS_HOST_TR_SEL}}},
    {"host bases",
     {{"gdtr", VMCS_HOST_GDTR_BASE}, {"idtr", VMCS_HOST_IDTR_BASE}, {"tr", VMCS_HOST_TR_BASE}}},
    {"controls",
     {{"pin", VMCS_PIN_CTLS},
      {"cpu", VMCS_CPU_CTLS},
      {"cpu2", VMCS_CPU_CTLS2},
      {"exceptions", VMCS_EXCEPTION_BITMAP}}},
    {"controls",
     {{"exit", VMCS_EXIT_CTLS}, {"entry", VMCS_ENTRY_CTLS}, {"tsc offset", VMCS_TSC_OFFSET}}},
    {"controls",
     {{"cr0 mask", VMCS_CR0_MASK},
      {"shadow", VMCS_CR0_SHADOW},
      {"cr4 mask", VMCS_CR4_MASK},
      {"shadow", VMCS_CR4_SHADOW}}},
    {"apic", {{"page", VMCS_VIRTUAL_APIC_ADDR}, {"svi and rvi", VMCS_GUEST_INTR_STATUS}}},
    {"controls",
     {{"io bitmap a", VMCS_IO_BITMAP_A},
      {"b", VMCS_IO_BITMAP_B},
      {"msr bitmap", VMCS_MSR_BITMAP},
      {"eptp", VMCS_EPTP}}},
    {"controls", {{"vpid", VMCS_VPID}, {"xss exiting", VMCS_XSS_EXITING}}},
    {"entry event",
     {{"info", VMCS_ENTRY_INTR_INFO},
      {"error", VMCS_ENTRY_ERROR_CODE},
      {"length", VMCS_ENTRY_INSN_LEN}}},
    {"exit",
     {{"reason", VMCS_EXIT_REASON},
      {"qualification", VMCS_EXIT_QUALIFICATION},
      {"linear", VMCS_GUEST_LINEAR_ADDRESS},
      {"physical", VMCS_GUEST_PHYSICAL_ADDRESS}}},
    {"exit",
     {{"event", VMCS_EXIT_INTR_INFO},
      {"error", VMCS_EXIT_ERROR_CODE},
      {"length", VMCS_EXIT_INSN_LEN},
      {"insn", VMCS_EXIT_INSN_INFO}}},
    {"exit",
     {{"idt vectoring", VMCS_IDT_VECTORING_INFO},
      {"error", VMCS_IDT_VECTORING_ERROR},
      {"insn error", VMCS_INSN_ERROR}}},
};

static void dump_line(const char *title, const struct item *items)
{
    char text[160] = "";
    size_t used = 0;

    for (unsigned int i = 0; i < 4 && items[i].name; i++) {
        uint64_t value;

        if (vmread_try(items[i].field, &value) && used < sizeof(text))
            used += str_format(text + used, sizeof(text) - used, " %s 0x%llx", items[i].name,
                               (unsigned long long)value);
    }
    log_error("vmcs: %s:%s", title, text);
}

static void dump_segments(const struct vcpu *vcpu)
{
    static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

    for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
        struct segment seg;

        vmx_get_seg(vcpu, (enum vcpu_seg)i, &seg);
        log_error("vmcs: guest %-4s %04x attributes %05x limit %08x base 0x%llx", names[i],
                  seg.selector, seg.attributes, seg.limit, (unsigned long long)seg.base);
    }
}

void vmx_dump(struct vcpu *vcpu)
{
    dump_segments(vcpu);
    for (unsigned int i = 0; i < ARRAY_SIZE(lines); i++)
        dump_line(lines[i].title, lines[i].items);
}
