/* SPDX-License-Identifier: MIT */
/* What a guest is made of, and its traffic. */
#include "hv/monitor/info_guest.h"

#include "hv/config.h"
#include "hv/console.h"
#include "hv/monitor/json.h"
#include "hv/pair.h"
#include "hv/printf.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define MAC_TEXT_SIZE 18

static unsigned int vcpus_with(const struct vm *vm, bool (*has)(const struct vcpu *vcpu))
{
    unsigned int count = 0;

    for (unsigned int i = 0; i < vm->vcpu_count; i++)
        count += has(vm->vcpus[i]);
    return count;
}

static bool is_lent(const struct vcpu *vcpu)
{
    return vcpu->lapic.lent;
}

/* "aa:bb:cc:dd:ee:ff" */
static const char *mac_text(const struct vm *vm, char text[MAC_TEXT_SIZE])
{
    const uint8_t *mac = vm->pci.net.config.mac;

    str_format(text, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
               mac[4], mac[5]);
    return text;
}

static void json_net(const struct vm *vm)
{
    const struct vswitch_port *port = &vm->pci.net.port;
    char mac[MAC_TEXT_SIZE];

    if (!port->owner)
        return;
    json_string("switch", port->owner->name);
    json_string("mac", mac_text(vm, mac));
    json_number("sent_packets", port->sent.packets);
    json_number("sent_bytes", port->sent.bytes);
    json_number("refused_packets", port->refused);
    json_number("received_packets", port->received.packets);
    json_number("received_bytes", port->received.bytes);
    json_number("lost_packets", port->lost);
}

static void print_net(const struct vm *vm)
{
    const struct vswitch_port *port = &vm->pci.net.port;
    char mac[MAC_TEXT_SIZE];

    if (!port->owner)
        return;
    console_print("  net      %s, %s, link %s\n", port->owner->name, mac_text(vm, mac),
                  port->up ? "up" : "down");
    console_print("           sent     %lu packets, %lu bytes; %lu refused\n", port->sent.packets,
                  port->sent.bytes, port->refused);
    console_print("           received %lu packets, %lu bytes; %lu lost\n", port->received.packets,
                  port->received.bytes, port->lost);
}

static void json_share(const struct vm *vm)
{
    if (!vm->pair->size)
        return;
    json_string("partner", vm->config->share.name);
    json_number("shared", vm->pair->size);
    json_number("shared_gpa", vm->pci.share_gpa);
}

static void print_share(const struct vm *vm)
{
    if (!vm->pair->size)
        return;
    console_print("  share    %lu KiB with %s at host-physical %016lx, ", vm->pair->size >> 10,
                  vm->config->share.name, vm->pair->memory.value);
    if (vm->pci.share_gpa)
        console_print("seen at %016lx\n", vm->pci.share_gpa);
    else
        console_print("not seen\n");
}

static void json_vsock(const struct virtio_vsock *vsock)
{
    if (!vsock->cid)
        return;
    json_number("vsock_cid", vsock->cid);
    json_number("vsock_sent_packets", vsock->sent.packets);
    json_number("vsock_sent_bytes", vsock->sent.bytes);
    json_number("vsock_received_packets", vsock->received.packets);
    json_number("vsock_received_bytes", vsock->received.bytes);
    json_number("vsock_refused", vsock->refused);
}

static void print_vsock(const struct virtio_vsock *vsock)
{
    if (!vsock->cid)
        return;
    console_print("  vsock    CID %lu, %s\n", vsock->cid,
                  vsock->virtio->live ? "up" : "without a driver");
    console_print("           sent     %lu packets, %lu bytes; %lu refused\n", vsock->sent.packets,
                  vsock->sent.bytes, vsock->refused);
    console_print("           received %lu packets, %lu bytes\n", vsock->received.packets,
                  vsock->received.bytes);
}

static void json_disks(const struct vm *vm)
{
    for (unsigned int i = 0; i < CONFIG_MAX_DISKS; i++) {
        const struct virtio_blk *blk = &vm->pci.disks[i];

        if (!blk->size)
            continue;
        json_begin("disk");
        json_string("guest", vm_name(vm));
        json_number("disk", i);
        json_string("file", vm->config->disks[i].file);
        json_number("size", blk->size);
        json_bool("read_only", !blk->pages);
        json_end();
    }
}

static void print_disks(const struct vm *vm)
{
    for (unsigned int i = 0; i < CONFIG_MAX_DISKS; i++) {
        const struct virtio_blk *blk = &vm->pci.disks[i];

        if (blk->size)
            console_print("  disk %u   %s, %lu KiB, %s\n", i, vm->config->disks[i].file,
                          blk->size >> 10, blk->pages ? "copied on writing" : "read-only");
    }
}

/* In the order of their tags. */
static const struct {
    const char *name;
    bool bytes;
} stat_names[] = {
    {"swapped_in", true},         {"swapped_out", true}, {"major_faults", false},
    {"minor_faults", false},      {"mem_free", true},    {"mem_total", true},
    {"mem_available", true},      {"mem_caches", true},  {"huge_pages", false},
    {"huge_pages_failed", false},
};

STATIC_ASSERT(ARRAY_SIZE(stat_names) == BALLOON_STAT_COUNT, "a name for each");

