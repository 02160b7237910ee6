/* SPDX-License-Identifier: Apache-2.0
 * Test finisher (sifive,test0): how a guest ends or restarts its machine. */
#pragma once

#include "dev/device.h"
#include "mem/space.h"
#include "port/power.h"

struct finisher {
    struct power_port power;
};

void finisher_init(struct finisher *finisher, const struct power_port *power);

extern const struct mmio_ops finisher_mmio;
extern const struct device_ops finisher_ops; /* it has no state */
