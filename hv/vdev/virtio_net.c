/* SPDX-License-Identifier: MIT */
/*
 * The virtio network device: what a sender says of a frame, and the frame's way into the buffers of
 * a receiver.  Both are guests: what a header says is copied and judged once; what a frame holds is
 * nobody's business here, and may change while it is copied.
 */
#include "hv/vdev/virtio_net.h"

#include "hv/errno.h"
#include "hv/string.h"

#define F_CSUM       BIT(0)
#define F_GUEST_CSUM BIT(1)
#define F_MAC        BIT(5)
#define F_GUEST_TSO4 BIT(7)
#define F_GUEST_TSO6 BIT(8)
#define F_HOST_TSO4  BIT(11)
#define F_HOST_TSO6  BIT(12)
#define F_MRG_RXBUF  BIT(15)
#define F_STATUS     BIT(16)

#define STATUS_LINK_UP 1

enum { QUEUE_RECEIVE, QUEUE_SEND, QUEUES };

#define NEEDS_CSUM 1 /* of the header's flags: from csum_start on, to csum_start + csum_offset */
#define GSO_NONE   0
#define GSO_TCPV4  1
#define GSO_TCPV6  4

#define BUFFERS_MAX 64u  /* that one frame may fill: more are needed only where they are tiny */
#define BOUNCE      256u /* bytes, where a frame does not lie in one piece */

struct header {
    uint8_t flags, gso_type;
    uint16_t header_size, gso_size, csum_start, csum_offset;
    uint16_t buffers; /* that a received frame fills */
};

STATIC_ASSERT(sizeof(struct header) == 12, "struct virtio_net_hdr");

/* ---- A frame in the sender's memory --------------------------------------------------------- */

struct packet {
    const struct virtq_chain *chain; /* whose header has been pulled */
    struct header header;
    uint32_t size;
    bool broken; /* it does not lie in RAM */
};

/* A place in it.  Two bytes of what is read may be others than what is there. */
struct reader {
    struct packet *packet;
    unsigned int at;
    uint32_t offset; /* in the buffer */
    uint32_t done;
    uint32_t patch_at, patch_size;
    uint8_t patch[2];
};

static struct reader reader_of(struct packet *packet)
{
    return (struct reader){.packet = packet, .at = packet->chain->pull_at};
}

static void skip(struct reader *reader, uint32_t size)
{
    reader->done += size;
    reader->offset += size;
    while (reader->at < reader->packet->chain->readable_count &&
           reader->offset >= reader->packet->chain->buffers[reader->at].size)
        reader->offset -= reader->packet->chain->buffers[reader->at++].size;
}

/*
 * The next bytes, at most *size, which becomes how many they are.  There must be some.  They are
 * where they lie, or in the buffer; a null pointer: they are not in RAM.
 */
static const void *next_bytes(struct reader *reader, uint8_t buffer[BOUNCE], uint32_t *size)
{
    const struct virtq_chain *chain = reader->packet->chain;
    const struct virtq_buffer *from = &chain->buffers[reader->at];
    uint64_t gpa = from->gpa + reader->offset;
    const void *bytes;

    *size = MIN(*size, from->size - reader->offset);
    bytes = chain->dma->look(chain->dma->ctx, gpa, *size);
    if (!bytes) {
        *size = MIN(*size, BOUNCE);
        if (chain->dma->read(chain->dma->ctx, gpa, buffer, *size) == 0)
            bytes = buffer;
        else
            reader->packet->broken = true;
    }
    skip(reader, *size);
    return bytes;
}

static bool is_patched(const struct reader *reader)
{
    return reader->done - reader->patch_at < reader->patch_size;
}

/* What the receiver is to get of the next bytes. */
static const void *next_piece(struct reader *reader, uint8_t buffer[BOUNCE], uint32_t *size)
{
    if (is_patched(reader)) {
        *size = 1;
        skip(reader, 1);
        return &reader->patch[reader->done - 1 - reader->patch_at];
    }
    if (reader->patch_size && reader->done < reader->patch_at)
        *size = MIN(*size, reader->patch_at - reader->done);
    return next_bytes(reader, buffer, size);
}

/* The Internet checksum (RFC 1071) of the rest, as it lies in a packet. */
static uint16_t checksum(struct reader *reader)
{
    uint8_t buffer[BOUNCE];
    uint64_t sum = 0;
    unsigned int shift = 0;

    while (reader->done < reader->packet->size) {
        uint32_t size = reader->packet->size - reader->done;
        const uint8_t *bytes = next_bytes(reader, buffer, &size);

        if (!bytes)
            break;
        for (uint32_t i = 0; i < size; i++, shift ^= 8)
            sum += (uint64_t)bytes[i] << shift;
    }
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff ? 0xffff : (uint16_t)~sum; /* 0 would say that there is none */
}

/* ---- What the sender says of it ------------------------------------------------------------- */

