/* SPDX-License-Identifier: MIT */
/* Memory functions, which the compiler calls too; strings; time; and on which CPU this runs. */
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

void *memcpy(void *to, const void *from, unsigned long size)
{
    void *result = to;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}

void *memset(void *to, int value, unsigned long size)
{
    void *result = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return result;
}

int memcmp(const void *a, const void *b, unsigned long size)
{
    const uint8_t *p = a, *q = b;

    for (; size; size--, p++, q++)
        if (*p != *q)
            return *p < *q ? -1 : 1;
    return 0;
}

unsigned long string_length(const char *text)
{
    unsigned long length = 0;

    while (text[length])
        length++;
    return length;
}

static bool brand_begins(const char *text)
{
    char brand[48];

    for (uint32_t i = 0; i < 3; i++) {
        const struct cpuid part = cpuid(0x80000002 + i, 0);

        memcpy(brand + 16 * i, &part, sizeof(part));
    }
    for (unsigned int i = 0; i < sizeof(brand) && text[i]; i++)
        if (brand[i] != text[i])
            return false;
    return true;
}

/* A real EPYC names its model; QEMU's does not. */
bool on_qemu_tcg(void)
{
    return brand_begins("AMD EPYC Processor") || brand_begins("QEMU TCG CPU");
}

/* The parts that Bochs has models of, of those that Mica is run on. */
bool on_bochs(void)
{
    return brand_begins("AMD Ryzen 7 1700") || brand_begins("Intel(R) Core(TM) i7-7800X") ||
           brand_begins("11th Gen Intel(R) Core(TM) i5-1135G7");
}

bool dr6_has(uint64_t bits)
{
    return (on_bochs() && is_amd()) || (trap.dr6 & bits) == bits;
}

/* ---- Time ----------------------------------------------------------------------------------- */

#define PIT_HZ         1193182u
#define PIT_CHANNEL2   0x42
#define PIT_COMMAND    0x43
#define SYSTEM_B       0x61
#define MEASURED_TICKS (PIT_HZ / 100)

/* Channel 2 counts down 10 ms; its output shows in port 61h, so no interrupt is needed. */
static uint64_t measure(void)
{
    uint64_t begin;

    outb(SYSTEM_B, (uint8_t)((inb(SYSTEM_B) & ~2) | 1));
    outb(PIT_COMMAND, 0xb0); /* channel 2, both bytes, mode 0 */
    outb(PIT_CHANNEL2, MEASURED_TICKS & 0xff);
    outb(PIT_CHANNEL2, MEASURED_TICKS >> 8);
    begin = rdtsc();
    while (!(inb(SYSTEM_B) & 0x20))
        ;
    return (rdtsc() - begin) / 10;
}

uint64_t tsc_per_ms(void)
{
    static uint64_t measured;

    if (!measured)
        measured = measure();
    return measured;
}

void delay_us(uint64_t us)
{
    uint64_t until = rdtsc() + us * tsc_per_ms() / 1000;

    while (rdtsc() < until)
        __asm__ volatile("pause");
}
