/* SPDX-License-Identifier: MIT */
/*
 * The memory that both guests see, by a driver of ivshmem's device: what one writes the other
 * finds, each rings the other's doorbell, and the memory moves with its BAR and nowhere else.
 */
#include "guest-stubs/share/share.h"

#include "guest-stubs/lib/page.h"
#include "guest-stubs/lib/pci.h"

#define ID_IVSHMEM 0x11101af4u
#define REGISTERS  WINDOW
#define MSIX       (WINDOW + 0x1000)
#define MSIX_BITS  (MSIX + 0x800)
#define MEMORY     (WINDOW + MIB)
#define ELSEWHERE  (WINDOW + 64 * MIB)
#define MIB        0x100000ull
#define SIZE       MIB /* as the configuration says */

#define REG_MEMORY   0x18
#define REG_POSITION 8
#define REG_DOORBELL 12

#define VEC_BELL  0x53
#define BELL      1 /* the vector of the device that is used */
#define ROUNDS    100
#define ADDITIONS 20000

/* What lies in it. */
struct board {
    volatile uint64_t turn, counter, done[2];
    volatile uint64_t last; /* a word that only ever has one value */
};

static struct board *board = (struct board *)MEMORY;
static unsigned int slot;
static volatile unsigned int bells;

static volatile uint32_t *reg(unsigned int offset)
{
    return (volatile uint32_t *)(REGISTERS + offset);
}

static void move(uint64_t address)
{
    *config(slot, REG_MEMORY) = (uint32_t)address;
    *config(slot, REG_MEMORY + 4) = (uint32_t)(address >> 32);
}

/* ---- Setting it up -------------------------------------------------------------------------- */

static void ring(void)
{
    *reg(REG_DOORBELL) = (side ? 0 : 1u << 16) | BELL;
}

static void take_bell(struct frame *frame)
{
    bells++;
    lapic_eoi();
    if (side == 1)
        ring();
}

static void find(void)
{
    for (unsigned int i = 1; i < PCI_SLOTS; i++)
        if (*config(i, 0) == ID_IVSHMEM)
            slot = i;
    if (!slot)
        fail_at_once("the device of the shared memory is there");
    *config(slot, REG_MEMORY) = ~0u;
    check_equal(*config(slot, REG_MEMORY), (uint32_t)-SIZE | 0xc, "its BAR has the memory's size");
    *config(slot, REG_BAR) = (uint32_t)REGISTERS;
    *config(slot, REG_BAR + 4) = (uint32_t)MSIX;
    move(MEMORY);
    *config(slot, REG_COMMAND) = 6;
    check_equal(*reg(REG_POSITION), side, "it says which of the two this is");
}

static void set_bell(uint32_t control)
{
    volatile uint32_t *entry = (volatile uint32_t *)(MSIX + 16 * BELL);

    trap_handlers[VEC_BELL] = take_bell;
    entry[0] = (uint32_t)LAPIC_BASE;
    entry[1] = 0;
    entry[2] = VEC_BELL;
    entry[3] = control;
}

/* ---- Turns: 0 nobody has written, then side 0's are odd ------------------------------------- */

static uint64_t awaited_turn;

static bool is_turn(void)
{
    return board->turn >= awaited_turn;
}

static bool await_turn(uint64_t turn)
{
    awaited_turn = turn;
    return wait_until(is_turn);
}

static void check_fresh(void)
{
    const volatile uint64_t *word = (const volatile uint64_t *)MEMORY;
    unsigned int wrong = 0;

    for (unsigned int i = 0; i < SIZE / 8; i += 64)
        wrong += word[i] != 0;
    check_equal(wrong, 0, "the memory begins with zeroes");
}

static void check_turns(void)
{
    uint64_t turn;

    for (turn = 1 + side; turn <= ROUNDS; turn += 2) {
        if (!await_turn(turn - 1))
            break;
        board->turn = turn;
    }
    check(turn > ROUNDS && await_turn(ROUNDS), "the two write it in turn");
}

/* Both at a time, as CPUs of one machine. */
static bool both_are_done(void)
{
    return board->done[0] && board->done[1];
}

static void check_atomic(void)
{
    for (unsigned int i = 0; i < ADDITIONS; i++)
        __atomic_fetch_add(&board->counter, 1, __ATOMIC_SEQ_CST);
    board->done[side] = 1;
    check(wait_until(both_are_done), "both add to one word");
    check_equal(board->counter, 2 * ADDITIONS, "and no addition is lost");
}

/* ---- Doorbells ------------------------------------------------------------------------------ */

static unsigned int awaited_bells;

static bool have_rung(void)
{
    return bells >= awaited_bells;
}

static bool is_pending(void)
{
    return *(volatile uint64_t *)MSIX_BITS == BIT(BELL);
}

