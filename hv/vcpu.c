/* SPDX-License-Identifier: MIT */
/* A vCPU's life: making it, loading it, running it until it blocks or must leave.  Events are
 * intr.c's. */
#include "hv/vcpu.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/paging.h"
#include "arch/x86/speculation.h"
#include "arch/x86/tsc.h"
#include "hv/apic_assist.h"
#include "hv/board.h"
#include "hv/config.h"
#include "hv/emul.h"
#include "hv/errno.h"
#include "hv/fast.h"
#include "hv/guest_mem.h"
#include "hv/insn.h"
#include "hv/intr.h"
#include "hv/log.h"
#include "hv/mem.h"
#include "hv/panic.h"
#include "hv/printf.h"
#include "hv/pv/kvm_clock.h"
#include "hv/pv/pv.h"
#include "hv/loop.h"
#include "hv/string.h"
#include "hv/vm.h"

/* ---- Registers ------------------------------------------------------------------------------ */

uint64_t vcpu_read_gpr(const struct vcpu *vcpu, unsigned int gpr)
{
    return gpr == GPR_RSP ? backend->get_reg(vcpu, VCPU_RSP) : vcpu->gprs.r[gpr & 15];
}

void vcpu_write_gpr(struct vcpu *vcpu, unsigned int gpr, uint64_t value)
{
    if (gpr == GPR_RSP)
        backend->set_reg(vcpu, VCPU_RSP, value);
    else
        vcpu->gprs.r[gpr & 15] = value;
}

unsigned int vcpu_cpl(const struct vcpu *vcpu)
{
    return backend->mode(vcpu) & MODE_CPL;
}

bool vcpu_is_long_mode(const struct vcpu *vcpu)
{
    return backend->mode(vcpu) & MODE_LONG;
}

bool vcpu_is_64bit(const struct vcpu *vcpu)
{
    return backend->mode(vcpu) & MODE_CODE64;
}

enum insn_mode vcpu_insn_mode(const struct vcpu *vcpu)
{
    unsigned int mode = backend->mode(vcpu);

    if (mode & MODE_CODE64)
        return INSN_64;
    return mode & MODE_CODE32 ? INSN_32 : INSN_16;
}

uint64_t vcpu_guest_tsc(const struct vcpu *vcpu)
{
    return rdtsc() + vcpu->tsc_offset;
}

/* ---- Life ----------------------------------------------------------------------------------- */

/* CS and what RIP points at after RESET: the last 16 bytes below 4 GiB. */
static void reset_segments(struct vcpu *vcpu)
{
    static const struct segment data = {0, 0xffff, 0x93, 0};
    static const struct segment code = {0xffff0000, 0xffff, 0x9b, 0xf000};
    static const struct segment table = {0, 0xffff, 0, 0};
    static const struct segment ldt = {0, 0xffff, SEG_ATTR_P | SEG_SYS_LDT, 0};
    /* A busy 32-bit TSS: Bochs resets the machine at an exit into 64-bit mode that finds a 16-bit
     * one. */
    static const struct segment tss = {0, 0xffff, SEG_ATTR_P | SEG_SYS_TSS_BUSY, 0};

    for (enum vcpu_seg seg = SEG_ES; seg <= SEG_GS; seg++)
        backend->set_seg(vcpu, seg, seg == SEG_CS ? &code : &data);
    backend->set_seg(vcpu, SEG_LDTR, &ldt);
    backend->set_seg(vcpu, SEG_TR, &tss);
    backend->set_seg(vcpu, SEG_GDTR, &table);
    backend->set_seg(vcpu, SEG_IDTR, &table);
}

static void load_debug_registers(const struct vcpu *vcpu)
{
    write_dr0(vcpu->dr[0]);
    write_dr1(vcpu->dr[1]);
    write_dr2(vcpu->dr[2]);
    write_dr3(vcpu->dr[3]);
}

static void reset_registers(struct vcpu *vcpu)
{
    static const struct {
        enum vcpu_reg reg;
        uint64_t value;
    } values[] = {
        {VCPU_CR0, CR0_CD | CR0_NW | CR0_ET},
        {VCPU_CR2, 0},
        {VCPU_CR3, 0},
        {VCPU_CR4, 0},
        {VCPU_EFER, 0},
        {VCPU_RSP, 0},
        {VCPU_RFLAGS, RFLAGS_RESERVED1},
        {VCPU_DR6, DR6_INIT},
        {VCPU_DR7, DR7_INIT},
        {VCPU_BLOCKING, 0},
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(values); i++)
        backend->set_reg(vcpu, values[i].reg, values[i].value);
    memset(&vcpu->gprs, 0, sizeof(vcpu->gprs));
    memset(vcpu->dr, 0, sizeof(vcpu->dr));
    if (vcpu->debug_used)
        load_debug_registers(vcpu);
    vcpu->gprs.r[GPR_RDX] = cpuid(1, 0).eax;
    vcpu->rip = 0xfff0;
}

