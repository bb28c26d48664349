/* SPDX-License-Identifier: MIT */
/* ACPI power management (see vpm.h).  The tables that tell the guest where it is are not made here.
 */
#include "hv/vdev/vpm.h"

#include "hv/util.h"
#include "hv/vdev/vticks.h"

#define STS_TMR    0x0001
#define STS_BM     0x0010
#define STS_GBL    0x0020
#define STS_PWRBTN 0x0100
#define STS_SLPBTN 0x0200
#define STS_RTC    0x0400
#define STS_WAK    0x8000

#define EN_TMR    0x0001
#define EN_GBL    0x0020
#define EN_PWRBTN 0x0100
#define EN_SLPBTN 0x0200
#define EN_RTC    0x0400
#define EN_MASK   (EN_TMR | EN_GBL | EN_PWRBTN | EN_SLPBTN | EN_RTC)

#define CNT_SCI_EN        0x0001
#define CNT_BM_RLD        0x0002
#define CNT_GBL_RLS       0x0004
#define CNT_SLP_TYP       0x1c00
#define CNT_SLP_TYP_SHIFT 10
#define CNT_SLP_EN        0x2000

#define RST_SYS_RST  0x02
#define RST_RST_CPU  0x04
#define RST_FULL_RST 0x08

#define TIMER_TOP_SHIFT 31 /* of the 32 bits that FADT's TMR_VAL_EXT announces */

static uint64_t timer_ticks(const struct vpm *pm)
{
    return vticks_from_ns(vclock_now(&pm->clock), VPM_TIMER_HZ);
}

/* TMR_STS is computed when somebody could notice: each change of the timer's top bit sets it. */
static void account(struct vpm *pm, uint64_t ticks)
{
    uint64_t carries = ticks >> TIMER_TOP_SHIFT;

    if (carries > pm->seen_carries) {
        pm->seen_carries = carries;
        pm->pm1_sts |= STS_TMR;
    }
}

static void update_sci(struct vpm *pm)
{
    bool level = (pm->pm1_sts & pm->pm1_en) != 0;
    bool wait = (pm->pm1_en & EN_TMR) && !(pm->pm1_sts & STS_TMR);
    uint64_t deadline_ns =
        wait ? vticks_to_ns((pm->seen_carries + 1) << TIMER_TOP_SHIFT, VPM_TIMER_HZ) : VTIMER_OFF;

    if (pm->line != level) {
        pm->line = level;
        irq_line_set(&pm->sci, level);
    }
    if (pm->deadline_ns != deadline_ns) {
        pm->deadline_ns = deadline_ns;
        vtimer_set(&pm->timer, deadline_ns);
    }
}

static uint32_t read_word(struct vpm *pm, uint16_t offset)
{
    uint64_t ticks = timer_ticks(pm);

    switch (offset) {
    case VPM_PM1_EVT:
        account(pm, ticks);
        return pm->pm1_sts | (uint32_t)pm->pm1_en << 16;
    case VPM_PM1_CNT:
        return pm->pm1_cnt | CNT_SCI_EN | 0xffff0000;
    case VPM_PM_TMR:
        return (uint32_t)ticks;
    case VPM_RESET:
        return pm->rst_cnt | 0xffffff00;
    default:
        return ~0u;
    }
}

static uint32_t vpm_read(void *dev, uint16_t offset, uint8_t size)
{
    unsigned int shift = offset % 4 * 8;

    if (offset % 4 + size > 4)
        return ~0u;
    return (uint32_t)BITS(read_word(dev, offset & 0xfffc) >> shift, size * 8u - 1, 0);
}

static void write_events(struct vpm *pm, uint32_t lanes, uint32_t value)
{
    account(pm, timer_ticks(pm));
    pm->pm1_sts &= (uint16_t) ~(value & lanes);
    pm->pm1_en = (uint16_t)(((pm->pm1_en & ~(lanes >> 16)) | (value & lanes) >> 16) & EN_MASK);
    update_sci(pm);
}

static void write_control(struct vpm *pm, uint32_t lanes, uint32_t value)
{
    uint32_t merged = (pm->pm1_cnt & ~lanes) | (value & lanes);

    pm->pm1_cnt = merged & (CNT_BM_RLD | CNT_SLP_TYP);
    if ((merged & CNT_SLP_EN) && (merged & CNT_SLP_TYP) >> CNT_SLP_TYP_SHIFT == VPM_SLP_TYP_S5)
        pm->ops.power_off(pm->ops.ctx);
}

/* RST_CPU without SYS_RST would be an INIT alone: here it is a reset of everything too. */
static void write_reset(struct vpm *pm, uint8_t value)
{
    pm->rst_cnt = value & (RST_SYS_RST | RST_FULL_RST);
    if (value & RST_RST_CPU)
        pm->ops.reset(pm->ops.ctx);
}

static void vpm_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    struct vpm *pm = dev;
    unsigned int shift = offset % 4 * 8;

    if (offset % 4 + size > 4)
        return;

    uint32_t lanes = (uint32_t)BITS(~0ull, size * 8u - 1, 0) << shift;
    switch (offset & 0xfffc) {
    case VPM_PM1_EVT:
        write_events(pm, lanes, value << shift);
        break;
    case VPM_PM1_CNT:
        write_control(pm, lanes, value << shift);
        break;
    case VPM_RESET:
        if (lanes & 0xff)
            write_reset(pm, (uint8_t)value);
        break;
    default: /* the timer is read-only */
        break;
    }
}

static uint32_t rst_cnt_read(void *dev, uint16_t offset, uint8_t size)
{
    const struct vpm *pm = dev;

    return size == 1 && offset == 0 ? pm->rst_cnt : ~0u;
}

static void rst_cnt_write(void *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    if (size == 1 && offset == 0)
        write_reset(dev, (uint8_t)value);
}

void vpm_init(struct vpm *pm, const struct vpm_ops *ops, const struct irq_line *sci,
              const struct vclock *clock, const struct vtimer *timer)
{
    *pm = (struct vpm){
        .deadline_ns = VTIMER_OFF,
        .sci = *sci,
        .clock = *clock,
        .timer = *timer,
        .ops = *ops,
    };
    pm->seen_carries = timer_ticks(pm) >> TIMER_TOP_SHIFT;
}

void vpm_ports(struct vpm *pm, uint16_t base, struct pio_range ranges[VPM_PORT_RANGES])
{
    ranges[0] = (struct pio_range){
        .base = base, .count = VPM_PORT_COUNT, .dev = pm, .read = vpm_read, .write = vpm_write};
    ranges[1] = (struct pio_range){.base = VPM_RST_CNT_PORT,
                                   .count = 1,
                                   .dev = pm,
                                   .read = rst_cnt_read,
                                   .write = rst_cnt_write};
}

void vpm_tick(struct vpm *pm, uint64_t now_ns)
{
    account(pm, vticks_from_ns(now_ns, VPM_TIMER_HZ));
    pm->deadline_ns = VTIMER_OFF; /* it has fired; an early call sets it again */
    update_sci(pm);
}

void vpm_power_button(struct vpm *pm)
{
    pm->pm1_sts |= STS_PWRBTN;
    update_sci(pm);
}
