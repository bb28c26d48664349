/* SPDX-License-Identifier: MIT */
/*
 * Modes: every mode of the processor, and the switches between them.
 *
 * Long mode is left from compatibility mode by clearing CR0.PG, which clears EFER.LMA; it is
 * entered by setting PG while EFER.LME and CR4.PAE are set, else #GP.  In PAE paging the four
 * page-directory pointers are loaded, and checked, with CR3 and when paging begins.  In real mode a
 * segment's base is 16 times the selector, and its limit stays what it was ("unreal mode");
 * interrupts go through the vector table at 0 and push no error code.  HLT, port I/O, CPUID, RDMSR
 * and device memory work the same in all of them.
 */
#include "guest-stubs/lib/apic.h"
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/legacy.h"
#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define REAL_BASE  0x30000u
#define CODE16     0x00009b000000ffffull
#define DATA16     0x000093000000ffffull
#define ALIAS_SLOT 0x100 /* of 4 MiB pages: 0x40000000 */
#define NOWHERE    0x50000000u
#define SWITCHES   100

extern uint8_t real_begin[], real_end[], real_run[], real_results[];
extern uint8_t protected_plain[], protected_paging[], protected_pae[], protected_refused[];

/* As real.asm has them. */
struct real_results {
    uint32_t cpuid16, stack16, cpuid, pat, cr0, in, int21, ud, de, unreal, mmio, ticks, woken;
    uint8_t ins[8];
    uint16_t ins_di, ins_cx;
};

/* As protected.asm has them. */
struct protected_results {
    uint32_t cpuid, int21, ud, cr0, mmio, alias, reload, cr2, pf_error, gp, gp_error, efer, no_pae,
        bad_pointer;
};
extern struct protected_results protected_results;

/* What protected.asm needs: tables for 32-bit and for PAE paging, and a word to look for. */
uint32_t mode_directory[1024] __attribute__((aligned(4096)));
uint64_t mode_pae_pointers[4] __attribute__((aligned(32)));
uint64_t mode_other_directory[512] __attribute__((aligned(4096)));
volatile uint32_t mode_probe;
static uint64_t pae_directories[4][512] __attribute__((aligned(4096)));

static uint32_t version, leaves;

/* ---- Protected mode ---------------------------------------------------------------------------
 */

static void check_plain(void)
{
    struct protected_results *r = &protected_results;

    *r = (struct protected_results){0};
    legacy_run(protected_plain);
    check_equal(legacy_efer & (EFER_LMA | EFER_LME), EFER_LME,
                "leaving long mode clears EFER.LMA and keeps LME");
    check((r->cr0 & (CR0_PG | CR0_PE)) == CR0_PE && r->cpuid == leaves,
          "protected mode without paging: CPUID");
    check_equal(r->int21, 0x21212121, "INT through a gate of 32 bits");
    check_equal(r->ud, 1, "#UD is delivered");
    check_equal(r->mmio, version, "device memory without paging");
}

static void check_paging(void)
{
    struct protected_results *r = &protected_results;

    for (uint32_t i = 0; i < 1024; i++)
        mode_directory[i] = i << 22 | 0x83;
    mode_directory[ALIAS_SLOT] = 0x83;
    mode_directory[NOWHERE >> 22] = 0;
    *r = (struct protected_results){0};
    legacy_run(protected_paging);
    check_equal(r->alias, 0x11223344, "32-bit paging: a page of 4 MiB elsewhere");
    check_equal(r->mmio, version, "device memory through it");
    check(r->cr2 == NOWHERE + 8 && r->pf_error == 0, "#PF of a page that is not there");
    check_equal(r->cpuid, leaves, "CPUID");
}

