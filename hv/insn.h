/* SPDX-License-Identifier: MIT */
/*
 * Instructions: what bytes mean (insn.c), and what they do to registers, flags and memory
 * (insn_exec.c).  Knows no vCPU: bytes come in, memory is reached through callbacks.  Executes the
 * integer instructions that compilers use on device memory; of the others that make a guest exit it
 * knows the length and the operands.  x87, SSE and AVX are refused.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define INSN_MAX_LENGTH 15
#define INSN_NO_REG     0xff
#define INSN_REG_RIP    16 /* only as the base of a memory operand */

/* The default of the code segment: CS.L, else CS.D. */
enum insn_mode { INSN_16, INSN_32, INSN_64 };

/* In the order of their encoding. */
enum insn_seg { INSN_ES, INSN_CS, INSN_SS, INSN_DS, INSN_FS, INSN_GS };

enum insn_op {
    INSN_OP_NONE,

    /* insn_execute() does these.  The first eight are in the order of opcodes 00 to 38 and 80 /r.
     */
    INSN_OP_ADD,
    INSN_OP_OR,
    INSN_OP_ADC,
    INSN_OP_SBB,
    INSN_OP_AND,
    INSN_OP_SUB,
    INSN_OP_XOR,
    INSN_OP_CMP,
    INSN_OP_TEST,
    INSN_OP_MOV, /* and MOVNTI */
    INSN_OP_MOVZX,
    INSN_OP_MOVSX, /* and MOVSXD */
    INSN_OP_MOVBE,
    INSN_OP_XCHG,
    INSN_OP_XADD,
    INSN_OP_CMPXCHG,
    INSN_OP_INC,
    INSN_OP_DEC,
    INSN_OP_NOT,
    INSN_OP_NEG,
    INSN_OP_BT,
    INSN_OP_BTS,
    INSN_OP_BTR,
    INSN_OP_BTC,
    INSN_OP_MOVS,
    INSN_OP_CMPS,
    INSN_OP_STOS,
    INSN_OP_LODS,
    INSN_OP_SCAS,
    INSN_OP_NOP,

    /* These are only decoded: insn_execute() answers INSN_UNSUPPORTED. */
    INSN_OP_MOV_FROM_CR,
    INSN_OP_MOV_TO_CR,
    INSN_OP_MOV_FROM_DR,
    INSN_OP_MOV_TO_DR,
    INSN_OP_MOV_FROM_SEG,
    INSN_OP_MOV_TO_SEG,
    INSN_OP_CLTS,
    INSN_OP_LMSW,
    INSN_OP_SMSW,
    INSN_OP_CPUID,
    INSN_OP_RDMSR,
    INSN_OP_WRMSR,
    INSN_OP_RDTSC,
    INSN_OP_RDTSCP,
    INSN_OP_RDPMC,
    INSN_OP_RDRAND,
    INSN_OP_RDSEED,
    INSN_OP_HLT,
    INSN_OP_PAUSE,
    INSN_OP_MONITOR,
    INSN_OP_MWAIT,
    INSN_OP_MONITORX,
    INSN_OP_MWAITX,
    INSN_OP_INVD,
    INSN_OP_WBINVD,
    INSN_OP_WBNOINVD,
    INSN_OP_INVLPG,
    INSN_OP_INVPCID,
    INSN_OP_XGETBV,
    INSN_OP_XSETBV,
    INSN_OP_XSAVES,
    INSN_OP_XRSTORS,
    INSN_OP_CMPXCHG8B, /* and CMPXCHG16B, when operand_size is 16 */
    INSN_OP_IN,
    INSN_OP_OUT,
    INSN_OP_INS,
    INSN_OP_OUTS,
    INSN_OP_IRET,
    INSN_OP_INT,
    INSN_OP_INT1,
    INSN_OP_INT3,
    INSN_OP_INTO,
    INSN_OP_RSM,
    INSN_OP_SWAPGS,
    INSN_OP_SGDT,
    INSN_OP_SIDT,
    INSN_OP_LGDT,
    INSN_OP_LIDT,
    INSN_OP_SLDT,
    INSN_OP_STR,
    INSN_OP_LLDT,
    INSN_OP_LTR,
    INSN_OP_VMCALL,
    INSN_OP_VMLAUNCH,
    INSN_OP_VMRESUME,
    INSN_OP_VMXOFF,
    INSN_OP_VMXON,
    INSN_OP_VMFUNC,
    INSN_OP_VMCLEAR,
    INSN_OP_VMPTRLD,
    INSN_OP_VMPTRST,
    INSN_OP_VMREAD,
    INSN_OP_VMWRITE,
    INSN_OP_INVEPT,
    INSN_OP_INVVPID,
    INSN_OP_VMRUN,
    INSN_OP_VMMCALL,
    INSN_OP_VMLOAD,
    INSN_OP_VMSAVE,
    INSN_OP_STGI,
    INSN_OP_CLGI,
    INSN_OP_SKINIT,
    INSN_OP_INVLPGA,

    INSN_OP_COUNT
};

