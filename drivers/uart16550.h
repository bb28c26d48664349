/* SPDX-License-Identifier: MIT */
/*
 * A physical 16550A: 115200 baud, 8 data bits, no parity, FIFOs on.  It takes and gives bytes
 * through two functions of its owner, who also serialises all calls.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define UART16550_COM1     0x3f8u
#define UART16550_COM1_IRQ 4u
#define UART16550_FIFO     16u

struct uart16550_ops {
    void *ctx;
    bool (*next)(void *ctx, uint8_t *byte);    /* the next byte to send; false: none */
    bool (*has_room)(void *ctx);               /* may a byte be read from the line? */
    void (*received)(void *ctx, uint8_t byte); /* called only after has_room() said yes */
};

struct uart16550 {
    struct uart16550_ops ops;
    uint16_t port;
    uint8_t ier;     /* as written to the chip */
    uint8_t in_fifo; /* bytes written since the transmitter was last seen empty */
    bool present;
    bool by_interrupt; /* uart16550_enable_interrupts() was called */
    bool held;         /* the receiver is left alone: the owner had no room */
};

/* False when no 16550 answers at the port; every other function does nothing then. */
bool uart16550_init(struct uart16550 *uart, uint16_t port, const struct uart16550_ops *ops);

/* From here on uart16550_interrupt() is called by the line's interrupt, which may be
 * edge-triggered. */
void uart16550_enable_interrupts(struct uart16550 *uart);
void uart16550_interrupt(struct uart16550 *uart);

/* There is something to send: a FIFO load now if it is empty; the interrupt brings the rest. */
void uart16550_send(struct uart16550 *uart);

/* The owner has room again. */
void uart16550_resume(struct uart16550 *uart);

/* One byte, by polling and for a bounded time: for panics and the early log. */
void uart16550_put_polled(struct uart16550 *uart, uint8_t byte);
/* Everything that next() has, by polling; and drained, until the last bit is on the line. */
void uart16550_send_polled(struct uart16550 *uart);
void uart16550_drain(struct uart16550 *uart);
