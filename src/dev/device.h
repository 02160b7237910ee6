/* SPDX-License-Identifier: Apache-2.0
 * What every device model offers to the board: reset and its state.
 *
 * A device is a pure state machine: no I/O, no thread, no clock, no allocation
 * after creation. All its functions run under the device lock of its machine. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "state/field.h"

struct device_ops {
    /* Back to the state after power-on; the wiring (ports, lines) stays. */
    void (*reset)(void *object);
    const struct state_table *state;
    /* After state_load: checks what the table cannot express (returns -EPROTO
     * with the reason) and sets lines and alarms again. May be NULL. */
    int (*loaded)(void *object, struct error *err);
};

/* A device as the board lists it. */
struct device {
    char name[24]; /* unique on the board, e.g. "uart0", "pci:01.0" */
    const struct device_ops *ops;
    void *object;
};
