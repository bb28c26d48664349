/* SPDX-License-Identifier: MIT */
/* Writing JSON.  Keys are the monitor's own words; values may be anything. */
#include "hv/monitor/json.h"

#include "hv/console.h"
#include "hv/printf.h"

bool json_is_on;

static struct {
    char text[JSON_LINE];
    size_t size;
    bool full;
} line;

static void put(char c)
{
    line.full |= line.size == sizeof(line.text);
    if (!line.full)
        line.text[line.size++] = c;
}

static void put_text(const char *text)
{
    while (*text)
        put(*text++);
}

/* Bytes that are not printable ASCII are the characters of these numbers. */
static void put_string(const char *text)
{
    char code[8];

    put('"');
    for (; *text; text++) {
        uint8_t byte = (uint8_t)*text;

        if (byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\') {
            put(*text);
        } else {
            str_format(code, sizeof(code), "\\u%04x", byte);
            put_text(code);
        }
    }
    put('"');
}

static void put_key(const char *key)
{
    put(',');
    put_string(key);
    put(':');
}

void json_begin(const char *type)
{
    line.size = 0;
    line.full = false;
    put_text("{\"type\":");
    put_string(type);
}

void json_string(const char *key, const char *value)
{
    put_key(key);
    put_string(value);
}

void json_number(const char *key, uint64_t value)
{
    char digits[24];

    str_format(digits, sizeof(digits), "%lu", value);
    put_key(key);
    put_text(digits);
}

void json_bool(const char *key, bool value)
{
    put_key(key);
    put_text(value ? "true" : "false");
}

void json_end(void)
{
    put_text("}\n");
    if (line.full) {
        json_begin("error");
        json_string("error", "the answer does not fit a line");
        put_text("}\n");
    }
    console_write(line.text, line.size);
}
