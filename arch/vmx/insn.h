/* SPDX-License-Identifier: MIT */
/*
 * The VMX instructions.  VMREAD and VMWRITE fail only when Mica asks for a field that the CPU does
 * not have, or without a current VMCS: that is a bug, and ends in a panic.
 */
#pragma once

#include "arch/vmx/fields.h"
#include "hv/util.h"

#include <stdbool.h>
#include <stdint.h>

NORETURN void vmx_vmread_failed(uint64_t field);
NORETURN void vmx_vmwrite_failed(uint64_t field, uint64_t value);

/* All three take the physical address of a page that begins with the revision. */
static inline bool vmxon(uint64_t hpa)
{
    bool ok;

    __asm__ volatile("vmxon %1" : "=@cca"(ok) : "m"(hpa) : "memory");
    return ok;
}

static inline bool vmclear(uint64_t hpa)
{
    bool ok;

    __asm__ volatile("vmclear %1" : "=@cca"(ok) : "m"(hpa) : "memory");
    return ok;
}

static inline bool vmptrld(uint64_t hpa)
{
    bool ok;

    __asm__ volatile("vmptrld %1" : "=@cca"(ok) : "m"(hpa) : "memory");
    return ok;
}

static inline void vmxoff(void)
{
    __asm__ volatile("vmxoff" ::: "cc", "memory");
}

/* False when the CPU does not have the field. */
static inline bool vmread_try(uint64_t field, uint64_t *value)
{
    bool ok;

    __asm__ volatile("vmread %2, %1" : "=@cca"(ok), "=r"(*value) : "r"(field) : "memory");
    return ok;
}

static inline uint64_t vmread_raw(uint64_t field)
{
    uint64_t value;

    if (unlikely(!vmread_try(field, &value)))
        vmx_vmread_failed(field);
    return value;
}

static inline void vmwrite_raw(uint64_t field, uint64_t value)
{
    bool ok;

    __asm__ volatile("vmwrite %1, %2" : "=@cca"(ok) : "r"(value), "r"(field) : "memory");
    if (unlikely(!ok))
        vmx_vmwrite_failed(field, value);
}

static inline uint16_t vmread16(enum vmcs16 field)
{
    return (uint16_t)vmread_raw(field);
}

static inline uint32_t vmread32(enum vmcs32 field)
{
    return (uint32_t)vmread_raw(field);
}

static inline uint64_t vmread64(enum vmcs64 field)
{
    return vmread_raw(field);
}

static inline uint64_t vmread(enum vmcs_natural field)
{
    return vmread_raw(field);
}

static inline void vmwrite16(enum vmcs16 field, uint16_t value)
{
    vmwrite_raw(field, value);
}

static inline void vmwrite32(enum vmcs32 field, uint32_t value)
{
    vmwrite_raw(field, value);
}

static inline void vmwrite64(enum vmcs64 field, uint64_t value)
{
    vmwrite_raw(field, value);
}

static inline void vmwrite(enum vmcs_natural field, uint64_t value)
{
    vmwrite_raw(field, value);
}

/*
 * The same for fields that every CPU has, where a VMCS is certainly current: on the short path of
 * an exit, and behind a VMREAD that was looked at.
 */
static inline uint64_t vmread_sure(uint64_t field)
{
    uint64_t value;

    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc", "memory");
    return value;
}

static inline void vmwrite_sure(uint64_t field, uint64_t value)
{
    __asm__ volatile("vmwrite %0, %1" ::"r"(value), "r"(field) : "cc", "memory");
}

/* Types and operands that the CPU offers (caps.c), so these do not fail. */
static inline void invept(uint64_t type, uint64_t eptp)
{
    const struct {
        uint64_t eptp, reserved;
    } descriptor = {eptp, 0};

    __asm__ volatile("invept %0, %1" ::"m"(descriptor), "r"(type) : "cc", "memory");
}

static inline void invvpid(uint64_t type, uint16_t vpid)
{
    const struct {
        uint64_t vpid, address;
    } descriptor = {vpid, 0};

    __asm__ volatile("invvpid %0, %1" ::"m"(descriptor), "r"(type) : "cc", "memory");
}
