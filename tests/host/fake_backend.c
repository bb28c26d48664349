/* SPDX-License-Identifier: MIT */
/* The fake backend, the fake VM, and stand-ins for what the core calls in the rest of the
 * hypervisor. */
#define _GNU_SOURCE /* the registers in a signal handler */
#include "tests/host/fake_backend.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/fpu.h"
#include "arch/x86/msr.h"
#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
#include "hv/board.h"
#include "hv/config.h"
#include "hv/guest_mem.h"
#include "hv/intr.h"
#include "hv/log.h"
#include "hv/loop.h"
#include "hv/mem.h"
#include "hv/pair.h"
#include "hv/panic.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct fake fake;
struct vm fake_vm;
struct vcpu fake_vcpus[VM_MAX_VCPUS];
uint8_t *fake_ram;
uint64_t direct_map_base;
struct tsc_info tsc_info = {
    .hz = 1000000000, .ns_per_tick = 1ull << 32, .ticks_per_ns = 1ull << 32};

/* ---- The rest of the hypervisor ------------------------------------------------------------- */

void panic_at(const char *file, int line, const char *format, ...)
{
    printf("not ok - panic at %s:%d: %s\n", file, line, format);
    abort();
}

void log_line(enum log_level level, const char *format, ...)
{
}

hpa_t virt_to_phys(const void *p)
{
    return HPA((uint64_t)p);
}

hpa_t mem_alloc(uint64_t pages, uint64_t alignment)
{
    void *p = fake.no_memory ? NULL : aligned_alloc(alignment, pages * PAGE_SIZE);

    if (!p)
        return HPA(0);
    fake.pages += pages;
    memset(p, 0, pages * PAGE_SIZE);
    return HPA((uint64_t)p);
}

void mem_free(hpa_t hpa, uint64_t pages)
{
    fake.pages -= hpa.value ? pages : 0;
    free((void *)hpa.value);
}

uint64_t mem_free_pages(void)
{
    return 0;
}

enum exit_action vm_stop(struct vm *vm, struct vcpu *vcpu, enum stop_reason reason,
                         const char *format, ...)
{
    fake.stops++;
    fake.stop_reason = reason;
    vcpu->state = VCPU_DEAD;
    return ACTION_STOP;
}

uint64_t vm_now_ns(const struct vm *vm)
{
    return fake.now_ns;
}

uint64_t vm_ns_to_tsc(const struct vm *vm, uint64_t guest_ns)
{
    return guest_ns;
}

const char *vm_name(const struct vm *vm)
{
    return "fake";
}

uint64_t fixed_ratio(uint64_t numerator, uint64_t denominator)
{
    return (uint64_t)(((unsigned __int128)numerator << 32) / denominator);
}

void board_work(struct vm *vm)
{
}

uint64_t board_date_ns(void)
{
    return 0;
}

void loop_wake(struct vcpu *vcpu)
{
    fake.wakes++;
}

void loop_post(struct cpu *cpu, uint32_t work)
{
}

void loop_quiesce(void)
{
    fake.quiesces++;
}

void loop_leave(struct vcpu *vcpu)
{
}

void loop_yield(struct vcpu *vcpu)
{
    fake.yields++;
}

bool loop_waits_here(const struct vcpu *vcpu)
{
    return vcpu->sched.state == SCHED_WAITING;
}

bool guest_console_put(struct guest_console *console, uint8_t byte)
{
    if (fake.console_count == sizeof(fake.console))
        return false;
    fake.console[fake.console_count++] = byte;
    return true;
}

void vm_set_due(struct vm *vm, enum vm_due due, uint32_t value)
{
    vm->due = (uint8_t)due;
    vm->exit_value = value;
}

void loop_timer_arm(struct timer *timer, uint64_t deadline_tsc)
{
}

void loop_timer_cancel(struct timer *timer)
{
}

void loop_timer_stop(struct timer *timer)
{
}

uint64_t fpu_host_mask(void)
{
    return fake.fpu_mask;
}

uint64_t fpu_area_pages(void)
{
    return 1;
}

void fpu_state_init(struct fpu_state *state, void *area)
{
    *state = (struct fpu_state){.area = area, .xcr0 = XCR0_X87};
}

void fpu_save(struct fpu_state *state)
{
}

void fpu_restore(const struct fpu_state *state)
{
}

