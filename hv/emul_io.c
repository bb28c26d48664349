/* SPDX-License-Identifier: MIT */
/* Port I/O: IN and OUT of a register, and the string forms, which are decoded. */
#include "hv/emul.h"

#include "arch/x86/regs.h"
#include "hv/insn.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define REP_LIMIT 64

static uint32_t port_read(struct vm *vm, uint16_t port, uint8_t size)
{
    uint32_t value;

    spin_lock(&vm->lock);
    value = pio_bus_read(&vm->pio, port, size);
    spin_unlock(&vm->lock);
    return value;
}

static void port_write(struct vm *vm, uint16_t port, uint8_t size, uint32_t value)
{
    spin_lock(&vm->lock);
    pio_bus_write(&vm->pio, port, size, value);
    spin_unlock(&vm->lock);
}

static enum exit_action register_form(struct vcpu *vcpu, const struct exit_io *io)
{
    uint64_t *rax = &vcpu->gprs.r[GPR_RAX];
    uint32_t value;

    if (!io->in) {
        port_write(vcpu->vm, io->port, io->size, (uint32_t)*rax);
        return ACTION_ADVANCE;
    }
    value = port_read(vcpu->vm, io->port, io->size);
    if (io->size == 1)
        __builtin_memcpy(rax, &value, 1);
    else if (io->size == 2)
        __builtin_memcpy(rax, &value, 2);
    else /* a 32-bit result clears the upper half, the others keep it */
        *rax = value;
    return ACTION_ADVANCE;
}

/* Registers of a string instruction at its address size: the rest of the register stays, or is
 * cleared at 32 bits. */
static void set_sized(uint64_t *reg, uint64_t value, unsigned int size)
{
    *reg = size == 2 ? (*reg & ~0xffffull) | (value & 0xffff) : value & insn_mask(size);
}

/* One element.  False: a fault was injected. */
static bool move_element(struct vcpu *vcpu, const struct exit_io *io, const struct insn *insn)
{
    uint64_t mask = insn_mask(insn->address_size);
    uint64_t *index = &vcpu->gprs.r[io->in ? GPR_RDI : GPR_RSI];
    bool down = backend->get_reg(vcpu, VCPU_RFLAGS) & RFLAGS_DF;
    uint64_t value = 0;

    if (io->in) {
        /* The destination is proved writable before the device is read, whose reads have effects.
         */
        if (emul_mem_check_write(vcpu, SEG_ES, *index & mask, io->size) != 0)
            return false;
        value = port_read(vcpu->vm, io->port, io->size);
        if (emul_mem_write(vcpu, SEG_ES, *index & mask, io->size, value) != 0)
            return false;
    } else {
        if (emul_mem_read(vcpu, insn->mem.segment, *index & mask, io->size, &value) != 0)
            return false;
        port_write(vcpu->vm, io->port, io->size, (uint32_t)value);
    }
    set_sized(index, down ? *index - io->size : *index + io->size, insn->address_size);
    return true;
}

static COLD enum exit_action string_form(struct vcpu *vcpu, const struct exit_io *io)
{
    bool stepping = backend->get_reg(vcpu, VCPU_RFLAGS) & RFLAGS_TF;
    uint64_t *rcx = &vcpu->gprs.r[GPR_RCX];
    struct insn insn;

    if (emul_decode(vcpu, &insn) != 0 || (insn.op != INSN_OP_INS && insn.op != INSN_OP_OUTS))
        return ACTION_RESUME; /* the code changed under the exit */
    if (!insn.repeat)
        return move_element(vcpu, io, &insn) ? ACTION_ADVANCE : ACTION_RESUME;
    for (unsigned int i = 0; i < (stepping ? 1 : REP_LIMIT); i++) {
        uint64_t count = *rcx & insn_mask(insn.address_size);

        if (count == 0)
            return ACTION_ADVANCE;
        if (!move_element(vcpu, io, &insn))
            return ACTION_RESUME;
        set_sized(rcx, count - 1, insn.address_size);
        if (count == 1)
            return ACTION_ADVANCE;
    }
    if (stepping)
        inject_db(vcpu, DR6_BS);
    return ACTION_RESUME; /* the rest after interrupts had their turn */
}

enum exit_action emul_io(struct vcpu *vcpu, const struct vm_exit *exit)
{
    return exit->io.string ? string_form(vcpu, &exit->io) : register_form(vcpu, &exit->io);
}
