/* SPDX-License-Identifier: MIT */
/*
 * The instruction decoder: bytes to struct insn, by the tables in insn_table.h.  Looks at no
 * register and no memory but the bytes it is given, so it decides nothing about faults except #UD.
 */
#include "hv/insn.h"

#include "hv/errno.h"
#include "hv/insn_table.h"
#include "hv/util.h"

#define REX_B 1
#define REX_X 2
#define REX_R 4
#define REX_W 8

/* What is being decoded, and how far it got.  After an error every byte reads as 0. */
struct cursor {
    struct insn *insn;
    const uint8_t *bytes;
    unsigned int available, at;
    int error;
};

static uint64_t fetch(struct cursor *c, unsigned int size)
{
    uint64_t value = 0;

    if (c->error != 0)
        return 0;
    if (size > INSN_MAX_LENGTH - c->at) {
        c->error = -EINVAL;
        return 0;
    }
    if (size > c->available - c->at) {
        c->error = -EAGAIN;
        return 0;
    }
    for (unsigned int i = 0; i < size; i++)
        value |= (uint64_t)c->bytes[c->at++] << (8 * i);
    return value;
}

static uint64_t fetch_signed(struct cursor *c, unsigned int size)
{
    return insn_sign_extend(fetch(c, size), size);
}

static void refuse(struct cursor *c)
{
    if (c->error == 0)
        c->error = -EINVAL;
}

static bool is_rex(uint8_t byte, enum insn_mode mode)
{
    return mode == INSN_64 && (byte & 0xf0) == 0x40;
}

static bool is_legacy_prefix(uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
        return true;
    default:
        return false;
    }
}

static void note_prefix(struct insn *insn, uint8_t byte)
{
    switch (byte) {
    case 0x64:
    case 0x65:
        insn->segment_override = (uint8_t)(INSN_FS + (byte & 1));
        break;
    case 0x66:
        insn->opsize = true;
        break;
    case 0x67:
        insn->addrsize = true;
        break;
    case 0xf0:
        insn->lock = true;
        break;
    case 0xf2:
    case 0xf3:
        insn->repeat = byte;
        break;
    default: /* ES, CS, SS, DS: nothing in 64-bit mode, not even after FS or GS */
        if (insn->mode != INSN_64)
            insn->segment_override = (byte >> 3) & 3;
        break;
    }
}

/* Take all prefixes; return the first byte of the opcode.  REX counts only if it is the last. */
static uint8_t read_prefixes(struct cursor *c)
{
    struct insn *insn = c->insn;

    for (;;) {
        uint8_t byte = (uint8_t)fetch(c, 1);

        if (is_rex(byte, insn->mode)) {
            insn->rex = byte;
        } else if (is_legacy_prefix(byte)) {
            insn->rex = 0;
            note_prefix(insn, byte);
        } else {
            return byte;
        }
    }
}

static struct opcode look_up_three_byte(uint8_t byte)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(three_byte); i++) {
        if (three_byte[i].byte == byte)
            return three_byte[i].opcode;
    }
    return (struct opcode){0};
}

static struct opcode look_up(struct cursor *c)
{
    struct insn *insn = c->insn;

    insn->opcode = read_prefixes(c);
    if (insn->opcode == 0x90 && !(insn->rex & REX_B)) /* does not clear the upper half of RAX */
        return (struct opcode){.op = INSN_OP_NOP};
    if (insn->opcode != 0x0f)
        return one_byte[insn->opcode];

    insn->map = 1;
    insn->opcode = (uint8_t)fetch(c, 1);
    if (insn->opcode != 0x38)
        return two_byte[insn->opcode];

    insn->map = 2;
    insn->opcode = (uint8_t)fetch(c, 1);
    return look_up_three_byte(insn->opcode);
}

static bool has_modrm(const struct opcode *opcode)
{
    return (opcode->flags & GROUP) || (opcode->dst >= E && opcode->dst <= SREG) ||
           (opcode->src >= E && opcode->src <= SREG);
}

static unsigned int modrm_mod(const struct insn *insn)
{
    return insn->modrm >> 6;
}

static unsigned int modrm_reg(const struct insn *insn)
{
    return (insn->modrm >> 3) & 7;
}

static struct opcode group_member(const struct insn *insn, const struct opcode *opcode)
{
    unsigned int reg = modrm_reg(insn);
    struct opcode member = groups[opcode->op][reg];

