/* SPDX-License-Identifier: MIT */
/*
 * The first and only process of a Linux that measures its KVM: it loads KVM's modules, runs the
 * bench payload in a virtual machine and says how that ended.  It is started as /init of an
 * initramfs which holds just these files.  It does not come to an end: whoever started the machine
 * ends it.
 */
#include "tests/bench/kvm/vm.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int failed(const char *what)
{
    printf("kvm: %s: %s\n", what, strerror(errno));
    return -1;
}

/* A vendor's module refuses the other vendor's CPU: /dev/kvm will tell whether one was taken. */
static void load_modules(void)
{
    static const char *const modules[] = {"/irqbypass.ko", "/kvm.ko", "/kvm-intel.ko",
                                          "/kvm-amd.ko"};

    for (unsigned i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        const int file = open(modules[i], O_RDONLY | O_CLOEXEC);

        if (file < 0 ||
            (syscall(SYS_finit_module, file, "", 0) && errno != EOPNOTSUPP && errno != EEXIST))
            failed(modules[i]);
        close(file);
    }
}

int main(void)
{
    if (mount("none", "/dev", "devtmpfs", 0, NULL))
        failed("/dev");
    load_modules();
    printf("kvm: %s\n", vm_run("/payload.elf") ? "failed" : "done");
    fflush(stdout);
    for (;;)
        pause();
}
