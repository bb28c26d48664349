/* SPDX-License-Identifier: MIT */
/* fw_cfg (see vfwcfg.h): the items, made once at reset, and the two ports that read them. */
#include "hv/vdev/vfwcfg.h"

#include <stddef.h>

#define PORTS         2
#define WRITE_CHANNEL 0x4000 /* a bit of the selector that once allowed writing */

#define ITEM(key, member)                                                                      \
    {                                                                                          \
        key, offsetof(struct vfwcfg_items, member), sizeof(((struct vfwcfg_items *)0)->member) \
    }

static const struct {
    uint16_t key, start, size;
} items[] = {
    ITEM(VFWCFG_SIGNATURE, signature), ITEM(VFWCFG_ID, id),
    ITEM(VFWCFG_RAM_SIZE, ram_size),   ITEM(VFWCFG_NB_CPUS, cpus),
    ITEM(VFWCFG_MAX_CPUS, cpus),       ITEM(VFWCFG_FILE_DIR, directory),
    ITEM(VFWCFG_FILE_E820, e820),
};

static uint8_t next_byte(struct vfwcfg *fwcfg)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(items); i++)
        if (items[i].key == fwcfg->key && fwcfg->next < items[i].size)
            return ((const uint8_t *)&fwcfg->items)[items[i].start + fwcfg->next++];
    return 0;
}

static uint32_t read_data(void *dev, uint16_t offset, uint8_t size)
{
    return size == 1 && offset == 1 ? next_byte(dev) : ~0u;
}

static void write_selector(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vfwcfg *fwcfg = dev;

    if (size != 2 || offset != 0)
        return;
    fwcfg->key = (uint16_t)(value & ~(uint32_t)WRITE_CHANNEL);
    fwcfg->next = 0;
}

static void put_e820(struct vfwcfg_items *to, uint64_t memory_size)
{
    struct layout_map map;

    layout_make(memory_size, &map);
    for (unsigned int i = 0; i < map.count; i++)
        to->e820[i] = (struct vfwcfg_e820){.base = map.ranges[i].base,
                                           .size = map.ranges[i].size,
                                           .type = layout_e820_type(map.ranges[i].type)};
    to->directory = (struct vfwcfg_directory){
        .count = __builtin_bswap32(1),
        .size = __builtin_bswap32(map.count * (uint32_t)sizeof(to->e820[0])),
        .key = __builtin_bswap16(VFWCFG_FILE_E820),
        .name = "etc/e820",
    };
}

void vfwcfg_init(struct vfwcfg *fwcfg, uint64_t memory_size, unsigned int cpus)
{
    *fwcfg = (struct vfwcfg){.items = {.signature = {'Q', 'E', 'M', 'U'},
                                       .id = VFWCFG_ID_PORT_IO,
                                       .ram_size = memory_size,
                                       .cpus = (uint16_t)cpus}};
    put_e820(&fwcfg->items, memory_size);
}

struct pio_range vfwcfg_ports(struct vfwcfg *fwcfg)
{
    return (struct pio_range){.base = VFWCFG_PORT,
                              .count = PORTS,
                              .dev = fwcfg,
                              .read = read_data,
                              .write = write_selector};
}
