/* SPDX-License-Identifier: MIT */
/* fw_cfg (QEMU, docs/specs/fw_cfg), as firmware and test programs read it. */
#include "guest-stubs/lib/fwcfg.h"

#include "guest-stubs/lib/cpu.h"
#include "guest-stubs/lib/stub.h"

/* Of the directory; its numbers are big-endian. */
struct __attribute__((packed)) file {
    uint32_t size;
    uint16_t key, reserved;
    char name[56];
};

void fwcfg_read(void *to, unsigned long size)
{
    __asm__ volatile("rep insb" : "+D"(to), "+c"(size) : "d"(FWCFG_DATA) : "memory");
}

uint64_t fwcfg_item(uint16_t key, unsigned int size)
{
    uint64_t value = 0;

    outw(FWCFG_SELECT, key);
    for (unsigned int i = 0; i < size; i++)
        value |= (uint64_t)inb(FWCFG_DATA) << 8 * i;
    return value;
}

uint32_t fwcfg_open(const char *name)
{
    unsigned long name_size = string_length(name) + 1;
    uint32_t count = __builtin_bswap32((uint32_t)fwcfg_item(FWCFG_FILE_DIR, sizeof(count)));
    struct file file;

    for (uint32_t i = 0; i < count && i < 64; i++) {
        fwcfg_read(&file, sizeof(file));
        if (memcmp(file.name, name, name_size) == 0) {
            outw(FWCFG_SELECT, __builtin_bswap16(file.key));
            return __builtin_bswap32(file.size);
        }
    }
    return 0;
}
