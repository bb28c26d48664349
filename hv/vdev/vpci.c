/* SPDX-License-Identifier: MIT */
/*
 * The PCI bus and its functions' configuration space.  What lies behind a BAR is the device's
 * business, but for the MSI-X table, which is here.
 *
 * Configuration space is 256 bytes and a mask of the bits that may be written: sizing a BAR,
 * read-only registers and reserved bits all follow from the mask.
 */
#include "hv/vdev/vpci.h"

#include "hv/layout.h"
#include "hv/panic.h"
#include "hv/string.h"
#include "hv/util.h"

#define REG_VENDOR       0x00
#define REG_DEVICE       0x02
#define REG_COMMAND      0x04
#define REG_STATUS       0x06
#define REG_REVISION     0x08 /* and the class above it */
#define REG_BAR0         0x10
#define REG_SUBSYSTEM    0x2c
#define REG_CAPABILITIES 0x34
#define REG_INTR_LINE    0x3c /* nothing but a note for software */
#define FIRST_CAPABILITY 0x40

#define COMMAND_MEMORY   BIT(1)
#define COMMAND_MASTER   BIT(2)
#define COMMAND_NO_INTX  BIT(10)
#define STATUS_CAP_LIST  BIT(4)
#define BAR_64BIT        0x4
#define BAR_PREFETCHABLE 0x8
#define CAP_MSIX         0x11
#define MSIX_CONTROL     2 /* in the capability */
#define MSIX_ENABLE      BIT(15)
#define MSIX_MASK_ALL    BIT(14)
#define ENTRY_CONTROL    3 /* a word of a table's entry */
#define ENTRY_MASKED     1u

#define ADDRESS_ENABLE BIT(31)

/* QEMU's generic host bridge: every system that knows it expects nothing special of it. */
static const struct vpci_id bridge_id = {
    .vendor = 0x1b36, .device = 0x0008, .class = 0x060000, .subsystem_vendor = 0x1af4};

/* ---- Registers of configuration space ------------------------------------------------------- */

static uint16_t get16(const struct vpci_function *function, unsigned int reg)
{
    return (uint16_t)(function->config[reg] | function->config[reg + 1] << 8);
}

static void put(uint8_t *bytes, uint64_t value, unsigned int size)
{
    memcpy(bytes, &value, size);
}

static uint16_t command(const struct vpci_function *function)
{
    return get16(function, REG_COMMAND);
}

bool vpci_is_master(const struct vpci_function *function)
{
    return command(function) & COMMAND_MASTER;
}

/* ---- MSI-X ---------------------------------------------------------------------------------- */

/*
 * SDM, "Message Signalled Interrupts".  Redirected ones go to one of the destinations.  The
 * destination mode counts without redirection too, as systems expect and chipsets do.
 */
bool vpci_decode_message(uint64_t address, uint32_t data, struct apic_message *message)
{
    uint8_t mode = BITS(data, 10, 8);
    bool redirected = address & BIT(3);

    if (address >> 20 != LAYOUT_LAPIC_BASE >> 20 || mode == 3 || mode == APIC_DELIVER_STARTUP)
        return false;
    *message = (struct apic_message){
        .destination = (uint32_t)BITS(address, 19, 12),
        .vector = (uint8_t)data,
        .delivery_mode = redirected && mode == APIC_DELIVER_FIXED ? APIC_DELIVER_LOWEST : mode,
        .shorthand = APIC_TO_DESTINATION,
        .logical = (address & BIT(2)) != 0,
        .level = mode <= APIC_DELIVER_LOWEST && (data & BIT(15)),
    };
    return true;
}

static bool may_send(const struct vpci_function *function)
{
    uint16_t control = get16(function, function->msix + MSIX_CONTROL);

    return (control & (MSIX_ENABLE | MSIX_MASK_ALL)) == MSIX_ENABLE && vpci_is_master(function);
}

static void send(struct vpci_function *function, unsigned int vector)
{
    const uint32_t *entry = function->entries[vector];
    struct apic_message message;

    if (vpci_decode_message(entry[0] | (uint64_t)entry[1] << 32, entry[2], &message))
        function->bus->ops.deliver(function->bus->ops.ctx, &message);
}

