/* SPDX-License-Identifier: MIT */
/*
 * The moves by which drivers reach their devices, without the general decoder: MOV between a
 * register and memory, or of an immediate to memory, of four or eight bytes, in 64-bit code.  The
 * CPU has translated the address already.
 */
#include "hv/emul.h"

#include "arch/x86/paging.h"
#include "hv/guest_mem.h"
#include "hv/layout.h"
#include "hv/util.h"
#include "hv/vcpu.h"

enum { MOV_STORE = 0x89, MOV_LOAD = 0x8b, MOV_IMMEDIATE = 0xc7 };

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

/* False: another instruction, or one with RSP, an index or a prefix other than REX. */
static inline bool decode(const struct vcpu *vcpu, struct mov *mov)
{
    const uint8_t *at = vcpu->code;
    unsigned int rex = (*at & 0xf0) == 0x40 ? *at++ : 0;
    unsigned int modrm = at[1];
    unsigned int mode = modrm >> 6;
    unsigned int base = modrm & 7;
    bool to_rip = mode == 0 && base == 5;
    bool absolute = false;

    mov->opcode = *at;
    mov->immediate = 0;
    if ((mov->opcode != MOV_STORE && mov->opcode != MOV_LOAD && mov->opcode != MOV_IMMEDIATE) ||
        mode == 3)
        return false;
    at += 2;
    if (base == 4) {
        base = *at & 7;
        absolute = mode == 0 && base == 5;
        if ((*at++ >> 3 & 7) != 4 || (rex & REX_X))
            return false;
    }
    base |= (rex & REX_B) << 3;
    mov->reg = (modrm >> 3 & 7) | (rex & REX_R) << 1;
    if (base == GPR_RSP || mov->reg == GPR_RSP)
        return false;
    mov->size = rex & REX_W ? 8 : 4;
    mov->address = to_rip || absolute ? 0 : vcpu->gprs.r[base];
    if (mode == 1) {
        mov->address += (uint64_t)(int8_t)*at++;
    } else if (mode == 2 || to_rip || absolute) {
        mov->address += (uint64_t)word_at(at);
        at += 4;
    }
    if (mov->opcode == MOV_IMMEDIATE) {
        mov->immediate = (uint64_t)word_at(at);
        at += 4;
    }
    mov->length = (unsigned int)(at - vcpu->code);
    if (to_rip)
        mov->address += vcpu->rip + mov->length;
    return mov->opcode != MOV_IMMEDIATE || mov->reg % 8 == 0;
}

/* The code may have changed since: is this the instruction that made the access? */
static inline bool fits(const struct mov *mov, const struct exit_mem *mem)
{
    uint64_t difference =
        mem->gva_valid ? mov->address ^ mem->gva : (mov->address ^ mem->gpa.value) & PAGE_MASK;

    return !difference && (mov->opcode == MOV_LOAD) == !mem->write &&
           !(mem->gpa.value & (mov->size - 1));
}

static inline bool fetch(struct vcpu *vcpu)
{
    const void *code;

    if (!(backend->mode(vcpu) & MODE_CODE64))
        return false;
    code =
        guest_mem_used(vcpu->vm, backend->get_reg(vcpu, VCPU_CR3), vcpu->rip, sizeof(vcpu->code));
    if (!code)
        return false;
    __builtin_memcpy(vcpu->code, code, sizeof(vcpu->code));
    return true;
}

bool emul_mov(struct vcpu *vcpu, const struct exit_mem *mem)
{
    uint64_t *r = vcpu->gprs.r;
    struct mov mov;

    if (mem->fetch || mem->in_page_walk || !fetch(vcpu) || !decode(vcpu, &mov) || !fits(&mov, mem))
        return false;
    if (mem->gpa.value - LAYOUT_LAPIC_BASE >= LAYOUT_LAPIC_SIZE &&
        guest_mem_is_ram(vcpu->vm, mem->gpa))
        return false; /* another CPU's mapping has overtaken the exit */
    vcpu->insn_len = (uint8_t)mov.length;
    if (mov.opcode == MOV_LOAD)
        r[mov.reg] =
            emul_device_read(vcpu, mem->gpa.value, (uint8_t)mov.size) & insn_mask(mov.size);
    else
        emul_device_write(vcpu, mem->gpa.value, (uint8_t)mov.size,
                          mov.opcode == MOV_STORE ? r[mov.reg] : mov.immediate);
    return true;
}
