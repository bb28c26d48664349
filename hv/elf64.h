/* SPDX-License-Identifier: MIT */
/* ELF for 64 bits, little-endian: the layouts and numbers, no code. */
#pragma once

#include "hv/util.h"

#include <stdint.h>

#define ELF_MAGIC          0x464c457fu /* "\x7fELF" */
#define ELF_CLASS_64       2u
#define ELF_DATA_LITTLE    1u
#define ELF_VERSION        1u
#define ELF_TYPE_EXEC      2u
#define ELF_MACHINE_X86_64 62u

#define ELF_PT_LOAD    1u
#define ELF_PT_DYNAMIC 2u
#define ELF_PT_INTERP  3u
#define ELF_PF_X       1u
#define ELF_PF_W       2u
#define ELF_PF_R       4u

struct elf64_header {
    uint32_t magic;
    uint8_t elf_class, data, ident_version, abi;
    uint8_t padding[8];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_program {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

STATIC_ASSERT(sizeof(struct elf64_header) == 64, "Elf64_Ehdr");
STATIC_ASSERT(sizeof(struct elf64_program) == 56, "Elf64_Phdr");