static void json_stats(struct vm *vm)
{
    struct balloon_stats stats;

    board_memory_stats(vm, &stats);
    if (!stats.known)
        return;
    json_number("stats_age_ns", vm_now_ns(vm) - stats.at_ns);
    for (unsigned int i = 0; i < BALLOON_STAT_COUNT; i++)
        if (stats.known >> i & 1)
            json_number(stat_names[i].name, stats.values[i]);
}

static void print_stats(struct vm *vm)
{
    struct balloon_stats stats;
    unsigned int printed = 0;

    board_memory_stats(vm, &stats);
    if (!stats.known)
        return;
    console_print("           the guest said %lu ms ago:", (vm_now_ns(vm) - stats.at_ns) / 1000000);
    for (unsigned int i = 0; i < BALLOON_STAT_COUNT; i++)
        if (stats.known >> i & 1)
            console_print("%s%s %lu%s", printed++ % 5 ? ", " : "\n           ", stat_names[i].name,
                          stat_names[i].bytes ? stats.values[i] >> 10 : stats.values[i],
                          stat_names[i].bytes ? " KiB" : "");
    console_print("\n");
}

/* ---- Of KVM's interface, what its vCPUs have switched on ------------------------------------ */

static bool uses_clock(const struct vcpu *vcpu)
{
    return vcpu->kvm_system_time & KVM_SYSTEM_TIME_ENABLE;
}

static bool uses_steal_time(const struct vcpu *vcpu)
{
    return vcpu->pv.steal_time & KVM_MSR_ENABLE;
}

static bool uses_eoi(const struct vcpu *vcpu)
{
    return vcpu->pv.eoi & KVM_MSR_ENABLE;
}

static bool polls_itself(const struct vcpu *vcpu)
{
    return !(vcpu->pv.poll_control & KVM_POLL_ENABLE);
}

static const struct {
    const char *name, *key;
    bool (*is_on)(const struct vcpu *vcpu);
} kvm_parts[] = {
    {"clock", "kvm_clock_vcpus", uses_clock},
    {"steal time", "kvm_steal_time_vcpus", uses_steal_time},
    {"pv eoi", "kvm_pv_eoi_vcpus", uses_eoi},
    {"polling of their own", "kvm_poll_vcpus", polls_itself},
};

static void json_kvm(const struct vm *vm)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(kvm_parts); i++)
        json_number(kvm_parts[i].key, vcpus_with(vm, kvm_parts[i].is_on));
}

static void print_kvm(const struct vm *vm)
{
    console_print("  kvm      ");
    for (unsigned int i = 0; i < ARRAY_SIZE(kvm_parts); i++)
        console_print("%s%s on %u", i ? ", " : "", kvm_parts[i].name,
                      vcpus_with(vm, kvm_parts[i].is_on));
    console_print(" of %u vcpus\n", vm->vcpu_count);
}

/* ---- All of it ------------------------------------------------------------------------------ */

static void json_guest(struct vm *vm)
{
    const struct guest_config *config = vm->config;

    json_begin("guest");
    json_string("name", vm_name(vm));
    json_string("state", vm_state_name(vm));
    json_string("ended", vm->state == VM_OFF ? vm->ended : "");
    json_string("kernel", config->kernel);
    json_string("initrd", config->initrd);
    json_string("cmdline", config->cmdline);
    json_number("memory", config->memory);
    json_number("given_back", vm->absent_pages << PAGE_SHIFT);
    json_bool("waits_for_memory", vm->waits_for_memory);
    json_stats(vm);
    json_number("vcpus", vm->vcpu_count);
    json_number("apicv_vcpus", vcpus_with(vm, is_lent));
    json_number("clock_ns", vm_now_ns(vm));
    json_kvm(vm);
    json_net(vm);
    json_share(vm);
    json_vsock(&vm->pci.vsock);
    json_end();
    json_disks(vm);
}

void info_guest(struct vm *vm)
{
    const struct guest_config *config = vm->config;
    uint64_t ms = vm_now_ns(vm) / 1000000;

    if (json_is_on) {
        json_guest(vm);
        return;
    }
    console_print("guest %s: %s%s%s\n", vm_name(vm), vm_state_name(vm),
                  vm->state == VM_OFF && vm->ended[0] ? ": " : "",
                  vm->state == VM_OFF ? vm->ended : "");
    console_print("  kernel   %s\n", config->kernel);
    if (config->initrd[0])
        console_print("  initrd   %s\n", config->initrd);
    if (config->cmdline[0])
        console_print("  cmdline  %s\n", config->cmdline);
    console_print("  memory   %lu KiB%s\n", config->memory >> 10,
                  vm->waits_for_memory ? ", waits for more" : "");
    for (unsigned int i = 0; i < vm->slot_count; i++)
        console_print("           %016lx + %010lx at host-physical %016lx\n",
                      vm->slots[i].gpa.value, vm->slots[i].size, vm->slots[i].hpa.value);
    if (vm->paged_count)
        console_print("           %lu KiB of it given back\n", vm->absent_pages * 4);
    print_stats(vm);
    console_print("  vcpus    %u, the local apics of %u virtualized by the cpu%s\n", vm->vcpu_count,
                  vcpus_with(vm, is_lent), config->apicv ? "" : " (apicv = off)");
    console_print("  clock    %lu.%03lu s\n", ms / 1000, ms % 1000);
    print_kvm(vm);
    print_disks(vm);
    print_net(vm);
    print_share(vm);
    print_vsock(&vm->pci.vsock);
}
