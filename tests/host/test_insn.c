/* SPDX-License-Identifier: MIT */
/*
 * The instruction decoder against examples, and against Zydis over generated and mutated bytes in
 * all three modes: what hv/insn.c accepts, Zydis must understand alike; what Zydis says is an
 * instruction of ours, hv/insn.c must accept.
 *
 *   test_insn [ROUNDS [SEED]]
 */
#include "hv/errno.h"
#include "hv/insn.h"
#include "hv/util.h"
#include "tests/host/check.h"

#include <Zydis/Zydis.h>

#include <stdlib.h>
#include <string.h>

#define ROUNDS       6000000
#define BUFFER       24
#define SHOWN_FAULTS 40

static const uint8_t mode_bytes[] = {[INSN_16] = 2, [INSN_32] = 4, [INSN_64] = 8};

/* ---- Examples ---- */

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static struct insn decode(enum insn_mode mode, const uint8_t *bytes, unsigned int size)
{
    struct insn insn;

    if (insn_decode(&insn, bytes, size, mode) != 0 || insn.length != size)
        insn.op = INSN_OP_NONE;
    return insn;
}

static int decode_error(enum insn_mode mode, const uint8_t *bytes, unsigned int size)
{
    struct insn insn;

    return insn_decode(&insn, bytes, size, mode);
}

static bool is_reg(struct insn_operand operand, unsigned int reg, bool high)
{
    return operand.kind == INSN_OPERAND_REG && operand.reg == reg && operand.high == high;
}

static void test_moves(void)
{
    struct insn insn = decode(INSN_64, BYTES(0x89, 0x14, 0x25, 0xb0, 0x00, 0xe0, 0xfe));
    CHECK(insn.op == INSN_OP_MOV && insn.operand_size == 4 && is_reg(insn.src, 2, false) &&
              insn.dst.kind == INSN_OPERAND_MEM && insn.mem.base == INSN_NO_REG &&
              insn.mem.disp == 0xfffffffffee000b0,
          "mov [0xfee000b0], edx sign-extends its displacement");

    insn = decode(INSN_64, BYTES(0x8b, 0x05, 0x10, 0, 0, 0));
    CHECK(insn.mem.base == INSN_REG_RIP && insn_address(&insn, NULL, 0x1000) == 0x1016,
          "mov eax, [rip+16] counts from the next instruction");

    insn = decode(INSN_64, BYTES(0x66, 0x42, 0x8a, 0x64, 0xa3, 0x80));
    CHECK(is_reg(insn.dst, 4, false) && insn.mem.base == 3 && insn.mem.index == 12 &&
              insn.mem.scale == 4 && insn.mem.disp == -128ull,
          "mov spl, [rbx+r12*4-128]: REX turns AH into SPL and makes an index of R12");

    insn = decode(INSN_32, BYTES(0x8a, 0x65, 0x00));
    CHECK(is_reg(insn.dst, 0, true) && insn.mem.segment == INSN_SS, "mov ah, [ebp] is in SS");

    insn = decode(INSN_16, BYTES(0x26, 0xc7, 0x02, 0x34, 0x12));
    CHECK(insn.operand_size == 2 && insn.mem.segment == INSN_ES && insn.mem.base == 5 &&
              insn.mem.index == 6 && insn.immediate == 0x1234,
          "mov word es:[bp+si], 0x1234 in 16-bit code");

    insn = decode(INSN_64, BYTES(0x48, 0xc7, 0x00, 0xff, 0xff, 0xff, 0xff));
    CHECK(insn.operand_size == 8 && insn.immediate == ~0ull, "an imm32 is sign-extended for REX.W");

    insn = decode(INSN_64, BYTES(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8));
    CHECK(insn.immediate == 0x0807060504030201, "mov rax, imm64");

    insn = decode(INSN_64, BYTES(0xa0, 1, 2, 3, 4, 5, 6, 7, 0x88));
    CHECK(insn.mem.disp == 0x8807060504030201 && insn.operand_size == 1, "mov al, [moffs64]");

    insn = decode(INSN_64, BYTES(0x48, 0x0f, 0xbe, 0x00));
    CHECK(insn.op == INSN_OP_MOVSX && insn.operand_size == 8 && insn.source_size == 1,
          "movsx rax, byte [rax]");
    insn = decode(INSN_64, BYTES(0x48, 0x63, 0x00));
    CHECK(insn.op == INSN_OP_MOVSX && insn.source_size == 4, "movsxd rax, dword [rax]");

    insn = decode(INSN_64, BYTES(0x48, 0x66, 0xa5));
    CHECK(insn.op == INSN_OP_MOVS && insn.operand_size == 2, "a REX before another prefix is void");
    insn = decode(INSN_64, BYTES(0x64, 0x3e, 0xa4));
    CHECK(insn.mem.segment == INSN_FS, "in 64-bit mode DS does not undo FS");
}

