/* SPDX-License-Identifier: MIT */
/*
 * Every number of a call with random registers, from the kernel and from a user program: the answer
 * is a number that the interface knows, and only RAX changes.
 */
#include "guest-stubs/pv/pv.h"

#define ROUNDS 8

SNIPPET(kernel_vmcall, "vmcall");
SNIPPET(kernel_vmmcall, "vmmcall");
USER_SNIPPET(user_vmcall, "vmcall");
USER_SNIPPET(user_vmmcall, "vmmcall");

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_number(void)
{
    static const uint64_t special[] = {0,     1,          0xfff,         0x1000,
                                       ~0ull, LAPIC_BASE, 0x80000000ull, 1ull << 63};

    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state >> 61 < 4 ? special[random_state >> 40 & 7] : random_state;
}

/* What would really be done to this guest's CPUs is the business of others. */
static void tame(struct frame *frame)
{
    if (frame->rax == KVM_HC_SEND_IPI) {
        frame->rbx <<= cpu_count;
        frame->rdx = 0;
    }
    if (frame->rax == MICA_CALL_FIRST + MICA_CALL_SHUTDOWN)
        frame->rbx |= 1ull << 32;
    if (frame->rax == MICA_CALL_FIRST + MICA_CALL_CONSOLE_WRITE)
        frame->rbx |= 1ull << 40; /* what it writes is no text */
    if (frame->rax - MICA_CALL_FIRST - MICA_CALL_EVENT_CREATE < 2 && frame->rdx & 1) {
        frame->rbx &= 0x17; /* or no channel would ever come to be */
        frame->rcx = MICA_EVENT_TO(frame->rcx & 3, VEC_IPI);
    }
}

static void fill(struct frame *frame, uint64_t number)
{
    frame->rax = number;
    frame->rbx = random_number();
    frame->rcx = random_number();
    frame->rdx = random_number();
    frame->rsi = random_number();
    frame->rdi = random_number();
    frame->rbp = random_number();
    frame->r8 = random_number();
    frame->r15 = random_number();
    tame(frame);
}

static bool same_but_rax(const struct frame *a, const struct frame *b)
{
    return a->rbx == b->rbx && a->rcx == b->rcx && a->rdx == b->rdx && a->rsi == b->rsi &&
           a->rdi == b->rdi && a->rbp == b->rbp && a->r8 == b->r8 && a->r15 == b->r15 &&
           a->rsp == b->rsp;
}

static bool is_answer(uint64_t rax)
{
    static const int errors[] = {MICA_ENOENT, MICA_EFAULT,   MICA_ENODEV, MICA_EINVAL,
                                 MICA_ENOSPC, MICA_ENOTCONN, MICA_ENOSYS};
    int64_t result = (int64_t)rax;

    for (unsigned int i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (result == -errors[i])
            return true;
    return result >= 0 && result <= INT32_MAX;
}

/* How many of the calls with these numbers went wrong. */
static unsigned int wrong(struct frame start, bool user, uint64_t first, unsigned int count)
{
    unsigned int sum = 0;

    for (unsigned int i = 0; i < count * ROUNDS; i++) {
        struct frame frame = start, before;

        fill(&frame, first + i % count);
        before = frame;
        run(&frame);
        sum += trap.vector != VEC_END || !same_but_rax(&frame, &before) ||
               !(user ? frame.rax == (uint64_t)-KVM_EPERM : is_answer(frame.rax));
    }
    return sum;
}

static void check_all(struct frame start, bool user, const char *who)
{
    check_equal(wrong(start, user, 0, 64), 0, "%s: each of KVM's numbers", who);
    check_equal(wrong(start, user, MICA_CALL_FIRST - 4, MICA_CALL_COUNT + 32), 0,
                "%s: each of Mica's", who);
    check_equal(wrong(start, user, 1ull << 32, 4), 0, "%s: numbers of more than 32 bits", who);
    check_equal(wrong(start, user, ~0ull - 3, 4), 0, "%s: the highest", who);
}

static void check_other(const void *code, const char *who)
{
    struct frame frame = kernel_frame(code);

    fill(&frame, KVM_HC_VAPIC_POLL_IRQ);
    run(&frame);
    check(trap.vector == VEC_UD, "the other vendor's instruction is #UD: %s", who);
}

void pv_hostile(void)
{
    check_all(kernel_frame(amd ? kernel_vmmcall : kernel_vmcall), false, "the kernel");
    check_all(user_frame(amd ? user_vmmcall : user_vmcall), true, "a user");
    check_other(amd ? kernel_vmcall : kernel_vmmcall, amd ? "VMCALL" : "VMMCALL");
}
