/* SPDX-License-Identifier: MIT */
/*
 * Puts a guest's kernel, its initrd, its command line and its ACPI tables into guest memory, by the
 * boot protocol that the kernel's file calls for, and says with which registers the first vCPU
 * starts.  Guest memory is reached through callbacks alone.  Loading again after a reset is legal:
 * nothing is assumed of what memory holds.
 */
#pragma once

#include "hv/util.h"

#include <stddef.h>
#include <stdint.h>

struct load_file {
    const char *name;
    const void *data;
    uint64_t size;
};

struct load_image {
    struct load_file kernel;
    struct load_file initrd; /* size 0: none */
    const char *cmdline;     /* never NULL */
};

/* write and zero: 0, or -EFAULT when any of the bytes is not in the guest's memory. */
struct load_target {
    void *ctx;
    uint64_t memory_size; /* as layout_make() wants it */
    unsigned int vcpus;   /* 1 to LAYOUT_MAX_VCPUS */
    int (*write)(void *ctx, uint64_t gpa, const void *from, uint64_t size);
    int (*zero)(void *ctx, uint64_t gpa, uint64_t size);
};

/*
 * In both modes: the general registers that are not named here are 0, RFLAGS is 2, all segments are
 * flat (base 0, limit 4 GiB, accessed, DPL 0) with the selectors below, LDTR is null, TR holds a
 * busy 32-bit TSS, the IDT's limit is 0. LOAD_PROTECTED  CR0 = PE, CR4 = 0, EFER = 0; CS is 32-bit
 * code LOAD_LONG       CR0 = PE, PG; CR4 = PAE; EFER = LME, LMA; CS is 64-bit code
 */
enum load_mode { LOAD_PROTECTED, LOAD_LONG };

struct load_entry {
    enum load_mode mode;
    const char *protocol; /* for the log: "Linux bzImage" */
    uint64_t rip, rsp;
    uint64_t rax, rbx, rcx, rsi;
    uint64_t cr3; /* LOAD_LONG: maps the first 4 GiB to themselves */
    uint64_t gdt_base;
    uint16_t gdt_limit;
    uint16_t cs, ds; /* ds: for SS, ES, FS and GS too */
};

/* Why a kernel was refused: one line that begins with the file's name. */
struct load_error {
    char reason[160];
};

/* 0, or a negative errno with the reason; guest memory may have been written then, entry not. */
int load_kernel(const struct load_target *target, const struct load_image *image,
                struct load_entry *entry, struct load_error *error);