static void reset_msrs(struct vcpu *vcpu)
{
    vcpu->msrs = (struct vcpu_msrs){
        .misc_enable = MISC_ENABLE_FAST_STRING | MISC_ENABLE_BTS_UNAVAIL | MISC_ENABLE_PEBS_UNAVAIL,
        .bios_sign_id = 0x100000000ull,
        .mtrr_def_type =
            MTRR_DEF_E | MEMTYPE_WB, /* as firmware leaves it; without it Linux turns PAT off */
        .hwcr = HWCR_TSCFREQSEL,
    };
}

/* What is switched with a vCPU and lies outside the backend.  It is not loaded meanwhile, or the
 * hardware's registers of the run before would be saved over it. */
static void reset_switched(struct vcpu *vcpu)
{
    vcpu_unload(vcpu);
    fpu_state_init(&vcpu->fpu, vcpu->fpu.area);
    reset_msrs(vcpu);
    vcpu->debug_used = false;
}

/* What RESET clears and INIT keeps: SDM, "Processor State After Reset". */
static const struct {
    enum vcpu_reg reg;
    uint64_t reset;
} kept_by_init[] = {
    {VCPU_SYSENTER_CS, 0}, {VCPU_SYSENTER_ESP, 0}, {VCPU_SYSENTER_EIP, 0}, {VCPU_STAR, 0},
    {VCPU_LSTAR, 0},       {VCPU_CSTAR, 0},        {VCPU_SFMASK, 0},       {VCPU_KERNEL_GS_BASE, 0},
    {VCPU_DEBUGCTL, 0},    {VCPU_PAT, PAT_RESET},
};

/* The backend starts from nothing. */
static void reset_backend(struct vcpu *vcpu, bool init)
{
    uint64_t values[ARRAY_SIZE(kept_by_init)];

    for (unsigned int i = 0; i < ARRAY_SIZE(values); i++)
        values[i] = init ? backend->get_reg(vcpu, kept_by_init[i].reg) : kept_by_init[i].reset;
    backend->vcpu_reset(vcpu);
    vcpu->pause_exits = false;
    for (unsigned int i = 0; i < ARRAY_SIZE(values); i++)
        backend->set_reg(vcpu, kept_by_init[i].reg, values[i]);
}

void vcpu_reset(struct vcpu *vcpu, bool init)
{
    if (!init)
        reset_switched(vcpu);
    vcpu_load(vcpu);
    reset_backend(vcpu, init);
    reset_segments(vcpu);
    reset_registers(vcpu);
    vcpu->exception.type = vcpu->requeued.type = EVENT_NONE;
    vcpu->nmi_pending = 0;
    vcpu->absent_gpa = 0;
    pv_reset(vcpu);
    if (init)
        vlapic_signal_init(&vcpu->lapic);
    else
        vlapic_reset(&vcpu->lapic);
    apic_assist_update(vcpu);
    emul_cpuid_changed(vcpu);
    vcpu->state = vcpu->id == 0 ? VCPU_RUNNABLE : VCPU_WAIT_SIPI;
}

struct vcpu *vcpu_create(struct vm *vm, unsigned int id)
{
    hpa_t area = mem_alloc(fpu_area_pages(), PAGE_SIZE);
    struct vcpu *vcpu;

    if (!area.value)
        return NULL;
    vcpu = backend->vcpu_create(vm, id);
    if (!vcpu) {
        mem_free(area, fpu_area_pages());
        return NULL;
    }
    vcpu->vm = vm;
    vcpu->id = id;
    vcpu->trace_id = TRACE_VCPU(vm->id, id);
    vcpu->state = VCPU_DEAD;
    fpu_state_init(&vcpu->fpu, phys_to_virt(area));
    intr_vcpu_init(vcpu);
    if (apic_assist_create(vcpu) != 0) {
        vcpu_destroy(vcpu);
        return NULL;
    }
    return vcpu;
}

void vcpu_destroy(struct vcpu *vcpu)
{
    hpa_t area = virt_to_phys(vcpu->fpu.area);

    loop_timer_stop(&vcpu->lapic_timer); /* before it has no home: its firing would wake it */
    vcpu_unload(vcpu);
    loop_leave(vcpu);
    apic_assist_destroy(vcpu);
    backend->vcpu_destroy(vcpu);
    mem_free(area, fpu_area_pages());
}

