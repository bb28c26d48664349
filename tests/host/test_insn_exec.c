/* SPDX-License-Identifier: MIT */
/*
 * hv/insn_exec.c against the processor that runs the test: generated 64-bit instructions with
 * random registers, flags and memory are decoded and executed by us, run natively, and both must
 * leave the same.  Then what the processor cannot show here: faults in the middle, 16-bit wrapping,
 * segments, REP that is interrupted.
 *
 *   test_insn_exec [ROUNDS [SEED]]
 */
#include "hv/insn.h"
#include "hv/util.h"
#include "tests/host/check.h"

#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROUNDS       1000000
#define SHOWN_FAULTS 10
#define MEMORY_SIZE  4096
#define CODE_SIZE    4096

#define CF       0x001u
#define PF       0x004u
#define AF       0x010u
#define ZF       0x040u
#define SF       0x080u
#define DF       0x400u
#define OF       0x800u
#define ALL_MATH (CF | PF | AF | ZF | SF | OF)

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

struct state {
    uint64_t gpr[16]; /* RSP is not used */
    uint64_t rflags;
};

/* ---- The native side ---- */

void run_native(struct state *state, const void *code);
extern const char native_return[];

/*
 * Load the registers and flags of state, jump to code, and store them when it jumps to
 * native_return.  RSP stays the caller's.
 */
__asm__(".pushsection .bss\n"
        "native_code: .skip 8\n"
        ".popsection\n"
        ".pushsection .text\n"
        ".globl run_native, native_return\n"
        "run_native:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdi\n"
        "    mov %rsi, native_code(%rip)\n"
        "    pushq 128(%rdi)\n"
        "    popfq\n"
        "    mov 0(%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx\n"
        "    mov 40(%rdi), %rbp; mov 48(%rdi), %rsi\n"
        "    mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10; mov 88(%rdi), %r11\n"
        "    mov 96(%rdi), %r12; mov 104(%rdi), %r13; mov 112(%rdi), %r14; mov 120(%rdi), %r15\n"
        "    mov 56(%rdi), %rdi\n"
        "    jmp *native_code(%rip)\n"
        "native_return:\n"
        "    pushfq\n"
        "    push %rdi\n"
        "    mov 16(%rsp), %rdi\n"
        "    mov %rax, 0(%rdi); mov %rcx, 8(%rdi); mov %rdx, 16(%rdi); mov %rbx, 24(%rdi)\n"
        "    mov %rbp, 40(%rdi); mov %rsi, 48(%rdi)\n"
        "    mov %r8, 64(%rdi); mov %r9, 72(%rdi); mov %r10, 80(%rdi); mov %r11, 88(%rdi)\n"
        "    mov %r12, 96(%rdi); mov %r13, 104(%rdi); mov %r14, 112(%rdi); mov %r15, 120(%rdi)\n"
        "    popq 56(%rdi)\n"
        "    popq 128(%rdi)\n"
        "    cld\n"
        "    pop %rdi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n"
        ".popsection\n");

/* Both below 2 GiB, so that every form of address reaches them. */
static uint8_t *memory, *code;

static void *map_low(size_t size, int protection)
{
    void *page = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

    if (page == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return page;
}

/* The instruction, then: jmp [rip], the address of native_return. */
static void place_code(const uint8_t *bytes, unsigned int length)
{
    static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0};
    const char *target = native_return;

    memcpy(code, bytes, length);
    memcpy(code + length, jump, sizeof(jump));
    memcpy(code + length + sizeof(jump), &target, sizeof(target));
}

/* ---- Our side ---- */

struct access {
    bool write;
    enum insn_seg seg;
    uint64_t offset;
    unsigned int size;
};

/* What the callbacks know: when to fail, and what was asked. */
struct bus {
    unsigned int fail_at; /* the number of the access that faults, or 0 */
    unsigned int count;
    bool flat;    /* offsets are addresses in memory[]; otherwise reads give pattern */
    bool outside; /* an access has missed memory[] */
    uint64_t pattern, written;
    struct access last;
};

static bool note_access(struct bus *bus, struct access access)
{
    bus->last = access;
    bus->count++;
    return bus->count != bus->fail_at;
}

