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
#include "hv/monitor/json.h"
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
    [VCPU_WAIT_SIPI] = "waits for SIPI",     [VCPU_RUNNABLE] = "runnable", [VCPU_HALTED] = "halted",
    [VCPU_WAIT_MEMORY] = "waits for memory", [VCPU_DEAD] = "ended",
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
                  (entry.value & SLAT_ADDRESS) + (gpa.value & (size - 1)), size >> 10,
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

/* The vCPUs' together. */
static struct exit_time time_of(const struct vm *vm, unsigned int kind)
{
    struct exit_time time = {0};

    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        exit_time_merge(&time, &vm->vcpus[i]->exit_times[kind]);
    return time;
}

/* Ticks of a kind, and of all kinds. */
static void print_time(const struct exit_time *time, uint64_t all)
{
    uint64_t share = all >= 1000 ? time->sum / (all / 1000) : 0;

    console_print("  %3lu.%lu%% of the time: %lu to %lu ns, mean %lu", share / 10, share % 10,
                  tsc_to_ns(time->min), tsc_to_ns(time->max), tsc_to_ns(time->sum / time->count));
}

static void json_kind(const struct vm *vm, unsigned int kind, uint64_t n,
                      const struct exit_time *time)
{
    json_begin("stat");
    json_string("guest", vm_name(vm));
    json_string("exit", exit_kind_name(kind));
    json_number("count", n);
    if (time->count) {
        json_number("timed", time->count);
        json_number("sum_ns", tsc_to_ns(time->sum));
        json_number("min_ns", tsc_to_ns(time->min));
        json_number("max_ns", tsc_to_ns(time->max));
    }
    json_end();
}

static void stat_kind(const struct vm *vm, unsigned int kind, uint64_t total, uint64_t ticks)
{
    uint64_t n = sum_exits(vm, kind);
    struct exit_time time = time_of(vm, kind);

    if (!n)
        return;
    if (json_is_on) {
        json_kind(vm, kind, n, &time);
        return;
    }
    console_print("  %-16s %12lu %4lu.%lu%%", exit_kind_name(kind), n, n * 100 / total,
                  n * 1000 / total % 10);
    if (time.count)
        print_time(&time, ticks);
    console_print("\n");
}

static void stat_vm(const struct vm *vm)
{
    uint64_t total = 0, ticks = 0, unknown_msrs = 0;

    for (unsigned int kind = 0; kind < EXIT_KIND_COUNT; kind++) {
        total += sum_exits(vm, kind);
        ticks += time_of(vm, kind).sum;
    }
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        unknown_msrs += vm->vcpus[i]->unknown_msrs;
    if (!json_is_on)
        console_print("%s: %lu exits\n", vm_name(vm), total);
    for (unsigned int kind = 0; kind < EXIT_KIND_COUNT; kind++)
        stat_kind(vm, kind, MAX(total, 1ull), ticks);
    if (unknown_msrs && !json_is_on)
        console_print("  %lu accesses to unknown msrs were answered by #GP\n", unknown_msrs);
}

/* What was taken before is forgotten.  A handler that runs on another CPU may add one more. */
static void clear_times(void)
{
    for (unsigned int i = 0; i < vm_count(); i++) {
        const struct vm *vm = vm_by_index(i);

        for (unsigned int id = 0; id < vm->vcpu_count; id++)
            memset(vm->vcpus[id]->exit_times, 0, sizeof(vm->vcpus[id]->exit_times));
    }
}

/* The short paths look at the switch only when they begin. */
static void notice_switch(void)
{
    for (unsigned int i = 0; i < vm_count(); i++) {
        const struct vm *vm = vm_by_index(i);

        for (unsigned int id = 0; id < vm->vcpu_count; id++)
            vcpu_request(vm->vcpus[id], VCPU_REQ_EVENT);
    }
}

static void stat_time(const struct command_args *args)
{
    bool on;

    if (args->count != 2) {
        command_error("usage: stat time on|off");
        return;
    }
    if (!command_switch(args->words[1], &on))
        return;
    if (on && !exit_times_are_on)
        clear_times();
    exit_times_are_on = on;
    notice_switch();
}

static void stat(const struct command_args *args)
{
    if (args->count && strcmp(args->words[0], "time") == 0) {
        stat_time(args);
        return;
    }
    if (args->count > 1) {
        command_error("usage: stat [GUEST] | stat time on|off");
        return;
    }
    if (args->count) {
        const struct vm *vm = command_find_vm(args->words[0]);
        if (vm)
            stat_vm(vm);
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
    const struct vm *vm = vm_by_id(e->vcpu >> 16);

    console_print("%+10ld ns  %s/%u  %-14s rip %016lx  %lx %lx\n",
                  before ? (int64_t)tsc_to_ns(e->tsc - before) : 0, vm ? vm_name(vm) : "?",
                  e->vcpu & 0xffff, exit_kind_name(e->kind), e->rip, e->info[0], e->info[1]);
}

static void print_ring(const struct cpu *cpu, unsigned int count)
{
    uint64_t before = 0;

    console_print("cpu %u, %lu exits recorded:\n", cpu->index, cpu->trace.count);
    for (unsigned int back = count; back-- > 0;) {
        const struct trace_entry *e = trace_back(&cpu->trace, back);
        if (!e)
            continue;
        print_trace(e, before);
        before = e->tsc;
    }
}

static void trace_dump(const struct command_args *args)
{
    uint64_t only;

    if (args->count == 1) {
        for (unsigned int i = 0; i < cpu_count; i++)
            print_ring(cpu_by_index(i), TRACE_ENTRIES);
    } else if (command_number(args->words[1], 10, cpu_count - 1, &only)) {
        print_ring(cpu_by_index((unsigned int)only), TRACE_ENTRIES);
    }
}

static void trace(const struct command_args *args)
{
    const char *what = args->words[0];

    if (strcmp(what, "dump") == 0)
        trace_dump(args);
    else if (args->count == 1)
        command_switch(what, &trace_is_on);
    else
        command_error("usage: trace on|off|dump [CPU]");
}

static const char *const stat_words[] = {"time", NULL};
static const char *const trace_words[] = {"on", "off", "dump", NULL};

const struct command inspect_commands[] = {
    {"regs", "GUEST [VCPU]", "registers of a vcpu", regs, .guest = GUEST_REQUIRED, .max = 1},
    {"mem", "GUEST [-v] ADDRESS [LENGTH]", "guest-physical memory; -v: guest-virtual", mem,
     .guest = GUEST_REQUIRED, .min = 1, .max = 3},
    {"walk", "GUEST ADDRESS [VCPU]", "from guest-virtual to host-physical, step by step", walk,
     .guest = GUEST_REQUIRED, .min = 1, .max = 2},
    {"stat", "[GUEST] | time on|off", "exits by kind; their times, once these are taken", stat,
     stat_words, .guest = GUEST_OR_WORD, .max = 2},
    {"trace", "on|off|dump [CPU]", "record exits or not; the last ones on a cpu, or on all", trace,
     trace_words, .min = 1, .max = 2},
    {"vmcs", "GUEST [VCPU]", "the vcpu as VT-x has it", dump, .guest = GUEST_REQUIRED, .max = 1},
    {"vmcb", "GUEST [VCPU]", "the vcpu as AMD-V has it", dump, .guest = GUEST_REQUIRED, .max = 1},
    {0},
};
