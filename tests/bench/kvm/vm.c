/* SPDX-License-Identifier: MIT */
/*
 * One vCPU, memory from address 0, the kernel's own interrupt controllers and PIT, a serial port
 * that is always ready, and the port that ends it.  Any other port or address reads as all ones.
 * The payload is an ELF file with the Xen PVH note and is entered as that protocol says (32-bit,
 * paging off, EBX at an hvm_start_info).  It does not try to be quick at anything but the exits
 * that KVM hands out.
 */
#include "tests/bench/kvm/vm.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_SIZE  (64u << 20)
#define START_INFO   0x7000
#define START_MAGIC  0x336ec578
#define PHYS32_ENTRY 18
#define TSS_BASE     0xfffbd000 /* three pages that KVM wants on VT-x, away from memory and APICs */

#define UART                0x3f8
#define UART_LSR            (UART + 5)
#define LSR_IDLE            0x60
#define DEBUG_EXIT          0xf4
#define MAX_CPUID           256
#define CPUID1_TSC_DEADLINE (1u << 24)
#define CPUID1_HYPERVISOR   (1u << 31)

struct vm {
    int kvm, fd, vcpu;
    uint8_t *memory;
    uint32_t entry;
    struct kvm_run *run;
};

/* The payload's output is kept until its end, so that no tty works beside it. */
static char output[1 << 16];
static size_t output_size;

/* ---- The payload ---- */

static void *map_file(const char *path, size_t *size)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;

    if (file < 0 || fstat(file, &info))
        return NULL;
    *size = (size_t)info.st_size;
    void *data = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    return data == MAP_FAILED ? NULL : data;
}

static size_t align4(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

/* The PVH note's entry in one segment of notes, or 0. */
static uint32_t entry_in_notes(const uint8_t *at, const uint8_t *end)
{
    while (at + sizeof(Elf64_Nhdr) <= end) {
        const Elf64_Nhdr *note = (const void *)at;
        const uint8_t *desc = at + sizeof(*note) + align4(note->n_namesz);

        if (note->n_type == PHYS32_ENTRY && !memcmp(note + 1, "Xen", 4))
            return *(const uint32_t *)desc;
        at = desc + align4(note->n_descsz);
    }
    return 0;
}

/* The file is our own: it is believed where a loader of unknown files would check. */
static int load_payload(struct vm *vm, const char *path)
{
    size_t size;
    const uint8_t *file = map_file(path, &size);
    const Elf64_Ehdr *elf = (const void *)file;

    if (!file || size < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG))
        return failed(path);
    const Elf64_Phdr *segment = (const void *)(file + elf->e_phoff);
    for (unsigned i = 0; i < elf->e_phnum; i++, segment++) {
        if (segment->p_type == PT_LOAD && segment->p_paddr + segment->p_memsz <= MEMORY_SIZE)
            memcpy(vm->memory + segment->p_paddr, file + segment->p_offset, segment->p_filesz);
        if (segment->p_type == PT_NOTE)
            vm->entry = entry_in_notes(file + segment->p_offset,
                                       file + segment->p_offset + segment->p_filesz);
    }
    const uint32_t start_info[14] = {START_MAGIC, 1};
    memcpy(vm->memory + START_INFO, start_info, sizeof(start_info));
    errno = ENOEXEC;
    return vm->entry ? 0 : failed("no PVH note");
}

/* ---- The machine ---- */

/* Pages of 4 KiB, each given when it is first touched, as the usual program of KVM has them. */
static int create_memory(struct vm *vm)
{
    vm->memory =
        mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (vm->memory == MAP_FAILED || madvise(vm->memory, MEMORY_SIZE, MADV_NOHUGEPAGE))
        return failed("memory");
    const struct kvm_userspace_memory_region region = {
        .memory_size = MEMORY_SIZE,
        .userspace_addr = (uintptr_t)vm->memory,
    };
    return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? failed("KVM_SET_USER_MEMORY_REGION")
                                                              : 0;
}

