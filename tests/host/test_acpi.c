/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables as a guest finds them: reached from the RSDP, checksums right, every address and
 * number that of the layout; and iasl takes each apart without an error, where iasl is installed.
 */
#include "hv/vdev/vcmos.h"
#include "hv/vdev/vpm.h"
#include "tests/host/guest_buffer.h"

#include <unistd.h>

/* The devices are where the tables say. */
STATIC_ASSERT(PORT_PM_BASE + VPM_PM1_EVT == PORT_PM1A_EVT, "PM1a_EVT");
STATIC_ASSERT(PORT_PM_BASE + VPM_PM1_CNT == PORT_PM1A_CNT, "PM1a_CNT");
STATIC_ASSERT(PORT_PM_BASE + VPM_PM_TMR == PORT_PM_TIMER, "PM_TMR");
STATIC_ASSERT(PORT_PM_SIZE == VPM_PORT_COUNT, "the PM registers");
STATIC_ASSERT(PORT_RESET == VPM_RST_CNT_PORT && RESET_VALUE == VPM_RESET_VALUE, "reset");
STATIC_ASSERT(SLP_TYP_S5 == VPM_SLP_TYP_S5 && GSI_SCI == VPM_SCI, "power-off and SCI");
STATIC_ASSERT(GSI_RTC == VCMOS_IRQ, "RTC");

static struct guest_buffer guest;
static const uint8_t stub[] = {0xf4};

static bool sums_to_zero(uint64_t gpa, uint64_t size)
{
    uint8_t sum = 0;

    for (uint64_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + guest.bytes[gpa + i]);
    return sum == 0;
}

static bool is_in_area(uint64_t gpa, uint64_t size)
{
    return gpa >= 0xe0000 && gpa + size <= 0x100000;
}

/* A table with a sound header, by its signature; 0: there is none. */
static uint64_t find(const char *signature)
{
    uint64_t xsdt = guest_get(&guest, 0xe0000 + 24, 8);

    if (strcmp(signature, "XSDT") == 0)
        return xsdt;
    for (uint64_t i = 36; i < guest_get(&guest, xsdt + 4, 4); i += 8) {
        uint64_t table = guest_get(&guest, xsdt + i, 8);

        if (is_in_area(table, 36) && memcmp(guest.bytes + table, signature, 4) == 0)
            return table;
    }
    return 0;
}

static bool is_sound(uint64_t table, const char *signature, uint64_t size)
{
    uint64_t length = guest_get(&guest, table + 4, 4);

    return is_in_area(table, 36) && is_in_area(table, length) && length >= 36 &&
           (size == 0 || length == size) && memcmp(guest.bytes + table, signature, 4) == 0 &&
           sums_to_zero(table, length) && table % 16 == 0 &&
           memcmp(guest.bytes + table + 10, "MICA", 4) == 0;
}

/* A Generic Address Structure for a port. */
static bool is_port(uint64_t at, unsigned int bits, unsigned int access, uint16_t port)
{
    return guest_get(&guest, at, 4) == (1 | bits << 8 | access << 24) &&
           guest_get(&guest, at + 4, 8) == port;
}

static void test_root(void)
{
    CHECK(memcmp(guest.bytes + 0xe0000, "RSD PTR ", 8) == 0 && sums_to_zero(0xe0000, 20) &&
              sums_to_zero(0xe0000, 36) && guest.bytes[0xe0000 + 15] == 2 &&
              guest_get(&guest, 0xe0000 + 20, 4) == 36 && guest_get(&guest, 0xe0000 + 16, 4) == 0,
          "the RSDP is of revision 2, with both checksums, and lies where a guest searches");
    CHECK(is_sound(find("XSDT"), "XSDT", 36 + 4 * 8), "the XSDT has four tables");
    CHECK(is_sound(find("FACP"), "FACP", 276) && is_sound(find("APIC"), "APIC", 0) &&
              is_sound(find("SPCR"), "SPCR", 80) && is_sound(find("MCFG"), "MCFG", 60),
          "FADT, MADT, SPCR and MCFG have sound headers");
    CHECK(guest_get(&guest, find("MCFG") + 44, 8) == 0xe0000000 &&
              guest_get(&guest, find("MCFG") + 52, 4) == 0,
          "MCFG names ECAM for bus 0 of segment 0");
}

