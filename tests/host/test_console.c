/* SPDX-License-Identifier: MIT */
/*
 * The physical console with its driver, on the driver's virtual twin as the chip: the UART's ports
 * lead to a vuart whose other side is a line of limited speed.  Guests and the monitor are played
 * by this file.
 */
#include "arch/x86/regs.h"

static uint8_t chip_in(uint16_t port);
static void chip_out(uint16_t port, uint8_t value);

#define inb(port)         chip_in(port)
#define outb(port, value) chip_out(port, value)
#include "drivers/uart16550.c"
#undef inb
#undef outb

#include "hv/console.h"
#include "hv/monitor/monitor.h"
#include "hv/string.h"
#include "hv/util.h"
#include "hv/vdev/vuart.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

/* ---- The chip and its line ------------------------------------------------------------------ */

static struct vuart chip;
static struct pio_range ports;
static unsigned int speed; /* bytes that the line takes until the next step; polled: all */
static bool polled = true;
static bool edge; /* an interrupt is pending at the edge-triggered controller */
static bool work_posted;
static bool irq_stuck; /* the line stayed high after the handler: no edge would ever come again */
static bool held_back; /* RTS was low: the driver let the line wait */
static char sent[1 << 20];
static size_t sent_size;

static void set_line(void *ctx, unsigned int gsi, bool level)
{
    static bool was;

    if (level && !was)
        edge = true;
    was = level;
}

static bool line_put(void *ctx, uint8_t byte)
{
    if (!polled && !speed)
        return false;
    speed -= polled ? 0 : 1;
    if (sent_size < sizeof(sent) - 1)
        sent[sent_size++] = (char)byte;
    sent[sent_size] = '\0';
    return true;
}

static void rx_drained(void *ctx)
{
}

static uint8_t chip_in(uint16_t port)
{
    return (uint8_t)ports.read(ports.dev, (uint16_t)(port - ports.base), 1);
}

static void chip_out(uint16_t port, uint8_t value)
{
    if (port == UART16550_COM1 + UART_MCR && value == (MCR_DTR | MCR_OUT2))
        held_back = true;
    ports.write(ports.dev, (uint16_t)(port - ports.base), 1, value);
}

static void init_chip(void)
{
    const struct irq_line irq = {.set = set_line};
    const struct vuart_backend backend = {.put = line_put, .rx_drained = rx_drained};

    vuart_init(&chip, &irq, &backend);
    ports = vuart_ports(&chip, UART16550_COM1);
}

/* ---- The guests ----------------------------------------------------------------------------- */

struct fake_guest {
    struct guest_console console;
    uint8_t got[1 << 17];
    unsigned int got_size;
    bool wedged, slow;
    unsigned int room_calls;
    unsigned int line; /* next to be written */
    unsigned int at;
};

static struct fake_guest a, b;

/* A receiver like a real one: up to 16 at a time, now and then none. */
static unsigned int guest_input(void *ctx, const uint8_t *bytes, unsigned int count)
{
    struct fake_guest *guest = ctx;
    bool takes = !guest->wedged && (!guest->slow || rand() % 40 == 0);
    unsigned int most = takes ? (unsigned int)rand() % 17 : 0;
    unsigned int taken = MIN(count, most);

    memcpy(guest->got + guest->got_size, bytes, taken);
    guest->got_size += taken;
    return taken;
}

static void guest_room(void *ctx)
{
    ((struct fake_guest *)ctx)->room_calls++;
}

static void add_guest(struct fake_guest *guest, const char *name)
{
    const struct guest_console_ops ops = {
        .ctx = guest, .input = guest_input, .output_room = guest_room};

    guest_console_add(&guest->console, name, &ops);
}

static bool put_string(struct fake_guest *guest, const char *text)
{
    while (*text)
        if (!guest_console_put(&guest->console, (uint8_t)*text++))
            return false;
    return true;
}

/* ---- The monitor ---------------------------------------------------------------------------- */

static char typed[4096];
static size_t typed_size;
static unsigned int prompts;
static struct guest_console *attach_at_enter;

