/* SPDX-License-Identifier: MIT */
/*
 * The physical console and who has it: the monitor, or the guest that is attached.  Output goes through
 * rings that the physical UART's interrupt drains in FIFO loads; nobody waits for the line.
 */
#pragma once

#include "hv/util.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_CONSOLE_RING 4096u /* bytes on their way out; a power of two */
#define GUEST_CONSOLE_LINE 256u

/* What a guest's console needs from its VM.  Called without the VM's lock held. */
struct guest_console_ops {
    void *ctx;
    unsigned int (*input)(void *ctx, const uint8_t *bytes, unsigned int count); /* returns how many it took */
    void (*output_room)(void *ctx); /* the ring was full and has room again */
};

struct guest_console {
    const char *name;
    struct guest_console_ops ops;
    uint8_t ring[GUEST_CONSOLE_RING];
    uint32_t head, tail; /* head: next to leave; tail: next free */
    bool refused;        /* a byte was refused: output_room() is due */
    bool in_line;        /* not attached: the line in front of which the name stands is open */
    struct guest_console *next;
};

/* ---- For a VM ------------------------------------------------------------------------------- */

void guest_console_add(struct guest_console *console, const char *name, const struct guest_console_ops *ops);
/* One byte from the guest; false: the ring is full, output_room() follows.  With the VM's lock held, so it calls nothing back. */
bool guest_console_put(struct guest_console *console, uint8_t byte);
/* The guest's receiver has room again: input that waits for it may go on. */
void guest_console_input_ready(struct guest_console *console);
/* An unfinished line is ended, for the guest has. */
void guest_console_flush(struct guest_console *console);

/* ---- For main.c and the monitor ------------------------------------------------------------- */

void console_init(void);            /* the UART, polled: the first lines of the log */
void console_enable_interrupts(void); /* from here on by interrupt */
void console_configure(bool com1);  /* [host] console */

/* Attach to a guest, or with a null pointer to the monitor. */
void console_attach(struct guest_console *console);
struct guest_console *console_attached(void);

/* The work of the main loop on the boot CPU: hand out input, refill output.  Returns quickly when there is none. */
void console_work(void);

/* Text to the physical console from the monitor or the log; never waits but when its own ring is full. */
void console_write(const char *text, size_t size);
void console_print(const char *format, ...) PRINTF(1, 2);
/* Everything out by polling: before the machine goes off. */
void console_flush(void);
/* For panic(): by polling, locks in any state. */
void console_panic_write(const char *text, size_t size);
