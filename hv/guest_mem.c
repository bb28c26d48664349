/* SPDX-License-Identifier: MIT */
/* Guest memory: by guest-physical address through the slots, by guest-virtual one through the
 * guest's tables. */
#include "hv/guest_mem.h"

#include "arch/x86/paging.h"
#include "arch/x86/regs.h"
#include "hv/errno.h"
#include "hv/guest_used.h"
#include "hv/string.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_pages.h"

/* ---- Guest-physical ------------------------------------------------------------------------- */

/* The host's view of [gpa, gpa + size) in a slot, or a null pointer. */
static inline void *in_slot(const struct mem_slot *slot, uint64_t gpa, uint64_t size)
{
    uint64_t offset = gpa - slot->gpa.value;

    if (unlikely(offset >= slot->size || size > slot->size - offset))
        return NULL;
    return phys_to_virt(HPA(slot->hpa.value + offset));
}

static NOINLINE void *in_any_slot(const struct vm *vm, uint64_t gpa, uint64_t size)
{
    for (unsigned int i = 0; i < vm->slot_count; i++) {
        void *at = in_slot(&vm->slots[i], gpa, size);

        if (at)
            return at;
    }
    return vm->paged_count ? vm_pages_at(vm, gpa, size) : NULL;
}

/* The host's view of [gpa, gpa + size), which must lie in one slot of RAM, or of an overcommitted
 * VM in one page; else a null pointer.  Nearly always it is in the largest slot. */
static inline void *ram_at(const struct vm *vm, uint64_t gpa, uint64_t size)
{
    void *at = in_slot(&vm->slots[vm->largest_slot], gpa, size);

    return likely(at) ? at : in_any_slot(vm, gpa, size);
}

/* The part of a range that ram_at() shows in one piece. */
static uint64_t piece_at(const struct vm *vm, uint64_t gpa, uint64_t size)
{
    for (unsigned int i = 0; i < vm->slot_count; i++) {
        uint64_t offset = gpa - vm->slots[i].gpa.value;

        if (offset < vm->slots[i].size)
            return MIN(size, vm->slots[i].size - offset);
    }
    size = MIN(size, PAGE_SIZE - (gpa & PAGE_MASK));
    return ram_at(vm, gpa, size) ? size : 0;
}

static bool all_ram(const struct vm *vm, uint64_t gpa, uint64_t size)
{
    if (size > ~gpa)
        return false;
    while (size) {
        uint64_t piece = piece_at(vm, gpa, size);

        if (!piece)
            return false;
        gpa += piece;
        size -= piece;
    }
    return true;
}

const void *guest_mem_look(struct vm *vm, gpa_t gpa, uint64_t size)
{
    return ram_at(vm, gpa.value, size);
}

bool guest_mem_is_ram(struct vm *vm, gpa_t gpa)
{
    return vm->paged_count ? vm_pages_have(vm, gpa) : ram_at(vm, gpa.value, 1) != NULL;
}

uint8_t guest_mem_exchange(struct vm *vm, gpa_t gpa, uint8_t value)
{
    uint8_t *byte = ram_at(vm, gpa.value, 1);

    return byte ? __atomic_exchange_n(byte, value, __ATOMIC_SEQ_CST) : 0;
}

int guest_mem_read(struct vm *vm, gpa_t gpa, void *to, uint64_t size)
{
    const void *from = ram_at(vm, gpa.value, size);

    if (from) {
        memcpy(to, from, size);
        return 0;
    }
    if (!all_ram(vm, gpa.value, size))
        return -EFAULT;
    while (size) {
        uint64_t piece = piece_at(vm, gpa.value, size);

        from = ram_at(vm, gpa.value, piece);
        if (!from) /* the page has gone meanwhile */
            return -EFAULT;
        memcpy(to, from, piece);
        to = (char *)to + piece;
        gpa.value += piece;
        size -= piece;
    }
    return 0;
}

int guest_mem_load16(struct vm *vm, gpa_t gpa, uint16_t *value)
{
    const uint16_t *at = ram_at(vm, gpa.value, sizeof(*at));

    if (!at || gpa.value % sizeof(*at))
        return -EFAULT;
    *value = __atomic_load_n(at, __ATOMIC_ACQUIRE);
    return 0;
}

int guest_mem_store16(struct vm *vm, gpa_t gpa, uint16_t value)
{
    uint16_t *at = ram_at(vm, gpa.value, sizeof(*at));

    if (!at || gpa.value % sizeof(*at))
        return -EFAULT;
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
    return 0;
}

/* Writing and zeroing are one walk: from may be a null pointer for zeroes. */
static int fill(struct vm *vm, gpa_t gpa, const void *from, uint64_t size)
{
    if (!all_ram(vm, gpa.value, size))
        return -EFAULT;
    while (size) {
        uint64_t piece = piece_at(vm, gpa.value, size);
        void *to = ram_at(vm, gpa.value, piece);

        if (!to) /* the page has gone meanwhile */
            return -EFAULT;
        if (from) {
            memcpy(to, from, piece);
            from = (const char *)from + piece;
        } else {
            memset(to, 0, piece);
        }
        gpa.value += piece;
        size -= piece;
    }
    return 0;
}

