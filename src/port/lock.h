/* SPDX-License-Identifier: Apache-2.0
 * A lock handed in from outside, for folders that know no threads. */
#pragma once

#include "base/types.h"

struct lock_port {
    void (*acquire)(void *owner);
    void (*release)(void *owner);
    void *owner; /* NULL functions: no locking (single-threaded tests) */
};

static inline void lock_acquire(const struct lock_port *lock)
{
    if (lock->acquire)
        lock->acquire(lock->owner);
}

static inline void lock_release(const struct lock_port *lock)
{
    if (lock->release)
        lock->release(lock->owner);
}
