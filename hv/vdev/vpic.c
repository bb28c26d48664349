/* SPDX-License-Identifier: MIT */
/* The 8259A pair (see vpic.h).  Knows nothing of the local APIC: who listens to INTR is the owner's
 * matter. */
#include "hv/vdev/vpic.h"

#include "hv/util.h"

#define PORT_MASTER 0x20
#define PORT_SLAVE  0xa0
#define PORT_ELCR   0x4d0

#define REG_COMMAND 0
#define REG_DATA    1

#define ICW1_IC4  0x01
#define ICW1_SNGL 0x02
#define ICW1_INIT 0x10
#define ICW2_BASE 0xf8
#define ICW4_AEOI 0x02
#define ICW4_SFNM 0x10

#define OCW2_LEVEL(value) ((value)&7)
#define OCW3              0x08
#define OCW3_RIS          0x01
#define OCW3_RR           0x02
#define OCW3_P            0x04
#define OCW3_SMM          0x20
#define OCW3_ESMM         0x40

/* Bits 7 to 5 of OCW2. */
enum ocw2_command {
    OCW2_ROTATE_AUTO_EOI_OFF,
    OCW2_EOI,
    OCW2_NOP,
    OCW2_EOI_SPECIFIC,
    OCW2_ROTATE_AUTO_EOI_ON,
    OCW2_EOI_ROTATE,
    OCW2_SET_PRIORITY,
    OCW2_EOI_SPECIFIC_ROTATE,
};

#define POLL_INTERRUPT 0x80

#define CASCADE_IR  2
#define SPURIOUS_IR 7
#define NO_IR       8

/* The timer, the keyboard, the cascade, the RTC and the FPU are edges by construction. */
#define ELCR1_MASK 0xf8
#define ELCR2_MASK 0xde

static uint8_t bit(unsigned int ir)
{
    return (uint8_t)(1u << ir);
}

/* How high the best of `irs` ranks: 0 is the highest, NO_IR stands for none. */
static unsigned int rank(const struct vpic_chip *chip, uint8_t irs)
{
    unsigned int first = (chip->lowest + 1u) & 7;
    uint8_t rotated = (uint8_t)(irs * 0x101u >> first);

    return rotated ? (unsigned int)__builtin_ctz(rotated) : NO_IR;
}

static unsigned int ranked(const struct vpic_chip *chip, unsigned int place)
{
    return (chip->lowest + 1u + place) & 7;
}

/*
 * The slave's output is taken as a level: it stays up while the slave has more to deliver, and
 * would otherwise have to be pulsed at each acknowledge as the chip does.
 */
static uint8_t requests(const struct vpic_chip *chip)
{
    uint8_t level = chip->elcr | chip->cascade;

    return (uint8_t)((chip->edges & ~level) | (chip->lines & level));
}

/*
 * The request that outranks everything in service, or NO_IR.  In special fully nested mode the
 * cascade may interrupt its own service: the slave has found something more urgent.
 */
static unsigned int pending(const struct vpic_chip *chip)
{
    uint8_t in_service = chip->isr;

    if (chip->expect != VPIC_EXPECT_OCW1)
        return NO_IR; /* in the middle of its initialisation */
    if (chip->special_mask)
        in_service &= (uint8_t)~chip->imr;

    unsigned int place = rank(chip, requests(chip) & (uint8_t)~chip->imr);
    unsigned int limit = rank(chip, in_service);
    if (place == NO_IR)
        return NO_IR;
    if (chip->special_nested && bit(ranked(chip, place)) == chip->cascade)
        limit++;
    return place < limit ? ranked(chip, place) : NO_IR;
}

static void set_input(struct vpic_chip *chip, unsigned int ir, bool level)
{
    if (level) {
        chip->edges |= bit(ir) & (uint8_t)~chip->lines;
        chip->lines |= bit(ir);
    } else {
        chip->edges &= (uint8_t)~bit(ir);
        chip->lines &= (uint8_t)~bit(ir);
    }
}

/* Carries a change of either chip through to INTR. */
static void update(struct vpic *vpic)
{
    set_input(&vpic->chip[0], CASCADE_IR, pending(&vpic->chip[1]) != NO_IR);

    bool level = pending(&vpic->chip[0]) != NO_IR;
    if (vpic->level != level) {
        vpic->level = level;
        vpic->intr.set(vpic->intr.ctx, level);
    }
}

