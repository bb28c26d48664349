/* SPDX-License-Identifier: MIT */
/*
 * Starting the other CPUs takes two steps, so that one which fails costs nothing and leaves no
 * hole. First all of them run the trampoline at once, each takes a slot, compares itself with the
 * boot CPU there, and waits.  Then the boot CPU gives those that are fit an index and a block of
 * their own, one after the other.
 *
 * An INIT ends whatever a CPU that is left out still does: afterwards it runs no code and uses no
 * memory, so that a late one cannot run into a trampoline that is gone.
 */
#include "arch/x86/smp.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpu_list.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/fpu.h"
#include "arch/x86/idt.h"
#include "arch/x86/lapic.h"
#include "arch/x86/mtrr.h"
#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
#include "boot/boot_info.h"
#include "hv/log.h"
#include "hv/mem.h"
#include "hv/panic.h"
#include "hv/printf.h"
#include "hv/string.h"

#define INIT_US    10000u /* from INIT to SIPI, and from SIPI to SIPI: the SDM's figures */
#define SIPI_US    200u
#define ARRIVE_US  500000u  /* until one that has not come is given up; the usual is 1 ms */
#define SETTLE_US  100u     /* until an INIT has certainly arrived */
#define ANSWER_US  1000000u /* for one that has already come: more is a panic */
#define STOP_US    100000u
#define PINGS      8u
#define PING_US    200u  /* for one of them */
#define OFFSET_NS  1000u /* of a TSC, worth a line */
#define SLOT_PAGES (SMP_SLOT_SIZE / PAGE_SIZE)

enum slot_state {
    SLOT_EMPTY,
    SLOT_GIVEN_UP, /* nobody came in time */
    SLOT_REFUSED,  /* the CPU is not like the boot CPU: see why */
    SLOT_CHECKED,  /* it is, and waits for its block */
    SLOT_READY,    /* it runs on its own stack, and answers pings */
    SLOT_LEFT,     /* the boot CPU has done with the slot: so must the other */
};

/* At the bottom of a CPU's first stack.  All but the state is written before what announces it. */
struct slot {
    uint32_t state; /* enum slot_state */
    uint32_t apic_id;
    char why[48];
    struct cpu *cpu; /* its block, when it is there */
    uint32_t ping, pong;
    uint64_t pong_tsc; /* when the ping was seen */
};

STATIC_ASSERT(sizeof(struct slot) < SMP_SLOT_SIZE / 16, "the rest is stack");

/* What must be the same on every CPU besides the features of cpuid.h. */
struct traits {
    uint32_t physical_bits;
    uint64_t xsave; /* the components of CPUID 0Dh */
};

/* ap_trampoline.asm.  The first four lie in the trampoline. */
extern const uint8_t __ap_trampoline_start[], __ap_trampoline_end[]; /* linker.ld */
extern const uint8_t ap_gdt_base[], ap_far_offset[], ap_cr3[], ap_entry[];
extern const uint8_t ap_start64[];
extern uint8_t *ap_slots;
extern uint32_t ap_slot_count, ap_ticket;
NORETURN void smp_ap_main(struct slot *slot);

static struct traits boot_traits;
static void (*secondary_main)(struct cpu *cpu);
static bool all_started;
static void (*before_stop)(struct cpu *cpu);

static enum slot_state get_state(const struct slot *slot)
{
    return (enum slot_state)__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
}

static struct slot *slot_at(uint32_t ticket)
{
    return (struct slot *)(ap_slots + ticket * SMP_SLOT_SIZE);
}

static void set_state(struct slot *slot, enum slot_state state)
{
    __atomic_store_n(&slot->state, state, __ATOMIC_RELEASE);
}