/* ---- Loading -------------------------------------------------------------------------------- */

static void save_debug_registers(struct vcpu *vcpu)
{
    vcpu->dr[0] = read_dr0();
    vcpu->dr[1] = read_dr1();
    vcpu->dr[2] = read_dr2();
    vcpu->dr[3] = read_dr3();
}

void vcpu_unload(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;

    if (!cpu)
        return;
    ASSERT(cpu == this_cpu());
    if (vcpu->debug_used)
        save_debug_registers(vcpu);
    if (cpu_has(FEATURE_RDTSCP))
        vcpu->msrs.tsc_aux = rdmsr(MSR_TSC_AUX);
    fpu_save(&vcpu->fpu);
    backend->vcpu_put(vcpu);
    cpu->vcpu = NULL;
    __atomic_store_n(&vcpu->cpu, NULL, __ATOMIC_RELEASE); /* another CPU may load it now */
}

void vcpu_load(struct vcpu *vcpu)
{
    struct cpu *cpu = this_cpu();

    if (vcpu->cpu == cpu)
        return;
    ASSERT(!vcpu->cpu);
    if (cpu->vcpu)
        vcpu_unload(cpu->vcpu);
    if (unlikely(cpu->guest != vcpu->vm->number))
        speculation_change_guest(cpu, vcpu->vm->number);
    vcpu->cpu = cpu;
    cpu->vcpu = vcpu;
    backend->vcpu_load(vcpu, cpu);
    fpu_restore(&vcpu->fpu);
    if (cpu_has(FEATURE_RDTSCP))
        wrmsr(MSR_TSC_AUX, vcpu->msrs.tsc_aux);
    if (vcpu->debug_used)
        load_debug_registers(vcpu);
}

void vcpu_use_debug_registers(struct vcpu *vcpu)
{
    vcpu->debug_used = true;
    load_debug_registers(vcpu);
    backend->intercept_dr(vcpu, false);
}

/* ---- Running -------------------------------------------------------------------------------- */

/* What an exit of this kind was, where the CPU does not give the length. */
static enum insn_op expected_insn(const struct vm_exit *exit)
{
    switch (exit->kind) {
    case EXIT_CPUID:
        return INSN_OP_CPUID;
    case EXIT_HLT:
        return INSN_OP_HLT;
    case EXIT_PAUSE:
        return INSN_OP_PAUSE;
    case EXIT_HYPERCALL:
        return backend->hypercall_opcode[2] == 0xd9 ? INSN_OP_VMMCALL : INSN_OP_VMCALL;
    case EXIT_RDMSR:
        return INSN_OP_RDMSR;
    case EXIT_WRMSR:
        return INSN_OP_WRMSR;
    case EXIT_RDPMC:
        return INSN_OP_RDPMC;
    case EXIT_XSETBV:
        return INSN_OP_XSETBV;
    default:
        return INSN_OP_NONE;
    }
}

/*
 * The length of the instruction that exited, from its bytes; 0 when they are another instruction by
 * now (another vCPU has changed the code) or cannot be read: then it is simply executed again.
 */
static unsigned int decode_length(struct vcpu *vcpu, const struct vm_exit *exit)
{
    enum insn_op expected = expected_insn(exit);
    uint8_t bytes[INSN_MAX_LENGTH];
    struct insn insn;
    int length;

    if (expected == INSN_OP_NONE)
        return emul_decode(vcpu, &insn) == 0 ? insn.length : 0;
    length = insn_length_of(expected, bytes, guest_fetch_begun(vcpu, bytes, sizeof(bytes)),
                            vcpu_insn_mode(vcpu));
    return length > 0 ? (unsigned int)length : 0;
}

/* From the CPU, from a handler that has decoded the instruction, or else decoded now. */
static unsigned int insn_length(struct vcpu *vcpu, const struct vm_exit *exit)
{
    if (exit->insn_len)
        return exit->insn_len;
    return vcpu->insn_len ? vcpu->insn_len : decode_length(vcpu, exit);
}

/*
 * Go on behind the instruction: blocking by STI and MOV SS ends, EIP wraps outside 64-bit code, and
 * a set TF raises #DB.
 */
