/* SPDX-License-Identifier: MIT */
/* A VM's network: a port of a switch, which is there while any guest has one. */
#include "hv/board_pci.h"

#include "hv/config.h"
#include "hv/errno.h"
#include "hv/string.h"
#include "hv/vm.h"

STATIC_ASSERT(VSWITCH_NAME_SIZE >= CONFIG_NAME_SIZE, "a switch's name");

/* VMs are made and destroyed on the boot CPU's main loop alone, and so are these. */
static struct vswitch switches[VM_MAX];

/* The one of that name; else a free one, which gets it. */
static struct vswitch *find_switch(const char *name)
{
    struct vswitch *vacant = NULL;

    for (unsigned int i = 0; i < ARRAY_SIZE(switches); i++) {
        if (!switches[i].ports)
            vacant = &switches[i];
        else if (strcmp(switches[i].name, name) == 0)
            return &switches[i];
    }
    if (vacant)
        memcpy(vacant->name, name, strlen(name) + 1);
    return vacant;
}

static int init(struct vm *vm, unsigned int unit)
{
    const struct config_net *config = &vm->config->net;
    struct vswitch *vswitch;

    if (!config->name[0])
        return 0;
    vswitch = find_switch(config->name);
    if (!vswitch)
        return -ENOMEM;
    vm->pci.net.virtio = &vm->pci.devices[BOARD_NET];
    spin_lock(&vswitch->lock);
    virtio_net_attach(&vm->pci.net, vswitch, config->mac);
    spin_unlock(&vswitch->lock);
    return 0;
}

static void destroy(struct vm *vm, unsigned int unit)
{
    struct vswitch *vswitch = vm->pci.net.port.owner;

    if (!vswitch)
        return;
    spin_lock(&vswitch->lock);
    vswitch_detach(&vm->pci.net.port);
    spin_unlock(&vswitch->lock);
}

static bool setup_net(struct vm *vm, unsigned int unit, struct virtio_setup *setup)
{
    struct virtio_net *net = &vm->pci.net;

    if (!net->port.owner)
        return false;
    setup->dev = net;
    setup->features = virtio_net_features();
    setup->config = &net->config;
    setup->config_size = sizeof(net->config);
    setup->lock = &net->port.owner->lock;
    return true;
}

const struct board_device board_net = {
    .kind = &virtio_net_kind, .init = init, .destroy = destroy, .setup = setup_net};
