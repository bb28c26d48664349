/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables that a guest finds: RSDP, XSDT, FADT, FACS, MADT, MCFG, SPCR and the DSDT, which
 * dsdt.asl becomes at build time.  There is no RSDT (an operating system that knows ACPI 2.0 does
 * not ask for it).  Layouts are those of the ACPI specification 6.0; SPCR is revision 2, MCFG that
 * of the PCI Firmware Specification 3.0.
 */
#include "hv/errno.h"
#include "hv/load/loader.h"
#include "hv/string.h"

extern const unsigned char dsdt_aml[];
extern const unsigned int dsdt_aml_size;

#define FACS_BASE   (ACPI_RSDP + 0x40) /* must be 64-byte aligned */
#define TABLES_BASE (ACPI_RSDP + 0x80)
#define TABLES_END  ((uint64_t)LAYOUT_ACPI_BASE + LAYOUT_ACPI_SIZE)

#define OEM_ID       "MICA  "
#define OEM_TABLE_ID "MICA    "
#define CREATOR_ID   "MICA"

struct acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} PACKED;

STATIC_ASSERT(sizeof(struct acpi_header) == 36, "ACPI, System Description Table Header");

/* Generic Address Structure */
struct acpi_address {
    uint8_t space;
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t access_size;
    uint64_t address;
} PACKED;

#define ADDRESS_IO   1
#define ACCESS_BYTE  1
#define ACCESS_WORD  2
#define ACCESS_DWORD 3

struct acpi_rsdp {
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes */
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
    uint8_t extended_checksum; /* of all */
    uint8_t reserved[3];
} PACKED;

STATIC_ASSERT(sizeof(struct acpi_rsdp) == 36, "ACPI, Root System Description Pointer");

struct acpi_facs {
    char signature[4];
    uint32_t length;
    uint32_t hardware_signature;
    uint32_t waking_vector;
    uint32_t global_lock;
    uint32_t flags;
    uint64_t x_waking_vector;
    uint8_t version;
    uint8_t reserved[31];
} PACKED;

STATIC_ASSERT(sizeof(struct acpi_facs) == 64, "ACPI, Firmware ACPI Control Structure");

struct acpi_fadt {
    struct acpi_header header;
    uint32_t firmware_ctrl;
    uint32_t dsdt;
    uint8_t reserved_44;
    uint8_t preferred_pm_profile;
    uint16_t sci_int;
    uint32_t smi_cmd;
    uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
    uint32_t pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk;
    uint32_t pm2_cnt_blk, pm_tmr_blk, gpe0_blk, gpe1_blk;
    uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
    uint8_t gpe0_blk_len, gpe1_blk_len, gpe1_base, cst_cnt;
    uint16_t p_lvl2_lat, p_lvl3_lat;
    uint16_t flush_size, flush_stride;
    uint8_t duty_offset, duty_width;
    uint8_t day_alrm, mon_alrm, century;
    uint16_t iapc_boot_arch;
    uint8_t reserved_111;
    uint32_t flags;
    struct acpi_address reset_reg;
    uint8_t reset_value;
    uint16_t arm_boot_arch;
    uint8_t minor_version;
    uint64_t x_firmware_ctrl, x_dsdt;
    struct acpi_address x_pm1a_evt_blk, x_pm1b_evt_blk, x_pm1a_cnt_blk, x_pm1b_cnt_blk;
    struct acpi_address x_pm2_cnt_blk, x_pm_tmr_blk, x_gpe0_blk, x_gpe1_blk;
    struct acpi_address sleep_control_reg, sleep_status_reg;
    char hypervisor_vendor[8];
} PACKED;

