/* SPDX-License-Identifier: MIT */
/*
 * The physical console: rings between the UART, the guests, the monitor and the log.  It moves
 * bytes and ends lines; what a line typed at the prompt means, the monitor knows.
 *
 * One lock serialises everything here, the interrupt handler included.  It is taken below a VM's
 * lock and never held while a function of a guest or of the monitor is called.
 */
#include "hv/console.h"

#include "drivers/uart16550.h"
#include "hv/monitor/monitor.h"
#include "hv/printf.h"
#include "hv/spinlock.h"
#include "hv/string.h"

#define HOST_RING   32768u
#define INPUT_RING  8192u
#define PROMPT_SIZE 256u
/* Guests' bytes wait in their own rings while this many are before them, so that what the monitor
 * and the log have to say is not far behind. */
#define OUT_LOW_WATER 32u
#define MONITOR_BYTES 128u /* bytes for the monitor a round */

static struct {
    struct spinlock lock;
    struct uart16550 uart;
    bool off; /* [host] console = none */
    struct byte_ring out, in;
    uint8_t out_bytes[HOST_RING], in_bytes[INPUT_RING];
    struct guest_console *guests;    /* in the order of the configuration */
    struct guest_console *attached;  /* a null pointer: the monitor */
    struct guest_console *last;      /* attached before the monitor was */
    struct guest_console *next_line; /* whose turn it is to show a line */
    unsigned int refused;            /* guests whose ring was full */
    bool lines;                      /* a guest that is not attached may have a whole line */
    uint32_t given;                  /* bytes that guests' receivers took */
    uint32_t given_when_half;        /* the same when the input ring was last half full */
    bool escape_fresh;               /* Ctrl-] was the last key: a second one is for the guest */
    bool in_line;                    /* the cursor is not at the start of a line */
    bool by_interrupt;
    char prompt[PROMPT_SIZE];
    size_t prompt_size;
    void (*post_work)(void);
} con;

/* ---- Bytes to the line; all with the lock held ---------------------------------------------- */

static void emit(uint8_t byte)
{
    uint8_t oldest;

    if (!ring_room(&con.out) && ring_take(&con.out, &oldest))
        uart16550_put_polled(&con.uart, oldest);
    ring_put(&con.out, byte);
    if (byte != '\r')
        con.in_line = byte != '\n';
}

/* A newline of ours is CR LF on the line. */
static void emit_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n')
            emit('\r');
        emit((uint8_t)text[i]);
    }
}

static void emit_string(const char *text)
{
    emit_text(text, strlen(text));
}

/* Whatever stands on the cursor's line makes way for a whole line. */
static void begin_line(void)
{
    if (con.prompt_size)
        emit_string("\r\x1b[K");
    else if (con.in_line)
        emit_string("\n");
    con.in_line = false;
}

static void end_line(void)
{
    emit_string("\n");
    emit_text(con.prompt, con.prompt_size);
}

/* ---- Guests' output ------------------------------------------------------------------------- */

/* How many bytes of a guest that is not attached make a line, its end included; 0: it is still
 * open. */
static uint32_t whole_line(struct guest_console *guest)
{
    uint32_t used = ring_used(&guest->out);

    for (; guest->scanned < used; guest->scanned++)
        if (ring_peek(&guest->out, guest->scanned) == '\n' ||
            guest->scanned + 1 >= GUEST_CONSOLE_LINE)
            return guest->scanned + 1;
    return 0;
}

/*
 * What is printable of a line that is shown among others: no control characters, and no sequences
 * that would move the cursor or change colours.
 */
static void emit_printable(struct guest_console *guest, uint32_t count)
{
    enum { TEXT, ESCAPE, SEQUENCE } state = TEXT;
    uint8_t byte;

    while (count-- && ring_take(&guest->out, &byte)) {
        if (state == SEQUENCE) {
            state = byte >= 0x40 && byte <= 0x7e ? TEXT : SEQUENCE;
        } else if (state == ESCAPE) {
            state = byte == '[' ? SEQUENCE : TEXT;
        } else if (byte == 0x1b) {
            state = ESCAPE;
        } else if ((byte >= ' ' && byte != 0x7f) || byte == '\t') {
            emit(byte);
        }
    }
    guest->scanned = 0;
}

static void show_line(struct guest_console *guest, uint32_t count)
{
    begin_line();
    emit_string("[");
    emit_string(guest->name);
    emit_string("] ");
    emit_printable(guest, count);
    end_line();
}