int guest_mem_write(struct vm *vm, gpa_t gpa, const void *from, uint64_t size)
{
    void *to = ram_at(vm, gpa.value, size);

    if (!to)
        return fill(vm, gpa, from, size);
    memcpy(to, from, size);
    return 0;
}

int guest_mem_zero(struct vm *vm, gpa_t gpa, uint64_t size)
{
    return fill(vm, gpa, NULL, size);
}

/* ---- Guest-virtual -------------------------------------------------------------------------- */

#define PTE_P  BIT(0)
#define PTE_RW BIT(1)
#define PTE_US BIT(2)
#define PTE_A  BIT(5)
#define PTE_D  BIT(6)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)

/* How the present mode of paging lays out its tables. */
struct paging_mode {
    unsigned int levels; /* 0: no paging */
    unsigned int entry_size;
    unsigned int index_bits;
    uint64_t address_mask;
};

static struct paging_mode current_mode(const struct vcpu *vcpu)
{
    uint64_t cr4 = backend->get_reg(vcpu, VCPU_CR4);

    if (!(backend->get_reg(vcpu, VCPU_CR0) & CR0_PG))
        return (struct paging_mode){.levels = 0};
    if (vcpu_is_long_mode(vcpu))
        return (struct paging_mode){cr4 & CR4_LA57 ? 5 : 4, 8, 9, CR3_ADDRESS};
    if (cr4 & CR4_PAE)
        return (struct paging_mode){3, 8, 9, CR3_ADDRESS};
    return (struct paging_mode){2, 4, 10, 0xfffff000};
}

#define WALK_TRIES 16

struct walk_state {
    struct vcpu *vcpu;
    uint64_t cr0, cr4, efer;
    uint32_t access;
    bool user_ok, write_ok, fetch_ok; /* what all levels so far allow */
};

/* PSE-36 folds bits 39..32 of the address into bits 20..13 of a 4 MiB entry. */
static uint64_t leaf_address(const struct paging_mode *mode, uint64_t entry, uint64_t page_size)
{
    if (mode->entry_size == 4 && page_size > PAGE_SIZE)
        return (entry & 0xffc00000) | BITS(entry, 20, 13) << 32;
    return entry & mode->address_mask & ~(page_size - 1);
}

/* SDM, "Determination of Access Rights". */
static bool access_allowed(const struct walk_state *state)
{
    bool user = state->access & ACCESS_USER;
    bool write = state->access & ACCESS_WRITE;
    bool fetch = state->access & ACCESS_FETCH;
    bool user_page = state->user_ok;

    if (user && !user_page)
        return false;
    if (fetch)
        return state->fetch_ok && !(!user && user_page && (state->cr4 & CR4_SMEP));
    if (!user && user_page && (state->cr4 & CR4_SMAP) &&
        !(backend->get_reg(state->vcpu, VCPU_RFLAGS) & RFLAGS_AC))
        return false;
    return !write || state->write_ok || (!user && !(state->cr0 & CR0_WP));
}

static uint32_t fault_code(const struct walk_state *state, bool present)
{
    uint32_t code = present ? PF_PRESENT : 0;

    if (state->access & ACCESS_WRITE)
        code |= PF_WRITE;
    if (state->access & ACCESS_USER)
        code |= PF_USER;
    if ((state->access & ACCESS_FETCH) &&
        (((state->efer & EFER_NXE) && (state->cr4 & CR4_PAE)) || (state->cr4 & CR4_SMEP)))
        code |= PF_FETCH;
    return code;
}

static bool is_pdpte(const struct paging_mode *mode, unsigned int level)
{
    return mode->levels == 3 && level == 3; /* has no permission bits and no large leaf */
}

static bool is_leaf(const struct walk_state *state, const struct paging_mode *mode, uint64_t entry,
                    unsigned int level)
{
    if (level == 1)
        return true;
    if (!(entry & PTE_PS) || is_pdpte(mode, level) || level > 3)
        return false;
    return mode->entry_size == 8 || (state->cr4 & CR4_PSE);
}

/*
 * Set the accessed and dirty bits as the CPU would: only in the entry that was read, for the
 * guest's other vCPUs use the same tables.  False: it has changed since.
 */
