/* SPDX-License-Identifier: MIT */
/* The virtual UART: registers, interrupts, back-pressure, and what Linux's 8250 driver does to it.
 */
#include "hv/vdev/vuart.h"

#include "tests/host/check.h"
#include "tests/host/vdev_fakes.h"

#include <string.h>

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = RBR, FCR = IIR };

#define OUT2 0x08
#define LOOP 0x10

static struct fake_line line;
static struct vuart uart;
static struct pio_range io;

/* The world outside: a ring that takes `room` bytes, and what waits to be typed. */
static uint8_t sent[8192];
static unsigned int sent_count, room, drained_calls;
static const uint8_t *typed;
static unsigned int typed_count;

static bool put(void *ctx, uint8_t byte)
{
    if (room == 0)
        return false;
    room--;
    sent[sent_count++ % sizeof(sent)] = byte;
    return true;
}

static void rx_drained(void *ctx)
{
    unsigned int taken = vuart_rx(&uart, typed, typed_count);

    drained_calls++;
    typed += taken;
    typed_count -= taken;
}

static void start(void)
{
    static const struct irq_line irq = FAKE_IRQ(&line, VUART_COM1_IRQ);
    static const struct vuart_backend backend = {.put = put, .rx_drained = rx_drained};

    line = (struct fake_line){0};
    typed = sent;
    room = ~0u;
    sent_count = drained_calls = typed_count = 0;
    vuart_init(&uart, &irq, &backend);
    io = vuart_ports(&uart, VUART_COM1_BASE);
}

static uint8_t in(uint16_t reg)
{
    return (uint8_t)io.read(io.dev, reg, 1);
}

static void out(uint16_t reg, uint8_t value)
{
    io.write(io.dev, reg, 1, value);
}

static void type(const void *bytes, unsigned int count)
{
    typed = bytes;
    typed_count = count;
    rx_drained(NULL);
}

static void start_fifos(void)
{
    start();
    out(FCR, 0x07);
    out(MCR, OUT2 | 3);
}

static void test_registers(void)
{
    start();
    CHECK(in(IER) == 0 && in(IIR) == 0x01 && in(LCR) == 0 && in(MCR) == 0 && in(LSR) == 0x60 &&
              in(MSR) == 0xb0 && in(RBR) == 0,
          "power-on values");
    out(SCR, 0x5a);
    out(LCR, 0x1b);
    CHECK(in(SCR) == 0x5a && in(LCR) == 0x1b, "SCR and LCR read back");
    out(LCR, 0x80);
    out(0, 0x34);
    out(1, 0x12);
    CHECK(in(0) == 0x34 && in(1) == 0x12, "the divisor latch is behind DLAB");
    out(LCR, 0);
    CHECK(in(IER) == 0 && sent_count == 0, "and not in front of it");
    out(IER, 0xff);
    CHECK(in(IER) == 0x0f, "the upper half of IER reads 0");
    out(MCR, 0xff);
    CHECK(in(MCR) == 0x1f, "the upper bits of MCR read 0");
    out(LSR, 0);
    out(MSR, 0);
    CHECK(in(LSR)&0x60, "LSR and MSR are read-only");

    bool floats = true;
    for (uint16_t offset = 0; offset < 8; offset++)
        floats &= io.read(io.dev, offset, 2) == ~0u && io.read(io.dev, offset, 4) == ~0u;
    CHECK(floats && io.read(io.dev, 8, 1) == ~0u && io.read(io.dev, 0xffff, 1) == ~0u,
          "other sizes and offsets float high");
    io.write(io.dev, 0, 2, 0x4141);
    CHECK(sent_count == 0, "a wider write does nothing");
}

