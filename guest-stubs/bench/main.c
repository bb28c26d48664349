/* SPDX-License-Identifier: MIT */
/*
 * Bench: what operations cost that a hypervisor sees.
 *
 * It runs under any hypervisor and without one: started as a flat binary, by Multiboot or by PVH,
 * on a PC with at least 16 MiB, of which it uses the 8259s, the local APIC and a UART at 3f8h.
 * Each operation runs 1,000 times between two RDTSCs; what an empty measurement costs is taken off.
 * On an emulator whose TSC counts instructions the figures are instructions.  It prints
 *
 *   bench NAME MIN MEAN         ticks of the TSC; "empty" is what was taken off from all others
 *   bench NAME skipped REASON   where the machine has not what it takes
 *   bench end                   the last line
 *
 * and leaves through the debug-exit port.  A second CPU, APIC id 1, takes part in the last three
 * where it answers:
 *
 *   ipi-send      the sender is away for that long
 *   ipi-receive   the receiver is, until its handler begins
 *   ipi           from before the write of the ICR to the handler's first instruction
 *
 * With switch=1 on its command line it measures another thing alone, on one CPU with 32 vCPUs:
 *
 *   switch-N      from the last instruction of one vCPU to the first of the next, whose turn it is,
 *                 where N are running
 *
 * and with x2apic=1 the operations of the local APIC as MSRs alone.
 *
 * It checks nothing: figures are judged by who started it.
 */
#include "guest-stubs/bench/bench.h"

#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/options.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

uint64_t op_empty(uint64_t round);
uint64_t op_cpuid(uint64_t round);
uint64_t op_vmcall(uint64_t round);
uint64_t op_vmmcall(uint64_t round);
uint64_t op_rdmsr_apicbase(uint64_t round);
uint64_t op_rdmsr_unknown(uint64_t round);
uint64_t op_wrmsr_efer(uint64_t round);
uint64_t op_wbinvd(uint64_t round);
uint64_t op_in_pic(uint64_t round);
uint64_t op_out_none(uint64_t round);
uint64_t op_in_lsr(uint64_t round);
uint64_t op_mmio_read(uint64_t round);
uint64_t op_mmio_write(uint64_t round);
uint64_t op_mov_cr4(uint64_t round);
uint64_t op_touch_page(uint64_t round);
void gp_handler(void);

uint64_t empty_cost;

/* ---- Measuring --------------------------------------------------------------------------------
 */

void samples_add(struct samples *samples, uint64_t ticks)
{
    if (samples->count++ == 0 || ticks < samples->min)
        samples->min = ticks;
    samples->sum += ticks;
}

void samples_print(const char *name, const struct samples *samples)
{
    if (samples->count)
        print("bench %s %lu %lu\n", name, samples->min, samples->sum / samples->count);
    else
        print_skipped(name, "nothing to measure");
}

void print_skipped(const char *name, const char *reason)
{
    print("bench %s skipped %s\n", name, reason);
}

void measure(const struct operation *operation)
{
    struct samples samples = {0};

    if (operation->missing) {
        print_skipped(operation->name, operation->missing);
        return;
    }
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t ticks = operation->run(round);

        samples_add(&samples, ticks > empty_cost ? ticks - empty_cost : 0);
    }
    samples_print(operation->name, &samples);
}

static void measure_empty(void)
{
    struct samples samples = {0};

    for (uint64_t round = 0; round < ROUNDS; round++)
        samples_add(&samples, op_empty(round));
    samples_print("empty", &samples);
    empty_cost = samples.min;
}

void set_handler(unsigned int vector, void (*handler)(void))
{
    uint64_t entry = (uint64_t)handler;

    idt[vector].offset_low = (uint16_t)entry;
    idt[vector].offset_middle = (uint16_t)(entry >> 16);
    idt[vector].offset_high = (uint32_t)(entry >> 32);
}

/* ---- Instructions -----------------------------------------------------------------------------
 */

/* QEMU's emulated CPU says that there is a hypervisor, and means itself. */
static bool has_hypervisor(void)
{
    return HAS(1, 0, ecx, 31) && cpuid(0x40000000, 0).ebx != 0x54474354; /* "TCGT" */
}

void measure_instructions(void)
{
    const char *bare = has_hypervisor() ? 0 : "no hypervisor";
    const struct operation operations[] = {
        {"cpuid", op_cpuid, 0},
        {"hypercall", is_amd() ? op_vmmcall : op_vmcall, bare},
        {"rdmsr-apicbase", op_rdmsr_apicbase, 0},
        {"rdmsr-unknown", op_rdmsr_unknown, 0},
        {"wrmsr-efer", op_wrmsr_efer, 0},
        {"wbinvd", op_wbinvd, 0},
        {"in-pic", op_in_pic, 0},
        {"out-none", op_out_none, 0},
        {"in-lsr", op_in_lsr, 0},
        {"mmio-read-none", op_mmio_read, 0},
        {"mmio-write-none", op_mmio_write, 0},
        {"mov-cr4", op_mov_cr4, 0},
        {"touch-page", op_touch_page, 0},
    };

    set_handler(VEC_GP, gp_handler);
    for (unsigned int i = 0; i < ARRAY_SIZE(operations); i++)
        measure(&operations[i]);
}

void stub_main(void)
{
    outb(PIC_MASTER + 1, 0xff);
    outb(PIC_SLAVE + 1, 0xff);
    if (option("switch", 0)) {
        measure_switch();
    } else if (option("x2apic", 0)) {
        measure_empty();
        measure_x2apic();
    } else {
        measure_empty();
        measure_instructions();
        measure_xapic();
        measure_x2apic();
        measure_ipi();
    }
    print("bench end\n");
    leave(EXIT_PASSED);
}
