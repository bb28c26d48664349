/* SPDX-License-Identifier: MIT */
/*
 * Accesses that the second-level tables did not allow: device memory.  The instruction is decoded
 * and executed here, its operands wherever they are, RAM or devices.
 */
#include "hv/emul.h"

#include "arch/x86/regs.h"
#include "hv/errno.h"
#include "hv/guest_mem.h"
#include "hv/insn.h"
#include "hv/intr.h"
#include "hv/layout.h"
#include "hv/pv/pv.h"
#include "hv/string.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_pages.h"

#define REP_LIMIT 64

int emul_decode(struct vcpu *vcpu, struct insn *insn)
{
    uint8_t bytes[INSN_MAX_LENGTH];
    unsigned int count = guest_fetch_begun(vcpu, bytes, sizeof(bytes));
    int error = insn_decode(insn, bytes, count, vcpu_insn_mode(vcpu));

    vcpu->insn_len = error ? 0 : insn->length;
    return error == -EAGAIN ? -EFAULT : error;
}

/* ---- One piece of an access, within a page -------------------------------------------------- */

static NOINLINE uint64_t bus_read(struct vm *vm, uint64_t gpa, uint8_t size)
{
    uint64_t value;

    spin_lock(&vm->lock);
    value = mmio_bus_read(&vm->mmio, gpa, size);
    spin_unlock(&vm->lock);
    return value;
}

static NOINLINE void bus_write(struct vm *vm, uint64_t gpa, uint8_t size, uint64_t value)
{
    spin_lock(&vm->lock);
    mmio_bus_write(&vm->mmio, gpa, size, value);
    spin_unlock(&vm->lock);
}

static NOINLINE uint64_t apic_read(struct vcpu *vcpu, uint64_t offset, uint8_t size)
{
    uint64_t value;

    kvm_eoi_sync(vcpu);
    value = vlapic_mmio_read(&vcpu->lapic, offset, size);
    vcpu->check_events |= intr_pending(vcpu); /* of an error, if it was none of its registers */
    return value;
}

static NOINLINE void apic_write(struct vcpu *vcpu, uint64_t offset, uint8_t size, uint64_t value)
{
    kvm_eoi_sync(vcpu);
    vlapic_mmio_write(&vcpu->lapic, offset, size, value);
    if (intr_pending(vcpu))
        vcpu->check_events = true;
}

uint64_t emul_device_read(struct vcpu *vcpu, uint64_t gpa, uint8_t size)
{
    uint64_t offset = gpa - LAYOUT_LAPIC_BASE;

    return offset < LAYOUT_LAPIC_SIZE ? apic_read(vcpu, offset, size)
                                      : bus_read(vcpu->vm, gpa, size);
}

void emul_device_write(struct vcpu *vcpu, uint64_t gpa, uint8_t size, uint64_t value)
{
    uint64_t offset = gpa - LAYOUT_LAPIC_BASE;

    if (offset < LAYOUT_LAPIC_SIZE)
        apic_write(vcpu, offset, size, value);
    else
        bus_write(vcpu->vm, gpa, size, value);
}

/* Devices take naturally sized accesses; an odd size (a split at a page's end) goes byte by byte.
 */
static bool is_device_size(unsigned int size)
{
    return size == 1 || size == 2 || size == 4 || size == 8;
}

static void read_piece(struct vcpu *vcpu, gpa_t gpa, unsigned int size, uint8_t *to)
{
    if (guest_mem_read(vcpu->vm, gpa, to, size) == 0)
        return;
    if (is_device_size(size)) {
        uint64_t value = emul_device_read(vcpu, gpa.value, (uint8_t)size);

        memcpy(to, &value, size);
        return;
    }
    for (unsigned int i = 0; i < size; i++)
        to[i] = (uint8_t)emul_device_read(vcpu, gpa.value + i, 1);
}

static void write_piece(struct vcpu *vcpu, gpa_t gpa, unsigned int size, const uint8_t *from)
{
    if (guest_mem_write(vcpu->vm, gpa, from, size) == 0)
        return;
    if (is_device_size(size)) {
        uint64_t value = 0;

        memcpy(&value, from, size);
        emul_device_write(vcpu, gpa.value, (uint8_t)size, value);
        return;
    }
    for (unsigned int i = 0; i < size; i++)
        emul_device_write(vcpu, gpa.value + i, 1, from[i]);
}

