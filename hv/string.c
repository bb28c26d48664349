/* SPDX-License-Identifier: MIT */
/* C's memory and string functions for the image; host tests use libc's. */
#include "hv/string.h"

#include <stdint.h>

/* Eight bytes at a time, then the rest: the string instructions are short, and quick for what is
 * copied here. */
void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    void *d = to;
    const void *s = from;
    size_t count = size / 8;

    __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(count)::"memory");
    count = size % 8;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(count)::"memory");
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    uint8_t *d = to;
    const uint8_t *s = from;

    if ((uintptr_t)to - (uintptr_t)from >= size)
        return memcpy(to, from, size);
    while (size--) {
        d[size] = s[size];
        __asm__ volatile("" ::: "memory"); /* or the compiler makes this loop a call of memmove() */
    }
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    void *d = to;
    uint64_t pattern = (uint8_t)byte * 0x0101010101010101ull;
    size_t count = size / 8;

    __asm__ volatile("rep stosq" : "+D"(d), "+c"(count) : "a"(pattern) : "memory");
    count = size % 8;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(count) : "a"(pattern) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;

    for (size_t i = 0; i < size; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;

    while (s[n]) {
        n++;
        __asm__ volatile("" ::: "memory"); /* or the compiler makes this loop a call of strlen() */
    }
    return n;
}

int strncmp(const char *a, const char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (a[i] != b[i])
            return (uint8_t)a[i] - (uint8_t)b[i];
        if (!a[i])
            break;
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)(uintptr_t)s;
        if (!*s)
            return NULL;
    }
}