/* autoconfig() and autoconfig_16550a() of Linux's 8250_port.c. */
static void test_linux_autoconfig(void)
{
    start();
    out(IER, 0);
    uint8_t scratch2 = in(IER)&0x0f;
    out(IER, 0x0f);
    uint8_t scratch3 = in(IER)&0x0f;
    out(IER, 0);
    CHECK(scratch2 == 0 && scratch3 == 0x0f, "linux: the IER test finds a UART");

    out(MCR, LOOP | 0x0a);
    uint8_t status = in(MSR)&0xf0;
    out(MCR, 0);
    CHECK(status == 0x90, "linux: the loopback test finds DCD and CTS");

    out(LCR, 0xbf);
    out(FCR, 0);
    out(LCR, 0);
    out(FCR, 0x01);
    CHECK(in(IIR) >> 6 == 3, "linux: both FIFO bits make it a 16550A");

    out(LCR, 0x80);
    CHECK(in(2) != 0, "linux: no EFR in mode A");
    out(LCR, 0xbf);
    CHECK(in(2) != 0, "linux: no EFR in mode B");

    out(LCR, 0);
    uint8_t mcr = in(MCR);
    out(LCR, 0xe0);
    uint8_t excr1 = in(2);
    out(LCR, 0);
    out(MCR, mcr ^ LOOP);
    out(LCR, 0xe0);
    uint8_t excr2 = in(2);
    out(LCR, 0);
    out(MCR, mcr);
    CHECK(!((excr1 ^ mcr) & LOOP) && !((excr2 ^ mcr) & LOOP), "linux: not a NatSemi Super I/O");

    out(FCR, 0x21);
    uint8_t status1 = in(IIR) >> 5;
    out(FCR, 0x01);
    out(LCR, 0x80);
    out(FCR, 0x21);
    uint8_t status2 = in(IIR) >> 5;
    out(FCR, 0x01);
    out(LCR, 0);
    CHECK(status1 == 6 && status2 == 6, "linux: not a 16750");
    out(IER, 0x40);
    CHECK(!(in(IER)&0x40), "linux: not an XScale");
}

/* The two tests of serial8250_do_startup(). */
static void test_linux_startup(void)
{
    start_fifos();
    out(MCR, 0);
    out(IER, 0x02);
    uint8_t iir1 = in(IIR);
    out(IER, 0);
    out(IER, 0x02);
    uint8_t iir2 = in(IIR);
    out(IER, 0);
    CHECK(!(iir1 & 1) && !(iir2 & 1), "linux: THRE is raised again when THRI is enabled again");

    out(MCR, OUT2);
    out(IER, 0x02);
    uint8_t lsr = in(LSR), iir = in(IIR);
    out(IER, 0);
    CHECK((lsr & 0x40) && !(iir & 1), "linux: enabling THRI interrupts at once");
}

static void test_transmit_interrupt(void)
{
    start_fifos();
    out(IER, 0x02);
    CHECK(line.level && line.gsi == 4, "THRI on IRQ 4 when enabled with THR empty");
    CHECK(in(IIR) == 0xc2 && !line.level && in(IIR) == 0xc1, "reading IIR clears THRI");

    unsigned int rises = line.rises;
    out(THR, 'a');
    CHECK(line.level && line.rises == rises + 1, "a byte sent raises THRI again");
    out(THR, 'b');
    CHECK(line.level && line.rises == rises + 2,
          "each byte gives an edge, even if IIR was not read");
    out(IER, 0);
    CHECK(!line.level && in(IIR) == 0xc1, "disabled THRI does not show");
    out(IER, 0x02);
    in(IIR);
    out(IER, 0x03);
    CHECK(!line.level, "THRI is raised by its own enable bit only");
    CHECK(sent_count == 2 && !memcmp(sent, "ab", 2), "the bytes are out, in order");
    CHECK(line.repeats == 0, "the line is only told of changes");
}

static void test_transmit_full(void)
{
    start_fifos();
    room = 3;
    out(IER, 0x02);
    in(IIR);
    for (unsigned int i = 0; i < 3; i++)
        out(THR, (uint8_t)('0' + i));
    CHECK((in(LSR)&0x60) == 0x60, "room: the transmitter is empty");
    in(IIR);
    for (unsigned int i = 3; i < 3 + 17; i++)
        out(THR, (uint8_t)('0' + i));
    CHECK(!(in(LSR)&0x60) && !line.level && sent_count == 3, "no room: THRE and TEMT are 0");

    room = 5;
    vuart_tx_ready(&uart);
    CHECK(!(in(LSR)&0x60) && !line.level && sent_count == 8, "some room: some go, THRE stays 0");
    room = 100;
    vuart_tx_ready(&uart);
    CHECK((in(LSR)&0x60) == 0x60 && line.level && in(IIR) == 0xc2, "all gone: THRE and THRI");
    CHECK(sent_count == 19 && !memcmp(sent, "0123456789:;<=>?@AB", 19),
          "a FIFO's load is kept in order, the 17th byte is lost");
    vuart_tx_ready(&uart);
    CHECK(!line.level, "tx_ready() without need raises nothing");

    room = 0;
    out(THR, 'x');
    out(FCR, 0x05);
    CHECK((in(LSR)&0x60) == 0x60 && line.level, "clearing the transmit FIFO empties it");
    room = 1;
    vuart_tx_ready(&uart);
    CHECK(sent_count == 19, "what was cleared is not sent");

    out(FCR, 0);
    room = 0;
    out(THR, 'y');
    out(THR, 'z');
    room = 9;
    vuart_tx_ready(&uart);
    CHECK(sent_count == 20 && sent[19] == 'y', "without FIFOs THR holds one byte");
}

