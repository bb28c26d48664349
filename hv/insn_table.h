/* SPDX-License-Identifier: MIT */
/* The opcode maps of insn.c, and nothing else; operands are written with the manuals' letters. */
#pragma once

#include "hv/insn.h"
#include "hv/util.h"

enum encoding {
    NO = 0,
    /* These need a ModRM byte. */
    E,    /* ModRM.rm: register or memory */
    G,    /* ModRM.reg */
    CTL,  /* ModRM.reg: a control or debug register */
    SREG, /* ModRM.reg: a segment register */
    /* These do not. */
    Z,  /* the low three bits of the opcode */
    A,  /* the accumulator */
    DX, /* the port register */
    IB, /* a signed byte */
    IU, /* an unsigned byte */
    IZ, /* signed, of the operand size up to 4 bytes */
    IV, /* of the operand size up to 8 bytes */
    O,  /* an absolute offset */
    SI, /* segment:rSI */
    DI, /* ES:rDI */
};

enum opcode_flag {
    BYTE = BIT(0),         /* operands of 1 byte */
    WORD = BIT(1),         /* operands of 2 bytes */
    WORD_MEM = BIT(2),     /* 2 bytes in memory, the operand size in a register */
    NATURAL = BIT(3),      /* 8 bytes in 64-bit mode, else 4; no prefix changes it */
    MAX4 = BIT(4),         /* at most 4 bytes */
    MIN4 = BIT(5),         /* at least 4 bytes */
    DOUBLE = BIT(6),       /* 16 bytes with REX.W, else 8 */
    SRC1 = BIT(7),         /* a source of 1 byte */
    SRC2 = BIT(8),         /* a source of 2 bytes */
    SRC4 = BIT(9),         /* a source of up to 4 bytes */
    NO64 = BIT(10),        /* not in 64-bit mode */
    ONLY64 = BIT(11),      /* only in 64-bit mode */
    MEM = BIT(12),         /* ModRM must name memory */
    ANY_MOD = BIT(13),     /* ModRM names a register whatever its mod says */
    LOCKABLE = BIT(14),    /* LOCK may stand before it if the destination is memory */
    NO_PREFIX = BIT(15),   /* with 66, F2 or F3 it is another instruction, or none */
    NO_REPEAT = BIT(16),   /* with F2 or F3 it is */
    NEED_66 = BIT(17),     /* without 66 it is */
    REG_IS_OP = BIT(18),   /* ModRM.reg is added to op */
    REG_IS_ZERO = BIT(19), /* ModRM.reg must be 0 */
    GROUP = BIT(20),       /* op is an index into groups[], ModRM.reg another */
};

struct opcode {
    uint8_t op;       /* enum insn_op */
    uint8_t dst, src; /* enum encoding */
    uint32_t flags;
};

enum { GROUP_F6, GROUP_FE, GROUP_0F00, GROUP_0F01, GROUP_0FBA, GROUP_0FC7, GROUP_COUNT };

#define PAIR(base, op, dst, src, flags) /* an even opcode for bytes, the odd one for the rest */ \
    [(base)] = {op, dst, src, BYTE | (flags)}, [(base) + 1] = {op, dst, src, (flags)}
#define ALU(base, op, flags) \
    PAIR((base), op, E, G, flags), PAIR((base) + 2, op, G, E, 0), PAIR((base) + 4, op, A, IZ, 0)
#define TIMES8(base, op, dst, src, flags) [(base)...(base) + 7] = {op, dst, src, flags}

