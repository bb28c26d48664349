/* SPDX-License-Identifier: MIT */
/*
 * The virtio block device: requests, and the disk behind them.  All of it is memory, so that a
 * flush has nothing to do; what is discarded reads as zeroes.
 */
#include "hv/vdev/virtio_blk.h"

#include "hv/errno.h"
#include "hv/string.h"
#include "hv/util.h"

#define F_SIZE_MAX     BIT(1)
#define F_SEG_MAX      BIT(2)
#define F_RO           BIT(5)
#define F_BLK_SIZE     BIT(6)
#define F_FLUSH        BIT(9)
#define F_DISCARD      BIT(13)
#define F_WRITE_ZEROES BIT(14)

#define STATUS_OK          0
#define STATUS_IO_ERROR    1
#define STATUS_UNSUPPORTED 2

/* A request moves at most SEGMENT_MAX * SEGMENTS bytes: what one exit may take. */
#define SEGMENT_MAX 0x4000u
#define SEGMENTS    (VIRTQ_MAX_BUFFERS - 2) /* without header and status */
#define ZERO_MAX    (0x100000u / VIRTIO_BLK_SECTOR)

enum {
    TYPE_IN = 0,
    TYPE_OUT = 1,
    TYPE_FLUSH = 4,
    TYPE_GET_ID = 8,
    TYPE_DISCARD = 11,
    TYPE_WRITE_ZEROES = 13
};

struct header {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};

/* Of discard and write zeroes. */
struct range {
    uint64_t sector;
    uint32_t sectors;
    uint32_t flags; /* bit 0: unmap, for write zeroes alone */
};

/* ---- The disk ------------------------------------------------------------------------------- */

static bool is_copied(const struct virtio_blk *blk, uint64_t offset)
{
    uint64_t page = offset / VIRTIO_BLK_PAGE;

    return blk->pages && (blk->copied[page / 64] >> page % 64 & 1);
}

static const uint8_t *to_read(const struct virtio_blk *blk, uint64_t offset)
{
    return (is_copied(blk, offset) ? blk->pages : blk->image) + offset;
}

/* The page around the offset becomes the disk's own. */
static uint8_t *to_write(struct virtio_blk *blk, uint64_t offset)
{
    uint64_t page = offset / VIRTIO_BLK_PAGE, start = page * VIRTIO_BLK_PAGE;

    if (!is_copied(blk, offset)) {
        memcpy(blk->pages + start, blk->image + start, MIN(VIRTIO_BLK_PAGE, blk->size - start));
        blk->copied[page / 64] |= BIT(page % 64);
    }
    return blk->pages + offset;
}

/* What of a range lies in the page that it begins in. */
static uint64_t in_page(uint64_t offset, uint64_t size)
{
    return MIN(size, VIRTIO_BLK_PAGE - offset % VIRTIO_BLK_PAGE);
}

static bool on_disk(const struct virtio_blk *blk, uint64_t sector, uint64_t size)
{
    uint64_t capacity = blk->size / VIRTIO_BLK_SECTOR;

    return size % VIRTIO_BLK_SECTOR == 0 && sector <= capacity &&
           size / VIRTIO_BLK_SECTOR <= capacity - sector;
}

/* ---- Requests: the status, or a negative errno ---------------------------------------------- */

static int read_disk(const struct virtio_blk *blk, struct virtq_chain *chain, uint64_t sector)
{
    uint64_t offset = sector * VIRTIO_BLK_SECTOR, size = chain->writable - 1;

    if (!on_disk(blk, sector, size) || size > SEGMENTS * SEGMENT_MAX)
        return STATUS_IO_ERROR;
    while (size) {
        uint64_t piece = in_page(offset, size);
        int error = virtq_push(chain, to_read(blk, offset), piece);

        if (error)
            return error;
        offset += piece;
        size -= piece;
    }
    return STATUS_OK;
}