/* ---- An access through a segment ------------------------------------------------------------ */

static bool is_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* SDM, "Limit Checking": is the offset inside?  (Expand-down data segments: above the limit.) */
static bool within_limit(const struct segment *segment, uint64_t offset, unsigned int size)
{
    uint64_t last = offset + size - 1;
    uint64_t top = segment->attributes & SEG_ATTR_DB ? UINT32_MAX : UINT16_MAX;
    bool expand_down = (SEG_ATTR_TYPE(segment->attributes) & 0xc) == 0x4;

    return expand_down ? offset > segment->limit && last <= top : last <= segment->limit;
}

/*
 * SDM, "Type Checking": only data segments are written, and only if they say so; code may be
 * unreadable. Real mode has no types.
 */
static bool type_allows(const struct vcpu *vcpu, const struct segment *segment, bool write)
{
    uint32_t type = SEG_ATTR_TYPE(segment->attributes);

    if (!(backend->get_reg(vcpu, VCPU_CR0) & CR0_PE))
        return true;
    if (segment->attributes & SEG_ATTR_UNUSABLE)
        return false;
    if (write)
        return (type & (SEG_TYPE_CODE | SEG_TYPE_WRITABLE)) == SEG_TYPE_WRITABLE;
    return !(type & SEG_TYPE_CODE) || (type & SEG_TYPE_READABLE);
}

/* The linear address; -EFAULT with #GP or #SS injected. */
static int linear_address(struct vcpu *vcpu, unsigned int seg, uint64_t offset, unsigned int size,
                          bool write, uint64_t *out)
{
    struct segment segment;
    uint64_t base;
    bool ok;

    backend->get_seg(vcpu, (enum vcpu_seg)seg, &segment);
    if (vcpu_is_64bit(vcpu)) {
        base = seg == SEG_FS || seg == SEG_GS ? segment.base : 0;
        *out = base + offset;
        ok = is_canonical(*out) && is_canonical(*out + size - 1);
    } else {
        *out = (uint32_t)(segment.base + offset);
        ok = type_allows(vcpu, &segment, write) && within_limit(&segment, offset, size);
    }
    if (ok)
        return 0;
    inject_exception(vcpu, seg == SEG_SS ? VEC_SS : VEC_GP, true, 0);
    return -EFAULT;
}

struct pieces {
    unsigned int count;
    struct {
        gpa_t gpa;
        unsigned int size;
    } at[2];
};

/* Translate all of it before any is touched; -EFAULT with #PF injected. */
static int translate(struct vcpu *vcpu, uint64_t gva, unsigned int size, uint32_t access,
                     struct pieces *out)
{
    out->count = 0;
    if (vcpu_cpl(vcpu) == 3)
        access |= ACCESS_USER;
    while (size) {
        unsigned int piece = (unsigned int)MIN(size, PAGE_SIZE - (gva & PAGE_MASK));
        struct guest_walk walk;

        guest_walk(vcpu, gva, access, &walk);
        if (!walk.ok) {
            inject_pf(vcpu, gva, walk.error);
            return -EFAULT;
        }
        out->at[out->count].gpa = walk.gpa;
        out->at[out->count++].size = piece;
        gva += piece;
        size -= piece;
        if (!vcpu_is_64bit(vcpu))
            gva = (uint32_t)gva;
    }
    return 0;
}

int emul_mem_read(struct vcpu *vcpu, unsigned int seg, uint64_t offset, unsigned int size,
                  uint64_t *value)
{
    uint8_t bytes[8] = {0};
    unsigned int done = 0;
    struct pieces pieces;
    uint64_t gva;

    if (linear_address(vcpu, seg, offset, size, false, &gva) != 0 ||
        translate(vcpu, gva, size, ACCESS_READ, &pieces) != 0)
        return -EFAULT;
    for (unsigned int i = 0; i < pieces.count; i++) {
        read_piece(vcpu, pieces.at[i].gpa, pieces.at[i].size, bytes + done);
        done += pieces.at[i].size;
    }
    memcpy(value, bytes, sizeof(bytes));
    return 0;
}

/* Whether a write would fault; nothing is written. */
int emul_mem_check_write(struct vcpu *vcpu, unsigned int seg, uint64_t offset, unsigned int size)
{
    struct pieces pieces;
    uint64_t gva;

    if (linear_address(vcpu, seg, offset, size, true, &gva) != 0)
        return -EFAULT;
    return translate(vcpu, gva, size, ACCESS_WRITE, &pieces);
}

