/* SPDX-License-Identifier: MIT */
/* The list of CPUs that are to be started: no id twice, none out of reach, no more than fit. */
#include "arch/x86/cpu_list.h"

#include "hv/util.h"

#include <stddef.h>

/* All ones is the broadcast in both modes. */
#define HIGHEST_XAPIC_ID  0xfeu
#define HIGHEST_X2APIC_ID 0xfffffffeu

void cpu_list_init(struct cpu_list *list, uint32_t boot_apic_id, bool x2apic)
{
    list->highest_id = x2apic ? HIGHEST_X2APIC_ID : HIGHEST_XAPIC_ID;
    list->apic_ids[0] = boot_apic_id;
    list->count = 1;
}

const char *cpu_list_add(struct cpu_list *list, uint32_t apic_id, bool enabled)
{
    if (!enabled || apic_id == list->apic_ids[0])
        return NULL;
    if (apic_id > list->highest_id)
        return list->highest_id == HIGHEST_XAPIC_ID ? "is out of reach without x2apic"
                                                    : "is no cpu's: it is the broadcast";
    for (unsigned int i = 1; i < list->count; i++)
        if (list->apic_ids[i] == apic_id)
            return "is listed twice";
    if (list->count == ARRAY_SIZE(list->apic_ids))
        return "is one too many";
    list->apic_ids[list->count++] = apic_id;
    return NULL;
}
