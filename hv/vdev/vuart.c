/* SPDX-License-Identifier: MIT */
/*
 * The virtual 16550A (see vuart.h).  As there is no line to wait for, a byte written to THR is sent
 * at once and the transmitter is empty again, unless the backend refuses; and the character
 * time-out of the receiver, four character times on a board, is immediate.
 */
#include "hv/vdev/vuart.h"

#include "hv/util.h"

enum vuart_register {
    REG_RBR_THR = 0,
    REG_IER = 1,
    REG_IIR_FCR = 2,
    REG_LCR = 3,
    REG_MCR = 4,
    REG_LSR = 5,
    REG_MSR = 6,
    REG_SCR = 7,
    REG_COUNT = 8,
};

#define IER_RDI  0x01 /* received data available, character time-out */
#define IER_THRI 0x02 /* transmitter holding register empty */
#define IER_RLSI 0x04 /* receiver line status */
#define IER_MSI  0x08 /* modem status */
#define IER_MASK 0x0f

#define IIR_MSI     0x00
#define IIR_NO_INT  0x01
#define IIR_THRI    0x02
#define IIR_RDI     0x04
#define IIR_RLSI    0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFOS   0xc0 /* FIFOs enabled and working: what tells a 16550A from a 16550 */

#define FCR_ENABLE        0x01
#define FCR_CLEAR_RX      0x02
#define FCR_CLEAR_TX      0x04
#define FCR_DMA           0x08
#define FCR_TRIGGER       0xc0
#define FCR_TRIGGER_SHIFT 6

#define LCR_DLAB 0x80

#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08 /* on a PC: connects the interrupt */
#define MCR_LOOP 0x10
#define MCR_MASK 0x1f

#define LSR_DR     0x01
#define LSR_OE     0x02
#define LSR_PE     0x04
#define LSR_FE     0x08
#define LSR_BI     0x10
#define LSR_THRE   0x20
#define LSR_TEMT   0x40
#define LSR_ERRORS (LSR_OE | LSR_PE | LSR_FE | LSR_BI)
#define LSR_EMPTY  (LSR_THRE | LSR_TEMT)

#define MSR_DCTS   0x01
#define MSR_DDSR   0x02
#define MSR_TERI   0x04
#define MSR_DDCD   0x08
#define MSR_CTS    0x10
#define MSR_DSR    0x20
#define MSR_RI     0x40
#define MSR_DCD    0x80
#define MSR_DELTAS 0x0f
#define MSR_INPUTS 0xf0

#define DIVISOR_9600 12

static void fifo_put(struct vuart_fifo *fifo, uint8_t byte)
{
    fifo->bytes[(fifo->head + fifo->count) % VUART_FIFO_SIZE] = byte;
    fifo->count++;
}

static void fifo_drop(struct vuart_fifo *fifo)
{
    fifo->head = (uint8_t)((fifo->head + 1) % VUART_FIFO_SIZE);
    fifo->count--;
}

static uint8_t fifo_first(const struct vuart_fifo *fifo)
{
    return fifo->bytes[fifo->head % VUART_FIFO_SIZE];
}

static unsigned int fifo_capacity(const struct vuart *uart)
{
    return uart->fcr & FCR_ENABLE ? VUART_FIFO_SIZE : 1;
}

static unsigned int rx_trigger(const struct vuart *uart)
{
    static const uint8_t levels[] = {1, 4, 8, 14};

    return levels[uart->fcr >> FCR_TRIGGER_SHIFT];
}

/* The pending interrupt of the highest priority. */
static uint8_t interrupt_id(const struct vuart *uart)
{
    if ((uart->ier & IER_RLSI) && (uart->lsr & LSR_ERRORS))
        return IIR_RLSI;
    if ((uart->ier & IER_RDI) && uart->rx.count != 0)
        return uart->rx.count >= rx_trigger(uart) ? IIR_RDI : IIR_TIMEOUT;
    if ((uart->ier & IER_THRI) && uart->thri)
        return IIR_THRI;
    if ((uart->ier & IER_MSI) && (uart->msr & MSR_DELTAS))
        return IIR_MSI;
    return IIR_NO_INT;
}

static void set_line(struct vuart *uart, bool level)
{
    if (uart->line == level)
        return;
    uart->line = level;
    irq_line_set(&uart->irq, level);
}

