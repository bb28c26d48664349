/* SPDX-License-Identifier: MIT */
/*
 * The newest of what a guest has written, and how much of that was shown.  Plain memory: it knows
 * neither guests nor the console, and its owner locks it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SCROLLBACK_SIZE 16384u /* a power of two */

struct scrollback {
    uint64_t end;     /* bytes that ever came; the last SCROLLBACK_SIZE are kept */
    uint64_t shown;   /* of these were shown, or lost */
    uint64_t scanned; /* from `shown` up to here there is no end of a line */
    uint8_t bytes[SCROLLBACK_SIZE];
};

/* A byte comes, and the oldest goes, even one that was never shown. */
void scrollback_put(struct scrollback *sb, uint8_t byte);
/* Would another byte displace one that was not shown? */
bool scrollback_is_full(const struct scrollback *sb);
uint32_t scrollback_kept(const struct scrollback *sb);
uint32_t scrollback_unshown(const struct scrollback *sb);

/* Up to max bytes that were not shown yet; they count as shown.  Returns how many. */
uint32_t scrollback_take(struct scrollback *sb, uint8_t *bytes, uint32_t max);
/* Bytes of the first line that was not shown, its end included, or max when it is longer; 0: it has
 * no end yet. */
uint32_t scrollback_line(struct scrollback *sb, uint32_t max);

/* All but the last lines, max bytes of them at most, counts as shown. */
void scrollback_skip(struct scrollback *sb, unsigned int lines, uint32_t max);
/* The last lines count as not shown, and what indeed was not shown before them; a line that is not
 * kept from its beginning is left out. */
void scrollback_rewind(struct scrollback *sb, unsigned int lines);