/* From SLOT_EMPTY only: a CPU that comes and a boot CPU that gives up exclude each other. */
static bool claim(struct slot *slot, enum slot_state state)
{
    uint32_t empty = SLOT_EMPTY;

    return __atomic_compare_exchange_n(&slot->state, &empty, state, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static bool wait_for(bool (*done)(const void *ctx), const void *ctx, uint64_t us)
{
    uint64_t start = rdtsc(), ticks = ns_to_tsc(us * 1000);

    while (!done(ctx)) {
        if (rdtsc() - start > ticks)
            return false;
        cpu_relax();
    }
    return true;
}

/* ---- On the CPU that starts ----------------------------------------------------------------- */

/* The id that the CPU was built with: to be read whatever mode its local APIC is in. */
static uint32_t own_apic_id(void)
{
    if (host_cpuid.max_leaf >= 0xb && cpuid(0xb, 0).ebx)
        return cpuid(0xb, 0).edx;
    return cpuid(1, 0).ebx >> 24;
}

static struct traits read_traits(void)
{
    struct traits traits = {0};

    if (host_cpuid.max_extended_leaf >= 0x80000008u)
        traits.physical_bits = cpuid(0x80000008u, 0).eax & 0xff;
    if (cpu_has(FEATURE_XSAVE)) {
        struct cpuid_regs r = cpuid(0xd, 0);
        traits.xsave = (uint64_t)r.edx << 32 | r.eax;
    }
    return traits;
}

/*
 * Guests move between CPUs and the hypervisor asks only one what there is, so all must agree.  The
 * memory types are the one thing that can be mended.
 */
static bool make_like_boot_cpu(char *why, size_t size)
{
    enum cpu_feature missing;
    const char *different = NULL;

    if (!cpuid_matches_host(&missing)) {
        str_format(why, size, "lacks %s", cpu_feature_bits[missing].name);
        return false;
    }
    struct traits traits = read_traits();
    if (traits.physical_bits != boot_traits.physical_bits)
        different = "width of physical addresses";
    else if (traits.xsave != boot_traits.xsave)
        different = "extended state";
    else if (!mtrr_apply())
        different = "set of MTRRs";
    if (different)
        str_format(why, size, "has another %s", different);
    return !different;
}

/* So that the boot CPU can compare the clocks. */
static void answer_pings(struct slot *slot)
{
    uint32_t seen = 0;

    while (get_state(slot) != SLOT_LEFT) {
        uint32_t ping = __atomic_load_n(&slot->ping, __ATOMIC_ACQUIRE);

        if (ping != seen) {
            slot->pong_tsc = rdtsc_ordered();
            __atomic_store_n(&slot->pong, ping, __ATOMIC_RELEASE);
            seen = ping;
        }
        cpu_relax();
    }
}

static void start_on_own_stack(void *argument)
{
    struct slot *slot = argument;
    struct cpu *cpu = this_cpu();

    write_cr3(read_cr3()); /* the trampoline is gone, and this CPU must not remember it */
    cpu_load_tables(cpu);
    lapic_init_secondary();
    fpu_init();
    set_state(slot, SLOT_READY);
    answer_pings(slot);
    __atomic_store_n(&cpu->shared.online, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&all_started, __ATOMIC_ACQUIRE))
        cpu_relax();
    secondary_main(cpu);
    panic("cpu %u has nothing to run", cpu->index);
}

/* From the trampoline, on the slot's stack.  No NMI comes before the CPU has its own: the local
 * APIC's pins are masked, and an IPI goes to online CPUs alone. */
void smp_ap_main(struct slot *slot)
{
    struct cpu *cpu;

    cpu_load_early_tables();
    slot->apic_id = own_apic_id();
    if (!make_like_boot_cpu(slot->why, sizeof(slot->why))) {
        claim(slot, SLOT_REFUSED);
        cpu_park();
    }
    cpu_init_control_registers();
    if (!claim(slot, SLOT_CHECKED))
        cpu_park();
    while (!(cpu = __atomic_load_n(&slot->cpu, __ATOMIC_ACQUIRE)))
        cpu_relax();
    cpu_start_on_stack_of(cpu, start_on_own_stack, slot);
}

/* ---- On the boot CPU: calling them ---------------------------------------------------------- */

static const char *why_out_of_reach(const struct boot_info *info)
{
    if (!info->trampoline || info->trampoline >= MIB(1) || !is_aligned(info->trampoline, PAGE_SIZE))
        return "there is no page below 1 MiB to start them in";
    if (paging_cr3() > UINT32_MAX)
        return "the page tables lie above 4 GiB, where real mode cannot load them from";
    return NULL;
}

static uint64_t label_offset(const uint8_t *label)
{
    return (uint64_t)label - (uint64_t)__ap_trampoline_start;
}

/* Where a label of the trampoline is in its page. */
static void *in_page(uint64_t page, const uint8_t *label)
{
    return (void *)(page + label_offset(label));
}

static void add_to_word(uint64_t page, const uint8_t *label, uint32_t value)
{
    uint32_t word;

    memcpy(&word, in_page(page, label), sizeof(word));
    word += value;
    memcpy(in_page(page, label), &word, sizeof(word));
}

static void lay_trampoline(uint64_t page)
{
    uint64_t entry = (uint64_t)ap_start64;

    paging_map_trampoline(HPA(page), TRAMPOLINE_WRITE);
    memcpy((void *)page, __ap_trampoline_start, label_offset(__ap_trampoline_end));
    add_to_word(page, ap_gdt_base, (uint32_t)page);
    add_to_word(page, ap_far_offset, (uint32_t)page);
    add_to_word(page, ap_cr3, (uint32_t)paging_cr3());
    memcpy(in_page(page, ap_entry), &entry, sizeof(entry));
    paging_map_trampoline(HPA(page), TRAMPOLINE_EXECUTE);
}

static bool all_arrived(const void *unused)
{
    for (uint32_t i = 0; i < ap_slot_count; i++)
        if (get_state(slot_at(i)) == SLOT_EMPTY)
            return false;
    return true;
}

static void send_sipis(const struct cpu_list *list, uint64_t page)
{
    for (unsigned int i = 1; i < list->count; i++)
        lapic_send_sipi(list->apic_ids[i], (uint8_t)(page >> PAGE_SHIFT));
}

/* The second SIPI is for CPUs that missed the first; the others do not take it. */
static void call_all(const struct cpu_list *list, uint64_t page)
{
    for (unsigned int i = 1; i < list->count; i++)
        lapic_send_init(list->apic_ids[i]);
    delay_us(INIT_US);
    send_sipis(list, page);
    if (!wait_for(all_arrived, NULL, SIPI_US))
        send_sipis(list, page);
    wait_for(all_arrived, NULL, ARRIVE_US);
    for (uint32_t i = 0; i < ap_slot_count; i++)
        claim(slot_at(i), SLOT_GIVEN_UP);
}

static void leave_out(uint32_t apic_id, const char *why)
{
    log_warn("cpus: apic %u %s: left out", apic_id, why);
    lapic_send_init(apic_id);
    delay_us(SETTLE_US);
}

/* The slot of a CPU that came, or a null pointer. */
static struct slot *find_slot(uint32_t apic_id)
{
    for (uint32_t i = 0; i < ap_slot_count; i++) {
        struct slot *slot = slot_at(i);
        if (get_state(slot) != SLOT_GIVEN_UP && slot->apic_id == apic_id)
            return slot;
    }
    return NULL;
}

/* ---- On the boot CPU: taking them in -------------------------------------------------------- */

static bool is_ready(const void *ctx)
{
    return get_state(ctx) == SLOT_READY;
}

static bool is_online(const void *ctx)
{
    const struct cpu *cpu = ctx;

    return __atomic_load_n(&cpu->shared.online, __ATOMIC_ACQUIRE);
}

static bool has_answered(const void *ctx)
{
    const struct slot *slot = ctx;

    return __atomic_load_n(&slot->pong, __ATOMIC_ACQUIRE) == slot->ping;
}

/*
 * By how much the CPU's TSC is ahead of this one's, and how far that may be wrong: the quickest
 * answer counts, and it was written somewhere between the question and its arrival.
 */
static int64_t measure_offset(struct slot *slot, uint64_t *error)
{
    int64_t offset = 0;

    *error = UINT64_MAX;
    for (uint32_t n = 1; n <= PINGS; n++) {
        uint64_t before = rdtsc_ordered();
        __atomic_store_n(&slot->ping, n, __ATOMIC_RELEASE);
        if (!wait_for(has_answered, slot, PING_US))
            continue;
        uint64_t half = (rdtsc_ordered() - before) / 2;
        if (half < *error) {
            *error = half;
            offset = (int64_t)(slot->pong_tsc - (before + half));
        }
    }
    return offset;
}

/* What the measurement cannot tell from nothing is not worth a line. */
static void report_offset(const struct cpu *cpu, struct slot *slot)
{
    uint64_t error;
    int64_t offset = measure_offset(slot, &error);
    uint64_t size = (uint64_t)(offset < 0 ? -offset : offset);

    if (size > error && tsc_to_ns(size - error) > OFFSET_NS)
        log_warn("cpus: cpu %u: its tsc is %llu ns %s, give or take %llu", cpu->index,
                 (unsigned long long)tsc_to_ns(size), offset < 0 ? "behind" : "ahead",
                 (unsigned long long)tsc_to_ns(error));
}

/* It has come and was found fit: one that falls silent now is in a state that nobody knows. */
static void take_in(struct slot *slot)
{
    struct cpu *cpu = cpu_create(cpu_count, slot->apic_id);

    if (!cpu) {
        leave_out(slot->apic_id, "has no memory for its stacks");
        return;
    }
    __atomic_store_n(&slot->cpu, cpu, __ATOMIC_RELEASE);
    if (!wait_for(is_ready, slot, ANSWER_US))
        panic("cpu %u (apic %u) came and fell silent", cpu->index, cpu->apic_id);
    report_offset(cpu, slot);
    set_state(slot, SLOT_LEFT);
    if (!wait_for(is_online, cpu, ANSWER_US))
        panic("cpu %u (apic %u) does not go on", cpu->index, cpu->apic_id);
    cpu_count++;
}

/* Those that stay out are out before the trampoline goes; whoever is left waits in C. */
static void leave_out_unfit(const struct cpu_list *list)
{
    for (unsigned int i = 1; i < list->count; i++) {
        const struct slot *slot = find_slot(list->apic_ids[i]);

        if (!slot)
            leave_out(list->apic_ids[i], "did not start");
        else if (get_state(slot) == SLOT_REFUSED)
            leave_out(list->apic_ids[i], slot->why);
    }
}

static void take_in_fit(const struct cpu_list *list)
{
    for (unsigned int i = 1; i < list->count; i++) {
        struct slot *slot = find_slot(list->apic_ids[i]);

        if (slot && get_state(slot) == SLOT_CHECKED)
            take_in(slot);
    }
}

static void start_others(const struct boot_info *info, const struct cpu_list *list)
{
    uint64_t pages = (list->count - 1) * SLOT_PAGES;
    hpa_t slots = mem_alloc(pages, PAGE_SIZE);

    if (!slots.value) {
        log_error("cpus: no memory to start them with");
        return;
    }
    ap_slots = phys_to_virt(slots);
    ap_slot_count = list->count - 1;
    boot_traits = read_traits();
    mtrr_save();
    lay_trampoline(info->trampoline);
    call_all(list, info->trampoline);
    leave_out_unfit(list);
    paging_map_trampoline(HPA(info->trampoline), TRAMPOLINE_NONE);
    take_in_fit(list);
    mem_free(slots, pages);
}

static void log_online(void)
{
    char ids[192] = "";
    size_t length = 0;

    for (unsigned int i = 0; i < cpu_count && length < sizeof(ids); i++)
        length += str_format(ids + length, sizeof(ids) - length, i ? ", %u" : "%u",
                             cpu_by_index(i)->apic_id);
    log_info("cpus: %u online (apic %s%s)", cpu_count, ids, length < sizeof(ids) ? "" : "...");
}

/* ---- Stopping ------------------------------------------------------------------------------- */

static void stop_here(void *unused)
{
    struct cpu *cpu = this_cpu();

    if (before_stop)
        before_stop(cpu);
    __atomic_store_n(&cpu->shared.stopped, 1, __ATOMIC_RELEASE);
    cpu_park();
}

static bool has_stopped(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->shared.stopped, __ATOMIC_ACQUIRE);
}

