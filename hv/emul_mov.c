/* SPDX-License-Identifier: MIT */
/*
 * The moves by which drivers reach their devices, without the general decoder: MOV between a
 * register and memory, or of an immediate to memory, of four or eight bytes, and to memory of two
 * (virtio's doorbells), in 64-bit code.  The CPU has translated the address already.
 */
#include "hv/emul.h"

#include "arch/x86/paging.h"
#include "hv/guest_mem.h"
#include "hv/guest_used.h"
#include "hv/layout.h"
#include "hv/util.h"
#include "hv/vcpu.h"

enum { MOV_STORE = 0x89, MOV_LOAD = 0x8b, MOV_IMMEDIATE = 0xc7, OPERAND_SIZE = 0x66 };

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

struct mov {
    uint8_t opcode;
    unsigned int length, size, reg;
    uint64_t address, immediate;
};

static inline int64_t word_at(const uint8_t *bytes)
{
    int32_t word;

    __builtin_memcpy(&word, bytes, sizeof(word));
    return word;
}

/* False: another instruction, or one with RSP, an index or a prefix other than 66 and REX. */
static inline bool decode(const struct vcpu *vcpu, struct mov *mov)
{
    bool word = vcpu->code[0] == OPERAND_SIZE;
    const uint8_t *at = vcpu->code + word;
    unsigned int rex = (*at & 0xf0) == 0x40 ? *at++ : 0;
    unsigned int modrm = at[1];
    unsigned int mode = modrm >> 6;
    unsigned int base = modrm & 7;
    bool sib = base == 4;
    bool to_rip = false;

    mov->opcode = *at;
    mov->size = rex & REX_W ? 8 : word ? 2 : 4;
    mov->reg = (modrm >> 3 & 7) | (rex & REX_R) << 1;
    at += 2;
    if (sib) {
        base = *at & 7;
        if ((*at++ >> 3 & 7) != 4 || (rex & REX_X) || (base == 4 && !(rex & REX_B)))
            return false;
    }
    mov->address = vcpu->gprs.r[base | (rex & REX_B) << 3];
    if (mode == 1) {
        mov->address += (uint64_t)(int8_t)*at++;
    } else if (mode == 2) {
        mov->address += (uint64_t)word_at(at);
        at += 4;
    } else if (mode == 3) {
        return false;
    } else if (base == 5) {
        mov->address = (uint64_t)word_at(at);
        to_rip = !sib;
        at += 4;
    }
    mov->immediate = (uint64_t)word_at(at);
    mov->length =
        (unsigned int)(at - vcpu->code) + (mov->opcode == MOV_IMMEDIATE ? MIN(mov->size, 4u) : 0);
    if (unlikely(to_rip))
        mov->address += vcpu->rip + mov->length;
    if (mov->opcode == MOV_IMMEDIATE)
        return mov->reg % 8 == 0;
    return (mov->opcode == MOV_STORE || (mov->opcode == MOV_LOAD && mov->size > 2)) &&
           mov->reg != GPR_RSP;
}

/* The code may have changed since: is this the instruction that made the access? */
static inline bool fits(const struct mov *mov, const struct exit_mem *mem)
{
    uint64_t difference =
        mem->gva_valid ? mov->address ^ mem->gva : (mov->address ^ mem->gpa.value) & PAGE_MASK;

    return !difference && (mov->opcode == MOV_LOAD) == !mem->write &&
           !(mem->gpa.value & (mov->size - 1));
}

static inline bool fetch(struct vcpu *vcpu, uint64_t cr3)
{
    const void *code = guest_mem_used(vcpu->vm, cr3, vcpu->rip, sizeof(vcpu->code));

    if (!code)
        return false;
    __builtin_memcpy(vcpu->code, code, sizeof(vcpu->code));
    return true;
}

bool emul_mov(struct vcpu *vcpu, uint64_t cr3, const struct exit_mem *mem)
{
    uint64_t *r = vcpu->gprs.r;
    struct mov mov;

    if (mem->fetch || mem->in_page_walk || !fetch(vcpu, cr3) || !decode(vcpu, &mov) ||
        !fits(&mov, mem))
        return false;
    if (mem->gpa.value - LAYOUT_LAPIC_BASE >= LAYOUT_LAPIC_SIZE &&
        guest_mem_is_ram(vcpu->vm, mem->gpa))
        return false; /* its page was absent */
    vcpu->insn_len = (uint8_t)mov.length;
    if (mov.opcode == MOV_LOAD)
        r[mov.reg] =
            emul_device_read(vcpu, mem->gpa.value, (uint8_t)mov.size) & insn_mask(mov.size);
    else
        emul_device_write(vcpu, mem->gpa.value, (uint8_t)mov.size,
                          mov.opcode == MOV_STORE ? r[mov.reg] : mov.immediate);
    return true;
}
