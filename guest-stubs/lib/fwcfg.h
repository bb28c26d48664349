/* SPDX-License-Identifier: MIT */
/* QEMU's fw_cfg, where "testdev = on": items and files, read through its two ports. */
#pragma once

#include <stdint.h>

#define FWCFG_SELECT    0x510
#define FWCFG_DATA      0x511
#define FWCFG_SIGNATURE 0x00
#define FWCFG_ID        0x01
#define FWCFG_RAM_SIZE  0x03
#define FWCFG_NB_CPUS   0x05
#define FWCFG_MAX_CPUS  0x0f
#define FWCFG_FILE_DIR  0x19

/* An entry of the file etc/e820. */
struct __attribute__((packed)) e820 {
    uint64_t base, size;
    uint32_t type; /* 1 is RAM */
};

/* A number of so many bytes. */
uint64_t fwcfg_item(uint16_t key, unsigned int size);
/* Selects the file and returns its size; 0: it is not there. */
uint32_t fwcfg_open(const char *name);
/* The next bytes of what is selected. */
void fwcfg_read(void *to, unsigned long size);