/* A line of one of the guests that are not attached, in turn; false when there is none. */
static bool show_next_line(void)
{
    struct guest_console *first = con.next_line ? con.next_line : con.guests;
    struct guest_console *guest = con.lines ? first : NULL;

    while (guest) {
        uint32_t count = guest == con.attached ? 0 : whole_line(guest);
        struct guest_console *after = guest->next ? guest->next : con.guests;
        if (count) {
            con.next_line = after;
            show_line(guest, count);
            return true;
        }
        guest = after == first ? NULL : after;
    }
    con.lines = false;
    return false;
}

static void fill_from_guests(void)
{
    uint8_t byte;

    while (ring_used(&con.out) < OUT_LOW_WATER) {
        if (con.attached && ring_take(&con.attached->out, &byte))
            emit(byte);
        else if (!show_next_line())
            return;
    }
}

static bool next_byte(void *ctx, uint8_t *byte)
{
    if (ring_take(&con.out, byte))
        return true;
    fill_from_guests();
    return ring_take(&con.out, byte);
}

/* Nobody listens: what is written is gone. */
static void discard_output(void)
{
    con.out.head = con.out.tail;
    for (struct guest_console *guest = con.guests; guest; guest = guest->next) {
        guest->out.head = guest->out.tail;
        guest->scanned = 0;
    }
}

static void push(void)
{
    if (con.off || !con.uart.present)
        discard_output();
    else if (con.by_interrupt)
        uart16550_send(&con.uart);
    else
        uart16550_send_polled(&con.uart);
}

static bool room_is_due(const struct guest_console *guest)
{
    return guest->refused && ring_room(&guest->out) >= GUEST_CONSOLE_RING / 2;
}

static void set_refused(struct guest_console *guest, bool refused)
{
    if (guest->refused != refused)
        con.refused += refused ? 1 : -1u;
    guest->refused = refused;
}

static bool any_room_is_due(void)
{
    if (!con.refused)
        return false;
    for (const struct guest_console *guest = con.guests; guest; guest = guest->next)
        if (room_is_due(guest))
            return true;
    return false;
}

static void post_work(void)
{
    if (con.post_work)
        con.post_work();
}

/* ---- For a VM ------------------------------------------------------------------------------- */

void guest_console_add(struct guest_console *console, const char *name,
                       const struct guest_console_ops *ops)
{
    struct guest_console **link = &con.guests;

    console->name = name;
    console->ops = *ops;
    console->refused = false;
    console->scanned = 0;
    console->next = NULL;
    ring_init(&console->out, console->out_bytes, GUEST_CONSOLE_RING);
    ring_init(&console->in, console->in_bytes, GUEST_CONSOLE_INPUT);
    spin_lock(&con.lock);
    while (*link)
        link = &(*link)->next;
    *link = console;
    spin_unlock(&con.lock);
}

void guest_console_remove(struct guest_console *console)
{
    struct guest_console **link = &con.guests;
    bool had_it;

    spin_lock(&con.lock);
    while (*link != console)
        link = &(*link)->next;
    *link = console->next;
    set_refused(console, false);
    had_it = con.attached == console;
    if (had_it)
        con.attached = NULL;
    if (con.last == console)
        con.last = NULL;
    if (con.next_line == console)
        con.next_line = console->next;
    spin_unlock(&con.lock);
    if (had_it)
        console_attach(NULL);
}

bool guest_console_put(struct guest_console *console, uint8_t byte)
{
    spin_lock(&con.lock);
    bool taken = ring_put(&console->out, byte);
    if (!taken)
        set_refused(console, true);
    con.lines |= byte == '\n' || ring_used(&console->out) >= GUEST_CONSOLE_LINE;
    push();
    bool due = any_room_is_due();
    spin_unlock(&con.lock);
    if (due)
        post_work();
    return taken;
}

void guest_console_input_ready(struct guest_console *console)
{
    if (ring_used(&console->in) || (console == con.attached && ring_used(&con.in)))
        post_work();
}

void guest_console_flush(struct guest_console *console)
{
    uint32_t count;
    uint8_t byte;

    spin_lock(&con.lock);
    if (console == con.attached) {
        while (ring_take(&console->out, &byte))
            emit(byte);
        if (con.in_line)
            emit_string("\n");
    }
    while ((count = whole_line(console)) != 0 || (count = ring_used(&console->out)) != 0)
        show_line(console, count);
    console->in.head = console->in.tail;
    set_refused(console, false);
    push();
    spin_unlock(&con.lock);
}