/* Whether the driver has negotiated that, and the checksums that it needs. */
static bool may_segment(const struct virtio_net *net, uint64_t tso, uint64_t csum)
{
    return virtio_has(net->virtio, tso) && virtio_has(net->virtio, csum);
}

static bool is_checksum_sound(const struct virtio_net *net, const struct packet *packet)
{
    const struct header *header = &packet->header;

    return virtio_has(net->virtio, F_CSUM) &&
           header->csum_start + header->csum_offset + 2u <= packet->size;
}

static bool is_segmenting_sound(const struct virtio_net *net, const struct packet *packet)
{
    const struct header *header = &packet->header;
    uint64_t tso = header->gso_type == GSO_TCPV4 ? F_HOST_TSO4 : F_HOST_TSO6;

    return (header->gso_type == GSO_TCPV4 || header->gso_type == GSO_TCPV6) &&
           may_segment(net, tso, F_CSUM) && (header->flags & NEEDS_CSUM) && header->gso_size &&
           header->header_size <= packet->size;
}

static bool is_sound(const struct virtio_net *net, const struct packet *packet)
{
    const struct header *header = &packet->header;

    if (packet->size < VIRTIO_NET_MIN || packet->size > VIRTIO_NET_MAX)
        return false;
    if ((header->flags & NEEDS_CSUM) && !is_checksum_sound(net, packet))
        return false;
    return header->gso_type == GSO_NONE || is_segmenting_sound(net, packet);
}

/* ---- Receiving ------------------------------------------------------------------------------ */

/* What a receiver has taken so far. */
struct receipt {
    struct virtio *virtio;
    struct reader reader;
    struct header header;
    unsigned int taken, filled;
    uint64_t count_at[2]; /* where the header's last two bytes lie */
};

/* The header as this receiver may see it; false: it cannot have this frame. */
static bool begin(struct virtio_net *net, struct packet *packet, struct receipt *receipt)
{
    const struct header *sent = &packet->header;
    struct header *header = &receipt->header;
    struct reader rest = reader_of(packet);

    *receipt = (struct receipt){.virtio = net->virtio, .reader = rest, .header = {.buffers = 1}};
    if (sent->gso_type != GSO_NONE) {
        if (!may_segment(net, sent->gso_type == GSO_TCPV4 ? F_GUEST_TSO4 : F_GUEST_TSO6,
                         F_GUEST_CSUM))
            return false;
        header->gso_type = sent->gso_type;
        header->gso_size = sent->gso_size;
        header->header_size = sent->header_size;
    }
    if (!(sent->flags & NEEDS_CSUM))
        return true;
    if (virtio_has(net->virtio, F_GUEST_CSUM)) {
        header->flags = NEEDS_CSUM;
        header->csum_start = sent->csum_start;
        header->csum_offset = sent->csum_offset;
        return true;
    }
    skip(&rest, sent->csum_start);
    uint16_t sum = checksum(&rest);
    receipt->reader.patch_at = sent->csum_start + sent->csum_offset;
    receipt->reader.patch_size = sizeof(sum);
    memcpy(receipt->reader.patch, &sum, sizeof(sum));
    return !packet->broken;
}

/* Where a byte of the header will lie, which may be in pieces. */
static uint64_t place_of(const struct virtq_chain *chain, uint32_t offset)
{
    const struct virtq_buffer *buffer = &chain->buffers[chain->push_at];

    for (; offset >= buffer->size; buffer++)
        offset -= buffer->size;
    return buffer->gpa + offset;
}

static int push_header(struct receipt *receipt, struct virtq_chain *chain)
{
    if (chain->writable < sizeof(receipt->header))
        return -EINVAL;
    for (uint32_t i = 0; i < sizeof(receipt->header.buffers); i++)
        receipt->count_at[i] = place_of(chain, offsetof(struct header, buffers) + i);
    return virtq_push(chain, &receipt->header, sizeof(receipt->header));
}

/* As much of the frame as goes into a buffer; or a negative errno: the receiver's mistake. */
static int fill(struct receipt *receipt, struct virtq_chain *chain)
{
    struct reader *reader = &receipt->reader;
    uint8_t buffer[BOUNCE];
    int error = 0;

    if (chain->readable || !chain->writable)
        return -EINVAL;
    if (receipt->filled == 0)
        error = push_header(receipt, chain);
    while (!error && chain->writable && reader->done < reader->packet->size) {
        uint32_t size = (uint32_t)MIN(chain->writable, reader->packet->size - reader->done);
        const void *bytes = next_piece(reader, buffer, &size);

        if (!bytes)
            break;
        error = virtq_push(chain, bytes, size);
    }
    return error;
}

static bool is_done(const struct receipt *receipt)
{
    return receipt->reader.done == receipt->reader.packet->size;
}

