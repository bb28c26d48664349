/* SPDX-License-Identifier: MIT */
/* The end: saying what can be said, with as little of the rest of the hypervisor as possible, and
 * stopping. */
#include "hv/panic.h"

#include "arch/x86/cpu.h"
#include "arch/x86/idt.h"
#include "arch/x86/msr.h"
#include "arch/x86/paging.h"
#include "boot/boot_info.h"
#include "hv/panic_hooks.h"
#include "hv/printf.h"
#include "hv/string.h"
#include "hv/symbols.h"
#include "hv/trace.h"

#define COM1            0x3f8
#define COM_LINE_STATUS 5
#define COM_THR_EMPTY   BIT(5)
#define MAX_FRAMES      24u
#define SHOWN_EXITS     16u

static void write_com1(const char *text, size_t size);

static void (*output)(const char *text, size_t size) = write_com1;
static void (*guest_dump)(struct vcpu *vcpu);
static const char *(*exit_name)(uint32_t kind);
static void (*stop_others)(void);
static struct symbols symbols;
static bool in_progress;
static unsigned int depth; /* a panic within the panic says less */
static struct cpu *panicking_cpu;

void panic_init(const struct boot_info *info)
{
    symbols_init(&symbols, phys_to_virt(HPA(info->symbols)), info->symbols_size, info->image_virt);
}

void panic_set_output(void (*write)(const char *text, size_t size))
{
    output = write;
}

void panic_set_guest_dump(void (*dump)(struct vcpu *vcpu))
{
    guest_dump = dump;
}

void panic_set_exit_names(const char *(*name)(uint32_t kind))
{
    exit_name = name;
}

void panic_set_stop_others(void (*stop)(void))
{
    stop_others = stop;
}

/* ---- Output -----------------------------------------------------------------------------------
 */

static void put_com1(uint8_t byte)
{
    for (unsigned int tries = 0; tries < 1000000; tries++)
        if (inb(COM1 + COM_LINE_STATUS) & COM_THR_EMPTY)
            break;
    outb(COM1, byte);
}

static void write_com1(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n')
            put_com1('\r');
        put_com1((uint8_t)text[i]);
    }
}

static void print_list(const char *format, va_list arguments)
{
    char line[256];
    size_t length = str_vformat(line, sizeof(line), format, arguments);

    output(line, MIN(length, sizeof(line) - 1));
}

void panic_print(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_list(format, arguments);
    va_end(arguments);
}

/* ---- What is printed ---------------------------------------------------------------------------
 */

/* A return address is named by the call before it: behind a call that does not return another
 * function may begin. */
static void print_code_address(uint64_t address, bool is_return)
{
    uint64_t offset = 0;
    const char *name = symbols_find(&symbols, address - is_return, &offset);

    if (name)
        panic_print("  %016llx %s+%#llx\n", (unsigned long long)address, name,
                    (unsigned long long)offset + is_return);
    else
        panic_print("  %016llx\n", (unsigned long long)address);
}

static bool is_code(uint64_t address)
{
    hpa_t hpa;
    uint64_t entry;

    return paging_lookup(address, &hpa, &entry) && !(entry & PTE_NX);
}

static bool is_readable(uint64_t address)
{
    hpa_t hpa;
    uint64_t entry;

    return is_aligned(address, 8) && paging_lookup(address, &hpa, &entry);
}

/* By the frame pointers: each points at the caller's, with the return address above it. */
static void print_stack(uint64_t rip, bool rip_is_return, uint64_t rbp)
{
    panic_print("stack:\n");
    print_code_address(rip, rip_is_return);
    for (unsigned int i = 0; i < MAX_FRAMES && rbp; i++) {
        if (!is_readable(rbp) || !is_readable(rbp + 8))
            break;
        const uint64_t *frame = (const uint64_t *)rbp;
        print_code_address(frame[1], true);
        if (frame[0] <= rbp)
            break;
        rbp = frame[0];
    }
}

static void print_control_registers(void)
{
    panic_print("  cr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx\n",
                (unsigned long long)read_cr0(), (unsigned long long)read_cr2(),
                (unsigned long long)read_cr3(), (unsigned long long)read_cr4());
    panic_print("  efer %llx dr6 %llx dr7 %llx\n", (unsigned long long)rdmsr(MSR_EFER),
                (unsigned long long)read_dr6(), (unsigned long long)read_dr7());
}

