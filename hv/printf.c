/* SPDX-License-Identifier: MIT */
/*
 * str_format(): text into a buffer, with C's meaning of what it knows.  It knows no floating point,
 * no %n and no locale; an unknown conversion is copied as it stands.
 */
#include "hv/printf.h"

#include "hv/string.h"

#include <stdbool.h>
#include <stdint.h>

struct output {
    char *buffer;
    size_t size;
    size_t length; /* of the whole text, stored or not */
};

struct spec {
    bool left, zero, plus, space, alternate;
    int width;
    int precision; /* negative: none */
    unsigned int bytes;
};

static void put(struct output *out, char c)
{
    if (out->length + 1 < out->size)
        out->buffer[out->length] = c;
    out->length++;
}

static void pad(struct output *out, char c, int count)
{
    while (count-- > 0)
        put(out, c);
}

/* Prefix (sign or 0x), zeros and body, in the field. */
static void put_field(struct output *out, const struct spec *spec, const char *prefix, int zeros,
                      const char *body, int length)
{
    int blank = spec->width - (int)strlen(prefix) - MAX(zeros, 0) - length;

    if (!spec->left)
        pad(out, ' ', blank);
    while (*prefix)
        put(out, *prefix++);
    pad(out, '0', zeros);
    for (int i = 0; i < length; i++)
        put(out, body[i]);
    if (spec->left)
        pad(out, ' ', blank);
}

static void put_number(struct output *out, const struct spec *spec, const char *prefix,
                       uint64_t value, unsigned int base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24];
    int at = (int)sizeof(text);

    for (; value; value /= base)
        text[--at] = digits[value % base];
    int length = (int)sizeof(text) - at;
    int wanted = spec->precision < 0 ? 1 : spec->precision;
    if (spec->zero && !spec->left && spec->precision < 0)
        wanted = MAX(wanted, spec->width - (int)strlen(prefix));
    put_field(out, spec, prefix, MAX(wanted - length, 0), text + at, length);
}

static void put_signed(struct output *out, const struct spec *spec, int64_t value)
{
    const char *sign = value < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";

    put_number(out, spec, sign, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, false);
}

static void put_string(struct output *out, const struct spec *spec, const char *s)
{
    int length = 0;

    if (!s)
        s = "(null)";
    while ((spec->precision < 0 || length < spec->precision) && s[length])
        length++;
    put_field(out, spec, "", 0, s, length);
}

static uint64_t truncate(uint64_t value, unsigned int bytes)
{
    return bytes >= 8 ? value : value & (BIT(8 * bytes) - 1);
}

static int64_t sign_extend(uint64_t value, unsigned int bytes)
{
    unsigned int shift = 64 - 8 * bytes;

    return (int64_t)(value << shift) >> shift;
}

static const char *parse_flags(const char *f, struct spec *spec)
{
    for (;; f++) {
        switch (*f) {
        case '-':
            spec->left = true;
            break;
        case '0':
            spec->zero = true;
            break;
        case '+':
            spec->plus = true;
            break;
        case ' ':
            spec->space = true;
            break;
        case '#':
            spec->alternate = true;
            break;
        default:
            return f;
        }
    }
}

static const char *parse_digits(const char *f, int *value)
{
    for (*value = 0; *f >= '0' && *f <= '9'; f++)
        if (*value < 100000)
            *value = *value * 10 + (*f - '0');
    return f;
}

static const char *parse_length(const char *f, struct spec *spec)
{
    spec->bytes = 4;
    if (*f == 'h') {
        spec->bytes = f[1] == 'h' ? 1 : 2;
        return f + (f[1] == 'h' ? 2 : 1);
    }
    if (*f == 'l' || *f == 'z') {
        spec->bytes = 8;
        return f + (f[0] == 'l' && f[1] == 'l' ? 2 : 1);
    }
    return f;
}

/* va_list is an array type on x86-64, so a pointer to it needs a struct around it. */
struct arguments {
    va_list list;
};

static const char *parse_spec(const char *f, struct spec *spec, struct arguments *args)
{
    *spec = (struct spec){.precision = -1};
    f = parse_flags(f, spec);
    if (*f == '*') {
        spec->width = va_arg(args->list, int);
        f++;
    } else {
        f = parse_digits(f, &spec->width);
    }
    if (spec->width < 0) {
        spec->left = true;
        spec->width = -spec->width;
    }
    if (*f == '.' && f[1] == '*') {
        spec->precision = va_arg(args->list, int);
        f += 2;
    } else if (*f == '.') {
        f = parse_digits(f + 1, &spec->precision);
    }
    return parse_length(f, spec);
}

static uint64_t next_integer(const struct spec *spec, struct arguments *args)
{
    return spec->bytes == 8 ? va_arg(args->list, uint64_t) : va_arg(args->list, unsigned int);
}

/* One conversion; false when it is unknown. */
static bool convert(struct output *out, char conversion, struct spec *spec, struct arguments *args)
{
    switch (conversion) {
    case 'd':
    case 'i':
        put_signed(out, spec, sign_extend(next_integer(spec, args), spec->bytes));
        return true;
    case 'u':
        put_number(out, spec, "", truncate(next_integer(spec, args), spec->bytes), 10, false);
        return true;
    case 'x':
    case 'X': {
        uint64_t value = truncate(next_integer(spec, args), spec->bytes);
        const char *prefix = !spec->alternate || !value ? "" : conversion == 'x' ? "0x" : "0X";
        put_number(out, spec, prefix, value, 16, conversion == 'X');
        return true;
    }
    case 'p':
        put_number(out, spec, "0x", (uintptr_t)va_arg(args->list, void *), 16, false);
        return true;
    case 'c': {
        char c = (char)va_arg(args->list, int);
        put_field(out, spec, "", 0, &c, 1);
        return true;
    }
    case 's':
        put_string(out, spec, va_arg(args->list, const char *));
        return true;
    case '%':
        put(out, '%');
        return true;
    default:
        return false;
    }
}

size_t str_vformat(char *buffer, size_t size, const char *format, va_list arguments)
{
    struct output out = {.buffer = buffer, .size = size};
    struct arguments args;
    struct spec spec;

    va_copy(args.list, arguments);
    for (const char *f = format; *f; f++) {
        if (*f != '%') {
            put(&out, *f);
            continue;
        }
        const char *conversion = parse_spec(f + 1, &spec, &args);
        if (convert(&out, *conversion, &spec, &args))
            f = conversion;
        else
            put(&out, '%');
    }
    va_end(args.list);
    if (size)
        buffer[MIN(out.length, size - 1)] = '\0';
    return out.length;
}

size_t str_format(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    size_t length = str_vformat(buffer, size, format, arguments);
    va_end(arguments);
    return length;
}