/* One more buffer; false: there is none. */
static bool fill_next(struct receipt *receipt)
{
    struct virtq_chain chain;

    if (receipt->taken == BUFFERS_MAX || !virtio_take(receipt->virtio, QUEUE_RECEIVE, &chain))
        return false;
    receipt->taken++;
    if (fill(receipt, &chain) != 0) {
        virtio_need_reset(receipt->virtio);
        return false;
    }
    if (receipt->reader.packet->broken)
        return false;
    virtio_put(receipt->virtio, QUEUE_RECEIVE, chain.head, (uint32_t)chain.pushed);
    receipt->filled++;
    return true;
}

static bool set_buffer_count(const struct receipt *receipt)
{
    const struct dma *dma = &receipt->virtio->setup.dma;
    uint16_t count = (uint16_t)receipt->filled;
    const uint8_t *bytes = (const uint8_t *)&count;

    return dma->write(dma->ctx, receipt->count_at[0], &bytes[0], 1) == 0 &&
           dma->write(dma->ctx, receipt->count_at[1], &bytes[1], 1) == 0;
}

static bool receive(void *dev, const struct vswitch_frame *frame)
{
    struct virtio_net *net = dev;
    struct virtio *virtio = net->virtio;
    struct receipt receipt;

    if (!begin(net, frame->content, &receipt))
        return false;
    while (fill_next(&receipt) && !is_done(&receipt) && virtio_has(virtio, F_MRG_RXBUF))
        ;
    if (!is_done(&receipt) || receipt.reader.packet->broken ||
        (receipt.filled > 1 && !set_buffer_count(&receipt))) {
        virtio_undo(virtio, QUEUE_RECEIVE, receipt.taken, receipt.filled);
        return false;
    }
    virtio_publish(virtio, QUEUE_RECEIVE);
    virtio_tell(virtio, QUEUE_RECEIVE);
    return true;
}

/* ---- Sending -------------------------------------------------------------------------------- */

/* What begins a frame: two addresses, most significant byte first. */
struct addresses {
    uint16_t to_high;
    uint32_t to_low;
    uint16_t from_high;
    uint32_t from_low;
} PACKED;

STATIC_ASSERT(sizeof(struct addresses) == 12, "as they lie in a frame");

static uint64_t mac_of(uint16_t high, uint32_t low)
{
    return (uint64_t)__builtin_bswap16(high) << 32 | __builtin_bswap32(low);
}

/* Where the frame goes, from its first bytes. */
static bool read_addresses(struct packet *packet, struct vswitch_frame *frame)
{
    struct reader reader = reader_of(packet);
    struct addresses addresses = {0};
    uint8_t buffer[BOUNCE];

    while (reader.done < sizeof(addresses)) {
        uint32_t at = reader.done, size = sizeof(addresses) - at;
        const void *bytes = next_bytes(&reader, buffer, &size);

        if (!bytes)
            return false;
        memcpy((uint8_t *)&addresses + at, bytes, size);
    }
    frame->to = mac_of(addresses.to_high, addresses.to_low);
    frame->from = mac_of(addresses.from_high, addresses.from_low);
    return true;
}

static int request(void *dev, unsigned int queue, struct virtq_chain *chain, uint32_t *written)
{
    struct virtio_net *net = dev;
    struct packet packet = {.chain = chain};
    struct vswitch_frame frame = {.content = &packet};

    if (chain->writable || virtq_pull(chain, &packet.header, sizeof(packet.header)) != 0)
        return -EINVAL;
    packet.size = (uint32_t)MIN(chain->readable, UINT32_MAX);
    if (!is_sound(net, &packet)) {
        net->port.refused++;
        return 0;
    }
    frame.size = packet.size;
    if (!read_addresses(&packet, &frame))
        return -EFAULT;
    chain->work = (uint64_t)vswitch_send(&net->port, &frame) * packet.size;
    return packet.broken ? -EFAULT : 0;
}

static void changed(void *dev, bool live)
{
    struct virtio_net *net = dev;

    vswitch_set_up(&net->port, live);
}

/* ---- Making one ----------------------------------------------------------------------------- */

const struct virtio_kind virtio_net_kind = {.id = 1,
                                            .class = 0x020000,
                                            .queues = QUEUES,
                                            .queue_size = 256,
                                            .receives = BIT(QUEUE_RECEIVE),
                                            .paced = BIT(QUEUE_SEND),
                                            .request = request,
                                            .changed = changed};

void virtio_net_attach(struct virtio_net *net, struct vswitch *vswitch, uint64_t mac)
{
    net->port = (struct vswitch_port){.dev = net, .receive = receive};
    net->config.status = STATUS_LINK_UP;
    for (unsigned int i = 0; i < 6; i++)
        net->config.mac[i] = (uint8_t)(mac >> (40 - 8 * i));
    vswitch_attach(vswitch, &net->port, mac);
}

uint64_t virtio_net_features(void)
{
    return F_MAC | F_STATUS | F_CSUM | F_GUEST_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F_GUEST_TSO4 |
           F_GUEST_TSO6 | F_MRG_RXBUF;
}