static void test_refusals(void)
{
    CHECK(decode_error(INSN_64, BYTES(0xf0, 0x66)) == -EAGAIN, "prefixes alone need more bytes");
    CHECK(decode_error(INSN_64, BYTES(0x8b)) == -EAGAIN, "a missing ModRM is asked for");
    CHECK(decode_error(INSN_64, NULL, 0) == -EAGAIN, "no byte is too few");
    CHECK(decode_error(INSN_64, BYTES(0x0f, 0x10, 0x00)) == -EINVAL, "movups is refused");
    CHECK(decode_error(INSN_64, BYTES(0xc5, 0xf8, 0x10, 0x00)) == -EINVAL, "vmovups is refused");
    CHECK(decode_error(INSN_64, BYTES(0x66, 0x0f, 0xe7, 0x00)) == -EINVAL, "movntdq is refused");
    CHECK(decode_error(INSN_64, BYTES(0xc7, 0xf8, 0, 0, 0, 0)) == -EINVAL, "xbegin is refused");
    CHECK(decode_error(INSN_64, BYTES(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                      0x66, 0x66, 0x66, 0x66, 0x66, 0x90)) == -EINVAL,
          "16 bytes are too many");
    CHECK(decode(INSN_64, BYTES(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                0x66, 0x66, 0x66, 0x90))
                  .op == INSN_OP_NOP,
          "15 bytes are not");

    CHECK(decode(INSN_64, BYTES(0xf0, 0x89, 0x00)).ud, "lock mov raises #UD");
    CHECK(decode(INSN_64, BYTES(0xf0, 0x01, 0xc0)).ud, "lock add eax, eax raises #UD");
    CHECK(!decode(INSN_64, BYTES(0xf0, 0x01, 0x00)).ud, "lock add [rax], eax does not");
    CHECK(decode(INSN_64, BYTES(0xf0, 0x83, 0x38, 0x00)).ud, "lock cmp raises #UD");
    CHECK(decode(INSN_64, BYTES(0x8e, 0xc8)).ud, "mov cs, eax raises #UD");
    CHECK(decode(INSN_64, BYTES(0x0f, 0x20, 0xc8)).ud, "mov rax, cr1 raises #UD");
}

static void test_control(void)
{
    struct insn insn = decode(INSN_64, BYTES(0x41, 0x0f, 0x22, 0xdf));
    CHECK(insn.op == INSN_OP_MOV_TO_CR && insn.dst.reg == 3 && is_reg(insn.src, 15, false) &&
              insn.operand_size == 8,
          "mov cr3, r15");
    insn = decode(INSN_32, BYTES(0x0f, 0x20, 0x03));
    CHECK(insn.op == INSN_OP_MOV_FROM_CR && insn.src.reg == 0 && is_reg(insn.dst, 3, false) &&
              insn.operand_size == 4,
          "mov ebx, cr0 ignores ModRM.mod");
    insn = decode(INSN_32, BYTES(0xf0, 0x0f, 0x22, 0xc1));
    CHECK(insn.dst.reg == 8 && !insn.ud, "lock mov cr0, ecx is mov cr8, ecx on AMD-V");
    insn = decode(INSN_64, BYTES(0x44, 0x0f, 0x20, 0xc0));
    CHECK(insn.src.reg == 8 && !insn.ud, "mov rax, cr8");
    insn = decode(INSN_64, BYTES(0x0f, 0x23, 0xf8));
    CHECK(insn.op == INSN_OP_MOV_TO_DR && insn.dst.reg == 7 && is_reg(insn.src, 0, false),
          "mov dr7, rax");
}

struct plain {
    enum insn_op op;
    uint8_t size, bytes[4];
};

