/* SPDX-License-Identifier: MIT */
/*
 * Executes decoded instructions on registers, flags and memory callbacks.  Does not decode, does
 * not translate addresses, does not move RIP and injects nothing.
 */
#include "hv/insn.h"

#include "hv/util.h"

#define FLAG_CF    BIT(0)
#define FLAG_PF    BIT(2)
#define FLAG_AF    BIT(4)
#define FLAG_ZF    BIT(6)
#define FLAG_SF    BIT(7)
#define FLAG_DF    BIT(10)
#define FLAG_OF    BIT(11)
#define FLAGS_PZS  (FLAG_PF | FLAG_ZF | FLAG_SF)
#define FLAGS_MATH (FLAGS_PZS | FLAG_CF | FLAG_AF | FLAG_OF)

enum { RAX = 0, RCX = 1, RSI = 6, RDI = 7 };

/* An instruction at work: every function below gets it. */
struct work {
    const struct insn *insn;
    struct insn_env *env;
};

/* ---- Operands ---- */

static uint64_t read_reg(const struct insn_env *env, struct insn_operand reg, unsigned int size)
{
    uint64_t value = env->gpr[reg.reg & 15];

    return (reg.high ? value >> 8 : value) & insn_mask(size);
}

/* 4 bytes clear the upper half, 1 and 2 leave the rest alone. */
static void write_reg(struct insn_env *env, struct insn_operand reg, unsigned int size,
                      uint64_t value)
{
    uint64_t *gpr = &env->gpr[reg.reg & 15];
    unsigned int shift = reg.high ? 8 : 0;
    uint64_t mask = size == 4 ? ~0ull : insn_mask(size) << shift;

    *gpr = (*gpr & ~mask) | ((value & insn_mask(size)) << shift);
}

static void write_accumulator(struct work *w, uint64_t value)
{
    write_reg(w->env, (struct insn_operand){.reg = RAX}, w->insn->operand_size, value);
}

uint64_t insn_address(const struct insn *insn, const uint64_t *gpr, uint64_t rip)
{
    const struct insn_mem *mem = &insn->mem;
    uint64_t address = mem->disp;

    if (mem->base == INSN_REG_RIP)
        address += rip + insn->length;
    else if (mem->base != INSN_NO_REG)
        address += gpr[mem->base & 15];
    if (mem->index != INSN_NO_REG)
        address += gpr[mem->index & 15] * mem->scale;
    return address & insn_mask(insn->address_size);
}

/* The string operands wrap at the address size like the others. */
static uint64_t offset_of(const struct work *w, struct insn_operand operand)
{
    const struct insn_env *env = w->env;
    uint64_t mask = insn_mask(w->insn->address_size);

    switch (operand.kind) {
    case INSN_OPERAND_SI:
        return env->gpr[RSI] & mask;
    case INSN_OPERAND_DI:
        return env->gpr[RDI] & mask;
    default:
        return insn_address(w->insn, env->gpr, env->rip);
    }
}

static enum insn_seg segment_of(const struct work *w, struct insn_operand operand)
{
    return operand.kind == INSN_OPERAND_DI ? INSN_ES : w->insn->mem.segment;
}

static int read_at(struct work *w, enum insn_seg seg, uint64_t offset, unsigned int size,
                   uint64_t *value)
{
    int error = w->env->read(w->env->ctx, seg, offset, size, value);

    *value &= insn_mask(size);
    return error;
}

static int read_operand(struct work *w, struct insn_operand operand, unsigned int size,
                        uint64_t *value)
{
    *value = 0;
    switch (operand.kind) {
    case INSN_OPERAND_REG:
        *value = read_reg(w->env, operand, size);
        return 0;
    case INSN_OPERAND_IMM:
        *value = w->insn->immediate & insn_mask(size);
        return 0;
    default:
        return read_at(w, segment_of(w, operand), offset_of(w, operand), size, value);
    }
}

/* Fails only for memory. */
static int write_operand(struct work *w, struct insn_operand operand, uint64_t value)
{
    unsigned int size = w->insn->operand_size;

    if (operand.kind == INSN_OPERAND_REG) {
        write_reg(w->env, operand, size, value);
        return 0;
    }
    return w->env->write(w->env->ctx, segment_of(w, operand), offset_of(w, operand), size,
                         value & insn_mask(size));
}

static int read_both(struct work *w, uint64_t *dst, uint64_t *src)
{
    const struct insn *insn = w->insn;

    if (read_operand(w, insn->dst, insn->operand_size, dst) != 0)
        return -1;
    return read_operand(w, insn->src, insn->source_size, src);
}

/* ---- Flags ---- */

