/* SPDX-License-Identifier: MIT */
/*
 * Names for addresses: a small ELF file built here, looked up with and without a slide, then the
 * same file cut short and damaged at every byte: no read may leave it (the sanitizers watch).
 */
#include "tests/host/check.h"

#include "hv/elf64.h"
#include "hv/symbols.h"

#include <stdlib.h>
#include <string.h>

#define BASE 0xffffffff80000000ull

static const char names[] = "\0first\0second\0label\0data\0away";

struct PACKED file {
    struct elf64_header header;
    struct elf64_symbol symbols[6];
    char names[sizeof(names)];
    struct elf64_section sections[3];
};

static struct elf64_symbol symbol(uint32_t name, uint8_t type, uint64_t value, uint64_t size)
{
    return (struct elf64_symbol){
        .name = name, .info = type, .section = 1, .value = value, .size = size};
}

static void build(struct file *f)
{
    memset(f, 0, sizeof(*f));
    f->header = (struct elf64_header){.magic = ELF_MAGIC,
                                      .elf_class = ELF_CLASS_64,
                                      .data = ELF_DATA_LITTLE,
                                      .shoff = offsetof(struct file, sections),
                                      .shentsize = sizeof(struct elf64_section),
                                      .shnum = 3};
    f->symbols[1] = symbol(1, ELF_STT_FUNC, BASE + 0x100, 0x40);
    f->symbols[2] = symbol(7, ELF_STT_FUNC, BASE + 0x200, 0x80);
    f->symbols[3] = symbol(14, ELF_STT_NOTYPE, BASE + 0x300, 0);
    f->symbols[4] = symbol(20, 1, BASE + 0x210, 0x10);
    f->symbols[5] = symbol(25, ELF_STT_FUNC, BASE + 0x220, 0x10);
    f->symbols[5].section = ELF_SHN_UNDEF;
    memcpy(f->names, names, sizeof(names));
    f->sections[1] = (struct elf64_section){.type = ELF_SHT_SYMTAB,
                                            .offset = offsetof(struct file, symbols),
                                            .size = sizeof(f->symbols),
                                            .link = 2,
                                            .entsize = sizeof(struct elf64_symbol)};
    f->sections[2] = (struct elf64_section){
        .type = ELF_SHT_STRTAB, .offset = offsetof(struct file, names), .size = sizeof(names)};
}

static bool finds(const struct symbols *s, uint64_t address, const char *name, uint64_t offset)
{
    uint64_t found_offset = 0;
    const char *found = symbols_find(s, address, &found_offset);

    if (!name || !found)
        return !name && !found;
    return !strcmp(found, name) && found_offset == offset;
}

static void test_lookup(void)
{
    struct file f;
    struct symbols s;

    build(&f);
    CHECK(symbols_init(&s, &f, sizeof(f), 0), "a good file has symbols");
    CHECK(finds(&s, BASE + 0x100, "first", 0), "the first byte of a function");
    CHECK(finds(&s, BASE + 0x13f, "first", 0x3f), "its last byte");
    CHECK(finds(&s, BASE + 0x140, NULL, 0), "behind its end is no function");
    CHECK(finds(&s, BASE + 0x225, "second", 0x25), "data and undefined symbols are passed over");
    CHECK(finds(&s, BASE + 0x350, "label", 0x50), "a label without a size reaches on");
    CHECK(finds(&s, BASE + 0xff, NULL, 0), "before the first there is none");
    CHECK(symbols_init(&s, &f, sizeof(f), 0x200000) && finds(&s, BASE + 0x200104, "first", 4),
          "a slid image is looked up at its link addresses");
}

/* Uses whatever a damaged file yields, for the sanitizers to see. */
static void use(const void *file, uint64_t size)
{
    struct symbols s;
    uint64_t offset;

    symbols_init(&s, file, size, 0);
    for (uint64_t address = BASE + 0xf0; address < BASE + 0x400; address += 0x10) {
        const char *name = symbols_find(&s, address, &offset);
        if (name && strlen(name) > sizeof(struct file))
            abort();
    }
}

/* In a heap block of its exact size, so that one byte beyond is seen. */
static void use_copy(const struct file *f, uint64_t size)
{
    void *copy = malloc(size ? size : 1);

    memcpy(copy, f, size);
    use(copy, size);
    free(copy);
}

static void test_damage(void)
{
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
    struct file f;

    build(&f);
    for (uint64_t size = 0; size < sizeof(f); size++)
        use_copy(&f, size);
    CHECK(true, "a file cut short anywhere is survived");
    for (uint64_t at = 0; at < sizeof(f); at++) {
        for (size_t i = 0; i < sizeof(values); i++) {
            build(&f);
            ((uint8_t *)&f)[at] = values[i];
            use_copy(&f, sizeof(f));
        }
    }
    CHECK(true, "so is damage to any one byte");
    for (unsigned int i = 0; i < 100000; i++) {
        build(&f);
        for (unsigned int n = 0; n < 4; n++)
            ((uint8_t *)&f)[(unsigned int)rand() % sizeof(f)] = (uint8_t)rand();
        use_copy(&f, sizeof(f));
    }
    CHECK(true, "and to any four");
}

static void test_refusals(void)
{
    struct file f;
    struct symbols s;

    build(&f);
    f.names[sizeof(names) - 1] = 'x';
    CHECK(!symbols_init(&s, &f, sizeof(f), 0), "names that do not end are refused");
    build(&f);
    f.sections[1].size = UINT64_MAX - 0x10;
    CHECK(!symbols_init(&s, &f, sizeof(f), 0), "a table that wraps around is refused");
    CHECK(finds(&s, BASE + 0x100, NULL, 0), "and then there are no names");
    build(&f);
    f.sections[1].link = 3;
    CHECK(!symbols_init(&s, &f, sizeof(f), 0), "a link to no section is refused");
    CHECK(!symbols_init(&s, NULL, 0, 0), "no file has no symbols");
}

int main(void)
{
    test_lookup();
    test_refusals();
    test_damage();
    return check_done();
}
