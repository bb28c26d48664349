/* SPDX-License-Identifier: MIT */
/* Printing on COM1, polled, and the checks as TAP. */
#include "guest-stubs/lib/stub.h"

#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/trap.h"

#include <stdarg.h>

#define COM1     0x3f8
#define COM1_LSR (COM1 + 5)
#define LSR_THRE 0x20
#define PM1A_CNT 0x604

#define PM1A_POWER_OFF (5u << 10 | 1u << 13) /* SLP_TYP of S5, SLP_EN */

static unsigned int count, failures;

/* ---- Printing ------------------------------------------------------------------------------- */

static void put(char c)
{
    while (!(inb(COM1_LSR) & LSR_THRE))
        ;
    outb(COM1, (uint8_t)c);
}

static void put_string(const char *text)
{
    while (*text)
        put(*text++);
}

static void put_number(uint64_t value, unsigned int base)
{
    char digits[20];
    unsigned int length = 0;

    do {
        digits[length++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (length)
        put(digits[--length]);
}

static void vprint(const char *format, va_list arguments)
{
    for (; *format; format++) {
        bool wide = false;

        if (*format != '%') {
            put(*format);
            continue;
        }
        for (format++; *format == 'l'; format++)
            wide = true;
        if (*format == 's')
            put_string(va_arg(arguments, const char *));
        else if (*format == 'u' || *format == 'x')
            put_number(wide ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned int),
                       *format == 'u' ? 10 : 16);
        else if (*format == 'c')
            put((char)va_arg(arguments, int));
        else
            put(*format);
    }
}

void print(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vprint(format, arguments);
    va_end(arguments);
}

/* ---- Checks --------------------------------------------------------------------------------- */

bool check_list(bool ok, const char *what, va_list arguments)
{
    count++;
    failures += !ok;
    print("%s %u - ", ok ? "ok" : "not ok", count);
    vprint(what, arguments);
    put('\n');
    if (!ok)
        print("# the last trap: vector %lu, error 0x%lx, at %lx (TRY's is at %lx), cr2 %lx, dr6 "
              "%lx\n",
              trap.vector, trap.error, trap.rip, trap_begin, trap.cr2, trap.dr6);
    return ok;
}

bool check(bool ok, const char *what, ...)
{
    va_list arguments;

    va_start(arguments, what);
    check_list(ok, what, arguments);
    va_end(arguments);
    return ok;
}

bool check_equal(uint64_t got, uint64_t expected, const char *what, ...)
{
    va_list arguments;

    va_start(arguments, what);
    check_list(got == expected, what, arguments);
    va_end(arguments);
    if (got != expected)
        print("# it is 0x%lx, not 0x%lx\n", got, expected);
    return got == expected;
}

void skip(const char *what, const char *reason)
{
    print("ok %u - %s # skip %s\n", ++count, what, reason);
}

_Noreturn void leave(uint8_t value)
{
    outb(PORT_DEBUG_EXIT, value);
    outw(PM1A_CNT, PM1A_POWER_OFF); /* where there is no such port */
    for (;;)
        __asm__ volatile("cli; hlt");
}

_Noreturn void finish(void)
{
    print("1..%u\n", count);
    leave(failures ? EXIT_FAILED : EXIT_PASSED);
}

_Noreturn void fail_at_once(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    check_list(false, format, arguments);
    va_end(arguments);
    finish();
}