enum insn_operand_kind {
    INSN_OPERAND_NONE,
    INSN_OPERAND_REG,     /* reg: a general register, in the order of its encoding (RSP is 4) */
    INSN_OPERAND_MEM,     /* insn->mem */
    INSN_OPERAND_IMM,     /* insn->immediate */
    INSN_OPERAND_SI,      /* a string at insn->mem.segment : rSI */
    INSN_OPERAND_DI,      /* a string at ES : rDI */
    INSN_OPERAND_CONTROL, /* reg: the number of a control or debug register */
    INSN_OPERAND_SEGMENT, /* reg: enum insn_seg */
};

struct insn_operand {
    uint8_t kind; /* enum insn_operand_kind */
    uint8_t reg;
    bool high; /* AH, CH, DH, BH: bits 15..8 of reg 0 to 3 */
};

struct insn_mem {
    uint8_t base;    /* or INSN_NO_REG, INSN_REG_RIP */
    uint8_t index;   /* or INSN_NO_REG */
    uint8_t scale;   /* 1, 2, 4, 8 */
    uint8_t segment; /* enum insn_seg, defaults and overrides applied */
    uint64_t disp;   /* sign-extended; the whole address of MOV's A0 to A3 */
};

struct insn {
    uint8_t op;     /* enum insn_op */
    uint8_t mode;   /* enum insn_mode */
    uint8_t length; /* in bytes, 1 to 15 */
    bool ud; /* the bytes are well formed, but the processor answers #UD (LOCK, CR1, MOV to CS) */

    uint8_t operand_size; /* in bytes; of the destination, where the two differ */
    uint8_t source_size;  /* differs from operand_size for MOVZX and MOVSX */
    uint8_t address_size; /* 2, 4 or 8 */
    struct insn_operand dst, src;
    struct insn_mem mem;
    uint64_t
        immediate; /* sign-extended to 64 bits where the instruction does so, else zero-extended */

    bool opsize, addrsize, lock; /* prefixes 66, 67, F0 */
    uint8_t repeat;              /* the last of F2 and F3, or 0 */
    uint8_t
        segment_override; /* enum insn_seg or INSN_NO_REG; what 64-bit mode ignores is not here */
    uint8_t rex;          /* 40 to 4F, or 0 */
    uint8_t map;          /* 0: one byte, 1: 0F, 2: 0F 38 */
    uint8_t opcode, modrm, sib;
};

/*
 * Decode the instruction that begins at bytes, of which available may be read.  -EAGAIN: more bytes
 * are needed to tell; -EINVAL: not an instruction known here, or longer than 15 bytes (out is then
 * undefined).  With 15 bytes available it never asks for more.
 */
int insn_decode(struct insn *out, const uint8_t *bytes, unsigned int available,
                enum insn_mode mode);

/*
 * The length of the instruction at bytes, which is to be expected; the quick way for exits that
 * say what happened but not how long it was.  -EAGAIN as above, -EINVAL if it is another.
 */
int insn_length_of(enum insn_op expected, const uint8_t *bytes, unsigned int available,
                   enum insn_mode mode);

/* The offset in insn->mem.segment that insn's memory operand has; rip is of the instruction. */
uint64_t insn_address(const struct insn *insn, const uint64_t *gpr, uint64_t rip);

/*
 * What an instruction may touch.  read() and write() move 1, 2, 4 or 8 bytes at an offset in a
 * segment; the callee adds the base, checks, translates, and splits what crosses a page.  Not 0
 * means that it has injected a fault (or stopped the guest).
 */
struct insn_env {
    uint64_t *gpr; /* 16, in the order of their encoding */
    uint64_t *rflags;
    uint64_t rip; /* of the instruction */
    unsigned int
        rep_limit; /* at most so many iterations of REP a call (0 is 1); use 1 if TF is set */
    void *ctx;
    int (*read)(void *ctx, enum insn_seg seg, uint64_t offset, unsigned int size, uint64_t *value);
    int (*write)(void *ctx, enum insn_seg seg, uint64_t offset, unsigned int size, uint64_t value);
};

enum insn_result {
    INSN_DONE,  /* move RIP by insn->length */
    INSN_AGAIN, /* REP goes on: leave RIP, let interrupts in, execute again */
    INSN_FAULT, /* a callback failed: leave RIP.  Only whole iterations of REP have happened */
    INSN_UD,    /* the processor would raise #UD; nothing has happened */
    INSN_UNSUPPORTED, /* decoded only; nothing has happened */
};

/*
 * Do what insn does.  Arithmetic flags become what the SDM says; those it leaves undefined stay.
 * Read-modify-write takes two callbacks, so LOCK excludes other CPUs from devices only, by their
 * own locks.
 */
enum insn_result insn_execute(const struct insn *insn, struct insn_env *env);

/* The low size bytes of value, sign-extended. */
static inline uint64_t insn_sign_extend(uint64_t value, unsigned int size)
{
    unsigned int shift = 64 - 8 * size;

    return (uint64_t)((int64_t)(value << shift) >> shift);
}

/* The mask of size bytes. */
static inline uint64_t insn_mask(unsigned int size)
{
    return ~0ull >> (64 - 8 * size);
}
