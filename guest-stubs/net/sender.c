/* SPDX-License-Identifier: MIT */
/* The one that sends, and hears from the other what came. */
#include "guest-stubs/net/net.h"

#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"

#define WINDOW 32u /* frames without an answer */

static const uint8_t nobody[6] = {2, 0xff, 0, 0, 0, 0};
static const uint8_t group[6] = {1, 0, 0x5e, 0, 0, 1};

static struct message wait_for(enum kind kind)
{
    const struct message *message;
    struct net_header header;
    uint32_t size;

    do
        message = net_receive(&header, &size);
    while (message->type != TYPE || message->kind != kind);
    return *message;
}

/* How many DATA frames the other has had, and that none was wrong. */
static uint32_t ask(const uint8_t to[6], uint32_t *wrong)
{
    struct message report;

    message_send(to, REPORT, 0, 0, 60);
    report = wait_for(REPORT);
    *wrong = report.every;
    return report.number;
}

static void check_arrived(const uint8_t to[6], uint32_t expected, const char *what)
{
    uint32_t wrong, count = ask(to, &wrong);

    check(count == expected && wrong == 0, "%s: %u came, %u of them wrong", what, count, wrong);
}

static void send_segments(const uint8_t to[6], unsigned int count)
{
    for (unsigned int i = 1; i <= count; i++) {
        message_send_segment(to, 4);
        if (i % 4 == 0)
            wait_for(ACK);
    }
}

/* What is no frame: too short, too long, or with a header that lies. */
static void send_nonsense(const uint8_t to[6])
{
    static const struct net_header bad_checksum = {.flags = 1, .csum_start = 0xfff0};
    static const struct net_header bad_segments = {.gso_type = 0x7f, .gso_size = 1};
    static const struct net_header plain;
    static uint8_t frame[FRAME_MAX + 1] __attribute__((aligned(4096)));

    message_fill((struct message *)frame, to, DATA, 0, 1000);
    net_send(&plain, frame, FRAME_MAX + 1);
    net_send(&plain, frame, 13);
    net_send(&bad_checksum, frame, PACKET);
    net_send(&bad_segments, frame, PACKET);
    check(!net_needs_reset(), "frames that are none are no reason for a reset");
}

static void check_frames(const uint8_t to[6])
{
    for (uint32_t i = 1; i <= 10 * WINDOW; i++) {
        message_send(to, DATA, i, WINDOW, 60 + i * 37 % (PACKET - 59));
        if (i % WINDOW == 0)
            wait_for(ACK);
    }
    check_arrived(to, 320, "320 frames of all sizes");
    message_send(everyone, DATA, 1, 1000, 100);
    message_send(group, DATA, 2, 1000, 100);
    message_send(nobody, DATA, 3, 1000, 100);
    message_send(net_mac, DATA, 4, 1000, 100);
    check_arrived(to, 323, "a broadcast, a multicast, an unknown address, and not its own");
    send_nonsense(to);
    check_arrived(to, 323, "after frames that are none");
    send_segments(to, 20);
    check_arrived(to, 343, "20 segments of 64 KiB");
}

void run_sender(void)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct message other;

    check(memcmp(net_mac, mac, 6) == 0, "the device has the MAC address of the configuration");
    message_send(everyone, HELLO, 0, 0, 60);
    other = wait_for(HERE);
    check((other.from[0] & 3) == 2, "the other answers, by an address that was made for it");
    check_frames(other.from);
    message_send(other.from, END, 0, 0, 60);
    check(!net_needs_reset(), "the device is well");
}
