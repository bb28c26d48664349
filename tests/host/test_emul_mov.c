/* SPDX-License-Identifier: MIT */
/*
 * The short way for MOV on device memory: it does what the general decoder does, for each form of
 * the instruction that it takes, and leaves everything else alone.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/x86/regs.h"
#include "hv/emul.h"
#include "hv/util.h"

#include <string.h>

#define DEVICE 0xd0000000ull
#define CODE   0x3000ull

static struct vcpu *const vcpu = &fake_vcpus[0];
static struct {
    unsigned int reads, writes;
    uint64_t offset, value;
    uint8_t size;
} seen;

static uint64_t device_read(void *dev, uint64_t offset, uint8_t size)
{
    seen.reads++;
    seen.offset = offset;
    seen.size = size;
    return 0x8899aabbccddeeffull;
}

static void device_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    seen.writes++;
    seen.offset = offset;
    seen.size = size;
    seen.value = value;
}

static void start(uint64_t at, const uint8_t *bytes, unsigned int count)
{
    const struct mmio_range memory = {DEVICE, 0x2000, NULL, device_read, device_write};

    fake_start(1);
    mmio_bus_add(&fake_vm.mmio, &memory);
    fake_code(at, bytes, count);
    for (unsigned int i = 0; i < GPR_COUNT; i++)
        vcpu->gprs.r[i] = DEVICE + 0x100;
    memset(&seen, 0, sizeof(seen));
}

struct form {
    const char *name;
    uint16_t offset; /* of the operand from DEVICE */
    bool write;
    uint8_t length;
    uint8_t bytes[12];
};

static const struct form taken[] = {
    {"mov %eax, (%rbx)", 0x100, true, 2, {0x89, 0x03}},
    {"mov (%rbx), %ecx", 0x100, false, 2, {0x8b, 0x0b}},
    {"mov (%rbx), %r9", 0x100, false, 3, {0x4c, 0x8b, 0x0b}},
    {"mov %r15, 8(%r13)", 0x108, true, 4, {0x4d, 0x89, 0x7d, 0x08}},
    {"mov -16(%rbp), %edx", 0xf0, false, 3, {0x8b, 0x55, 0xf0}},
    {"mov %edi, 0x200(%rsi)", 0x300, true, 6, {0x89, 0xbe, 0x00, 0x02, 0x00, 0x00}},
    {"mov (%r12), %eax", 0x100, false, 4, {0x41, 0x8b, 0x04, 0x24}},
    {"movl $0x80000001, (%rax)", 0x100, true, 6, {0xc7, 0x00, 0x01, 0x00, 0x00, 0x80}},
    {"movq $-2, 4(%r8)", 0x108, true, 8, {0x49, 0xc7, 0x40, 0x08, 0xfe, 0xff, 0xff, 0xff}},
    {"mov %eax, (%rax) with REX", 0x100, true, 3, {0x40, 0x89, 0x00}},
    {"mov %ax, (%rbx)", 0x100, true, 3, {0x66, 0x89, 0x03}},
    {"mov %r9w, 2(%r13)", 0x102, true, 5, {0x66, 0x45, 0x89, 0x4d, 0x02}},
    {"movw $0x8001, (%rax)", 0x100, true, 5, {0x66, 0xc7, 0x00, 0x01, 0x80}},
    {"movq $-2, (%rax) with 66", 0x100, true, 8, {0x66, 0x48, 0xc7, 0, 0xfe, 0xff, 0xff, 0xff}},
};

static const struct form left[] = {
    {"movb", 0x100, true, 2, {0x88, 0x03}},
    {"a load of two bytes", 0x100, false, 3, {0x66, 0x8b, 0x03}},
    {"66 behind REX", 0x100, true, 4, {0x4c, 0x66, 0x89, 0x03}},
    {"66 twice", 0x100, true, 4, {0x66, 0x66, 0x89, 0x03}},
    {"two bytes at an odd address", 0x101, true, 4, {0x66, 0x89, 0x43, 0x01}},
    {"a prefix", 0x100, true, 3, {0x3e, 0x89, 0x03}},
    {"an index", 0x200, true, 3, {0x89, 0x04, 0x1b}},
    {"RSP as the base", 0x100, true, 3, {0x89, 0x04, 0x24}},
    {"RSP as the source", 0x100, true, 2, {0x89, 0x23}},
    {"another address", 0x104, true, 2, {0x89, 0x03}},
    {"the other direction", 0x100, false, 2, {0x89, 0x03}},
    {"a misaligned one", 0x101, true, 3, {0x89, 0x43, 0x01}},
    {"a register to a register", 0x100, true, 2, {0x89, 0xc3}},
    {"ADD", 0x100, true, 2, {0x01, 0x03}},
    {"C7 /1", 0x100, true, 6, {0xc7, 0x08, 0, 0, 0, 0}},
};

