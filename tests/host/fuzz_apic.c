/* SPDX-License-Identifier: MIT */
/*
 * Two local APICs and an I/O APIC wired to each other, driven by arbitrary bytes as a guest would:
 * every register access, interrupt line, message and passing of time.  What must hold after each
 * step is checked.
 */
#include "arch/x86/msr.h"
#include "hv/layout.h"
#include "hv/util.h"
#include "hv/vdev/apic_regs.h"
#include "hv/vdev/vioapic.h"
#include "hv/vdev/vlapic.h"
#include "tests/host/lent_cpu.h"

#include <stddef.h>
#include <string.h>

#define CPUS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cpu {
    struct vlapic apic;
    struct lent_cpu lent; /* who has it while it is lent */
    uint64_t alarm_ns;
} cpus[CPUS];

static uint32_t pages[CPUS][1024] __attribute__((aligned(4096)));

static struct vioapic ioapic;
static struct vlapic *const all[CPUS] = {&cpus[0].apic, &cpus[1].apic};
static uint64_t time_ns;
static uint32_t rotor;
static unsigned int delivered;

static void require(bool condition)
{
    if (!condition)
        __builtin_trap();
}

static uint64_t now(void *ctx)
{
    return time_ns;
}

static void set_alarm(void *ctx, uint64_t deadline_ns)
{
    ((struct cpu *)ctx)->alarm_ns = deadline_ns;
}

static uint64_t tsc_to_ns(void *ctx, uint64_t guest_tsc)
{
    return guest_tsc == UINT64_MAX ? VTIMER_OFF : guest_tsc / 3 + (guest_tsc % 3 != 0);
}

static void deliver(void *ctx, const struct apic_message *message)
{
    require(message->delivery_mode != 3 && message->delivery_mode <= 7 && message->shorthand <= 3);
    delivered++;
    if (message->delivery_mode == APIC_DELIVER_LOWEST) {
        struct vlapic *winner = vlapic_arbitrate(all, CPUS, message, &rotor);

        if (winner != NULL)
            vlapic_post(winner, message->vector, message->level);
        return;
    }
    for (unsigned int i = 0; i < CPUS; i++) {
        if (!vlapic_matches(all[i], message))
            continue;
        if (message->delivery_mode == APIC_DELIVER_FIXED)
            vlapic_post(all[i], message->vector, message->level);
        else if (message->delivery_mode == APIC_DELIVER_INIT)
            vlapic_signal_init(all[i]);
    }
}

static void ended(void *ctx, uint8_t vector)
{
    unsigned int before = delivered;

    vioapic_eoi(&ioapic, vector);
    require(delivered - before <= VIOAPIC_PINS);
}

static void reset(void)
{
    static const struct vioapic_ops ioapic_ops = {.deliver = deliver};

    time_ns = 0;
    rotor = 0;
    for (uint32_t i = 0; i < CPUS; i++) {
        const struct vlapic_ops ops = {.ctx = &cpus[i],
                                       .clock = {&cpus[i], now},
                                       .timer = {&cpus[i], set_alarm},
                                       .tsc_to_ns = tsc_to_ns,
                                       .send_ipi = deliver,
                                       .eoi = ended};

        cpus[i].alarm_ns = VTIMER_OFF;
        vlapic_init(&cpus[i].apic, i, i == 0, &ops);
        vlapic_virtual_wire(&cpus[i].apic);
        cpus[i].apic.page = pages[i];
    }
    vioapic_init(&ioapic, CPUS, &ioapic_ops);
}

/* RVI and SVI are the highest of what the page has, none of which a software APIC could not have.
 */
static void check_lent(const struct cpu *cpu)
{
    struct lent_cpu copy = cpu->lent;

    require(lent_highest(&copy, APIC_IRR0) == copy.status.requested);
    require(lent_highest(&copy, APIC_ISR0) == copy.status.in_service);
    require((*lent_reg(&copy, APIC_IRR0) & 0xffff) == 0);
    require(cpu->apic.depth == 0);
}

/* In service: at most one a class, in rising order, and PPR is what they and TPR give. */
static void check_interrupts(const struct vlapic *apic)
{
    unsigned int class = 0;

    require(apic->depth < VLAPIC_NESTING_LIMIT && apic->in_service[0] == 0);
    for (unsigned int i = 1; i <= apic->depth; i++) {
        require((apic->in_service[i] & 0xf0u) > class);
        class = apic->in_service[i] & 0xf0u;
    }
    require(apic->ppr == ((apic->tpr & 0xf0u) >= class ? apic->tpr : class));
    require((apic->irr[0] & 0xffff) == 0);
    int vector = vlapic_pending(apic);
    require(vector == -1 || (vector & 0xf0) > (apic->ppr & 0xf0));
}

static void check_timer(const struct cpu *cpu)
{
    const struct vlapic *apic = &cpu->apic;

    require(apic->alarm_ns == cpu->alarm_ns);
    require(apic->alarm_ns == VTIMER_OFF || apic->alarm_ns >= apic->deadline_ns);
    require(!(apic->lvt[0] & APIC_LVT_MASKED) || apic->alarm_ns == VTIMER_OFF);
    require(vlapic_register(apic, APIC_TMCCT) <= vlapic_register(apic, APIC_TMICT));
    for (unsigned int i = 0; i < VLAPIC_LVTS && !(apic->svr & APIC_SVR_ENABLE); i++)
        require(apic->lvt[i] & APIC_LVT_MASKED);
}