/* Whatever may be sent now, is.  A message that is none goes where nothing listens. */
static void send_pending(struct vpci_function *function)
{
    if (!function->pending || !may_send(function))
        return;
    for (unsigned int i = 0; i < function->vectors; i++) {
        if (!(function->pending & BIT(i)) || (function->entries[i][ENTRY_CONTROL] & ENTRY_MASKED))
            continue;
        function->pending &= ~(uint32_t)BIT(i);
        send(function, i);
    }
}

void vpci_interrupt(struct vpci_function *function, unsigned int vector)
{
    if (vector >= function->vectors)
        return;
    spin_lock(&function->lock);
    if (get16(function, function->msix + MSIX_CONTROL) & MSIX_ENABLE) {
        function->pending |= (uint32_t)BIT(vector);
        send_pending(function);
    }
    spin_unlock(&function->lock);
}

void vpci_forget_interrupts(struct vpci_function *function)
{
    spin_lock(&function->lock);
    function->pending = 0;
    spin_unlock(&function->lock);
}

/* The table has words; wider accesses are two, and what is not aligned is no access. */
static void write_entry(struct vpci_function *function, uint64_t offset, uint32_t value)
{
    unsigned int word = offset / 4 % 4;

    if (word == ENTRY_CONTROL)
        value &= ENTRY_MASKED;
    else if (word == 0)
        value &= ~3u;
    function->entries[offset / 16][word] = value;
}

static bool has_msix(const struct vpci_function *function, unsigned int bar)
{
    return function->msix && function->msix_bar == bar;
}

static bool in_table(const struct vpci_function *function, unsigned int bar, uint64_t offset)
{
    return has_msix(function, bar) && offset - function->table < function->vectors * 16u;
}

static bool in_pending_array(const struct vpci_function *function, unsigned int bar,
                             uint64_t offset)
{
    return has_msix(function, bar) && offset - function->pending_array < 8;
}

static void write_table(struct vpci_function *function, uint64_t offset, uint8_t size,
                        uint64_t value)
{
    if (size < 4 || offset % size)
        return;
    spin_lock(&function->lock);
    for (unsigned int i = 0; i < size; i += 4)
        write_entry(function, offset + i, (uint32_t)(value >> (8 * i)));
    send_pending(function);
    spin_unlock(&function->lock);
}

static uint64_t read_table(const struct vpci_function *function, uint64_t offset, uint8_t size)
{
    uint64_t value = 0;

    if (size < 4 || offset % size)
        return ~0ull;
    memcpy(&value, (const uint8_t *)function->entries + offset, size);
    return value;
}

/* ---- The BARs ------------------------------------------------------------------------------- */

static uint64_t bar_base(const struct vpci_function *function, unsigned int number)
{
    uint64_t base = 0;

    memcpy(&base, &function->config[REG_BAR0 + 4 * number], function->bars[number].wide ? 8 : 4);
    return base & ~0xfull;
}

/* At each write to configuration space: so an access passes by no BAR that is off. */
static void find_places(struct vpci *pci)
{
    pci->place_count = 0;
    for (unsigned int i = 0; i < VPCI_SLOTS * VPCI_BARS; i++) {
        struct vpci_function *function = pci->slots[i / VPCI_BARS];
        unsigned int number = i % VPCI_BARS;

        if (function && function->bars[number].size && (command(function) & COMMAND_MEMORY))
            pci->places[pci->place_count++] = (struct vpci_place){
                function, number, bar_base(function, number), function->bars[number].size};
    }
}

/* Whose BAR an address of the window is in, or a null pointer; *offset is set to the place in it.
 */
static const struct vpci_place *find_bar(const struct vpci *pci, uint64_t *offset)
{
    uint64_t address = LAYOUT_PCI_BASE + *offset;

    for (unsigned int i = 0; i < pci->place_count; i++) {
        *offset = address - pci->places[i].base;
        if (*offset < pci->places[i].size)
            return &pci->places[i];
    }
    return NULL;
}