STATIC_ASSERT(sizeof(struct acpi_fadt) == 276, "ACPI, Fixed ACPI Description Table, revision 6");
STATIC_ASSERT(offsetof(struct acpi_fadt, sci_int) == 46, "SCI_INT");
STATIC_ASSERT(offsetof(struct acpi_fadt, pm_tmr_blk) == 76, "PM_TMR_BLK");
STATIC_ASSERT(offsetof(struct acpi_fadt, iapc_boot_arch) == 109, "IAPC_BOOT_ARCH");
STATIC_ASSERT(offsetof(struct acpi_fadt, reset_reg) == 116, "RESET_REG");
STATIC_ASSERT(offsetof(struct acpi_fadt, x_dsdt) == 140, "X_DSDT");
STATIC_ASSERT(offsetof(struct acpi_fadt, x_pm_tmr_blk) == 208, "X_PM_TMR_BLK");

#define FADT_WBINVD        BIT(0)
#define FADT_PROC_C1       BIT(2) /* HLT on all CPUs */
#define FADT_PWR_BUTTON    BIT(4) /* no fixed power button; clear: there is one */
#define FADT_SLP_BUTTON    BIT(5) /* no fixed sleep button */
#define FADT_FIX_RTC       BIT(6) /* no RTC wake status in PM1 */
#define FADT_TMR_VAL_EXT   BIT(8) /* the PM timer has 32 bits */
#define FADT_RESET_REG_SUP BIT(10)
#define FADT_HEADLESS      BIT(12)

#define BOOT_LEGACY_DEVICES BIT(0) /* COM1 */
#define BOOT_8042           BIT(1)
#define BOOT_NO_VGA         BIT(2)

#define P_LVL2_NONE 0x0fff /* latencies that mean: no such state */
#define P_LVL3_NONE 0xffff

struct acpi_madt {
    struct acpi_header header;
    uint32_t lapic_address;
    uint32_t flags;
    uint8_t entries[LAYOUT_MAX_VCPUS * 8 + 12 + 2 * 10 + 6];
} PACKED;

#define MADT_PCAT_COMPAT BIT(0) /* there are 8259s */

struct madt_lapic {
    uint8_t type, length; /* 0, 8 */
    uint8_t processor_uid;
    uint8_t apic_id;
    uint32_t flags; /* bit 0: enabled */
} PACKED;

struct madt_ioapic {
    uint8_t type, length; /* 1, 12 */
    uint8_t id;
    uint8_t reserved;
    uint32_t address;
    uint32_t gsi_base;
} PACKED;

struct madt_override {
    uint8_t type, length; /* 2, 10 */
    uint8_t bus, source;
    uint32_t gsi;
    uint16_t flags;
} PACKED;

#define MPS_CONFORMING 0x0
#define MPS_HIGH_LEVEL 0xd /* active high, level-triggered */

struct madt_lapic_nmi {
    uint8_t type, length;  /* 4, 6 */
    uint8_t processor_uid; /* 0xff: all */
    uint16_t flags;
    uint8_t lint;
} PACKED;

struct acpi_spcr {
    struct acpi_header header;
    uint8_t interface_type; /* 0: 16550 */
    uint8_t reserved_37[3];
    struct acpi_address base;
    uint8_t interrupt_type; /* bit 0: 8259, bit 1: I/O APIC */
    uint8_t irq;
    uint32_t gsi;
    uint8_t baud_rate; /* 7: 115200 */
    uint8_t parity, stop_bits, flow_control;
    uint8_t terminal_type; /* 3: ANSI */
    uint8_t language;
    uint16_t pci_device, pci_vendor; /* 0xffff: not on PCI */
    uint8_t pci_bus, pci_slot, pci_function;
    uint32_t pci_flags;
    uint8_t pci_segment;
    uint32_t reserved_76;
} PACKED;

STATIC_ASSERT(sizeof(struct acpi_spcr) == 80, "Serial Port Console Redirection Table, revision 2");

struct acpi_mcfg {
    struct acpi_header header;
    uint64_t reserved_36;
    uint64_t base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved_56;
} PACKED;

STATIC_ASSERT(sizeof(struct acpi_mcfg) == 60, "MCFG with one segment");