static bool others_have_stopped(const void *self)
{
    for (unsigned int i = 0; i < cpu_count; i++)
        if (cpu_by_index(i) != self && !has_stopped(cpu_by_index(i)))
            return false;
    return true;
}

void smp_stop_others_now(void)
{
    const struct cpu *self = cpu_current();

    trap_stop_on_nmi();
    for (unsigned int i = 0; i < cpu_count; i++)
        if (cpu_by_index(i) != self && !has_stopped(cpu_by_index(i)))
            lapic_send_nmi(cpu_by_index(i)->apic_id);
    wait_for(others_have_stopped, self, STOP_US);
}

void smp_stop_others(void (*before)(struct cpu *cpu))
{
    const struct cpu *self = this_cpu();

    before_stop = before;
    for (unsigned int i = 0; i < cpu_count; i++)
        if (cpu_by_index(i) != self)
            lapic_send_ipi(cpu_by_index(i)->apic_id, VECTOR_STOP);
    if (!wait_for(others_have_stopped, self, STOP_US))
        smp_stop_others_now();
}

/* ---- Waking --------------------------------------------------------------------------------- */

void smp_kick(struct cpu *cpu)
{
    uint32_t *away = &cpu->shared.away;

    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* between what was posted and what is asked now */
    if (__atomic_load_n(away, __ATOMIC_RELAXED) && __atomic_exchange_n(away, 0, __ATOMIC_SEQ_CST))
        lapic_send_ipi(cpu->apic_id, VECTOR_KICK);
}

/* ---- Start ---------------------------------------------------------------------------------- */

void smp_start(const struct boot_info *info, const struct cpu_list *list,
               void (*main)(struct cpu *cpu))
{
    const char *why_not = why_out_of_reach(info);

    secondary_main = main;
    irq_register(VECTOR_STOP, stop_here, NULL);
    if (list->count > 1 && why_not)
        log_error("cpus: only the boot cpu: %s", why_not);
    else if (list->count > 1)
        start_others(info, list);
    log_online();
    __atomic_store_n(&all_started, true, __ATOMIC_RELEASE);
}
