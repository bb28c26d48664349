/* SPDX-License-Identifier: MIT */
/*
 * What frames and disk reads cost the hypervisor, both guests' shares together.  It is counted
 * from outside, between marks that an emulator's plugin sees: tests/bench/count.c.  For each part
 * there is a line
 *
 *   part N NAME COUNT UNITS     between the marks 2N and 2N+1 there were COUNT things of UNITS each
 *
 * The receiver must not look at what comes (blind=1): that would only take time.
 */
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/net/net.h"
#include "guest-stubs/virtio/virtio.h"

/* A NOP of eight bytes that says which. */
#define MARK(n) \
    __asm__ volatile(".byte 0x0f, 0x1f, 0x84, 0, %c0, 0, 0x6d, 0x6b" : : "i"(n) : "memory")

#define PACKETS  2048u
#define SEGMENTS 256u
#define SMALL    4096u
#define READS    512u

static uint8_t other[6];

static void wait_for(enum kind kind)
{
    const struct message *message;
    struct net_header header;
    uint32_t size;

    do
        message = net_receive(&header, &size);
    while (message->type != TYPE || message->kind != kind);
    memcpy(other, message->from, 6);
}

/* As many as the window are on their way at most, and half of it has to be answered. */
static void send_all(uint32_t count, uint32_t window,
                     void (*send_one)(uint32_t number, uint32_t every))
{
    for (uint32_t i = 1; i <= count; i++) {
        send_one(i, window / 2);
        if (i % (window / 2) == 0 && i >= window)
            wait_for(ACK);
    }
    wait_for(ACK);
}

static void send_frame(uint32_t number, uint32_t every, uint32_t size)
{
    static const struct net_header plain;
    static uint8_t frames[RING][2048] __attribute__((aligned(4096)));

    message_fill((struct message *)frames[number % RING], other, DATA, number, every);
    net_send(&plain, frames[number % RING], size);
}

static void send_packet(uint32_t number, uint32_t every)
{
    send_frame(number, every, PACKET);
}

/* What a kernel does meanwhile, about. */
static void send_small(uint32_t number, uint32_t every)
{
    for (volatile unsigned int i = 0; i < 500; i++)
        ;
    send_frame(number, every, 142);
}

static void send_segment(uint32_t number, uint32_t every)
{
    message_send_segment(other, every);
}

static void measure_packets(void)
{
    MARK(0);
    send_all(PACKETS, 128, send_packet);
    MARK(1);
    print("part 0 net-packet %u 1\n", PACKETS);
}

static void measure_segments(void)
{
    MARK(2);
    send_all(SEGMENTS, 8, send_segment);
    MARK(3);
    print("part 1 net-segment %u 45\n", SEGMENTS);
}

static void measure_small(void)
{
    MARK(4);
    send_all(SMALL, 128, send_small);
    MARK(5);
    print("part 2 net-small %u 1\n", SMALL);
}

/*
 * As Linux's driver does it: the request's header, the page and the status in an indirect table,
 * the event index, a doorbell rung with interrupts on, and an interrupt for the answer.
 */
static unsigned int read_page(uint64_t sector)
{
    static uint8_t page[4096] __attribute__((aligned(4096)));
    static volatile struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    static volatile uint8_t status;
    static volatile struct descriptor table[] = {
        {(uint64_t)&header, sizeof(header), D_NEXT, 1},
        {(uint64_t)page, sizeof(page), D_NEXT | D_WRITE, 2},
        {(uint64_t)&status, 1, D_WRITE, 0},
    };
    unsigned int before = queue_interrupts;

    header.sector = sector;
    status = 0xff;
    set_desc(0, table, sizeof(table), D_INDIRECT, 0);
    offer(0);
    BAR16(&blk, B_NOTIFY) = 0;
    while (queue_interrupts == before)
        __asm__ volatile("pause");
    return status;
}

static void measure_reads(void)
{
    unsigned int errors = 0;

    set_up(&blk);
    start_device(&blk);
    interrupts_on();
    MARK(6);
    for (unsigned int i = 0; i < READS; i++)
        errors += read_page(i * 8) != 0;
    MARK(7);
    interrupts_off();
    if (errors || queue_interrupts != READS)
        fail_at_once("the disk can be read, with one interrupt for each request");
    print("part 3 blk-read %u 1\n", READS);
}

void run_bench(void)
{
    const uint64_t parts = option("parts", 15);

    message_send(everyone, HELLO, 0, 0, 60);
    wait_for(HERE);
    if (parts & 1)
        measure_packets();
    if (parts & 2)
        measure_segments();
    if (parts & 4)
        measure_small();
    if (parts & 8)
        measure_reads();
    message_send(other, END, 0, 0, 60);
    print("bench end\n");
    leave(EXIT_PASSED);
}