/* ---- Input ---------------------------------------------------------------------------------- */

/*
 * A guest that has taken nothing while half of the ring filled up does not read: the line is not
 * kept waiting for it, or Ctrl-] would be kept waiting too.
 */
static bool nobody_reads(void)
{
    return con.attached && con.given == con.given_when_half;
}

static bool has_room(void *ctx)
{
    return ring_room(&con.in) != 0 || nobody_reads();
}

static void received(void *ctx, uint8_t byte)
{
    if (!ring_room(&con.in)) {
        if (byte != CONSOLE_ESCAPE)
            return;
        con.in.tail--;
    }
    ring_put(&con.in, byte);
    if (ring_used(&con.in) == INPUT_RING / 2)
        con.given_when_half = con.given;
}

/* With the lock held. */
static void attach(struct guest_console *guest)
{
    begin_line();
    con.prompt_size = 0;
    if (!guest && con.attached)
        con.last = con.attached;
    con.attached = guest;
    con.lines = true;
    if (!guest)
        return;
    guest->scanned = 0;
    emit_string("-- ");
    emit_string(guest->name);
    emit_string(" (Ctrl-] for the monitor) --\n");
}

enum input_step { INPUT_NOTHING, INPUT_MOVED, INPUT_PROMPT, INPUT_MONITOR };

/* With the lock held: Ctrl-] leads to the monitor or back, and a second one right after to the
 * guest. */
static enum input_step escape(void)
{
    bool twice = con.escape_fresh;

    con.escape_fresh = con.attached != NULL;
    if (con.attached) {
        attach(NULL);
        return INPUT_PROMPT;
    }
    if (con.last) {
        attach(con.last);
        if (twice)
            ring_put(&con.attached->in, CONSOLE_ESCAPE);
    }
    return INPUT_MOVED;
}

/* At most a line: the command on it may give the console to a guest, and what follows is for that
 * one. */
static void take_for_monitor(uint8_t *bytes, unsigned int *count)
{
    uint8_t byte = 0;

    while (*count < MONITOR_BYTES && byte != '\r' && byte != '\n' && ring_used(&con.in) &&
           ring_peek(&con.in, 0) != CONSOLE_ESCAPE && ring_take(&con.in, &byte))
        bytes[(*count)++] = byte;
}

/*
 * With the lock held: take from the line's ring what belongs to the attached guest, or up to
 * MONITOR_BYTES bytes for the monitor.  A guest that takes nothing cannot keep a Ctrl-] from being
 * seen.
 */
static enum input_step take_input(uint8_t *bytes, unsigned int *count)
{
    uint8_t byte;

    *count = 0;
    if (!ring_used(&con.in))
        return INPUT_NOTHING;
    if (ring_peek(&con.in, 0) == CONSOLE_ESCAPE) {
        ring_take(&con.in, &byte);
        return escape();
    }
    con.escape_fresh = false;
    if (!con.attached) {
        take_for_monitor(bytes, count);
        return INPUT_MONITOR;
    }
    if (!ring_room(&con.attached->in)) {
        uint32_t place = ring_find(&con.in, CONSOLE_ESCAPE);
        if (place == ring_used(&con.in))
            return INPUT_NOTHING;
        con.in.head += place;
        return INPUT_MOVED;
    }
    ring_take(&con.in, &byte);
    ring_put(&con.attached->in, byte);
    return INPUT_MOVED;
}

/* Give a guest what its receiver takes; only this function removes from its input, so a peek stays
 * true. */
static bool give_to_guest(struct guest_console *guest)
{
    uint8_t bytes[64];
    unsigned int count = 0;

    spin_lock(&con.lock);
    while (count < sizeof(bytes) && count < ring_used(&guest->in)) {
        bytes[count] = ring_peek(&guest->in, count);
        count++;
    }
    spin_unlock(&con.lock);
    unsigned int taken = count ? guest->ops.input(guest->ops.ctx, bytes, count) : 0;
    spin_lock(&con.lock);
    guest->in.head += MIN(taken, ring_used(&guest->in));
    con.given += taken;
    spin_unlock(&con.lock);
    return taken != 0;
}

