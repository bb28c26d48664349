/* SPDX-License-Identifier: MIT */
/* Event channels: to oneself, and between two guests of which one answers what the other asks. */
#include "guest-stubs/share/share.h"

#define VEC_EVENT 0x51
#define VEC_LAST  0x52
#define ROUNDS    200
#define ANSWERING 1 /* the CPU that answers */

static volatile unsigned int events[2], last_events; /* by CPU */
static volatile int64_t answer;                      /* what the last one was answered with */

static void count_event(struct frame *frame)
{
    events[this_cpu()]++;
    lapic_eoi();
}

static void count_last(struct frame *frame)
{
    last_events++;
    lapic_eoi();
}

static unsigned int state(unsigned int port)
{
    return MICA_EVENT_STATE((unsigned int)CALL(EVENT_STATUS, port, 0));
}

/* ---- To oneself ----------------------------------------------------------------------------- */

static unsigned int awaited;

static bool has_come(void)
{
    return events[1] >= awaited;
}

void share_loopback(void)
{
    trap_handlers[VEC_EVENT] = count_event;
    trap_handlers[VEC_LAST] = count_last;
    check_equal((uint64_t)CALL(EVENT_CREATE, MICA_EVENT_SELF, MICA_EVENT_TO(1, VEC_EVENT)), 0,
                "an end of a channel to oneself is created");
    check_equal((uint64_t)CALL(EVENT_NOTIFY, 0, 0), (uint64_t)-MICA_ENOTCONN,
                "without another end it is of no use");
    check_equal(
        (uint64_t)CALL(EVENT_BIND, MICA_EVENT_AT(MICA_EVENT_SELF, 0), MICA_EVENT_TO(0, VEC_LAST)),
        1, "the other one is bound to it");
    awaited = 1;
    check(CALL(EVENT_NOTIFY, 1, 0) == 0 && wait_until(has_come) && events[0] == 0,
          "cpu 0 tells cpu 1");
    check(CALL(EVENT_CLOSE, 0, 0) == 0 && state(1) == MICA_EVENT_CLOSED,
          "closing one end closes the other");
    wait_ms(1);
    check_equal(last_events, 1, "and it is told");
    check(CALL(EVENT_CLOSE, 1, 0) == 0 && state(1) == MICA_EVENT_FREE, "its number is free again");
    events[1] = last_events = 0;
}

/* ---- Who asks ------------------------------------------------------------------------------- */

static bool is_bound(void)
{
    return state(0) == MICA_EVENT_CONNECTED && state(1) == MICA_EVENT_CONNECTED;
}

static bool is_pending(void)
{
    return CALL(EVENT_STATUS, 0, 0) & MICA_EVENT_PENDING;
}

static void check_rounds(void)
{
    for (awaited = 1; awaited <= ROUNDS; awaited++)
        if (CALL(EVENT_NOTIFY, 0, 0) != 0 || !wait_until(has_come))
            break;
    check_equal(awaited, ROUNDS + 1, "each of %u events is answered", ROUNDS);
    check_equal(events[1], ROUNDS, "once");
}

static void check_mask(void)
{
    check(CALL(EVENT_MASK, 0, 1) == 0 && CALL(EVENT_NOTIFY, 0, 0) == 0 && wait_until(is_pending),
          "an answer to an end that is masked is pending");
    wait_ms(1);
    check_equal(events[1], ROUNDS, "and does not come");
    check(CALL(EVENT_MASK, 0, 0) == 0 && wait_until(has_come) && !is_pending(),
          "until it is not any more");
}

void share_ask(void)
{
    check_equal((uint64_t)CALL(EVENT_CREATE, MICA_EVENT_PARTNER, MICA_EVENT_TO(1, VEC_EVENT)), 0,
                "an end for the partner is created");
    check_equal((uint64_t)CALL(EVENT_CREATE, MICA_EVENT_PARTNER, MICA_EVENT_TO(0, VEC_LAST)), 1,
                "and a second one");
    check(wait_until(is_bound), "the partner binds to both");
    check_rounds();
    check_mask();
    check(CALL(EVENT_CLOSE, 0, 0) == 0 && state(0) == MICA_EVENT_FREE &&
              state(1) == MICA_EVENT_CONNECTED,
          "one of the channels is closed");
}

/* ---- Who answers ---------------------------------------------------------------------------- */

static void answer_event(struct frame *frame)
{
    count_event(frame);
    answer = CALL(EVENT_NOTIFY, 0, 0);
}

/* It tries until there is something to bind to, the first end first. */
static bool has_bound(void)
{
    static const uint8_t vectors[2] = {VEC_EVENT, VEC_LAST};

    for (unsigned int port = 0; port < 2; port++)
        if (state(port) == MICA_EVENT_FREE &&
            CALL(EVENT_BIND, MICA_EVENT_AT(MICA_EVENT_PARTNER, port),
                 MICA_EVENT_TO(ANSWERING, vectors[port])) != port)
            return false;
    return true;
}

static bool channel_is_closed(void)
{
    return state(0) == MICA_EVENT_CLOSED;
}

static bool last_has_come(void)
{
    return last_events == 1;
}

static bool partner_has_ended(void)
{
    return state(1) == MICA_EVENT_CLOSED;
}

void share_answer(void)
{
    trap_handlers[VEC_EVENT] = answer_event;
    check(wait_until(has_bound), "it binds to both of the partner's ends");
    check_equal((uint64_t)CALL(EVENT_BIND, MICA_EVENT_AT(MICA_EVENT_PARTNER, 1),
                               MICA_EVENT_TO(0, VEC_LAST)),
                (uint64_t)-MICA_ENOENT, "to each once");
    check(wait_until(channel_is_closed), "it answers until the partner closes the channel");
    awaited = ROUNDS + 2;
    wait_until(has_come);
    check_equal(events[ANSWERING], awaited, "every question has come, and the end");
    check_equal((uint64_t)answer, (uint64_t)-MICA_ENOTCONN, "which cannot be answered");
    check(wait_until(partner_has_ended), "the partner's own end closes the other one");
    check(wait_until(last_has_come), "and that is told too");
}
