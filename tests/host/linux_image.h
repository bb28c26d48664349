/* SPDX-License-Identifier: MIT */
/* A synthetic bzImage of protocol 2.15, whose header is like that of Debian's kernel, for the tests
 * of the loaders. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LINUX_SETUP_SIZE   1024 /* setup_sects 1 */
#define LINUX_PAYLOAD_SIZE 4096
#define LINUX_IMAGE_SIZE   (LINUX_SETUP_SIZE + LINUX_PAYLOAD_SIZE)

static inline void linux_put(uint8_t *image, uint32_t offset, uint64_t value, unsigned int size)
{
    memcpy(image + offset, &value, size);
}

static inline void linux_make_image(uint8_t *image)
{
    for (size_t i = 0; i < LINUX_IMAGE_SIZE; i++)
        image[i] = (uint8_t)(i * 7 + i / 256);
    linux_put(image, 0x1f1, 1, 1);
    linux_put(image, 0x1f4, LINUX_PAYLOAD_SIZE / 16, 4);
    linux_put(image, 0x1fe, 0xaa55, 2);
    linux_put(image, 0x200, 0x6aeb, 2);
    memcpy(image + 0x202, "HdrS", 4);
    linux_put(image, 0x206, 0x020f, 2);
    linux_put(image, 0x211, 0x81, 1);
    linux_put(image, 0x214, 0x100000, 4);
    linux_put(image, 0x22c, 0x7fffffff, 4);
    linux_put(image, 0x230, 0x200000, 4);
    linux_put(image, 0x234, 1, 1);
    linux_put(image, 0x236, 0x3f, 2);
    linux_put(image, 0x238, 2047, 4);
    linux_put(image, 0x258, 0x1000000, 8);
    linux_put(image, 0x260, 0x300000, 4);
}
