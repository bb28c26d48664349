/* SPDX-License-Identifier: MIT */
/*
 * The physical console: between the UART, the guests, the monitor, the log and the mirror.  It
 * moves bytes and ends lines; what a line typed at the prompt means, the monitor knows.
 *
 * One lock serialises everything here, the interrupt handler included.  It is taken below a VM's
 * lock and never held while a function of a guest, of the monitor or of the mirror is called.
 * Below it each guest has a lock of its own for what it has written, the only one that a guest
 * takes whom nobody watches.
 */
#include "hv/console.h"

#include "drivers/uart16550.h"
#include "hv/monitor/monitor.h"
#include "hv/printf.h"
#include "hv/string.h"

#define HOST_RING   32768u
#define INPUT_RING  8192u
#define PROMPT_SIZE 256u
/* Guests' bytes wait in their own rings while this many are before them, so that what the monitor
 * and the log have to say is not far behind. */
#define OUT_LOW_WATER 32u
#define OUT_LINE      1024u /* a guest's line takes less, its name and the prompt included */
#define MONITOR_BYTES 128u  /* bytes for the monitor a round */
/* Of what came before a guest is watched, it is shown so much. */
#define SCREEN_LINES 24u
#define SCREEN_BYTES (80 * SCREEN_LINES)

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
    bool all;                        /* the monitor is, and all guests' lines are shown */
    bool lines;                      /* some guest may have a whole line to show */
    unsigned int refused;            /* guests whose ring was full */
    uint32_t given;                  /* bytes that guests' receivers took */
    uint32_t given_when_half;        /* the same when the input ring was last half full */
    bool escape_fresh;               /* Ctrl-] was the last key: a second one is for the guest */
    bool in_line;                    /* the cursor is not at the start of a line */
    bool by_interrupt;
    char prompt[PROMPT_SIZE];
    size_t prompt_size;
    void (*post_work)(void);
    void (*mirror)(bool now); /* a null pointer: there is none */
    uint32_t mirrored;        /* place in `out` up to which it has everything */
    bool mirror_awake;        /* it will take until there is nothing */
    bool mirror_called;       /* console_work() is to wake it */
    bool panic;
} con;

/* The serial line, if it is there and used. */
static bool serial(void)
{
    return con.uart.present && !con.off;
}

/* ---- Bytes to the line; all with the lock held ---------------------------------------------- */