static void print_registers(const struct trap_frame *f)
{
    const struct {
        const char *name;
        uint64_t value;
    } registers[] = {
        {"rax", f->rax}, {"rbx", f->rbx}, {"rcx", f->rcx},    {"rdx", f->rdx}, {"rsi", f->rsi},
        {"rdi", f->rdi}, {"rbp", f->rbp}, {"rsp", f->rsp},    {"r8 ", f->r8},  {"r9 ", f->r9},
        {"r10", f->r10}, {"r11", f->r11}, {"r12", f->r12},    {"r13", f->r13}, {"r14", f->r14},
        {"r15", f->r15}, {"rip", f->rip}, {"rfl", f->rflags}, {"cs ", f->cs},  {"ss ", f->ss},
    };

    for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
        panic_print("  %s %016llx%s", registers[i].name, (unsigned long long)registers[i].value,
                    i % 4 == 3 ? "\n" : "");
}

static void print_exits(const struct trace_ring *ring)
{
    const struct trace_entry *last = trace_back(ring, 0), *e;

    if (!last)
        return;
    panic_print("last exits, of %llu:\n", (unsigned long long)ring->count);
    for (unsigned int n = 0; n < SHOWN_EXITS && (e = trace_back(ring, n)); n++)
        panic_print("  -%llu vcpu %u.%u %s (%u) rip %llx info %llx %llx\n",
                    (unsigned long long)(last->tsc - e->tsc), e->vcpu >> 16, e->vcpu & 0xffff,
                    exit_name ? exit_name(e->kind) : "exit", e->kind, (unsigned long long)e->rip,
                    (unsigned long long)e->info[0], (unsigned long long)e->info[1]);
}

static void print_cpu(const struct cpu *cpu)
{
    if (!cpu)
        return;
    print_exits(&cpu->trace);
    if (cpu->vcpu && guest_dump)
        guest_dump(cpu->vcpu);
}

/* ---- The way down ------------------------------------------------------------------------------
 */

static NORETURN void stop(void)
{
    for (;;) {
        irq_disable();
        cpu_halt();
    }
}

/* Only one CPU gets through here, and only once; a panic while panicking ends at once. */
static void begin(void)
{
    struct cpu *cpu = cpu_current();

    irq_disable();
    if (__atomic_exchange_n(&in_progress, true, __ATOMIC_ACQ_REL)) {
        if (cpu != panicking_cpu)
            for (;;)
                cpu_halt();
        if (depth++ == 0)
            return;
        stop();
    }
    panicking_cpu = cpu;
    trap_stop_on_nmi();
    if (stop_others)
        stop_others();
}

static void print_message(const char *format, va_list arguments)
{
    panic_print("\npanic: ");
    print_list(format, arguments);
    panic_print("\n");
}

static void print_cpu_name(void)
{
    if (panicking_cpu)
        panic_print("  on cpu %u\n", panicking_cpu->index);
    else
        panic_print("  on the boot stack\n");
}

void panic_at(const char *file, int line, const char *format, ...)
{
    va_list arguments;

    begin();
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    panic_print("  at %s:%d\n", file, line);
    if (depth)
        stop();
    print_cpu_name();
    print_control_registers();
    print_stack((uint64_t)__builtin_return_address(0), true,
                *(const uint64_t *)__builtin_frame_address(0));
    print_cpu(panicking_cpu);
    stop();
}

void panic_trap(const struct trap_frame *frame, const char *format, ...)
{
    va_list arguments;

    begin();
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    print_cpu_name();
    print_registers(frame);
    if (depth)
        stop();
    print_control_registers();
    print_stack(frame->rip, false, frame->rbp);
    if (!is_code(frame->rip) && is_readable(frame->rsp)) {
        panic_print("called from:\n"); /* a call through a bad pointer has pushed only this */
        print_code_address(*(const uint64_t *)frame->rsp, true);
    }
    print_cpu(panicking_cpu);
    stop();
}

/* ---- The stack protector ------------------------------------------------------------------------
 */

extern uintptr_t __stack_chk_guard;
uintptr_t __stack_chk_guard = 0x6d1ca57ac4b00700;
NORETURN void __stack_chk_fail(void);

__attribute__((no_stack_protector)) void panic_seed_stack_guard(uint64_t random)
{
    __stack_chk_guard = random & ~0xffull; /* a NUL first: strings cannot forge it */
}

void __stack_chk_fail(void)
{
    panic("a stack buffer was overrun");
}
