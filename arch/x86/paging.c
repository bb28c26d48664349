/* SPDX-License-Identifier: MIT */
/* The host's page tables: building them at start-up, adding to them, and walking them for proof. */
#include "arch/x86/paging.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/regs.h"
#include "boot/boot_info.h"
#include "hv/elf64.h"
#include "hv/mem.h"
#include "hv/panic.h"
#include "hv/string.h"

#define ENTRIES   512u
#define TOP_LEVEL 4u

#define MMIO_WINDOWS 64u

#define FLAGS_RW       (PTE_P | PTE_A | PTE_D | PTE_W | PTE_NX | PTE_G)
#define FLAGS_RO       (PTE_P | PTE_A | PTE_D | PTE_NX | PTE_G)
#define FLAGS_RX       (PTE_P | PTE_A | PTE_D | PTE_G)
#define FLAGS_MMIO     (FLAGS_RW | PTE_PCD | PTE_PWT) /* PAT entry 3: uncached */
#define FLAGS_WC       (FLAGS_RW | PTE_PWT)           /* PAT entry 1, see cpu.c */
#define FLAGS_FIRMWARE (PTE_P | PTE_A | PTE_D | PTE_W)
#define FLAGS_TABLE    (PTE_P | PTE_A | PTE_W) /* leaves decide; U stays off everywhere */

struct window {
    uint64_t base, size, flags, virtual;
};

uint64_t direct_map_base;

static uint64_t host_root; /* CR3 */
static uint64_t image_phys, image_virt, image_size;
static const struct boot_info *boot_info_virt;
static struct window windows[MMIO_WINDOWS];
static unsigned int window_count;
static uint64_t next_window = MMIO_MAP_BASE;

static uint64_t level_size(unsigned int level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

static unsigned int level_index(uint64_t address, unsigned int level)
{
    return (unsigned int)(address / level_size(level)) % ENTRIES;
}

static uint64_t *table_at(uint64_t entry)
{
    return phys_to_virt(HPA(entry & PTE_ADDRESS));
}

static uint64_t new_table(void)
{
    hpa_t page = mem_alloc(1, PAGE_SIZE);

    if (!page.value)
        panic("no memory for page tables");
    return page.value;
}

/* The entry of an address at a level; tables on the way are made. */
static uint64_t *make_entry(uint64_t root, uint64_t address, unsigned int level)
{
    uint64_t *table = table_at(root);

    for (unsigned int l = TOP_LEVEL; l > level; l--) {
        uint64_t *entry = &table[level_index(address, l)];

        if (!(*entry & PTE_P))
            *entry = new_table() | FLAGS_TABLE;
        ASSERT(!(l < TOP_LEVEL && (*entry & PTE_PS)));
        table = table_at(*entry);
    }
    return &table[level_index(address, level)];
}

/* The largest page that starts here and does not reach past the end. */
static unsigned int best_level(uint64_t address, uint64_t physical, uint64_t size)
{
    unsigned int level = cpu_has(FEATURE_PAGE_1G) ? 3 : 2;

    while (level > 1 &&
           (!is_aligned(address | physical, level_size(level)) || size < level_size(level)))
        level--;
    return level;
}

static void map(uint64_t root, uint64_t address, uint64_t physical, uint64_t size, uint64_t flags)
{
    while (size) {
        unsigned int level = best_level(address, physical, size);
        uint64_t step = level_size(level);

        *make_entry(root, address, level) = physical | flags | (level > 1 ? PTE_PS : 0);
        address += step;
        physical += step;
        size -= step;
    }
}

/* ---- The parts of the address space ------------------------------------------------------------
 */

static uint64_t direct_map_flags(uint32_t type)
{
    switch (type) {
    case BOOT_MEM_USABLE:
    case BOOT_MEM_LOADER:
    case BOOT_MEM_MODULE:
        return FLAGS_RW;
    case BOOT_MEM_IMAGE: /* its writable sections are written at their own addresses alone */
        return FLAGS_RO;
    default:
        return 0;
    }
}

/* Neighbours of equal rights are mapped in one go, so that large pages reach across them. */
static void map_ram(const struct boot_info *info)
{
    uint64_t base = 0, size = 0, flags = 0;

    for (uint32_t i = 0; i < info->memory_count; i++) {
        const struct boot_mem *m = &info->memory[i];
        uint64_t wanted = direct_map_flags(m->type);

        if (wanted != flags || m->base != base + size) {
            if (flags)
                map(host_root, DIRECT_MAP_BASE + base, base, size, flags);
            base = m->base;
            size = 0;
            flags = wanted;
        }
        size += m->size;
    }
    if (flags)
        map(host_root, DIRECT_MAP_BASE + base, base, size, flags);
}

static uint64_t segment_flags(uint32_t elf_flags)
{
    if (elf_flags & ELF_PF_X) {
        if (elf_flags & ELF_PF_W)
            panic("the image has a segment that is writable and executable");
        return FLAGS_RX;
    }
    return elf_flags & ELF_PF_W ? FLAGS_RW : FLAGS_RO;
}

/* The program headers say what boot/ has loaded, and with which rights. */
static void map_image(const struct boot_info *info)
{
    const uint8_t *file = phys_to_virt(HPA(info->elf_file));
    struct elf64_header header;
    struct elf64_program segment;
    uint64_t link_base = UINT64_MAX;

    memcpy(&header, file, sizeof(header));
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned int i = 0; i < header.phnum; i++) {
            memcpy(&segment, file + header.phoff + i * sizeof(segment), sizeof(segment));
            if (segment.type != ELF_PT_LOAD || !segment.memsz)
                continue;
            uint64_t start = align_down(segment.vaddr, PAGE_SIZE);
            uint64_t end = align_up(segment.vaddr + segment.memsz, PAGE_SIZE);
            uint64_t offset = start - link_base;

            if (pass == 0)
                link_base = MIN(link_base, start);
            else
                map(host_root, image_virt + offset, image_phys + offset, end - start,
                    segment_flags(segment.flags));
        }
    }
}

