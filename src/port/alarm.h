/* SPDX-License-Identifier: Apache-2.0
 * Guest time for devices: what time it is, and being called back at a deadline.
 * Devices read no clock of their own, so that a machine can run on virtual time. */
#pragma once

#include "base/types.h"

#define ALARM_NEVER UINT64_MAX

struct alarm_port {
    /* Time in the unit the device was promised (mtime ticks, nanoseconds). Never
     * goes back. Any thread. */
    uint64_t (*now)(void *owner);
    /* Asks for one call of the device's alarm function, number `id`, once now()
     * has reached `deadline`; replaces an earlier deadline of that id;
     * ALARM_NEVER cancels. Device lock held; the call comes with it held too, and
     * never from inside set(). */
    void (*set)(void *owner, unsigned id, uint64_t deadline);
    void *owner;
};
