/* SPDX-License-Identifier: MIT */
/*
 * Device memory and string I/O: who gets an access, what crosses pages, what segments and page
 * tables refuse, and that a fault leaves everything as it was.
 */
#include "tests/host/check.h"
#include "tests/host/fake_backend.h"

#include "arch/x86/regs.h"
#include "hv/emul.h"
#include "hv/errno.h"
#include "hv/layout.h"
#include "hv/util.h"

#include <string.h>

#define DEVICE 0xd0000000ull

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
    return 0x1122334455667788ull >> (8 * (offset & 7));
}

static void device_write(void *dev, uint64_t offset, uint8_t size, uint64_t value)
{
    seen.writes++;
    seen.offset = offset;
    seen.size = size;
    seen.value = value;
}

static uint32_t port_read(void *dev, uint16_t offset, uint8_t size)
{
    seen.reads++;
    return 0x44332211 + seen.reads - 1;
}

static void port_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    seen.writes++;
    seen.size = size;
    seen.value = seen.value << 8 * size | value;
}

static void start(unsigned int bits)
{
    const struct mmio_range memory = {DEVICE, 0x2000, NULL, device_read, device_write};
    const struct pio_range port = {0x1f0, 1, NULL, port_read, port_write};

    fake_start(1);
    fake_set_mode(bits);
    mmio_bus_add(&fake_vm.mmio, &memory);
    pio_bus_add(&fake_vm.pio, &port);
    memset(&seen, 0, sizeof(seen));
}

static enum exit_action mem_exit(uint64_t gpa, const void *bytes, unsigned int count)
{
    const struct vm_exit exit = {.kind = EXIT_MEM, .mem = {.gpa = GPA(gpa), .read = true}};

    fake_code(0x3000, bytes, count);
    return emul_mem(vcpu, &exit);
}

#define MEM_EXIT(gpa, ...) mem_exit(gpa, (uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

/* ---- Devices -------------------------------------------------------------------------------- */

static void test_device(void)
{
    start(64);
    vcpu->gprs.r[GPR_RBX] = DEVICE + 0x10;
    vcpu->gprs.r[GPR_RAX] = ~0ull;
    CHECK(MEM_EXIT(DEVICE + 0x10, 0x8b, 0x43, 0x04) == ACTION_ADVANCE &&
              vcpu->gprs.r[GPR_RAX] == 0x11223344 && seen.offset == 0x14 && seen.size == 4,
          "MOV EAX, [RBX + 4] reads 32 bits and clears the rest");
    CHECK(vcpu->insn_len == 3, "its length is known");
    CHECK(MEM_EXIT(DEVICE + 0x10, 0x66, 0x89, 0x03) == ACTION_ADVANCE && seen.value == 0x3344 &&
              seen.size == 2,
          "MOV [RBX], AX writes 16");
    CHECK(MEM_EXIT(DEVICE + 0x10, 0x48, 0x01, 0x03) == ACTION_ADVANCE && seen.reads == 2 &&
              seen.writes == 2 && seen.value == 0x1122334455667788ull + 0x11223344ull,
          "ADD [RBX], RAX reads and writes");
    vcpu->gprs.r[GPR_RBX] = DEVICE + 0xffe;
    seen.reads = 0;
    CHECK(MEM_EXIT(DEVICE + 0xffe, 0x8b, 0x03) == ACTION_ADVANCE && seen.reads == 2 &&
              seen.size == 2 && seen.offset == 0x1000,
          "an access over the end of a page is two");
    CHECK(vcpu->gprs.r[GPR_RAX] == 0x77881122, "put together again");
    vcpu->gprs.r[GPR_RBX] = DEVICE + 0xfff;
    seen.writes = 0;
    CHECK(MEM_EXIT(DEVICE + 0xfff, 0x89, 0x03) == ACTION_ADVANCE && seen.writes == 4 &&
              seen.size == 1,
          "what has no device's size goes byte by byte");
    vcpu->gprs.r[GPR_RBX] = DEVICE + 0x2000;
    CHECK(MEM_EXIT(DEVICE + 0x2000, 0x8b, 0x03) == ACTION_ADVANCE &&
              vcpu->gprs.r[GPR_RAX] == UINT32_MAX,
          "where there is no device the bus floats");
    vlapic_mmio_write(&vcpu->lapic, 0xf0, 4, 0x1ff);
    vlapic_post(&vcpu->lapic, 0x51, false);
    vcpu->gprs.r[GPR_RBX] = LAYOUT_LAPIC_BASE + 0x80;
    vcpu->gprs.r[GPR_RAX] = 0x40;
    CHECK(
        MEM_EXIT(LAYOUT_LAPIC_BASE + 0x80, 0x89, 0x03) == ACTION_ADVANCE &&
            vlapic_get_tpr(&vcpu->lapic) == 0x40 && vcpu->check_events,
        "the local APIC's page is the vCPU's own, and the run loop looks at what it lets through");
}