/* Moves the best request into service and returns its input. */
static unsigned int acknowledge(struct vpic_chip *chip)
{
    unsigned int ir = pending(chip);

    if (ir == NO_IR)
        return NO_IR;
    chip->edges &= (uint8_t)~bit(ir);
    if (!chip->auto_eoi)
        chip->isr |= bit(ir);
    else if (chip->rotate_on_auto_eoi)
        chip->lowest = (uint8_t)ir;
    return ir;
}

static uint8_t vector(const struct vpic_chip *chip, unsigned int ir)
{
    return chip->base | (uint8_t)(ir == NO_IR ? SPURIOUS_IR : ir);
}

/* ICW1 starts over: everything but the ELCR and the inputs themselves. */
static void start_init(struct vpic_chip *chip, uint8_t icw1)
{
    *chip = (struct vpic_chip){
        .lines = chip->lines,
        .elcr = chip->elcr,
        .cascade = chip->cascade,
        .base = chip->base,
        .lowest = 7,
        .expect = VPIC_EXPECT_ICW2,
        .single = icw1 & ICW1_SNGL,
        .need_icw4 = icw1 & ICW1_IC4,
    };
}

/* Ends the service of `ir`, or of the highest in service; NO_IR if there was none. */
static unsigned int end_of_interrupt(struct vpic_chip *chip, bool specific, unsigned int ir)
{
    if (!specific) {
        uint8_t in_service = chip->special_mask ? chip->isr & (uint8_t)~chip->imr : chip->isr;
        unsigned int place = rank(chip, in_service);
        if (place == NO_IR)
            return NO_IR;
        ir = ranked(chip, place);
    }
    chip->isr &= (uint8_t)~bit(ir);
    return ir;
}

static void end_and_rotate(struct vpic_chip *chip, bool specific, unsigned int ir)
{
    ir = end_of_interrupt(chip, specific, ir);
    if (ir != NO_IR)
        chip->lowest = (uint8_t)ir;
}

static void write_ocw2(struct vpic_chip *chip, uint8_t value)
{
    unsigned int ir = OCW2_LEVEL(value);

    switch ((enum ocw2_command)(value >> 5)) {
    case OCW2_ROTATE_AUTO_EOI_OFF:
    case OCW2_ROTATE_AUTO_EOI_ON:
        chip->rotate_on_auto_eoi = value >> 5 == OCW2_ROTATE_AUTO_EOI_ON;
        break;
    case OCW2_EOI:
    case OCW2_EOI_SPECIFIC:
        end_of_interrupt(chip, value >> 5 == OCW2_EOI_SPECIFIC, ir);
        break;
    case OCW2_EOI_ROTATE:
    case OCW2_EOI_SPECIFIC_ROTATE:
        end_and_rotate(chip, value >> 5 == OCW2_EOI_SPECIFIC_ROTATE, ir);
        break;
    case OCW2_SET_PRIORITY:
        chip->lowest = (uint8_t)ir;
        break;
    case OCW2_NOP:
        break;
    }
}

static void write_ocw3(struct vpic_chip *chip, uint8_t value)
{
    chip->poll = value & OCW3_P;
    if (value & OCW3_RR)
        chip->read_isr = value & OCW3_RIS;
    if (value & OCW3_ESMM)
        chip->special_mask = value & OCW3_SMM;
}

static void write_command(struct vpic_chip *chip, uint8_t value)
{
    if (value & ICW1_INIT)
        start_init(chip, value);
    else if (value & OCW3)
        write_ocw3(chip, value);
    else
        write_ocw2(chip, value);
}

static enum vpic_expect after_icw3(const struct vpic_chip *chip)
{
    return chip->need_icw4 ? VPIC_EXPECT_ICW4 : VPIC_EXPECT_OCW1;
}