static void advance(struct vcpu *vcpu, const struct vm_exit *exit)
{
    unsigned int length = insn_length(vcpu, exit);
    uint64_t blocking;

    if (!length)
        return;
    vcpu->rip += length;
    if (vcpu->rip > UINT32_MAX && !vcpu_is_64bit(vcpu))
        vcpu->rip = (uint32_t)vcpu->rip;
    blocking = backend->get_reg(vcpu, VCPU_BLOCKING);
    if (unlikely(blocking & (BLOCKING_STI | BLOCKING_MOV_SS)))
        backend->set_reg(vcpu, VCPU_BLOCKING,
                         blocking & ~(uint64_t)(BLOCKING_STI | BLOCKING_MOV_SS));
    if (unlikely(backend->get_reg(vcpu, VCPU_RFLAGS) & RFLAGS_TF))
        inject_db(vcpu, DR6_BS);
}

/* The CPU was delivering an event when it exited: it is delivered again, unless the handler finds a
 * fault. */
static void requeue_vectoring(struct vcpu *vcpu, const struct vm_exit *exit)
{
    const struct vm_event *event = &exit->vectoring;

    if (event->type == EVENT_INTR || event->type == EVENT_NMI)
        vcpu->requeued = *event;
    else
        vcpu->exception = *event;
    vcpu->check_events = true;
}

/* False when the vCPU has to leave the CPU. */
static bool handle_requests(struct vcpu *vcpu)
{
    uint32_t requests = __atomic_exchange_n(&vcpu->requests, 0, __ATOMIC_ACQUIRE);

    if (requests & VCPU_REQ_INIT)
        vcpu_reset(vcpu, true);
    if ((requests & VCPU_REQ_SIPI) && vcpu->state == VCPU_WAIT_SIPI)
        intr_start_at_sipi(vcpu);
    if (requests & VCPU_REQ_CLOCK)
        kvm_clock_update(vcpu);
    if (requests & VCPU_REQ_DEVICES)
        board_work(vcpu->vm);
    if ((requests & VCPU_REQ_TIMER) && vlapic_tick(&vcpu->lapic, vm_now_ns(vcpu->vm)))
        requests |= VCPU_REQ_EVENT;
    if ((requests & VCPU_REQ_EVENT) && vcpu->state == VCPU_HALTED && intr_wakes(vcpu))
        vcpu->state = VCPU_RUNNABLE;
    if ((requests & VCPU_REQ_MEMORY) && vcpu->state == VCPU_WAIT_MEMORY)
        vcpu->state = VCPU_RUNNABLE;
    if (requests & VCPU_REQ_EVENT)
        vcpu->check_events = true;
    return !(requests & VCPU_REQ_LEAVE);
}

static bool act(struct vcpu *vcpu, const struct vm_exit *exit)
{
    vcpu->insn_len = 0;
    switch (exit_handlers[exit->kind](vcpu, exit)) {
    case ACTION_RESUME:
        return true;
    case ACTION_ADVANCE:
        advance(vcpu, exit);
        return true;
    case ACTION_BLOCK:
        advance(vcpu, exit);
        if (intr_wakes(vcpu)) {
            vcpu->check_events = true;
            return true;
        }
        vcpu->state = VCPU_HALTED;
        return true; /* the loop looks at requests once more, then at the state */
    case ACTION_WAIT:
        vcpu->state = VCPU_WAIT_MEMORY;
        return true;
    case ACTION_STOP:
        return false;
    }
    panic("an exit handler answered nonsense");
}

/* Enter, unless somebody wants something.  True: there is an exit to be handled. */
static bool enter(struct vcpu *vcpu, struct cpu *cpu, struct vm_exit *exit)
{
    bool exited = false;

    vcpu->fast = vcpu->vm->config->fast && !exit_times_are_on;
    cpu_away_begin(cpu, CPU_IN_GUEST);
    if (!__atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED) &&
        !__atomic_load_n(&cpu->shared.work, __ATOMIC_RELAXED))
        exited = backend->enter(vcpu, exit);
    cpu_away_end(cpu);
    return exited;
}

/* False when the vCPU has to leave the CPU. */
static bool handle(struct vcpu *vcpu, const struct vm_exit *exit)
{
    uint64_t begin = rdtsc();
    bool stays;

    note_exit(vcpu, exit->kind, begin, vcpu->rip, exit->raw.reason, exit->raw.info1);
    if (unlikely(exit->vectoring.type))
        requeue_vectoring(vcpu, exit);
    stays = act(vcpu, exit);
    if (unlikely(exit_times_are_on))
        exit_time_add(&vcpu->exit_times[exit->kind], rdtsc() - begin);
    return stays;
}

