/* SPDX-License-Identifier: MIT */
/*
 * boot/elf.c: a small, sound image is built here, parsed, and then damaged in every field that is
 * checked; it is also cut at every length and bent at random.  The file lies at the end of an
 * allocation of its own, so that the sanitizer sees every read behind it.
 */
#include "boot/elf.h"

#include "hv/addr.h"
#include "hv/util.h"
#include "tests/host/check.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define BASE        0xffffffff80000000ull
#define FILE_SIZE   0x4000
#define SECTIONS_AT 0x3000
#define SYMBOLS_AT  0x3200
#define RELAS_AT    0x3300
#define RELA_COUNT  6

static uint8_t good[FILE_SIZE];

static Elf64_Ehdr *header(void)
{
    return (Elf64_Ehdr *)good;
}

static Elf64_Phdr *program(uint32_t i)
{
    return (Elf64_Phdr *)(good + sizeof(Elf64_Ehdr)) + i;
}

static Elf64_Shdr *section(uint32_t i)
{
    return (Elf64_Shdr *)(good + SECTIONS_AT) + i;
}

static Elf64_Sym *symbol(uint32_t i)
{
    return (Elf64_Sym *)(good + SYMBOLS_AT) + i;
}

static Elf64_Rela *rela(uint32_t i)
{
    return (Elf64_Rela *)(good + RELAS_AT) + i;
}

static void build_program(uint32_t i, uint32_t flags, uint64_t offset, uint64_t file_size,
                          uint64_t memory_size)
{
    *program(i) = (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_flags = flags,
        .p_offset = offset,
        .p_vaddr = BASE + i * 0x1000,
        .p_filesz = file_size,
        .p_memsz = memory_size,
        .p_align = 0x1000,
    };
}

static void build_rela(uint32_t i, uint64_t offset, uint32_t name, uint32_t type)
{
    *rela(i) =
        (Elf64_Rela){.r_offset = BASE + offset, .r_info = ELF64_R_INFO((uint64_t)name, type)};
}

/* Text at 0, rodata at 0x1000, data with bss at 0x2000; one section of relocations for the data. */
static void build(void)
{
    memset(good, 0, sizeof(good));
    *header() = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = BASE + 0x10,
        .e_phoff = sizeof(Elf64_Ehdr),
        .e_shoff = SECTIONS_AT,
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 4,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = 4,
    };
    build_program(0, PF_R | PF_X, 0x1000, 0x800, 0x800);
    build_program(1, PF_R, 0x1800, 0x800, 0x800);
    build_program(2, PF_R | PF_W, 0x2000, 0x100, 0x1234);
    program(3)->p_type = PT_GNU_STACK;

    section(1)->sh_flags = SHF_ALLOC;
    *section(2) = (Elf64_Shdr){.sh_type = SHT_SYMTAB, .sh_offset = SYMBOLS_AT, .sh_size = 72};
    *section(3) = (Elf64_Shdr){.sh_type = SHT_RELA,
                               .sh_offset = RELAS_AT,
                               .sh_size = RELA_COUNT * sizeof(Elf64_Rela),
                               .sh_link = 2,
                               .sh_info = 1};
    symbol(1)->st_shndx = 1;
    symbol(2)->st_shndx = SHN_ABS;
    build_rela(0, 0x2000, 1, R_X86_64_64);
    build_rela(1, 0x2008, 2, R_X86_64_64);
    build_rela(2, 0x2010, 1, R_X86_64_32S);
    build_rela(3, 0x2014, 2, R_X86_64_32S);
    build_rela(4, 0x2018, 1, R_X86_64_PC32);
    build_rela(5, 0x201c, 1, R_X86_64_PLT32);
}

/* A copy of exactly `size` bytes; the caller frees it. */
static uint8_t *copy(uint64_t size)
{
    uint8_t *file = malloc(size ? size : 1);

    memcpy(file, good, size);
    return file;
}

static const char *parse(uint64_t size, struct elf_image *image)
{
    uint8_t *file = copy(size);
    const char *wrong = elf_parse(file, size, image);

    free(file);
    return wrong;
}

static bool refused(const char *why)
{
    struct elf_image image;
    const char *wrong = parse(FILE_SIZE, &image);

    build();
    return wrong && strstr(wrong, why);
}

static void test_good(void)
{
    struct elf_image image;

    CHECK(parse(FILE_SIZE, &image) == NULL, "a sound image is accepted");
    CHECK(image.virt == BASE && image.size == 0x4000 && image.entry == BASE + 0x10,
          "its place, whole pages, and its entry point");
    CHECK(image.segment_count == 3 && image.segments[0].flags == (ELF_READ | ELF_EXECUTE) &&
              image.segments[1].flags == ELF_READ &&
              image.segments[2].flags == (ELF_READ | ELF_WRITE),
          "its three segments and their rights");
    CHECK(image.segments[2].offset == 0x2000 && image.segments[2].size == 0x1234 &&
              image.segments[2].file_offset == 0x2000 && image.segments[2].file_size == 0x100,
          "a segment with bss keeps both sizes");
}

