/* SPDX-License-Identifier: MIT */
/* Event channels, and what two guests have in common: who may connect with whom, what is told when,
 * and what is left when one of them goes. */
#include "tests/host/check.h"
#include "tests/host/pair_world.h"

#include <stdlib.h>

#define TO(cpu, vector)       MICA_EVENT_TO(cpu, (uint64_t)(vector))
#define SELF                  MICA_EVENT_SELF
#define PARTNER               MICA_EVENT_PARTNER
#define CALL(who, name, a, b) world_call(who, MICA_CALL_EVENT_##name, a, b)

static void start(void)
{
    for (unsigned int i = 0; i < WORLD_VMS; i++)
        world_add(i);
}

static void end(void)
{
    for (unsigned int i = 0; i < WORLD_VMS; i++)
        world_remove(i);
}

/* The one interrupt that has come, as MICA_EVENT_TO; 0: none, ~0: more.  It is taken. */
static uint64_t interrupt(unsigned int which)
{
    uint64_t found = 0;

    for (unsigned int cpu = 0; cpu < WORLD_CPUS; cpu++) {
        for (unsigned int vector = 0; vector < 256; vector++) {
            uint64_t *word = &world_cpus[which][cpu].lapic.irr[vector / 64];

            if (*word & BIT(vector % 64))
                found = found ? ~0ull : TO(cpu, vector);
            *word &= ~BIT(vector % 64);
        }
    }
    return found;
}

static unsigned int state(unsigned int which, uint64_t port)
{
    return MICA_EVENT_STATE((unsigned int)CALL(which, STATUS, port, 0));
}

static void test_loopback(void)
{
    start();
    CHECK(CALL(ALONE, STATUS, 0, 0) == MICA_EVENT_FREE, "at first there are no ends");
    CHECK(CALL(ALONE, CREATE, SELF, TO(1, 0x51)) == 0 && state(ALONE, 0) == MICA_EVENT_WAITING,
          "a guest creates an end");
    CHECK(CALL(ALONE, NOTIFY, 0, 0) == -MICA_ENOTCONN, "that it cannot use yet");
    CHECK(CALL(ALONE, BIND, MICA_EVENT_AT(SELF, 0), TO(0, 0x52)) == 1 &&
              CALL(ALONE, STATUS, 0, 0) == (MICA_EVENT_CONNECTED | 1 << 16) &&
              CALL(ALONE, STATUS, 1, 0) == MICA_EVENT_CONNECTED,
          "it binds to it itself, and both ends know each other");
    CHECK(CALL(ALONE, NOTIFY, 1, 0) == 0 && interrupt(ALONE) == TO(1, 0x51), "one tells the other");
    CHECK(CALL(ALONE, NOTIFY, 0, 0) == 0 && interrupt(ALONE) == TO(0, 0x52), "and back");
    CHECK(CALL(ALONE, NOTIFY, 0, 0) == 0 && CALL(ALONE, NOTIFY, 0, 0) == 0 &&
              interrupt(ALONE) == TO(0, 0x52),
          "told twice is told once");
    end();
}

static void connect_two(void)
{
    start();
    CHECK(CALL(ONE, CREATE, PARTNER, TO(0, 0x40)) == 0 &&
              CALL(TWO, CREATE, SELF, TO(0, 0x41)) == 0 &&
              CALL(TWO, BIND, MICA_EVENT_AT(PARTNER, 0), TO(1, 0x42)) == 1 &&
              CALL(ONE, STATUS, 0, 0) == (MICA_EVENT_CONNECTED | 1 << 16) &&
              CALL(TWO, STATUS, 1, 0) == MICA_EVENT_CONNECTED,
          "two guests are connected");
}

static void test_two(void)
{
    connect_two();
    CHECK(CALL(ONE, NOTIFY, 0, 0) == 0 && interrupt(TWO) == TO(1, 0x42) && interrupt(ONE) == 0,
          "one tells two");
    CHECK(CALL(TWO, NOTIFY, 1, 0) == 0 && interrupt(ONE) == TO(0, 0x40) && interrupt(TWO) == 0,
          "and two tells one");
    end();
}

static void test_mask(void)
{
    connect_two();
    CHECK(CALL(TWO, MASK, 1, 1) == 0 && CALL(ONE, NOTIFY, 0, 0) == 0 &&
              CALL(ONE, NOTIFY, 0, 0) == 0 && interrupt(TWO) == 0,
          "an end that is masked is not told");
    CHECK(CALL(TWO, STATUS, 1, 0) ==
              (MICA_EVENT_CONNECTED | MICA_EVENT_MASKED | MICA_EVENT_PENDING),
          "but it is pending");
    CHECK(CALL(TWO, MASK, 1, 1) == 0 && interrupt(TWO) == 0, "masking it again changes nothing");
    CHECK(CALL(TWO, MASK, 1, 0) == 0 && interrupt(TWO) == TO(1, 0x42) &&
              CALL(TWO, STATUS, 1, 0) == MICA_EVENT_CONNECTED,
          "and comes once when the mask is off");
    CHECK(CALL(TWO, MASK, 1, 0) == 0 && interrupt(TWO) == 0, "not again");
    end();
}

