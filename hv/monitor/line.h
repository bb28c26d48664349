/* SPDX-License-Identifier: MIT */
/*
 * A line of text being typed: cursor movement, history, completion.  Pure: bytes of a terminal in,
 * bytes for a terminal out, and finished lines to its owner.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_SIZE    240u /* characters of a line */
#define LINE_HISTORY 16u
#define LINE_COLUMNS 79u  /* of the terminal that are used; longer lines scroll sideways */
#define LINE_VIEW    128u /* bytes that line_view() may need */

struct line_ops {
    void *ctx;
    void (*write)(void *ctx, const char *text, size_t size);
    /* Enter was pressed.  The line ends in NUL and is the owner's to change. */
    void (*execute)(void *ctx, char *line);
    /*
     * The n-th word that may stand where the line's last word stands, or a null pointer past the
     * last of them. `before` is what stands before that word, `size` long.
     */
    const char *(*candidate)(void *ctx, const char *before, size_t size, unsigned int n);
};

struct line {
    struct line_ops ops;
    const char *prompt;
    char text[LINE_SIZE + 1];
    uint32_t length, cursor;
    uint32_t first;           /* the first character that is shown */
    uint8_t escape;           /* state of an escape sequence */
    uint8_t number;           /* its parameter */
    bool after_cr;            /* an LF that follows belongs to it */
    char kept[LINE_SIZE + 1]; /* what was typed before the history was entered */
    char history[LINE_HISTORY][LINE_SIZE + 1];
    uint32_t history_count; /* lines that were ever entered */
    uint32_t back;          /* how far back in the history; 0: at the new line */
};

void line_init(struct line *line, const char *prompt, const struct line_ops *ops);
void line_input(struct line *line, uint8_t byte);

/* Show the prompt and the line from the start of the terminal's line. */
void line_show(struct line *line);

/* What line_show() writes, into LINE_VIEW bytes; returns its size. */
size_t line_view(const struct line *line, char *buffer);
