/* SPDX-License-Identifier: MIT */
/*
 * The virtio block device (virtio 1.2, 5.2) over an image in memory, which is read-only or has
 * pages of its own for what is written: those that were never written are the image's.
 */
#pragma once

#include "hv/vdev/virtio.h"

#include <stddef.h>

#define VIRTIO_BLK_SECTOR  512u
#define VIRTIO_BLK_PAGE    4096u
#define VIRTIO_BLK_ID_SIZE 20

struct virtio_blk_config {
    uint64_t capacity; /* sectors */
    uint32_t size_max, seg_max;
    uint32_t geometry;
    uint32_t blk_size;
    uint8_t topology[8];
    uint8_t writeback, unused0;
    uint16_t num_queues;
    uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
    uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap, unused1[3];
};

STATIC_ASSERT(offsetof(struct virtio_blk_config, max_discard_sectors) == 36, "virtio 1.2, 5.2.4");
STATIC_ASSERT(offsetof(struct virtio_blk_config, write_zeroes_may_unmap) == 56,
              "virtio 1.2, 5.2.4");

struct virtio_blk {
    const uint8_t *image;
    uint64_t size;    /* whole sectors, at least one */
    uint8_t *pages;   /* as large as the image, in whole pages; a null pointer: read-only */
    uint64_t *copied; /* a bit for each page that is the disk's and not the image's any more */
    struct virtio_blk_config config;
    char serial[VIRTIO_BLK_ID_SIZE]; /* padded with zeroes */
};

extern const struct virtio_kind virtio_blk_kind; /* its device is a struct virtio_blk */

/* The words that `copied` needs. */
static inline size_t virtio_blk_words(uint64_t size)
{
    return (size_t)((size + VIRTIO_BLK_PAGE * 64 - 1) / (VIRTIO_BLK_PAGE * 64));
}

/* What the device is to be made with: features and configuration. */
uint64_t virtio_blk_describe(const struct virtio_blk *blk, struct virtio_blk_config *config);
