# SPDX-License-Identifier: MIT
# The whole build: the EFI loader, the hypervisor, the guests, the disk image, the tests and the checks.
#   make V=1       shows the commands        make CC=clang   builds with the other compiler
#   make O=DIR     builds under DIR          make help       lists the targets
#   make run PLATFORM=bochs-vmx GUESTS=DIR RUN='--smp 2'     boots that directory's guests there

CC := gcc
NASM := nasm
LD := ld
OBJCOPY := objcopy
O := build
PLATFORM := qemu-svm
GUESTS := build/guests/debian
DEBIAN := build/guests/debian/mica.conf build/guests/debian-two/mica.conf
DEBIAN_NET := build/guests/debian-net/mica.conf
DEBIAN_PROGRAMS := build/linux/load build/linux/mica-share build/linux/mica-vsock
RUN :=

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' '$1' '$2')

# ---- What is built, by folder ----------------------------------------------------------------------

BOOT_SRC := $(addprefix boot/,handover.asm efi_cpu.c efi_elf.c efi_machine.c efi_main.c efi_memmap.c \
            efi_modules.c elf.c handover.c memmap.c tables.c)

IMAGE_SRC := $(addprefix arch/x86/,ap_trampoline.asm entry.asm isr.asm speculation.asm cpu.c cpu_list.c cpuid.c \
            fpu.c idt.c lapic.c mtrr.c paging.c smp.c speculation.c tsc.c)
IMAGE_SRC += $(addprefix arch/vmx/,enter.asm apic.c caps.c decode.c dump.c ept.c fast.c inject.c vmcs.c vmx.c)
IMAGE_SRC += $(addprefix arch/svm/,enter.asm caps.c decode.c fast.c inject.c npt.c svm.c vmcb.c)
IMAGE_SRC += $(addprefix hv/,apic_assist.c backend.c board.c bus.c config.c config_key.c console.c console_irq.c \
            console_mirror.c emul_cpuid.c emul_cr.c emul_exception.c emul_io.c emul_mem.c emul_mov.c emul_msr.c exit.c \
            guest_mem.c heap.c host.c insn.c insn_exec.c intr.c layout.c log.c loop.c main.c mem.c module.c pair.c \
            panic.c printf.c sched.c scrollback.c slat.c string.c symbols.c timer.c trace.c vcpu.c vm.c \
            vm_boot.c vm_chore.c vm_memory.c vm_pages.c vm_table.c)
IMAGE_SRC += $(addprefix hv/load/,acpi.c elf.c flat.c linux.c load.c multiboot.c pvh.c)
IMAGE_SRC += $(addprefix hv/vdev/,vcmos.c vcmos_date.c vfwcfg.c vi8042.c vioapic.c vlapic.c vlapic_page.c \
            vlapic_regs.c vlapic_timer.c vpic.c vpit.c vpm.c vtestdev.c vuart.c)
IMAGE_SRC += $(addprefix hv/,board_pci.c entropy.c random.c)
IMAGE_SRC += $(addprefix hv/vdev/,virtio.c virtio_pace.c virtq.c vpci.c vswitch.c)
# A kind of virtio device: what it does, and how a VM has one.
IMAGE_SRC += hv/vdev/virtio_rng.c hv/board_rng.c
IMAGE_SRC += hv/vdev/virtio_blk.c hv/board_blk.c
IMAGE_SRC += hv/vdev/virtio_net.c hv/board_net.c
IMAGE_SRC += hv/vdev/virtio_console.c hv/board_console.c
IMAGE_SRC += hv/vdev/virtio_vsock.c hv/board_vsock.c
IMAGE_SRC += hv/vdev/ivshmem.c hv/board_share.c
IMAGE_SRC += hv/vdev/virtio_balloon.c hv/board_balloon.c
IMAGE_SRC += $(addprefix hv/pv/,event.c kvm.c kvm_clock.c kvm_eoi.c kvm_steal.c mica.c pv.c)
IMAGE_SRC += $(addprefix hv/monitor/,commands_host.c commands_inspect.c commands_sched.c \
            commands_vm.c info_guest.c json.c line.c monitor.c top.c)
