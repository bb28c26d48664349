/* SPDX-License-Identifier: MIT */
/* Putting a VM's devices together.  Where they lie, layout.h says; what they do, hv/vdev/. */
#include "hv/board.h"

#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
#include "hv/board_pci.h"
#include "hv/config.h"
#include "hv/errno.h"
#include "hv/intr.h"
#include "hv/layout.h"
#include "hv/loop.h"
#include "hv/mem.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

static uint64_t boot_unix_time; /* seconds since 1970 when time_ns() was 0 */

/* ---- Interrupt lines ------------------------------------------------------------------------ */

/* A line ends at the I/O APIC and, where the ISA bus has it, at the 8259: the 8254's at pin 2 of
 * the former and pin 0 of the latter. */
static void set_gsi(struct vm *vm, unsigned int gsi, bool level)
{
    if (gsi != IRQ_PIT)
        vpic_set_irq(&vm->pic, gsi == GSI_PIT ? IRQ_PIT : gsi, level);
    vioapic_set_irq(&vm->ioapic, gsi, level);
}

static void set_irq(void *ctx, unsigned int irq, bool level)
{
    set_gsi(ctx, irq == IRQ_PIT ? GSI_PIT : irq, level);
}

static struct irq_line line(struct vm *vm, unsigned int irq)
{
    return (struct irq_line){.ctx = vm, .gsi = irq, .set = set_irq};
}

static void pic_output(void *ctx, bool level)
{
    intr_pic_changed(ctx, level);
}

static void deliver_message(void *ctx, const struct apic_message *message)
{
    intr_route(ctx, message);
}

void board_pulse(struct vm *vm, unsigned int gsi)
{
    spin_lock(&vm->lock);
    bool level = vm->ioapic.lines >> gsi & 1;
    set_gsi(vm, gsi, !level);
    set_gsi(vm, gsi, level);
    spin_unlock(&vm->lock);
}

/* ---- Time ----------------------------------------------------------------------------------- */

static uint64_t clock_now(void *ctx)
{
    return vm_now_ns(ctx);
}

static void timer_set(void *ctx, uint64_t deadline_ns)
{
    struct vm_timer *timer = ctx;

    timer->deadline_ns = deadline_ns;
    if (deadline_ns == VTIMER_OFF || timer->vm->state != VM_RUNNING)
        loop_timer_cancel(&timer->timer);
    else
        loop_timer_arm(&timer->timer, vm_ns_to_tsc(timer->vm, deadline_ns));
}

static void timer_fired(struct timer *host)
{
    struct vm_timer *timer = CONTAINER_OF(host, struct vm_timer, timer);

    spin_lock(&timer->vm->lock);
    timer->tick(timer->vm, vm_now_ns(timer->vm));
    spin_unlock(&timer->vm->lock);
}

static void pit_tick(struct vm *vm, uint64_t now_ns)
{
    vpit_tick(&vm->pit, now_ns);
}

static void cmos_tick(struct vm *vm, uint64_t now_ns)
{
    vcmos_tick(&vm->cmos, now_ns);
}

static void pm_tick(struct vm *vm, uint64_t now_ns)
{
    vpm_tick(&vm->pm, now_ns);
}

static void pci_tick(struct vm *vm, uint64_t now_ns)
{
    vm->pci_timer.deadline_ns = VTIMER_OFF;
    vcpu_request(vm->vcpus[0],
                 VCPU_REQ_DEVICES); /* in its own time, not in that of who runs here */
}

static void init_timer(struct vm *vm, struct vm_timer *timer, void (*tick)(struct vm *, uint64_t))
{
    timer_init(&timer->timer, timer_fired);
    timer->vm = vm;
    timer->tick = tick;
    timer->deadline_ns = VTIMER_OFF;
}

/* ---- What devices ask of the VM ------------------------------------------------------------- */

static void power_off(void *ctx)
{
    vm_set_due(ctx, DUE_POWER_OFF, 0);
}

static void reset(void *ctx)
{
    vm_set_due(ctx, DUE_RESET, 0);
}

static void debug_exit(void *ctx, uint32_t value)
{
    vm_set_due(ctx, DUE_EXIT, value);
}

/* ---- The console ---------------------------------------------------------------------------- */

static bool uart_put(void *ctx, uint8_t byte)
{
    struct vm *vm = ctx;

    return guest_console_put(&vm->console, byte);
}

static void uart_drained(void *ctx)
{
    struct vm *vm = ctx;

    guest_console_input_ready(&vm->console);
}

