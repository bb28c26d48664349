/* SPDX-License-Identifier: MIT */
/*
 * When a queue is served at each notification, and when from a timer.  A driver that notifies again
 * and again is asked not to; a timer looks at its queue then, until a look finds too little to be
 * worth what it costs.  Where not even the first look was, ever more patience is needed, so that
 * who sends one thing at a time, and waits for the answer, does not wait for timers too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_PACE_NS 100000u /* between two looks; and so long notifications are counted */

struct virtio_pace {
    bool on;               /* from a timer, */
    bool was_worth;        /* which has found enough at least once */
    unsigned int patience; /* so many notifications in a period switch it on */
    unsigned int rung;     /* notifications in the present period, */
    uint64_t since_ns;     /* which began here */
};

void virtio_pace_init(struct virtio_pace *pace);
/* The driver has notified. */
void virtio_pace_rung(struct virtio_pace *pace, uint64_t now_ns);
/* The timer has found so many requests, or an error. */
void virtio_pace_looked(struct virtio_pace *pace, int found);