void monitor_input(const uint8_t *bytes, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++)
        typed[typed_size++ % sizeof(typed)] = (char)bytes[i];
    typed[typed_size % sizeof(typed)] = '\0';
    if (attach_at_enter && bytes[count - 1] == '\r')
        console_attach(attach_at_enter);
}

void monitor_prompt(void)
{
    prompts++;
}

/* ---- Time ----------------------------------------------------------------------------------- */

static void post_work(void)
{
    work_posted = true;
}

static void run_pending(void)
{
    while (edge || work_posted) {
        if (edge) {
            edge = false;
            console_interrupt();
            irq_stuck |= chip.line && !edge;
        }
        if (work_posted) {
            work_posted = false;
            console_work();
        }
    }
}

static void step(void)
{
    speed = (unsigned int)rand() % 40;
    vuart_tx_ready(&chip);
    run_pending();
    guest_console_input_ready(&a.console);
    guest_console_input_ready(&b.console);
    run_pending();
}

static void settle(void)
{
    size_t before;

    do {
        before = sent_size + a.got_size + b.got_size;
        for (int i = 0; i < 400; i++)
            step();
    } while (sent_size + a.got_size + b.got_size != before);
}

static void forget(void)
{
    settle();
    sent_size = 0;
    sent[0] = '\0';
    typed_size = 0;
    a.got_size = b.got_size = 0;
}

/* As a person, or a paste: bytes enter the chip while its FIFO has room. */
static void type(const uint8_t *bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        size_t most = 1 + (size_t)rand() % 32;
        unsigned int piece = (unsigned int)MIN(size - done, most);
        done += vuart_rx(&chip, bytes + done, piece);
        if (rand() % 3)
            step();
    }
    settle();
}

