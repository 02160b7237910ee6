/* SPDX-License-Identifier: Apache-2.0
 * Test finisher: a write of 0x5555 powers off, 0x7777 resets, and
 * code << 16 | 0x3333 reports a failure. */
#include "dev/test/finisher.h"

enum {
    FINISH_FAIL = 0x3333,
    FINISH_PASS = 0x5555,
    FINISH_RESET = 0x7777,
};

static uint64_t finisher_read(void *device, uint64_t offset, unsigned size)
{
    (void)device;
    (void)offset;
    (void)size;
    return 0;
}

static void finisher_write(void *device, uint64_t offset, uint64_t value, unsigned size)
{
    const struct finisher *finisher = device;
    const struct power_port *power = &finisher->power;

    (void)size;
    if (offset != 0)
        return;
    switch (value & 0xffff) {
    case FINISH_FAIL:
        power->request(power->owner, POWER_FAIL, (unsigned)(value >> 16 & 0xffff));
        break;
    case FINISH_PASS:
        power->request(power->owner, POWER_OFF, 0);
        break;
    case FINISH_RESET:
        power->request(power->owner, POWER_RESET, 0);
        break;
    default:
        break;
    }
}

const struct mmio_ops finisher_mmio = {finisher_read, finisher_write, MMIO_2 | MMIO_4};

static void finisher_reset(void *object)
{
    (void)object;
}

static const struct state_table finisher_state = {.name = "finisher", .version = 1};

const struct device_ops finisher_ops = {finisher_reset, &finisher_state, NULL};

void finisher_init(struct finisher *finisher, const struct power_port *power)
{
    *finisher = (struct finisher){*power};
}