static void test_stack(void)
{
    start(64);
    fake.regs[VCPU_RSP] = DEVICE;
    vcpu->gprs.r[GPR_RSP] = 0x1234;
    vcpu->gprs.r[GPR_RAX] = 7;
    CHECK(MEM_EXIT(DEVICE, 0x89, 0x04, 0x24) == ACTION_ADVANCE && seen.writes == 1,
          "RSP as a base is the guest's");
    CHECK(MEM_EXIT(DEVICE, 0x48, 0x8b, 0x24, 0x24) == ACTION_ADVANCE &&
              fake.regs[VCPU_RSP] == 0x1122334455667788ull,
          "and as a destination");
}

static void test_refusals(void)
{
    struct vm_exit exit = {.kind = EXIT_MEM, .mem = {.gpa = GPA(DEVICE), .fetch = true}};

    start(64);
    CHECK(emul_mem(vcpu, &exit) == ACTION_STOP && fake.stop_reason == STOP_UNSUPPORTED,
          "code in device memory stops the guest");
    exit.mem = (struct exit_mem){.gpa = GPA(DEVICE), .read = true, .in_page_walk = true};
    CHECK(emul_mem(vcpu, &exit) == ACTION_STOP, "so do page tables");
    exit.mem.in_page_walk = false;
    exit.vectoring = (struct vm_event){.type = EVENT_INTR, .vector = 0x30};
    fake_code(0x3000, (uint8_t[]){0x89, 0x03}, 2);
    CHECK(emul_mem(vcpu, &exit) == ACTION_STOP && !seen.writes,
          "and a stack there when an event is delivered: the next instruction is not to blame");
    start(64);
    CHECK(MEM_EXIT(0x5000, 0x89, 0x03) == ACTION_RESUME,
          "RAM that is mapped by now is tried again");
    vcpu->gprs.r[GPR_RBX] = DEVICE;
    CHECK(MEM_EXIT(DEVICE, 0x0f, 0x11, 0x03) == ACTION_STOP,
          "SSE on device memory stops the guest");
    CHECK(MEM_EXIT(DEVICE, 0xf0, 0x89, 0x03) == ACTION_RESUME && vcpu->exception.vector == VEC_UD,
          "LOCK where it may not stand is #UD");
}

/* ---- Faults --------------------------------------------------------------------------------- */

static void test_page_faults(void)
{
    uint64_t value = 0x55;

    start(64);
    CHECK(emul_mem_write(vcpu, SEG_DS, GIB(1) - 4, 8, ~0ull) == -EFAULT &&
              fake.regs[VCPU_CR2] == GIB(1) && vcpu->exception.error == PF_WRITE,
          "of an access over two pages the second faults with its own address");
    CHECK(emul_mem_read(vcpu, SEG_DS, GIB(1), 4, &value) == -EFAULT && value == 0x55,
          "and nothing is read");
    start(64);
    fake_poke64(0x2000 + 8, 0x4000 | 7);
    fake_poke64(0x4000, 0x5000 | 7);
    fake_poke64(0x5000, 0x6000 | 5);
    fake.regs[VCPU_CR0] |= CR0_WP;
    fake_poke64(0x6000, 0x1234);
    vcpu->gprs.r[GPR_RSI] = DEVICE;
    vcpu->gprs.r[GPR_RDI] = GIB(1);
    vcpu->gprs.r[GPR_RCX] = 3;
    CHECK(MEM_EXIT(DEVICE, 0xf3, 0xa5) == ACTION_RESUME && vcpu->exception.vector == VEC_PF &&
              vcpu->gprs.r[GPR_RCX] == 3 && vcpu->gprs.r[GPR_RSI] == DEVICE &&
              fake_peek64(0x6000) == 0x1234,
          "a fault of REP MOVS leaves its registers and the memory");
    vcpu->exception.type = EVENT_NONE;
    fake_set_cpl(3);
    fake_poke64(0x2000 + 24, GIB(3) | 0x83);
    CHECK(emul_mem_read(vcpu, SEG_DS, DEVICE, 4, &value) == -EFAULT &&
              (vcpu->exception.error & PF_USER),
          "a user program reads as one");
}