static void check_masked_bell(void)
{
    set_bell(1);
    ring();
    check(wait_until(is_pending) && bells == ROUNDS, "while it is masked it is pending");
    set_bell(0);
    check(wait_until(have_rung), "and is heard later");
}

static void check_own_bell(void)
{
    awaited_bells++;
    *reg(REG_DOORBELL) = BELL;
    check(wait_until(have_rung), "a guest may ring its own");
    *reg(REG_DOORBELL) = BELL + 1;
    *reg(REG_DOORBELL) = 0xffff;
    *reg(REG_DOORBELL) = 2 << 16 | BELL;
    *reg(REG_DOORBELL) = 0xffff0000 | BELL;
    wait_ms(1);
    check_equal(bells, awaited_bells, "others there are none");
}

static void check_bells(void)
{
    for (awaited_bells = 1; awaited_bells <= ROUNDS; awaited_bells++) {
        ring();
        if (!wait_until(have_rung))
            break;
    }
    check_equal(awaited_bells, ROUNDS + 1, "each of %u rings is answered by one", ROUNDS);
    check_masked_bell();
    check_own_bell();
}

/* ---- Moving it ------------------------------------------------------------------------------ */

static volatile uint64_t seen;
static volatile bool enough;

static void look(void)
{
    while (!enough)
        seen = *(volatile uint64_t *)MEMORY;
}

static bool is_seen(void)
{
    return seen == ROUNDS;
}

static bool is_gone(void)
{
    return seen == ~0ull;
}

static bool is_idle(void)
{
    return !cpus[1].job;
}

static void check_move(void)
{
    struct board *moved = (struct board *)ELSEWHERE;

    start_job(1, look);
    check(wait_until(is_seen), "cpu 1 sees the memory");
    move(ELSEWHERE);
    check(moved->turn == ROUNDS && board->turn == ~0ull, "it moves to another place");
    check(wait_until(is_gone), "cpu 1 sees that it has gone");
    move(MEMORY);
    check(moved->turn == ~0ull && board->turn == ROUNDS, "and it comes back");
    check(wait_until(is_seen), "for cpu 1 too");
    *config(slot, REG_COMMAND) = 0;
    check(wait_until(is_gone) && board->turn == ~0ull, "it is off when the device is");
    *config(slot, REG_COMMAND) = 6;
    enough = true;
    check(wait_until(is_idle), "cpu 1 looks no more");
}

static uint64_t canary[512] __attribute__((aligned(4096)));

static void check_hostile_places(void)
{
    const uint64_t places[] = {0,
                               (uint64_t)canary & -SIZE,
                               ECAM,
                               WINDOW - SIZE,
                               LAPIC_BASE & -SIZE,
                               IOAPIC_BASE & -SIZE,
                               1ull << 32,
                               MEMORY | 1ull << 32,
                               ~0ull,
                               1ull << 63};
    unsigned int wrong = 0;

    board->last = 0x6c617374;
    canary[0] = 0x72616d;
    for (unsigned int i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        move(places[i]);
        wrong += *(volatile uint64_t *)canary != 0x72616d || lapic_read(LAPIC_VERSION) == ~0u ||
                 *config(slot, 0) != ID_IVSHMEM || *reg(REG_POSITION) != side;
        *(volatile uint64_t *)canary = 0x72616d;
    }
    check_equal(wrong, 0, "a BAR over RAM, or over other devices, hides nothing");
    move(REGISTERS);
    check(*reg(REG_POSITION) == side && *(volatile uint64_t *)(REGISTERS + 0x2000) == 0,
          "under another BAR it answers where that one does not");
    move(MEMORY);
    check_equal(board->last, 0x6c617374, "nothing of this is written to the memory");
}

/* Everywhere in the window, so that tables that stayed behind would use up what there is. */
static void check_many_places(void)
{
    unsigned int wrong = 0;

    for (uint64_t at = MEMORY; at < ECAM; at += SIZE) {
        move(at);
        wrong += ((struct board *)at)->turn != ROUNDS;
    }
    check_equal(wrong, 0, "it is seen at each place of the window");
    move(MEMORY);
}

static void check_calls(void)
{
    check_equal((uint64_t)CALL(CONSOLE_WRITE, MEMORY, 4), (uint64_t)-MICA_EFAULT,
                "for a hypercall it is no RAM");
}

void share_memory(void)
{
    find();
    if (side == 0)
        check_fresh();
    enable_msix(slot);
    set_bell(0);
    check_turns();
    check_atomic();
    if (side == 0)
        check_bells();
    board->done[side] = 2;
    if (side == 0) {
        check_move();
        check_hostile_places();
        check_many_places();
        check_calls();
    }
}
