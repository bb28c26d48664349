/* SPDX-License-Identifier: MIT */
/* The absent keyboard controller (see vi8042.h), and the reset and A20 lines that hang on it. */
#include "hv/vdev/vi8042.h"

#define PORT_DATA   0x60
#define PORT_STATUS 0x64
#define PORT_A      0x92

#define COMMAND_WRITE_OUTPUT 0xd1
#define COMMAND_PULSE        0xf0 /* bits 3 to 0: a zero pulses that line low */
#define OUTPUT_NO_RESET      0x01

#define PORT_A_RESET 0x01
#define PORT_A_A20   0x02

static void drive_output(struct vi8042 *i8042, uint8_t value)
{
    if (!(value & OUTPUT_NO_RESET))
        i8042->ops.reset(i8042->ops.ctx);
}

static uint32_t absent_read(void *dev, uint16_t offset, uint8_t size)
{
    return ~0u;
}

static void data_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vi8042 *i8042 = dev;

    if (size != 1 || !i8042->output_port_next)
        return;
    i8042->output_port_next = false;
    drive_output(i8042, (uint8_t)value);
}

static void command_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vi8042 *i8042 = dev;
    uint8_t command = (uint8_t)value;

    if (size != 1)
        return;
    i8042->output_port_next = command == COMMAND_WRITE_OUTPUT;
    if (command >= COMMAND_PULSE)
        drive_output(i8042, command);
}

static uint32_t port_a_read(void *dev, uint16_t offset, uint8_t size)
{
    const struct vi8042 *i8042 = dev;

    return size == 1 ? i8042->port_a : ~0u;
}

static void port_a_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vi8042 *i8042 = dev;

    if (size != 1)
        return;
    i8042->port_a = value & PORT_A_A20;
    if (value & PORT_A_RESET)
        i8042->ops.reset(i8042->ops.ctx);
}

void vi8042_init(struct vi8042 *i8042, const struct vi8042_ops *ops)
{
    *i8042 = (struct vi8042){.port_a = PORT_A_A20, .ops = *ops};
}

void vi8042_ports(struct vi8042 *i8042, struct pio_range ranges[VI8042_PORT_RANGES])
{
    ranges[0] = (struct pio_range){
        .base = PORT_DATA, .count = 1, .dev = i8042, .read = absent_read, .write = data_write};
    ranges[1] = (struct pio_range){
        .base = PORT_STATUS, .count = 1, .dev = i8042, .read = absent_read, .write = command_write};
    ranges[2] = (struct pio_range){
        .base = PORT_A, .count = 1, .dev = i8042, .read = port_a_read, .write = port_a_write};
}
