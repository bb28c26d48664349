/* SPDX-License-Identifier: MIT */
/* Commands that look into a guest: registers, memory, tables, exits.  They change nothing in it. */
#include "hv/monitor/command.h"

#include "arch/x86/cpu.h"
#include "arch/x86/tsc.h"
#include "hv/backend.h"
#include "hv/console.h"
#include "hv/exit.h"
#include "hv/guest_mem.h"
#include "hv/log.h"
#include "hv/printf.h"
#include "hv/slat.h"
#include "hv/string.h"
#include "hv/trace.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/* ---- regs ----------------------------------------------------------------------------------- */

static const char *const gpr_names[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                 "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                 "r12", "r13", "r14", "r15"};
static const char *const segment_names[SEG_COUNT] = {"es", "cs",   "ss", "ds",   "fs",
                                                     "gs", "ldtr", "tr", "gdtr", "idtr"};
static const char *const vcpu_state_names[] = {
    [VCPU_WAIT_SIPI] = "waits for SIPI",
    [VCPU_RUNNABLE] = "runnable",
    [VCPU_HALTED] = "halted",
    [VCPU_DEAD] = "ended",
};

/* Control state in the order of printing; four a line would be too wide. */
static const struct {
    const char *name;
    enum vcpu_reg reg;
} control_names[] = {
    {"cr0", VCPU_CR0},     {"cr2", VCPU_CR2},       {"cr3", VCPU_CR3},
    {"cr4", VCPU_CR4},     {"efer", VCPU_EFER},     {"pat", VCPU_PAT},
    {"dr6", VCPU_DR6},     {"dr7", VCPU_DR7},       {"star", VCPU_STAR},
    {"lstar", VCPU_LSTAR}, {"sfmask", VCPU_SFMASK}, {"kgsbase", VCPU_KERNEL_GS_BASE},
};

static void print_general(struct vcpu *vcpu)
{
    for (unsigned int i = 0; i < GPR_COUNT; i++)
        console_print("%-3s %016lx%s", gpr_names[i], vcpu_read_gpr(vcpu, i),
                      i % 4 == 3 ? "\n" : "  ");
    console_print("rip %016lx  rflags %08lx  cpl %u  %s\n", vcpu->rip,
                  backend->get_reg(vcpu, VCPU_RFLAGS), vcpu_cpl(vcpu),
                  vcpu_is_64bit(vcpu)                    ? "64-bit code"
                  : vcpu_is_long_mode(vcpu)              ? "compatibility mode"
                  : backend->get_reg(vcpu, VCPU_CR0) & 1 ? "protected mode"
                                                         : "real mode");
}

static void print_segments(struct vcpu *vcpu)
{
    struct segment s;

    for (unsigned int i = 0; i < SEG_COUNT; i++) {
        backend->get_seg(vcpu, (enum vcpu_seg)i, &s);
        console_print("%-4s %04x  base %016lx  limit %08x  attributes %05x%s\n", segment_names[i],
                      s.selector, s.base, s.limit, s.attributes,
                      s.attributes & SEG_ATTR_UNUSABLE ? " unusable" : "");
    }
}

static void print_control(struct vcpu *vcpu)
{
    uint64_t blocking = backend->get_reg(vcpu, VCPU_BLOCKING);

    for (unsigned int i = 0; i < ARRAY_SIZE(control_names); i++)
        console_print("%-7s %016lx%s", control_names[i].name,
                      backend->get_reg(vcpu, control_names[i].reg), i % 3 == 2 ? "\n" : "  ");
    console_print("blocking:%s%s%s%s  pending:%s%s%s\n", blocking & BLOCKING_STI ? " sti" : "",
                  blocking & BLOCKING_MOV_SS ? " mov-ss" : "",
                  blocking & BLOCKING_NMI ? " nmi" : "", blocking ? "" : " none",
                  vcpu->exception.type ? " exception" : "", vcpu->nmi_pending ? " nmi" : "",
                  vcpu->exception.type || vcpu->nmi_pending ? "" : " none");
}

static void regs(const struct command_args *args)
{
    struct vcpu *vcpu = command_vcpu(args->vm, args->count ? args->words[0] : NULL);

    if (!vcpu)
        return;
    console_print("vcpu %u of %s: %s\n", vcpu->id, vm_name(args->vm),
                  vcpu_state_names[vcpu->state]);
    print_general(vcpu);
    print_segments(vcpu);
    print_control(vcpu);
}

/* ---- mem ------------------------------------------------------------------------------------ */

#define MEM_LINE    16u
#define MEM_DEFAULT 64u
#define MEM_MAX     65536u

/* One byte of what is asked for; false: nothing can be read there. */
static bool read_byte(struct vm *vm, struct vcpu *vcpu, uint64_t address, uint8_t *byte)
{
    struct guest_walk walk;

    if (vcpu) {
        guest_walk(vcpu, address, ACCESS_READ | ACCESS_QUIET, &walk);
        if (!walk.ok)
            return false;
        address = walk.gpa.value;
    }
    return guest_mem_read(vm, GPA(address), byte, 1) == 0;
}

static void print_bytes(struct vm *vm, struct vcpu *vcpu, uint64_t address, uint64_t count)
{
    char hex[MEM_LINE * 3 + 1], text[MEM_LINE + 1];
    uint8_t byte = 0;

    for (uint64_t i = 0; i < count; i++) {
        bool ok = read_byte(vm, vcpu, address + i, &byte);
        str_format(hex + 3 * i, 4, ok ? " %02x" : " --", byte);
        text[i] = ok && byte >= ' ' && byte < 0x7f ? (char)byte : '.';
    }
    text[count] = '\0';
    console_print("%016lx %-48s  %s\n", address, hex, text);
}

static void mem(const struct command_args *args)
{
    uint64_t address, length = MEM_DEFAULT;
    bool virtual = strcmp(args->words[0], "-v") == 0;
    char *const *words = args->words + (virtual ? 1 : 0);
    unsigned int count = args->count - (virtual ? 1 : 0);
    struct vcpu *vcpu = NULL;

    if (!count || count > 2) {
        command_error("usage: mem GUEST [-v] ADDRESS [LENGTH]");
        return;
    }
    if (!command_number(words[0], 16, UINT64_MAX, &address) ||
        (count > 1 && !command_number(words[1], 10, MEM_MAX, &length)))
        return;
    if (virtual && !(vcpu = command_vcpu(args->vm, NULL)))
        return;
    for (uint64_t done = 0; done < length; done += MEM_LINE)
        print_bytes(args->vm, vcpu, address + done, MIN(length - done, (uint64_t)MEM_LINE));
}

/* ---- walk ----------------------------------------------------------------------------------- */

static const char *const level_names[] = {"?", "pte", "pde", "pdpte", "pml4e", "pml5e"};

static void print_second_level(struct vm *vm, gpa_t gpa)
{
    const struct slat_format *format = vm->slat.format;
    struct slat_entry entry = slat_lookup(&vm->slat, gpa);

    if (!entry.present) {
        console_print("%s level %u: %016lx: nothing is mapped there\n", format->name, entry.level,
                      entry.value);
        return;
    }
    unsigned int flags = format->flags(entry.value);
    uint64_t size = 1ull << (PAGE_SHIFT + 9 * (entry.level - 1));
    console_print("%s level %u: %016lx -> host-physical %016lx, page of %lu KiB, %s%s%s%s\n",
                  format->name, entry.level, entry.value,
                  format->address(entry.value) + (gpa.value & (size - 1)), size >> 10,
                  flags & SLAT_READ ? "r" : "-", flags & SLAT_WRITE ? "w" : "-",
                  flags & SLAT_EXEC ? "x" : "-", flags & SLAT_DEVICE ? ", device" : "");
}

static void walk(const struct command_args *args)
{
    struct guest_walk result;
    struct vcpu *vcpu;
    uint64_t address;

    if (!command_number(args->words[0], 16, UINT64_MAX, &address))
        return;
    vcpu = command_vcpu(args->vm, args->count > 1 ? args->words[1] : NULL);
    if (!vcpu)
        return;
    guest_walk(vcpu, address, ACCESS_READ | ACCESS_QUIET, &result);
    console_print("cr3 %016lx, guest-virtual %016lx\n", backend->get_reg(vcpu, VCPU_CR3), address);
    for (unsigned int i = 0; i < MIN(result.step_count, ARRAY_SIZE(result.steps)); i++)
        console_print("%-5s at %016lx: %016lx\n", level_names[MIN(result.steps[i].level, 5u)],
                      result.steps[i].entry_gpa.value, result.steps[i].entry);
    if (!result.ok) {
        console_print("page fault, error code 0x%x\n", result.error);
        return;
    }
    console_print("guest-physical %016lx, page of %lu KiB%s\n", result.gpa.value,
                  result.page_size >> 10, result.step_count ? "" : " (paging is off)");
    print_second_level(args->vm, result.gpa);
}

/* ---- stat ----------------------------------------------------------------------------------- */

static uint64_t sum_exits(const struct vm *vm, unsigned int kind)
{
    uint64_t sum = 0;

    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        sum += vm->vcpus[i]->exits[kind];
    return sum;
}

static void stat_vm(const struct vm *vm)
{
    uint64_t total = 0, unknown_msrs = 0;

    for (unsigned int kind = 0; kind < EXIT_KIND_COUNT; kind++)
        total += sum_exits(vm, kind);
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        unknown_msrs += vm->vcpus[i]->unknown_msrs;
    console_print("%s: %lu exits\n", vm_name(vm), total);
    for (unsigned int kind = 0; kind < EXIT_KIND_COUNT; kind++) {
        uint64_t n = sum_exits(vm, kind);
        if (n)
            console_print("  %-16s %12lu %4lu.%lu%%\n", exit_kind_name(kind), n, n * 100 / total,
                          n * 1000 / total % 10);
    }
    if (unknown_msrs)
        console_print("  %lu accesses to unknown msrs were answered by #GP\n", unknown_msrs);
}

static void stat(const struct command_args *args)
{
    if (args->vm) {
        stat_vm(args->vm);
        return;
    }
    for (unsigned int i = 0; i < vm_count(); i++)
        stat_vm(vm_by_index(i));
}

/* ---- The backend's own words ---------------------------------------------------------------- */

/* dump() writes to the log, whatever its level: the console is to show all of it. */
static void dump(const struct command_args *args)
{
    struct vcpu *vcpu = command_vcpu(args->vm, args->count ? args->words[0] : NULL);

    if (!vcpu)
        return;
    enum log_level level = log_set_level(LOG_DEBUG);
    backend->dump(vcpu);
    log_set_level(level);
}

static void print_trace(const struct trace_entry *e, uint64_t before)
{
    const struct vm *vm = vm_by_index(e->vcpu >> 16);

    console_print("%+10ld ns  %s/%u  %-14s rip %016lx  %lx %lx\n",
                  before ? (int64_t)tsc_to_ns(e->tsc - before) : 0, vm ? vm_name(vm) : "?",
                  e->vcpu & 0xffff, exit_kind_name(e->kind), e->rip, e->info[0], e->info[1]);
}

static void trace(const struct command_args *args)
{
    const struct trace_ring *ring = &this_cpu()->trace;
    uint64_t count = 20, before = 0;

    if (args->count && !command_number(args->words[0], 10, TRACE_ENTRIES, &count))
        return;
    for (uint64_t back = count; back-- > 0;) {
        const struct trace_entry *e = trace_back(ring, (unsigned int)back);
        if (!e)
            continue;
        print_trace(e, before);
        before = e->tsc;
    }
}

const struct command inspect_commands[] = {
    {"regs", "GUEST [VCPU]", "registers of a vcpu", regs, .guest = GUEST_REQUIRED, .max = 1},
    {"mem", "GUEST [-v] ADDRESS [LENGTH]", "guest-physical memory; -v: guest-virtual", mem,
     .guest = GUEST_REQUIRED, .min = 1, .max = 3},
    {"walk", "GUEST ADDRESS [VCPU]", "from guest-virtual to host-physical, step by step", walk,
     .guest = GUEST_REQUIRED, .min = 1, .max = 2},
    {"stat", "[GUEST]", "exits by kind", stat, .guest = GUEST_OPTIONAL},
    {"trace", "[COUNT]", "the last exits on this cpu", trace, .max = 1},
    {"vmcs", "GUEST [VCPU]", "the vcpu as VT-x has it", dump, .guest = GUEST_REQUIRED, .max = 1},
    {"vmcb", "GUEST [VCPU]", "the vcpu as AMD-V has it", dump, .guest = GUEST_REQUIRED, .max = 1},
    {0},
};