static uint8_t *find(struct bus *bus, uint64_t offset, unsigned int size)
{
    uint64_t at = offset - (uint64_t)memory;

    if (at > MEMORY_SIZE - size) {
        bus->outside = true;
        return NULL;
    }
    return memory + at;
}

static int bus_read(void *ctx, enum insn_seg seg, uint64_t offset, unsigned int size,
                    uint64_t *value)
{
    struct bus *bus = ctx;

    *value = ~bus->pattern; /* garbage until it succeeds */
    if (!note_access(bus, (struct access){false, seg, offset, size}))
        return -1;
    *value = bus->pattern;
    if (bus->flat) {
        uint8_t *from = find(bus, offset, size);
        *value = 0;
        if (from != NULL)
            memcpy(value, from, size);
    }
    return 0;
}

static int bus_write(void *ctx, enum insn_seg seg, uint64_t offset, unsigned int size,
                     uint64_t value)
{
    struct bus *bus = ctx;

    if (!note_access(bus, (struct access){true, seg, offset, size}))
        return -1;
    bus->written = value;
    if (bus->flat) {
        uint8_t *to = find(bus, offset, size);
        if (to != NULL)
            memcpy(to, &value, size);
    }
    return 0;
}

static enum insn_result run_ours(const struct insn *insn, struct state *state, struct bus *bus,
                                 uint64_t rip, unsigned int rep_limit)
{
    struct insn_env env = {
        .gpr = state->gpr,
        .rflags = &state->rflags,
        .rip = rip,
        .rep_limit = rep_limit,
        .ctx = bus,
        .read = bus_read,
        .write = bus_write,
    };

    return insn_execute(insn, &env);
}

/* ---- Generated instructions ---- */

static uint64_t random_state = 3;

