/* SPDX-License-Identifier: Apache-2.0
 * ACLINT in the layout of SiFive's CLINT: machine timer and software interrupts
 * of all harts in one 64 KiB region. */
#pragma once

#include "dev/device.h"
#include "mem/space.h"
#include "port/alarm.h"
#include "port/irq.h"

#define ACLINT_SIZE      0x10000
#define ACLINT_MAX_HARTS 64

struct aclint_config {
    unsigned hart_count;         /* 1-64 */
    const struct irq_line *msip; /* one per hart; borrowed for the life of the machine */
    const struct irq_line *mtip; /* likewise */
    struct alarm_port alarm;     /* in ticks of mtime; id is the hart */
    /* The guest wrote mtime: now() must go on from `ticks`. NULL: such writes
     * are ignored. */
    void (*set_now)(void *owner, uint64_t ticks);
    void *set_now_owner;
};

struct aclint {
    uint64_t msip; /* bit per hart */
    uint64_t mtimecmp[ACLINT_MAX_HARTS];
    struct aclint_config config;
};

void aclint_init(struct aclint *aclint, const struct aclint_config *config);

/* The alarm function of the struct aclint at `object`: mtimecmp of `hart` may
 * have been reached. */
void aclint_alarm(void *object, unsigned hart);

extern const struct mmio_ops aclint_mmio;
extern const struct device_ops aclint_ops;