static void set_flags(struct insn_env *env, uint64_t mask, uint64_t flags)
{
    *env->rflags = (*env->rflags & ~mask) | (flags & mask);
}

static uint64_t top_bit(unsigned int size)
{
    return BIT(8 * size - 1);
}

static uint64_t result_flags(uint64_t result, unsigned int size)
{
    uint64_t nibble = (result ^ (result >> 4)) & 15;
    uint64_t flags = (0x9669u >> nibble) & 1 ? FLAG_PF : 0; /* even parity of the low byte */

    if ((result & insn_mask(size)) == 0)
        flags |= FLAG_ZF;
    if (result & top_bit(size))
        flags |= FLAG_SF;
    return flags;
}

/* carries: in each bit, the carry (or borrow) out of that bit. */
static uint64_t carry_flags(uint64_t carries, unsigned int size)
{
    uint64_t flags = carries & BIT(3) ? FLAG_AF : 0;

    if (carries & top_bit(size))
        flags |= FLAG_CF;
    if ((carries ^ (carries << 1)) & top_bit(size)) /* into the top bit, but not out, or so */
        flags |= FLAG_OF;
    return flags;
}

static uint64_t add(uint64_t a, uint64_t b, uint64_t carry, unsigned int size, uint64_t *flags)
{
    uint64_t sum = (a + b + carry) & insn_mask(size);

    *flags = result_flags(sum, size) | carry_flags((a & b) | ((a | b) & ~sum), size);
    return sum;
}

static uint64_t subtract(uint64_t a, uint64_t b, uint64_t borrow, unsigned int size,
                         uint64_t *flags)
{
    uint64_t difference = (a - b - borrow) & insn_mask(size);

    *flags = result_flags(difference, size) | carry_flags((~a & b) | (~(a ^ b) & difference), size);
    return difference;
}

/* ---- Instructions ---- */

static enum insn_result do_nop(struct work *w)
{
    return INSN_DONE;
}