static void test_close(void)
{
    connect_two();
    CHECK(CALL(ONE, CLOSE, 0, 0) == 0 && state(ONE, 0) == MICA_EVENT_FREE &&
              state(TWO, 1) == MICA_EVENT_CLOSED && interrupt(TWO) == TO(1, 0x42),
          "who closes one end tells the other");
    CHECK(CALL(TWO, NOTIFY, 1, 0) == -MICA_ENOTCONN && CALL(ONE, NOTIFY, 0, 0) == -MICA_ENOENT,
          "nothing goes that way any more");
    CHECK(CALL(ONE, CREATE, PARTNER, TO(0, 0x50)) == 0 && state(TWO, 1) == MICA_EVENT_CLOSED &&
              CALL(TWO, NOTIFY, 1, 0) == -MICA_ENOTCONN,
          "not to a new end with the same number either");
    CHECK(CALL(TWO, CLOSE, 1, 0) == 0 && CALL(TWO, CLOSE, 1, 0) == -MICA_ENOENT &&
              state(ONE, 0) == MICA_EVENT_WAITING && interrupt(ONE) == 0,
          "what is left is closed once, and that one does not notice");
    end();
}

static void test_who(void)
{
    start();
    CHECK(CALL(ALONE, CREATE, PARTNER, TO(0, 0x40)) == -MICA_ENODEV &&
              CALL(ALONE, BIND, MICA_EVENT_AT(PARTNER, 0), TO(0, 0x40)) == -MICA_ENODEV,
          "a guest that names nobody has no partner");
    CALL(ONE, CREATE, SELF, TO(0, 0x40));
    CALL(ONE, CREATE, PARTNER, TO(0, 0x41));
    CHECK(CALL(TWO, BIND, MICA_EVENT_AT(PARTNER, 0), TO(0, 0x42)) == -MICA_ENOENT,
          "an end that waits for its own guest is not for the partner");
    CHECK(CALL(ONE, BIND, MICA_EVENT_AT(SELF, 1), TO(0, 0x42)) == -MICA_ENOENT,
          "one that waits for the partner is not for its own guest");
    CHECK(CALL(TWO, BIND, MICA_EVENT_AT(SELF, 0), TO(0, 0x42)) == -MICA_ENOENT &&
              CALL(ALONE, BIND, MICA_EVENT_AT(SELF, 1), TO(0, 0x42)) == -MICA_ENOENT,
          "and both are for nobody else");
    CHECK(CALL(TWO, BIND, MICA_EVENT_AT(PARTNER, 1), TO(0, 0x42)) == 0 &&
              CALL(TWO, BIND, MICA_EVENT_AT(PARTNER, 1), TO(0, 0x42)) == -MICA_ENOENT,
          "an end has one other end");
    end();
}

static void test_arguments(void)
{
    static const uint64_t bad[] = {0,
                                   15,
                                   TO(WORLD_CPUS, 0x40),
                                   0x100,
                                   0x140,
                                   BIT(32) | 0x40,
                                   BIT(63) | 0x40,
                                   TO(0, 0x40) | 0x8000,
                                   ~0ull};
    bool refused = true;

    start();
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
        refused &= CALL(ONE, CREATE, SELF, bad[i]) == -MICA_EINVAL &&
                   CALL(ONE, BIND, 0, bad[i]) == -MICA_EINVAL;
    CHECK(refused, "a vector below 16, a CPU that is not there and stray bits are refused");
    CHECK(CALL(ONE, CREATE, 2, TO(0, 0x40)) == -MICA_EINVAL &&
              CALL(ONE, CREATE, ~0ull, TO(0, 0x40)) == -MICA_EINVAL &&
              CALL(ONE, BIND, MICA_EVENT_AT(2, 0), TO(0, 0x40)) == -MICA_EINVAL &&
              CALL(ONE, BIND, BIT(32), TO(0, 0x40)) == -MICA_EINVAL,
          "so is a guest that is neither");
    refused = true;
    for (enum mica_call call = MICA_CALL_EVENT_NOTIFY; call < MICA_CALL_COUNT; call++)
        for (unsigned int i = 6; i < 64; i++)
            refused &= world_call(ONE, call, BIT(i), 0) == -MICA_EINVAL;
    CHECK(refused && CALL(ONE, BIND, 64, TO(0, 0x40)) == -MICA_EINVAL, "or a number from 64 on");
    CALL(ONE, CREATE, SELF, TO(0, 0x40));
    CHECK(CALL(ONE, MASK, 0, 2) == -MICA_EINVAL && CALL(ONE, MASK, 0, BIT(32)) == -MICA_EINVAL &&
              CALL(ONE, STATUS, 0, 0) == MICA_EVENT_WAITING,
          "and a mask that is neither on nor off");
    CHECK(CALL(ONE, MASK, 5, 1) == -MICA_ENOENT && CALL(ONE, NOTIFY, 5, 0) == -MICA_ENOENT &&
              CALL(ONE, CLOSE, 5, 0) == -MICA_ENOENT,
          "an end that is not there cannot be used");
    end();
}