static const struct opcode one_byte[256] = {
    ALU(0x00, INSN_OP_ADD, LOCKABLE),
    ALU(0x08, INSN_OP_OR, LOCKABLE),
    ALU(0x10, INSN_OP_ADC, LOCKABLE),
    ALU(0x18, INSN_OP_SBB, LOCKABLE),
    ALU(0x20, INSN_OP_AND, LOCKABLE),
    ALU(0x28, INSN_OP_SUB, LOCKABLE),
    ALU(0x30, INSN_OP_XOR, LOCKABLE),
    ALU(0x38, INSN_OP_CMP, 0),
    TIMES8(0x40, INSN_OP_INC, Z, NO, NO64),
    TIMES8(0x48, INSN_OP_DEC, Z, NO, NO64),
    [0x63] = {INSN_OP_MOVSX, G, E, ONLY64 | SRC4},
    PAIR(0x6c, INSN_OP_INS, DI, DX, MAX4),
    PAIR(0x6e, INSN_OP_OUTS, DX, SI, MAX4),
    PAIR(0x80, INSN_OP_ADD, E, IZ, REG_IS_OP | LOCKABLE),
    [0x82] = {INSN_OP_ADD, E, IB, REG_IS_OP | LOCKABLE | BYTE | NO64},
    [0x83] = {INSN_OP_ADD, E, IB, REG_IS_OP | LOCKABLE},
    PAIR(0x84, INSN_OP_TEST, E, G, 0),
    PAIR(0x86, INSN_OP_XCHG, E, G, LOCKABLE),
    PAIR(0x88, INSN_OP_MOV, E, G, 0),
    PAIR(0x8a, INSN_OP_MOV, G, E, 0),
    [0x8c] = {INSN_OP_MOV_FROM_SEG, E, SREG, WORD_MEM},
    [0x8e] = {INSN_OP_MOV_TO_SEG, SREG, E, WORD},
    TIMES8(0x90, INSN_OP_XCHG, Z, A, 0), /* 90 itself: see look_up() */
    PAIR(0xa0, INSN_OP_MOV, A, O, 0),
    PAIR(0xa2, INSN_OP_MOV, O, A, 0),
    PAIR(0xa4, INSN_OP_MOVS, DI, SI, 0),
    PAIR(0xa6, INSN_OP_CMPS, SI, DI, 0),
    PAIR(0xa8, INSN_OP_TEST, A, IZ, 0),
    PAIR(0xaa, INSN_OP_STOS, DI, A, 0),
    PAIR(0xac, INSN_OP_LODS, A, SI, 0),
    PAIR(0xae, INSN_OP_SCAS, A, DI, 0),
    TIMES8(0xb0, INSN_OP_MOV, Z, IZ, BYTE),
    TIMES8(0xb8, INSN_OP_MOV, Z, IV, 0),
    PAIR(0xc6, INSN_OP_MOV, E, IZ, REG_IS_ZERO),
    [0xcc] = {INSN_OP_INT3, NO, NO, 0},
    [0xcd] = {INSN_OP_INT, NO, IU, 0},
    [0xce] = {INSN_OP_INTO, NO, NO, NO64},
    [0xcf] = {INSN_OP_IRET, NO, NO, 0},
    PAIR(0xe4, INSN_OP_IN, A, IU, MAX4),
    PAIR(0xe6, INSN_OP_OUT, IU, A, MAX4),
    PAIR(0xec, INSN_OP_IN, A, DX, MAX4),
    PAIR(0xee, INSN_OP_OUT, DX, A, MAX4),
    [0xf1] = {INSN_OP_INT1, NO, NO, 0},
    [0xf4] = {INSN_OP_HLT, NO, NO, 0},
    PAIR(0xf6, GROUP_F6, NO, NO, GROUP),
    PAIR(0xfe, GROUP_FE, NO, NO, GROUP),
};

static const struct opcode two_byte[256] = {
    [0x00] = {GROUP_0F00, NO, NO, GROUP},
    [0x01] = {GROUP_0F01, NO, NO, GROUP},
    [0x06] = {INSN_OP_CLTS, NO, NO, 0},
    [0x08] = {INSN_OP_INVD, NO, NO, 0},
    [0x09] = {INSN_OP_WBINVD, NO, NO, 0},
    [0x20] = {INSN_OP_MOV_FROM_CR, E, CTL, NATURAL | ANY_MOD},
    [0x21] = {INSN_OP_MOV_FROM_DR, E, CTL, NATURAL | ANY_MOD},
    [0x22] = {INSN_OP_MOV_TO_CR, CTL, E, NATURAL | ANY_MOD},
    [0x23] = {INSN_OP_MOV_TO_DR, CTL, E, NATURAL | ANY_MOD},
    [0x30] = {INSN_OP_WRMSR, NO, NO, 0},
    [0x31] = {INSN_OP_RDTSC, NO, NO, 0},
    [0x32] = {INSN_OP_RDMSR, NO, NO, 0},
    [0x33] = {INSN_OP_RDPMC, NO, NO, 0},
    [0x78] = {INSN_OP_VMREAD, E, G, NATURAL | NO_PREFIX},
    [0x79] = {INSN_OP_VMWRITE, G, E, NATURAL | NO_PREFIX},
    [0xa2] = {INSN_OP_CPUID, NO, NO, 0},
    [0xa3] = {INSN_OP_BT, E, G, 0},
    [0xaa] = {INSN_OP_RSM, NO, NO, 0},
    [0xab] = {INSN_OP_BTS, E, G, LOCKABLE},
    PAIR(0xb0, INSN_OP_CMPXCHG, E, G, LOCKABLE),
    [0xb3] = {INSN_OP_BTR, E, G, LOCKABLE},
    [0xb6] = {INSN_OP_MOVZX, G, E, SRC1},
    [0xb7] = {INSN_OP_MOVZX, G, E, SRC2},
    [0xba] = {GROUP_0FBA, NO, NO, GROUP},
    [0xbb] = {INSN_OP_BTC, E, G, LOCKABLE},
    [0xbe] = {INSN_OP_MOVSX, G, E, SRC1},
    [0xbf] = {INSN_OP_MOVSX, G, E, SRC2},
    PAIR(0xc0, INSN_OP_XADD, E, G, LOCKABLE),
    [0xc3] = {INSN_OP_MOV, E, G, MIN4 | MEM | NO_PREFIX},
    [0xc7] = {GROUP_0FC7, NO, NO, GROUP},
};

