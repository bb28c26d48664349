/* SPDX-License-Identifier: MIT */
/*
 * An EFI application that plays a firmware which locked virtualization off: it sets the lock and
 * returns an error, so that the firmware goes on to its shell, whose startup.nsh starts Mica.
 */
#include <stdint.h>

#define MSR_FEATURE_CONTROL 0x3au /* Intel: bit 0 locks, bit 2 permits VMXON */
#define FEATURE_LOCKED      0x1u
#define MSR_VM_CR           0xc0010114u /* AMD: bit 4 disables SVM, bit 3 locks that */
#define VM_CR_LOCKED_OFF    0x18u
#define EFI_NOT_FOUND       0x800000000000000eull

uint64_t efi_main(void *image, void *system_table);

static uint32_t cpuid_ecx(uint32_t leaf)
{
    uint32_t eax = leaf, ebx, ecx = 0, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ecx;
}

static void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

uint64_t efi_main(void *image, void *system_table)
{
    if (cpuid_ecx(1) & 1u << 5) /* VMX */
        wrmsr(MSR_FEATURE_CONTROL, FEATURE_LOCKED);
    if (cpuid_ecx(0x80000001) & 1u << 2) /* SVM */
        wrmsr(MSR_VM_CR, VM_CR_LOCKED_OFF);
    return EFI_NOT_FOUND;
}