#define XSDT_MAX 4

struct acpi_xsdt {
    struct acpi_header header;
    uint64_t tables[XSDT_MAX];
} PACKED;

/* Tables are laid one after the other. */
struct builder {
    struct loader *loader;
    uint64_t next;
};

static uint8_t checksum(const void *table, size_t size)
{
    const uint8_t *bytes = table;
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return (uint8_t)-sum;
}

/* Writes a finished table and returns where. */
static uint64_t put_bytes(struct builder *builder, const void *table, size_t size)
{
    uint64_t base = builder->next;

    if (size > TABLES_END - base) {
        builder->loader->status = -ENOSPC;
        return base;
    }
    load_write(builder->loader, base, table, size);
    builder->next = align_up(base + size, 16);
    return base;
}

static uint64_t put_table(struct builder *builder, struct acpi_header *header,
                          const char *signature, uint8_t revision, size_t size)
{
    memcpy(header->signature, signature, sizeof(header->signature));
    header->length = (uint32_t)size;
    header->revision = revision;
    header->checksum = 0;
    memcpy(header->oem_id, OEM_ID, sizeof(header->oem_id));
    memcpy(header->oem_table_id, OEM_TABLE_ID, sizeof(header->oem_table_id));
    header->oem_revision = 1;
    memcpy(header->creator_id, CREATOR_ID, sizeof(header->creator_id));
    header->creator_revision = 1;
    header->checksum = checksum(header, size);
    return put_bytes(builder, header, size);
}

static struct acpi_address io_address(uint16_t port, uint8_t bits, uint8_t access)
{
    return (struct acpi_address){
        .space = ADDRESS_IO, .bit_width = bits, .access_size = access, .address = port};
}

/*
 * The hardware is always in ACPI mode, so there is no SMI_CMD.  The power button is a fixed one;
 * there is no 8042 and no VGA to probe.  FIRMWARE_CTRL alone names the FACS, since of two the
 * 64-bit one would have to be preferred.
 */
static uint64_t put_fadt(struct builder *builder, uint64_t dsdt)
{
    struct acpi_fadt fadt = {
        .firmware_ctrl = (uint32_t)FACS_BASE,
        .dsdt = (uint32_t)dsdt,
        .sci_int = GSI_SCI,
        .pm1a_evt_blk = PORT_PM1A_EVT,
        .pm1a_cnt_blk = PORT_PM1A_CNT,
        .pm_tmr_blk = PORT_PM_TIMER,
        .pm1_evt_len = 4,
        .pm1_cnt_len = 2,
        .pm_tmr_len = 4,
        .p_lvl2_lat = P_LVL2_NONE,
        .p_lvl3_lat = P_LVL3_NONE,
        .century = CMOS_CENTURY,
        .iapc_boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA,
        .flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_VAL_EXT |
                 FADT_RESET_REG_SUP | FADT_HEADLESS,
        .reset_reg = io_address(PORT_RESET, 8, ACCESS_BYTE),
        .reset_value = RESET_VALUE,
        .x_dsdt = dsdt,
        .x_pm1a_evt_blk = io_address(PORT_PM1A_EVT, 32, ACCESS_WORD),
        .x_pm1a_cnt_blk = io_address(PORT_PM1A_CNT, 16, ACCESS_WORD),
        .x_pm_tmr_blk = io_address(PORT_PM_TIMER, 32, ACCESS_DWORD),
        .hypervisor_vendor = "MICA",
    };

    return put_table(builder, &fadt.header, "FACP", 6, sizeof(fadt));
}

static size_t append(struct acpi_madt *madt, size_t used, const void *entry, size_t size)
{
    memcpy(madt->entries + used, entry, size);
    return used + size;
}

