/* SPDX-License-Identifier: MIT */
/*
 * The devices that test programs written for QEMU rely on: fw_cfg, isa-debugcon, isa-debug-exit and
 * pc-testdev.  A guest has them where its configuration asks for them; with absent=1 on the command
 * line this one checks that it has none.  cpus= is how many CPUs it has.
 */
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/fwcfg.h"
#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define DEBUGCON        0xe9
#define TEST_REGISTER   0xe0
#define TEST_FLUSH      0xe4
#define TEST_LINE(n)    (uint16_t)(0x2000 + (n))
#define TEST_MEMORY     0xff000000ull
#define TEST_MEMORY_END 0xff010000ull

#define VEC_PIC      0x20
#define VEC_IOAPIC   0x50
#define VEC_SPURIOUS 0xef

static void out_string(uint16_t port, const void *from, unsigned long size)
{
    __asm__ volatile("rep outsb" : "+S"(from), "+c"(size) : "d"(port) : "memory");
}

/* ---- fw_cfg --------------------------------------------------------------------------------- */

static void check_items(void)
{
    uint64_t cpus = option("cpus", 1);
    char signature[4];

    outw(FWCFG_SELECT, FWCFG_SIGNATURE);
    fwcfg_read(signature, sizeof(signature));
    check(memcmp(signature, "QEMU", 4) == 0, "fw_cfg: the signature, by REP INSB");
    check_equal(fwcfg_item(FWCFG_ID, 4), 1, "fw_cfg: it is read through ports, without DMA");
    check_equal(fwcfg_item(FWCFG_RAM_SIZE, 8), START_RAM_KIB * 1024ull,
                "fw_cfg: the size of memory");
    check_equal(fwcfg_item(FWCFG_NB_CPUS, 2), cpus, "fw_cfg: %lu CPUs", cpus);
    check_equal(fwcfg_item(FWCFG_MAX_CPUS, 2), cpus, "fw_cfg: and no more to come");
    check_equal(fwcfg_item(0x3fff, 8), 0, "fw_cfg: an item that is not there reads as zeros");
}

static void check_memory_map(void)
{
    struct e820 entry;
    uint64_t end = 0, ram_end = 0;
    uint32_t rsdp_type = 0;
    uint32_t size = fwcfg_open("etc/e820");
    bool sorted = true;

    check(size >= sizeof(entry) && size % sizeof(entry) == 0, "fw_cfg: the file etc/e820");
    for (unsigned int i = 0; i < size / sizeof(entry); i++) {
        fwcfg_read(&entry, sizeof(entry));
        sorted &= entry.base >= end;
        end = entry.base + entry.size;
        if (entry.type == 1 && end <= UINT32_MAX)
            ram_end = end;
        if (START_RSDP >= entry.base && START_RSDP < end)
            rsdp_type = entry.type;
    }
    check(sorted, "its ranges are sorted and do not overlap");
    check_equal(ram_end, START_RAM_KIB * 1024ull, "its RAM ends where the memory does");
    check_equal(rsdp_type, 2, "the ACPI tables lie in what is reserved");
}

/* ---- The register ----------------------------------------------------------------------------
 */

static void check_register(void)
{
    outb(TEST_REGISTER, 0x12);
    check_equal(inb(TEST_REGISTER), 0x12, "the test register holds a byte");
    outw(TEST_REGISTER, 0x3456);
    check_equal(inw(TEST_REGISTER), 0x3456, "a word");
    outl(TEST_REGISTER, 0x789abcde);
    check_equal(inl(TEST_REGISTER), 0x789abcde, "and 32 bits");
    check_equal(inb(TEST_REGISTER + 3), 0x78, "which can be read apart");
    out_string(TEST_REGISTER, "abc", 3);
    check_equal(inb(TEST_REGISTER), 'c', "of a REP OUTSB it holds the last byte");
}

/* ---- Interrupt lines -------------------------------------------------------------------------
 */

static volatile unsigned int taken[256];
static unsigned int level_line;

static void count(struct frame *frame)
{
    taken[frame->vector]++;
    lapic_write(LAPIC_EOI, 0);
}

static void count_pic(struct frame *frame)
{
    taken[frame->vector]++;
    outb(PIC_MASTER, PIC_EOI);
}

/* The line goes low at the third one. */
static void count_level(struct frame *frame)
{
    if (++taken[frame->vector] == 3)
        outb(TEST_LINE(level_line), 0);
    lapic_write(LAPIC_EOI, 0);
}

static void let_interrupts_in(void)
{
    interrupts_on();
    delay_us(1000);
    interrupts_off();
}

static void pulse(unsigned int number)
{
    outb(TEST_LINE(number), 1);
    outb(TEST_LINE(number), 0);
    let_interrupts_in();
}

static void check_edge(unsigned int number, unsigned int pin)
{
    taken[VEC_IOAPIC] = 0;
    trap_handlers[VEC_IOAPIC] = count;
    ioapic_set_pin(pin, VEC_IOAPIC);
    pulse(number);
    check_equal(taken[VEC_IOAPIC], 1, "line %u is pin %u of the I/O APIC", number, pin);
    pulse(number);
    check_equal(taken[VEC_IOAPIC], 2, "and interrupts at each edge");
    ioapic_set_pin(pin, PIN_MASKED);
}