/* ---- The backend ---------------------------------------------------------------------------- */

static void nothing(struct vcpu *vcpu)
{
}

static void load(struct vcpu *vcpu, struct cpu *cpu)
{
}

static bool enter(struct vcpu *vcpu, struct vm_exit *exit)
{
    *exit = (struct vm_exit){.kind = EXIT_HOST_NMI};
    fake.entries++;
    fake.enter(vcpu, exit);
    fake.injected.type = EVENT_NONE;
    return true;
}

static unsigned int mode(const struct vcpu *vcpu)
{
    uint32_t cs = fake.segs[SEG_CS].attributes;
    bool long_mode = fake.regs[VCPU_EFER] & EFER_LMA;
    bool code64 = long_mode && (cs & SEG_ATTR_L);

    return SEG_ATTR_DPL(fake.segs[SEG_SS].attributes) | (long_mode ? MODE_LONG : 0) |
           (code64 ? MODE_CODE64 : 0) | (!code64 && (cs & SEG_ATTR_DB) ? MODE_CODE32 : 0);
}

static uint64_t get_reg(const struct vcpu *vcpu, enum vcpu_reg reg)
{
    return fake.regs[reg];
}

static void set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value)
{
    fake.regs[reg] = value;
}

static void get_seg(const struct vcpu *vcpu, enum vcpu_seg seg, struct segment *out)
{
    *out = fake.segs[seg];
}

static void set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct segment *in)
{
    fake.segs[seg] = *in;
}

static bool can_inject(const struct vcpu *vcpu, enum event_window window)
{
    if (fake.injected.type || (fake.regs[VCPU_BLOCKING] & (BLOCKING_STI | BLOCKING_MOV_SS)))
        return false;
    if (window == WINDOW_NMI)
        return !(fake.regs[VCPU_BLOCKING] & BLOCKING_NMI);
    return fake.regs[VCPU_RFLAGS] & RFLAGS_IF;
}

static void inject(struct vcpu *vcpu, const struct vm_event *event)
{
    fake.injected = *event;
    if (event->type == EVENT_NMI)
        fake.regs[VCPU_BLOCKING] |= BLOCKING_NMI;
}

static void request_window(struct vcpu *vcpu, enum event_window window, bool on)
{
    fake.windows[window] = on;
}

static void set_pdptes(struct vcpu *vcpu, const uint64_t pdptes[4])
{
    memcpy(fake.pdptes, pdptes, sizeof(fake.pdptes));
    fake.pdpte_loads++;
}

static void set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
    fake.tsc_offset = offset;
}

static void slat_flush(struct vm *vm)
{
    fake.slat_flushes++;
}

static void flush(struct vcpu *vcpu)
{
    fake.flushes++;
}

static void intercept_dr(struct vcpu *vcpu, bool on)
{
    fake.dr_intercepted = on;
}

static void dump(struct vcpu *vcpu)
{
    fake.dumps++;
}

/* ---- The local APICs that it virtualizes ----------------------------------------------------- */

static void pass(struct vm *vm, uint32_t msr, bool read, bool write)
{
    fake.passed += read + write;
}

static void begin(struct vcpu *vcpu, hpa_t page, struct vlapic_status status)
{
    fake.lent = true;
    fake.apic_status = status;
}

static void end(struct vcpu *vcpu)
{
    fake.lent = false;
}

static uint8_t requested(const struct vcpu *vcpu)
{
    return fake.apic_status.requested;
}

static void request(struct vcpu *vcpu, uint8_t vector)
{
    fake.apic_status.requested = vector;
}

static void set_eoi_exits(struct vcpu *vcpu, const uint64_t vectors[4])
{
    memcpy(fake.eoi_exits, vectors, sizeof(fake.eoi_exits));
}

struct apic_assist fake_apic = {
    .pass = pass,
    .begin = begin,
    .end = end,
    .requested = requested,
    .request = request,
    .set_eoi_exits = set_eoi_exits,
};

/* ---- All of it ------------------------------------------------------------------------------- */