static void type_string(const char *text)
{
    type((const uint8_t *)text, strlen(text));
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_start(void)
{
    console_init();
    CHECK(console_has_uart(), "the chip is found");
    CHECK(chip.dll == 1 && chip.dlm == 0 && (chip.lcr & 0x83) == 3, "115200 baud, 8N1");
    console_write("one\ntwo\n", 8);
    CHECK(strcmp(sent, "one\r\ntwo\r\n") == 0, "text goes out polled, newlines as CR LF");
    polled = false;
    console_start_work(post_work);
    console_start_interrupts();
    console_write("three\n", 6);
    settle();
    CHECK(strcmp(sent, "one\r\ntwo\r\nthree\r\n") == 0, "and by interrupt");
}

static void test_prompt(void)
{
    forget();
    console_write("\rmica> li\x1b[K", 12);
    console_set_prompt("\rmica> li\x1b[K", 12);
    console_line("[    1.0] hello", 15);
    settle();
    CHECK(strcmp(sent, "\rmica> li\x1b[K\r\x1b[K[    1.0] hello\r\n\rmica> li\x1b[K") == 0,
          "a line of the log leaves the prompt as it was");
    console_set_prompt("", 0);
    console_write("\n", 1);
}

static void test_detached(void)
{
    forget();
    put_string(&a, "half");
    settle();
    CHECK(sent_size == 0, "an unfinished line of a guest that is not attached waits");
    put_string(&b, "\x1b[1;31mred\x1b[0m \x07tab\tend\r\n");
    put_string(&a, " done\n");
    settle();
    CHECK(strcmp(sent, "[b] red tab\tend\r\n[a] half done\r\n") == 0,
          "whole lines with the name in front, without control sequences");
    forget();
    put_string(&b, "\xc3\x9b \xe2\x82\xac \xf0\x9f\x98\x80\n");
    settle();
    CHECK(strcmp(sent, "[b] \xc3\x9b \xe2\x82\xac \xf0\x9f\x98\x80\r\n") == 0,
          "characters of two, three and four bytes are text");
    forget();
    put_string(&b, "\x9b"
                   "1mbold\x85 \x9dtitle\x07"
                   "end\n");
    settle();
    CHECK(strcmp(sent, "[b] bold end\r\n") == 0, "controls of one byte are none");
    forget();
    put_string(&b, "\xc2\x9b"
                   "1ma \xe0\x82\x9b"
                   "1mb \xf0\x80\x82\x9b"
                   "1mc \xc3\xa9\x9b"
                   "1md \xe2\x82\n\x85\n");
    settle();
    CHECK(strcmp(sent, "[b] \xc2"
                       "a \xe0"
                       "b \xf0"
                       "c \xc3\xa9"
                       "d \xe2\x82\r\n[b] \r\n") == 0,
          "nor in UTF-8, nor behind a character or half of one");
    forget();
    put_string(&a, "unfinished");
    guest_console_flush(&a.console);
    settle();
    CHECK(strcmp(sent, "[a] unfinished\r\n") == 0, "the last line of a guest that ended is ended");
    forget();
    for (int i = 0; i < 600; i++)
        guest_console_put(&a.console, 'x');
    settle();
    CHECK(strncmp(sent, "[a] xxx", 7) == 0 && sent_size == 2 * (GUEST_CONSOLE_LINE + 6),
          "a line that is too long is shown in pieces");
    guest_console_flush(&a.console);
}

/* The next byte of a guest's endless text "a line N\n", when it is taken. */
static void write_some(struct fake_guest *guest, const char *name, unsigned int lines)
{
    char text[64];
    int budget = rand() % 60;

    while (budget-- && guest->line < lines) {
        snprintf(text, sizeof(text), "%s line %u\n", name, guest->line);
        if (!guest_console_put(&guest->console, (uint8_t)text[guest->at]))
            return;
        if (!text[++guest->at]) {
            guest->at = 0;
            guest->line++;
        }
    }
}

/* Every line of the output is whole and each writer's are in order; counts[] is how many of each.
 */
static bool check_lines(unsigned int counts[3])
{
    static const char *const forms[] = {"[a] a line %u\r\n", "[b] b line %u\r\n", "log %u\r\n"};
    char expected[64];

    for (const char *at = sent; *at;) {
        unsigned int i;
        for (i = 0; i < 3; i++) {
            snprintf(expected, sizeof(expected), forms[i], counts[i]);
            if (strncmp(at, expected, strlen(expected)) == 0)
                break;
        }
        if (i == 3) {
            printf("# unexpected: %.60s\n", at);
            return false;
        }
        counts[i]++;
        at += strlen(expected);
    }
    return true;
}

static void test_mixed_lines(void)
{
    unsigned int counts[3] = {0}, logged = 0;
    char text[32];

    forget();
    a.line = b.line = a.at = b.at = 0;
    while (a.line < 2000 || b.line < 2000) {
        write_some(&a, "a", 2000);
        write_some(&b, "b", 2000);
        if (rand() % 20 == 0)
            console_line(text, (size_t)snprintf(text, sizeof(text), "log %u", logged++));
        step();
    }
    settle();
    CHECK(check_lines(counts), "lines of two guests and the log never mix, each in its order");
    CHECK(counts[0] == 2000 && counts[1] == 2000 && counts[2] == logged, "and none is lost");
}

static void test_attached_output(void)
{
    static uint8_t bytes[200000];
    size_t done = 0;
    unsigned int refusals = 0;

    console_attach(&a.console);
    forget();
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)rand();
    a.room_calls = 0;
    while (done < sizeof(bytes)) {
        unsigned int before = a.room_calls;
        while (done < sizeof(bytes) && guest_console_put(&a.console, bytes[done]))
            done++;
        refusals++;
        while (done < sizeof(bytes) && a.room_calls == before)
            step();
    }
    settle();
    CHECK(sent_size == sizeof(bytes) && memcmp(sent, bytes, sizeof(bytes)) == 0,
          "the attached guest's bytes reach the line as they are");
    CHECK(refusals > 5 && a.room_calls == refusals - 1,
          "a full ring refuses, and says when there is room");
    forget();
    put_string(&a, "login: ");
    settle();
    put_string(&b, "news\n");
    console_line("log 0", 5);
    put_string(&a, "root");
    settle();
    CHECK(strcmp(sent, "login: \r\nlog 0\r\nroot") == 0,
          "lines of the log stand on lines of their own beside it, others' are kept");
    put_string(&a, "\r\n");
}