static uint64_t bar_read(struct vpci_function *function, unsigned int number, uint64_t offset,
                         uint8_t size)
{
    if (in_table(function, number, offset))
        return read_table(function, offset - function->table, size);
    if (in_pending_array(function, number, offset))
        return (uint64_t)function->pending >> (8 * (offset - function->pending_array));
    return function->bars[number].read(function->dev, offset, size);
}

static void bar_write(struct vpci_function *function, unsigned int number, uint64_t offset,
                      uint8_t size, uint64_t value)
{
    if (in_pending_array(function, number, offset))
        return;
    if (in_table(function, number, offset))
        write_table(function, offset - function->table, size, value);
    else
        function->bars[number].write(function->dev, offset, size, value);
}

static uint64_t window_read(void *dev, uint64_t offset, uint8_t size)
{
    const struct vpci_place *place = find_bar(dev, &offset);

    return place ? bar_read(place->function, place->number, offset, size) : ~0ull;
}

static void window_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    const struct vpci_place *place = find_bar(dev, &offset);

    if (place)
        bar_write(place->function, place->number, offset, size, value);
}

struct mmio_range vpci_window(struct vpci *pci)
{
    return (struct mmio_range){.base = LAYOUT_PCI_BASE,
                               .size = LAYOUT_PCI_SIZE,
                               .dev = pci,
                               .read = window_read,
                               .write = window_write};
}

/* ---- Memory behind BARs --------------------------------------------------------------------- */

/* Both are as large as they are aligned. */
static bool overlap(const struct vpci_place *a, const struct vpci_place *b)
{
    return !((a->base ^ b->base) & ~(MAX(a->size, b->size) - 1));
}

/* Is it seen: whole in the window, and beside all others? */
static bool is_clear(const struct vpci *pci, const struct vpci_place *place)
{
    if (place->base < LAYOUT_PCI_BASE ||
        place->base - LAYOUT_PCI_BASE > LAYOUT_PCI_SIZE - place->size)
        return false;
    for (unsigned int i = 0; i < pci->place_count; i++)
        if (&pci->places[i] != place && overlap(&pci->places[i], place))
            return false;
    return true;
}

static uint64_t seen_at(const struct vpci *pci, const struct vpci_function *function,
                        unsigned int number)
{
    for (unsigned int i = 0; i < pci->place_count; i++) {
        const struct vpci_place *place = &pci->places[i];

        if (place->function == function && place->number == number)
            return is_clear(pci, place) ? place->base : 0;
    }
    return 0;
}

/* Any BAR may have been moved over any other, or away from it. */
static void move_memory(struct vpci *pci)
{
    for (unsigned int i = 0; i < VPCI_SLOTS * VPCI_BARS; i++) {
        struct vpci_function *function = pci->slots[i / VPCI_BARS];
        unsigned int number = i % VPCI_BARS;
        uint64_t address;

        if (!function || !function->bars[number].moved)
            continue;
        address = seen_at(pci, function, number);
        if (address == function->seen_at[number])
            continue;
        function->seen_at[number] = address;
        function->bars[number].moved(function->dev, address);
    }
}

/* ---- The way to BARs through configuration space --------------------------------------------- */

#define WINDOW_BAR    4
#define WINDOW_OFFSET 8
#define WINDOW_SIZE   12
#define WINDOW_DATA   16

/* Where it leads. */
struct way {
    unsigned int bar;
    uint32_t offset, size;
};

static bool find_way(const struct vpci_function *function, struct way *way)
{
    const uint8_t *capability = &function->config[function->window];

    way->bar = capability[WINDOW_BAR];
    memcpy(&way->offset, capability + WINDOW_OFFSET, 4);
    memcpy(&way->size, capability + WINDOW_SIZE, 4);
    return way->bar < VPCI_BARS && way->offset < function->bars[way->bar].size &&
           (way->size == 1 || way->size == 2 || way->size == 4) && way->offset % way->size == 0;
}

/* Does an access to configuration space go through it? */
static bool passes(const struct vpci_function *function, uint64_t reg, uint8_t size)
{
    uint64_t data = function->window + WINDOW_DATA;

    return function->window && reg < data + 4 && reg + size > data;
}