static const struct backend fake_backend = {
    .name = "fake",
    .hypercall_opcode = {0x0f, 0x01, 0xd9},
    .vcpu_reset = nothing,
    .vcpu_load = load,
    .vcpu_put = nothing,
    .enter = enter,
    .mode = mode,
    .get_reg = get_reg,
    .set_reg = set_reg,
    .get_seg = get_seg,
    .set_seg = set_seg,
    .can_inject = can_inject,
    .inject = inject,
    .request_window = request_window,
    .intercept_dr = intercept_dr,
    .set_pdptes = set_pdptes,
    .set_tsc_offset = set_tsc_offset,
    .flush_guest_tlb = flush,
    .apic = &fake_apic,
    .slat_flush = slat_flush,
    .dump = dump,
};

const struct backend *backend = &fake_backend;

/* ---- The VM --------------------------------------------------------------------------------- */

void fake_add_slot(uint64_t gpa, void *memory, uint64_t size)
{
    fake_vm.slots[fake_vm.slot_count++] =
        (struct mem_slot){GPA(gpa), size, HPA((uint64_t)memory), SLAT_RWX};
}

void fake_set_mode(unsigned int bits)
{
    uint32_t size = bits == 64 ? SEG_ATTR_L : bits == 32 ? SEG_ATTR_DB : 0;
    uint32_t limit = bits == 16 ? 0xffff : 0xffffffff;

    for (unsigned int i = SEG_ES; i <= SEG_GS; i++)
        fake.segs[i] = (struct segment){0, limit, 0x93 | (bits == 32 ? SEG_ATTR_DB : 0), 0};
    fake.segs[SEG_CS].attributes = 0x9b | size;
    fake.segs[SEG_TR] = (struct segment){0, 0xffff, 0x8b, 0};
    fake.regs[VCPU_CR0] = CR0_ET | CR0_NE | (bits > 16 ? CR0_PE : 0) | (bits == 64 ? CR0_PG : 0);
    fake.regs[VCPU_CR4] = bits == 64 ? CR4_PAE : 0;
    fake.regs[VCPU_EFER] = bits == 64 ? EFER_LME | EFER_LMA | EFER_NXE : 0;
    if (bits == 64)
        fake_map_flat();
}

void fake_set_cpl(unsigned int cpl)
{
    fake.segs[SEG_SS].attributes = (fake.segs[SEG_SS].attributes & ~0x60u) | cpl << 5;
    fake.segs[SEG_CS].attributes = (fake.segs[SEG_CS].attributes & ~0x60u) | cpl << 5;
}

void fake_poke64(uint64_t gpa, uint64_t value)
{
    guest_mem_write(&fake_vm, GPA(gpa), &value, 8);
}

uint64_t fake_peek64(uint64_t gpa)
{
    uint64_t value = 0;

    guest_mem_read(&fake_vm, GPA(gpa), &value, 8);
    return value;
}

void fake_map_flat(void)
{
    const uint64_t pml4 = 0x1000, pdpt = 0x2000;

    fake_poke64(pml4, pdpt | 7);
    fake_poke64(pdpt, 0 | 0x87);
    fake_poke64(pdpt + 24, GIB(3) | 0x87);
    fake.regs[VCPU_CR3] = pml4;
}

void fake_code(uint64_t gpa, const void *bytes, unsigned int count)
{
    guest_mem_write(&fake_vm, GPA(gpa), bytes, count);
    fake_vcpus[0].rip = gpa;
}

void fake_start(unsigned int vcpu_count)
{
    static const struct guest_config config = {.name = "fake", .apicv = true};
    static struct pair pair;

    cpuid_init();
    if (!fake_ram)
        fake_ram = aligned_alloc(PAGE_SIZE, FAKE_LOW_RAM);
    memset(fake_ram, 0, FAKE_LOW_RAM);
    memset(&fake_vm, 0, sizeof(fake_vm));
    memset(fake_vcpus, 0, sizeof(fake_vcpus));
    memset(&fake, 0, sizeof(fake));
    fake.fpu_mask = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    fake.now_ns = 1000;
    fake_add_slot(0, fake_ram, FAKE_LOW_RAM);
    memset(&pair, 0, sizeof(pair));
    pair.halves[0].vm = &fake_vm;
    fake_vm.pair = &pair;
    fake_vm.state = VM_RUNNING;
    fake_vm.config = &config;
    fake_vm.vcpu_count = vcpu_count;
    for (unsigned int i = 0; i < vcpu_count; i++) {
        struct vcpu *vcpu = &fake_vcpus[i];

        fake_vm.vcpus[i] = vcpu;
        vcpu->vm = &fake_vm;
        vcpu->id = i;
        vcpu->state = VCPU_RUNNABLE;
        vcpu->fpu.xcr0 = XCR0_X87;
        intr_vcpu_init(vcpu);
    }
    fake.regs[VCPU_RFLAGS] = RFLAGS_RESERVED1;
    fake.regs[VCPU_DR7] = DR7_INIT;
    fake_set_mode(64);
}