/* OUT2 gates the interrupt on a PC's board, and loopback takes the pin away from MCR. */
static void update_irq(struct vuart *uart)
{
    bool connected = (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

    set_line(uart, connected && interrupt_id(uart) != IIR_NO_INT);
}

/* An owner that was refused waits for this. */
static void tell_room(struct vuart *uart)
{
    if (vuart_rx_room(uart) != 0)
        uart->backend.rx_drained(uart->backend.ctx);
}

static uint8_t read_rbr(struct vuart *uart)
{
    if (uart->rx.count == 0)
        return 0;

    uint8_t byte = fifo_first(&uart->rx);
    fifo_drop(&uart->rx);
    if (uart->rx.count == 0)
        uart->lsr &= (uint8_t)~LSR_DR;

    /* Reading restarts the character time-out: a guest that takes one byte an edge sees one for
     * each. */
    if (interrupt_id(uart) == IIR_TIMEOUT)
        set_line(uart, false);
    update_irq(uart);
    if (uart->rx.count == 0)
        tell_room(uart);
    return byte;
}

static uint8_t read_iir(struct vuart *uart)
{
    uint8_t id = interrupt_id(uart);

    if (id == IIR_THRI) {
        uart->thri = false;
        update_irq(uart);
    }
    return uart->fcr & FCR_ENABLE ? id | IIR_FIFOS : id;
}

static uint8_t read_lsr(struct vuart *uart)
{
    uint8_t lsr = uart->lsr;

    uart->lsr &= (uint8_t)~LSR_ERRORS;
    update_irq(uart);
    return lsr;
}

static uint8_t read_msr(struct vuart *uart)
{
    uint8_t msr = uart->msr;

    uart->msr &= MSR_INPUTS;
    update_irq(uart);
    return msr;
}

static void loop_back(struct vuart *uart, uint8_t byte)
{
    if (uart->rx.count >= fifo_capacity(uart)) {
        uart->lsr |= LSR_OE;
        return;
    }
    fifo_put(&uart->rx, byte);
    uart->lsr |= LSR_DR;
}

/* Sends a byte, or keeps it until vuart_tx_ready().  One written to a full transmitter is lost. */
static void transmit(struct vuart *uart, uint8_t byte)
{
    if (uart->tx.count == 0 && uart->backend.put(uart->backend.ctx, byte))
        return;
    if (uart->tx.count < fifo_capacity(uart))
        fifo_put(&uart->tx, byte);
    uart->lsr &= (uint8_t)~LSR_EMPTY;
}

static void write_thr(struct vuart *uart, uint8_t byte)
{
    uart->thri = false;
    update_irq(uart); /* low and high again: IRQ 4 is edge-triggered */
    if (uart->mcr & MCR_LOOP)
        loop_back(uart, byte);
    else
        transmit(uart, byte);
    uart->thri = (uart->lsr & LSR_THRE) != 0;
    update_irq(uart);
}

/* Enabling THRI while THR is empty raises it: Linux starts every transmission with that. */
static void write_ier(struct vuart *uart, uint8_t value)
{
    uint8_t enabled = value & (uint8_t)~uart->ier;

    uart->ier = value & IER_MASK;
    if ((enabled & IER_THRI) && (uart->lsr & LSR_THRE))
        uart->thri = true;
    update_irq(uart);
}

static void clear_rx(struct vuart *uart)
{
    uart->rx.count = 0;
    uart->lsr &= (uint8_t) ~(LSR_DR | LSR_ERRORS);
}

static void clear_tx(struct vuart *uart)
{
    uart->tx.count = 0;
    if (!(uart->lsr & LSR_THRE))
        uart->thri = true;
    uart->lsr |= LSR_EMPTY;
}

static void write_fcr(struct vuart *uart, uint8_t value)
{
    bool switched = (value ^ uart->fcr) & FCR_ENABLE;
    bool enable = value & FCR_ENABLE; /* without it the other bits do nothing */
    bool had_data = uart->rx.count != 0;

    uart->fcr = enable ? value & (FCR_ENABLE | FCR_DMA | FCR_TRIGGER) : 0;
    if (switched || (enable && (value & FCR_CLEAR_RX)))
        clear_rx(uart);
    if (switched || (enable && (value & FCR_CLEAR_TX)))
        clear_tx(uart);
    update_irq(uart);
    if (had_data && uart->rx.count == 0)
        tell_room(uart);
}

/* In loopback the modem inputs are MCR's outputs; otherwise an attentive terminal is connected. */
static uint8_t modem_inputs(const struct vuart *uart)
{
    uint8_t mcr = uart->mcr;

    if (!(mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
                     (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

/* The four delta bits, TERI only when RI goes away. */
static uint8_t modem_deltas(uint8_t before, uint8_t after)
{
    uint8_t changed = (before ^ after) & MSR_INPUTS;

    if (after & MSR_RI)
        changed &= (uint8_t)~MSR_RI;
    return changed >> 4;
}

static void write_mcr(struct vuart *uart, uint8_t value)
{
    bool loop_ended = (uart->mcr & MCR_LOOP) && !(value & MCR_LOOP);

    uart->mcr = value & MCR_MASK;
    uint8_t inputs = modem_inputs(uart);
    uart->msr = inputs | modem_deltas(uart->msr, inputs) | (uart->msr & MSR_DELTAS);
    update_irq(uart);
    if (loop_ended)
        tell_room(uart);
}

static uint32_t vuart_read(void *dev, uint16_t offset, uint8_t size)
{
    struct vuart *uart = dev;

    if (unlikely(size != 1))
        return ~0u;
    if (likely(offset == REG_LSR && !(uart->lsr & LSR_ERRORS)))
        return uart->lsr; /* the polled one: a console writer reads it for each byte */

    bool dlab = uart->lcr & LCR_DLAB;
    switch (offset) {
    case REG_RBR_THR:
        return dlab ? uart->dll : read_rbr(uart);
    case REG_IER:
        return dlab ? uart->dlm : uart->ier;
    case REG_IIR_FCR:
        return read_iir(uart);
    case REG_LCR:
        return uart->lcr;
    case REG_MCR:
        return uart->mcr;
    case REG_LSR:
        return read_lsr(uart);
    case REG_MSR:
        return read_msr(uart);
    case REG_SCR:
        return uart->scr;
    default:
        return ~0u;
    }
}

static void vuart_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vuart *uart = dev;
    uint8_t byte = (uint8_t)value;

    if (size != 1)
        return;

    bool dlab = uart->lcr & LCR_DLAB;
    switch (offset) {
    case REG_RBR_THR:
        if (dlab)
            uart->dll = byte;
        else
            write_thr(uart, byte);
        break;
    case REG_IER:
        if (dlab)
            uart->dlm = byte;
        else
            write_ier(uart, byte);
        break;
    case REG_IIR_FCR:
        write_fcr(uart, byte);
        break;
    case REG_LCR:
        uart->lcr = byte;
        break;
    case REG_MCR:
        write_mcr(uart, byte);
        break;
    case REG_SCR:
        uart->scr = byte;
        break;
    default: /* LSR and MSR are read-only */
        break;
    }
}

void vuart_init(struct vuart *uart, const struct irq_line *irq, const struct vuart_backend *backend)
{
    *uart = (struct vuart){
        .irq = *irq,
        .backend = *backend,
        .dll = DIVISOR_9600,
        .lsr = LSR_EMPTY,
        .msr = MSR_CTS | MSR_DSR | MSR_DCD,
    };
}

struct pio_range vuart_ports(struct vuart *uart, uint16_t base)
{
    return (struct pio_range){
        .base = base, .count = REG_COUNT, .dev = uart, .read = vuart_read, .write = vuart_write};
}

/* In loopback the line in is disconnected: bytes wait outside rather than get lost. */
unsigned int vuart_rx_room(const struct vuart *uart)
{
    unsigned int capacity = fifo_capacity(uart);

    if ((uart->mcr & MCR_LOOP) || uart->rx.count >= capacity)
        return 0;
    return capacity - uart->rx.count;
}

unsigned int vuart_rx(struct vuart *uart, const uint8_t *bytes, unsigned int count)
{
    unsigned int room = vuart_rx_room(uart);
    unsigned int taken = MIN(count, room);

    if (taken == 0)
        return 0;
    for (unsigned int i = 0; i < taken; i++)
        fifo_put(&uart->rx, bytes[i]);
    uart->lsr |= LSR_DR;
    update_irq(uart);
    return taken;
}

void vuart_tx_ready(struct vuart *uart)
{
    if (uart->lsr & LSR_THRE)
        return;
    while (uart->tx.count != 0) {
        if (!uart->backend.put(uart->backend.ctx, fifo_first(&uart->tx)))
            return;
        fifo_drop(&uart->tx);
    }
    uart->lsr |= LSR_EMPTY;
    uart->thri = true;
    update_irq(uart);
}
