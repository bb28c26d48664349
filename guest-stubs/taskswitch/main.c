/* SPDX-License-Identifier: MIT */
/*
 * A hardware task switch: in protected mode a far jump to a TSS saves the state into the present
 * TSS and takes the next one's.  A hypervisor is told of it and has to do it; one that does not
 * stops the guest and says why.
 */
#include "guest-stubs/lib/legacy.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define TSS32_LIMIT 0x67
#define TSS32_TYPE  0x89ull /* available, 32-bit */

extern uint8_t task_jump[];

static uint8_t next_task[TSS32_LIMIT + 1];

void stub_main(void)
{
    uint64_t base = (uint64_t)next_task;

    gdt[SEL_SPARE0 / 8] =
        TSS32_LIMIT | (base & 0xffffff) << 16 | TSS32_TYPE << 40 | (base >> 24 & 0xff) << 56;
    print("A task switch follows\n");
    legacy_run(task_jump);
    fail_at_once("the guest does not outlive a task switch");
}