static int create_machine(struct vm *vm)
{
    const struct kvm_pit_config pit = {0};

    vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (vm->kvm < 0)
        return failed("/dev/kvm");
    vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
    if (vm->fd < 0)
        return failed("KVM_CREATE_VM");
    if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_BASE) || ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) ||
        ioctl(vm->fd, KVM_CREATE_PIT2, &pit))
        return failed("the machine's devices");
    return create_memory(vm);
}

/* All that KVM can show, with what it leaves to its user to offer. */
static int set_cpuid(struct vm *vm)
{
    static union {
        struct kvm_cpuid2 head;
        uint8_t space[sizeof(struct kvm_cpuid2) + MAX_CPUID * sizeof(struct kvm_cpuid_entry2)];
    } cpuid;

    cpuid.head.nent = MAX_CPUID;
    if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid))
        return failed("KVM_GET_SUPPORTED_CPUID");
    for (unsigned i = 0; i < cpuid.head.nent; i++) {
        if (cpuid.head.entries[i].function == 1)
            cpuid.head.entries[i].ecx |= CPUID1_TSC_DEADLINE | CPUID1_HYPERVISOR;
    }
    return ioctl(vm->vcpu, KVM_SET_CPUID2, &cpuid) ? failed("KVM_SET_CPUID2") : 0;
}

/* The state that PVH's entry has. */
static int set_registers(struct vm *vm)
{
    const struct kvm_segment code = {
        .limit = ~0u, .selector = 0x08, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1};
    const struct kvm_segment data = {
        .limit = ~0u, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
    const struct kvm_regs regs = {.rip = vm->entry, .rbx = START_INFO, .rflags = 2};
    struct kvm_sregs sregs;

    if (ioctl(vm->vcpu, KVM_GET_SREGS, &sregs))
        return failed("KVM_GET_SREGS");
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.tr.type = 11;
    sregs.cr0 = 0x11;
    if (ioctl(vm->vcpu, KVM_SET_SREGS, &sregs) || ioctl(vm->vcpu, KVM_SET_REGS, &regs))
        return failed("the registers");
    return 0;
}

static int create_vcpu(struct vm *vm)
{
    vm->vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
    if (vm->vcpu < 0)
        return failed("KVM_CREATE_VCPU");
    const int size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    vm->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
    if (vm->run == MAP_FAILED)
        return failed("the vCPU's page");
    return set_cpuid(vm) ? -1 : set_registers(vm);
}

/* ---- Exits ---- */

static void port_access(struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    if (run->io.direction == KVM_EXIT_IO_IN)
        memset(data, run->io.port == UART_LSR ? LSR_IDLE : 0xff, run->io.size * run->io.count);
    else if (run->io.port == UART && output_size < sizeof(output))
        output[output_size++] = (char)*data;
}

static bool says_end(const struct kvm_run *run)
{
    return run->exit_reason == KVM_EXIT_IO && run->io.port == DEBUG_EXIT &&
           run->io.direction == KVM_EXIT_IO_OUT;
}

static int run_vcpu(struct vm *vm)
{
    struct kvm_run *run = vm->run;

    for (;;) {
        if (ioctl(vm->vcpu, KVM_RUN, 0))
            return failed("KVM_RUN");
        if (says_end(run))
            return 0;
        if (run->exit_reason == KVM_EXIT_IO) {
            port_access(run);
        } else if (run->exit_reason == KVM_EXIT_MMIO) {
            if (!run->mmio.is_write)
                memset(run->mmio.data, 0xff, run->mmio.len);
        } else {
            printf("kvm: an exit for the reason %u\n", run->exit_reason);
            return -1;
        }
    }
}

int vm_run(const char *path)
{
    static struct vm vm;

    if (create_machine(&vm) || load_payload(&vm, path) || create_vcpu(&vm))
        return -1;
    const int result = run_vcpu(&vm);
    fwrite(output, 1, output_size, stdout);
    return result;
}
