/* SPDX-License-Identifier: Apache-2.0
 * Goldfish real-time clock (Android emulator, GOLDFISH-VIRTUAL-HARDWARE, "RTC"). */
#include "dev/rtc/goldfish.h"

#include "base/bits.h"

enum {
    TIME_LOW = 0x00,
    TIME_HIGH = 0x04,
    ALARM_LOW = 0x08,
    ALARM_HIGH = 0x0c,
    IRQ_ENABLED = 0x10,
    CLEAR_ALARM = 0x14,
    ALARM_STATUS = 0x18,
    CLEAR_INTERRUPT = 0x1c,
};

static uint64_t guest_now(const struct goldfish *rtc)
{
    return rtc->config.alarm.now(rtc->config.alarm.owner) + rtc->offset_ns;
}

static void update_irq(const struct goldfish *rtc)
{
    irq_set(&rtc->config.irq, rtc->irq_pending && rtc->irq_enabled);
}

/* Arms, fires or cancels the alarm, whatever is due now. */
static void update_alarm(struct goldfish *rtc)
{
    const struct alarm_port *alarm = &rtc->config.alarm;
    uint64_t deadline = ALARM_NEVER;

    if (rtc->alarm_running && guest_now(rtc) >= rtc->alarm_ns) {
        rtc->alarm_running = false;
        rtc->irq_pending = true;
    }
    if (rtc->alarm_running)
        deadline = alarm->now(alarm->owner) + (rtc->alarm_ns - guest_now(rtc));
    alarm->set(alarm->owner, 0, deadline);
    update_irq(rtc);
}

void goldfish_alarm(void *object, unsigned id)
{
    (void)id;
    update_alarm(object);
}

static uint64_t goldfish_read(void *device, uint64_t offset, unsigned size)
{
    struct goldfish *rtc = device;
    uint64_t time = 0;

    (void)size;
    switch (offset) {
    case TIME_LOW:
        time = guest_now(rtc);
        rtc->time_high = (uint32_t)(time >> 32);
        return (uint32_t)time;
    case TIME_HIGH:
        return rtc->time_high;
    case ALARM_LOW:
        return (uint32_t)rtc->alarm_ns;
    case ALARM_HIGH:
        return rtc->alarm_ns >> 32;
    case IRQ_ENABLED:
        return rtc->irq_enabled;
    case ALARM_STATUS:
        return rtc->alarm_running;
    default:
        return 0;
    }
}

static void set_time(struct goldfish *rtc, unsigned low_bit, uint64_t value)
{
    uint64_t before = guest_now(rtc);

    rtc->offset_ns += bits_deposit(before, low_bit, 32, value) - before;
    update_alarm(rtc);
}

static void goldfish_write(void *device, uint64_t offset, uint64_t value, unsigned size)
{
    struct goldfish *rtc = device;

    (void)size;
    switch (offset) {
    case TIME_LOW:
        set_time(rtc, 0, value);
        break;
    case TIME_HIGH:
        set_time(rtc, 32, value);
        break;
    case ALARM_LOW:
        rtc->alarm_ns = (uint64_t)rtc->alarm_high << 32 | (uint32_t)value;
        rtc->alarm_running = true;
        update_alarm(rtc);
        break;
    case ALARM_HIGH:
        rtc->alarm_high = (uint32_t)value;
        break;
    case IRQ_ENABLED:
        rtc->irq_enabled = value & 1;
        update_irq(rtc);
        break;
    case CLEAR_ALARM:
        rtc->alarm_running = false;
        update_alarm(rtc);
        break;
    case CLEAR_INTERRUPT:
        rtc->irq_pending = false;
        update_irq(rtc);
        break;
    default:
        break;
    }
}

const struct mmio_ops goldfish_mmio = {goldfish_read, goldfish_write, MMIO_4};

static void goldfish_reset(void *object)
{
    struct goldfish *rtc = object;

    /* The clock itself survives a reset, as a battery-backed one does. */
    *rtc = (struct goldfish){.offset_ns = rtc->offset_ns, .config = rtc->config};
    update_alarm(rtc);
}

static int goldfish_loaded(void *object, struct error *err)
{
    (void)err;
    update_alarm(object);
    return 0;
}

static const struct state_field goldfish_fields[] = {
    STATE_FIELD(struct goldfish, offset_ns),        STATE_FIELD(struct goldfish, alarm_ns),
    STATE_FIELD(struct goldfish, time_high),        STATE_FIELD(struct goldfish, alarm_high),
    STATE_RANGE(struct goldfish, alarm_running, 1), STATE_RANGE(struct goldfish, irq_enabled, 1),
    STATE_RANGE(struct goldfish, irq_pending, 1),
};
static const struct state_table goldfish_state = STATE_TABLE("goldfish-rtc", 1, goldfish_fields);

const struct device_ops goldfish_ops = {goldfish_reset, &goldfish_state, goldfish_loaded};

void goldfish_init(struct goldfish *rtc, const struct goldfish_config *config)
{
    *rtc = (struct goldfish){.config = *config};
    goldfish_reset(rtc);
}