static uint64_t random64(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static unsigned int random_below(unsigned int limit)
{
    return (unsigned int)(random64() % limit);
}

/* Values at which flags change, of every size, and any others. */
static uint64_t random_value(void)
{
    uint64_t edge = (random_below(2) ? 1ull : 0ull) << (random_below(64) | 7);

    switch (random_below(4)) {
    case 0:
        return edge - random_below(3) + 1;
    case 1:
        return random64() & 0xff00ff00ff00ff;
    default:
        return random64();
    }
}

/* An instruction with the place of its displacement, if it has one. */
struct generated {
    uint8_t bytes[32];
    unsigned int disp_at;
    struct insn insn;
};

static bool has_movbe;

static unsigned int generate_prefixes(uint8_t *bytes)
{
    static const uint8_t legacy[] = {0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x3e};
    unsigned int at = 0;

    while (at < 4 && random_below(3) == 0)
        bytes[at++] = legacy[random_below(sizeof(legacy))];
    if (random_below(2))
        bytes[at++] = (uint8_t)(0x40 + random_below(16));
    return at;
}

static unsigned int generate_opcode(uint8_t *bytes)
{
    static const uint8_t one[] = {0x63, 0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a,
                                  0x8b, 0x90, 0x91, 0x97, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6,
                                  0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xb0, 0xb5,
                                  0xb8, 0xbf, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe, 0xff};
    static const uint8_t two[] = {0xa3, 0xab, 0xb0, 0xb1, 0xb3, 0xb6, 0xb7, 0xba,
                                  0xba, 0xba, 0xbb, 0xbe, 0xbf, 0xc0, 0xc1, 0xc3};
    unsigned int kind = random_below(16);

    bytes[0] = (uint8_t)(random_below(8) * 8 + random_below(6)); /* ADD to CMP */
    if (kind < 4)
        return 1;
    bytes[0] = one[random_below(sizeof(one))];
    if (kind < 10)
        return 1;
    bytes[0] = 0x0f;
    bytes[1] = two[random_below(sizeof(two))];
    if (kind < 15 || !has_movbe)
        return 2;
    bytes[1] = 0x38;
    bytes[2] = (uint8_t)(0xf0 + random_below(2));
    return 3;
}

static bool is_stack_pointer(struct insn_operand operand)
{
    return operand.kind == INSN_OPERAND_REG && operand.reg == RSP;
}

static bool uses_memory(const struct insn *insn)
{
    return insn->dst.kind == INSN_OPERAND_MEM || insn->src.kind == INSN_OPERAND_MEM;
}

static bool is_string(const struct insn *insn)
{
    return insn->op >= INSN_OP_MOVS && insn->op <= INSN_OP_SCAS;
}

static bool moves_bits(const struct insn *insn)
{
    return insn->op >= INSN_OP_BT && insn->op <= INSN_OP_BTC &&
           insn->dst.kind == INSN_OPERAND_MEM && insn->src.kind == INSN_OPERAND_REG;
}

/* F3 90 with REX.B: some of Intel's CPUs exchange R8 with RAX, and newer ones pause. */
static bool is_ambiguous(const struct insn *insn)
{
    return insn->op == INSN_OP_XCHG && insn->map == 0 && insn->opcode == 0x90 &&
           insn->repeat == 0xf3;
}

/* Whether it can be run natively, with registers of the generator's choice. */
static bool is_usable(const struct insn *insn)
{
    const struct insn_mem *mem = &insn->mem;

    if (insn->op > INSN_OP_NOP || insn->ud || is_ambiguous(insn))
        return false;
    if (is_stack_pointer(insn->dst) || is_stack_pointer(insn->src) || mem->base == RSP)
        return false;
    if (mem->base != INSN_NO_REG && mem->base == mem->index)
        return false;
    return !moves_bits(insn) || (insn->src.reg != mem->base && insn->src.reg != mem->index);
}

static bool generate(struct generated *g)
{
    unsigned int at, prefixes;

    for (unsigned int i = 0; i < sizeof(g->bytes); i++)
        g->bytes[i] = (uint8_t)random64();
    prefixes = generate_prefixes(g->bytes);
    at = prefixes + generate_opcode(g->bytes + prefixes);
    if (insn_decode(&g->insn, g->bytes, sizeof(g->bytes), INSN_64) != 0)
        return false;
    g->disp_at = at; /* of moffs; of the others behind ModRM and SIB */
    if (!(g->insn.map == 0 && (g->insn.opcode & 0xfc) == 0xa0))
        g->disp_at += (g->bytes[at] & 7) == 4 ? 2 : 1;
    return is_usable(&g->insn);
}

/* The upper half of what a 32-bit address is made from does not matter. */
static uint64_t junk_above(const struct insn *insn, uint64_t value)
{
    return insn->address_size == 4 ? (uint32_t)value | random64() << 32 : value;
}

static uint64_t random_target(void)
{
    return (uint64_t)memory + MEMORY_SIZE / 4 + random_below(MEMORY_SIZE / 2);
}

/* Choose registers, or the displacement, so that the memory operand lies in memory[]. */
static void aim(struct generated *g, struct state *state)
{
    struct insn *insn = &g->insn;
    struct insn_mem *mem = &insn->mem;
    uint64_t target = random_target();

    if (mem->base <= 15) {
        uint64_t rest = mem->index == INSN_NO_REG ? 0 : state->gpr[mem->index] * mem->scale;
        state->gpr[mem->base] = junk_above(insn, target - rest - mem->disp);
        return;
    }
    if (mem->index != INSN_NO_REG) {
        state->gpr[mem->index] = junk_above(insn, random_below(256));
        target -= (uint8_t)state->gpr[mem->index] * mem->scale;
    }
    if (mem->base == INSN_REG_RIP)
        target -= (uint64_t)code + insn->length;
    bool moffs = insn->map == 0 && (insn->opcode & 0xfc) == 0xa0;
    memcpy(g->bytes + g->disp_at, &target, moffs ? insn->address_size : 4);
    insn_decode(insn, g->bytes, sizeof(g->bytes), INSN_64);
}

static void choose_state(struct generated *g, struct state *state)
{
    struct insn *insn = &g->insn;

    for (unsigned int i = 0; i < 16; i++)
        state->gpr[i] = random_value();
    state->rflags = 0x202 | (random64() & ALL_MATH);
    if (moves_bits(insn)) {
        uint64_t mask = insn_mask(insn->operand_size), *index = &state->gpr[insn->src.reg];
        *index = (*index & ~mask) | ((random_below(8192) - 4096ull) & mask);
    }
    if (uses_memory(insn))
        aim(g, state);
    if (is_string(insn)) {
        state->rflags |= random_below(2) ? DF : 0;
        state->gpr[RSI] = junk_above(insn, random_target());
        state->gpr[RDI] = junk_above(insn, random_target());
        /* A count of 0 with 32-bit addresses is left out: processors differ in the upper half. */
        if (insn->repeat != 0)
            state->gpr[RCX] = junk_above(insn, random_below(40) + (insn->address_size == 4));
    }
    if (insn->op == INSN_OP_CMPXCHG && random_below(2) && insn->dst.kind == INSN_OPERAND_REG)
        state->gpr[insn->dst.reg] = state->gpr[RAX]; /* equal for once */
}

/* Sometimes all the same, so that comparisons go on for a while. */
static void choose_memory(const struct insn *insn, const struct state *state)
{
    unsigned int kind = random_below(3);

    for (unsigned int i = 0; i < MEMORY_SIZE; i += 8) {
        uint64_t value = kind == 0          ? random64()
                         : kind == 1        ? state->gpr[RAX]
                         : random_below(64) ? 0
                                            : random64();
        memcpy(memory + i, &value, sizeof(value));
    }
    if (insn->op == INSN_OP_CMPXCHG && uses_memory(insn) && random_below(2)) {
        uint64_t target = insn_address(insn, state->gpr, (uint64_t)code) - (uint64_t)memory;
        memcpy(memory + target, &state->gpr[RAX], 8);
    }
}

/* ---- The comparison ---- */

static uint32_t undefined_flags(enum insn_op op)
{
    switch (op) {
    case INSN_OP_AND:
    case INSN_OP_OR:
    case INSN_OP_XOR:
    case INSN_OP_TEST:
        return AF;
    case INSN_OP_BT:
    case INSN_OP_BTS:
    case INSN_OP_BTR:
    case INSN_OP_BTC:
        return OF | SF | AF | PF;
    default:
        return 0;
    }
}

static bool same_registers(const struct state *a, const struct state *b)
{
    return memcmp(a->gpr, b->gpr, sizeof(a->gpr)) == 0;
}

/* Run with the access number fail_at failing; nothing may have changed in that iteration. */
static bool fault_changes_nothing(const struct insn *insn, const struct state *before,
                                  const uint8_t *contents, unsigned int fail_at)
{
    struct bus bus = {.flat = true, .fail_at = fail_at};
    struct state state = *before;

    memcpy(memory, contents, MEMORY_SIZE);
    if (run_ours(insn, &state, &bus, (uint64_t)code, 1) != INSN_FAULT)
        return bus.count < fail_at; /* it makes fewer accesses */
    return same_registers(&state, before) && state.rflags == before->rflags &&
           memcmp(memory, contents, MEMORY_SIZE) == 0;
}

static const char *compare(struct generated *g)
{
    static uint8_t before[MEMORY_SIZE], after[MEMORY_SIZE];
    struct insn *insn = &g->insn;
    struct bus bus = {.flat = true};
    struct state start, native, ours;
    enum insn_result result;

    choose_state(g, &start);
    choose_memory(insn, &start);
    memcpy(before, memory, MEMORY_SIZE);
    place_code(g->bytes, insn->length);

    native = start;
    run_native(&native, code);
    memcpy(after, memory, MEMORY_SIZE);
    memcpy(memory, before, MEMORY_SIZE);

    ours = start;
    do
        result = run_ours(insn, &ours, &bus, (uint64_t)code, random_below(4));
    while (result == INSN_AGAIN);

    uint32_t undefined = undefined_flags(insn->op);
    if (result != INSN_DONE || bus.outside)
        return "the result";
    if (!same_registers(&ours, &native))
        return "registers";
    if (((ours.rflags ^ native.rflags) & (ALL_MATH | DF) & ~undefined) != 0)
        return "flags";
    if (((ours.rflags ^ start.rflags) & (undefined | ~(uint64_t)ALL_MATH)) != 0)
        return "flags that should have stayed";
    if (memcmp(memory, after, MEMORY_SIZE) != 0)
        return "memory";
    if (!fault_changes_nothing(insn, &start, before, 1) ||
        !fault_changes_nothing(insn, &start, before, 2))
        return "what a fault leaves";
    return NULL;
}

static void show(const char *difference, const struct generated *g)
{
    printf("# differs in %s:", difference);
    for (unsigned int i = 0; i < g->insn.length; i++)
        printf(" %02x", g->bytes[i]);
    printf("\n");
}

static void test_against_processor(unsigned long rounds)
{
    static unsigned int seen[INSN_OP_COUNT];
    struct generated g;
    unsigned long differences = 0, run = 0;
    unsigned int rare = 0;

    for (unsigned long i = 0; i < rounds; i++) {
        if (!generate(&g))
            continue;
        run++;
        seen[g.insn.op]++;
        const char *difference = compare(&g);
        if (difference != NULL && differences++ < SHOWN_FAULTS)
            show(difference, &g);
    }
    for (unsigned int op = INSN_OP_NONE + 1; op <= INSN_OP_NOP; op++)
        rare += seen[op] < rounds / 10000 && (op != INSN_OP_MOVBE || has_movbe);
    printf("# %lu of %lu were run\n", run, rounds);
    CHECK(differences == 0, "registers, flags and memory are as the processor leaves them");
    CHECK(rare == 0, "every operation was tried often");
}

/* ---- What cannot be run natively ---- */

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static enum insn_result execute(enum insn_mode mode, struct state *state, struct bus *bus,
                                const uint8_t *bytes, unsigned int size)
{
    struct insn insn;

    if (insn_decode(&insn, bytes, size, mode) != 0)
        return INSN_UNSUPPORTED;
    return run_ours(&insn, state, bus, 0x1000, 1);
}

static bool accessed(const struct bus *bus, bool write, enum insn_seg seg, uint64_t offset,
                     unsigned int size)
{
    return bus->last.write == write && bus->last.seg == seg && bus->last.offset == offset &&
           bus->last.size == size;
}

static void test_addresses(void)
{
    struct state s = {.gpr = {[RBX] = 0x1fff0, [RSI] = 0xff000020, [RBP] = 0x10}};
    struct bus bus = {.pattern = 0x1122334455667788};

    execute(INSN_16, &s, &bus, BYTES(0x8b, 0x00));
    CHECK(accessed(&bus, false, INSN_DS, 0x0010, 2), "bx+si wraps at 64 KiB");
    CHECK(s.gpr[RAX] == 0x7788, "a word was loaded");
    execute(INSN_16, &s, &bus, BYTES(0x66, 0x8b, 0x4e, 0xe0));
    CHECK(accessed(&bus, false, INSN_SS, 0xfff0, 4) && s.gpr[RCX] == 0x55667788,
          "[bp-32] lies in SS and wraps");
    execute(INSN_16, &s, &bus, BYTES(0x65, 0x67, 0x8a, 0x24, 0xb5, 0, 0, 0, 1));
    CHECK(accessed(&bus, false, INSN_GS, 0xfd000080, 1) && s.gpr[RAX] == 0x8888,
          "gs:[esi*4+0x1000000] in 16-bit code wraps at 4 GiB");
    execute(INSN_64, &s, &bus, BYTES(0x67, 0x8b, 0x05, 0x00, 0xf0, 0xff, 0xff));
    CHECK(accessed(&bus, false, INSN_DS, 7, 4), "eip-relative addresses wrap at 4 GiB");
    execute(INSN_32, &s, &bus, BYTES(0x2e, 0xa2, 0x78, 0x56, 0x34, 0x12));
    CHECK(accessed(&bus, true, INSN_CS, 0x12345678, 1) && bus.written == 0x88,
          "mov cs:[moffs32], al");
    s.gpr[RDX] = ~0ull;
    execute(INSN_32, &s, &bus, BYTES(0x0f, 0xa3, 0x15, 0x00, 0x10, 0, 0));
    CHECK(accessed(&bus, false, INSN_DS, 0xffc, 4) && !(s.rflags & CF),
          "bt with bit -1 reads the word before");
}

static void test_strings(void)
{
    struct state s = {.gpr = {[RCX] = 0x20002, [RSI] = 0x3ffff, [RDI] = 0x50001}};
    struct bus bus = {.pattern = 0xab};

    enum insn_result first = execute(INSN_16, &s, &bus, BYTES(0xf3, 0x26, 0xa4));
    CHECK(first == INSN_AGAIN && accessed(&bus, true, INSN_ES, 1, 1), "rep movsb goes on");
    CHECK(s.gpr[RCX] == 0x20001 && s.gpr[RSI] == 0x30000 && s.gpr[RDI] == 0x50002,
          "its 16-bit registers wrap and keep their upper half");
    bus.fail_at = bus.count + 1;
    enum insn_result fault = execute(INSN_16, &s, &bus, BYTES(0xf3, 0x26, 0xa4));
    CHECK(fault == INSN_FAULT && accessed(&bus, false, INSN_ES, 0, 1) && s.gpr[RCX] == 0x20001,
          "a fault of its source, in the segment of the override, stops it where it is");
    CHECK(execute(INSN_16, &s, &bus, BYTES(0xf3, 0x26, 0xa4)) == INSN_DONE && s.gpr[RCX] == 0x20000,
          "the last iteration ends it");
    bus.count = 0;
    CHECK(execute(INSN_16, &s, &bus, BYTES(0xf3, 0x26, 0xa4)) == INSN_DONE && bus.count == 0,
          "a count of 0 does nothing");

    s = (struct state){.gpr = {[RAX] = 0xcd, [RCX] = 5}, .rflags = DF};
    CHECK(execute(INSN_64, &s, &bus, BYTES(0xf2, 0xae)) == INSN_AGAIN && s.gpr[RCX] == 4,
          "repne scasb goes on past what differs");
    CHECK(s.gpr[RDI] == ~0ull, "DF counts down");
    bus.pattern = 0xcd;
    CHECK(execute(INSN_64, &s, &bus, BYTES(0xf2, 0xae)) == INSN_DONE && (s.rflags & ZF),
          "and ends at what is equal");

    struct insn insn;
    s = (struct state){.gpr = {[RCX] = 10}};
    bus = (struct bus){0};
    insn_decode(&insn, (const uint8_t[]){0xf3, 0xab}, 2, INSN_64);
    CHECK(run_ours(&insn, &s, &bus, 0, 7) == INSN_AGAIN && s.gpr[RCX] == 3 && s.gpr[RDI] == 28,
          "rep_limit bounds the iterations of one call");
    bus.count = 0;
    bus.fail_at = 2;
    CHECK(run_ours(&insn, &s, &bus, 0, 7) == INSN_FAULT && s.gpr[RCX] == 2 && s.gpr[RDI] == 32,
          "a fault keeps the iterations before it");
}

static void test_refusals(void)
{
    struct state s = {.rflags = 2}, same = s;
    struct bus bus = {.pattern = 1};

    CHECK(execute(INSN_64, &s, &bus, BYTES(0xf0, 0x89, 0x00)) == INSN_UD, "lock mov is #UD");
    CHECK(execute(INSN_64, &s, &bus, BYTES(0xf0, 0x0f, 0xa3, 0x00)) == INSN_UD, "lock bt is #UD");
    CHECK(execute(INSN_64, &s, &bus, BYTES(0x0f, 0xa2)) == INSN_UNSUPPORTED,
          "cpuid is not executed here");
    CHECK(execute(INSN_64, &s, &bus, BYTES(0x8c, 0x00)) == INSN_UNSUPPORTED,
          "nor is mov [rax], es");
    CHECK(bus.count == 0 && memcmp(&s, &same, sizeof(s)) == 0, "and nothing happened");
    execute(INSN_64, &s, &bus, BYTES(0xf0, 0x0f, 0xb0, 0x18));
    CHECK(bus.count == 2 && bus.last.write && bus.written == 1 && s.gpr[RAX] == 1,
          "a cmpxchg that fails writes back what it read");
}

int main(int argc, char **argv)
{
    unsigned int a, b, c = 0, d;

    memory = map_low(MEMORY_SIZE, PROT_READ | PROT_WRITE);
    code = map_low(CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
    has_movbe = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_MOVBE);
    if (argc > 2)
        random_state = strtoull(argv[2], NULL, 0);
    test_addresses();
    test_strings();
    test_refusals();
    test_against_processor(argc > 1 ? strtoul(argv[1], NULL, 0) : ROUNDS);
    return check_done();
}