static void test_header(void)
{
    good[0] = 'M';
    CHECK(refused("not an ELF file"), "a wrong magic");
    good[EI_CLASS] = ELFCLASS32;
    CHECK(refused("not for x86-64"), "32 bits");
    good[EI_DATA] = ELFDATA2MSB;
    CHECK(refused("not for x86-64"), "big endian");
    header()->e_machine = EM_AARCH64;
    CHECK(refused("not for x86-64"), "another machine");
    header()->e_version = 2;
    CHECK(refused("ELF version"), "another version");
    header()->e_type = ET_DYN;
    CHECK(refused("not an executable"), "a shared object");
    header()->e_type = ET_REL;
    CHECK(refused("not an executable"), "an object file");
    header()->e_phentsize = 32;
    CHECK(refused("sizes"), "program headers of another size");
    header()->e_phoff = FILE_SIZE - 8;
    CHECK(refused("program headers"), "program headers behind the end");
    header()->e_phoff = ~0ull - 8;
    CHECK(refused("program headers"), "program headers at an offset that overflows");
    header()->e_phnum = 0xffff;
    CHECK(refused("program headers"), "more program headers than the file holds");
    header()->e_phnum = 0;
    CHECK(refused("nothing"), "no program headers");
}

static void test_segments(void)
{
    program(0)->p_flags = PF_R | PF_W | PF_X;
    CHECK(refused("both writable and executable"), "a segment W and X");
    program(1)->p_flags = 0;
    CHECK(refused("not readable"), "a segment without any right");
    program(1)->p_offset = FILE_SIZE - 0x7ff;
    CHECK(refused("truncated"), "a segment that ends one byte behind the file");
    program(1)->p_offset = ~0ull - 0x10;
    CHECK(refused("truncated"), "a segment whose offset overflows");
    program(1)->p_filesz = ~0ull;
    CHECK(refused("truncated"), "a segment whose size overflows");
    program(1)->p_memsz = 0x7ff;
    CHECK(refused("larger in the file"), "a segment larger in the file than in memory");
    program(2)->p_memsz = ~0ull - 0xfff;
    CHECK(refused("too large"), "a segment that wraps around the address space");
    program(2)->p_vaddr = ~0xfffull;
    CHECK(refused("too large"), "a segment in the last page of the address space");
    program(2)->p_memsz = ELF_MAX_IMAGE_SIZE;
    CHECK(refused("64 MiB"), "an image of more than 64 MiB");
    program(2)->p_vaddr = BASE + ELF_MAX_IMAGE_SIZE;
    CHECK(refused("64 MiB"), "an image with a wide gap");
    program(1)->p_vaddr = BASE + 0x800;
    CHECK(refused("aligned"), "a segment that does not begin on a page");
    program(1)->p_align = 16;
    CHECK(refused("aligned"), "a segment of less than page alignment");
    program(1)->p_align = 0x3000;
    CHECK(refused("aligned"), "an alignment that is no power of two");
    program(0)->p_vaddr = 0x100000;
    CHECK(refused("below"), "a segment in the lower half");
    program(1)->p_vaddr = BASE;
    CHECK(refused("overlap"), "two segments at one place");
    program(0)->p_memsz = 0x1001;
    CHECK(refused("overlap"), "a segment that reaches into the next one's page");
    program(0)->p_vaddr = BASE + 0x8000;
    CHECK(refused("overlap"), "segments out of order");
    program(3)->p_type = PT_INTERP;
    CHECK(refused("dynamic"), "an interpreter");
    program(3)->p_type = PT_DYNAMIC;
    CHECK(refused("dynamic"), "a dynamic section");
}

static void test_entry(void)
{
    header()->e_entry = BASE + 0x1000;
    CHECK(refused("entry"), "an entry point in rodata");
    header()->e_entry = BASE + 0x800;
    CHECK(refused("entry"), "an entry point right behind the code");
    header()->e_entry = BASE - 1;
    CHECK(refused("entry"), "an entry point before the image");
    header()->e_entry = 0;
    CHECK(refused("entry"), "no entry point");
    header()->e_phnum = 12;
    for (uint32_t i = 0; i < 12; i++)
        build_program(i, PF_R | PF_X, 0x1000, 0x100, 0x100);
    CHECK(refused("too many segments"), "more segments than a table holds");
}

/* Whatever is accepted of a damaged file must lie inside it, and keep W^X. */
static bool is_sound(const struct elf_image *image, uint64_t file_size)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];

        if (s->offset < end || s->size > image->size - s->offset || s->file_size > s->size ||
            s->file_offset > file_size || s->file_size > file_size - s->file_offset ||
            (s->flags & (ELF_WRITE | ELF_EXECUTE)) == (ELF_WRITE | ELF_EXECUTE))
            return false;
        end = s->offset + align_up(s->size, PAGE_SIZE);
    }
    return image->segment_count > 0 && end == image->size && image->size <= ELF_MAX_IMAGE_SIZE;
}