static void write_data(struct vpic_chip *chip, uint8_t value)
{
    switch ((enum vpic_expect)chip->expect) {
    case VPIC_EXPECT_OCW1:
        chip->imr = value;
        break;
    case VPIC_EXPECT_ICW2:
        chip->base = value & ICW2_BASE;
        chip->expect = (uint8_t)(chip->single ? after_icw3(chip) : VPIC_EXPECT_ICW3);
        break;
    case VPIC_EXPECT_ICW3:
        chip->expect = (uint8_t)after_icw3(chip);
        break;
    case VPIC_EXPECT_ICW4:
        chip->auto_eoi = value & ICW4_AEOI;
        chip->special_nested = value & ICW4_SFNM;
        chip->expect = VPIC_EXPECT_OCW1;
        break;
    }
}

static uint8_t read_poll(struct vpic *vpic, struct vpic_chip *chip)
{
    unsigned int ir = acknowledge(chip);

    chip->poll = false;
    update(vpic);
    return ir == NO_IR ? SPURIOUS_IR : (uint8_t)(POLL_INTERRUPT | ir);
}

static uint32_t chip_read(struct vpic *vpic, struct vpic_chip *chip, uint16_t offset, uint8_t size)
{
    if (size != 1 || offset > REG_DATA)
        return ~0u;
    if (chip->poll)
        return read_poll(vpic, chip);
    if (offset == REG_DATA)
        return chip->imr;
    return chip->read_isr ? chip->isr : requests(chip);
}

static void chip_write(struct vpic *vpic, struct vpic_chip *chip, uint16_t offset, uint8_t size,
                       uint32_t value)
{
    if (size != 1 || offset > REG_DATA)
        return;
    if (offset == REG_COMMAND)
        write_command(chip, (uint8_t)value);
    else
        write_data(chip, (uint8_t)value);
    update(vpic);
}

static uint32_t master_read(void *dev, uint16_t offset, uint8_t size)
{
    struct vpic *vpic = dev;

    return chip_read(vpic, &vpic->chip[0], offset, size);
}

static void master_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vpic *vpic = dev;

    chip_write(vpic, &vpic->chip[0], offset, size, value);
}

static uint32_t slave_read(void *dev, uint16_t offset, uint8_t size)
{
    struct vpic *vpic = dev;

    return chip_read(vpic, &vpic->chip[1], offset, size);
}

static void slave_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vpic *vpic = dev;

    chip_write(vpic, &vpic->chip[1], offset, size, value);
}

static uint32_t elcr_read(void *dev, uint16_t offset, uint8_t size)
{
    const struct vpic *vpic = dev;

    return size == 1 && offset < 2 ? vpic->chip[offset].elcr : ~0u;
}

static void elcr_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vpic *vpic = dev;

    if (size != 1 || offset >= 2)
        return;
    vpic->chip[offset].elcr = (uint8_t)value & (offset == 0 ? ELCR1_MASK : ELCR2_MASK);
    update(vpic);
}

void vpic_init(struct vpic *vpic, const struct vpic_intr *intr)
{
    *vpic = (struct vpic){
        .chip = {{.imr = 0xff, .lowest = 7, .cascade = bit(CASCADE_IR)},
                 {.imr = 0xff, .lowest = 7}},
        .intr = *intr,
    };
}

void vpic_ports(struct vpic *vpic, struct pio_range ranges[VPIC_PORT_RANGES])
{
    ranges[0] = (struct pio_range){
        .base = PORT_MASTER, .count = 2, .dev = vpic, .read = master_read, .write = master_write};
    ranges[1] = (struct pio_range){
        .base = PORT_SLAVE, .count = 2, .dev = vpic, .read = slave_read, .write = slave_write};
    ranges[2] = (struct pio_range){
        .base = PORT_ELCR, .count = 2, .dev = vpic, .read = elcr_read, .write = elcr_write};
}

void vpic_set_irq(struct vpic *vpic, unsigned int irq, bool level)
{
    if (irq >= VPIC_IRQS || irq == CASCADE_IR)
        return;
    set_input(&vpic->chip[irq / 8], irq % 8, level);
    update(vpic);
}

uint8_t vpic_ack(struct vpic *vpic)
{
    struct vpic_chip *chip = &vpic->chip[0];
    unsigned int ir = acknowledge(chip);

    if (ir == CASCADE_IR) {
        chip = &vpic->chip[1];
        ir = acknowledge(chip);
    }
    update(vpic);
    return vector(chip, ir);
}