static void pass_time(uint64_t ns)
{
    unsigned int alarms = 0;
    uint64_t end_ns = time_ns + ns;

    for (unsigned int i = 0; i < CPUS; i++) {
        while (cpus[i].alarm_ns <= end_ns) {
            time_ns = MAX(time_ns, cpus[i].alarm_ns);
            cpus[i].alarm_ns = VTIMER_OFF;
            vlapic_tick(&cpus[i].apic, time_ns);
            require(++alarms <= CPUS * (2 + ns / VLAPIC_MIN_PERIOD_NS));
        }
    }
    time_ns = end_ns;
}

static void accept_next(struct vlapic *apic)
{
    int vector = vlapic_pending(apic);

    if (vector >= 0) {
        vlapic_accept(apic, (uint8_t)vector);
        require(vlapic_pending(apic) == -1 || vlapic_pending(apic) != vector);
    }
}

/* The CPU's part: the guest writes TPR, EOI or SELF IPI, or takes what comes. */
static void use_lent(struct cpu *cpu, uint16_t where)
{
    uint8_t vector = (uint8_t)where;
    int ended_vector;

    if (!cpu->apic.lent)
        return;
    lent_feed(&cpu->lent, &cpu->apic);
    switch (where >> 8 & 3) {
    case 0:
        lent_deliver(&cpu->lent);
        break;
    case 1:
        ended_vector = lent_eoi(&cpu->lent);
        if (ended_vector >= 0)
            vlapic_eoi_seen(&cpu->apic, (uint8_t)ended_vector);
        break;
    case 2:
        lent_set_tpr(&cpu->lent, vector);
        break;
    case 3:
        if (vector >= APIC_FIRST_VECTOR) {
            lent_self_ipi(&cpu->lent, vector);
        } else {
            *lent_reg(&cpu->lent, APIC_SELF_IPI) = vector;
            vlapic_page_written(&cpu->apic, APIC_SELF_IPI * 16);
        }
        break;
    }
}

/* A write that takes an exit though it is lent; those that are the CPU's never come here. */
static void write_x2apic(struct cpu *cpu, unsigned int reg, uint64_t value)
{
    if (!cpu->apic.lent || !vlapic_page_writes(reg))
        vlapic_write_msr(&cpu->apic, MSR_X2APIC_FIRST + reg, value);
}

static void act(struct cpu *cpu, uint8_t what, uint16_t where, uint8_t size, uint64_t value)
{
    struct mmio_range page = vioapic_page(&ioapic);
    struct apic_message message;
    uint64_t read;

    switch (what % 16) {
    case 0:
        write_x2apic(cpu, where % 0x50, value);
        break;
    case 1:
        vlapic_read_msr(&cpu->apic, MSR_X2APIC_FIRST + where % 0x100, &read);
        break;
    case 2:
        vlapic_mmio_write(&cpu->apic, where % 0x41 * 16, 4, value);
        break;
    case 3:
        vlapic_mmio_write(&cpu->apic, where % 0x1000, size, value);
        break;
    case 4:
        vlapic_mmio_read(&cpu->apic, where % 0x1000, size);
        break;
    case 5:
        vlapic_write_msr(&cpu->apic, MSR_APIC_BASE, LAYOUT_LAPIC_BASE | (value & 0xfff));
        break;
    case 6:
        vlapic_write_msr(&cpu->apic, MSR_TSC_DEADLINE, value);
        vlapic_read_msr(&cpu->apic, MSR_TSC_DEADLINE, &read);
        break;
    case 7:
        page.write(page.dev, where % 4 * 16, size, value);
        break;
    case 8:
        page.write(page.dev, where % 0x1000, size, value);
        page.read(page.dev, where % 0x1000, size);
        break;
    case 9:
        vioapic_set_irq(&ioapic, where % 32, value & 1);
        break;
    case 10:
        pass_time(value & 0xffffff);
        break;
    case 11:
        if (!cpu->apic.lent)
            accept_next(&cpu->apic);
        break;
    case 12:
        if (!cpu->apic.lent)
            vlapic_set_cr8(&cpu->apic, where & 15);
        break;
    case 13:
        message = (struct apic_message){.destination = (uint32_t)value,
                                        .vector = (uint8_t)where,
                                        .shorthand = where >> 8 & 3,
                                        .logical = where >> 10 & 1,
                                        .x2apic = where >> 11 & 1};
        deliver(NULL, &message);
        break;
    case 14:
        if (vlapic_can_lend(&cpu->apic))
            lent_begin(&cpu->lent, &cpu->apic);
        break;
    case 15:
        use_lent(cpu, where);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    reset();
    for (; size >= 12; data += 12, size -= 12) {
        uint16_t where;
        uint64_t value;

        memcpy(&where, data + 2, sizeof(where));
        memcpy(&value, data + 4, sizeof(value));
        act(&cpus[data[0] % CPUS], data[0] >> 1, where, (uint8_t)(1 << (data[1] & 3)),
            data[1] & 4 ? value & 0xffff : value);
        for (unsigned int i = 0; i < CPUS; i++) {
            if (cpus[i].apic.lent)
                check_lent(&cpus[i]);
            else
                check_interrupts(&cpus[i].apic);
            check_timer(&cpus[i]);
        }
    }
    return 0;
}