static void test_truncated(void)
{
    bool all_refused = true, rest_accepted = true;
    struct elf_image image;

    for (uint64_t size = 0; size < 0x2100; size++)
        all_refused &= parse(size, &image) != NULL;
    for (uint64_t size = 0x2100; size <= FILE_SIZE; size++)
        rest_accepted &= parse(size, &image) == NULL;
    CHECK(all_refused, "every file cut before the end of its last segment is refused");
    CHECK(rest_accepted, "a file cut behind it is accepted");
}

static const char *relocate(uint8_t *memory, uint64_t slide)
{
    uint8_t *file = copy(FILE_SIZE);
    struct elf_image image;
    const char *wrong = elf_parse(file, FILE_SIZE, &image);

    if (!wrong)
        wrong = elf_relocate(file, FILE_SIZE, &image, memory, slide);
    free(file);
    return wrong;
}

static bool relocate_refused(const char *why, uint64_t slide)
{
    uint8_t *memory = calloc(1, 0x4000);
    const char *wrong = relocate(memory, slide);

    free(memory);
    build();
    return wrong && strstr(wrong, why);
}

static void test_relocate(void)
{
    uint8_t *memory = calloc(1, 0x4000);
    uint64_t wide[2] = {BASE + 0x123, 0x456}, slide = 0x7654000;
    int32_t narrow[4] = {(int32_t)0x80001000, 0x77, -5, 9};

    memcpy(memory + 0x2000, wide, sizeof(wide));
    memcpy(memory + 0x2010, narrow, sizeof(narrow));
    CHECK(relocate(memory, slide) == NULL, "relocations are applied");
    memcpy(wide, memory + 0x2000, sizeof(wide));
    memcpy(narrow, memory + 0x2010, sizeof(narrow));
    CHECK(wide[0] == BASE + 0x123 + slide && wide[1] == 0x456,
          "a 64-bit address moves, one of an absolute symbol does not");
    CHECK((uint32_t)narrow[0] == 0x80001000 + slide && narrow[1] == 0x77,
          "so does a 32-bit address");
    CHECK(narrow[2] == -5 && narrow[3] == 9, "distances within the image stay");

    bool untouched = true;
    for (uint32_t i = 0; i < 0x4000; i++)
        untouched &= (i >= 0x2000 && i < 0x2020) || memory[i] == 0;
    CHECK(untouched, "nothing else changes");
    free(memory);
}

static void test_bad_relocations(void)
{
    CHECK(relocate_refused("slide", 0x80000000), "a slide out of the top of the address space");
    CHECK(relocate_refused("slide", -0x1000ull), "a slide below the top 2 GiB");
    CHECK(relocate_refused("slide", 0x123), "a slide of a part of a page");
    rela(0)->r_offset = BASE + 0x4000 - 7;
    CHECK(relocate_refused("outside", 0x1000), "a place that crosses the image's end");
    rela(0)->r_offset = BASE - 8;
    CHECK(relocate_refused("outside", 0x1000), "a place before the image");
    build_rela(0, 0x2000, 0xffffffff, R_X86_64_64);
    CHECK(relocate_refused("no symbol", 0x1000), "a symbol behind the file");
    build_rela(0, 0x2000, 1, R_X86_64_GOTPCREL);
    CHECK(relocate_refused("unknown", 0x1000), "a type that does not belong here");
    build_rela(0, 0x2000, 2, R_X86_64_PC32);
    CHECK(relocate_refused("fixed", 0x1000), "a distance to what does not move");
    section(3)->sh_size = FILE_SIZE;
    CHECK(relocate_refused("", 0x1000), "relocations behind the end");
    section(3)->sh_type = SHT_PROGBITS;
    CHECK(relocate_refused("emit-relocs", 0x1000), "no relocations");
    section(3)->sh_link = 4;
    CHECK(relocate_refused("without symbols", 0x1000), "no symbol table");
    header()->e_shoff = ~0ull - 4;
    CHECK(relocate_refused("section headers", 0x1000), "section headers out of the file");
}

/* The sanitizers are the check: no read or write may leave the file and the image. */
static void test_random_damage(void)
{
    static uint8_t memory[0x4000];
    bool sound = true;
    uint32_t accepted = 0;

    srand(1);
    for (uint32_t round = 0; round < 50000; round++) {
        struct elf_image image;

        build();
        for (int i = rand() % 4; i >= 0; i--) {
            uint32_t at = (uint32_t)rand() % 0x500;

            at = at < 0x120 ? at : at - 0x120 + SECTIONS_AT;
            good[at] = (uint8_t)(rand() % 3 ? rand() : 0xff);
        }
        uint8_t *file = copy(FILE_SIZE);
        if (elf_parse(file, FILE_SIZE, &image) == NULL) {
            accepted++;
            sound &= is_sound(&image, FILE_SIZE);
            if (image.size <= sizeof(memory))
                elf_relocate(file, FILE_SIZE, &image, memory, 0x200000);
        }
        free(file);
    }
    build();
    CHECK(sound, "what is accepted of a damaged file is sound");
    CHECK(accepted > 1000 && accepted < 49000, "random damage is both accepted and refused");
}

int main(void)
{
    build();
    test_good();
    test_header();
    test_segments();
    test_entry();
    test_truncated();
    test_relocate();
    test_bad_relocations();
    test_random_damage();
    return check_done();
}
