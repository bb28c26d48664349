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

#define BASE       0xffffffff80000000ull
#define FILE_SIZE  0x2120
#define MOVES_AT   0x2100
#define MOVE_COUNT 4
#define SYMBOLS_AT 0x2110

static uint8_t good[FILE_SIZE];

static Elf64_Ehdr *header(void)
{
    return (Elf64_Ehdr *)good;
}

static Elf64_Phdr *program(uint32_t i)
{
    return (Elf64_Phdr *)(good + sizeof(Elf64_Ehdr)) + i;
}

static void put_move(uint32_t i, uint32_t move)
{
    memcpy(good + MOVES_AT + i * sizeof(move), &move, sizeof(move));
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

static void build_piece(uint32_t i, uint32_t type, uint64_t offset, uint64_t size)
{
    *program(i) = (Elf64_Phdr){.p_type = type, .p_offset = offset, .p_filesz = size};
}

/* Text at 0, rodata at 0x1000, data with bss at 0x2000, relocations for the data, and symbols. */
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
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 6,
    };
    build_program(0, PF_R | PF_X, 0x1000, 0x800, 0x800);
    build_program(1, PF_R, 0x1800, 0x800, 0x800);
    build_program(2, PF_R | PF_W, 0x2000, 0x100, 0x1234);
    program(3)->p_type = PT_GNU_STACK;

    build_piece(4, ELF_PT_MOVES, MOVES_AT, MOVE_COUNT * sizeof(uint32_t));
    build_piece(5, ELF_PT_SYMBOLS, SYMBOLS_AT, FILE_SIZE - SYMBOLS_AT);
    put_move(0, 0x2000 | ELF_MOVE_64);
    put_move(1, 0x2010);
    put_move(2, 0x2014);
    put_move(3, 0x2018 | ELF_MOVE_64);
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
    CHECK(image.segment_count == 3 && image.segments[0].flags == (PF_R | PF_X) &&
              image.segments[1].flags == PF_R && image.segments[2].flags == (PF_R | PF_W),
          "its three segments and their rights");
    CHECK(image.segments[2].offset == 0x2000 && image.segments[2].size == 0x1234 &&
              image.segments[2].file_offset == 0x2000 && image.segments[2].file_size == 0x100,
          "a segment with bss keeps both sizes");
    CHECK(image.moves.offset == MOVES_AT && image.moves.size == MOVE_COUNT * sizeof(uint32_t) &&
              image.symbols.offset == SYMBOLS_AT && image.symbols.size == FILE_SIZE - SYMBOLS_AT,
          "its relocations and its symbols");
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

static void test_pieces(void)
{
    program(4)->p_filesz = FILE_SIZE - MOVES_AT + 1;
    CHECK(refused("truncated"), "relocations that end one byte behind the file");
    program(4)->p_offset = ~0ull - 4;
    CHECK(refused("truncated"), "relocations whose offset overflows");
    program(5)->p_filesz = ~0ull;
    CHECK(refused("truncated"), "symbols whose size overflows");
    program(5)->p_offset = FILE_SIZE + 1;
    program(5)->p_filesz = 0;
    CHECK(refused("truncated"), "no symbols, behind the file");
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
            (s->flags & (PF_W | PF_X)) == (PF_W | PF_X))
            return false;
        end = s->offset + align_up(s->size, PAGE_SIZE);
    }
    return image->segment_count > 0 && end == image->size && image->size <= ELF_MAX_IMAGE_SIZE;
}

static void test_truncated(void)
{
    bool all_refused = true;
    struct elf_image image;

    for (uint64_t size = 0; size < FILE_SIZE; size++)
        all_refused &= parse(size, &image) != NULL;
    CHECK(all_refused, "every file cut anywhere is refused");
}

static const char *relocate(uint8_t *memory, uint64_t slide)
{
    uint8_t *file = copy(FILE_SIZE);
    struct elf_image image;
    const char *wrong = elf_parse(file, FILE_SIZE, &image);

    if (!wrong)
        wrong = elf_relocate(file, &image, memory, slide);
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
    uint64_t wide[4] = {BASE + 0x123, 0x456, 0, BASE + 0x3fff}, slide = 0x7654000;
    uint32_t narrow[2] = {0x80001000, 0x80003fff};

    memcpy(memory + 0x2000, wide, sizeof(wide));
    memcpy(memory + 0x2010, narrow, sizeof(narrow));
    CHECK(relocate(memory, slide) == NULL, "relocations are applied");
    memcpy(wide, memory + 0x2000, sizeof(wide));
    memcpy(narrow, memory + 0x2010, sizeof(narrow));
    CHECK(wide[0] == BASE + 0x123 + slide && wide[3] == BASE + 0x3fff + slide,
          "an address of 64 bits moves");
    CHECK(narrow[0] == 0x80001000 + slide && narrow[1] == 0x80003fff + slide,
          "so does one of 32 bits");
    CHECK(wide[1] == 0x456, "what has no relocation stays");

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
    put_move(0, (0x4000 - 7) | ELF_MOVE_64);
    CHECK(relocate_refused("outside", 0x1000), "a place of 64 bits that crosses the image's end");
    put_move(3, 0x4000 - 3);
    CHECK(relocate_refused("outside", 0x1000), "one of 32 bits that does");
    put_move(3, 0x7fffffff);
    CHECK(relocate_refused("outside", 0x1000), "a place far behind the image");
    program(4)->p_filesz = 3;
    CHECK(relocate_refused("no relocations", 0x1000), "less than one relocation");
    program(4)->p_type = PT_NULL;
    CHECK(relocate_refused("no relocations", 0x1000), "no relocations");

    uint8_t *memory = calloc(1, 0x4000);
    memset(memory + 0x2010, 0x7f, 4);
    const char *wrong = relocate(memory, 0x7f000000);
    CHECK(wrong && strstr(wrong, "overflows"), "an address of 32 bits that leaves them");
    free(memory);
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
            uint32_t at = (uint32_t)rand() % 0x1b0;

            at = at < 0x190 ? at : at - 0x190 + MOVES_AT;
            good[at] = (uint8_t)(rand() % 3 ? rand() : 0xff);
        }
        uint8_t *file = copy(FILE_SIZE);
        if (elf_parse(file, FILE_SIZE, &image) == NULL) {
            accepted++;
            sound &= is_sound(&image, FILE_SIZE);
            if (image.size <= sizeof(memory))
                elf_relocate(file, &image, memory, 0x200000);
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
    test_pieces();
    test_entry();
    test_truncated();
    test_relocate();
    test_bad_relocations();
    test_random_damage();
    return check_done();
}