static void emit(uint8_t byte)
{
    uint8_t oldest;

    if (!ring_room(&con.out) && ring_take(&con.out, &oldest) && serial())
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

enum { TEXT, ESCAPE, SEQUENCE, STRING };

/* What ESC and this begin. */
static uint8_t begun_by(uint8_t byte)
{
    return byte == '[' ? SEQUENCE : byte == ']' ? STRING : TEXT;
}

/*
 * Does a byte go on with a character in UTF-8?  Only where it may: C2 80 to C2 9F, and the same in
 * more bytes than it takes, are controls.
 */
static bool goes_on(struct console_text *text, uint8_t byte)
{
    if (text->more && byte >= text->least && byte <= 0xbf) {
        text->more--;
        text->least = 0x80;
        return true;
    }
    text->more = byte < 0xc2 || byte > 0xf4 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    text->least = byte == 0xc2 || byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    return false;
}

/*
 * Is a byte text or a control character, rather than a part of a sequence that would move the
 * cursor, change colours or ask the terminal something?  80 to 9F say in one byte what ESC and 40
 * to 5F do.
 */
static bool is_plain(struct console_text *text, uint8_t byte)
{
    uint8_t was = text->state;

    if (byte == 0x1b) {
        text->state = ESCAPE;
        return false;
    }
    if (byte < ' ' || was == TEXT) {
        bool control = !goes_on(text, byte) && byte >= 0x80 && byte <= 0x9f;

        text->state = control ? begun_by((uint8_t)(byte - 0x40)) : TEXT;
        return !control;
    }
    if (was == SEQUENCE)
        text->state = byte >= 0x40 && byte <= 0x7e ? TEXT : SEQUENCE;
    else if (was == ESCAPE && byte > '/')
        text->state = begun_by(byte);
    return false;
}

static bool is_shown(struct console_text *text, uint8_t byte, const char *controls)
{
    if (!is_plain(text, byte))
        return false;
    if (byte >= ' ')
        return byte != 0x7f;
    while (*controls && (uint8_t)*controls != byte)
        controls++;
    return *controls != '\0';
}

/* How many bytes of a guest make a line, its end included; 0: it is still open. */
static uint32_t whole_line(struct guest_console *guest)
{
    uint32_t count;

    spin_lock(&guest->lock);
    count = scrollback_line(&guest->out, GUEST_CONSOLE_LINE);
    if (!count && guest->out.shown < guest->ended)
        count = (uint32_t)(guest->ended - guest->out.shown);
    spin_unlock(&guest->lock);
    return count;
}

static uint32_t take(struct guest_console *guest, uint8_t *bytes, uint32_t count)
{
    spin_lock(&guest->lock);
    count = scrollback_take(&guest->out, bytes, count);
    spin_unlock(&guest->lock);
    return count;
}

static void show_line(struct guest_console *guest, uint32_t count)
{
    struct console_text text = {.state = TEXT};
    uint8_t bytes[GUEST_CONSOLE_LINE];

    count = take(guest, bytes, MIN(count, sizeof(bytes)));
    begin_line();
    emit_string("[");
    emit_string(guest->name);
    emit_string("] ");
    for (uint32_t i = 0; i < count; i++)
        if (is_shown(&text, bytes[i], "\t"))
            emit(bytes[i]);
    end_line();
}

/* A line of one of the guests, in turn; false when there is none. */
static bool show_next_line(void)
{
    struct guest_console *first = con.next_line ? con.next_line : con.guests;
    struct guest_console *guest = con.lines ? first : NULL;

    while (guest) {
        uint32_t count = whole_line(guest);
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

/* The attached guest's bytes as they are; but what is shown again as text alone, or the terminal
 * would answer old questions. */
static bool show_attached(void)
{
    struct guest_console *guest = con.attached;
    uint64_t place = guest->out.shown; /* only who has the console's lock moves it */
    uint8_t bytes[OUT_LOW_WATER];
    uint32_t count = take(guest, bytes, sizeof(bytes));

    for (uint32_t i = 0; i < count; i++)
        if (place + i >= guest->replayed || is_shown(&guest->text, bytes[i], "\b\t\n\r"))
            emit(bytes[i]);
    return count != 0;
}

static void fill_from_guests(void)
{
    while (ring_used(&con.out) < OUT_LOW_WATER)
        if (!(con.attached ? show_attached() : con.all && show_next_line()))
            return;
}

static bool next_byte(void *ctx, uint8_t *byte)
{
    if (ring_take(&con.out, byte))
        return true;
    fill_from_guests();
    return ring_take(&con.out, byte);
}

static void push(void)
{
    if (!serial() && con.mirror)
        fill_from_guests();
    else if (!serial())
        con.out.head = con.out.tail; /* nobody listens: what is written is gone */
    else if (con.by_interrupt)
        uart16550_send(&con.uart);
    else
        uart16550_send_polled(&con.uart);
}

/* A guest whom nobody watches never waits. */
static bool room_is_due(const struct guest_console *guest)
{
    return guest->refused &&
           (!guest->seen || scrollback_unshown(&guest->out) <= SCROLLBACK_SIZE / 2);
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

/*
 * The mirror is called at most once until it has taken all.  Before there is a main loop that could
 * do it, whoever writes does.
 */
static void unlock(void)
{
    bool mirror = con.mirror && !con.mirror_awake && con.mirrored != con.out.tail;
    bool work = any_room_is_due() || (mirror && con.post_work);

    con.mirror_awake |= mirror;
    con.mirror_called |= mirror && con.post_work;
    spin_unlock(&con.lock);
    if (work)
        post_work();
    else if (mirror)
        con.mirror(true);
}

static void push_and_unlock(void)
{
    push();
    unlock();
}

/* ---- Who is watched; with the lock held ----------------------------------------------------- */

static void set_seen(struct guest_console *guest)
{
    bool seen = (serial() || con.mirror) && (con.all || guest == con.attached);

    spin_lock(&guest->lock);
    if (seen && !guest->seen && con.all)
        scrollback_skip(&guest->out, SCREEN_LINES, SCREEN_BYTES);
    guest->seen = seen;
    spin_unlock(&guest->lock);
}

static void set_all_seen(void)
{
    for (struct guest_console *guest = con.guests; guest; guest = guest->next)
        set_seen(guest);
    con.lines = true;
}

/* What of it was not shown yet will be, and at least the last lines. */
static void replay(struct guest_console *guest)
{
    spin_lock(&guest->lock);
    scrollback_rewind(&guest->out, SCREEN_LINES);
    guest->replayed = guest->out.end;
    guest->text = (struct console_text){.state = TEXT};
    spin_unlock(&guest->lock);
}

static void attach(struct guest_console *guest)
{
    begin_line();
    con.prompt_size = 0;
    if (!guest && con.attached)
        con.last = con.attached;
    con.attached = guest;
    if (guest) {
        con.all = false;
        emit_string("-- ");
        emit_string(guest->name);
        emit_string(" (Ctrl-] for the monitor) --\n");
        replay(guest);
    }
    set_all_seen();
}

/* All guests' lines from now on, or nobody's. */
static void show_all(bool all)
{
    begin_line();
    con.prompt_size = 0;
    con.all = all;
    emit_string(all ? "-- all guests (Ctrl-] ends this) --\n"
                    : "-- what guests write is kept --\n");
    set_all_seen();
}

/* ---- For a VM ------------------------------------------------------------------------------- */

void guest_console_add(struct guest_console *console, const char *name,
                       const struct guest_console_ops *ops)
{
    struct guest_console **link = &con.guests;

    console->name = name;
    console->ops = *ops;
    ring_init(&console->in, console->in_bytes, GUEST_CONSOLE_INPUT);
    spin_lock(&con.lock);
    while (*link)
        link = &(*link)->next;
    *link = console;
    set_seen(console);
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
    bool seen, taken, line;

    spin_lock(&console->lock);
    seen = console->seen;
    taken = !seen || !scrollback_is_full(&console->out);
    if (taken)
        scrollback_put(&console->out, byte);
    line = byte == '\n' || scrollback_unshown(&console->out) >= GUEST_CONSOLE_LINE;
    spin_unlock(&console->lock);
    if (!seen)
        return true;
    spin_lock(&con.lock);
    if (!taken)
        set_refused(console, true);
    con.lines |= line;
    push_and_unlock();
    return taken;
}

void guest_console_input_ready(struct guest_console *console)
{
    if (ring_used(&console->in) || (console == con.attached && ring_used(&con.in)))
        post_work();
}

/* What does not fit now follows later, behind lines of others. */
void guest_console_flush(struct guest_console *console)
{
    uint32_t count;

    spin_lock(&con.lock);
    console->ended = console->out.end;
    if (console == con.attached) {
        while (ring_room(&con.out) > OUT_LINE && show_attached())
            ;
        if (con.in_line)
            emit_string("\n");
    }
    while (con.all && ring_room(&con.out) > OUT_LINE && (count = whole_line(console)) != 0)
        show_line(console, count);
    con.lines = true;
    console->in.head = console->in.tail;
    set_refused(console, false);
    push_and_unlock();
}

void guest_console_view(struct guest_console *console, struct guest_console_view *out)
{
    spin_lock(&console->lock);
    out->kept = scrollback_kept(&console->out);
    out->unshown = scrollback_unshown(&console->out);
    spin_unlock(&console->lock);
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

enum input_step { INPUT_NOTHING, INPUT_MOVED, INPUT_PROMPT, INPUT_MONITOR };

/* With the lock held: Ctrl-] leads to the monitor or back, and a second one right after to the
 * guest. */
static enum input_step escape(void)
{
    bool twice = con.escape_fresh;

    con.escape_fresh = con.attached != NULL;
    if (con.attached || con.all) {
        if (con.attached)
            attach(NULL);
        else
            show_all(false);
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
    push_and_unlock();
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

static void wake_mirror(void)
{
    spin_lock(&con.lock);
    bool called = con.mirror_called && con.mirror;
    con.mirror_called = false;
    spin_unlock(&con.lock);
    if (called)
        con.mirror(false);
}

void console_work(void)
{
    while (distribute_input())
        ;
    announce_room();
    wake_mirror();
}

void console_interrupt(void)
{
    spin_lock(&con.lock);
    uart16550_interrupt(&con.uart);
    bool work = ring_used(&con.in) != 0;
    unlock();
    if (work)
        post_work();
}

/* ---- Who has it ----------------------------------------------------------------------------- */

void console_attach(struct guest_console *console)
{
    spin_lock(&con.lock);
    attach(console);
    con.escape_fresh = false;
    push_and_unlock();
    if (!console)
        monitor_prompt();
}

void console_show_all(void)
{
    spin_lock(&con.lock);
    if (con.attached)
        attach(NULL);
    show_all(true);
    push_and_unlock();
}

bool console_shows_all(void)
{
    return con.all;
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
    push_and_unlock();
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
    push_and_unlock();
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
    if (serial())
        uart16550_drain(&con.uart);
    unlock();
    if (con.mirror)
        con.mirror(true);
}

/* The rings may be in any state, but their indices are masked: at worst old bytes are seen again.
 * Nor is the mirror trusted: a fault of its own must not bring it here again. */
void console_panic_write(const char *text, size_t size)
{
    void (*mirror)(bool now) = con.mirror;
    uint8_t byte;

    con.panic = true;
    con.mirror = NULL;
    for (unsigned int i = 0; i < HOST_RING && ring_take(&con.out, &byte); i++)
        uart16550_put_polled(&con.uart, byte);
    emit_text(text, size);
    while (ring_take(&con.out, &byte))
        uart16550_put_polled(&con.uart, byte);
    if (mirror)
        mirror(true);
    con.mirror = mirror;
}

/* ---- The mirror ------------------------------------------------------------------------------ */

/* What it finds in the line's ring, whose bytes stay there for a while when the line has had them.
 */
static uint32_t copy_for_mirror(uint8_t *bytes, uint32_t max)
{
    uint32_t count = 0;

    if (con.out.tail - con.mirrored > HOST_RING)
        con.mirrored = con.out.tail - HOST_RING; /* the line was faster */
    while (count < max && con.mirrored != con.out.tail)
        bytes[count++] = con.out.bytes[con.mirrored++ & con.out.mask];
    return count;
}

/* Without a serial line what the mirror takes is what goes out. */
uint32_t console_mirror_take(uint8_t *bytes, uint32_t max)
{
    uint32_t count;

    if (con.panic)
        return copy_for_mirror(bytes, max);
    spin_lock(&con.lock);
    if (!serial())
        fill_from_guests();
    count = copy_for_mirror(bytes, max);
    if (!serial())
        con.out.head = con.mirrored;
    con.mirror_awake = count != 0;
    spin_unlock(&con.lock);
    if (any_room_is_due())
        post_work();
    return count;
}

void console_set_mirror(void (*mirror)(bool now))
{
    spin_lock(&con.lock);
    con.mirror = mirror;
    set_all_seen();
    push_and_unlock();
}

/* ---- Start-up ------------------------------------------------------------------------------- */

void console_init(void)
{
    const struct uart16550_ops ops = {
        .next = next_byte, .has_room = has_room, .received = received};

    con.all = true;
    ring_init(&con.out, con.out_bytes, HOST_RING);
    ring_init(&con.in, con.in_bytes, INPUT_RING);
    uart16550_init(&con.uart, UART16550_COM1, &ops);
}

void console_configure(bool com1, bool framebuffer)
{
    spin_lock(&con.lock);
    con.off = !com1;
    if (!framebuffer)
        con.mirror = NULL;
    set_all_seen();
    push_and_unlock();
}

bool console_has_uart(void)
{
    return con.uart.present;
}

void console_start_interrupts(void)
{
    spin_lock(&con.lock);
    con.by_interrupt = true;
    uart16550_enable_interrupts(&con.uart);
    bool work = ring_used(&con.in) != 0;
    unlock();
    if (work)
        post_work();
}

void console_start_work(void (*post)(void))
{
    con.post_work = post;
}