int emul_mem_write(struct vcpu *vcpu, unsigned int seg, uint64_t offset, unsigned int size,
                   uint64_t value)
{
    uint8_t bytes[8];
    unsigned int done = 0;
    struct pieces pieces;
    uint64_t gva;

    memcpy(bytes, &value, sizeof(bytes));
    if (linear_address(vcpu, seg, offset, size, true, &gva) != 0 ||
        translate(vcpu, gva, size, ACCESS_WRITE, &pieces) != 0)
        return -EFAULT;
    for (unsigned int i = 0; i < pieces.count; i++) {
        write_piece(vcpu, pieces.at[i].gpa, pieces.at[i].size, bytes + done);
        done += pieces.at[i].size;
    }
    return 0;
}

/* ---- The exit ------------------------------------------------------------------------------- */

static int env_read(void *ctx, enum insn_seg seg, uint64_t offset, unsigned int size,
                    uint64_t *value)
{
    return emul_mem_read(ctx, seg, offset, size, value);
}

static int env_write(void *ctx, enum insn_seg seg, uint64_t offset, unsigned int size,
                     uint64_t value)
{
    return emul_mem_write(ctx, seg, offset, size, value);
}

static enum exit_action stop_unsupported(struct vcpu *vcpu, const struct vm_exit *exit,
                                         const char *what)
{
    return vm_stop(vcpu->vm, vcpu, STOP_UNSUPPORTED, "%s at 0x%llx on device memory at gpa 0x%llx",
                   what, (unsigned long long)vcpu->rip, (unsigned long long)exit->mem.gpa.value);
}

static enum exit_action execute(struct vcpu *vcpu, const struct vm_exit *exit,
                                const struct insn *insn)
{
    uint64_t rflags = backend->get_reg(vcpu, VCPU_RFLAGS);
    struct insn_env env = {
        .gpr = vcpu->gprs.r,
        .rflags = &rflags,
        .rip = vcpu->rip,
        .rep_limit = rflags & RFLAGS_TF ? 1 : REP_LIMIT,
        .ctx = vcpu,
        .read = env_read,
        .write = env_write,
    };
    uint64_t rsp = vcpu->gprs.r[GPR_RSP] = backend->get_reg(vcpu, VCPU_RSP);
    enum insn_result result = insn_execute(insn, &env);

    if (vcpu->gprs.r[GPR_RSP] != rsp)
        backend->set_reg(vcpu, VCPU_RSP, vcpu->gprs.r[GPR_RSP]);
    switch (result) {
    case INSN_DONE:
        backend->set_reg(vcpu, VCPU_RFLAGS, rflags);
        return ACTION_ADVANCE;
    case INSN_AGAIN:
        backend->set_reg(vcpu, VCPU_RFLAGS, rflags);
        if (rflags & RFLAGS_TF)
            inject_db(vcpu, DR6_BS); /* an iteration of REP is a step */
        return ACTION_RESUME;
    case INSN_FAULT:
        return ACTION_RESUME;
    case INSN_UD:
        inject_ud(vcpu);
        return ACTION_RESUME;
    case INSN_UNSUPPORTED:
        break;
    }
    return stop_unsupported(vcpu, exit, "unsupported instruction");
}

enum exit_action emul_mem(struct vcpu *vcpu, const struct vm_exit *exit)
{
    struct insn insn;
    int error;

    if (guest_mem_is_ram(vcpu->vm, exit->mem.gpa))
        return vm_pages_touched(vcpu, exit->mem.gpa);
    if (exit->mem.fetch)
        return stop_unsupported(vcpu, exit, "execution");
    if (exit->mem.in_page_walk)
        return stop_unsupported(vcpu, exit, "page tables");
    if (exit->vectoring.type) /* the instruction at RIP has nothing to do with it */
        return stop_unsupported(vcpu, exit, "delivery of an event");
    error = emul_decode(vcpu, &insn);
    if (error == -EFAULT)
        return ACTION_RESUME; /* the code is gone: executing again faults */
    if (error)
        return stop_unsupported(vcpu, exit, "unknown instruction");
    return execute(vcpu, exit, &insn);
}