IMAGE_SRC += $(addprefix drivers/,efi_reset.asm acpi.c acpi_tables.c font.c framebuffer.c hpet.c i8259.c ioapic.c pci.c \
            power.c rtc.c text_screen.c uart16550.c)

# A guest is guest-stubs/NAME.c or guest-stubs/NAME/*, with guest-stubs/lib/* and STUB_SRC_NAME.
STUB_LIB := $(wildcard guest-stubs/lib/*.c guest-stubs/lib/*.asm)
STUB_SRC_balloon := guest-stubs/virtio/driver.c
STUB_SRC_bench := guest-stubs/smp/trampoline.asm
STUB_SRC_clock := guest-stubs/smp/cpus.c guest-stubs/smp/trampoline.asm
STUB_SRC_share := guest-stubs/smp/cpus.c guest-stubs/smp/trampoline.asm
STUB_SRC_pv := guest-stubs/smp/cpus.c guest-stubs/smp/trampoline.asm
STUB_SRC_net := guest-stubs/virtio/driver.c
STUBS := $(patsubst guest-stubs/%.c,%,$(wildcard guest-stubs/*.c)) \
         $(filter-out lib,$(patsubst guest-stubs/%/,%,$(wildcard guest-stubs/*/)))

# A host test NAME is tests/host/test_NAME.c with HOST_SRC_NAME (and HOST_LIBS_NAME); a fuzz target is
# tests/host/fuzz_NAME.c with HOST_SRC_NAME and the driver fuzz_main.c.  Two lines for each:
HOST_TESTS += vuart
HOST_SRC_vuart := hv/vdev/vuart.c
HOST_TESTS += vpic
HOST_SRC_vpic := hv/vdev/vpic.c
HOST_TESTS += vpit
HOST_SRC_vpit := hv/vdev/vpit.c
HOST_TESTS += vcmos
HOST_SRC_vcmos := hv/vdev/vcmos.c hv/vdev/vcmos_date.c
HOST_TESTS += vpm
HOST_SRC_vpm := hv/vdev/vpm.c
HOST_TESTS += vi8042
HOST_SRC_vi8042 := hv/vdev/vi8042.c
HOST_TESTS += vtestdev
HOST_SRC_vtestdev := hv/vdev/vtestdev.c
HOST_TESTS += vfwcfg
HOST_SRC_vfwcfg := hv/vdev/vfwcfg.c hv/layout.c
VLAPIC_SRC := hv/vdev/vlapic.c hv/vdev/vlapic_page.c hv/vdev/vlapic_regs.c hv/vdev/vlapic_timer.c
HOST_TESTS += mem
HOST_SRC_mem := hv/mem.c
HOST_TESTS += vm_memory
HOST_SRC_vm_memory := $(addprefix hv/,vm_memory.c mem.c slat.c layout.c) arch/svm/npt.c
HOST_TESTS += symbols
HOST_SRC_symbols := hv/symbols.c
HOST_TESTS += vlapic
HOST_SRC_vlapic := $(VLAPIC_SRC)
HOST_TESTS += vlapic_page
HOST_SRC_vlapic_page := $(VLAPIC_SRC)
HOST_TESTS += vlapic_regs
HOST_SRC_vlapic_regs := $(VLAPIC_SRC)
HOST_TESTS += vlapic_timer
HOST_SRC_vlapic_timer := $(VLAPIC_SRC)
HOST_TESTS += vioapic
HOST_SRC_vioapic := $(VLAPIC_SRC) hv/vdev/vioapic.c
HOST_TESTS += config
HOST_SRC_config := hv/config.c hv/config_key.c hv/printf.c
HOST_TESTS += layout
HOST_SRC_layout := hv/layout.c
LOAD_SRC := $(wildcard hv/load/*.c) hv/layout.c hv/printf.c $(O)/dsdt.c
HOST_TESTS += acpi
HOST_SRC_acpi := $(LOAD_SRC)
HOST_TESTS += linux
HOST_SRC_linux := $(LOAD_SRC)
HOST_TESTS += flat
HOST_SRC_flat := $(LOAD_SRC)
HOST_TESTS += elf
HOST_SRC_elf := $(LOAD_SRC)
HOST_TESTS += ept
HOST_SRC_ept := arch/vmx/ept.c
HOST_TESTS += insn
HOST_SRC_insn := hv/insn.c hv/insn_exec.c
HOST_LIBS_insn := -lZydis
HOST_TESTS += insn_exec
HOST_SRC_insn_exec := $(HOST_SRC_insn)

HOST_TESTS += printf
HOST_SRC_printf := hv/printf.c
HOST_TESTS += line
HOST_SRC_line := hv/monitor/line.c hv/printf.c
HOST_TESTS += json
HOST_SRC_json := hv/monitor/json.c hv/printf.c
HOST_TESTS += trace
HOST_SRC_trace := hv/trace.c
HOST_TESTS += console
HOST_SRC_console := hv/console.c hv/printf.c hv/scrollback.c hv/vdev/vuart.c
HOST_TESTS += framebuffer
HOST_SRC_framebuffer := $(addprefix drivers/,font.c framebuffer.c text_screen.c)
HOST_TESTS += scrollback
HOST_SRC_scrollback := hv/scrollback.c
HOST_TESTS += acpi_tables
HOST_SRC_acpi_tables := drivers/acpi_tables.c
HOST_TESTS += rtc
HOST_SRC_rtc := drivers/rtc.c
HOST_TESTS += cpu_list
HOST_SRC_cpu_list := arch/x86/cpu_list.c
HOST_TESTS += memmap
HOST_SRC_memmap := boot/memmap.c
HOST_TESTS += boot_elf
HOST_SRC_boot_elf := boot/elf.c
HOST_TESTS += boot_tables
HOST_SRC_boot_tables := boot/tables.c
HOST_TESTS += kvm_clock
HOST_SRC_kvm_clock := hv/pv/kvm_clock.c
HOST_LIBS_kvm_clock := -lm

HOST_TESTS += slat
HOST_SRC_slat := hv/slat.c arch/svm/npt.c arch/vmx/ept.c
HOST_TESTS += tsc
HOST_TESTS += timer
HOST_SRC_timer := hv/timer.c hv/heap.c
HOST_TESTS += bus
HOST_SRC_bus := hv/bus.c
# The core of hv/ over a fake backend.
CORE_SRC := tests/host/fake_backend.c $(addprefix hv/,apic_assist.c vcpu.c intr.c exit.c guest_mem.c insn.c \
            insn_exec.c bus.c timer.c heap.c layout.c slat.c trace.c printf.c vm_pages.c) \
            $(wildcard hv/emul_*.c hv/pv/*.c hv/vdev/*.c) arch/x86/cpuid.c arch/x86/speculation.c arch/svm/npt.c
HOST_TESTS += apic_assist
HOST_SRC_apic_assist := $(CORE_SRC)
HOST_TESTS += intr
HOST_SRC_intr := $(CORE_SRC)
HOST_TESTS += pv
HOST_SRC_pv := $(CORE_SRC)
HOST_TESTS += event
HOST_SRC_event := $(CORE_SRC) hv/pair.c
HOST_TESTS += emul_cpuid
HOST_SRC_emul_cpuid := $(CORE_SRC)
HOST_TESTS += emul_msr
HOST_SRC_emul_msr := $(CORE_SRC)
HOST_TESTS += emul_mem
HOST_SRC_emul_mem := $(CORE_SRC)
HOST_TESTS += emul_mov
HOST_SRC_emul_mov := $(CORE_SRC)
HOST_TESTS += guest_mem
HOST_SRC_guest_mem := $(CORE_SRC)
HOST_TESTS += vm_pages
HOST_SRC_vm_pages := $(CORE_SRC)
HOST_TESTS += emul_cr
HOST_SRC_emul_cr := $(CORE_SRC)
HOST_TESTS += speculation
HOST_SRC_speculation := $(CORE_SRC) $(O)/arch/x86/speculation.asm.o
HOST_LIBS_speculation := -Wl,-z,noexecstack
HOST_TESTS += svm
HOST_SRC_svm := $(CORE_SRC) arch/svm/vmcb.c arch/svm/inject.c arch/svm/decode.c
HOST_TESTS += sched
HOST_SRC_sched := hv/sched.c hv/heap.c

HOST_TESTS += random
HOST_SRC_random := hv/random.c
HOST_TESTS += vpci
HOST_SRC_vpci := hv/vdev/vpci.c
HOST_TESTS += ivshmem
HOST_SRC_ivshmem := hv/vdev/ivshmem.c hv/vdev/vpci.c
VIRTIO_CORE := $(addprefix hv/vdev/,virtq.c virtio.c virtio_pace.c vpci.c)
VIRTIO_TALK_SRC := $(VIRTIO_CORE) $(addprefix hv/vdev/,virtio_console.c virtio_vsock.c)
HOST_TESTS += virtio_console
HOST_SRC_virtio_console := $(VIRTIO_TALK_SRC)
HOST_TESTS += virtio_vsock
HOST_SRC_virtio_vsock := $(VIRTIO_TALK_SRC)
HOST_FUZZ += virtio_talk
HOST_SRC_virtio_talk := $(VIRTIO_TALK_SRC)
VIRTIO_SRC := $(VIRTIO_CORE) $(addprefix hv/vdev/,virtio_balloon.c virtio_blk.c virtio_net.c virtio_rng.c vswitch.c)
HOST_TESTS += virtio
HOST_SRC_virtio := $(VIRTIO_SRC)
HOST_TESTS += virtio_dev
HOST_SRC_virtio_dev := $(VIRTIO_SRC)
HOST_TESTS += virtio_net
HOST_SRC_virtio_net := $(VIRTIO_SRC)
HOST_TESTS += virtio_balloon
HOST_SRC_virtio_balloon := $(VIRTIO_SRC)
HOST_TESTS += vswitch
HOST_SRC_vswitch := hv/vdev/vswitch.c

HOST_FUZZ += virtio
HOST_FUZZ += balloon
HOST_SRC_balloon := $(VIRTIO_SRC)
HOST_FUZZ += virtio_net
HOST_FUZZ += event
HOST_FUZZ += ivshmem
HOST_FUZZ += guest_mem
HOST_FUZZ += insn
HOST_FUZZ += config
HOST_FUZZ += load
HOST_SRC_load := $(LOAD_SRC)
HOST_FUZZ += vdev
HOST_SRC_vdev := $(addprefix hv/vdev/,vuart.c vpic.c vpit.c vcmos.c vcmos_date.c vpm.c vi8042.c vtestdev.c vfwcfg.c) \
                 hv/layout.c
HOST_FUZZ += sched
HOST_FUZZ += framebuffer
HOST_FUZZ += apic
HOST_SRC_apic := $(VLAPIC_SRC) hv/vdev/vioapic.c

# ---- Flags -----------------------------------------------------------------------------------------

WARN := -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla \
        -Wwrite-strings -Wswitch -Wimplicit-fallthrough -Wno-unused-parameter
FREE := -std=gnu17 -ffreestanding -mno-red-zone -mgeneral-regs-only -fno-strict-aliasing -fno-common \
        -fno-asynchronous-unwind-tables -O2 -g $(WARN) -iquote .
# Nothing in the image has or needs the 16 bytes of alignment that SSE would.
STACK_BY_8 := $(if $(findstring clang,$(CC)),-mstack-alignment=8,-mpreferred-stack-boundary=3)
IMAGE_CFLAGS := $(FREE) -mcmodel=kernel -fno-pic -fno-pie -fstack-protector-strong -mstack-protector-guard=global \
                -fno-omit-frame-pointer -momit-leaf-frame-pointer $(STACK_BY_8)
STUB_CFLAGS := $(FREE) -fno-pic -fno-pie -fno-stack-protector
BOOT_CFLAGS := $(FREE) -fpic -fshort-wchar -fno-stack-protector -DGNU_EFI_USE_MS_ABI \
               -isystem /usr/include/efi -isystem /usr/include/efi/x86_64
HOST_CFLAGS := -std=gnu17 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -Wall -Wextra -Werror \
               -Wno-unused-parameter -I. -iquote .
NASM_FLAGS := -f elf64 -g -F dwarf -Werror -I$(O)/ -I./
DEP = -MMD -MP -MF $(@:.o=.d)

IMAGE_LDFLAGS := -nostdlib -static -T linker.ld --orphan-handling=error --fatal-warnings --emit-relocs \
                 -z max-page-size=4096 -z noexecstack --build-id=none -Map $(O)/mica.map
STUB_LDFLAGS := -nostdlib -static -T guest-stubs/stub.ld --fatal-warnings -z max-page-size=4096 -z noexecstack \
                -z norelro --build-id=none --no-warn-rwx-segments
STUB_LDFLAGS_boot := --entry=boot_entry
BOOT_LDFLAGS := -nostdlib -shared -Bsymbolic -znocombreloc -z noexecstack --build-id=none --no-warn-rwx-segments \
                -T /usr/lib/elf_x86_64_efi.lds

object = $(patsubst %.asm,$(O)/%.asm.o,$(patsubst %.c,$(O)/%.o,$1))
BOOT_OBJ := $(call object,$(BOOT_SRC))
IMAGE_OBJ := $(call object,$(IMAGE_SRC)) $(O)/dsdt.o
stub_src = $(wildcard guest-stubs/$1.c guest-stubs/$1/*.c guest-stubs/$1/*.asm) $(STUB_SRC_$1) $(STUB_LIB)
stub_obj = $(patsubst $(O)/guest-stubs/%,$(O)/stubs/%,$(call object,$(call stub_src,$1)))
host_obj = $(patsubst %.c,$(O)/host/%.o,$1)

STUB_BIN := $(STUBS:%=$(O)/guests/%.bin) $(O)/guests/boot32.elf
HOST_BIN := $(HOST_TESTS:%=$(O)/host/test_%) $(HOST_FUZZ:%=$(O)/host/fuzz_%)

# ---- Targets ---------------------------------------------------------------------------------------

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all image run debug test test-host test-vm bench bench-quick check format stats clean help FORCE

all: $(O)/BOOTX64.EFI $(O)/mica.elf $(O)/mica.dis $(STUB_BIN) $(O)/lock.efi $(O)/count.so ## build the loader, the hypervisor and the guests
	@size $(O)/mica.debug.elf

image: $(O)/mica.img ## write the disk image for a USB stick

$(O)/mica.img: $(O)/BOOTX64.EFI $(O)/mica.elf build/guests/debian/mica.conf tools/image
	$(call say,IMAGE,$@)
	$(Q)tools/image --build $(O) --guests build/guests/debian --output $@

# Programs of ours in the Debian guests.
build/linux/%: tests/linux/%.c | $(O)/setup.done
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -Os $(WARN) -static -s $< -o $@

$(DEBIAN) &: tools/guest-debian $(DEBIAN_PROGRAMS) | $(O)/setup.done
	$(Q)tools/guest-debian

$(DEBIAN_NET): tools/guest-debian | $(DEBIAN)
	$(Q)tools/setup --disk
	$(Q)tools/guest-debian --disk

run: all $(filter $(DEBIAN) $(DEBIAN_NET),$(GUESTS)/mica.conf) ## boot it: PLATFORM=qemu-svm bochs-vmx bochs-svm qemu-kvm
	@tools/run --build $(O) --platform $(PLATFORM) --guests $(GUESTS) $(RUN)

debug: all $(filter $(DEBIAN) $(DEBIAN_NET),$(GUESTS)/mica.conf) ## the same on qemu-svm, waiting for gdb
	@echo 'In another terminal: gdb $(O)/mica.debug.elf -ex "target remote :1234" -ex "hbreak hv_main" -ex continue'
	@tools/run --build $(O) --guests $(GUESTS) $(RUN) -- -s -S

test: all host-tests $(DEBIAN) $(DEBIAN_NET) ## every test: on this machine and in the emulators
	@tests/run --build $(O) --host $(HOST_BIN)

test-vm: all $(DEBIAN) $(DEBIAN_NET) ## the tests that run in the emulators
	@tests/run --build $(O) --only vm

test-host: host-tests ## the tests that run on this machine
	@tests/run --build $(O) --only host --host $(HOST_BIN)

bench: all $(O)/bench/kvm-init $(DEBIAN) ## bench-quick, boots, and KVM beside: tables and a picture
	@tests/run --build $(O) --only vm bench boot-cost debian-load; status=$$?; tests/bench/peers --build $(O) || status=1; \
	 tests/bench/collect.py --build $(O) && tests/bench/report.py --build $(O) && exit $$status

bench-quick: all ## what exits cost, in instructions, against the budgets
	@tests/run --build $(O) --only vm bench; status=$$?; tests/bench/collect.py --build $(O); exit $$status

.PHONY: host-tests
host-tests: $(HOST_BIN)

clean: ## remove everything that was built
	rm -rf $(O)

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort | expand -t 12

# The packages that all this needs, installed where one is missing.
$(O)/setup.done: tools/setup
	@mkdir -p $(@D)
	@tools/setup
	@touch $@

# Objects are rebuilt when the compiler or its flags change.
$(O)/flags: FORCE | $(O)/setup.done
	@mkdir -p $(@D)
	@echo '$(CC) $(IMAGE_CFLAGS) $(BOOT_CFLAGS) $(STUB_CFLAGS) $(HOST_CFLAGS) $(NASM_FLAGS)' | cmp -s - $@ || \
	 echo '$(CC) $(IMAGE_CFLAGS) $(BOOT_CFLAGS) $(STUB_CFLAGS) $(HOST_CFLAGS) $(NASM_FLAGS)' >$@

# ---- The loader --------------------------------------------------------------------------------------

$(O)/boot/%.o: boot/%.c $(O)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BOOT_CFLAGS) $(DEP) -c $< -o $@

$(O)/boot.so: $(BOOT_OBJ)
	$(call say,LD,$@)
	$(Q)$(LD) $(BOOT_LDFLAGS) /usr/lib/crt0-efi-x86_64.o $(BOOT_OBJ) -o $@ -L/usr/lib -lefi -lgnuefi
	@! nm -u $@ | grep . || { echo '$@: undefined symbols'; rm -f $@; exit 1; }

# A test's stand-in for firmware that locks virtualization off.
$(O)/tests/boot/lock.o: tests/boot/lock.c $(O)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BOOT_CFLAGS) $(DEP) -c $< -o $@

$(O)/lock.so: $(O)/tests/boot/lock.o
	$(Q)$(LD) $(BOOT_LDFLAGS) /usr/lib/crt0-efi-x86_64.o $< -o $@ -L/usr/lib -lefi -lgnuefi

$(O)/BOOTX64.EFI: $(O)/boot.so
$(O)/lock.efi: $(O)/lock.so

$(O)/BOOTX64.EFI $(O)/lock.efi:
	$(call say,EFI,$@)
	$(Q)$(OBJCOPY) -S -j .text -j .sdata -j .data -j .rodata -j .dynamic -j .dynsym -j '.rel*' -j .reloc \
	  --target efi-app-x86_64 --subsystem=10 $< $@

# ---- The hypervisor ----------------------------------------------------------------------------------

$(O)/%.asm.o: %.asm $(O)/flags $(O)/asm_offsets.inc
	$(call say,NASM,$<)
	@mkdir -p $(@D)
	$(Q)$(NASM) $(NASM_FLAGS) -MD $(@:.o=.d) -MP $< -o $@

$(O)/%.o: %.c $(O)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(IMAGE_CFLAGS) $(DEP) -c $< -o $@

# The layouts that assembly uses, from the C compiler.
$(O)/asm_offsets.inc: arch/asm_offsets.c $(O)/flags
	$(call say,OFFSETS,$@)
	$(Q)$(CC) $(IMAGE_CFLAGS) -MMD -MP -MT $@ -MF $(O)/asm_offsets.d -S $< -o $(O)/asm_offsets.s
	$(Q)sed -n 's/.*\.ascii[[:space:]]*"@DEF \([A-Za-z0-9_]*\) \([^"]*\)".*/%define \1 \2/p' $(O)/asm_offsets.s >$@

# The guest's DSDT as an array: dsdt_aml[] and dsdt_aml_size.
$(O)/dsdt.aml: hv/load/dsdt.asl hv/layout.h
	$(call say,IASL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -E -P -x assembler-with-cpp -iquote . $< -o $(O)/dsdt.asl
	$(Q)iasl -we -vs -p $(O)/dsdt $(O)/dsdt.asl >$(O)/dsdt.log || { cat $(O)/dsdt.log; exit 1; }

$(O)/dsdt.c: $(O)/dsdt.aml
	$(Q){ echo 'const unsigned char dsdt_aml[] = {'; od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g'; echo '};'; \
	  echo 'const unsigned int dsdt_aml_size = sizeof(dsdt_aml);'; } >$@

# Nothing is below the short path on the stack: a backtrace does not miss its frame.
$(O)/arch/vmx/fast.o $(O)/arch/svm/fast.o: IMAGE_CFLAGS += -fomit-frame-pointer

$(O)/dsdt.o: $(O)/dsdt.c $(O)/flags
	$(Q)$(CC) $(IMAGE_CFLAGS) -c $< -o $@

$(O)/mica.debug.elf: $(IMAGE_OBJ) linker.ld
	$(call say,LD,$@)
	$(Q)$(LD) $(IMAGE_LDFLAGS) $(IMAGE_OBJ) -o $@

# What boots keeps the functions' names (stack traces) and what a slide changes.
$(O)/mica.elf: $(O)/mica.debug.elf tools/pack-elf
	$(call say,PACK,$@)
	$(Q)tools/pack-elf $< $@

$(O)/mica.dis: $(O)/mica.debug.elf
	$(call say,DISASM,$@)
	$(Q)objdump -d --no-show-raw-insn -M intel $< >$@

# ---- The guests that are shipped ---------------------------------------------------------------------

$(O)/stubs/%.o: guest-stubs/%.c $(O)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(STUB_CFLAGS) $(DEP) -c $< -o $@

$(O)/stubs/%.asm.o: guest-stubs/%.asm $(O)/flags
	$(call say,NASM,$<)
	@mkdir -p $(@D)
	$(Q)$(NASM) $(NASM_FLAGS) -MD $(@:.o=.d) -MP $< -o $@

define stub_rule
$(O)/guests/$1.elf: $(call stub_obj,$1) guest-stubs/stub.ld
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LD) $$(STUB_LDFLAGS) $(STUB_LDFLAGS_$1) $(call stub_obj,$1) -o $$@
endef
$(foreach stub,$(STUBS),$(eval $(call stub_rule,$(stub))))

# boot.elf has a PVH note, boot32.elf a Multiboot header only.
$(O)/guests/boot32.elf: $(O)/guests/boot.elf
	$(Q)$(OBJCOPY) -O elf32-i386 -R .note $< $@

$(O)/guests/%.bin: $(O)/guests/%.elf
	$(Q)$(OBJCOPY) -O binary -R .multiboot $< $@

# A plugin of QEMU's that counts instructions, for tests/bench/boot.py.
$(O)/count.so: tests/bench/count.c $(O)/flags
	$(call say,HOSTCC,$<)
	$(Q)$(CC) -std=gnu17 -O2 -Wall -Wextra -Werror -Wno-unused-parameter -shared -fPIC $< -o $@

# ---- Host tests --------------------------------------------------------------------------------------

$(O)/host/%.o: %.c $(O)/flags
	$(call say,HOSTCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) $(DEP) -c $< -o $@

define host_rule
$(O)/host/$1: $(call host_obj,$2)
	$$(call say,HOSTLD,$$@)
	$$(Q)$$(CC) $$(HOST_CFLAGS) $$^ $3 -o $$@
endef
$(foreach t,$(HOST_TESTS),$(eval $(call host_rule,test_$t,tests/host/test_$t.c $(HOST_SRC_$t),$(HOST_LIBS_$t))))
$(foreach t,$(HOST_FUZZ),$(eval $(call host_rule,fuzz_$t,tests/host/fuzz_$t.c tests/host/fuzz_main.c $(HOST_SRC_$t),$(HOST_LIBS_$t))))

# ---- Measurements ------------------------------------------------------------------------------------

KVM_SRC := $(addprefix tests/bench/kvm/,init.c vm.c)

# The program that runs a virtual machine of Linux's KVM, to measure that beside Mica.
$(O)/bench/kvm-init: $(KVM_SRC) tests/bench/kvm/vm.h $(O)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -O2 $(WARN) -iquote . -static $(KVM_SRC) -o $@

# ---- Checks ------------------------------------------------------------------------------------------

SIZE_LIMIT := 524288
C_FILES = $(shell git ls-files -co --exclude-standard '*.c' '*.h')
TIDY_FILES = $(filter %.c,$(IMAGE_SRC))
check_targets := check-format check-headers check-layers check-lists check-marks check-lint check-compilers check-size
.PHONY: $(check_targets)

check: $(check_targets) ## format, headers alone, layers, lint, both compilers, size

format: | $(O)/setup.done ## bring all C into the one format
	$(Q)clang-format -i $(C_FILES)

check-format: | $(O)/setup.done
	$(call say,CHECK,format)
	$(Q)clang-format --dry-run -Werror $(C_FILES)

check-headers: | $(O)/setup.done
	$(call say,CHECK,headers alone)
	$(Q)for h in $(filter %.h,$(C_FILES)); do \
	  case $$h in boot/*) flags='$(BOOT_CFLAGS)';; guest-stubs/*) flags='$(STUB_CFLAGS)';; \
	              tests/*) flags='$(HOST_CFLAGS) -Wno-unused';; *) flags='$(IMAGE_CFLAGS)';; esac; \
	  $(CC) $$flags -fsyntax-only -include $$h -x c /dev/null || exit 1; done

check-layers:
	$(call say,CHECK,layers)
	$(Q)tools/check-layers

# No source that nothing builds.
check-lists:
	$(call say,CHECK,source lists)
	$(Q)unlisted='$(filter-out $(BOOT_SRC) $(IMAGE_SRC) arch/asm_offsets.c,$(shell git ls-files -co \
	  --exclude-standard 'boot/*.c' 'boot/*.asm' 'arch/*.c' 'arch/*.asm' 'hv/*.c' 'hv/*.asm' 'drivers/*.c'))'; \
	  [ -z "$$unlisted" ] || { echo "not in the Makefile: $$unlisted"; exit 1; }

check-marks:
	$(call say,CHECK,unfinished work)
	$(Q)! git grep -nwE 'TO''DO|FIX''ME|X''XX' -- . ':!LICENSE'

check-lint: $(O)/dsdt.c
	$(call say,CHECK,lint)
	$(Q)cppcheck --quiet --std=c11 --error-exitcode=1 --enable=warning,portability --inline-suppr \
	  --suppressions-list=tools/cppcheck.txt -I. $(TIDY_FILES)
	$(Q)printf '%s\n' $(TIDY_FILES) | xargs -P 2 -n 4 sh -c 'clang-tidy --quiet --warnings-as-errors="*" "$$@" -- \
	  $(filter-out -Werror $(STACK_BY_8),$(IMAGE_CFLAGS)) 2>/dev/null' tidy

check-compilers:
	$(Q)$(MAKE) --no-print-directory CC=gcc O=$(O)/check/gcc all
	$(Q)$(MAKE) --no-print-directory CC=clang O=$(O)/check/clang all

check-size: $(O)/BOOTX64.EFI $(O)/mica.elf
	$(call say,CHECK,size)
	$(Q)sum=$$(cat $^ | wc -c); [ $$sum -le $(SIZE_LIMIT) ] || \
	  { echo "BOOTX64.EFI and mica.elf have $$sum bytes together, more than $(SIZE_LIMIT)"; exit 1; }

stats: $(O)/BOOTX64.EFI $(O)/mica.elf ## lines of code, the longest functions, sizes
	@tools/stats $(O)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