/* ---- The CPU -------------------------------------------------------------------------------- */

static uint64_t *cpu_register(greg_t *gregs, unsigned int number)
{
    static const uint8_t order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                    REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                    REG_R12, REG_R13, REG_R14, REG_R15};

    return (uint64_t *)&gregs[order[number & 15]];
}

static uint64_t *hardware_msr(uint32_t msr)
{
    return msr == MSR_EFER        ? &fake.hardware_efer
           : msr == MSR_SPEC_CTRL ? &fake.hardware_spec_ctrl
                                  : &fake.hardware_tsc_aux;
}

static void write_msr(uint32_t msr, uint64_t value)
{
    if (msr == MSR_PRED_CMD)
        fake.ibpbs += value == PRED_CMD_IBPB;
    else if (msr == MSR_FLUSH_CMD)
        fake.l1d_flushes += value == FLUSH_CMD_L1D;
    else
        *hardware_msr(msr) = value;
}

/* XSETBV, MOV DR, MOV to CR2, RDMSR, WRMSR, CLI and STI are done on `fake`; what else a process may
 * not do is an error. */
static void privileged(int signal_number, siginfo_t *info, void *context)
{
    greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *code = (const uint8_t *)gregs[REG_RIP];
    unsigned int rex = (*code & 0xf0) == 0x40 ? *code++ : 0;
    uint64_t edx_eax = (uint64_t)gregs[REG_RDX] << 32 | (uint32_t)gregs[REG_RAX];

    if (code[0] == 0xfa || code[0] == 0xfb) {
        code += 1;
    } else if (code[0] == 0x0f && code[1] == 0x01 && code[2] == 0xd1) {
        fake.xcr0_written = edx_eax;
        code += 3;
    } else if (code[0] == 0x0f && code[1] == 0x30) {
        write_msr((uint32_t)gregs[REG_RCX], edx_eax);
        code += 2;
    } else if (code[0] == 0x0f && code[1] == 0x32) {
        gregs[REG_RAX] = (uint32_t)*hardware_msr((uint32_t)gregs[REG_RCX]);
        gregs[REG_RDX] = 0;
        code += 2;
    } else if (code[0] == 0x0f && (code[1] == 0x21 || code[1] == 0x23)) {
        uint64_t *reg = cpu_register(gregs, (code[2] & 7) | (rex & 1) << 3);

        if (code[1] == 0x21)
            *reg = fake.hardware_dr[code[2] >> 3 & 3];
        else
            fake.hardware_dr[code[2] >> 3 & 3] = *reg;
        code += 3;
    } else if (code[0] == 0x0f && code[1] == 0x22 && (code[2] >> 3 & 7) == 2) {
        fake.hardware_cr2 = *cpu_register(gregs, (code[2] & 7) | (rex & 1) << 3);
        code += 3;
    } else {
        printf("not ok - fault at %p, address %p\n", (const void *)code, info->si_addr);
        signal(SIGSEGV, SIG_DFL);
        return;
    }
    gregs[REG_RIP] = (greg_t)code;
}

void fake_on_cpu(void (*test)(void))
{
    static const size_t stacks = CPU_BLOCK_SIZE - CPU_AREA_SIZE;
    struct sigaction action = {.sa_sigaction = privileged, .sa_flags = SA_SIGINFO};
    uint8_t *space =
        mmap(NULL, 2 * CPU_BLOCK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *block = (uint8_t *)align_up((uint64_t)space, CPU_BLOCK_SIZE);
    ucontext_t here, there;

    sigaction(SIGSEGV, &action, NULL);
    getcontext(&there);
    there.uc_stack.ss_sp = block;
    there.uc_stack.ss_size = stacks;
    there.uc_link = &here;
    makecontext(&there, test, 0);
    swapcontext(&here, &there);
    munmap(space, 2 * CPU_BLOCK_SIZE);
}