static int write_disk(struct virtio_blk *blk, struct virtq_chain *chain, uint64_t sector)
{
    uint64_t offset = sector * VIRTIO_BLK_SECTOR, size = chain->readable;

    if (!blk->pages || !on_disk(blk, sector, size) || size > SEGMENTS * SEGMENT_MAX)
        return STATUS_IO_ERROR;
    while (size) {
        uint64_t piece = in_page(offset, size);
        int error = virtq_pull(chain, to_write(blk, offset), piece);

        if (error)
            return error;
        offset += piece;
        size -= piece;
    }
    return STATUS_OK;
}

static int zero_disk(struct virtio_blk *blk, struct virtq_chain *chain, uint32_t type)
{
    struct range range;
    uint64_t offset, size;
    int error = virtq_pull(chain, &range, sizeof(range));

    if (error)
        return error;
    if (!blk->pages || range.flags & ~(type == TYPE_WRITE_ZEROES ? 1u : 0u))
        return STATUS_UNSUPPORTED;
    size = (uint64_t)range.sectors * VIRTIO_BLK_SECTOR;
    if (chain->readable || range.sectors > ZERO_MAX || !on_disk(blk, range.sector, size))
        return STATUS_IO_ERROR;
    chain->work = size;
    for (offset = range.sector * VIRTIO_BLK_SECTOR; size;) {
        uint64_t piece = in_page(offset, size);

        memset(to_write(blk, offset), 0, piece);
        offset += piece;
        size -= piece;
    }
    return STATUS_OK;
}

static int get_id(const struct virtio_blk *blk, struct virtq_chain *chain)
{
    int error = virtq_push(chain, blk->serial, MIN(chain->writable - 1, VIRTIO_BLK_ID_SIZE));

    return error ? error : STATUS_OK;
}

static int serve(struct virtio_blk *blk, struct virtq_chain *chain, const struct header *header)
{
    switch (header->type) {
    case TYPE_IN:
        return read_disk(blk, chain, header->sector);
    case TYPE_OUT:
        return write_disk(blk, chain, header->sector);
    case TYPE_FLUSH:
        return STATUS_OK;
    case TYPE_GET_ID:
        return get_id(blk, chain);
    case TYPE_DISCARD:
    case TYPE_WRITE_ZEROES:
        return zero_disk(blk, chain, header->type);
    default:
        return STATUS_UNSUPPORTED;
    }
}

/* A header to read, a byte for the status to write; between them what the type calls for. */
static int request(void *dev, unsigned int queue, struct virtq_chain *chain, uint32_t *written)
{
    struct header header;
    int status;

    if (chain->writable == 0 || virtq_pull(chain, &header, sizeof(header)) != 0)
        return -EINVAL;
    status = serve(dev, chain, &header);
    if (status < 0)
        return status;
    *written = (uint32_t)chain->pushed + 1;
    return virtq_push_last(chain, (uint8_t)status);
}

/* ---- Making one ----------------------------------------------------------------------------- */

const struct virtio_kind virtio_blk_kind = {
    .id = 2, .class = 0x018000, .queues = 1, .queue_size = 256, .request = request};

uint64_t virtio_blk_describe(const struct virtio_blk *blk, struct virtio_blk_config *config)
{
    *config = (struct virtio_blk_config){
        .capacity = blk->size / VIRTIO_BLK_SECTOR,
        .size_max = SEGMENT_MAX,
        .seg_max = SEGMENTS,
        .blk_size = VIRTIO_BLK_SECTOR,
        .num_queues = 1,
        .max_discard_sectors = ZERO_MAX,
        .max_discard_seg = 1,
        .discard_sector_alignment = VIRTIO_BLK_PAGE / VIRTIO_BLK_SECTOR,
        .max_write_zeroes_sectors = ZERO_MAX,
        .max_write_zeroes_seg = 1,
    };
    return F_SIZE_MAX | F_SEG_MAX | F_BLK_SIZE | F_FLUSH |
           (blk->pages ? F_DISCARD | F_WRITE_ZEROES : F_RO);
}