static const struct plain plain[] = {
    {INSN_OP_CPUID, 2, {0x0f, 0xa2}},
    {INSN_OP_RDMSR, 2, {0x0f, 0x32}},
    {INSN_OP_WRMSR, 2, {0x0f, 0x30}},
    {INSN_OP_HLT, 1, {0xf4}},
    {INSN_OP_VMMCALL, 3, {0x0f, 0x01, 0xd9}},
    {INSN_OP_VMCALL, 3, {0x0f, 0x01, 0xc1}},
    {INSN_OP_RDTSC, 2, {0x0f, 0x31}},
    {INSN_OP_RDTSCP, 3, {0x0f, 0x01, 0xf9}},
    {INSN_OP_RDPMC, 2, {0x0f, 0x33}},
    {INSN_OP_INVD, 2, {0x0f, 0x08}},
    {INSN_OP_WBINVD, 2, {0x0f, 0x09}},
    {INSN_OP_XSETBV, 3, {0x0f, 0x01, 0xd1}},
    {INSN_OP_PAUSE, 2, {0xf3, 0x90}},
    {INSN_OP_IRET, 1, {0xcf}},
    {INSN_OP_INT1, 1, {0xf1}},
    {INSN_OP_INT3, 1, {0xcc}},
    {INSN_OP_INT, 2, {0xcd, 0x80}},
    {INSN_OP_CLTS, 2, {0x0f, 0x06}},
    {INSN_OP_RSM, 2, {0x0f, 0xaa}},
    {INSN_OP_MONITOR, 3, {0x0f, 0x01, 0xc8}},
    {INSN_OP_MWAIT, 3, {0x0f, 0x01, 0xc9}},
    {INSN_OP_INVLPGA, 3, {0x0f, 0x01, 0xdf}},
    {INSN_OP_INVLPG, 3, {0x0f, 0x01, 0x38}},
    {INSN_OP_LMSW, 3, {0x0f, 0x01, 0xf0}},
    {INSN_OP_SMSW, 3, {0x0f, 0x01, 0xe0}},
    {INSN_OP_MOV_TO_CR, 3, {0x0f, 0x22, 0xc0}},
    {INSN_OP_MOV_FROM_DR, 3, {0x0f, 0x21, 0xf0}},
    {INSN_OP_VMRUN, 3, {0x0f, 0x01, 0xd8}},
    {INSN_OP_VMSAVE, 3, {0x0f, 0x01, 0xdb}},
};

/* With every number of prefixes that leaves room, and with every number of bytes. */
static bool lengths_are_right(const struct plain *p, enum insn_mode mode)
{
    uint8_t bytes[16];

    for (unsigned int prefixes = 0; prefixes + p->size <= 16; prefixes++) {
        unsigned int length = prefixes + p->size;

        memset(bytes, 0x2e, sizeof(bytes));
        memcpy(bytes + prefixes, p->bytes, p->size);
        for (unsigned int available = 0; available <= length; available++) {
            int got = insn_length_of(p->op, bytes, available, mode);
            int want = length > INSN_MAX_LENGTH ? -EINVAL
                       : available < length     ? -EAGAIN
                                                : (int)length;
            if (got != want && !(length > INSN_MAX_LENGTH && got == -EAGAIN && available < 15))
                return false;
        }
    }
    return true;
}

static void test_lengths(void)
{
    static const uint8_t rex_cpuid[] = {0x48, 0x0f, 0xa2}, pause_r8[] = {0xf3, 0x41, 0x90};
    unsigned int right = 0, confused = 0;

    for (unsigned int i = 0; i < ARRAY_SIZE(plain); i++) {
        right += lengths_are_right(&plain[i], INSN_16) && lengths_are_right(&plain[i], INSN_32) &&
                 lengths_are_right(&plain[i], INSN_64);
        for (unsigned int j = 0; j < ARRAY_SIZE(plain); j++)
            confused +=
                i != j && insn_length_of(plain[i].op, plain[j].bytes, 4, INSN_64) != -EINVAL;
    }
    CHECK(right == ARRAY_SIZE(plain), "the lengths of instructions that exit, with any prefixes");
    CHECK(confused == 0, "none is taken for another");
    CHECK(insn_length_of(INSN_OP_CPUID, rex_cpuid, 3, INSN_64) == 3, "REX may precede CPUID");
    CHECK(insn_length_of(INSN_OP_CPUID, rex_cpuid, 3, INSN_32) == -EINVAL,
          "in 32-bit code a DEC does not");
    CHECK(insn_length_of(INSN_OP_PAUSE, pause_r8, 3, INSN_64) == -EINVAL,
          "rep xchg r8, rax is no PAUSE");
    CHECK(insn_length_of(INSN_OP_COUNT, rex_cpuid, 3, INSN_64) == -EINVAL &&
              insn_length_of(INSN_OP_NONE, rex_cpuid, 3, INSN_64) == -EINVAL,
          "what is no operation has no length");
}

/* ---- The comparison with Zydis ---- */

struct name {
    ZydisMnemonic mnemonic;
    enum insn_op op;
};

