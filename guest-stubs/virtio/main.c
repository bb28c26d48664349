/* SPDX-License-Identifier: MIT */
/*
 * PCI, MSI-X and virtio: what they do for a driver that keeps to the rules, and that one which
 * breaks them harms nobody, itself included.  The guest has a disk of zeroes named "filler", a
 * virtio console, sockets with the context id 77, and a switch for itself.
 */
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/virtio/virtio.h"

void stub_main(void)
{
    find_devices();
    if (!rng.slot || !blk.slot || !console.slot || !vsock.slot || !net.slot)
        fail_at_once("an entropy device, a disk, a console, sockets and a network are there");
    set_up(&rng);
    set_up(&blk);
    set_up(&console);
    set_up(&vsock);
    set_up(&net);
    check_honest();
    check_hostile();
}