static void test_paste(size_t size, const char *what)
{
    uint8_t *bytes = malloc(size);

    forget();
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)rand();
        if (bytes[i] == CONSOLE_ESCAPE)
            bytes[i] = ' ';
    }
    type(bytes, size);
    CHECK(a.got_size == size && memcmp(a.got, bytes, size) == 0, what);
    free(bytes);
}

static void test_escape(void)
{
    unsigned int before = prompts;

    forget();
    type_string("ab\x1d"
                "list\r");
    CHECK(a.got_size == 2 && !console_attached() && prompts == before + 1,
          "Ctrl-] leads to the monitor");
    CHECK(typed_size == 5 && memcmp(typed, "list\r", 5) == 0, "which gets what follows");
    type_string("\x1d"
                "cd");
    CHECK(console_attached() == &a.console && a.got_size == 4 && memcmp(a.got, "abcd", 4) == 0,
          "and back to the guest");
    forget();
    type_string("\x1d\x1d"
                "e");
    CHECK(console_attached() == &a.console && a.got_size == 2 && a.got[0] == 0x1d &&
              a.got[1] == 'e',
          "twice sends one");
    forget();
    type_string("\x1d");
    attach_at_enter = &b.console;
    type_string("console b\rfor b");
    attach_at_enter = NULL;
    CHECK(console_attached() == &b.console && b.got_size == 5 && memcmp(b.got, "for b", 5) == 0,
          "what follows a command that attaches is for the guest");
    CHECK(console_last_attached() == &b.console, "Ctrl-] will return there");
    console_attach(&a.console);
}

static void test_wedged(void)
{
    static uint8_t bytes[20000];

    forget();
    a.wedged = true;
    memset(bytes, 'w', sizeof(bytes));
    type(bytes, 4000);
    type_string("\x1d"
                "x");
    CHECK(!console_attached() && typed_size == 1,
          "a guest that reads nothing cannot keep Ctrl-] away");
    a.wedged = false;
    settle();
    CHECK(a.got_size == GUEST_CONSOLE_INPUT, "what it had been given is still there when it reads");
    a.wedged = true;
    type_string("\x1d");
    type(bytes, sizeof(bytes));
    type_string("\x1d");
    type_string("y");
    CHECK(!console_attached() && typed_size == 2, "not even after more than there is room for");
    a.wedged = false;
    type_string("\x1d");
    guest_console_flush(&a.console);
}

static void test_flood(void)
{
    unsigned int counts[3] = {0};

    console_show_all();
    forget();
    for (int i = 0; i < 100000; i++)
        guest_console_put(&a.console, 'f');
    b.line = b.at = 0;
    while (b.line < 50) {
        write_some(&b, "b", 50);
        guest_console_put(&a.console, 'f');
        step();
    }
    settle();
    for (const char *at = sent; (at = strstr(at, "[b] b line ")) != NULL; at++)
        counts[1]++;
    CHECK(counts[1] == 50, "a guest that floods does not keep another's lines away");
    guest_console_flush(&a.console);
}