static void test_fadt(void)
{
    uint64_t fadt = find("FACP"), facs = guest_get(&guest, fadt + 36, 4);
    uint64_t dsdt = guest_get(&guest, fadt + 40, 4);

    CHECK(guest.bytes[fadt + 8] == 6 && guest.bytes[fadt + 131] == 0,
          "the FADT is of revision 6.0");
    CHECK(facs % 64 == 0 && is_in_area(facs, 64) && memcmp(guest.bytes + facs, "FACS", 4) == 0 &&
              guest_get(&guest, facs + 4, 4) == 64 && guest_get(&guest, fadt + 132, 8) == 0,
          "the FACS is aligned to 64 bytes and named once");
    CHECK(is_sound(dsdt, "DSDT", 0) && guest_get(&guest, fadt + 140, 8) == dsdt,
          "the DSDT is named by both fields");
    CHECK(guest_get(&guest, fadt + 46, 2) == 9 && guest_get(&guest, fadt + 48, 4) == 0 &&
              guest_get(&guest, fadt + 52, 2) == 0,
          "SCI is 9, and there is no SMI command: ACPI mode is fixed");
    CHECK(guest_get(&guest, fadt + 56, 4) == 0x600 && guest_get(&guest, fadt + 64, 4) == 0x604 &&
              guest_get(&guest, fadt + 76, 4) == 0x608 && guest.bytes[fadt + 88] == 4 &&
              guest.bytes[fadt + 89] == 2 && guest.bytes[fadt + 91] == 4 &&
              guest_get(&guest, fadt + 60, 4) == 0 && guest_get(&guest, fadt + 80, 8) == 0,
          "PM1a and the PM timer are in place, and no other block");
    CHECK(is_port(fadt + 148, 32, 2, 0x600) && is_port(fadt + 172, 16, 2, 0x604) &&
              is_port(fadt + 208, 32, 3, 0x608),
          "the extended addresses say the same");
    CHECK(is_port(fadt + 116, 8, 1, 0xcf9) && guest.bytes[fadt + 128] == 6,
          "the reset register is CF9h, which resets by 6");
    CHECK(guest_get(&guest, fadt + 109, 2) == 5, "no 8042, no VGA, legacy devices");
    CHECK(guest_get(&guest, fadt + 112, 4) ==
              (1u | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 10 | 1u << 12),
          "WBINVD, C1, a fixed power button, no sleep button, a 32-bit timer, a reset register");
    CHECK(guest.bytes[fadt + 108] == 0x32, "the century is in CMOS 32h");
}

static void test_madt(unsigned int vcpus)
{
    uint64_t madt = find("APIC"), end = madt + guest_get(&guest, madt + 4, 4), at = madt + 44;
    unsigned int cpus = 0, kinds = 0;
    bool ok = true;

    CHECK(guest_get(&guest, madt + 36, 4) == 0xfee00000 && guest_get(&guest, madt + 40, 4) == 1,
          "the MADT names the local APIC and says that there are 8259s");
    for (; at < end; at += guest.bytes[at + 1]) {
        const uint8_t *entry = guest.bytes + at;

        kinds |= 1u << (entry[0] & 31);
        if (entry[0] == 0) {
            ok &= entry[1] == 8 && entry[2] == cpus && entry[3] == cpus &&
                  guest_get(&guest, at + 4, 4) == 1;
            cpus++;
        } else if (entry[0] == 1) {
            ok &= entry[1] == 12 && guest_get(&guest, at + 4, 4) == 0xfec00000 &&
                  guest_get(&guest, at + 8, 4) == 0;
        } else if (entry[0] == 2) {
            ok &= entry[1] == 10 && entry[2] == 0 &&
                  (memcmp(entry + 3, "\0\2\0\0\0\0\0", 7) == 0 ||
                   memcmp(entry + 3, "\x09\x09\0\0\0\x0d\0", 7) == 0);
        } else {
            ok &= memcmp(entry, "\4\6\xff\0\0\1", 6) == 0;
        }
        if (entry[1] == 0)
            break;
    }
    CHECK(ok && at == end && cpus == vcpus && kinds == 0x17,
          "its entries are the CPUs, the I/O APIC, IRQ 0 and SCI, and NMI at LINT1");
}