#define SAME(x)                         \
    {                                   \
        ZYDIS_MNEMONIC_##x, INSN_OP_##x \
    }

static const struct name names[] = {
    SAME(ADD),
    SAME(OR),
    SAME(ADC),
    SAME(SBB),
    SAME(AND),
    SAME(SUB),
    SAME(XOR),
    SAME(CMP),
    SAME(TEST),
    SAME(MOV),
    SAME(MOVZX),
    SAME(MOVSX),
    SAME(MOVBE),
    SAME(XCHG),
    SAME(XADD),
    SAME(CMPXCHG),
    SAME(INC),
    SAME(DEC),
    SAME(NOT),
    SAME(NEG),
    SAME(BT),
    SAME(BTS),
    SAME(BTR),
    SAME(BTC),
    SAME(NOP),
    SAME(CLTS),
    SAME(LMSW),
    SAME(SMSW),
    SAME(CPUID),
    SAME(RDMSR),
    SAME(WRMSR),
    SAME(RDTSC),
    SAME(RDTSCP),
    SAME(RDPMC),
    SAME(RDRAND),
    SAME(RDSEED),
    SAME(HLT),
    SAME(PAUSE),
    SAME(MONITOR),
    SAME(MWAIT),
    SAME(MONITORX),
    SAME(MWAITX),
    SAME(INVD),
    SAME(WBINVD),
    SAME(INVLPG),
    SAME(INVPCID),
    SAME(XGETBV),
    SAME(XSETBV),
    SAME(XSAVES),
    SAME(XRSTORS),
    SAME(CMPXCHG8B),
    SAME(IN),
    SAME(OUT),
    SAME(INT),
    SAME(INT1),
    SAME(INT3),
    SAME(INTO),
    SAME(RSM),
    SAME(SWAPGS),
    SAME(SGDT),
    SAME(SIDT),
    SAME(LGDT),
    SAME(LIDT),
    SAME(SLDT),
    SAME(STR),
    SAME(LLDT),
    SAME(LTR),
    SAME(VMCALL),
    SAME(VMLAUNCH),
    SAME(VMRESUME),
    SAME(VMXOFF),
    SAME(VMXON),
    SAME(VMFUNC),
    SAME(VMCLEAR),
    SAME(VMPTRLD),
    SAME(VMPTRST),
    SAME(VMREAD),
    SAME(VMWRITE),
    SAME(INVEPT),
    SAME(INVVPID),
    SAME(VMRUN),
    SAME(VMMCALL),
    SAME(VMLOAD),
    SAME(VMSAVE),
    SAME(STGI),
    SAME(CLGI),
    SAME(SKINIT),
    SAME(INVLPGA),
    {ZYDIS_MNEMONIC_MOVNTI, INSN_OP_MOV},
    {ZYDIS_MNEMONIC_MOVSXD, INSN_OP_MOVSX},
    {ZYDIS_MNEMONIC_MOVSB, INSN_OP_MOVS},
    {ZYDIS_MNEMONIC_MOVSW, INSN_OP_MOVS},
    {ZYDIS_MNEMONIC_MOVSD, INSN_OP_MOVS},
    {ZYDIS_MNEMONIC_MOVSQ, INSN_OP_MOVS},
    {ZYDIS_MNEMONIC_CMPSB, INSN_OP_CMPS},
    {ZYDIS_MNEMONIC_CMPSW, INSN_OP_CMPS},
    {ZYDIS_MNEMONIC_CMPSD, INSN_OP_CMPS},
    {ZYDIS_MNEMONIC_CMPSQ, INSN_OP_CMPS},
    {ZYDIS_MNEMONIC_STOSB, INSN_OP_STOS},
    {ZYDIS_MNEMONIC_STOSW, INSN_OP_STOS},
    {ZYDIS_MNEMONIC_STOSD, INSN_OP_STOS},
    {ZYDIS_MNEMONIC_STOSQ, INSN_OP_STOS},
    {ZYDIS_MNEMONIC_LODSB, INSN_OP_LODS},
    {ZYDIS_MNEMONIC_LODSW, INSN_OP_LODS},
    {ZYDIS_MNEMONIC_LODSD, INSN_OP_LODS},
    {ZYDIS_MNEMONIC_LODSQ, INSN_OP_LODS},
    {ZYDIS_MNEMONIC_SCASB, INSN_OP_SCAS},
    {ZYDIS_MNEMONIC_SCASW, INSN_OP_SCAS},
    {ZYDIS_MNEMONIC_SCASD, INSN_OP_SCAS},
    {ZYDIS_MNEMONIC_SCASQ, INSN_OP_SCAS},
    {ZYDIS_MNEMONIC_XSAVES64, INSN_OP_XSAVES},
    {ZYDIS_MNEMONIC_XRSTORS64, INSN_OP_XRSTORS},
    {ZYDIS_MNEMONIC_CMPXCHG16B, INSN_OP_CMPXCHG8B},
    {ZYDIS_MNEMONIC_INSB, INSN_OP_INS},
    {ZYDIS_MNEMONIC_INSW, INSN_OP_INS},
    {ZYDIS_MNEMONIC_INSD, INSN_OP_INS},
    {ZYDIS_MNEMONIC_OUTSB, INSN_OP_OUTS},
    {ZYDIS_MNEMONIC_OUTSW, INSN_OP_OUTS},
    {ZYDIS_MNEMONIC_OUTSD, INSN_OP_OUTS},
    {ZYDIS_MNEMONIC_IRET, INSN_OP_IRET},
    {ZYDIS_MNEMONIC_IRETD, INSN_OP_IRET},
    {ZYDIS_MNEMONIC_IRETQ, INSN_OP_IRET},
};