void paging_init(const struct boot_info *info)
{
    if (read_cr4() & CR4_LA57)
        panic("firmware left 5-level paging on, which is not supported");
    image_phys = info->image_phys;
    image_virt = info->image_virt;
    image_size = info->image_size;
    host_root = new_table();
    map_ram(info);
    map_image(info);

    cpu_init_control_registers();
    write_cr3(host_root);
    direct_map_base = DIRECT_MAP_BASE;
    boot_info_virt = phys_to_virt(HPA((uint64_t)info));
}

bool paging_map_cpu(unsigned int index)
{
    static const struct {
        uint64_t top, size;
    } parts[] = {
        {CPU_STACK_TOP, CPU_STACK_SIZE}, {CPU_NMI_STACK_TOP, PAGE_SIZE},
        {CPU_DF_STACK_TOP, PAGE_SIZE},   {CPU_MC_STACK_TOP, PAGE_SIZE},
        {CPU_BLOCK_SIZE, CPU_AREA_SIZE},
    };
    uint64_t total = 0;

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        total += parts[i].size;
    hpa_t pages = mem_alloc(total >> PAGE_SHIFT, PAGE_SIZE);
    if (!pages.value)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        map(host_root, cpu_block(index) + parts[i].top - parts[i].size, pages.value, parts[i].size,
            FLAGS_RW);
        pages.value += parts[i].size;
    }
    return true;
}

static void *map_window(hpa_t base, uint64_t size, uint64_t flags)
{
    uint64_t start = align_down(base.value, PAGE_SIZE);
    uint64_t end = align_up(base.value + size, PAGE_SIZE);

    for (unsigned int i = 0; i < window_count; i++) {
        const struct window *w = &windows[i];
        if (w->flags == flags && start >= w->base && end <= w->base + w->size)
            return (void *)(w->virtual + (base.value - w->base));
    }
    if (window_count == MMIO_WINDOWS)
        panic("more than %u ranges of device memory", MMIO_WINDOWS);

    /* The same offset within 2 MiB, for large pages; and a page at least between two windows. */
    uint64_t address = align_up(next_window, SIZE_2M) + (start & (SIZE_2M - 1));
    map(host_root, address, start, end - start, flags);
    next_window = address + (end - start) + PAGE_SIZE;
    windows[window_count++] = (struct window){start, end - start, flags, address};
    return (void *)(address + (base.value & PAGE_MASK));
}

void *paging_map_mmio(hpa_t base, uint64_t size)
{
    return map_window(base, size, FLAGS_MMIO);
}

void *paging_map_framebuffer(hpa_t base, uint64_t size)
{
    return map_window(base, size, FLAGS_WC);
}

const void *paging_map_firmware(hpa_t base, uint64_t size)
{
    return map_window(base, size, FLAGS_RO);
}

void paging_map_trampoline(hpa_t page, enum trampoline_map how)
{
    static const uint64_t flags[] = {
        [TRAMPOLINE_NONE] = 0,
        [TRAMPOLINE_WRITE] = FLAGS_RW & ~PTE_G,
        [TRAMPOLINE_EXECUTE] = FLAGS_RX & ~PTE_G,
    };

    *make_entry(host_root, page.value, 1) = how == TRAMPOLINE_NONE ? 0 : page.value | flags[how];
    invlpg((const void *)page.value);
}

uint64_t paging_cr3(void)
{
    return host_root;
}

