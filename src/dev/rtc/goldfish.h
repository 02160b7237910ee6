/* SPDX-License-Identifier: Apache-2.0
 * Goldfish real-time clock: nanoseconds since 1970, with an alarm. */
#pragma once

#include "dev/device.h"
#include "mem/space.h"
#include "port/alarm.h"
#include "port/irq.h"

struct goldfish_config {
    struct irq_line irq;
    struct alarm_port alarm; /* nanoseconds since the epoch; id 0 */
};

struct goldfish {
    uint64_t offset_ns;  /* guest time - now(): the guest may set the clock */
    uint64_t alarm_ns;   /* guest time of the alarm */
    uint32_t time_high;  /* latched by reading TIME_LOW */
    uint32_t alarm_high; /* waits for the write of ALARM_LOW */
    bool alarm_running;
    bool irq_enabled;
    bool irq_pending;
    struct goldfish_config config;
};

void goldfish_init(struct goldfish *rtc, const struct goldfish_config *config);

/* The alarm function of the struct goldfish at `object`; `id` is 0. */
void goldfish_alarm(void *object, unsigned id);

extern const struct mmio_ops goldfish_mmio;
extern const struct device_ops goldfish_ops;