static uint8_t op_of_mnemonic[ZYDIS_MNEMONIC_MAX_VALUE + 1];
static ZydisDecoder decoders[3];

/* The other side of a comparison. */
struct reference {
    bool valid;
    ZyanStatus status;
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static void reference_init(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
        op_of_mnemonic[names[i].mnemonic] = (uint8_t)names[i].op;
    ZydisDecoderInit(&decoders[INSN_16], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&decoders[INSN_32], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&decoders[INSN_64], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static void reference_decode(struct reference *ref, const uint8_t *bytes, unsigned int available,
                             enum insn_mode mode)
{
    ref->status =
        ZydisDecoderDecodeFull(&decoders[mode], bytes, available, &ref->insn, ref->operands);
    ref->valid = ZYAN_SUCCESS(ref->status);
}

/* Our name of what Zydis found, or INSN_OP_NONE if it is not an instruction of ours. */
static enum insn_op reference_op(const struct reference *ref)
{
    enum insn_op op = op_of_mnemonic[ref->insn.mnemonic];
    bool control = false, segment = false, test = false;

    if (ref->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return INSN_OP_NONE;
    if ((op == INSN_OP_MOVS || op == INSN_OP_CMPS || op == INSN_OP_NOP) &&
        ref->insn.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
        return INSN_OP_NONE; /* SSE's MOVSD and CMPSD, the long NOPs */
    if (op != INSN_OP_MOV)
        return op;

    for (unsigned int i = 0; i < 2; i++) {
        if (ref->operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        ZydisRegisterClass class = ZydisRegisterGetClass(ref->operands[i].reg.value);
        control |= class == ZYDIS_REGCLASS_CONTROL || class == ZYDIS_REGCLASS_DEBUG;
        segment |= class == ZYDIS_REGCLASS_SEGMENT;
        test |= class == ZYDIS_REGCLASS_TEST;
    }
    if (test)
        return INSN_OP_NONE;
    if (control)
        return INSN_OP_MOV_FROM_CR + (ref->insn.opcode & 1 ? 2 : 0) +
               (ref->insn.opcode & 2 ? 1 : 0);
    if (segment)
        return ref->insn.opcode == 0x8c ? INSN_OP_MOV_FROM_SEG : INSN_OP_MOV_TO_SEG;
    return INSN_OP_MOV;
}

static uint8_t general_number(ZydisRegister reg)
{
    if (reg == ZYDIS_REGISTER_NONE)
        return INSN_NO_REG;
    if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
        return INSN_REG_RIP;
    if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL)
        return (uint8_t)(reg - ZYDIS_REGISTER_AL);
    if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
        return (uint8_t)(reg - ZYDIS_REGISTER_AH);
    if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
        return (uint8_t)(reg - ZYDIS_REGISTER_SPL + 4);
    return (uint8_t)ZydisRegisterGetId(reg);
}

static const char *compare_register(struct insn_operand operand, const ZydisDecodedOperand *ref)
{
    ZydisRegister reg = ref->reg.value;
    bool high = reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;

    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_CONTROL:
    case ZYDIS_REGCLASS_DEBUG:
        if (operand.kind != INSN_OPERAND_CONTROL)
            return "the kind of a control register";
        break;
    case ZYDIS_REGCLASS_SEGMENT:
        if (operand.kind != INSN_OPERAND_SEGMENT)
            return "the kind of a segment register";
        break;
    default:
        if (operand.kind != INSN_OPERAND_REG)
            return "the kind of a register";
        if (general_number(reg) != operand.reg || operand.high != high)
            return "the number of a register";
        return NULL;
    }
    return (uint8_t)ZydisRegisterGetId(reg) == operand.reg ? NULL : "the number of a register";
}

/* The address that each side computes from the same registers. */
static bool same_address(const struct insn *insn, const struct reference *ref,
                         const ZydisDecodedOperand *operand)
{
    uint64_t gpr[16], rip = 0x123456789abcull & insn_mask(mode_bytes[insn->mode]), address;
    ZydisRegisterContext context;

    memset(&context, 0, sizeof(context));
    for (unsigned int i = 0; i < 16; i++) {
        gpr[i] = 0x9e3779b97f4a7c15ull * (i + insn->length);
        context.values[ZYDIS_REGISTER_RAX + i] = gpr[i];
        context.values[ZYDIS_REGISTER_EAX + i] = (uint32_t)gpr[i];
        context.values[ZYDIS_REGISTER_AX + i] = (uint16_t)gpr[i];
    }
    if (!ZYAN_SUCCESS(ZydisCalcAbsoluteAddressEx(&ref->insn, operand, rip, &context, &address)))
        return false;
    return (address & insn_mask(insn->address_size)) == insn_address(insn, gpr, rip);
}

static const char *compare_memory(const struct insn *insn, const struct reference *ref,
                                  const ZydisDecodedOperand *operand)
{
    uint64_t mask = insn_mask(insn->address_size);
    uint8_t scale = insn->mem.index == INSN_NO_REG ? 0 : insn->mem.scale;

    if (operand->mem.base == ZYDIS_REGISTER_R13D && insn->mem.base == INSN_NO_REG)
        return NULL; /* Zydis 4.0.0 finds a base for SIB.base 5, mod 0, REX.B and prefix 67 */
    if (general_number(operand->mem.base) != insn->mem.base)
        return "the base";
    if (general_number(operand->mem.index) != insn->mem.index)
        return "the index";
    if (operand->mem.index != ZYDIS_REGISTER_NONE && operand->mem.scale != scale)
        return "the scale";
    if (((uint64_t)operand->mem.disp.value & mask) != (insn->mem.disp & mask))
        return "the displacement";
    if (operand->mem.segment != ZYDIS_REGISTER_NONE &&
        operand->mem.segment - ZYDIS_REGISTER_ES != insn->mem.segment)
        return "the segment";
    return same_address(insn, ref, operand) ? NULL : "the address";
}

static const char *compare_string(const struct insn *insn, struct insn_operand operand,
                                  const ZydisDecodedOperand *ref)
{
    bool si = operand.kind == INSN_OPERAND_SI;

    if (ref->type != ZYDIS_OPERAND_TYPE_MEMORY || general_number(ref->mem.base) != (si ? 6 : 7))
        return "a string operand";
    if (ref->mem.segment - ZYDIS_REGISTER_ES != (si ? insn->mem.segment : INSN_ES))
        return "the segment of a string";
    return NULL;
}

static const char *compare_operand(const struct insn *insn, struct insn_operand operand,
                                   unsigned int size, const struct reference *ref,
                                   const ZydisDecodedOperand *theirs)
{
    if (operand.kind == INSN_OPERAND_SI || operand.kind == INSN_OPERAND_DI)
        return compare_string(insn, operand, theirs);
    switch (theirs->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        return compare_register(operand, theirs);
    case ZYDIS_OPERAND_TYPE_MEMORY:
        if (operand.kind != INSN_OPERAND_MEM)
            return "the kind of memory";
        return compare_memory(insn, ref, theirs);
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        if (operand.kind != INSN_OPERAND_IMM)
            return "the kind of an immediate";
        if ((theirs->imm.value.u & insn_mask(size)) != (insn->immediate & insn_mask(size)))
            return "the immediate";
        return NULL;
    default:
        return "an operand";
    }
}

/* The sizes that matter: of what is read and written, which for an operation is the operand's. */
static const char *compare_size(const struct insn *insn, struct insn_operand operand,
                                unsigned int size, const ZydisDecodedOperand *theirs)
{
    switch (operand.kind) {
    case INSN_OPERAND_REG:
        if (insn->op == INSN_OP_MOVSX && insn->opcode == 0x63)
            return NULL; /* as for memory, below */
        if (insn->op == INSN_OP_IN || insn->op == INSN_OP_OUT || insn->op == INSN_OP_INS ||
            insn->op == INSN_OP_OUTS)
            return NULL; /* the port is always 2 bytes */
        break;
    case INSN_OPERAND_MEM:
        if (insn->op == INSN_OP_MOVSX && insn->opcode == 0x63 && insn->operand_size == 2)
            return NULL; /* SDM: MOVSXD r16, r/m16; Zydis reads 4 bytes */
        if (theirs->size == 0 || insn->op == INSN_OP_INVLPG || insn->op >= INSN_OP_XSAVES)
            return NULL; /* an address alone, or the structure that lies there */
        if (insn->op == INSN_OP_INVPCID)
            return NULL;
        break;
    case INSN_OPERAND_SI:
    case INSN_OPERAND_DI:
        break;
    default:
        return NULL;
    }
    return theirs->size == size * 8 ? NULL : "the size of an operand";
}

static const char *compare_operands(const struct insn *insn, const struct reference *ref)
{
    const struct insn_operand ours[2] = {insn->dst, insn->src};
    const unsigned int sizes[2] = {insn->operand_size, insn->source_size};
    unsigned int next = 0;

    for (unsigned int i = 0; i < 2; i++) {
        if (ours[i].kind == INSN_OPERAND_NONE)
            continue;
        if (next >= ref->insn.operand_count)
            return "the number of operands";
        const ZydisDecodedOperand *theirs = &ref->operands[next++];
        const char *difference = compare_operand(insn, ours[i], sizes[i], ref, theirs);
        if (difference == NULL)
            difference = compare_size(insn, ours[i], sizes[i], theirs);
        if (difference != NULL)
            return difference;
    }
    /* Zydis writes the rAX, EAX and ECX that these always use. */
    bool written_out = insn->op >= INSN_OP_VMRUN && insn->op <= INSN_OP_INVLPGA;
    return written_out || next >= ref->insn.operand_count_visible
               ? NULL
               : "the number of visible operands";
}

static const char *compare_decoded(const struct insn *insn, const struct reference *ref)
{
    if (insn->length != ref->insn.length)
        return "the length";
    if (insn->op == INSN_OP_XCHG && reference_op(ref) == INSN_OP_PAUSE && (insn->rex & 1))
        return NULL; /* F3 REX.B 90 exchanges, as processors show; there it is a PAUSE */
    /* WBNOINVD has no name there. */
    if ((insn->op == INSN_OP_WBNOINVD ? INSN_OP_WBINVD : insn->op) != reference_op(ref))
        return "the operation";
    if (insn->address_size * 8 != ref->insn.address_width)
        return "the address size";
    if (insn->op == INSN_OP_IRET && insn->operand_size * 8 != ref->insn.operand_width)
        return "the operand size";
    return compare_operands(insn, ref);
}

/*
 * What Zydis refuses and processors do not: LOCK MOV CR0, which is AMD's MOV CR8; and 0F 01 C0 to
 * FF after 66, F2 or F3, of which some are ignored by some processors (they only come here after an
 * exit).
 */
static bool may_be_refused(const struct insn *insn)
{
    bool control = insn->op == INSN_OP_MOV_FROM_CR || insn->op == INSN_OP_MOV_TO_CR;
    bool system = insn->map == 1 && insn->opcode == 0x01 && insn->modrm >= 0xc0;

    return (control && insn->lock) || (system && (insn->opsize || insn->repeat != 0));
}

static const char *compare(const uint8_t *bytes, unsigned int available, enum insn_mode mode,
                           unsigned int *seen)
{
    struct reference ref;
    struct insn insn;
    int error = insn_decode(&insn, bytes, available, mode);

    reference_decode(&ref, bytes, available, mode);
    if (error != 0) {
        if (!ref.valid || reference_op(&ref) == INSN_OP_NONE)
            return NULL;
        return error == -EAGAIN ? "we ask for more bytes" : "we refuse";
    }
    if (!ref.valid && may_be_refused(&insn))
        return NULL;
    if (insn.ud)
        return ref.valid ? "we say #UD" : NULL;
    if (!ref.valid)
        return ref.status == ZYDIS_STATUS_NO_MORE_DATA ? "they ask for more bytes" : "they refuse";
    seen[insn.op]++;
    return compare_decoded(&insn, &ref);
}

/* What is accepted is asked for byte by byte, and not beyond. */
static const char *check_prefix_property(const uint8_t *bytes, enum insn_mode mode)
{
    struct insn whole, part;

    if (insn_decode(&whole, bytes, INSN_MAX_LENGTH, mode) != 0)
        return NULL;
    for (unsigned int available = 0; available < whole.length; available++) {
        if (insn_decode(&part, bytes, available, mode) != -EAGAIN)
            return "a part is not asked to go on";
    }
    if (insn_decode(&part, bytes, whole.length, mode) != 0)
        return "the exact bytes do not suffice";
    return insn_length_of(whole.op, bytes, INSN_MAX_LENGTH, mode) == whole.length
               ? NULL
               : "insn_length_of() differs";
}

/* ---- Generated instructions ---- */

static uint64_t random_state = 2;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((random_state >> 33) % limit);
}

static unsigned int generate_prefixes(uint8_t *bytes, enum insn_mode mode)
{
    static const uint8_t legacy[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66,
                                     0x67, 0xf0, 0xf2, 0xf3, 0x66, 0x67, 0x48};
    unsigned int at = 0;

    while (at < 15 && random_below(3) == 0)
        bytes[at++] = legacy[random_below(sizeof(legacy) - (mode != INSN_64))];
    if (mode == INSN_64 && random_below(2) == 0)
        bytes[at++] = (uint8_t)(0x40 + random_below(16));
    return at;
}

static unsigned int generate_opcode(uint8_t *bytes)
{
    static const uint8_t two[] = {0x00, 0x01, 0x01, 0xba, 0xc7, 0x20, 0x22, 0xa3};
    static const uint8_t three[] = {0x80, 0x81, 0x82, 0xf0, 0xf1};
    unsigned int kind = random_below(12);

    bytes[0] = (uint8_t)random_below(256);
    if (kind < 6)
        return 1;
    bytes[0] = 0x0f;
    bytes[1] = kind < 9 ? (uint8_t)random_below(256) : two[random_below(sizeof(two))];
    if (kind < 11)
        return 2;
    bytes[1] = 0x38;
    bytes[2] = random_below(4) ? three[random_below(sizeof(three))] : (uint8_t)random_below(256);
    return 3;
}

static void generate(uint8_t *bytes, enum insn_mode mode)
{
    for (unsigned int i = 0; i < BUFFER; i++)
        bytes[i] = (uint8_t)random_below(256);
    generate_opcode(bytes + generate_prefixes(bytes, mode));
}

static void mutate(uint8_t *bytes)
{
    unsigned int at = random_below(8);

    if (random_below(2))
        bytes[at] ^= (uint8_t)(1 << random_below(8));
    else
        memmove(bytes + at, bytes + at + 1, BUFFER - 1 - at);
}

static void show(const char *difference, const uint8_t *bytes, enum insn_mode mode)
{
    printf("# differs in %s, %u-bit code:", difference, mode_bytes[mode] * 8);
    for (unsigned int i = 0; i < INSN_MAX_LENGTH; i++)
        printf(" %02x", bytes[i]);
    printf("\n");
}

static void test_against_reference(unsigned long rounds)
{
    static unsigned int seen[INSN_OP_COUNT];
    uint8_t bytes[BUFFER] = {0};
    unsigned long differences = 0, accepted = 0;
    unsigned int unseen = 0;

    reference_init();
    for (unsigned long i = 0; i < rounds; i++) {
        enum insn_mode mode = random_below(3);
        unsigned int available = random_below(8) ? 15 : random_below(16);

        if (random_below(4) == 0)
            mutate(bytes);
        else
            generate(bytes, mode);
        const char *difference = compare(bytes, available, mode, seen);
        if (difference == NULL)
            difference = check_prefix_property(bytes, mode);
        if (difference != NULL && differences++ < SHOWN_FAULTS)
            show(difference, bytes, mode);
    }
    for (unsigned int op = INSN_OP_NONE + 1; op < INSN_OP_COUNT; op++) {
        accepted += seen[op];
        if (seen[op] == 0)
            printf("# operation %u was not generated\n", op);
        unseen += seen[op] == 0;
    }
    printf("# %lu of %lu were instructions of ours\n", accepted, rounds);
    CHECK(differences == 0, "Zydis agrees about generated and mutated instructions");
    CHECK(unseen == 0, "every operation was among them");
    CHECK(accepted > rounds / 4, "enough of them were instructions");
}

int main(int argc, char **argv)
{
    test_moves();
    test_refusals();
    test_control();
    test_lengths();
    if (argc > 2)
        random_state = strtoull(argv[2], NULL, 0);
    test_against_reference(argc > 1 ? strtoul(argv[1], NULL, 0) : ROUNDS);
    return check_done();
}
