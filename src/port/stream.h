/* SPDX-License-Identifier: Apache-2.0
 * A byte stream between a serial-like device and what stands behind it
 * (terminal, socket, file). All calls are made with the device lock held and
 * never block. */
#pragma once

#include "base/types.h"

/* What a device calls. */
struct stream_port {
    /* Takes at most `size` bytes of output; returns how many. When fewer, the
     * device keeps the rest and waits for handler->writable. */
    size_t (*write)(void *owner, const uint8_t *bytes, size_t size);
    /* The device has room for input again after handler->receive took less than
     * it was given. May be NULL. */
    void (*readable)(void *owner);
    void *owner;
};

/* What a device offers to the back end. */
struct stream_handler {
    /* Input from outside; returns how many bytes the device took. */
    size_t (*receive)(void *device, const uint8_t *bytes, size_t size);
    /* Output is accepted again. */
    void (*writable)(void *device);
    void *device;
};