    if (modrm_mod(insn) == 3 && opcode->op == GROUP_0F01 && system_ops[insn->modrm & 63] != 0) {
        member = (struct opcode){.op = system_ops[insn->modrm & 63]};
        if (member.op == INSN_OP_SWAPGS)
            member.flags = ONLY64;
    }
    if (modrm_mod(insn) == 3 && opcode->op == GROUP_0FC7 && reg >= 6)
        member = random_ops[reg - 6];
    member.flags |= opcode->flags & BYTE;
    return member;
}

/* Read ModRM if there is one, and use it as far as it says which instruction this is. */
static struct opcode apply_modrm(struct cursor *c, struct opcode opcode)
{
    struct insn *insn = c->insn;

    if (!has_modrm(&opcode))
        return opcode;
    insn->modrm = (uint8_t)fetch(c, 1);
    if (opcode.flags & GROUP)
        return group_member(insn, &opcode);
    if (opcode.flags & REG_IS_OP)
        opcode.op = (uint8_t)(opcode.op + modrm_reg(insn));
    return opcode;
}

static bool has_prefix(const struct insn *insn, uint8_t prefix)
{
    return insn->repeat != 0 ? insn->repeat == prefix : insn->opsize && prefix == 0x66;
}

static uint8_t apply_prefix(const struct insn *insn, uint8_t op)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(prefixed); i++) {
        if (prefixed[i].op == op && has_prefix(insn, prefixed[i].prefix))
            return prefixed[i].becomes;
    }
    return op;
}

/* Whether the opcode exists here: in this mode, with these prefixes and this ModRM. */
static bool exists(const struct insn *insn, const struct opcode *opcode)
{
    uint32_t violated = insn->mode == INSN_64 ? NO64 : ONLY64;

    if (modrm_mod(insn) == 3)
        violated |= MEM;
    if (modrm_reg(insn) != 0)
        violated |= REG_IS_ZERO;
    violated |= insn->opsize ? NO_PREFIX : NEED_66;
    if (insn->repeat != 0)
        violated |= NO_PREFIX | NO_REPEAT;
    return insn->op != INSN_OP_NONE && !(opcode->flags & violated);
}

static uint8_t effective_operand_size(const struct insn *insn)
{
    if (insn->rex & REX_W)
        return 8;
    return (insn->mode == INSN_16) == insn->opsize ? 4 : 2;
}

static uint8_t operand_size(const struct insn *insn, uint32_t flags)
{
    uint8_t size = effective_operand_size(insn);

    if (flags & BYTE)
        return 1;
    if ((flags & WORD) || ((flags & WORD_MEM) && modrm_mod(insn) != 3))
        return 2;
    if (flags & NATURAL)
        return insn->mode == INSN_64 ? 8 : 4;
    if (flags & MAX4)
        return MIN(size, 4);
    if (flags & MIN4)
        return MAX(size, 4);
    if (flags & DOUBLE)
        return size == 8 ? 16 : 8;
    return size;
}

static uint8_t source_size(const struct insn *insn, uint32_t flags)
{
    if (flags & SRC1)
        return 1;
    if (flags & SRC2)
        return 2;
    if (flags & SRC4)
        return MIN(insn->operand_size, 4);
    return insn->operand_size;
}

static uint8_t address_size(const struct insn *insn)
{
    switch (insn->mode) {
    case INSN_16:
        return insn->addrsize ? 4 : 2;
    case INSN_32:
        return insn->addrsize ? 2 : 4;
    default:
        return insn->addrsize ? 4 : 8;
    }
}

/* ModRM.mod 1 and 2, and what 0 makes of a base that is not there. */
static uint64_t read_disp(struct cursor *c, bool no_base, unsigned int full)
{
    switch (modrm_mod(c->insn)) {
    case 0:
        return no_base ? fetch_signed(c, full) : 0;
    case 1:
        return fetch_signed(c, 1);
    default:
        return fetch_signed(c, full);
    }
}

static void read_memory16(struct cursor *c)
{
    enum { BX = 3, BP = 5, SI_REG, DI_REG, NONE = INSN_NO_REG };
    static const uint8_t bases[8] = {BX, BX, BP, BP, SI_REG, DI_REG, BP, BX};
    static const uint8_t indices[8] = {SI_REG, DI_REG, SI_REG, DI_REG, NONE, NONE, NONE, NONE};
    struct insn_mem *mem = &c->insn->mem;
    unsigned int rm = c->insn->modrm & 7;
    bool no_base = modrm_mod(c->insn) == 0 && rm == 6;

    mem->base = no_base ? INSN_NO_REG : bases[rm];
    mem->index = indices[rm];
    mem->disp = read_disp(c, no_base, 2);
}

