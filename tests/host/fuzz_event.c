/* SPDX-License-Identifier: MIT */
/*
 * Event channels under guests that call anything with anything, and come and go: each answer is one
 * that the interface knows, and every end that has another is that one's other end.
 */
#include "tests/host/fuzz_input.h"
#include "tests/host/pair_world.h"

/* Nearly right ones mostly. */
static uint64_t argument(void)
{
    uint8_t what = byte();

    switch (what >> 6) {
    case 0:
        return what & 7;
    case 1:
        return MICA_EVENT_AT((uint64_t)(what & 3), (uint64_t)(byte() & 15));
    case 2:
        return MICA_EVENT_TO((uint64_t)(what & 3), (uint64_t)byte());
    default:
        return (uint64_t)byte() << (what & 63);
    }
}

static bool is_answer(int64_t result)
{
    static const int errors[] = {MICA_ENOENT, MICA_ENODEV,   MICA_EINVAL,
                                 MICA_ENOSPC, MICA_ENOTCONN, MICA_ENOSYS};

    for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++)
        if (result == -errors[i])
            return true;
    return result >= 0 && result <= INT32_MAX;
}

static void check_port(const struct pair *pair, unsigned int side, unsigned int number)
{
    const struct event_port *port = &pair->halves[side].ports[number];
    const struct event_port *peer = &pair->halves[port->side & 1].ports[port->port % 64];

    REQUIRE(port->state <= MICA_EVENT_CLOSED && port->side < 2 && port->port < MICA_EVENT_PORTS);
    REQUIRE(!port->pending || port->masked);
    if (port->state == MICA_EVENT_FREE)
        return;
    REQUIRE(pair->halves[side].vm && port->vector >= 16 && port->cpu < WORLD_CPUS);
    if (port->state == MICA_EVENT_CONNECTED)
        REQUIRE(peer->state == MICA_EVENT_CONNECTED && peer->side == side && peer->port == number &&
                (port->side == side || pair->size));
}

static void check_all(void)
{
    for (unsigned int i = 0; i < WORLD_VMS; i++)
        for (unsigned int number = 0; number < MICA_EVENT_PORTS; number++)
            check_port(world[i].pair, world[i].side, number);
}

static void step(void)
{
    uint8_t op = byte();
    unsigned int which = op % WORLD_VMS;

    if (op >= 0xfc) {
        event_close_all(&world[which]);
    } else if (op >= 0xf8) {
        world_remove(which);
        world_add(which);
    } else {
        enum mica_call call = MICA_CALL_EVENT_CREATE + op / WORLD_VMS % 7;
        uint64_t a = argument();

        REQUIRE(is_answer(world_call(which, call, a, argument())));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin_input(data, size);
    for (unsigned int i = 0; i < WORLD_VMS; i++)
        world_add(i);
    while (input < input_end)
        step();
    check_all();
    for (unsigned int i = 0; i < WORLD_VMS; i++)
        world_remove(i);
    return 0;
}
