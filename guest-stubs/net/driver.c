/* SPDX-License-Identifier: MIT */
/*
 * The driver of a network device, with rings of 256.  It does what Linux's does where that costs
 * exits: it notifies when it is asked to, and is told of received frames when it has seen all.
 */
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"
#include "guest-stubs/net/net.h"
#include "guest-stubs/virtio/virtio.h"

#define BUFFER  4096u
#define RECEIVE 0u
#define SEND    1u
#define PIECES  17u /* that a frame lies in, at most */

#define F_CSUM       BIT(0)
#define F_GUEST_CSUM BIT(1)
#define F_GUEST_TSO4 BIT(7)
#define F_HOST_TSO4  BIT(11)
#define F_MRG_RXBUF  BIT(15)
#define FEATURES     (F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 | F_HOST_TSO4 | F_MRG_RXBUF | F_ALL)

struct ring {
    struct descriptor desc[RING] __attribute__((aligned(16)));
    struct {
        uint16_t flags, index, ring[RING], used_event;
    } avail;
    struct {
        uint16_t flags, index;
        struct {
            uint32_t id, size;
        } ring[RING];
        uint16_t avail_event;
    } used __attribute__((aligned(4)));
};

static volatile struct ring rings[2] __attribute__((aligned(4096)));
static uint8_t buffers[RING][BUFFER] __attribute__((aligned(4096)));
static volatile struct descriptor tables[RING][PIECES] __attribute__((aligned(16)));
static struct net_header headers[RING];
static uint8_t received[HEADER_SIZE + RING * BUFFER] __attribute__((aligned(16)));
static uint16_t seen; /* of the used ring of what was received */

/* KVM's PV EOI: where the hypervisor leaves word that an interrupt needs none. */
#define KVM_FEATURES 0x40000001u
#define MSR_PV_EOI   0x4b564d04u
static volatile uint32_t no_eoi __attribute__((aligned(4)));

uint8_t net_mac[6];
uint64_t net_kicks;

static void note_interrupt(struct frame *frame)
{
    bool needed = true;

    queue_interrupts++;
    __asm__ volatile("btrl $0, %0; setnc %1" : "+m"(no_eoi), "=q"(needed) : : "cc");
    if (needed)
        lapic_write(LAPIC_EOI, 0);
}

static void start_interrupts(void)
{
    trap_handlers[VEC_QUEUE] = note_interrupt;
    if (HAS(KVM_FEATURES, 0, eax, 6))
        wrmsr(MSR_PV_EOI, (uint64_t)&no_eoi | 1);
}

static void start_ring(unsigned int index)
{
    volatile struct ring *ring = &rings[index];

    BAR16(&net, C_QUEUE_SELECT) = (uint16_t)index;
    BAR16(&net, C_QUEUE_SIZE) = RING;
    BAR16(&net, C_QUEUE_VECTOR) = index == RECEIVE ? 1 : 0xffff;
    BAR64(&net, C_DESC) = (uint64_t)ring->desc;
    BAR64(&net, C_AVAIL) = (uint64_t)&ring->avail;
    BAR64(&net, C_USED) = (uint64_t)&ring->used;
    BAR16(&net, C_QUEUE_ENABLE) = 1;
}

static void notify(unsigned int index)
{
    net_kicks++;
    BAR16(&net, B_NOTIFY + 4 * index) = (uint16_t)index;
}

/* Makes a chain available; virtio 1.2, 2.7.10: whether the device is to be notified of it. */
static bool offer_chain(volatile struct ring *ring, uint16_t head)
{
    uint16_t index = ring->avail.index;

    ring->avail.ring[index % RING] = head;
    BARRIER();
    ring->avail.index = (uint16_t)(index + 1);
    __asm__ volatile("mfence" ::: "memory");
    return ring->used.avail_event == index;
}

static void offer_buffer(uint16_t head)
{
    volatile struct descriptor *desc = &rings[RECEIVE].desc[head];

    desc->address = (uint64_t)buffers[head];
    desc->size = BUFFER;
    desc->flags = D_WRITE;
    if (offer_chain(&rings[RECEIVE], head))
        notify(RECEIVE);
}

bool net_start(void)
{
    find_devices();
    if (!net.slot)
        return false;
    start_interrupts();
    set_up(&net);
    BAR8(&net, C_STATUS) = 0;
    memset((void *)rings, 0, sizeof(rings));
    seen = 0;
    BAR8(&net, C_STATUS) = 3;
    choose_features(&net, FEATURES);
    BAR8(&net, C_STATUS) = 0xb;
    start_ring(RECEIVE);
    start_ring(SEND);
    BAR8(&net, C_STATUS) = 0xf;
    for (unsigned int i = 0; i < sizeof(net_mac); i++)
        net_mac[i] = BAR8(&net, B_DEVICE + i);
    for (unsigned int i = 0; i < RING; i++)
        offer_buffer((uint16_t)i);
    return true;
}

bool net_needs_reset(void)
{
    return needs_reset(&net);
}

/* ---- Sending -------------------------------------------------------------------------------- */

static void add_piece(volatile struct descriptor *piece, const void *address, uint32_t size)
{
    piece->address = (uint64_t)address;
    piece->size = size;
    piece->flags = D_NEXT;
    piece->next = (uint16_t)(piece - tables[(piece - tables[0]) / PIECES] + 1);
}

/* The header, and the frame by pages, in a table: a short one lies in one piece. */
static unsigned int fill_table(volatile struct descriptor *table, const struct net_header *header,
                               const uint8_t *frame, uint32_t size)
{
    unsigned int count = 0;

    add_piece(&table[count++], header, HEADER_SIZE);
    while (size) {
        uint32_t piece = size < BUFFER ? size : BUFFER;

        add_piece(&table[count++], frame, piece);
        frame += piece;
        size -= piece;
    }
    table[count - 1].flags = 0;
    return count;
}

void net_send(const struct net_header *header, const void *frame, uint32_t size)
{
    volatile struct ring *ring = &rings[SEND];
    uint16_t head = ring->avail.index % RING;

    while ((uint16_t)(ring->avail.index - ring->used.index) == RING)
        __asm__ volatile("pause");
    headers[head] = *header;
    ring->desc[head].address = (uint64_t)tables[head];
    ring->desc[head].size =
        fill_table(tables[head], &headers[head], frame, size) * sizeof(struct descriptor);
    ring->desc[head].flags = D_INDIRECT;
    if (offer_chain(ring, head))
        notify(SEND);
}

/* ---- Receiving ------------------------------------------------------------------------------ */

/* What comes from now on is to be told. */
static bool anything(void)
{
    volatile struct ring *ring = &rings[RECEIVE];

    if (ring->used.index != seen)
        return true;
    ring->avail.used_event = seen;
    __asm__ volatile("mfence" ::: "memory");
    return ring->used.index != seen;
}

static uint32_t take_buffer(uint8_t *to)
{
    volatile struct ring *ring = &rings[RECEIVE];
    uint16_t head = (uint16_t)ring->used.ring[seen % RING].id;
    uint32_t size = ring->used.ring[seen % RING].size;

    memcpy(to, buffers[head % RING], size);
    seen++;
    offer_buffer(head % RING);
    return size;
}

const struct message *net_receive(struct net_header *header, uint32_t *size)
{
    uint32_t sum;

    while (!anything()) {
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    }
    sum = take_buffer(received);
    memcpy(header, received, HEADER_SIZE);
    for (unsigned int i = 1; i < header->buffers; i++)
        sum += take_buffer(received + sum);
    *size = sum - HEADER_SIZE;
    return (const struct message *)(received + HEADER_SIZE);
}