static void debugcon_put(void *ctx, uint8_t byte)
{
    uart_put(ctx, byte); /* a full ring loses it: this port has no flow control */
}

static unsigned int console_input(void *ctx, const uint8_t *bytes, unsigned int count)
{
    struct vm *vm = ctx;
    unsigned int taken;

    spin_lock(&vm->lock);
    if (vm->config->input == GUEST_INPUT_VIRTIO)
        taken = board_pci_input(vm, bytes, count);
    else
        taken = vuart_rx(&vm->uart, bytes, count);
    spin_unlock(&vm->lock);
    return taken;
}

static void console_room(void *ctx)
{
    struct vm *vm = ctx;

    spin_lock(&vm->lock);
    vuart_tx_ready(&vm->uart);
    spin_unlock(&vm->lock);
    if (vm->config->input == GUEST_INPUT_VIRTIO)
        vcpu_request(vm->vcpus[0], VCPU_REQ_DEVICES);
}

void board_set_date(uint64_t unix_time)
{
    boot_unix_time = unix_time - time_ns() / 1000000000;
}

uint64_t board_date_ns(void)
{
    return boot_unix_time * 1000000000 + time_ns();
}

/* ---- Reset ---------------------------------------------------------------------------------- */

static void reset_clock(struct vm *vm, const struct vclock *clock)
{
    const struct vcmos_config cmos = {
        .unix_time = board_date_ns() / 1000000000,
        .ram_below_4g = layout_low_size(vm->config->memory),
        .ram_above_4g = layout_high_size(vm->config->memory),
    };
    const struct irq_line irq = line(vm, GSI_RTC);
    const struct vtimer timer = {.ctx = &vm->cmos_timer, .set = timer_set};

    vcmos_init(&vm->cmos, &cmos, &irq, clock, &timer);
}

static void reset_timers(struct vm *vm, const struct vclock *clock)
{
    const struct irq_line pit_irq = line(vm, IRQ_PIT);
    const struct irq_line sci = line(vm, GSI_SCI);
    const struct vtimer pit_timer = {.ctx = &vm->pit_timer, .set = timer_set};
    const struct vtimer pm_timer = {.ctx = &vm->pm_timer, .set = timer_set};
    const struct vpm_ops pm_ops = {.ctx = vm, .power_off = power_off, .reset = reset};

    vpit_init(&vm->pit, &pit_irq, clock, &pit_timer);
    vpm_init(&vm->pm, &pm_ops, &sci, clock, &pm_timer);
}

static void reset_pci(struct vm *vm)
{
    const struct vpci_ops ops = {.ctx = vm, .deliver = deliver_message};
    const struct vtimer timer = {.ctx = &vm->pci_timer, .set = timer_set};

    spin_lock(&vm->lock); /* its timer may be firing still, and finds nothing to do then */
    vtimer_set(&timer, VTIMER_OFF);
    board_pci_reset(vm, &ops, &timer);
    spin_unlock(&vm->lock);
}

static void reset_test_devices(struct vm *vm)
{
    const struct vtestdev_ops ops = {
        .ctx = vm, .exit = debug_exit, .put = debugcon_put, .set_irq = set_irq};

    if (!vm->config->testdev)
        return;
    vtestdev_init(&vm->testdev, &ops, phys_to_virt(vm->test_memory));
    vfwcfg_init(&vm->fwcfg, vm->config->memory, vm->vcpu_count);
}

void board_reset(struct vm *vm)
{
    const struct vclock clock = {.ctx = vm, .now_ns = clock_now};
    const struct vpic_intr intr = {.ctx = vm, .set = pic_output};
    const struct vioapic_ops ioapic_ops = {.ctx = vm, .deliver = deliver_message};
    const struct vuart_backend uart_backend = {
        .ctx = vm, .put = uart_put, .rx_drained = uart_drained};
    const struct irq_line uart_irq = line(vm, GSI_COM1);
    const struct vi8042_ops i8042_ops = {.ctx = vm, .reset = reset};

    vm->pic_intr = false;
    vpic_init(&vm->pic, &intr);
    vioapic_init(&vm->ioapic, IOAPIC_ID, &ioapic_ops);
    vuart_init(&vm->uart, &uart_irq, &uart_backend);
    vi8042_init(&vm->i8042, &i8042_ops);
    reset_test_devices(vm);
    reset_pci(vm);
    reset_timers(vm, &clock);
    reset_clock(vm, &clock);
}