static size_t append_interrupts(struct acpi_madt *madt, size_t used)
{
    const struct madt_ioapic ioapic = {
        .type = 1, .length = sizeof(ioapic), .id = IOAPIC_ID, .address = LAYOUT_IOAPIC_BASE};
    const struct madt_override overrides[] = {
        {2, sizeof(overrides[0]), 0, IRQ_PIT, GSI_PIT, MPS_CONFORMING},
        {2, sizeof(overrides[0]), 0, GSI_SCI, GSI_SCI, MPS_HIGH_LEVEL},
    };
    const struct madt_lapic_nmi nmi = {
        .type = 4, .length = sizeof(nmi), .processor_uid = 0xff, .lint = 1};

    used = append(madt, used, &ioapic, sizeof(ioapic));
    used = append(madt, used, overrides, sizeof(overrides));
    return append(madt, used, &nmi, sizeof(nmi));
}

static uint64_t put_madt(struct builder *builder)
{
    struct acpi_madt madt = {.lapic_address = LAYOUT_LAPIC_BASE, .flags = MADT_PCAT_COMPAT};
    size_t used = 0;

    for (unsigned int id = 0; id < builder->loader->target->vcpus && id < LAYOUT_MAX_VCPUS; id++) {
        const struct madt_lapic lapic = {.type = 0,
                                         .length = sizeof(lapic),
                                         .processor_uid = (uint8_t)id,
                                         .apic_id = (uint8_t)id,
                                         .flags = 1};

        used = append(&madt, used, &lapic, sizeof(lapic));
    }
    used = append_interrupts(&madt, used);
    return put_table(builder, &madt.header, "APIC", 4, offsetof(struct acpi_madt, entries) + used);
}

static uint64_t put_spcr(struct builder *builder)
{
    struct acpi_spcr spcr = {
        .base = io_address(PORT_COM1, 8, ACCESS_BYTE),
        .interrupt_type = 3,
        .irq = GSI_COM1,
        .gsi = GSI_COM1,
        .baud_rate = 7,
        .stop_bits = 1,
        .terminal_type = 3,
        .pci_device = 0xffff,
        .pci_vendor = 0xffff,
    };

    return put_table(builder, &spcr.header, "SPCR", 2, sizeof(spcr));
}

static uint64_t put_mcfg(struct builder *builder)
{
    struct acpi_mcfg mcfg = {.base = LAYOUT_ECAM_BASE, .last_bus = LAYOUT_LAST_BUS};

    return put_table(builder, &mcfg.header, "MCFG", 1, sizeof(mcfg));
}

static void put_facs(struct loader *loader)
{
    const struct acpi_facs facs = {
        .signature = {'F', 'A', 'C', 'S'}, .length = sizeof(facs), .version = 2};

    load_write(loader, FACS_BASE, &facs, sizeof(facs));
}

static void put_rsdp(struct loader *loader, uint64_t xsdt)
{
    struct acpi_rsdp rsdp = {.revision = 2, .length = sizeof(rsdp), .xsdt = xsdt};

    memcpy(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature));
    memcpy(rsdp.oem_id, OEM_ID, sizeof(rsdp.oem_id));
    rsdp.checksum = checksum(&rsdp, offsetof(struct acpi_rsdp, length));
    rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
    load_write(loader, ACPI_RSDP, &rsdp, sizeof(rsdp));
}

void acpi_install(struct loader *loader)
{
    struct builder builder = {loader, TABLES_BASE};
    struct acpi_xsdt xsdt = {0};

    load_zero(loader, LAYOUT_ACPI_BASE, LAYOUT_ACPI_SIZE);
    uint64_t dsdt = put_bytes(&builder, dsdt_aml, dsdt_aml_size);
    xsdt.tables[0] = put_fadt(&builder, dsdt);
    xsdt.tables[1] = put_madt(&builder);
    xsdt.tables[2] = put_spcr(&builder);
    xsdt.tables[3] = put_mcfg(&builder);
    put_facs(loader);
    put_rsdp(loader, put_table(&builder, &xsdt.header, "XSDT", 1, sizeof(xsdt)));
}
