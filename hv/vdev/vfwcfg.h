/* SPDX-License-Identifier: MIT */
/*
 * QEMU's fw_cfg (QEMU, docs/specs/fw_cfg): a table of items by which a machine describes itself to
 * programs without other means.  Present only in a guest whose configuration asks for it.
 *
 *   510h  selector  a word written selects an item and begins it anew
 *   511h  data      a byte read is the item's next; behind its end, and of no item, 0
 *
 * There are the signature, the size of memory, the number of CPUs, and one file, the memory map.
 * Nothing is written through it, and there is no DMA.
 */
#pragma once

#include "hv/layout.h"
#include "hv/util.h"
#include "hv/vdev/vdev.h"

#include <stdint.h>

#define VFWCFG_PORT 0x510

#define VFWCFG_SIGNATURE  0x00
#define VFWCFG_ID         0x01
#define VFWCFG_RAM_SIZE   0x03
#define VFWCFG_NB_CPUS    0x05
#define VFWCFG_MAX_CPUS   0x0f
#define VFWCFG_FILE_DIR   0x19
#define VFWCFG_FILE_E820  0x20 /* the first of the files' */
#define VFWCFG_NAME_SIZE  56
#define VFWCFG_ID_PORT_IO 1

struct vfwcfg_e820 {
    uint64_t base, size;
    uint32_t type;
} PACKED;

/* The numbers of the directory are big-endian. */
struct vfwcfg_directory {
    uint32_t count;
    uint32_t size; /* of the one file */
    uint16_t key;
    uint16_t reserved;
    char name[VFWCFG_NAME_SIZE];
} PACKED;

struct vfwcfg_items {
    uint64_t ram_size;
    uint8_t signature[4];
    uint32_t id;
    uint16_t cpus;
    struct vfwcfg_directory directory;
    struct vfwcfg_e820 e820[LAYOUT_MAX_RANGES];
};

struct vfwcfg {
    uint16_t key;  /* the item that is selected */
    uint32_t next; /* its byte that is read next */
    struct vfwcfg_items items;
};

void vfwcfg_init(struct vfwcfg *fwcfg, uint64_t memory_size, unsigned int cpus);
struct pio_range vfwcfg_ports(struct vfwcfg *fwcfg);
