/* SPDX-License-Identifier: MIT */
/*
 * The physical console and who has it: the monitor, or the guest that is attached.  Output goes
 * through rings that the physical UART's interrupt drains in FIFO loads; nobody waits for the line.
 *
 * What the attached guest writes reaches the line as it is.  Other guests are shown by whole lines
 * with their name in front, between the lines of everybody else.
 */
#pragma once

#include "hv/ring.h"
#include "hv/util.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_CONSOLE_RING  4096u /* bytes on their way out; a power of two */
#define GUEST_CONSOLE_INPUT 1024u /* bytes that wait for the guest's receiver; a power of two */
#define GUEST_CONSOLE_LINE  256u  /* longer lines of a guest that is not attached are broken here */

#define CONSOLE_ESCAPE 0x1d /* Ctrl-] */

/* What a guest's console needs from its VM.  Called without the VM's lock held. */
struct guest_console_ops {
    void *ctx;
    unsigned int (*input)(void *ctx, const uint8_t *bytes,
                          unsigned int count); /* returns how many it took */
    void (*output_room)(void *ctx);            /* the ring was full and has room again */
};

/* All but name and ops is the console's own, under its lock. */
struct guest_console {
    const char *name;
    struct guest_console_ops ops;
    struct byte_ring out, in;
    uint8_t out_bytes[GUEST_CONSOLE_RING];
    uint8_t in_bytes[GUEST_CONSOLE_INPUT];
    uint32_t scanned; /* bytes of `out` that are known to hold no end of line */
    bool refused;     /* a byte was refused: output_room() is due */
    struct guest_console *next;
};

/* ---- For a VM ------------------------------------------------------------------------------- */

void guest_console_add(struct guest_console *console, const char *name,
                       const struct guest_console_ops *ops);
/* The VM goes, and its console with it: it runs nowhere any more, while other guests may.  On the
 * boot CPU.  What it was attached to is the monitor's then; what was not shown yet is gone. */
void guest_console_remove(struct guest_console *console);
/* One byte from the guest; false: the ring is full, output_room() follows.  With the VM's lock
 * held, so it calls nothing back. */
bool guest_console_put(struct guest_console *console, uint8_t byte);
/* The guest's receiver has room again: input that waits for it may go on.  The VM's lock may be
 * held. */
void guest_console_input_ready(struct guest_console *console);
/* All that the guest has written goes out, an unfinished line is ended, input that waits is
 * dropped: for the guest has ended. */
void guest_console_flush(struct guest_console *console);

/* ---- For main.c and the monitor ------------------------------------------------------------- */

void console_init(void); /* the UART, polled: the first lines of the log */
void console_enable_interrupts(
    void); /* from here on by interrupt (console_irq.c); after machine_init() */
void console_configure(bool com1); /* [host] console */

/* Attach to a guest, or with a null pointer to the monitor, which prints its prompt. */
void console_attach(struct guest_console *console);
struct guest_console *console_attached(void);
/* The guest that Ctrl-] would return to, or a null pointer. */
struct guest_console *console_last_attached(void);

/* The work of the main loop on the boot CPU: hand out input, refill output.  Returns quickly when
 * there is none. */
void console_work(void);

/* Text to the physical console from the monitor; never waits but when its own ring is full. */
void console_write(const char *text, size_t size);
void console_print(const char *format, ...) PRINTF(1, 2);
/* A line of the log: on a line of its own, whatever else is being written or typed. */
void console_line(const char *text, size_t size);
/* What stands at the end of the output for the user to type at, redrawn after lines that come in
 * between; size 0: nothing. */
void console_set_prompt(const char *text, size_t size);
/* Everything out by polling: before the machine goes off. */
void console_flush(void);
/* For panic(): by polling, locks in any state. */
void console_panic_write(const char *text, size_t size);

/* ---- For console_irq.c ---------------------------------------------------------------------- */

/* The UART's interrupt; and how to make the boot CPU call console_work(). */
void console_interrupt(void);
void console_start_interrupts(void (*post_work)(void));
bool console_has_uart(void);