/* Nobody watches: kept, and never waited for; then shown to who attaches. */
static void test_kept(void)
{
    struct guest_console_view view;
    char expected[128] = "";
    size_t size;

    console_show_all();
    type_string("\x1d");
    CHECK(!console_shows_all() && !console_attached(), "Ctrl-] ends the show of all guests");
    forget();
    a.room_calls = 0;
    for (int i = 0; i < 100000; i++)
        if (!put_string(&a, i % 10 ? "kept" : "kept\r\n"))
            break;
    settle();
    guest_console_view(&a.console, &view);
    CHECK(view.kept == SCROLLBACK_SIZE && view.unshown == SCROLLBACK_SIZE,
          "the newest of what it writes is kept");
    CHECK(sent_size == 0 && a.room_calls == 0 && !a.console.refused,
          "nothing is shown, and it never waits");
    put_string(&a, "\r\n\x9b"
                   "5n\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07\x1b[6n# ");
    console_attach(&a.console);
    settle();
    guest_console_view(&a.console, &view);
    CHECK(strstr(sent, "kept\r\nred\r\n# ") && strlen(strstr(sent, "red")) == 7 && !view.unshown,
          "who attaches sees it, as text alone");
    CHECK(sent_size > SCROLLBACK_SIZE - 100 && !strncmp(strchr(sent, '\n') + 1, "keptkept", 8),
          "from the first line that is whole");
    put_string(&a, "\x1b[6n");
    settle();
    CHECK(strcmp(sent + sent_size - 4, "\x1b[6n") == 0, "then everything as it comes");
    for (int i = 0; i < 30; i++) {
        size = strlen(expected);
        if (i >= 7)
            snprintf(expected + size, sizeof(expected) - size, "%d\r\n", i);
        snprintf(typed, sizeof(typed), "%d\r\n", i);
        put_string(&a, typed);
    }
    put_string(&a, "$ ");
    strcat(expected, "$ ");
    console_attach(NULL);
    forget();
    console_attach(&a.console);
    settle();
    CHECK(strcmp(strchr(sent, '\n') + 1, expected) == 0, "and later the last 24 lines again");
    put_string(&a, "\r\n");
}

/* A guest that waits goes on at once when nobody watches it any more. */
static void test_left_while_full(void)
{
    console_attach(&a.console);
    forget();
    a.room_calls = 0;
    while (guest_console_put(&a.console, 'x'))
        ;
    console_attach(NULL);
    run_pending();
    CHECK(a.room_calls == 1 && put_string(&a, "and on"), "who is left while it waits goes on");
    console_show_all();
    forget();
    put_string(&a, "\nnew\n");
    settle();
    CHECK(sent_size < 80 * 24 + 100 && strstr(sent, "and on\r\n[a] new\r\n"),
          "all guests are shown from their last lines on");
}

/* The last lines of a guest that has ended while the line is slow: in time, or later, but never
 * lost. */
static void test_flush_full(void)
{
    unsigned int lines = 0, before;

    console_show_all();
    forget();
    while (put_string(&a, "a line of some length that is counted\n"))
        lines++;
    before = lines;
    for (int i = 0; i < 20; i++)
        console_write(
            "a text that fills the ring and more; a text that fills it, with more to come\n", 77);
    guest_console_flush(&a.console);
    settle();
    for (const char *at = sent; (at = strstr(at, "[a] a line of some length that is counted\r\n"));
         at++)
        lines--;
    CHECK(before > 300 && lines == 0 &&
              strstr(sent, "[a] a line of some length that is counted\r\n"),
          "what a guest wrote before its end comes out whole");
}

static char mirrored[1 << 20];
static size_t mirrored_size;
static unsigned int mirror_calls, mirror_now;

static void mirror(bool now)
{
    mirror_calls++;
    mirror_now += now;
}

static void take_for_mirror(void)
{
    uint32_t count;

    while ((count = console_mirror_take((uint8_t *)mirrored + mirrored_size, 50)) != 0)
        mirrored_size += count;
    mirrored[mirrored_size] = '\0';
}