void board_work(struct vm *vm)
{
    spin_lock(&vm->lock);
    board_pci_work(vm);
    spin_unlock(&vm->lock);
}

void board_power_button(struct vm *vm)
{
    spin_lock(&vm->lock);
    vpm_power_button(&vm->pm);
    spin_unlock(&vm->lock);
}

void board_off(struct vm *vm)
{
    board_pci_off(vm);
}

/* ---- Pausing -------------------------------------------------------------------------------- */

static void rearm(struct vm_timer *timer)
{
    timer_set(timer, timer->deadline_ns);
}

void board_pause(struct vm *vm)
{
    loop_timer_stop(&vm->pit_timer.timer);
    loop_timer_stop(&vm->cmos_timer.timer);
    loop_timer_stop(&vm->pm_timer.timer);
    loop_timer_stop(&vm->pci_timer.timer);
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        loop_timer_stop(&vm->vcpus[i]->lapic_timer);
}

void board_resume(struct vm *vm)
{
    rearm(&vm->pit_timer);
    rearm(&vm->cmos_timer);
    rearm(&vm->pm_timer);
    rearm(&vm->pci_timer);
    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        intr_resume_timer(vm->vcpus[i]);
}

/* ---- The wiring ----------------------------------------------------------------------------- */

static void add_ports(struct vm *vm, const struct pio_range *ranges, unsigned int range_count)
{
    for (unsigned int i = 0; i < range_count; i++)
        pio_bus_add(&vm->pio, &ranges[i]);
}

static void add_one(struct vm *vm, struct pio_range range)
{
    pio_bus_add(&vm->pio, &range);
}

static void wire_ports(struct vm *vm)
{
    struct pio_range pic[VPIC_PORT_RANGES], pit[VPIT_PORT_RANGES], pm[VPM_PORT_RANGES];
    struct pio_range i8042[VI8042_PORT_RANGES];
    struct mmio_range ioapic = vioapic_page(&vm->ioapic);

    vpic_ports(&vm->pic, pic);
    vpit_ports(&vm->pit, pit);
    vpm_ports(&vm->pm, PORT_PM_BASE, pm);
    vi8042_ports(&vm->i8042, i8042);
    add_ports(vm, pic, VPIC_PORT_RANGES);
    add_ports(vm, pit, VPIT_PORT_RANGES);
    add_ports(vm, pm, VPM_PORT_RANGES);
    add_ports(vm, i8042, VI8042_PORT_RANGES);
    add_one(vm, vuart_ports(&vm->uart, PORT_COM1));
    add_one(vm, vcmos_ports(&vm->cmos));
    mmio_bus_add(&vm->mmio, &ioapic);
}

static int wire_test_devices(struct vm *vm)
{
    struct pio_range ports[VTESTDEV_PORT_RANGES];
    struct mmio_range memory = vtestdev_memory(&vm->testdev);

    vm->test_memory = mem_alloc(mem_pages(VTESTDEV_MEMORY_SIZE), PAGE_SIZE);
    if (!vm->test_memory.value)
        return -ENOMEM;
    vtestdev_ports(&vm->testdev, ports);
    add_ports(vm, ports, VTESTDEV_PORT_RANGES);
    add_one(vm, vfwcfg_ports(&vm->fwcfg));
    mmio_bus_add(&vm->mmio, &memory);
    return 0;
}

int board_init(struct vm *vm)
{
    const struct guest_console_ops console = {
        .ctx = vm, .input = console_input, .output_room = console_room};

    init_timer(vm, &vm->pit_timer, pit_tick);
    init_timer(vm, &vm->cmos_timer, cmos_tick);
    init_timer(vm, &vm->pm_timer, pm_tick);
    init_timer(vm, &vm->pci_timer, pci_tick);
    wire_ports(vm);
    if (board_pci_init(vm) != 0)
        return -ENOMEM;
    if (vm->config->testdev && wire_test_devices(vm) != 0)
        return -ENOMEM;
    guest_console_add(&vm->console, vm->config->name, &console);
    return 0;
}

void board_destroy(struct vm *vm)
{
    loop_timer_stop(&vm->pit_timer.timer);
    loop_timer_stop(&vm->cmos_timer.timer);
    loop_timer_stop(&vm->pm_timer.timer);
    loop_timer_stop(&vm->pci_timer.timer);
    board_pci_destroy(vm);
    if (vm->console.name)
        guest_console_remove(&vm->console);
    mem_free(vm->test_memory, mem_pages(VTESTDEV_MEMORY_SIZE));
}
