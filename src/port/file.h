/* SPDX-License-Identifier: Apache-2.0
 * A file that is read again when a machine is reset. */
#pragma once

#include "base/error.h"
#include "base/types.h"

/* Called by the thread that resets the machine, without locks; may block, and be
 * entered again from nowhere. */
struct file_port {
    /* Reads exactly `size` bytes from byte `at` on; with 0 it only looks whether that
     * would go. Returns 0, or -errno with the reason in `err` and anything in *to: the
     * file cannot be read, or it is not what it was at first. */
    int (*read)(void *owner, uint64_t at, void *to, size_t size, struct error *err);
    void *owner;
};