/* Below 4 GiB everything, because firmware reaches devices that its map does not list. */
uint64_t paging_runtime_services_cr3(void)
{
    static uint64_t root;

    if (root)
        return root;
    root = new_table();
    memcpy(table_at(root) + ENTRIES / 2, table_at(host_root) + ENTRIES / 2, PAGE_SIZE / 2);
    map(root, 0, 0, GIB(4), FLAGS_FIRMWARE);
    for (uint32_t i = 0; i < boot_info_virt->memory_count; i++) {
        const struct boot_mem *m = &boot_info_virt->memory[i];
        if (m->base >= GIB(4))
            map(root, m->base, m->base, m->size, FLAGS_FIRMWARE);
    }
    return root;
}

hpa_t virt_to_phys(const void *p)
{
    uint64_t address = (uint64_t)p;

    if (address - image_virt < image_size)
        return HPA(address - image_virt + image_phys);
    if (address - direct_map_base >= MMIO_MAP_BASE - DIRECT_MAP_BASE)
        panic("%p is neither in the direct map nor in the image", p);
    return HPA(address - direct_map_base);
}

/* ---- Proof ---------------------------------------------------------------------------------- */

static uint64_t canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16);
}

static void count_leaf(struct paging_report *report, uint64_t address, unsigned int level,
                       uint64_t rights)
{
    uint64_t pages = level_size(level) >> PAGE_SHIFT;
    bool writable = rights & PTE_W, executable = !(rights & PTE_NX), user = rights & PTE_U;

    report->mapped += pages;
    report->writable += writable ? pages : 0;
    report->executable += executable ? pages : 0;
    report->writable_executable += writable && executable ? pages : 0;
    report->user += user ? pages : 0;
    if (((writable && executable) || user) && !report->first_violation)
        report->first_violation = canonical(address);
}

/* rights: W and U as all levels above grant them, NX as any of them demands it. */
static void check_table(struct paging_report *report, uint64_t entry, uint64_t base,
                        unsigned int level, uint64_t rights)
{
    const uint64_t *table = table_at(entry);

    report->tables++;
    for (unsigned int i = 0; i < ENTRIES; i++) {
        uint64_t e = table[i];
        uint64_t address = base + i * level_size(level);
        uint64_t r = (rights & e & (PTE_W | PTE_U)) | ((rights | e) & PTE_NX);

        if (!(e & PTE_P))
            continue;
        if (level == 1 || (level < TOP_LEVEL && (e & PTE_PS)))
            count_leaf(report, address, level, r);
        else
            check_table(report, e, address, level - 1, r);
    }
}

void paging_check_wx(struct paging_report *report)
{
    *report = (struct paging_report){0};
    check_table(report, read_cr3(), 0, TOP_LEVEL, PTE_W | PTE_U);
}

bool paging_lookup(uint64_t address, hpa_t *hpa, uint64_t *entry)
{
    const uint64_t *table = table_at(read_cr3());

    if (canonical(address) != address)
        return false;
    for (unsigned int level = TOP_LEVEL; level > 0; level--) {
        uint64_t e = table[level_index(address, level)];

        if (!(e & PTE_P))
            return false;
        if (level == 1 || (level < TOP_LEVEL && (e & PTE_PS))) {
            uint64_t mask = level_size(level) - 1;
            *hpa = HPA((e & PTE_ADDRESS & ~mask) | (address & mask));
            *entry = e;
            return true;
        }
        table = table_at(e);
    }
    return false;
}

const char *paging_describe(uint64_t address, unsigned int *cpu)
{
    static const struct {
        uint64_t start;
        const char *name;
    } parts[] = {
        {0, "the main stack's guard page"},
        {CPU_STACK_TOP - CPU_STACK_SIZE, "the main stack"},
        {CPU_STACK_TOP, "the NMI stack's guard page"},
        {CPU_NMI_STACK_TOP - PAGE_SIZE, "the NMI stack"},
        {CPU_NMI_STACK_TOP, "the #DF stack's guard page"},
        {CPU_DF_STACK_TOP - PAGE_SIZE, "the #DF stack"},
        {CPU_DF_STACK_TOP, "the #MC stack's guard page"},
        {CPU_MC_STACK_TOP - PAGE_SIZE, "the #MC stack"},
        {CPU_MC_STACK_TOP, "the guard page below struct cpu"},
        {CPU_BLOCK_SIZE - CPU_AREA_SIZE, "struct cpu"},
    };
    const char *name = NULL;

    if (address < CPU_BLOCKS || address >= cpu_block(CPU_MAX))
        return NULL;
    *cpu = (unsigned int)((address - CPU_BLOCKS) / CPU_BLOCK_SIZE);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (address % CPU_BLOCK_SIZE >= parts[i].start)
            name = parts[i].name;
    return name;
}
