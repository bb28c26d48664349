/* SPDX-License-Identifier: MIT */
/* The one that receives, answers and counts, until it is told that it was the END. */
#include "guest-stubs/net/net.h"

#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/stub.h"

static uint32_t count, wrong;

/* Segments come with what was said of them, and all others with nothing. */
static bool header_is_right(const struct net_header *header, uint32_t size)
{
    static const struct net_header plain = {.buffers = 1};

    if (size > PACKET)
        return header->flags == 1 && header->gso_type == 1 && header->gso_size == 1448 &&
               header->csum_start == 34 && header->csum_offset == 16 && header->buffers == 16;
    return memcmp(header, &plain, sizeof(plain)) == 0;
}

static bool content_is_right(const struct message *message, uint32_t size)
{
    const uint8_t *bytes = (const uint8_t *)message;

    for (uint32_t i = sizeof(*message); i < size; i++)
        if (bytes[i] != (uint8_t)(message->number + i))
            return false;
    return true;
}

static void take_data(const struct net_header *header, const struct message *message, uint32_t size,
                      bool look)
{
    if (look && (!header_is_right(header, size) || !content_is_right(message, size)))
        wrong++;
    if (++count % message->every == 0)
        message_send(message->from, ACK, count, 0, 60);
}

void run_receiver(void)
{
    const bool look = !option("blind", 0);
    const struct message *message;
    struct net_header header;
    uint32_t size;

    message_send(everyone, HERE, 0, 0, 60); /* for one that was there first */
    do {
        message = net_receive(&header, &size);
        if (message->type != TYPE)
            continue;
        if (message->kind == HELLO)
            message_send(message->from, HERE, 0, 0, 60);
        else if (message->kind == DATA)
            take_data(&header, message, size, look);
        else if (message->kind == REPORT)
            message_send(message->from, REPORT, count, wrong, 60);
    } while (message->kind != END);
    check(count > 0, "something came");
    check_equal(wrong, 0, "and all of it was right");
    check(!net_needs_reset(), "the device is well");
}