static void read_sib(struct cursor *c)
{
    struct insn *insn = c->insn;
    struct insn_mem *mem = &insn->mem;

    insn->sib = (uint8_t)fetch(c, 1);
    uint8_t index = (uint8_t)(((insn->sib >> 3) & 7) | (insn->rex & REX_X ? 8 : 0));
    bool no_base = modrm_mod(insn) == 0 && (insn->sib & 7) == 5;

    mem->index = index == 4 ? INSN_NO_REG : index; /* 12 is R12 */
    mem->scale = (uint8_t)(1 << (insn->sib >> 6));
    mem->base = no_base ? INSN_NO_REG : (uint8_t)((insn->sib & 7) | (insn->rex & REX_B ? 8 : 0));
    mem->disp = read_disp(c, no_base, 4);
}

static void read_memory32(struct cursor *c)
{
    struct insn *insn = c->insn;
    struct insn_mem *mem = &insn->mem;
    uint8_t rm = insn->modrm & 7;
    bool no_base = modrm_mod(insn) == 0 && rm == 5;

    if (rm == 4) {
        read_sib(c);
        return;
    }
    mem->base = (uint8_t)(rm | (insn->rex & REX_B ? 8 : 0));
    if (no_base)
        mem->base = insn->mode == INSN_64 ? INSN_REG_RIP : INSN_NO_REG;
    mem->disp = read_disp(c, no_base, 4);
}

static void set_segment(struct insn *insn, enum insn_seg by_default)
{
    insn->mem.segment =
        insn->segment_override == INSN_NO_REG ? (uint8_t)by_default : insn->segment_override;
}

static struct insn_operand read_memory(struct cursor *c)
{
    struct insn *insn = c->insn;

    if (insn->address_size == 2)
        read_memory16(c);
    else
        read_memory32(c);
    set_segment(insn, insn->mem.base == 4 || insn->mem.base == 5 ? INSN_SS : INSN_DS);
    return (struct insn_operand){.kind = INSN_OPERAND_MEM};
}

/* Without REX, byte registers 4 to 7 are AH, CH, DH, BH. */
static struct insn_operand general(const struct insn *insn, unsigned int number, bool extend,
                                   unsigned int size)
{
    bool high = size == 1 && insn->rex == 0 && number >= 4;

    return (struct insn_operand){
        .kind = INSN_OPERAND_REG,
        .reg = (uint8_t)(high ? number - 4 : number + (extend ? 8 : 0)),
        .high = high,
    };
}

static struct insn_operand read_rm(struct cursor *c, uint32_t flags, unsigned int size)
{
    if (modrm_mod(c->insn) == 3 || (flags & ANY_MOD))
        return general(c->insn, c->insn->modrm & 7, c->insn->rex & REX_B, size);
    return read_memory(c);
}

/* On AMD's processors LOCK makes CR0 CR8, so that 32-bit code can reach it; elsewhere it faults
 * before it exits. */
static struct insn_operand control(const struct insn *insn)
{
    unsigned int number = modrm_reg(insn) | (insn->rex & REX_R ? 8 : 0);

    if (insn->lock && number == 0 && (insn->opcode & 1) == 0)
        number = 8;
    return (struct insn_operand){.kind = INSN_OPERAND_CONTROL, .reg = (uint8_t)number};
}

static struct insn_operand immediate(struct insn *insn, uint64_t value)
{
    insn->immediate = value;
    return (struct insn_operand){.kind = INSN_OPERAND_IMM};
}

static struct insn_operand read_absolute(struct cursor *c)
{
    struct insn *insn = c->insn;

    insn->mem.base = INSN_NO_REG;
    insn->mem.index = INSN_NO_REG;
    insn->mem.disp = fetch(c, insn->address_size);
    set_segment(insn, INSN_DS);
    return (struct insn_operand){.kind = INSN_OPERAND_MEM};
}

static struct insn_operand read_operand(struct cursor *c, enum encoding encoding, uint32_t flags,
                                        unsigned int size)
{
    struct insn *insn = c->insn;

    switch (encoding) {
    case NO:
        break;
    case E:
        return read_rm(c, flags, size);
    case G:
        return general(insn, modrm_reg(insn), insn->rex & REX_R, size);
    case CTL:
        return control(insn);
    case SREG:
        return (struct insn_operand){.kind = INSN_OPERAND_SEGMENT, .reg = (uint8_t)modrm_reg(insn)};
    case Z:
        return general(insn, insn->opcode & 7, insn->rex & REX_B, size);
    case A:
        return (struct insn_operand){.kind = INSN_OPERAND_REG, .reg = 0};
    case DX:
        return (struct insn_operand){.kind = INSN_OPERAND_REG, .reg = 2};
    case IB:
        return immediate(insn, fetch_signed(c, 1));
    case IU:
        return immediate(insn, fetch(c, 1));
    case IZ:
        return immediate(insn, fetch_signed(c, MIN(size, 4)));
    case IV:
        return immediate(insn, fetch(c, size));
    case O:
        return read_absolute(c);
    case SI:
        set_segment(insn, INSN_DS);
        return (struct insn_operand){.kind = INSN_OPERAND_SI};
    case DI:
        return (struct insn_operand){.kind = INSN_OPERAND_DI};
    }
    return (struct insn_operand){.kind = INSN_OPERAND_NONE};
}