static void test_receive_levels(void)
{
    static const uint8_t levels[] = {1, 4, 8, 14};
    bool below = true, reached = true, after = true;

    for (unsigned int i = 0; i < 4; i++) {
        start_fifos();
        out(FCR, (uint8_t)(0x01 | i << 6));
        out(IER, 0x01);
        for (unsigned int n = 1; n < levels[i]; n++) {
            type("x", 1);
            below &= line.level && in(IIR) == 0xcc;
        }
        type("x", 1);
        reached &= line.level && in(IIR) == 0xc4;
        for (unsigned int n = 0; n < levels[i]; n++)
            in(RBR);
        after &= !line.level && in(IIR) == 0xc1 && !(in(LSR)&1);
    }
    CHECK(below, "below the trigger level: character time-out");
    CHECK(reached, "at the trigger level: received data available");
    CHECK(after, "empty: no interrupt");
}

static void test_receive(void)
{
    start_fifos();
    out(IER, 0x01);
    CHECK(vuart_rx_room(&uart) == 16 &&
              vuart_rx(&uart, (const uint8_t *)"0123456789abcdefgh", 18) == 16,
          "the FIFO takes 16 bytes");
    CHECK(vuart_rx_room(&uart) == 0 && vuart_rx(&uart, (const uint8_t *)"g", 1) == 0,
          "and no more");
    CHECK(in(RBR) == '0' && vuart_rx_room(&uart) == 1, "a byte read makes room for one");
    CHECK(vuart_rx(&uart, (const uint8_t *)"g", 1) == 1, "which is taken");
    bool ordered = true;
    for (unsigned int i = 1; i < 17; i++)
        ordered &= (in(LSR)&1) && in(RBR) == (uint8_t) "0123456789abcdefg"[i];
    CHECK(ordered && !(in(LSR)&1) && in(RBR) == 0, "in order, over the end of the FIFO");
    CHECK(!(in(LSR)&2), "there is no overrun from outside");

    out(FCR, 0);
    CHECK(vuart_rx_room(&uart) == 1 && vuart_rx(&uart, (const uint8_t *)"ab", 2) == 1,
          "without FIFOs RBR holds one byte");
    CHECK(in(IIR) == 0x04 && in(RBR) == 'a', "which is no time-out");
}

static void test_fifo_control(void)
{
    start_fifos();
    room = 0;
    out(THR, 't');
    type("ab", 2);
    out(FCR, 0xc1);
    CHECK((in(LSR)&0x61) == 0x01, "a new trigger level keeps both FIFOs");
    out(FCR, 0x05);
    CHECK((in(LSR)&0x61) == 0x61 && uart.rx.count == 2, "FCR bit 2 clears the transmitter's only");
    out(THR, 't');
    out(FCR, 0x03);
    CHECK((in(LSR)&0x61) == 0x00 && in(RBR) == 0, "FCR bit 1 the receiver's only");
    out(FCR, 0x00);
    out(THR, 't');
    type("c", 1);
    out(FCR, 0x06);
    CHECK((in(LSR)&0x61) == 0x01, "neither does anything while the FIFOs are off");
    out(FCR, 0x01);
    CHECK((in(LSR)&0x61) == 0x60, "turning them on clears both");
    type("d", 1);
    out(IER, 0x02);
    in(IIR);
    CHECK(!line.level && in(IIR) == 0xc1, "received data does not interrupt unless enabled");
}