/* 0F 38 holds too few of them for a table of 256. */
static const struct {
    uint8_t byte;
    struct opcode opcode;
} three_byte[] = {
    {0x80, {INSN_OP_INVEPT, G, E, NATURAL | MEM | NEED_66 | NO_REPEAT}},
    {0x81, {INSN_OP_INVVPID, G, E, NATURAL | MEM | NEED_66 | NO_REPEAT}},
    {0x82, {INSN_OP_INVPCID, G, E, NATURAL | MEM | NEED_66 | NO_REPEAT}},
    {0xf0, {INSN_OP_MOVBE, G, E, MEM | NO_REPEAT}},
    {0xf1, {INSN_OP_MOVBE, E, G, MEM | NO_REPEAT}},
};

static const struct opcode groups[GROUP_COUNT][8] =
    {
        [GROUP_F6] =
            {
                {INSN_OP_TEST, E, IZ, 0},
                {INSN_OP_TEST, E, IZ, 0}, /* undocumented by Intel, and does the same */
                {INSN_OP_NOT, E, NO, LOCKABLE},
                {INSN_OP_NEG, E, NO, LOCKABLE},
            },
        [GROUP_FE] =
            {
                {INSN_OP_INC, E, NO, LOCKABLE},
                {INSN_OP_DEC, E, NO, LOCKABLE},
            },
        [GROUP_0F00] =
            {
                {INSN_OP_SLDT, E, NO, WORD_MEM},
                {INSN_OP_STR, E, NO, WORD_MEM},
                {INSN_OP_LLDT, NO, E, WORD},
                {INSN_OP_LTR, NO, E, WORD},
            },
        /* With memory; with registers only 4 and 6, the rest is system_ops[]. */
        [GROUP_0F01] =
            {
                {INSN_OP_SGDT, E, NO, MEM},
                {INSN_OP_SIDT, E, NO, MEM},
                {INSN_OP_LGDT, NO, E, MEM},
                {INSN_OP_LIDT, NO, E, MEM},
                {INSN_OP_SMSW, E, NO, WORD_MEM},
                {0},
                {INSN_OP_LMSW, NO, E, WORD},
                {INSN_OP_INVLPG, NO, E, MEM},
            },
        [GROUP_0FBA] =
            {
                [4] = {INSN_OP_BT, E, IU, 0},
                [5] = {INSN_OP_BTS, E, IU, LOCKABLE},
                [6] = {INSN_OP_BTR, E, IU, LOCKABLE},
                [7] = {INSN_OP_BTC, E, IU, LOCKABLE},
            },
        /* With memory; with registers: random_ops[]. */
        [GROUP_0FC7] =
            {
                [1] = {INSN_OP_CMPXCHG8B, E, NO, DOUBLE | MEM | LOCKABLE},
                [3] = {INSN_OP_XRSTORS, NO, E, MEM | NO_PREFIX},
                [5] = {INSN_OP_XSAVES, E, NO, MEM | NO_PREFIX},
                [6] = {INSN_OP_VMPTRLD, NO, E, MEM},
                [7] = {INSN_OP_VMPTRST, E, NO, MEM | NO_PREFIX},
            },
};

/* 0F C7 /6 and /7 with a register. */
static const struct opcode random_ops[2] = {
    {INSN_OP_RDRAND, E, NO, NO_REPEAT}, {INSN_OP_RDSEED, E, NO, NO_REPEAT}, /* with F3 RDPID */
};

/* 0F 01 with a ModRM of C0 to FF, less C0. */
static const uint8_t system_ops[64] = {
    [0x01] = INSN_OP_VMCALL, [0x02] = INSN_OP_VMLAUNCH, [0x03] = INSN_OP_VMRESUME,
    [0x04] = INSN_OP_VMXOFF, [0x08] = INSN_OP_MONITOR,  [0x09] = INSN_OP_MWAIT,
    [0x10] = INSN_OP_XGETBV, [0x11] = INSN_OP_XSETBV,   [0x14] = INSN_OP_VMFUNC,
    [0x18] = INSN_OP_VMRUN,  [0x19] = INSN_OP_VMMCALL,  [0x1a] = INSN_OP_VMLOAD,
    [0x1b] = INSN_OP_VMSAVE, [0x1c] = INSN_OP_STGI,     [0x1d] = INSN_OP_CLGI,
    [0x1e] = INSN_OP_SKINIT, [0x1f] = INSN_OP_INVLPGA,  [0x38] = INSN_OP_SWAPGS,
    [0x39] = INSN_OP_RDTSCP, [0x3a] = INSN_OP_MONITORX, [0x3b] = INSN_OP_MWAITX,
};

/* Where a prefix makes one instruction another of the same form. */
static const struct {
    uint8_t op, prefix, becomes;
} prefixed[] = {
    {INSN_OP_NOP, 0xf3, INSN_OP_PAUSE},       {INSN_OP_WBINVD, 0xf3, INSN_OP_WBNOINVD},
    {INSN_OP_VMPTRLD, 0x66, INSN_OP_VMCLEAR}, {INSN_OP_VMPTRLD, 0xf3, INSN_OP_VMXON},
    {INSN_OP_VMPTRLD, 0xf2, INSN_OP_NONE},    {INSN_OP_MONITORX, 0xf3, INSN_OP_NONE},
};