static bool give_to_guests(void)
{
    bool any = false;

    for (struct guest_console *guest = con.guests; guest; guest = guest->next)
        while (ring_used(&guest->in) && give_to_guest(guest))
            any = true;
    return any;
}

static bool distribute_input(void)
{
    uint8_t bytes[MONITOR_BYTES];
    unsigned int count;
    enum input_step step;

    spin_lock(&con.lock);
    do {
        step = take_input(bytes, &count);
    } while (step == INPUT_MOVED);
    if (!con.off)
        uart16550_resume(&con.uart);
    push();
    spin_unlock(&con.lock);
    if (step == INPUT_MONITOR)
        monitor_input(bytes, count);
    else if (step == INPUT_PROMPT)
        monitor_prompt();
    return give_to_guests() || step != INPUT_NOTHING;
}

static void announce_room(void)
{
    for (struct guest_console *guest = con.guests; guest; guest = guest->next) {
        spin_lock(&con.lock);
        bool due = room_is_due(guest);
        if (due)
            set_refused(guest, false);
        spin_unlock(&con.lock);
        if (due)
            guest->ops.output_room(guest->ops.ctx);
    }
}

void console_work(void)
{
    while (distribute_input())
        ;
    announce_room();
}

void console_interrupt(void)
{
    spin_lock(&con.lock);
    uart16550_interrupt(&con.uart);
    bool work = ring_used(&con.in) || any_room_is_due();
    spin_unlock(&con.lock);
    if (work)
        post_work();
}

/* ---- Who has it ----------------------------------------------------------------------------- */

void console_attach(struct guest_console *console)
{
    spin_lock(&con.lock);
    attach(console);
    con.escape_fresh = false;
    push();
    spin_unlock(&con.lock);
    if (!console)
        monitor_prompt();
}

struct guest_console *console_attached(void)
{
    return con.attached;
}

struct guest_console *console_last_attached(void)
{
    return con.attached ? con.attached : con.last;
}

/* ---- The monitor's and the log's text ------------------------------------------------------- */

void console_write(const char *text, size_t size)
{
    spin_lock(&con.lock);
    emit_text(text, size);
    push();
    spin_unlock(&con.lock);
}

void console_print(const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    size_t length = str_vformat(text, sizeof(text), format, arguments);
    va_end(arguments);
    console_write(text, MIN(length, sizeof(text) - 1));
}

void console_line(const char *text, size_t size)
{
    spin_lock(&con.lock);
    begin_line();
    emit_text(text, size);
    end_line();
    push();
    spin_unlock(&con.lock);
}

void console_set_prompt(const char *text, size_t size)
{
    spin_lock(&con.lock);
    con.prompt_size = con.attached ? 0 : MIN(size, PROMPT_SIZE);
    memcpy(con.prompt, text, con.prompt_size);
    spin_unlock(&con.lock);
}

/* Guests have stopped, so what they wrote has an end. */
void console_flush(void)
{
    spin_lock(&con.lock);
    push();
    uart16550_drain(&con.uart);
    spin_unlock(&con.lock);
}

/* The rings may be in any state, but their indices are masked: at worst old bytes are seen again.
 */
void console_panic_write(const char *text, size_t size)
{
    uint8_t byte;

    for (unsigned int i = 0; i < HOST_RING && ring_take(&con.out, &byte); i++)
        uart16550_put_polled(&con.uart, byte);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n')
            uart16550_put_polled(&con.uart, '\r');
        uart16550_put_polled(&con.uart, (uint8_t)text[i]);
    }
}

/* ---- Start-up ------------------------------------------------------------------------------- */

void console_init(void)
{
    const struct uart16550_ops ops = {
        .next = next_byte, .has_room = has_room, .received = received};

    ring_init(&con.out, con.out_bytes, HOST_RING);
    ring_init(&con.in, con.in_bytes, INPUT_RING);
    uart16550_init(&con.uart, UART16550_COM1, &ops);
}

void console_configure(bool com1)
{
    spin_lock(&con.lock);
    con.off = !com1;
    push();
    spin_unlock(&con.lock);
}

bool console_has_uart(void)
{
    return con.uart.present;
}

void console_start_interrupts(void (*post)(void))
{
    spin_lock(&con.lock);
    con.post_work = post;
    con.by_interrupt = true;
    uart16550_enable_interrupts(&con.uart);
    spin_unlock(&con.lock);
    if (ring_used(&con.in))
        post_work();
}