void vcpu_run(struct vcpu *vcpu)
{
    struct cpu *cpu = this_cpu();
    struct vm_exit exit;

    vcpu_load(vcpu);
    for (;;) {
        bool exited;

        if (__atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED) && !handle_requests(vcpu))
            return;
        if (vcpu->state != VCPU_RUNNABLE || cpu->shared.work)
            return;
        if (vcpu->check_events || vcpu->exception.type)
            intr_deliver(vcpu);
        exited = enter(vcpu, cpu, &exit);
        /*
         * Whatever the exit was, the host's interrupts get in: where one is pending that saves an
         * exit. (Bochs 2.7 needs it: a physical interrupt that is pending at the VM entry of a
         * guest with IF = 0 ends that guest only when it changes IF.)
         */
        cpu_take_interrupts();
        if (exited && !handle(vcpu, &exit))
            return;
    }
}

void vcpu_request(struct vcpu *vcpu, uint32_t bits)
{
    __atomic_fetch_or(&vcpu->requests, bits, __ATOMIC_RELEASE);
    loop_wake(vcpu);
}

/* ---- Dump ----------------------------------------------------------------------------------- */

static void dump_code(struct vcpu *vcpu)
{
    uint8_t bytes[INSN_MAX_LENGTH];
    char text[3 * INSN_MAX_LENGTH + 1] = "";
    unsigned int count = guest_fetch(vcpu, bytes, sizeof(bytes));

    for (unsigned int i = 0; i < count; i++)
        str_format(text + 3 * i, 4, " %02x", bytes[i]);
    log_error("  code:%s", count ? text : " not readable");
}

static void dump_walk(struct vcpu *vcpu)
{
    struct segment cs;
    struct guest_walk walk;

    backend->get_seg(vcpu, SEG_CS, &cs);
    guest_walk(vcpu, (vcpu_is_64bit(vcpu) ? 0 : cs.base) + vcpu->rip, ACCESS_FETCH | ACCESS_QUIET,
               &walk);
    for (unsigned int i = 0; i < walk.step_count; i++)
        log_error("  walk: level %u at gpa 0x%llx: 0x%016llx", walk.steps[i].level,
                  (unsigned long long)walk.steps[i].entry_gpa.value,
                  (unsigned long long)walk.steps[i].entry);
    log_error("  walk: rip is %s gpa 0x%llx", walk.ok ? "at" : "not mapped,",
              (unsigned long long)walk.gpa.value);
}

static void dump_exits(const struct vcpu *vcpu)
{
    const struct trace_ring *ring = &this_cpu()->trace;
    const struct trace_entry *entry;

    for (unsigned int n = 0; n < 8 && (entry = trace_back(ring, n)); n++)
        if (entry->vcpu == TRACE_VCPU(vcpu->vm->id, vcpu->id))
            log_error("  exit: %s at 0x%llx, 0x%llx 0x%llx", exit_kind_name(entry->kind),
                      (unsigned long long)entry->rip, (unsigned long long)entry->info[0],
                      (unsigned long long)entry->info[1]);
}

void vcpu_dump(struct vcpu *vcpu)
{
    static const char *const names[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                 "rsi", "rdi", "r8 ", "r9 ", "r10", "r11",
                                                 "r12", "r13", "r14", "r15"};
    struct segment cs;
    struct segment ss;

    vcpu_load(vcpu);
    for (unsigned int i = 0; i < GPR_COUNT; i += 4)
        log_error("  %s %016llx %s %016llx %s %016llx %s %016llx", names[i],
                  (unsigned long long)vcpu_read_gpr(vcpu, i), names[i + 1],
                  (unsigned long long)vcpu_read_gpr(vcpu, i + 1), names[i + 2],
                  (unsigned long long)vcpu_read_gpr(vcpu, i + 2), names[i + 3],
                  (unsigned long long)vcpu_read_gpr(vcpu, i + 3));
    backend->get_seg(vcpu, SEG_CS, &cs);
    backend->get_seg(vcpu, SEG_SS, &ss);
    log_error("  rip %016llx rflags %llx cs %04x base %llx ss %04x", (unsigned long long)vcpu->rip,
              (unsigned long long)backend->get_reg(vcpu, VCPU_RFLAGS), cs.selector,
              (unsigned long long)cs.base, ss.selector);
    log_error("  cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx",
              (unsigned long long)backend->get_reg(vcpu, VCPU_CR0),
              (unsigned long long)backend->get_reg(vcpu, VCPU_CR2),
              (unsigned long long)backend->get_reg(vcpu, VCPU_CR3),
              (unsigned long long)backend->get_reg(vcpu, VCPU_CR4),
              (unsigned long long)backend->get_reg(vcpu, VCPU_EFER));
    dump_code(vcpu);
    dump_walk(vcpu);
    dump_exits(vcpu);
}
