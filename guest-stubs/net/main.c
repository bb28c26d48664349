/* SPDX-License-Identifier: MIT */
/*
 * Two guests on one switch: one, with send=1 on its command line, sends the other what it says it
 * gets.  With bench=1 it sends for figures instead; net.h has what they tell each other.
 */
#include "guest-stubs/net/net.h"

#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/stub.h"

const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

void message_fill(struct message *message, const uint8_t to[6], enum kind kind, uint32_t number,
                  uint32_t every)
{
    memcpy(message->to, to, 6);
    memcpy(message->from, net_mac, 6);
    message->type = TYPE;
    message->kind = (uint16_t)kind;
    message->number = number;
    message->every = every;
}

static void fill_content(uint8_t *frame, uint32_t number, uint32_t size)
{
    for (uint32_t i = sizeof(struct message); i < size; i++)
        frame[i] = (uint8_t)(number + i);
}

void message_send(const uint8_t to[6], enum kind kind, uint32_t number, uint32_t every,
                  uint32_t size)
{
    static const struct net_header plain;
    static uint8_t frames[RING][PACKET + 2] __attribute__((aligned(4096)));
    static unsigned int next;
    uint8_t *frame = frames[next++ % RING];

    message_fill((struct message *)frame, to, kind, number, every);
    fill_content(frame, number, size);
    net_send(&plain, frame, size);
}

void message_send_segment(const uint8_t to[6], uint32_t every)
{
    static const struct net_header header = {.flags = 1,
                                             .gso_type = 1,
                                             .header_size = 54,
                                             .gso_size = 1448,
                                             .csum_start = 34,
                                             .csum_offset = 16};
    static uint8_t segment[SEGMENT] __attribute__((aligned(4096)));

    if (!segment[sizeof(struct message)])
        fill_content(segment, 0, SEGMENT);
    message_fill((struct message *)segment, to, DATA, 0, every);
    net_send(&header, segment, SEGMENT);
}

void stub_main(void)
{
    if (!net_start())
        fail_at_once("there is a network device");
    if (option("bench", 0))
        run_bench();
    else if (option("send", 0))
        run_sender();
    else
        run_receiver();
}
