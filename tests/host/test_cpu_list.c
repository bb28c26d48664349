/* SPDX-License-Identifier: MIT */
/* Firmware's list of CPUs: what of it is started, and what is left out and why. */
#include "arch/x86/cpu_list.h"
#include "tests/host/check.h"

#include <string.h>

static struct cpu_list list;

static bool is_list(const uint32_t *ids, unsigned int count)
{
    return list.count == count && !memcmp(list.apic_ids, ids, count * sizeof(*ids));
}

static bool refuses(uint32_t apic_id, const char *why)
{
    unsigned int count = list.count;
    const char *reason = cpu_list_add(&list, apic_id, true);

    return reason && strstr(reason, why) && list.count == count;
}

static void check_order(void)
{
    const uint32_t wanted[] = {4, 0, 2, 6};

    cpu_list_init(&list, 4, false);
    CHECK(is_list(wanted, 1), "at first there is the boot CPU alone");
    CHECK(!cpu_list_add(&list, 0, true) && !cpu_list_add(&list, 2, true) &&
              !cpu_list_add(&list, 4, true) && !cpu_list_add(&list, 6, true),
          "sound entries are taken without a word");
    CHECK(is_list(wanted, 4), "the boot CPU comes first and once, the others in firmware's order");
}

static void check_refusals(void)
{
    const uint32_t wanted[] = {0, 1};

    cpu_list_init(&list, 0, false);
    CHECK(!cpu_list_add(&list, 7, false) && !cpu_list_add(&list, 255, false) &&
              !cpu_list_add(&list, 7, false),
          "entries that are not enabled are passed over, whatever their ids are");
    CHECK(!cpu_list_add(&list, 1, true) && refuses(1, "listed twice"), "an id counts once");
    CHECK(!cpu_list_add(&list, 0, true), "the boot CPU's own id is no second CPU");
    CHECK(is_list(wanted, 2), "and nothing of that is in the list");
}

static void check_reach(void)
{
    cpu_list_init(&list, 0, false);
    CHECK(!cpu_list_add(&list, 254, true), "xAPIC mode reaches id 254");
    CHECK(refuses(255, "without x2apic") && refuses(256, "without x2apic") &&
              refuses(0x80000000u, "without x2apic"),
          "but no higher one");
    cpu_list_init(&list, 0, true);
    CHECK(!cpu_list_add(&list, 255, true) && !cpu_list_add(&list, 0xfffffffeu, true),
          "x2APIC mode reaches all");
    CHECK(refuses(0xffffffffu, "broadcast"), "but the broadcast id");
}

static void check_limit(void)
{
    bool taken = true, sorted = true;

    cpu_list_init(&list, 1000, true);
    for (uint32_t id = 0; id < CPU_MAX - 1; id++)
        taken = taken && !cpu_list_add(&list, id, true);
    CHECK(taken && list.count == CPU_MAX, "CPU_MAX of them fit, the boot CPU included");
    CHECK(refuses(CPU_MAX, "too many") && refuses(CPU_MAX + 1, "too many"), "and no more");
    CHECK(!cpu_list_add(&list, 1000, true), "the boot CPU's id is no complaint even then");
    for (uint32_t id = 0; id < CPU_MAX - 1; id++)
        sorted = sorted && list.apic_ids[id + 1] == id;
    CHECK(sorted && list.apic_ids[0] == 1000, "the full list is undamaged");
}

int main(void)
{
    check_order();
    check_refusals();
    check_reach();
    check_limit();
    return check_done();
}