static void check_level(unsigned int number)
{
    level_line = number;
    taken[VEC_IOAPIC] = 0;
    trap_handlers[VEC_IOAPIC] = count_level;
    ioapic_set_pin(number, PIN_LEVEL | VEC_IOAPIC);
    outb(TEST_LINE(number), 1);
    let_interrupts_in();
    check_equal(taken[VEC_IOAPIC], 3, "line %u as a level interrupts until it is low", number);
    ioapic_set_pin(number, PIN_MASKED);
}

static void check_pic(unsigned int number)
{
    const uint8_t set_up[] = {VEC_PIC, 0x04, 0x01}; /* ICW2 to ICW4 */

    trap_handlers[VEC_PIC + number] = count_pic;
    outb(PIC_MASTER, 0x11);
    for (unsigned int i = 0; i < sizeof(set_up); i++)
        outb(PIC_MASTER + 1, set_up[i]);
    outb(PIC_MASTER + 1, (uint8_t) ~(1u << number));
    lapic_write(LAPIC_LINT0, LVT_EXTINT);
    outb(TEST_LINE(number), 1);
    let_interrupts_in();
    outb(TEST_LINE(number), 0);
    check_equal(taken[VEC_PIC + number], 1, "line %u is one of the 8259's too", number);
    outb(PIC_MASTER + 1, 0xff);
    lapic_write(LAPIC_LINT0, LVT_MASKED);
}

static void check_lines(void)
{
    outb(PIC_MASTER + 1, 0xff);
    outb(PIC_SLAVE + 1, 0xff);
    lapic_write(LAPIC_SVR, SVR_ENABLE | VEC_SPURIOUS);
    lapic_write(LAPIC_LINT0, LVT_MASKED);
    check_edge(14, 14);
    check_edge(23, 23);
    check_edge(0, 2);
    check_level(20);
    check_pic(5);
}

/* ---- Emulated memory -------------------------------------------------------------------------
 */

static void check_strings(void)
{
    static uint8_t from[600], to[600];
    volatile uint8_t *device = (volatile uint8_t *)TEST_MEMORY + PAGE_SIZE - 300;

    for (unsigned int i = 0; i < sizeof(from); i++)
        from[i] = (uint8_t)(i * 7 + 1);
    memcpy((void *)device, from, sizeof(from));
    memcpy(to, (const void *)device, sizeof(to));
    check(memcmp(from, to, sizeof(to)) == 0, "REP MOVSB to it and back, across a page");
    memcpy((void *)(TEST_MEMORY + 0x8000), (const void *)device, sizeof(from));
    check(memcmp(from, (const void *)(TEST_MEMORY + 0x8000), sizeof(from)) == 0,
          "and within it, compared there");
}

static void check_emulated_memory(void)
{
    volatile uint64_t *word = (volatile uint64_t *)TEST_MEMORY;
    volatile uint64_t *unaligned = (volatile uint64_t *)(TEST_MEMORY + PAGE_SIZE - 3);

    check_equal(*word, 0, "the emulated memory begins as zeros");
    *word = 0x1122334455667788;
    check_equal(*word, 0x1122334455667788, "it holds 64 bits");
    check_equal(((volatile uint16_t *)word)[1], 0x5566, "whose parts can be read");
    check_equal(__atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST), 0x1122334455667788, "LOCK XADD");
    check_equal(__atomic_exchange_n(word, 5, __ATOMIC_SEQ_CST), 0x1122334455667789, "XCHG");
    *unaligned = 0x8877665544332211;
    check_equal(*unaligned, 0x8877665544332211, "a word across pages");
    ((volatile uint8_t *)TEST_MEMORY_END)[-1] = 0x5a;
    check_equal(((volatile uint8_t *)TEST_MEMORY_END)[-1], 0x5a, "its last byte");
    check_equal(*(volatile uint8_t *)TEST_MEMORY_END, 0xff, "behind which there is nothing");
    check_strings();
}

/* ---- The whole ------------------------------------------------------------------------------ */

static void check_flush(void)
{
    static volatile uint64_t word = 0x123456789abcdef0;

    outl(TEST_FLUSH, (uint32_t)(uint64_t)&word);
    check_equal(word, 0x123456789abcdef0, "a page that was to be flushed has kept its bytes");
}

static void check_debugcon(void)
{
    static const char text[] = "# through the debugcon\n";

    check_equal(inb(DEBUGCON), DEBUGCON, "the debugcon says that it is there");
    out_string(DEBUGCON, text, sizeof(text) - 1);
}

static void check_absence(void)
{
    static const uint16_t ports[] = {FWCFG_SELECT,  FWCFG_DATA,   DEBUGCON,
                                     TEST_REGISTER, TEST_LINE(0), PORT_DEBUG_EXIT};
    volatile uint32_t *word = (volatile uint32_t *)TEST_MEMORY;

    for (unsigned int i = 0; i < ARRAY_SIZE(ports); i++) {
        outw(ports[i], 0);
        check_equal(inb(ports[i]), 0xff, "nothing is at port %xh", ports[i]);
        check_equal(inl(ports[i]), UINT32_MAX, "in any size");
    }
    *word = 0;
    check_equal(*word, UINT32_MAX, "nothing is at %lxh", (uint64_t)word);
}

void stub_main(void)
{
    if (option("absent", 0)) {
        check_absence();
        return;
    }
    check_items();
    check_memory_map();
    check_debugcon();
    check_register();
    check_lines();
    check_emulated_memory();
    check_flush();
}
