/* SPDX-License-Identifier: MIT */
/* Mica's own calls; mica_abi.h says what each does. */
#include "hv/pv/pv.h"

#include "arch/x86/cpu.h"
#include "arch/x86/tsc.h"
#include "hv/guest_mem.h"
#include "hv/loop.h"
#include "hv/vm.h"

static int64_t version(struct vcpu *vcpu)
{
    return MICA_ABI_VERSION;
}

static int64_t features(struct vcpu *vcpu)
{
    return mica_features();
}

static int64_t write_console(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;
    uint8_t bytes[MICA_CONSOLE_MAX];
    uint64_t size = MIN(vcpu->gprs.r[GPR_RCX], sizeof(bytes)), done = 0;

    if (guest_mem_read(vm, GPA(vcpu->gprs.r[GPR_RBX]), bytes, size) != 0)
        return -MICA_EFAULT;
    spin_lock(&vm->lock);
    while (done < size && guest_console_put(&vm->console, bytes[done]))
        done++;
    spin_unlock(&vm->lock);
    return (int64_t)done;
}

static int64_t yield(struct vcpu *vcpu)
{
    loop_yield(vcpu);
    return 0;
}

static int64_t id(struct vcpu *vcpu)
{
    return vcpu->vm->id << 16 | vcpu->id;
}

static int64_t mark(struct vcpu *vcpu)
{
    if (trace_is_on)
        trace_exit(&this_cpu()->trace, rdtsc(), TRACE_VCPU(vcpu->vm->id, vcpu->id), TRACE_MARK,
                   vcpu->rip, vcpu->gprs.r[GPR_RBX], vcpu->gprs.r[GPR_RCX]);
    return 0;
}

static int64_t shutdown(struct vcpu *vcpu)
{
    if (vcpu->gprs.r[GPR_RBX] > UINT32_MAX)
        return -MICA_EINVAL;
    spin_lock(&vcpu->vm->lock);
    vm_set_due(vcpu->vm, DUE_EXIT, (uint32_t)vcpu->gprs.r[GPR_RBX]);
    spin_unlock(&vcpu->vm->lock);
    return 0;
}

pv_function *const mica_calls[MICA_CALL_COUNT] = {
    [MICA_CALL_VERSION] = version,
    [MICA_CALL_FEATURES] = features,
    [MICA_CALL_CONSOLE_WRITE] = write_console,
    [MICA_CALL_YIELD] = yield,
    [MICA_CALL_ID] = id,
    [MICA_CALL_MARK] = mark,
    [MICA_CALL_SHUTDOWN] = shutdown,
    [MICA_CALL_EVENT_CREATE] = event_call,
    [MICA_CALL_EVENT_BIND] = event_call,
    [MICA_CALL_EVENT_NOTIFY] = event_call,
    [MICA_CALL_EVENT_MASK] = event_call,
    [MICA_CALL_EVENT_CLOSE] = event_call,
    [MICA_CALL_EVENT_STATUS] = event_call,
};

uint32_t mica_features(void)
{
    return (1u << MICA_CALL_COUNT) - 1;
}