static void look_through(struct vpci_function *function)
{
    uint32_t value = 0;
    struct way way;

    if (find_way(function, &way))
        value = (uint32_t)(bar_read(function, way.bar, way.offset, (uint8_t)way.size) &
                           (~0ull >> (64 - 8 * way.size)));
    put(&function->config[function->window + WINDOW_DATA], value, 4);
}

static void reach_through(struct vpci_function *function)
{
    uint32_t value;
    struct way way;

    memcpy(&value, &function->config[function->window + WINDOW_DATA], 4);
    if (find_way(function, &way))
        bar_write(function, way.bar, way.offset, (uint8_t)way.size,
                  value & (~0ull >> (64 - 8 * way.size)));
}

void vpci_open_window(struct vpci_function *function, uint8_t capability)
{
    function->window = capability;
    function->writable[capability + WINDOW_BAR] = 0xff;
    memset(&function->writable[capability + WINDOW_OFFSET], 0xff, 12);
}

/* ---- Configuration accesses ----------------------------------------------------------------- */

/* Function 0 of a device on bus 0; the address is ECAM's. */
static struct vpci_function *find_function(struct vpci *pci, uint64_t address)
{
    uint64_t slot = address >> 15;

    return slot < VPCI_SLOTS && BITS(address, 14, 12) == 0 ? pci->slots[slot] : NULL;
}

/* Beyond the 256 bytes, in ECAM, there is nothing: an empty list of extended capabilities. */
static uint64_t config_read(struct vpci *pci, uint64_t address, uint8_t size)
{
    struct vpci_function *function = find_function(pci, address);
    uint64_t reg = address & 0xfff, value = 0;

    if (!function)
        return ~0ull;
    if (passes(function, reg, size))
        look_through(function);
    for (unsigned int i = 0; i < size && reg + i < VPCI_CONFIG_SIZE; i++)
        value |= (uint64_t)function->config[reg + i] << (8 * i);
    return value;
}

static void config_write(struct vpci *pci, uint64_t address, uint8_t size, uint64_t value)
{
    struct vpci_function *function = find_function(pci, address);
    uint64_t reg = address & 0xfff;

    if (!function)
        return;
    spin_lock(&function->lock);
    for (unsigned int i = 0; i < size && reg + i < VPCI_CONFIG_SIZE; i++) {
        uint8_t mask = function->writable[reg + i], byte = (uint8_t)(value >> (8 * i));

        function->config[reg + i] = (uint8_t)((function->config[reg + i] & ~mask) | (byte & mask));
    }
    send_pending(function);
    spin_unlock(&function->lock);
    if (passes(function, reg, size))
        reach_through(function);
    find_places(pci);
    move_memory(pci);
}

static uint64_t ecam_read(void *dev, uint64_t offset, uint8_t size)
{
    return config_read(dev, offset, size);
}

static void ecam_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    config_write(dev, offset, size, value);
}

struct mmio_range vpci_ecam(struct vpci *pci)
{
    return (struct mmio_range){.base = LAYOUT_ECAM_BASE,
                               .size = LAYOUT_ECAM_SIZE,
                               .dev = pci,
                               .read = ecam_read,
                               .write = ecam_write};
}

static uint32_t address_read(void *dev, uint16_t offset, uint8_t size)
{
    const struct vpci *pci = dev;

    return size == 4 ? pci->address : ~0u;
}

static void address_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vpci *pci = dev;

    if (size == 4)
        pci->address = value & ~(uint32_t)(BITS(~0u, 30, 24) << 24 | 3);
}

/* CONFIG_ADDRESS as ECAM would have it. */
static uint64_t data_address(const struct vpci *pci, uint16_t offset)
{
    return BITS(pci->address, 23, 8) << 12 | BITS(pci->address, 7, 0) | offset;
}

static uint32_t data_read(void *dev, uint16_t offset, uint8_t size)
{
    struct vpci *pci = dev;

    if (!(pci->address & ADDRESS_ENABLE) || offset + size > 4)
        return ~0u;
    return (uint32_t)config_read(pci, data_address(pci, offset), size);
}