static void test_mirror(void)
{
    console_attach(NULL);
    forget();
    console_set_mirror(mirror);
    settle();
    take_for_mirror();
    mirrored_size = mirror_calls = 0;
    console_line("one", 3);
    console_line("two", 3);
    settle();
    CHECK(mirror_calls == 1 && mirror_now == 0, "the mirror is called once, by the main loop");
    take_for_mirror();
    CHECK(strcmp(mirrored, sent) == 0 && sent_size == 10, "it takes what the line has");
    console_line("three", 5);
    settle();
    CHECK(mirror_calls == 2, "and is called again");
    for (int i = 0; i < 2000; i++) {
        console_line("a line to be overtaken", 22);
        settle();
    }
    mirrored_size = 0;
    take_for_mirror();
    CHECK(mirrored_size == 32768 && mirror_calls == 2, "a mirror that is slow loses the oldest");

    console_configure(false, true);
    console_attach(&a.console);
    take_for_mirror();
    mirrored_size = 0;
    forget();
    a.line = a.at = a.room_calls = 0;
    while (a.line < 3000) {
        write_some(&a, "a", 3000);
        run_pending();
        if (rand() % 1500 == 0)
            take_for_mirror();
    }
    take_for_mirror();
    CHECK(sent_size == 0 && mirrored_size > 30000 && a.room_calls > 0 &&
              strstr(mirrored, "a line 1000\na line 1001\n") &&
              strstr(mirrored, "a line 2999\n") == mirrored + mirrored_size - 12,
          "without a serial line it is the console, and what it has not taken waits");
    console_configure(true, false);
    mirror_calls = 0;
    console_line("four", 4);
    settle();
    CHECK(mirror_calls == 0, "framebuffer = off: it is left alone");
    console_attach(NULL);
}

/* Each place that may know of a guest: attached, last, next to be shown, refused. */
static void test_remove(void)
{
    static struct fake_guest c;
    unsigned int before = prompts;

    forget();
    add_guest(&c, "c");
    console_attach(&c.console);
    while (guest_console_put(&c.console, 'c'))
        ;
    guest_console_remove(&c.console);
    CHECK(!console_attached() && prompts == before + 1,
          "the monitor has what a guest had that goes");
    CHECK(console_last_attached() != &c.console, "and Ctrl-] does not lead back to it");
    memset(&c, 0, sizeof(c));
    add_guest(&c, "c");
    console_attach(&c.console);
    console_show_all();
    while (guest_console_put(&c.console, '\n'))
        ;
    guest_console_remove(&c.console);
    memset(&c, 0xff, sizeof(c));
    CHECK(console_last_attached() != &c.console, "nor when it was left before");
    forget();
    put_string(&a, "still\n");
    put_string(&b, "here\n");
    settle();
    CHECK(strcmp(sent, "[a] still\r\n[b] here\r\n") == 0 ||
              strcmp(sent, "[b] here\r\n[a] still\r\n") == 0,
          "nothing refers to it, and the others are shown");
    memset(&c, 0, sizeof(c));
    add_guest(&c, "c");
    put_string(&c, "again\n");
    settle();
    CHECK(strstr(sent, "[c] again\r\n"), "another may come in its place");
    guest_console_remove(&c.console);
}

static void test_off(void)
{
    forget();
    console_configure(false, true);
    console_line("unheard", 7);
    for (int i = 0; i < 10000; i++)
        guest_console_put(&a.console, i % 100 ? 'y' : '\n');
    settle();
    CHECK(sent_size == 0 && guest_console_put(&a.console, '\n'),
          "console = none: silent, and nobody is held back");
    console_configure(true, true);
    forget();
    console_panic_write("panic\n", 6);
    polled = true;
    vuart_tx_ready(&chip);
    CHECK(strcmp(sent, "panic\r\n") == 0, "a panic is written by polling");
}

int main(void)
{
    srand(7);
    init_chip();
    test_start();
    add_guest(&a, "a");
    add_guest(&b, "b");
    test_prompt();
    test_detached();
    test_mixed_lines();
    test_attached_output();
    test_paste(4096, "a pasted 4 KiB arrives whole");
    test_paste(65536, "64 KiB arrive whole");
    CHECK(!held_back, "a guest that reads never makes the line wait");
    a.slow = true;
    test_paste(65536, "64 KiB arrive whole at a guest that reads slowly");
    CHECK(held_back, "because the line had to wait");
    a.slow = false;
    test_escape();
    test_wedged();
    test_flood();
    test_kept();
    test_left_while_full();
    test_flush_full();
    test_mirror();
    test_remove();
    test_off();
    CHECK(!irq_stuck, "the interrupt line was low after each interrupt, or made a new edge");
    return check_done();
}
