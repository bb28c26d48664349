/* SPDX-License-Identifier: MIT */
/*
 * A virtual serial port: a National Semiconductor 16550A without its wires.  Bytes leave through a
 * backend that may refuse them, and arrive as fast as the guest takes them, so that neither
 * direction loses any.  Baud rate, parity and word length are stored and mean nothing; breaks and
 * line errors never arrive.
 *
 *   offset  DLAB  read                          write
 *   0       0     RBR receiver buffer           THR transmitter holding
 *   1       0     IER interrupt enable          IER
 *   0, 1    1     DLL, DLM divisor latch        DLL, DLM
 *   2             IIR interrupt identification  FCR FIFO control
 *   3             LCR line control              LCR
 *   4             MCR modem control             MCR
 *   5             LSR line status               -
 *   6             MSR modem status              -
 *   7             SCR scratch                   SCR
 */
#pragma once

#include "hv/vdev/vdev.h"

#include <stdbool.h>
#include <stdint.h>

#define VUART_FIFO_SIZE 16u
#define VUART_COM1_BASE 0x3f8
#define VUART_COM1_IRQ  4

struct vuart_backend {
    void *ctx;
    /* Take one byte.  False: no room; the owner calls vuart_tx_ready() when there is. */
    bool (*put)(void *ctx, uint8_t byte);
    /* The receiver has room again.  May call vuart_rx(). */
    void (*rx_drained)(void *ctx);
};

struct vuart_fifo {
    uint8_t bytes[VUART_FIFO_SIZE];
    uint8_t head;
    uint8_t count;
};

struct vuart {
    struct irq_line irq;
    struct vuart_backend backend;
    struct vuart_fifo rx;
    struct vuart_fifo tx; /* only what the backend refused */
    uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
    uint8_t lsr; /* kept up to date, so that reading it is one load */
    uint8_t msr;
    bool thri; /* "transmitter holding register empty" is pending, until IIR is read or THR written
                */
    bool line; /* what the interrupt line carries */
};

/* Power-on state; also a reset. */
void vuart_init(struct vuart *uart, const struct irq_line *irq,
                const struct vuart_backend *backend);
struct pio_range vuart_ports(struct vuart *uart, uint16_t base);

/* Bytes from outside: takes as many as fit, says how many. */
unsigned int vuart_rx(struct vuart *uart, const uint8_t *bytes, unsigned int count);
unsigned int vuart_rx_room(const struct vuart *uart);

/* The backend has room again: send what it refused, and tell the guest. */
void vuart_tx_ready(struct vuart *uart);
