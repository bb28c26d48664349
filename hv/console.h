/* SPDX-License-Identifier: MIT */
/*
 * The physical console and who has it: the monitor, or the guest that is attached.  Output goes
 * through rings that the physical UART's interrupt drains in FIFO loads; nobody waits for the line
 * but a guest that is watched and has filled its own ring.
 *
 * What the attached guest writes reaches the line as it is.  What others write is kept in their
 * rings, the newest of it; who attaches is shown first what came meanwhile, at least the last
 * screen.  Or all guests are shown, by whole lines with their name in front, between the lines of
 * everybody else, from the last ones on that nobody has seen: so at first, until one is attached.
 */
#pragma once

#include "hv/ring.h"
#include "hv/scrollback.h"
#include "hv/spinlock.h"
#include "hv/util.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_CONSOLE_INPUT 1024u /* bytes that wait for the guest's receiver; a power of two */
#define GUEST_CONSOLE_LINE  256u  /* longer lines are broken where they are shown with the name */

#define CONSOLE_ESCAPE 0x1d /* Ctrl-] */

/* What a guest's console needs from its VM.  Called without the VM's lock held. */
struct guest_console_ops {
    void *ctx;
    unsigned int (*input)(void *ctx, const uint8_t *bytes,
                          unsigned int count); /* returns how many it took */
    void (*output_room)(void *ctx);            /* the ring was full and has room again */
};

/* Where a reader of bytes is who wants text and no control sequences. */
struct console_text {
    uint8_t state;
    uint8_t more;  /* bytes that a character in UTF-8 still has */
    uint8_t least; /* the next one's least value */
};

/* All but name and ops is the console's own, under its lock; `out` under the guest's. */
struct guest_console {
    const char *name;
    struct guest_console_ops ops;
    struct guest_console *next;
    bool seen;    /* what it writes is shown: it waits when its ring is full; under both locks */
    bool refused; /* a byte was refused: output_room() is due */
    struct console_text text; /* what is shown again as text alone */
    uint64_t replayed;        /* up to this place of `out` it is shown again */
    uint64_t ended;           /* a line that is open at this place will not go on */
    struct byte_ring in;
    uint8_t in_bytes[GUEST_CONSOLE_INPUT];
    struct spinlock lock;
    struct scrollback out;
};

struct guest_console_view {
    uint32_t kept;    /* bytes of its output */
    uint32_t unshown; /* of these, that nobody has seen yet */
};

/* ---- For a VM ------------------------------------------------------------------------------- */

/* Its memory is zeroed. */
void guest_console_add(struct guest_console *console, const char *name,
                       const struct guest_console_ops *ops);
/* The VM goes, and its console with it: it runs nowhere any more, while other guests may.  On the
 * boot CPU.  What it was attached to is the monitor's then; what was not shown yet is gone. */
void guest_console_remove(struct guest_console *console);
/* One byte from the guest; false: it is watched and its ring is full, output_room() follows.  With
 * the VM's lock held, so it calls nothing back. */
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
void console_configure(bool com1, bool framebuffer); /* as [host] has it */

/* Attach to a guest, or with a null pointer to the monitor, which prints its prompt. */
void console_attach(struct guest_console *console);
struct guest_console *console_attached(void);
/* The guest that Ctrl-] would return to, or a null pointer. */
struct guest_console *console_last_attached(void);
/* All guests' lines, until Ctrl-] or another is attached. */
void console_show_all(void);
bool console_shows_all(void);
void guest_console_view(struct guest_console *console, struct guest_console_view *out);

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

/* ---- For console_irq.c and console_mirror.c -------------------------------------------------- */

/* How to make the boot CPU call console_work(); and the UART's interrupt. */
void console_start_work(void (*post_work)(void));
void console_start_interrupts(void);
void console_interrupt(void);
bool console_has_uart(void);

/*
 * Who mirrors the console is called, without any lock, when there is something to take: `now`, to
 * take and to show everything before it returns, or on the boot CPU by console_work().  A take that
 * returns 0 is the last until the next call.
 */
void console_set_mirror(void (*mirror)(bool now));
uint32_t console_mirror_take(uint8_t *bytes, uint32_t max);