static void test_spcr(void)
{
    uint64_t spcr = find("SPCR");

    CHECK(guest.bytes[spcr + 36] == 0 && is_port(spcr + 40, 8, 1, 0x3f8) &&
              guest.bytes[spcr + 52] == 3 && guest.bytes[spcr + 53] == 4 &&
              guest_get(&guest, spcr + 54, 4) == 4 && guest.bytes[spcr + 58] == 7,
          "the console is the 16550 at 3F8h, IRQ 4, 115200 baud");
}

/* The AML of \_S5's package is what a hypervisor or an old system searches for byte by byte. */
static void test_s5(void)
{
    static const uint8_t s5[] = {'_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, 0x05, 0x0a, 0x05};
    uint64_t dsdt = guest_get(&guest, find("FACP") + 40, 4);
    uint64_t length = guest_get(&guest, dsdt + 4, 4);
    bool found = false;

    for (uint64_t i = 36; i + sizeof(s5) <= length; i++)
        found |= memcmp(guest.bytes + dsdt + i, s5, sizeof(s5)) == 0;
    CHECK(found, "\\_S5 is a package with SLP_TYP 5");
}

static bool is_disassembled(const char *folder, uint64_t table, const char *name)
{
    char path[128], command[512];

    snprintf(path, sizeof(path), "%s/%s.dat", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        return false;
    fwrite(guest.bytes + table, 1, guest_get(&guest, table + 4, 4), file);
    fclose(file);
    snprintf(command, sizeof(command),
             "cd %s && iasl -d %s.dat >%s.log 2>&1 && ! grep -Eiq 'error|warning|invalid|bad' "
             "%s.dsl %s.log",
             folder, name, name, name, name);
    return system(command) == 0;
}

static void test_iasl(void)
{
    static const char *const names[] = {"FACP", "APIC", "SPCR", "MCFG", "XSDT", "DSDT", "FACS"};
    char folder[] = "/tmp/mica-acpi-XXXXXX", command[128];

    if (system("command -v iasl >/dev/null 2>&1") != 0) {
        printf("ok %d # skip iasl is not installed\n", ++check_count);
        return;
    }
    if (!CHECK(mkdtemp(folder) != NULL, "a folder for iasl"))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        uint64_t table =
            i < 4 ? find(names[i]) : guest_get(&guest, find("FACP") + (i == 4 ? 40 : 36), 4);
        char what[64];

        snprintf(what, sizeof(what), "iasl takes the %s apart without a complaint", names[i]);
        CHECK(is_disassembled(folder, table, names[i]), what);
    }
    snprintf(command, sizeof(command), "rm -r %s", folder);
    CHECK(system(command) == 0, "the folder is removed");
}

static void load(unsigned int vcpus)
{
    guest_init(&guest, MIB(4), vcpus);
    guest.image.kernel = (struct load_file){"stub.bin", stub, sizeof(stub)};
    CHECK(guest_load(&guest) == 0, "a guest is loaded");
}

int main(void)
{
    load(1);
    test_root();
    test_fadt();
    test_madt(1);
    test_spcr();
    test_s5();
    test_iasl();
    guest_free(&guest);

    load(32);
    test_root();
    test_madt(32);
    guest_free(&guest);
    return check_done();
}
