/* SPDX-License-Identifier: MIT */
/*
 * Hello: the machine as a stub finds it.
 *
 * A flat binary is entered in 32-bit protected mode with the size of its memory, the place of its
 * ACPI tables and its command line in registers.  CPUID.1:ECX[31] says that a hypervisor is there;
 * its leaves begin at 40000000h with a signature in EBX, ECX and EDX, and further interfaces follow
 * at multiples of 100h.
 */
#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"
#include "guest-stubs/lib/trap.h"

#define MAGIC 0x4d494341 /* "MICA" */

static bool has_signature(uint32_t leaf, const char *text)
{
    const struct cpuid r = cpuid(leaf, 0);
    const uint32_t words[3] = {r.ebx, r.ecx, r.edx};

    return memcmp(words, text, sizeof(words)) == 0;
}

static void check_entry(void)
{
    const volatile uint32_t *beyond = (const uint32_t *)(uint64_t)(START_RAM_KIB * 1024);

    check_equal(START_MAGIC, MAGIC, "the boot protocol's magic number is in EAX");
    check(memcmp((const void *)(uint64_t)START_RSDP, "RSD PTR ", 8) == 0,
          "the ACPI RSDP lies where EBX says");
    check(START_RAM_KIB >= 4096 && START_RAM_KIB % 4 == 0, "ECX gives a size of memory: %u KiB",
          START_RAM_KIB);
    beyond[-1]; /* a read that must not fault */
    check_equal(*beyond, UINT32_MAX, "behind the last byte of memory there is none");
    check(*(const char *)(uint64_t)START_CMDLINE == '\0', "the command line is empty");
}

static void check_memory(void)
{
    volatile uint32_t *last = (uint32_t *)(uint64_t)(START_RAM_KIB * 1024) - 1;

    *last = 0x12345678;
    check_equal(*last, 0x12345678, "the last word of memory holds what is written");
}

static void check_mode(void)
{
    uint64_t wide = BIT(40);

    __asm__ volatile("lea 1(%0), %0" : "+r"(wide));
    check_equal(wide, BIT(40) + 1, "64-bit code runs");
    check((rdmsr(MSR_EFER) & (EFER_LME | EFER_LMA)) == (EFER_LME | EFER_LMA),
          "EFER says that long mode is on and active");
    TRY("ud2", :);
    check_fault(VEC_UD, 0, "an undefined instruction is reported at its address");
}

static void check_hypervisor(void)
{
    check(HAS(1, 0, ecx, 31), "CPUID says that a hypervisor is there");
    check(has_signature(0x40000000, "KVMKVMKVM\0\0"), "its first leaf says KVMKVMKVM");
    check(cpuid(0x40000000, 0).eax >= 0x40000001, "and that KVM's features can be asked for");
    check(has_signature(0x40000100, "MicaMicaMica"), "the next interface says MicaMicaMica");
}

void stub_main(void)
{
    print("Hello from a guest\n");
    check_entry();
    check_memory();
    check_mode();
    check_hypervisor();
}