static void data_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vpci *pci = dev;

    if ((pci->address & ADDRESS_ENABLE) && offset + size <= 4)
        config_write(pci, data_address(pci, offset), size, value);
}

/* CF9h lies between them, and is the reset register. */
void vpci_ports(struct vpci *pci, struct pio_range ranges[VPCI_PORT_RANGES])
{
    ranges[0] = (struct pio_range){.base = PORT_PCI_ADDR,
                                   .count = 1,
                                   .dev = pci,
                                   .read = address_read,
                                   .write = address_write};
    ranges[1] = (struct pio_range){
        .base = PORT_PCI_DATA, .count = 4, .dev = pci, .read = data_read, .write = data_write};
}

/* ---- Making them ---------------------------------------------------------------------------- */

void vpci_function_init(struct vpci_function *function, const struct vpci_id *id)
{
    uint8_t *config = function->config;

    *function =
        (struct vpci_function){.last_capability = REG_CAPABILITIES, .next_free = FIRST_CAPABILITY};
    put(config + REG_VENDOR, id->vendor, 2);
    put(config + REG_DEVICE, id->device, 2);
    put(config + REG_REVISION, id->revision | id->class << 8, 4);
    put(config + REG_SUBSYSTEM, id->subsystem_vendor | (uint32_t)id->subsystem << 16, 4);
    function->writable[REG_INTR_LINE] = 0xff;
}

void vpci_set_bar(struct vpci_function *function, unsigned int number, const struct vpci_bar *bar)
{
    unsigned int reg = REG_BAR0 + 4 * number, bytes = bar->wide ? 8 : 4;

    ASSERT(number + bytes / 4 <= VPCI_BARS && bar->size >= PAGE_SIZE);
    function->bars[number] = *bar;
    put(function->config + reg,
        (bar->wide ? BAR_64BIT : 0) | (bar->prefetchable ? BAR_PREFETCHABLE : 0), bytes);
    put(function->writable + reg, ~(bar->size - 1), bytes);
    put(function->writable + REG_COMMAND, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX, 2);
}

uint8_t vpci_add_capability(struct vpci_function *function, uint8_t id, const void *body,
                            uint8_t size)
{
    uint8_t at = function->next_free;

    ASSERT(at + 2u + size <= VPCI_CONFIG_SIZE);
    function->config[function->last_capability] = at;
    function->config[at] = id;
    memcpy(&function->config[at + 2], body, size);
    function->config[REG_STATUS] |= STATUS_CAP_LIST;
    function->last_capability = (uint8_t)(at + 1);
    function->next_free = (uint8_t)((at + 2u + size + 3) & ~3u);
    return at;
}

void vpci_add_msix(struct vpci_function *function, unsigned int vectors, unsigned int bar,
                   uint32_t table, uint32_t pending_array)
{
    uint8_t body[10];

    ASSERT(vectors <= VPCI_MAX_VECTORS);
    put(body, vectors - 1, 2);
    put(body + 2, table | bar, 4);
    put(body + 6, pending_array | bar, 4);
    function->vectors = (uint8_t)vectors;
    function->msix_bar = (uint8_t)bar;
    function->table = table;
    function->pending_array = pending_array;
    function->msix = vpci_add_capability(function, CAP_MSIX, body, sizeof(body));
    put(&function->writable[function->msix + MSIX_CONTROL], MSIX_ENABLE | MSIX_MASK_ALL, 2);
    for (unsigned int i = 0; i < vectors; i++)
        function->entries[i][ENTRY_CONTROL] = ENTRY_MASKED;
}

void vpci_plug(struct vpci *pci, unsigned int slot, struct vpci_function *function)
{
    ASSERT(slot < VPCI_SLOTS && !pci->slots[slot]);
    function->bus = pci;
    pci->slots[slot] = function;
}

void vpci_init(struct vpci *pci, const struct vpci_ops *ops)
{
    *pci = (struct vpci){.ops = *ops};
    vpci_function_init(&pci->bridge, &bridge_id);
    vpci_plug(pci, 0, &pci->bridge);
}