static bool is_cr(unsigned int number)
{
    return number == 0 || (number >= 2 && number <= 4) || number == 8;
}

/* What the processor refuses although the length is clear. */
static bool is_undefined(const struct insn *insn, uint32_t flags)
{
    bool lock_may_stand =
        (flags & LOCKABLE) && insn->dst.kind == INSN_OPERAND_MEM && insn->op != INSN_OP_CMP;

    switch (insn->op) {
    case INSN_OP_MOV_FROM_CR:
    case INSN_OP_MOV_TO_CR: {
        unsigned int number =
            insn->dst.kind == INSN_OPERAND_CONTROL ? insn->dst.reg : insn->src.reg;
        return !is_cr(number) || (insn->lock && number != 8);
    }
    case INSN_OP_MOV_FROM_DR:
    case INSN_OP_MOV_TO_DR:
        return (insn->rex & REX_R) || insn->lock;
    case INSN_OP_MOV_FROM_SEG:
        return insn->src.reg > INSN_GS || insn->lock;
    case INSN_OP_MOV_TO_SEG:
        return insn->dst.reg > INSN_GS || insn->dst.reg == INSN_CS || insn->lock;
    default:
        return insn->lock && !lock_may_stand;
    }
}

int insn_decode(struct insn *out, const uint8_t *bytes, unsigned int available, enum insn_mode mode)
{
    struct cursor c = {.insn = out, .bytes = bytes, .available = available};

    *out = (struct insn){
        .mode = (uint8_t)mode,
        .segment_override = INSN_NO_REG,
        .mem = {.base = INSN_NO_REG, .index = INSN_NO_REG, .scale = 1, .segment = INSN_DS},
    };
    struct opcode opcode = apply_modrm(&c, look_up(&c));
    uint32_t flags = opcode.flags;

    out->op = apply_prefix(out, opcode.op);
    if (!exists(out, &opcode))
        refuse(&c);
    if (c.error != 0)
        return c.error;

    out->operand_size = operand_size(out, flags);
    out->source_size = source_size(out, flags);
    out->address_size = address_size(out);
    out->dst = read_operand(&c, opcode.dst, flags, out->operand_size);
    out->src = read_operand(&c, opcode.src, flags, out->source_size);
    out->length = (uint8_t)c.at;
    out->ud = is_undefined(out, flags);
    return c.error;
}

/* The number of bytes, up to available, that are prefixes. */
static unsigned int count_prefixes(const uint8_t *bytes, unsigned int available,
                                   enum insn_mode mode)
{
    unsigned int at = 0;

    while (at < available && (is_legacy_prefix(bytes[at]) || is_rex(bytes[at], mode)))
        at++;
    return at;
}

/* The length of the opcode at bytes if it is op's and has nothing after it, else 0. */
static unsigned int match_plain(enum insn_op op, const uint8_t *bytes, unsigned int available)
{
    const struct opcode *opcode = &one_byte[0x0f];
    unsigned int length = 0;

    if (available >= 1 && bytes[0] != 0x0f) {
        opcode = &one_byte[bytes[0]];
        length = 1;
    } else if (available >= 3 && bytes[1] == 0x01 && bytes[2] >= 0xc0) {
        return system_ops[bytes[2] & 63] == op ? 3 : 0;
    } else if (available >= 2) {
        opcode = &two_byte[bytes[1]];
        length = 2;
    }
    bool plain = opcode->dst == NO && opcode->src == NO && !(opcode->flags & GROUP);
    return plain && opcode->op == op ? length : 0;
}

int insn_length_of(enum insn_op expected, const uint8_t *bytes, unsigned int available,
                   enum insn_mode mode)
{
    unsigned int prefixes = count_prefixes(bytes, available, mode);
    unsigned int plain = match_plain(expected, bytes + prefixes, available - prefixes);
    struct insn insn;

    if (plain != 0 && prefixes + plain <= INSN_MAX_LENGTH)
        return (int)(prefixes + plain);

    int error = insn_decode(&insn, bytes, available, mode);
    if (error != 0)
        return error;
    return insn.op == expected ? insn.length : -EINVAL;
}