static void test_paste(void)
{
    static uint8_t text[4096], got[4096];
    unsigned int count = 0;

    for (unsigned int i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i * 7 + i / 256);
    start_fifos();
    out(FCR, 0x81);
    out(IER, 0x01);
    type(text, sizeof(text));
    while ((in(LSR)&1) && count < sizeof(got))
        got[count++] = in(RBR);
    CHECK(count == sizeof(text) && !memcmp(text, got, sizeof(text)),
          "a paste of 4 KiB arrives whole");
    CHECK(drained_calls <= 4096 / 16 + 2, "in loads of a FIFO");
    CHECK(!line.level && line.repeats == 0, "and the line is low after it");

    /* Below the trigger level, a guest that takes one byte at each rising edge. */
    static const char word[] = "1 by 1";
    unsigned int seen = line.rises, taken = 0;
    type(word, sizeof(word));
    while (line.rises != seen) {
        seen++;
        in(RBR);
        taken++;
    }
    CHECK(taken >= sizeof(word) && !(in(LSR)&1), "a guest that takes one byte an edge gets all");

    start_fifos();
    type(text, 40);
    CHECK(typed_count == 24, "a load waits outside");
    in(RBR);
    out(FCR, 0x03);
    CHECK(typed_count == 8 && in(RBR) == text[16],
          "clearing the receive FIFO lets the next load in");
    out(FCR, 0);
    CHECK(typed_count == 7, "and so does turning the FIFOs off");
}

static void test_loopback(void)
{
    start_fifos();
    type("0123456789abcdef", 16);
    out(FCR, 0x03);
    out(IER, 0x05);
    out(MCR, LOOP | OUT2);
    out(THR, 'L');
    CHECK(sent_count == 0 && (in(LSR)&1) && in(RBR) == 'L', "loopback: what is sent is received");
    CHECK(vuart_rx_room(&uart) == 0, "loopback: the outside has to wait");
    for (unsigned int i = 0; i < 17; i++)
        out(THR, (uint8_t)i);
    CHECK(in(IIR) == 0xc6 && !line.level, "loopback: overrun pends, the interrupt is disconnected");
    CHECK((in(LSR)&2) && !(in(LSR)&2) && in(IIR) == 0xc4, "reading LSR clears the overrun");
    out(FCR, 0x03);
    unsigned int calls = drained_calls;
    out(MCR, OUT2);
    CHECK(drained_calls == calls + 1, "the end of loopback lets the outside in again");
    out(MCR, OUT2);
    CHECK(drained_calls == calls + 1, "once");
}

static void test_modem(void)
{
    start_fifos();
    in(MSR);
    out(IER, 0x08);
    out(MCR, LOOP | 0x04);
    CHECK(in(MSR) == (0x40 | 0x0b), "loopback: OUT1 is RI; CTS, DSR and DCD went away");
    CHECK(in(MSR) == 0x40, "reading MSR clears the deltas");
    out(MCR, OUT2);
    CHECK(line.level && in(IIR) == 0xc0, "a modem delta interrupts");
    CHECK(in(MSR) == (0xb0 | 0x0f) && !line.level, "TERI on the end of RI");
}

static void test_priorities(void)
{
    start_fifos();
    out(MCR, LOOP);
    for (unsigned int i = 0; i < 17; i++)
        out(THR, 0);
    out(IER, 0x0f);
    bool ok = in(IIR) == 0xc6;
    in(LSR);
    ok &= in(IIR) == 0xc4;
    out(FCR, 0xc3);
    ok &= in(IIR) == 0xc2;
    ok &= in(IIR) == 0xc0;
    in(MSR);
    ok &= in(IIR) == 0xc1;
    CHECK(ok, "line status, data, THRE, modem: in that order");
    out(MCR, 0);
    type("k", 1);
    CHECK(!line.level, "without OUT2 the line stays low");
    out(MCR, OUT2);
    CHECK(line.level, "OUT2 connects it");
}

int main(void)
{
    test_registers();
    test_linux_autoconfig();
    test_linux_startup();
    test_transmit_interrupt();
    test_transmit_full();
    test_receive_levels();
    test_receive();
    test_fifo_control();
    test_paste();
    test_loopback();
    test_modem();
    test_priorities();
    return check_done();
}
