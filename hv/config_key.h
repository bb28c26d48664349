/* SPDX-License-Identifier: MIT */
/*
 * Between config.c, which knows lines and sections, and config_key.c, which knows keys and values.
 */
#pragma once

#include "hv/config.h"
#include "hv/string.h"

#include <stdbool.h>
#include <stddef.h>

/* A piece of the file. */
struct text {
    const char *at;
    size_t size;
};

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline struct text trim(struct text text)
{
    while (text.size > 0 && is_blank(text.at[0])) {
        text.at++;
        text.size--;
    }
    while (text.size > 0 && is_blank(text.at[text.size - 1]))
        text.size--;
    return text;
}

static inline bool text_is(struct text text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.at, word, text.size) == 0;
}

/* What guests and switches may be called. */
bool text_is_name(struct text text);

const struct config_key *config_find_key(enum config_section section, struct text name);

/* Converts the value into the field as the key's kind says; false, and nothing is written, when it
 * cannot. */
bool config_parse_value(const struct config_key *key, struct text value, void *field);