static void check_pae(void)
{
    struct protected_results *r = &protected_results;

    for (uint64_t i = 0; i < 4 * 512; i++)
        pae_directories[i / 512][i % 512] = i << 21 | 0x83;
    for (unsigned int i = 0; i < 4; i++)
        mode_pae_pointers[i] = (uint64_t)pae_directories[i] | 1;
    for (uint64_t i = 0; i < 128; i++) {
        pae_directories[1][i] = i << 21 | 0x83;
        mode_other_directory[i] = (i + 1) << 21 | 0x83;
    }
    pae_directories[1][(NOWHERE >> 21) % 512] = 0;
    *r = (struct protected_results){0};
    legacy_run(protected_pae);
    check_equal(r->alias, 0x55667788, "PAE paging: a page of 2 MiB elsewhere");
    check_equal(r->reload, 0x99aabbcc,
                "a changed page-directory pointer counts when CR3 is loaded");
    check_equal(r->mmio, version, "device memory through it");
    check(r->cr2 == NOWHERE + 8 && r->pf_error == 0, "#PF of a page that is not there");
}

static void check_refused(void)
{
    struct protected_results *r = &protected_results;

    *r = (struct protected_results){0};
    legacy_run(protected_refused);
    check(r->no_pae == 1 && r->gp_error == 0,
          "paging with EFER.LME but without CR4.PAE raises #GP");
    check(!(r->efer & EFER_LMA), "and long mode is not active then");
    check_equal(r->bad_pointer, 2, "and so does a reserved bit of a page-directory pointer");
}

/* ---- Real mode --------------------------------------------------------------------------------
 */

/* The master 8259 at vector 8, with IRQ 0 alone, and its line through the local APIC. */
static void firmware_pic(void)
{
    outb(PIC_MASTER, 0x11);
    outb(PIC_MASTER + 1, 0x08);
    outb(PIC_MASTER + 1, 0x04);
    outb(PIC_MASTER + 1, 0x01);
    outb(PIC_MASTER + 1, 0xfe);
    lapic_write(LAPIC_SVR, SVR_ENABLE | 0xff);
    lapic_write(LAPIC_LINT0, LVT_EXTINT);
}

static const struct real_results *run_real(void)
{
    uint8_t *base = (uint8_t *)(uint64_t)REAL_BASE;

    memcpy(base, real_begin, (unsigned long)(real_end - real_begin));
    gdt[SEL_SPARE0 / 8] = CODE16 | (uint64_t)REAL_BASE << 16;
    gdt[SEL_SPARE1 / 8] = DATA16 | (uint64_t)REAL_BASE << 16;
    firmware_pic();
    legacy_run(real_run);
    outb(PIC_MASTER + 1, 0xff);
    return (const struct real_results *)(base + (real_results - real_begin));
}

static void check_real(void)
{
    const struct real_results *r = run_real();
    const uint64_t ins_end = (uint64_t)r->ins + 5 - REAL_BASE;

    check_equal(r->cpuid16, leaves, "16-bit protected mode: CPUID");
    check_equal(r->stack16, 0x12345678, "and a stack of 16 bits");
    check(r->cpuid == leaves && !(r->cr0 & (CR0_PE | CR0_PG)), "real mode: CPUID");
    check_equal(r->pat, (uint32_t)rdmsr(MSR_PAT), "RDMSR");
    check_equal(r->in, 0x3c, "OUT and IN");
    check(memcmp(r->ins, "\x3c\x3c\x3c\x3c\x3c\0\0\0", 8) == 0 && r->ins_di == ins_end &&
              r->ins_cx == 0,
          "REP INSB");
    check_equal(r->int21, 0x21212121, "INT through the vector table");
    check_equal(r->ud, 2, "#UD through the vector table");
    check_equal(r->de, 1, "#DE through the vector table");
    check_equal(r->unreal, 0x600dcafe, "unreal mode: memory above 1 MiB");
    check_equal(r->mmio, version, "and a device");
    check_equal(r->woken, 1, "HLT is ended by the 8254");
}

static void check_often(void)
{
    unsigned int wrong = 0;

    for (unsigned int i = 0; i < SWITCHES; i++) {
        legacy_run(protected_plain);
        wrong += !(rdmsr(MSR_EFER) & EFER_LMA);
    }
    check_equal(wrong, 0, "long mode is left and entered %u times", SWITCHES);
    TRY("ud2", :);
    check_fault(VEC_UD, 0, "and everything is as before");
}

void stub_main(void)
{
    version = lapic_read(LAPIC_VERSION);
    leaves = cpuid(0, 0).eax;
    check_plain();
    check_paging();
    check_pae();
    check_refused();
    check_real();
    check_often();
}
