/* SPDX-License-Identifier: Apache-2.0
 * An interrupt wire from a device to whatever collects it. */
#pragma once

#include "base/types.h"

/* Level-triggered: the device says what the level is now, as often as it likes.
 * A level that rises and falls at once is a pulse, and interrupts once. Called with the device lock held. A zeroed line is connected to nothing. */
struct irq_line {
    void (*set)(void *owner, unsigned number, bool level);
    void *owner;
    unsigned number;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
    if (line->set)
        line->set(line->owner, line->number, level);
}
