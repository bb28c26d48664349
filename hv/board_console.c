/* SPDX-License-Identifier: MIT */
/* A VM's virtio console, which is the guest's console beside the serial port. */
#include "hv/board_pci.h"

#include "hv/config.h"
#include "hv/vm.h"

static bool put(void *ctx, uint8_t byte)
{
    struct vm *vm = ctx;

    return guest_console_put(&vm->console, byte);
}

static void ready(void *ctx)
{
    struct vm *vm = ctx;

    guest_console_input_ready(&vm->console);
}

unsigned int board_pci_input(struct vm *vm, const uint8_t *bytes, unsigned int count)
{
    unsigned int taken;

    spin_lock(&vm->pci.lock);
    taken = virtio_console_receive(&vm->pci.console, bytes, count);
    spin_unlock(&vm->pci.lock);
    return taken;
}

static int init(struct vm *vm, unsigned int unit)
{
    vm->pci.console = (struct virtio_console){.virtio = &vm->pci.devices[BOARD_CONSOLE],
                                              .ctx = vm,
                                              .put = put,
                                              .ready = ready,
                                              .config = {.ports = 1}};
    return 0;
}

static bool setup_console(struct vm *vm, unsigned int unit, struct virtio_setup *setup)
{
    struct virtio_console *console = &vm->pci.console;

    setup->dev = console;
    setup->features = VIRTIO_CONSOLE_F_EMERG_WRITE;
    setup->config = &console->config;
    setup->config_size = sizeof(console->config);
    return vm->config->input == GUEST_INPUT_VIRTIO;
}

const struct board_device board_console = {
    .kind = &virtio_console_kind, .init = init, .setup = setup_console};