static struct vm_exit exit_of(const struct form *form)
{
    return (struct vm_exit){
        .kind = EXIT_MEM,
        .mem = {.gpa = GPA(DEVICE + form->offset), .read = !form->write, .write = form->write}};
}

static bool move(const struct exit_mem *mem)
{
    return emul_mov(vcpu, backend->get_reg(vcpu, VCPU_CR3), mem);
}

static bool same_as_decoder(const struct form *form)
{
    const struct vm_exit exit = exit_of(form);
    struct gprs gprs;

    start(CODE, form->bytes, form->length);
    if (!move(&exit.mem) || vcpu->insn_len != form->length || seen.offset != form->offset ||
        seen.writes != form->write)
        return false;
    gprs = vcpu->gprs;
    uint64_t value = seen.value;
    uint8_t size = seen.size;
    start(CODE, form->bytes, form->length);
    gprs.r[GPR_RSP] = vcpu->gprs.r[GPR_RSP] = fake.regs[VCPU_RSP];
    return emul_mem(vcpu, &exit) == ACTION_ADVANCE && vcpu->insn_len == form->length &&
           memcmp(&gprs, &vcpu->gprs, sizeof(gprs)) == 0 && seen.value == value &&
           seen.size == size;
}

static bool is_left(const struct form *form)
{
    const struct vm_exit exit = exit_of(form);
    struct gprs before;

    start(CODE, form->bytes, form->length);
    before = vcpu->gprs;
    return !move(&exit.mem) && !seen.reads && !seen.writes &&
           memcmp(&before, &vcpu->gprs, sizeof(before)) == 0;
}

static void test_forms(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(taken); i++)
        CHECK(same_as_decoder(&taken[i]), taken[i].name);
    for (unsigned int i = 0; i < ARRAY_SIZE(left); i++)
        CHECK(is_left(&left[i]), left[i].name);
}

/* Absolute, and relative to RIP: the operand's place follows from the bytes alone. */
static void test_places(void)
{
    const struct form absolute = {"", 0x40, true, 7, {0x89, 0x04, 0x25, 0x40, 0x00, 0x00, 0xd0}};
    const struct form relative = {
        "", 0x42, true, 10, {0xc7, 0x05, 0x34, 0xd0, 0xff, 0xcf, 7, 0, 0, 0}};
    struct vm_exit exit = exit_of(&absolute);

    exit.mem.gva = 0xffffffffd0000040ull;
    exit.mem.gva_valid = true;
    start(CODE, absolute.bytes, absolute.length);
    CHECK(move(&exit.mem) && vcpu->insn_len == 7 && seen.offset == 0x40,
          "an absolute address is sign-extended");
    exit.mem.gva = 0xd0000040;
    start(CODE, absolute.bytes, absolute.length);
    CHECK(!move(&exit.mem), "and is compared where the CPU gives it");
    exit = exit_of(&relative);
    exit.mem.gpa = GPA(DEVICE + 0x3e + 2);
    start(CODE, relative.bytes, relative.length);
    vcpu->rip = CODE;
    CHECK(!move(&exit.mem), "an operand elsewhere in the page is not it");
    exit.mem.gpa = GPA(CODE + 10 + 0xcfffd034ull);
    CHECK((exit.mem.gpa.value & 3) == 2 && !move(&exit.mem), "nor a misaligned one");
    fake_code(CODE, (uint8_t[]){0xc7, 0x05, 0x36, 0xd0, 0xff, 0xcf, 7, 0, 0, 0}, 10);
    exit.mem.gpa = GPA(CODE + 10 + 0xcfffd036ull);
    CHECK(move(&exit.mem) && seen.offset == 0x40 && seen.value == 7 && vcpu->insn_len == 10,
          "one that is relative to RIP counts from behind the immediate");
}

static void test_refusals(void)
{
    const struct form form = taken[0];
    struct vm_exit exit = exit_of(&form);

    start(0x3ff8, form.bytes, form.length);
    CHECK(!move(&exit.mem), "code at the end of a page is left to the decoder");
    start(CODE, form.bytes, form.length);
    exit.mem.gpa = GPA(0x100);
    CHECK(!move(&exit.mem), "and an exit on RAM");
    exit = exit_of(&form);
    exit.mem.fetch = true;
    CHECK(!move(&exit.mem), "and a fetch");
    exit = exit_of(&form);
    exit.mem.in_page_walk = true;
    CHECK(!move(&exit.mem), "and a walk of the guest's tables");
    fake_poke64(0x1000, 0);
    exit = exit_of(&form);
    CHECK(!move(&exit.mem), "and code whose page is gone");
}

int main(void)
{
    test_forms();
    test_places();
    test_refusals();
    return check_done();
}