static void test_segments(void)
{
    static const struct {
        const char *what;
        struct segment segment;
        uint64_t offset;
        bool write, ok;
    } cases[] = {
        {"within the limit", {0x10000, 0xfff, 0x93, 0}, 0xffc, false, true},
        {"over the limit", {0x10000, 0xfff, 0x93, 0}, 0xffd, false, false},
        {"far over it", {0x10000, 0xfff, 0x93, 0}, 0xffffffff, false, false},
        {"expand-down, below", {0x10000, 0xfff, 0x97, 0}, 0xfff, false, false},
        {"expand-down, above", {0x10000, 0xfff, 0x97, 0}, 0x1000, false, true},
        {"expand-down, over 64 KiB", {0x10000, 0xfff, 0x97, 0}, 0xfffd, false, false},
        {"expand-down and big", {0x10000, 0xfff, 0x97 | SEG_ATTR_DB, 0}, 0xfffd, false, true},
        {"a write of read-only data", {0x10000, 0xfff, 0x91, 0}, 0, true, false},
        {"a read of read-only data", {0x10000, 0xfff, 0x91, 0}, 0, false, true},
        {"a write of code", {0x10000, 0xfff, 0x9b, 0}, 0, true, false},
        {"a read of readable code", {0x10000, 0xfff, 0x9b, 0}, 0, false, true},
        {"a read of other code", {0x10000, 0xfff, 0x99, 0}, 0, false, false},
        {"an unusable segment", {0, 0xfff, SEG_ATTR_UNUSABLE, 0}, 0, false, false},
    };
    uint64_t value;

    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
        int error;

        start(32);
        fake.segs[SEG_DS] = cases[i].segment;
        error = cases[i].write ? emul_mem_write(vcpu, SEG_DS, cases[i].offset, 4, 0)
                               : emul_mem_read(vcpu, SEG_DS, cases[i].offset, 4, &value);
        CHECK((error == 0) == cases[i].ok && (!error || vcpu->exception.vector == VEC_GP),
              cases[i].what);
    }
    start(32);
    fake.segs[SEG_SS].limit = 0xfff;
    CHECK(emul_mem_read(vcpu, SEG_SS, 0x1000, 1, &value) && vcpu->exception.vector == VEC_SS,
          "the stack segment faults with #SS");
    start(16);
    CHECK(emul_mem_write(vcpu, SEG_CS, 0x100, 2, 1) == 0, "in real mode code can be written");
    start(64);
    CHECK(emul_mem_read(vcpu, SEG_DS, 0x7ffffffffffdull, 4, &value) &&
              vcpu->exception.vector == VEC_GP,
          "an address that is not canonical is #GP");
    start(64);
    fake.segs[SEG_FS].base = 0x10000;
    fake.segs[SEG_DS].base = 0x20000;
    fake_poke64(0x10008, 0x99);
    CHECK(emul_mem_read(vcpu, SEG_FS, 8, 8, &value) == 0 && value == 0x99,
          "in 64-bit code FS has a base");
    fake_poke64(8, 0x77);
    CHECK(emul_mem_read(vcpu, SEG_DS, 8, 8, &value) == 0 && value == 0x77, "DS has none");
    start(32);
    fake_add_slot(0xfffff000, fake_ram + 0x8000, 0x1000);
    fake_ram[0x8fff] = 0x12;
    fake_ram[0] = 0x34;
    fake.segs[SEG_DS].base = 0xffffffff;
    CHECK(emul_mem_read(vcpu, SEG_DS, 0, 2, &value) == 0 && value == 0x3412,
          "a linear address wraps at 4 GiB");
}

