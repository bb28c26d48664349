/* SPDX-License-Identifier: MIT */
/* A VM's sockets: all that have them meet in one hub. */
#include "hv/board_pci.h"

#include "hv/config.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

static struct virtio_vsock_hub hub;

STATIC_ASSERT(VM_MAX <= VIRTIO_VSOCK_MAX, "a place in the hub for each VM");

/* From another VM, under the hub's lock: its own vCPU does the work. */
static void wake(void *ctx)
{
    struct vm *vm = ctx;

    vcpu_request(vm->vcpus[0], VCPU_REQ_DEVICES);
}

static int init(struct vm *vm, unsigned int unit)
{
    vm->pci.vsock = (struct virtio_vsock){.hub = &hub,
                                          .virtio = &vm->pci.devices[BOARD_VSOCK],
                                          .index = vm->id,
                                          .cid = vm->config->vsock,
                                          .ctx = vm,
                                          .wake = wake};
    return 0;
}

static bool setup_vsock(struct vm *vm, unsigned int unit, struct virtio_setup *setup)
{
    struct virtio_vsock *vsock = &vm->pci.vsock;

    setup->dev = vsock;
    setup->lock = &hub.lock;
    setup->config = &vsock->cid;
    setup->config_size = sizeof(vsock->cid);
    return vsock->cid != 0;
}

const struct board_device board_vsock = {
    .kind = &virtio_vsock_kind, .init = init, .setup = setup_vsock};