static void test_many(void)
{
    bool right = true;

    start();
    for (unsigned int i = 0; i < MICA_EVENT_PORTS; i++)
        right &= CALL(ONE, CREATE, PARTNER, TO(0, 0x40)) == i;
    CHECK(right && CALL(ONE, CREATE, PARTNER, TO(0, 0x40)) == -MICA_ENOSPC &&
              CALL(ONE, BIND, 0, TO(0, 0x40)) == -MICA_ENOENT,
          "a guest has 64 ends");
    for (unsigned int i = 0; i < MICA_EVENT_PORTS; i++)
        right &= CALL(TWO, BIND, MICA_EVENT_AT(PARTNER, 63 - i), TO(1, 0x42)) == i;
    CHECK(right, "and each may be connected");
    CALL(ONE, CLOSE, 7, 0);
    CHECK(CALL(ONE, CREATE, SELF, TO(0, 0x40)) == 7 &&
              CALL(ONE, BIND, 7, TO(0, 0x40)) == -MICA_ENOSPC &&
              state(ONE, 7) == MICA_EVENT_WAITING,
          "where there is no room to bind nothing has changed");
    end();
}

static void test_end_of_one(void)
{
    connect_two();
    CALL(ONE, CREATE, PARTNER, TO(0, 0x43));
    CALL(TWO, CREATE, PARTNER, TO(0, 0x44));
    event_close_all(&world[ONE]);
    CHECK(state(ONE, 0) == MICA_EVENT_FREE && state(ONE, 1) == MICA_EVENT_FREE,
          "who is reset has no ends any more");
    CHECK(state(TWO, 1) == MICA_EVENT_CLOSED && interrupt(TWO) == TO(1, 0x42),
          "its partner learns of it");
    CHECK(CALL(ONE, BIND, MICA_EVENT_AT(PARTNER, 2), TO(0, 0x45)) == 0 &&
              CALL(TWO, NOTIFY, 2, 0) == 0 && interrupt(ONE) == TO(0, 0x45),
          "an end that had waited still does, and they meet again");
    world_remove(ONE);
    CHECK(CALL(TWO, NOTIFY, 2, 0) == -MICA_ENOTCONN &&
              CALL(TWO, BIND, MICA_EVENT_AT(PARTNER, 0), TO(0, 0x41)) == -MICA_ENOENT &&
              CALL(TWO, CREATE, PARTNER, TO(0, 0x46)) == 3,
          "where the partner is destroyed there is nobody, but one may wait");
    world_add(ONE);
    CHECK(CALL(ONE, BIND, MICA_EVENT_AT(PARTNER, 3), TO(0, 0x47)) == 0 &&
              CALL(ONE, NOTIFY, 0, 0) == 0 && interrupt(TWO) == ~0ull,
          "and a new one finds it");
    end();
}

/* ---- The memory ----------------------------------------------------------------------------- */

static uint8_t *shared(unsigned int which)
{
    return (uint8_t *)world[which].pair->memory.value;
}

static void begin_start(unsigned int which)
{
    pair_start(&world[which]);
    while (pair_renew(&world[which]))
        ;
}

static void test_memory(void)
{
    start();
    CHECK(shared(ONE) && shared(ONE) == shared(TWO) && !shared(ALONE) && shared(ONE)[100] == 0,
          "two guests have one memory, of zeroes");
    world[ONE].state = VM_RUNNING;
    begin_start(ONE);
    shared(ONE)[100] = 1;
    begin_start(TWO);
    CHECK(shared(TWO)[100] == 1, "who starts finds what the one that runs has written");
    world[TWO].state = VM_RUNNING;
    world[ONE].state = VM_PAUSED;
    begin_start(TWO);
    CHECK(shared(TWO)[100] == 1, "or the one that is paused");
    world[ONE].state = VM_OFF;
    begin_start(TWO);
    CHECK(shared(TWO)[100] == 0, "but nothing of one that is off");
    shared(TWO)[0] = shared(TWO)[SHARED_SIZE - 1] = 3;
    world[ONE].state = VM_STARTING;
    begin_start(TWO);
    CHECK(!shared(TWO)[0] && !shared(TWO)[SHARED_SIZE - 1], "or does not run yet: all is zero");
    world[TWO].state = VM_RUNNING;
    shared(TWO)[100] = 2;
    pair_start(&world[ONE]);
    CHECK(!pair_renew(&world[ONE]) && shared(TWO)[100] == 2,
          "whose start then leaves what there is");
    world_remove(ONE);
    CHECK(shared(TWO)[100] == 2, "the memory stays for the one that is left");
    world_add(ONE);
    CHECK(shared(ONE) == shared(TWO) && world[ONE].side != world[TWO].side,
          "and is that of a new one");
    world_remove(TWO);
    world[ONE].state = VM_OFF;
    begin_start(ONE);
    CHECK(shared(ONE)[100] == 0, "which finds nothing either when it is alone");
    world_add(TWO);
    end();
}

int main(void)
{
    fake_start(1);
    test_loopback();
    test_two();
    test_mask();
    test_close();
    test_who();
    test_arguments();
    test_many();
    test_end_of_one();
    test_memory();
    return check_done();
}
