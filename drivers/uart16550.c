/* SPDX-License-Identifier: MIT */
/*
 * The physical serial port.  While the FIFO has room bytes go straight into it and no interrupt is
 * asked for; only when it is full is "transmitter empty" enabled, and that interrupt brings the
 * next
 * 16.  When the owner has no room for input the receiver's interrupt is off and RTS low: the FIFO,
 * then the line, hold what comes.
 */
#include "drivers/uart16550.h"

#include "arch/x86/regs.h"

enum {
    UART_DATA = 0, /* RBR, THR; DLL with DLAB */
    UART_IER = 1,  /* DLM with DLAB */
    UART_IIR = 2,  /* FCR when written */
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5,
    UART_MSR = 6,
    UART_SCR = 7,
};

#define IER_RECEIVED     0x01u
#define IER_TRANSMIT     0x02u
#define IIR_NONE         0x01u
#define FCR_ENABLE       0x01u
#define FCR_TRIGGER_8    0x80u
#define LCR_8N1          0x03u
#define LCR_DLAB         0x80u
#define MCR_DTR          0x01u
#define MCR_RTS          0x02u
#define MCR_OUT2         0x08u /* lets the interrupt reach the controller */
#define MCR_LOOPBACK     0x10u
#define LSR_RECEIVED     0x01u
#define LSR_THR_EMPTY    0x20u
#define LSR_IDLE         0x40u /* not even the shift register has anything */
#define DIVISOR_115200   1u
#define POLLS_A_BYTE     1000000u /* far more than a byte's time */
#define INTERRUPT_ROUNDS 64u

static uint8_t in(const struct uart16550 *uart, unsigned int reg)
{
    return inb((uint16_t)(uart->port + reg));
}

static void out(const struct uart16550 *uart, unsigned int reg, uint8_t value)
{
    outb((uint16_t)(uart->port + reg), value);
}

static void set_ier(struct uart16550 *uart, uint8_t ier)
{
    if (uart->ier != ier)
        out(uart, UART_IER, ier);
    uart->ier = ier;
}

/* What firmware has written last is let out: loop-back would eat it. */
static void wait_idle(const struct uart16550 *uart)
{
    for (unsigned int i = 0; i < POLLS_A_BYTE && !(in(uart, UART_LSR) & LSR_IDLE); i++)
        cpu_relax();
}

/* In loop-back mode RTS and OUT2 come back as CTS and DCD; an empty port reads all ones. */
static bool detect(struct uart16550 *uart)
{
    out(uart, UART_MCR, MCR_LOOPBACK | MCR_RTS | MCR_OUT2);
    uint8_t on = in(uart, UART_MSR) & 0xf0;
    out(uart, UART_MCR, MCR_LOOPBACK);
    uint8_t off = in(uart, UART_MSR) & 0xf0;
    return on == 0x90 && off == 0;
}

bool uart16550_init(struct uart16550 *uart, uint16_t port, const struct uart16550_ops *ops)
{
    *uart = (struct uart16550){.port = port, .ops = *ops, .in_fifo = UART16550_FIFO};
    wait_idle(uart);
    uart->present = detect(uart);
    if (!uart->present)
        return false;
    out(uart, UART_IER, 0);
    out(uart, UART_LCR, LCR_8N1 | LCR_DLAB);
    out(uart, UART_DATA, DIVISOR_115200);
    out(uart, UART_IER, 0);
    out(uart, UART_LCR, LCR_8N1);
    out(uart, UART_IIR, FCR_ENABLE | FCR_TRIGGER_8);
    out(uart, UART_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
    return true;
}

/* ---- Sending -------------------------------------------------------------------------------- */

static bool fifo_has_room(struct uart16550 *uart)
{
    if (uart->in_fifo < UART16550_FIFO)
        return true;
    if (!(in(uart, UART_LSR) & LSR_THR_EMPTY))
        return false;
    uart->in_fifo = 0;
    return true;
}

/* The FIFO is asked for room before a byte is taken: a byte that is taken is sent. */
void uart16550_send(struct uart16550 *uart)
{
    uint8_t byte;

    if (!uart->present)
        return;
    for (;;) {
        if (!fifo_has_room(uart)) {
            if (uart->by_interrupt)
                set_ier(uart, uart->ier | IER_TRANSMIT);
            return;
        }
        if (!uart->ops.next(uart->ops.ctx, &byte))
            break;
        out(uart, UART_DATA, byte);
        uart->in_fifo++;
    }
    set_ier(uart, uart->ier & (uint8_t)~IER_TRANSMIT);
}

void uart16550_put_polled(struct uart16550 *uart, uint8_t byte)
{
    if (!uart->present)
        return;
    for (unsigned int i = 0; i < POLLS_A_BYTE && !fifo_has_room(uart); i++)
        cpu_relax();
    if (uart->in_fifo >= UART16550_FIFO)
        uart->in_fifo = 0; /* the line stands still: the byte may be lost, but not the machine */
    out(uart, UART_DATA, byte);
    uart->in_fifo++;
}

void uart16550_send_polled(struct uart16550 *uart)
{
    uint8_t byte;

    while (uart->present && uart->ops.next(uart->ops.ctx, &byte))
        uart16550_put_polled(uart, byte);
}

void uart16550_drain(struct uart16550 *uart)
{
    uart16550_send_polled(uart);
    if (uart->present)
        wait_idle(uart);
}

/* ---- Receiving ------------------------------------------------------------------------------ */

static void hold(struct uart16550 *uart, bool held)
{
    if (uart->held == held)
        return;
    uart->held = held;
    out(uart, UART_MCR, (uint8_t)(MCR_DTR | MCR_OUT2 | (held ? 0 : MCR_RTS)));
    set_ier(uart, held ? uart->ier & (uint8_t)~IER_RECEIVED : uart->ier | IER_RECEIVED);
}

static void receive(struct uart16550 *uart)
{
    while (in(uart, UART_LSR) & LSR_RECEIVED) {
        if (!uart->ops.has_room(uart->ops.ctx)) {
            hold(uart, true);
            return;
        }
        uart->ops.received(uart->ops.ctx, in(uart, UART_DATA));
    }
}

void uart16550_resume(struct uart16550 *uart)
{
    if (!uart->present || !uart->held)
        return;
    hold(uart, false);
    receive(uart);
}

/* ---- Interrupts ----------------------------------------------------------------------------- */

/*
 * The line must be seen low before this returns, or an edge-triggered controller never fires again.
 * A source that does not calm down in these rounds makes a new edge: all off, and on again.
 */
void uart16550_interrupt(struct uart16550 *uart)
{
    if (!uart->present)
        return;
    for (unsigned int round = 0; round < INTERRUPT_ROUNDS; round++) {
        if (in(uart, UART_IIR) & IIR_NONE)
            return;
        if (!uart->held)
            receive(uart);
        uart16550_send(uart);
    }
    out(uart, UART_IER, 0);
    out(uart, UART_IER, uart->ier);
}

void uart16550_enable_interrupts(struct uart16550 *uart)
{
    if (!uart->present)
        return;
    uart->by_interrupt = true;
    set_ier(uart, IER_RECEIVED);
    receive(uart);
    uart16550_send(uart);
}
