/* SPDX-License-Identifier: MIT */
/*
 * A plugin for QEMU's emulated CPUs that counts executed instructions: those of the hypervisor, by
 * their addresses, and all others, from the first VMRUN on.
 *
 *   -plugin count.so,counters=FILE,begin=ADDRESS,end=ADDRESS
 *
 * FILE holds struct counters while the machine runs, for another process to read.  A guest that
 * executes the instruction MARK with a number has the three counts noted under that number.  An
 * instruction that faults and is executed again counts twice.  Of QEMU's plugin interface (version
 * 1) only what is used here is declared: Debian packages no header.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct plugin_block;
struct plugin_instruction;
typedef void (*translated_fn)(uint64_t id, struct plugin_block *block);

enum plugin_operation { PLUGIN_ADD };

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated_fn function);
size_t qemu_plugin_tb_n_insns(const struct plugin_block *block);
struct plugin_instruction *qemu_plugin_tb_get_insn(const struct plugin_block *block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct plugin_instruction *insn);
const void *qemu_plugin_insn_data(const struct plugin_instruction *insn);
size_t qemu_plugin_insn_size(const struct plugin_instruction *insn);
void qemu_plugin_register_vcpu_insn_exec_inline(struct plugin_instruction *insn,
                                                enum plugin_operation operation, void *counter,
                                                uint64_t value);
void qemu_plugin_register_vcpu_insn_exec_cb(struct plugin_instruction *insn,
                                            void (*function)(unsigned int cpu, void *context),
                                            int registers, void *context);
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

int qemu_plugin_version = 1;

#define MARKS 16u

struct counts {
    uint64_t hypervisor, others, entries;
};

struct counters {
    struct counts now, marks[MARKS];
};

static struct counters *counters;
static uint64_t begin, end;

/* What was before the first entry is forgotten. */
static void entered(unsigned int cpu, void *context)
{
    if (counters->now.entries++ == 0)
        counters->now.hypervisor = counters->now.others = 0;
}

static void marked(unsigned int cpu, void *context)
{
    counters->marks[(uintptr_t)context] = counters->now;
}

static int is_vmrun(const struct plugin_instruction *insn)
{
    return qemu_plugin_insn_size(insn) == 3 &&
           memcmp(qemu_plugin_insn_data(insn), "\x0f\x01\xd8", 3) == 0;
}

/* A NOP of eight bytes whose displacement holds the number and "mk"; -1: it is none. */
static int mark_of(const struct plugin_instruction *insn)
{
    const uint8_t *bytes = qemu_plugin_insn_data(insn);

    if (qemu_plugin_insn_size(insn) != 8 || memcmp(bytes, "\x0f\x1f\x84\0", 4) != 0 ||
        memcmp(bytes + 5, "\0mk", 3) != 0 || bytes[4] >= MARKS)
        return -1;
    return bytes[4];
}

static void translated(uint64_t id, struct plugin_block *block)
{
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct plugin_instruction *insn = qemu_plugin_tb_get_insn(block, i);
        const uint64_t address = qemu_plugin_insn_vaddr(insn);
        const int is_ours = address >= begin && address < end;

        const int mark = is_ours ? -1 : mark_of(insn);

        if (is_ours && is_vmrun(insn))
            qemu_plugin_register_vcpu_insn_exec_cb(insn, entered, 0, NULL);
        if (mark >= 0)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, 0, (void *)(uintptr_t)mark);
        qemu_plugin_register_vcpu_insn_exec_inline(
            insn, PLUGIN_ADD, is_ours ? &counters->now.hypervisor : &counters->now.others, 1);
    }
}

static const char *value(int argc, char **argv, const char *name)
{
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], name, strlen(name)) == 0 && argv[i][strlen(name)] == '=')
            return argv[i] + strlen(name) + 1;
    return "";
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    const int file = open(value(argc, argv, "counters"), O_RDWR | O_CREAT | O_TRUNC, 0666);

    if (file < 0 || ftruncate(file, sizeof(*counters)) != 0)
        return 1;
    counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    begin = strtoull(value(argc, argv, "begin"), NULL, 0);
    end = strtoull(value(argc, argv, "end"), NULL, 0);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return counters == MAP_FAILED;
}