static uint64_t byte_swap(uint64_t value, unsigned int size)
{
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

static enum insn_result do_mov(struct work *w)
{
    const struct insn *insn = w->insn;
    uint64_t value;

    if (read_operand(w, insn->src, insn->source_size, &value) != 0)
        return INSN_FAULT;
    if (insn->op == INSN_OP_MOVSX)
        value = insn_sign_extend(value, insn->source_size);
    if (insn->op == INSN_OP_MOVBE)
        value = byte_swap(value, insn->operand_size);
    return write_operand(w, insn->dst, value) != 0 ? INSN_FAULT : INSN_DONE;
}

/* The eight arithmetic instructions, and TEST. */
static uint64_t compute(const struct insn *insn, uint64_t carry, uint64_t a, uint64_t b,
                        uint64_t *flags)
{
    unsigned int size = insn->operand_size;
    uint64_t result;

    switch (insn->op) {
    case INSN_OP_ADD:
        return add(a, b, 0, size, flags);
    case INSN_OP_ADC:
        return add(a, b, carry, size, flags);
    case INSN_OP_SUB:
    case INSN_OP_CMP:
        return subtract(a, b, 0, size, flags);
    case INSN_OP_SBB:
        return subtract(a, b, carry, size, flags);
    case INSN_OP_OR:
        result = a | b;
        break;
    case INSN_OP_XOR:
        result = a ^ b;
        break;
    default: /* AND, TEST */
        result = a & b;
        break;
    }
    *flags = result_flags(result, size);
    return result;
}

static bool is_logic(enum insn_op op)
{
    return op == INSN_OP_AND || op == INSN_OP_OR || op == INSN_OP_XOR || op == INSN_OP_TEST;
}

static enum insn_result do_alu(struct work *w)
{
    const struct insn *insn = w->insn;
    uint64_t a, b, flags;

    if (read_both(w, &a, &b) != 0)
        return INSN_FAULT;
    uint64_t result = compute(insn, *w->env->rflags & FLAG_CF, a, b, &flags);
    if (insn->op != INSN_OP_CMP && insn->op != INSN_OP_TEST &&
        write_operand(w, insn->dst, result) != 0)
        return INSN_FAULT;
    /* Logic leaves AF undefined. */
    set_flags(w->env, is_logic(insn->op) ? FLAGS_MATH & ~FLAG_AF : FLAGS_MATH, flags);
    return INSN_DONE;
}

static enum insn_result do_unary(struct work *w)
{
    const struct insn *insn = w->insn;
    unsigned int size = insn->operand_size;
    uint64_t mask = FLAGS_MATH, flags = 0, value;

    if (read_operand(w, insn->dst, size, &value) != 0)
        return INSN_FAULT;
    switch (insn->op) {
    case INSN_OP_INC:
        value = add(value, 1, 0, size, &flags);
        mask &= ~FLAG_CF;
        break;
    case INSN_OP_DEC:
        value = subtract(value, 1, 0, size, &flags);
        mask &= ~FLAG_CF;
        break;
    case INSN_OP_NEG:
        value = subtract(0, value, 0, size, &flags);
        break;
    default: /* NOT */
        value = ~value;
        mask = 0;
        break;
    }
    if (write_operand(w, insn->dst, value) != 0)
        return INSN_FAULT;
    set_flags(w->env, mask, flags);
    return INSN_DONE;
}

static enum insn_result do_xchg(struct work *w)
{
    const struct insn *insn = w->insn;
    uint64_t dst, src;

    if (read_both(w, &dst, &src) != 0 || write_operand(w, insn->dst, src) != 0)
        return INSN_FAULT;
    write_reg(w->env, insn->src, insn->operand_size, dst);
    return INSN_DONE;
}

/* The destination is written last, in case it is the source too; memory can fail, so it is first.
 */
static enum insn_result do_xadd(struct work *w)
{
    const struct insn *insn = w->insn;
    uint64_t dst, src, flags;

    if (read_both(w, &dst, &src) != 0)
        return INSN_FAULT;
    uint64_t sum = add(dst, src, 0, insn->operand_size, &flags);
    if (insn->dst.kind == INSN_OPERAND_MEM && write_operand(w, insn->dst, sum) != 0)
        return INSN_FAULT;
    write_reg(w->env, insn->src, insn->operand_size, dst);
    if (insn->dst.kind == INSN_OPERAND_REG)
        write_reg(w->env, insn->dst, insn->operand_size, sum);
    set_flags(w->env, FLAGS_MATH, flags);
    return INSN_DONE;
}

/*
 * If they differ, a destination in memory is written back and one in a register is left alone:
 * its upper half is not even cleared.
 */
static enum insn_result do_cmpxchg(struct work *w)
{
    const struct insn *insn = w->insn;
    unsigned int size = insn->operand_size;
    uint64_t accumulator = w->env->gpr[RAX] & insn_mask(size);
    uint64_t dst, src, flags;

    if (read_both(w, &dst, &src) != 0)
        return INSN_FAULT;
    subtract(accumulator, dst, 0, size, &flags);
    bool equal = accumulator == dst;
    if ((equal || insn->dst.kind == INSN_OPERAND_MEM) &&
        write_operand(w, insn->dst, equal ? src : dst) != 0)
        return INSN_FAULT;
    if (!equal)
        write_accumulator(w, dst);
    set_flags(w->env, FLAGS_MATH, flags);
    return INSN_DONE;
}

/* A register counts bits from the operand's address, to both sides; an immediate stays inside. */
static uint64_t bit_string_offset(const struct work *w, uint64_t index)
{
    const struct insn *insn = w->insn;
    uint64_t offset = offset_of(w, insn->dst);

    if (insn->src.kind == INSN_OPERAND_REG) {
        int64_t bit = (int64_t)insn_sign_extend(index, insn->operand_size);
        int64_t word = bit >> (insn->operand_size == 8 ? 6 : insn->operand_size == 4 ? 5 : 4);

        offset += (uint64_t)word * insn->operand_size;
    }
    return offset & insn_mask(insn->address_size);
}

static uint64_t change_bit(enum insn_op op, uint64_t value, uint64_t bit)
{
    switch (op) {
    case INSN_OP_BTS:
        return value | bit;
    case INSN_OP_BTR:
        return value & ~bit;
    case INSN_OP_BTC:
        return value ^ bit;
    default:
        return value;
    }
}

/* Flags besides CF are undefined, except for ZF, which stays. */
static enum insn_result do_bit(struct work *w)
{
    const struct insn *insn = w->insn;
    struct insn_env *env = w->env;
    unsigned int size = insn->operand_size;
    bool memory = insn->dst.kind == INSN_OPERAND_MEM;
    uint64_t offset = 0, index, value;

    read_operand(w, insn->src, size, &index); /* a register or an immediate */
    uint64_t bit = BIT(index & (8 * size - 1));

    if (memory) {
        offset = bit_string_offset(w, index);
        if (read_at(w, insn->mem.segment, offset, size, &value) != 0)
            return INSN_FAULT;
    } else {
        value = read_reg(env, insn->dst, size);
    }
    uint64_t changed = change_bit(insn->op, value, bit);
    if (memory && insn->op != INSN_OP_BT &&
        env->write(env->ctx, insn->mem.segment, offset, size, changed) != 0)
        return INSN_FAULT;
    if (!memory && insn->op != INSN_OP_BT)
        write_reg(env, insn->dst, size, changed);
    set_flags(env, FLAG_CF, value & bit ? FLAG_CF : 0);
    return INSN_DONE;
}

/* ---- Strings ---- */

/* Index and count registers have the address size. */
static void advance(struct work *w, unsigned int reg, uint64_t by)
{
    uint64_t value = w->env->gpr[reg] + by;

    write_reg(w->env, (struct insn_operand){.reg = (uint8_t)reg}, w->insn->address_size, value);
}

static bool uses(const struct insn *insn, enum insn_operand_kind kind)
{
    return insn->dst.kind == kind || insn->src.kind == kind;
}

static int string_body(struct work *w)
{
    const struct insn *insn = w->insn;
    uint64_t a, b, flags;

    if (insn->op == INSN_OP_CMPS || insn->op == INSN_OP_SCAS) {
        if (read_both(w, &a, &b) != 0)
            return -1;
        subtract(a, b, 0, insn->operand_size, &flags);
        set_flags(w->env, FLAGS_MATH, flags);
        return 0;
    }
    if (read_operand(w, insn->src, insn->operand_size, &a) != 0)
        return -1;
    return write_operand(w, insn->dst, a);
}

static int string_once(struct work *w)
{
    const struct insn *insn = w->insn;
    uint64_t step = insn->operand_size;

    if (string_body(w) != 0)
        return -1;
    if (*w->env->rflags & FLAG_DF)
        step = -step;
    if (uses(insn, INSN_OPERAND_SI))
        advance(w, RSI, step);
    if (uses(insn, INSN_OPERAND_DI))
        advance(w, RDI, step);
    return 0;
}

/* Whether REP ends after an iteration: at the count's end, or by ZF for CMPS and SCAS. */
static bool is_last(const struct work *w)
{
    const struct insn *insn = w->insn;
    bool zero = *w->env->rflags & FLAG_ZF;

    if ((w->env->gpr[RCX] & insn_mask(insn->address_size)) == 0)
        return true;
    if (insn->op != INSN_OP_CMPS && insn->op != INSN_OP_SCAS)
        return false;
    return zero != (insn->repeat == 0xf3);
}

static enum insn_result do_string(struct work *w)
{
    const struct insn *insn = w->insn;

    if (insn->repeat == 0)
        return string_once(w) != 0 ? INSN_FAULT : INSN_DONE;
    if ((w->env->gpr[RCX] & insn_mask(insn->address_size)) == 0)
        return INSN_DONE;
    for (unsigned int left = MAX(w->env->rep_limit, 1u); left > 0; left--) {
        if (string_once(w) != 0)
            return INSN_FAULT;
        advance(w, RCX, ~0ull);
        if (is_last(w))
            return INSN_DONE;
    }
    return INSN_AGAIN;
}

/* ---- */

static enum insn_result (*const executors[INSN_OP_COUNT])(struct work *) = {
    [INSN_OP_ADD] = do_alu,         [INSN_OP_OR] = do_alu,      [INSN_OP_ADC] = do_alu,
    [INSN_OP_SBB] = do_alu,         [INSN_OP_AND] = do_alu,     [INSN_OP_SUB] = do_alu,
    [INSN_OP_XOR] = do_alu,         [INSN_OP_CMP] = do_alu,     [INSN_OP_TEST] = do_alu,
    [INSN_OP_MOV] = do_mov,         [INSN_OP_MOVZX] = do_mov,   [INSN_OP_MOVSX] = do_mov,
    [INSN_OP_MOVBE] = do_mov,       [INSN_OP_XCHG] = do_xchg,   [INSN_OP_XADD] = do_xadd,
    [INSN_OP_CMPXCHG] = do_cmpxchg, [INSN_OP_INC] = do_unary,   [INSN_OP_DEC] = do_unary,
    [INSN_OP_NOT] = do_unary,       [INSN_OP_NEG] = do_unary,   [INSN_OP_BT] = do_bit,
    [INSN_OP_BTS] = do_bit,         [INSN_OP_BTR] = do_bit,     [INSN_OP_BTC] = do_bit,
    [INSN_OP_MOVS] = do_string,     [INSN_OP_CMPS] = do_string, [INSN_OP_STOS] = do_string,
    [INSN_OP_LODS] = do_string,     [INSN_OP_SCAS] = do_string, [INSN_OP_NOP] = do_nop,
};

enum insn_result insn_execute(const struct insn *insn, struct insn_env *env)
{
    struct work work = {.insn = insn, .env = env};

    if (insn->ud)
        return INSN_UD;
    if (insn->op >= INSN_OP_COUNT || executors[insn->op] == NULL)
        return INSN_UNSUPPORTED;
    return executors[insn->op](&work);
}