/* ---- Ports ---------------------------------------------------------------------------------- */

static enum exit_action io_exit(bool in, bool string, uint8_t size, const void *bytes,
                                unsigned int count)
{
    const struct vm_exit exit = {.kind = EXIT_IO,
                                 .io = {.port = 0x1f0, .size = size, .in = in, .string = string}};

    fake_code(0x3000, bytes, count);
    return emul_io(vcpu, &exit);
}

static void test_ports(void)
{
    start(64);
    vcpu->gprs.r[GPR_RAX] = ~0ull;
    CHECK(io_exit(true, false, 1, "\xec", 1) == ACTION_ADVANCE &&
              vcpu->gprs.r[GPR_RAX] == 0xffffffffffffff11,
          "IN AL keeps the rest");
    CHECK(io_exit(true, false, 4, "\xed", 1) == ACTION_ADVANCE &&
              vcpu->gprs.r[GPR_RAX] == 0x44332212,
          "IN EAX clears it");
    vcpu->gprs.r[GPR_RAX] = 0x12345678;
    CHECK(io_exit(false, false, 2, "\x66\xef", 2) == ACTION_ADVANCE && seen.value == 0x5678,
          "OUT AX");
    start(64);
    vcpu->gprs.r[GPR_RDI] = 0x8000;
    vcpu->gprs.r[GPR_RCX] = 70;
    CHECK(io_exit(true, true, 1, "\xf3\x6c", 2) == ACTION_RESUME && vcpu->gprs.r[GPR_RCX] == 6 &&
              vcpu->gprs.r[GPR_RDI] == 0x8040,
          "REP INS lets interrupts in now and then");
    CHECK(io_exit(true, true, 1, "\xf3\x6c", 2) == ACTION_ADVANCE && !vcpu->gprs.r[GPR_RCX] &&
              fake_ram[0x8045] == 0x11 + 69,
          "and comes to its end");
    start(64);
    memcpy(fake_ram + 0x8000, "abc", 3);
    vcpu->gprs.r[GPR_RSI] = 0x8002;
    vcpu->gprs.r[GPR_RCX] = 3;
    fake.regs[VCPU_RFLAGS] |= RFLAGS_DF;
    CHECK(io_exit(false, true, 1, "\xf3\x6e", 2) == ACTION_ADVANCE && seen.value == 0x636261,
          "REP OUTS downwards");
    start(64);
    vcpu->gprs.r[GPR_RDI] = GIB(1);
    CHECK(io_exit(true, true, 1, "\x6c", 1) == ACTION_RESUME && !seen.reads &&
              vcpu->exception.vector == VEC_PF && vcpu->exception.error == PF_WRITE,
          "INS reads no port when its destination faults");
    start(64);
    fake.regs[VCPU_RFLAGS] |= RFLAGS_TF;
    vcpu->gprs.r[GPR_RDI] = 0x8000;
    vcpu->gprs.r[GPR_RCX] = 3;
    CHECK(io_exit(true, true, 1, "\xf3\x6c", 2) == ACTION_RESUME && vcpu->gprs.r[GPR_RCX] == 2 &&
              vcpu->exception.vector == VEC_DB,
          "under TF an iteration is a step");
    start(16);
    vcpu->gprs.r[GPR_RDI] = 0x1234ffff;
    CHECK(io_exit(true, true, 1, "\x6c", 1) == ACTION_ADVANCE &&
              vcpu->gprs.r[GPR_RDI] == 0x12340000,
          "in 16-bit code DI wraps by itself");
}

static void all(void)
{
    test_device();
    test_stack();
    test_refusals();
    test_page_faults();
    test_segments();
    test_ports();
}

int main(void)
{
    fake_on_cpu(all);
    return check_done();
}