static bool mark_used(struct walk_state *state, unsigned int size, uint64_t entry_gpa,
                      uint64_t entry, bool leaf)
{
    uint64_t used = entry | PTE_A | (leaf && (state->access & ACCESS_WRITE) ? PTE_D : 0);
    void *at = ram_at(state->vcpu->vm, entry_gpa, size);
    uint32_t entry32 = (uint32_t)entry;

    if (used == entry || !at || (state->access & ACCESS_QUIET))
        return true;
    if (size == 4)
        return __atomic_compare_exchange_n((uint32_t *)at, &entry32, (uint32_t)used, false,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return __atomic_compare_exchange_n((uint64_t *)at, &entry, used, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

static void add_step(struct guest_walk *out, unsigned int level, uint64_t entry_gpa, uint64_t entry)
{
    if (out->step_count < ARRAY_SIZE(out->steps))
        out->steps[out->step_count++] = (struct walk_step){level, GPA(entry_gpa), entry};
}

/* False: an entry changed under the walk, which has to begin again. */
static bool walk_levels(struct walk_state *state, const struct paging_mode *mode, uint64_t gva,
                        struct guest_walk *out)
{
    uint64_t table = backend->get_reg(state->vcpu, VCPU_CR3) &
                     (mode->levels == 3 ? CR3_PAE_ADDRESS : mode->address_mask);

    *out = (struct guest_walk){.page_size = PAGE_SIZE};
    state->user_ok = state->write_ok = state->fetch_ok = true;
    for (unsigned int level = mode->levels; level > 0; level--) {
        unsigned int shift = PAGE_SHIFT + mode->index_bits * (level - 1);
        uint64_t entry_gpa =
            table + ((gva >> shift) & ((1ull << mode->index_bits) - 1)) * mode->entry_size;
        uint64_t entry = 0;
        bool leaf;

        if (guest_mem_read(state->vcpu->vm, GPA(entry_gpa), &entry, mode->entry_size) != 0 ||
            !(entry & PTE_P)) {
            add_step(out, level, entry_gpa, entry);
            out->error = fault_code(state, false);
            return true;
        }
        add_step(out, level, entry_gpa, entry);
        if (!is_pdpte(mode, level)) {
            state->user_ok = state->user_ok && (entry & PTE_US);
            state->write_ok = state->write_ok && (entry & PTE_RW);
            state->fetch_ok = state->fetch_ok && !((entry & PTE_NX) && (state->efer & EFER_NXE));
        }
        leaf = is_leaf(state, mode, entry, level);
        if (leaf && !access_allowed(state)) {
            out->error = fault_code(state, true);
            return true;
        }
        if (!is_pdpte(mode, level) && !mark_used(state, mode->entry_size, entry_gpa, entry, leaf))
            return false;
        if (leaf) {
            out->page_size = 1ull << shift;
            out->gpa =
                GPA(leaf_address(mode, entry, out->page_size) | (gva & (out->page_size - 1)));
            out->ok = true;
            return true;
        }
        table = entry & mode->address_mask;
    }
    return true;
}

static bool is_canonical(const struct paging_mode *mode, uint64_t gva)
{
    unsigned int unused = mode->levels == 5 ? 7 : 16;

    return (uint64_t)((int64_t)(gva << unused) >> unused) == gva;
}

void guest_walk(struct vcpu *vcpu, uint64_t gva, uint32_t access, struct guest_walk *out)
{
    struct paging_mode mode = current_mode(vcpu);
    struct walk_state state = {
        .vcpu = vcpu,
        .cr0 = backend->get_reg(vcpu, VCPU_CR0),
        .cr4 = backend->get_reg(vcpu, VCPU_CR4),
        .efer = backend->get_reg(vcpu, VCPU_EFER),
        .access = access,
    };

    *out = (struct guest_walk){.page_size = PAGE_SIZE};
    if (mode.levels == 0) {
        out->ok = true;
        out->gpa = GPA((uint32_t)gva);
        return;
    }
    if (mode.levels <= 3)
        gva = (uint32_t)gva;
    else if (!is_canonical(&mode, gva))
        return;
    /* A guest that never stops changing its tables gets a page fault. */
    for (unsigned int tries = 0; tries < WALK_TRIES; tries++)
        if (walk_levels(&state, &mode, gva, out))
            return;
    out->error = fault_code(&state, false);
}

unsigned int guest_fetch(struct vcpu *vcpu, uint8_t *bytes, unsigned int size)
{
    uint32_t access = ACCESS_FETCH | ACCESS_QUIET | (vcpu_cpl(vcpu) == 3 ? ACCESS_USER : 0);
    struct segment cs;
    unsigned int done = 0;
    uint64_t gva = vcpu->rip;

    backend->get_seg(vcpu, SEG_CS, &cs);
    if (!vcpu_is_64bit(vcpu))
        gva = (uint32_t)(cs.base + gva);
    while (done < size) {
        struct guest_walk walk;
        unsigned int piece = (unsigned int)MIN(size - done, PAGE_SIZE - (gva & PAGE_MASK));

        guest_walk(vcpu, gva, access, &walk);
        if (!walk.ok || guest_mem_read(vcpu->vm, walk.gpa, bytes + done, piece) != 0)
            break;
        done += piece;
        gva += piece;
    }
    return done;
}

unsigned int guest_fetch_begun(struct vcpu *vcpu, uint8_t *bytes, unsigned int size)
{
    const void *code = NULL;

    if (backend->mode(vcpu) & MODE_CODE64)
        code = guest_mem_used(vcpu->vm, backend->get_reg(vcpu, VCPU_CR3), vcpu->rip, size);
    if (!code)
        return guest_fetch(vcpu, bytes, size);
    memcpy(bytes, code, size);
    return size;
}
