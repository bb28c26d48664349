/* SPDX-License-Identifier: MIT */
/* The learning switch: who gets what, what it learns, and what it does not forget. */
#include "hv/vdev/vswitch.h"

#include "tests/host/check.h"

#include <stdlib.h>
#include <string.h>

#define PORTS     4u
#define MAC(n)    (0x020000000000ull + (n))
#define BROADCAST 0xffffffffffffull
#define GROUP     0x01005e000001ull

static struct vswitch bus;
static struct vswitch_port ports[PORTS];
static unsigned int got[PORTS];
static bool full[PORTS];

static bool take(void *dev, const struct vswitch_frame *frame)
{
    unsigned int index = (unsigned int)((struct vswitch_port *)dev - ports);

    if (full[index])
        return false;
    got[index]++;
    return true;
}

static void attach(unsigned int index)
{
    ports[index] = (struct vswitch_port){.dev = &ports[index], .receive = take};
    vswitch_attach(&bus, &ports[index], MAC(index));
    vswitch_set_up(&ports[index], true);
}

static void reset(void)
{
    memset(&bus, 0, sizeof(bus));
    memset(full, 0, sizeof(full));
    for (unsigned int i = 0; i < PORTS; i++)
        attach(i);
}

/* Who got it, as digits: 1 for port 0, 10 for port 1, ... */
static unsigned int send(unsigned int port, uint64_t from, uint64_t to)
{
    struct vswitch_frame frame = {.to = to, .from = from, .size = 60};
    unsigned int taken;

    memset(got, 0, sizeof(got));
    taken = vswitch_send(&ports[port], &frame);
    if (taken != got[0] + got[1] + got[2] + got[3])
        abort();
    return got[0] + 10 * got[1] + 100 * got[2] + 1000 * got[3];
}

static void test_delivery(void)
{
    reset();
    CHECK(send(0, MAC(0), MAC(2)) == 100, "a frame for one port");
    CHECK(send(1, MAC(1), BROADCAST) == 1101 && send(3, MAC(3), GROUP) == 111,
          "a broadcast and a multicast for all others");
    CHECK(send(2, MAC(2), MAC(99)) == 1011, "an unknown address: all others");
    CHECK(send(0, MAC(0), MAC(0)) == 0, "nothing comes back");
    CHECK(send(0, 0, MAC(1)) == 0 && send(0, GROUP, MAC(1)) == 0 && ports[0].refused == 2,
          "nobody is named 0, nor as a group");
    CHECK(ports[2].received.packets == 3 && ports[2].received.bytes == 180 &&
              ports[2].sent.packets == 1 && ports[0].sent.packets == 2,
          "all is counted");
    full[1] = true;
    CHECK(send(0, MAC(0), BROADCAST) == 1100 && send(0, MAC(0), MAC(1)) == 0 && ports[1].lost == 2,
          "a port without room loses frames, and nobody else does");
    vswitch_set_up(&ports[2], false);
    CHECK(send(0, MAC(0), BROADCAST) == 1000 && send(0, MAC(0), MAC(2)) == 0 && ports[2].lost == 0,
          "a port that is down gets nothing");
}

static void test_learning(void)
{
    reset();
    CHECK(send(0, MAC(50), MAC(1)) == 10 && send(1, MAC(1), MAC(50)) == 1, "an address is learned");
    CHECK(send(0, MAC(0), MAC(50)) == 0, "two behind one port need no switch");
    send(2, MAC(50), MAC(1));
    CHECK(send(1, MAC(1), MAC(50)) == 100, "it moves");
    send(3, MAC(1), MAC(0));
    CHECK(send(0, MAC(0), MAC(1)) == 10, "a port's own address does not");
    vswitch_set_up(&ports[2], false);
    vswitch_set_up(&ports[2], true);
    CHECK(send(1, MAC(1), MAC(50)) == 1101 && send(1, MAC(1), MAC(2)) == 100,
          "a port that was down has its own address still, and no other");
}

static void test_flood_of_addresses(void)
{
    unsigned int known = 0;

    reset();
    send(1, MAC(200), BROADCAST);
    for (uint64_t i = 0; i < 100000; i++)
        send(0, MAC(1000 + i), MAC(1));
    CHECK(send(2, MAC(2), MAC(200)) == 10 && send(2, MAC(2), MAC(0)) == 1,
          "a port that floods the table pushes nobody out");
    for (uint64_t i = 99900; i < 100000; i++)
        known += send(2, MAC(2), MAC(1000 + i)) == 1;
    CHECK(known == VSWITCH_ADDRESSES - 1 && send(2, MAC(2), MAC(100999)) == 1,
          "of its own the last ones are known");
    for (uint64_t i = 0; i < 1000; i++) {
        send(0, MAC(70000 + i), MAC(1));
        send(3, MAC(70000 + i), MAC(1));
    }
    CHECK(send(2, MAC(2), MAC(70999)) == 1000,
          "two ports that fight for addresses: the last has it");
}

static void test_ports_that_go(void)
{
    unsigned int left = 0;

    reset();
    send(1, MAC(60), BROADCAST);
    vswitch_detach(&ports[1]);
    CHECK(send(0, MAC(0), MAC(60)) == 1100 && send(0, MAC(0), MAC(1)) == 1100,
          "what was behind a port that has gone is unknown");
    attach(1);
    CHECK(send(0, MAC(0), MAC(1)) == 10, "it comes back");
    for (unsigned int i = 0; i < PORTS; i++)
        vswitch_detach(&ports[(i + 2) % PORTS]);
    for (unsigned int i = 0; i < VSWITCH_HASHES; i++)
        left += bus.heads[i] != NULL;
    CHECK(!bus.ports && left == 0, "the last one leaves nothing behind");
}

int main(void)
{
    test_delivery();
    test_learning();
    test_flood_of_addresses();
    test_ports_that_go();
    return check_done();
}
